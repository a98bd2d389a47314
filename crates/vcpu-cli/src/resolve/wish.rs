//! What the operator wishes: a named model or everything, and features by name.

use cpu_caps::{Base, Identity, Request};
use cpu_dumps::{NamedModel, Origin, find_model};
use cpuid_db::{Feature, FeatureSet, Signature};
use serde_json::{Value, json};

use crate::answer::Failure;
use crate::words;

/// A request and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// What the engine is asked.
    pub(crate) request: Request,
    /// The model, if one was named.
    pub(crate) model: Option<NamedModel>,
    /// Features that were asked for by name, and not by the model.
    pub(crate) by_name: FeatureSet,
    /// Whether what ties a guest to one machine is left out.
    pub(crate) migratable: bool,
}

/// The model that a word names.
///
/// # Errors
/// A failure with the nearest names.
pub(crate) fn model(word: &str) -> Result<NamedModel, Failure> {
    find_model(word).map_err(|unknown| {
        let candidates = unknown.nearest.iter().map(|name| json!({ "name": name })).collect();
        let mut message = format!("--model: \"{}\" is no known CPU model", words::clean(word));
        if let [init @ .., last] = unknown.nearest.as_slice() {
            let list = if init.is_empty() { (*last).to_owned() } else { format!("{} or {last}", init.join(", ")) };
            message.extend(["; did you mean ", &list, "?"]);
        }
        Failure { candidates, ..Failure::wrong(message) }
    })
}

impl Wish {
    /// Everything that can be had, or only what may be had where a guest is to move.
    pub(crate) fn everything(migratable: bool, with: &FeatureSet, without: &FeatureSet) -> Self {
        let base = if migratable { Base::Migratable } else { Base::Everything };
        let request = Request { base, with: *with, without: *without, ..Request::default() };
        Self { request, model: None, by_name: *with, migratable }
    }

    /// A model in full. What depends on a feature that is left out goes with it. `host` lends its name to models that have none.
    pub(crate) fn model(found: NamedModel, host: &Identity, with: &FeatureSet, without: &FeatureSet) -> Self {
        let (features, only) = features(&found);
        let demanded = demanded(&features, without).union(with);
        let request =
            Request { base: Base::Only(only), with: demanded, without: *without, identity: identity(&found, host), ..Request::default() };
        Self { request, model: Some(found), by_name: *with, migratable: false }
    }

    /// What the request is called in reports: `EPYC-Milan-v2 (qemu)`.
    pub(crate) fn name(&self) -> Option<String> {
        let NamedModel { origin, name, model, .. } = self.model?;
        let same = if model.name == name { String::new() } else { format!(", which is {}", model.name) };
        Some(format!("{name} ({origin}{same})"))
    }

    /// The members that the policy's document gets beside the decisions.
    pub(crate) fn json(&self) -> Value {
        let names = |set: &FeatureSet| set.iter().map(Feature::name).collect::<Vec<_>>();
        let model = self.model.map(|found| json!({ "name": found.name, "origin": found.origin.name(), "model": found.model.name }));
        json!({
            "model": model,
            "migratable": self.migratable,
            "with": names(&self.by_name),
            "without": names(&self.request.without),
        })
    }
}

/// What a model demands, and what a guest of it may have at most.
///
/// A level of the psABI names instructions of programs and is no CPU: what they need is demanded too, and the guest may have what
/// QEMU gives to its plainest 64-bit CPU, kvm64, so that a kernel can run.
fn features(found: &NamedModel) -> (FeatureSet, FeatureSet) {
    let features = found.model.features;
    if found.origin != Origin::Psabi {
        return (features, features);
    }
    let mut whole = features;
    let mut todo: Vec<Feature> = features.iter().collect();
    while let Some(next) = todo.pop() {
        for edge in next.row().requires {
            let Some(parent) = edge.any.first().filter(|_| !whole.contains_any(edge.any)) else { continue };
            whole = whole.with(*parent);
            todo.push(*parent);
        }
    }
    let plain = find_model("qemu:kvm64").map_or(FeatureSet::EMPTY, |found| found.model.features);
    (whole, whole.union(&plain))
}

/// The features of a model that belong to models at all, without those that are left out and all that need them.
fn demanded(model: &FeatureSet, without: &FeatureSet) -> FeatureSet {
    let mut left = model.difference(&Base::BEYOND_MODELS).difference(without);
    let mut gone = *without;
    loop {
        let lost = |feature: &Feature| feature.row().requires.iter().any(|edge| edge.any.iter().all(|parent| gone.contains(*parent)));
        let more: FeatureSet = left.iter().filter(lost).collect();
        if more.is_empty() {
            return left;
        }
        left = left.difference(&more);
        gone = gone.union(&more);
    }
}

/// Who a guest of this model is; models of no vendor leave that to the machine.
fn identity(found: &NamedModel, host: &Identity) -> Option<Identity> {
    let vendor = found.model.vendor?;
    let signature = Signature(*found.model.signatures.first()?);
    let of_qemu = || find_model(&format!("qemu:{}", found.model.name)).ok().and_then(|found| found.model.model_id.as_deref());
    let name = found.model.model_id.as_deref().or_else(of_qemu);
    Some(Identity { vendor, signature, brand: name.map_or(host.brand, brand) })
}

/// The processor name in its 48 bytes; the last one stays zero.
fn brand(name: &str) -> [u8; 48] {
    let mut brand = [0; 48];
    for (to, from) in brand.iter_mut().take(47).zip(name.bytes()) {
        *to = from;
    }
    brand
}

//! What comes nearest to a wish that cannot be kept in full.

use cpu_caps::{Attempt, Cause, attempt};
use cpu_dumps::{NamedModel, find_model, models::model_words};
use cpuid_db::{Feature, KvmInputs};

use super::Wish;
use crate::baseline::{Ceiling, Fleet};

/// What helps.
#[derive(Debug)]
pub(crate) struct Nearest {
    /// Features of the model that have to go; what needs them goes along.
    pub(crate) without: Vec<Feature>,
    /// Features that were asked for by name and have to go.
    pub(crate) with: Vec<Feature>,
    /// Options of KVM that would give some of them.
    pub(crate) options: KvmInputs,
    /// The largest related model that can be had in full.
    pub(crate) model: Option<NamedModel>,
}

impl Nearest {
    /// Looks for it.
    pub(crate) fn of(fleet: &Fleet, wish: &Wish, tried: &Attempt, ceiling: Ceiling) -> Self {
        let impossible = &tried.impossible;
        let (with, of_model): (Vec<Feature>, Vec<Feature>) = impossible.iter().partition(|feature| wish.by_name.contains(*feature));
        let is_root = |feature: &Feature| match tried.baseline.decisions.feature(*feature).cause {
            Cause::Requires(parent) => !impossible.contains(parent) || wish.by_name.contains(parent),
            _ => true,
        };
        Self {
            without: of_model.into_iter().filter(is_root).collect(),
            with,
            options: options(tried, ceiling),
            model: wish.model.and_then(|asked| model(fleet, wish, &asked)),
        }
    }
}

/// What is off in KVM and would give features that are missing.
fn options(tried: &Attempt, ceiling: Ceiling) -> KvmInputs {
    let Ceiling::Kvm(stock) = ceiling else { return KvmInputs::empty() };
    let denied = tried.impossible.iter().filter(|feature| tried.baseline.decisions.feature(*feature).cause == Cause::NotInKvm);
    denied.fold(KvmInputs::empty(), |off, feature| off | feature.row().kvm_if.difference(stock.inputs))
}

/// The largest model of the same origin and vendor that the machine can be in full; relatives by name come first.
fn model(fleet: &Fleet, wish: &Wish, asked: &NamedModel) -> Option<NamedModel> {
    let host = fleet.hosts.first()?.cores.first()?.identity;
    let fits = |found: &NamedModel| {
        let other = Wish::model(*found, &host, &wish.by_name, &wish.request.without);
        attempt(&fleet.pool, &other.request).is_ok_and(|tried| tried.refusal().is_none())
    };
    let related = model_words().into_iter().filter_map(|word| find_model(&format!("{}:{word}", asked.origin)).ok());
    let related = related.filter(|found| found.model.vendor == asked.model.vendor && found.model.name != asked.model.name);
    // What has lost more than a third of its features is another thing altogether.
    let is_near = |found: &NamedModel| 3 * found.model.features.len() >= 2 * asked.model.features.len();
    let weight = |found: &NamedModel| (stem(found.name) == stem(asked.name), found.model.features.len());
    related.filter(is_near).filter(fits).max_by_key(weight)
}

/// The name of a generation without its versions: `Skylake` of `Skylake-Server-noTSX-IBRS`.
fn stem(name: &str) -> &str {
    name.split('-').next().unwrap_or(name)
}

//! The model that is nearest to a guest.

use cpuid_db::{FeatureSet, Project, Vendor};

use super::{Model, models};

/// The guest for which a model is wanted.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) vendor: Vendor,
    /// EAX of leaf 1.
    pub(crate) signature: u32,
    /// What the guest has.
    pub(crate) features: &'a FeatureSet,
    /// What every model brings along, or is always spelled out, so that it makes no difference.
    pub(crate) ignored: &'a FeatureSet,
    /// What can be turned off.
    pub(crate) words: &'a FeatureSet,
    /// Whether the model's own signature is what the guest will see.
    pub(crate) keeps_signature: bool,
}

/// The model from which the fewest features differ, among those of the guest's vendor, or among all where it has none.
///
/// A model with a feature that the guest must not have is only taken if there is a word to turn it off. Where the guest will see the
/// model's own family and model, those that match come first. Between equals decides who has less to turn off, then the signature, and
/// then the order of the data.
pub(crate) fn nearest(project: Project, wanted: Wanted<'_>) -> Option<&'static Model> {
    let all = models(project);
    let is_of_vendor = |model: &&Model| model.vendor == Some(wanted.vendor);
    let has_vendor = all.iter().any(|model| is_of_vendor(&model));
    let candidates = all.iter().filter(|model| !has_vendor || is_of_vendor(model));
    candidates.filter_map(|model| Some((rank(model, &wanted)?, model))).min_by_key(|(rank, _)| *rank).map(|(_, model)| model)
}

/// The smaller, the nearer.
type Rank = (bool, usize, usize, bool);

fn rank(model: &Model, wanted: &Wanted<'_>) -> Option<Rank> {
    let extra = model.features.difference(wanted.features).difference(wanted.ignored);
    let missing = wanted.features.difference(&model.features).difference(wanted.ignored).intersection(wanted.words);
    if !extra.is_subset(wanted.words) {
        return None;
    }
    let differs = |mask: u32| !model.signatures.iter().any(|signature| signature & mask == wanted.signature & mask);
    // Family and model, without stepping.
    let is_other = wanted.keeps_signature && differs(0x0fff_0ff0);
    Some((is_other, extra.len() + missing.len(), extra.len(), differs(u32::MAX)))
}

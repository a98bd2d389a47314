//! Dependency closure: what has lost a prerequisite goes too, and says which.

use cpuid_db::{EdgeKind, Feature, FeatureSet};

/// Removes every feature of `set` whose prerequisites are not met, until nothing changes, and reports each with the prerequisite.
/// Features of `waived` are bound by architectural edges only: somebody asked for them by name.
///
/// Only features of `suspects` and what hangs on the removed ones is looked at. Sweeps go in order of place, so that a feature which
/// lacks several prerequisites is always reported with the same one.
pub(crate) fn close(set: &mut FeatureSet, mut suspects: FeatureSet, waived: &FeatureSet, mut removed: impl FnMut(Feature, Feature)) {
    let mut last = None;
    loop {
        let Some(feature) = suspects.after(last) else {
            if suspects.is_empty() {
                return;
            }
            last = None;
            continue;
        };
        last = Some(feature);
        suspects.set(feature, false);
        if let Some(parent) = unmet(set, feature, waived) {
            set.set(feature, false);
            suspects.add_dependants(feature);
            removed(feature, parent);
        }
    }
}

/// A prerequisite that a feature of the set lacks.
fn unmet(set: &FeatureSet, feature: Feature, waived: &FeatureSet) -> Option<Feature> {
    if !set.contains(feature) {
        return None;
    }
    let mut edges = feature.row().requires.iter();
    let unmet = edges.find(|edge| {
        let binds = edge.kind == EdgeKind::Architectural || !waived.contains(feature);
        binds && !set.contains_any(edge.any)
    });
    unmet.and_then(|edge| edge.any.first().copied())
}

/// Every feature of the set of which some prerequisite is not there.
pub(crate) fn suspects(set: &FeatureSet) -> FeatureSet {
    let mut suspects = FeatureSet::EMPTY;
    for parent in &FeatureSet::PARENTS.difference(set) {
        suspects.add_dependants(parent);
    }
    suspects.intersection(set)
}

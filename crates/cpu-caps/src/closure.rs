//! Dependency closure: what has lost a prerequisite goes too, and says which.

use cpuid_db::{EdgeKind, Feature, FeatureSet};

/// Removes every feature of `set` whose prerequisites are not met, until nothing changes, and reports each with the prerequisite.
/// Features of `waived` are bound by architectural edges only: somebody asked for them by name.
pub(crate) fn close(set: &mut FeatureSet, waived: &FeatureSet, mut removed: impl FnMut(Feature, Feature)) {
    loop {
        let before = *set;
        for feature in &before {
            let met = |any: &[Feature]| set.contains_any(any);
            let mut edges = feature.row().requires.iter();
            let unmet = edges.find(|edge| {
                let binds = edge.kind == EdgeKind::Architectural || !waived.contains(feature);
                binds && !met(edge.any)
            });
            if let Some(parent) = unmet.and_then(|edge| edge.any.first()) {
                *set = set.without(feature);
                removed(feature, *parent);
            }
        }
        if *set == before {
            return;
        }
    }
}

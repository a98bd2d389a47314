//! What a right baseline is, written from the definitions of the rules; uses the engine's views only.
use cpu_caps::{FieldValue, Outcome, StockKvm, View, field_slots};
use cpuid_db::{EdgeKind, Feature, FeatureSet, Merge, Policy};

use super::Ceiling;

/// The view that bounds one member.
pub fn ceiling_of(policy: &Policy, ceiling: Ceiling) -> View {
    let raw = View::of(policy);
    if ceiling == Ceiling::Raw { raw } else { StockKvm::default().view(policy, &raw) }
}

/// Every architectural edge holds in the set.
pub fn assert_closed(set: &FeatureSet) {
    for feature in set {
        for edge in feature.row().requires {
            let met = edge.kind == EdgeKind::Policy || set.contains_any(edge.any);
            assert!(met, "{feature} needs one of {:?}", edge.any);
        }
    }
}

/// What the rule of each bit says about one member of the pool.
pub fn assert_within(result: &FeatureSet, member: &Policy, ceiling: Ceiling, decided: impl Fn(Feature) -> Outcome) {
    let (raw, ceiling) = (View::of(member), ceiling_of(member, ceiling));
    for feature in Feature::all() {
        let has = result.contains(feature);
        match feature.row().merge {
            Merge::And | Merge::Fixed => assert!(!has || ceiling.features.contains(feature), "{feature} is above a member"),
            Merge::Or if cpuid_db::words()[feature.word()].hypervisor.is_some() => {}
            Merge::Or => {
                let limited = raw.features.contains(feature) && !raw.unknown.contains(feature);
                let lost = matches!(decided(feature), Outcome::Granted | Outcome::Raised) && !has;
                assert!(!lost, "{feature} is decided and not in the set");
                let owner_gone = feature.row().requires.iter().any(|edge| !result.contains_any(edge.any));
                let opens_msr = !feature.row().gates.is_empty() || feature.row().intercepted;
                assert!(!limited || has || owner_gone || opens_msr, "{feature} limits a member and is not announced");
            }
            _ => {}
        }
    }
}

/// What the rule of each field says about one member of the pool.
pub fn assert_fields_within(policy: &Policy, member: &Policy, ceiling: Ceiling, open: &FeatureSet) {
    let view = ceiling_of(member, ceiling);
    for at in field_slots() {
        let row = at.field.row();
        let Some(value) = policy.field(at).filter(|_| row.requires.is_empty() || open.contains_any(row.requires)) else { continue };
        let FieldValue::Known(host) = view.field(at) else { continue };
        match row.merge {
            Merge::Min if row.zero_means == cpuid_db::ZeroMeans::Zero => assert!(value <= host, "{} {value} above {host}", at.field.name()),
            Merge::And => assert_eq!(value & !host, 0, "{}", at.field.name()),
            Merge::Or if value != 0 => assert_eq!(host & !value, 0, "{}", at.field.name()),
            _ => {}
        }
    }
}

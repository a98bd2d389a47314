//! The vocabulary against the whole database.

use cpu_caps::GapKind;
use cpuid_db::{Feature, Field, FieldAt, Merge};

use super::*;

/// Features of which nothing but the title is known. A longer list is a loss; name the new bit in a table instead.
const FALLBACKS: [&str; 0] = [];

#[test]
fn every_feature_has_a_consequence_of_its_own_or_of_its_leaf() {
    let all = || Feature::all().map(|feature| (feature, missing::of_feature(feature)));
    for (feature, consequence) in all() {
        assert!(!consequence.text.is_empty() && !consequence.short.is_empty(), "{feature}");
    }
    let fallbacks: Vec<&str> = all().filter(|(_, one)| one.origin == Origin::Fallback).map(|(feature, _)| feature.name()).collect();
    assert_eq!(fallbacks, FALLBACKS);
    let by_leaf = all().filter(|(_, one)| one.origin == Origin::Leaf).count();
    // What is not told by gates or a table is told by the leaf and the title.
    assert!(by_leaf <= 460, "{by_leaf}");
}

#[test]
fn every_limitation_has_a_consequence_of_its_own() {
    for feature in Feature::all().filter(|feature| matches!(feature.row().merge, Merge::Or | Merge::Context)) {
        let consequence = unannounced::of_feature(feature);
        assert_eq!(consequence.origin, Origin::Own, "{feature}: {consequence:?}");
    }
}

#[test]
fn every_field_has_a_consequence_of_its_own() {
    for field in Field::all() {
        let at = FieldAt { field, subleaf: field.row().subleaves().0 };
        for kind in [GapKind::TooSmall, GapKind::Differs, GapKind::Missing, GapKind::NotAnnounced] {
            let consequence = fields::of_field(at, kind);
            assert!(consequence.origin == Origin::Own && !consequence.text.is_empty(), "{}: {consequence:?}", field.name());
        }
    }
}

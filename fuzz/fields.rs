//! Setting and getting features and fields of a policy.

use arbitrary::{Result, Unstructured};
use cpuid_db::{Feature, Field, FieldAt, FieldPlace, Location, Place, Policy, Vendor};

use crate::inputs;

/// What is set is got, nothing else changes, and setting the old value again restores the policy.
pub fn policy_fields(bytes: &[u8]) {
    // Too few bytes for a case: nothing to check.
    let _ = run(&mut Unstructured::new(bytes));
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let vendor = *u.choose(&[Vendor::Intel, Vendor::Amd, Vendor::Zhaoxin])?;
    let mut policy = inputs::cpu(u, vendor)?;
    while !u.is_empty() {
        if u.arbitrary()? {
            set_feature(&mut policy, inputs::feature(u)?, u.arbitrary()?);
        } else {
            set_field(&mut policy, any_field(u)?, u.arbitrary()?);
        }
    }
    Ok(())
}

fn any_field(u: &mut Unstructured<'_>) -> Result<FieldAt> {
    let field = Field::all().nth(u.choose_index(Field::COUNT)?).expect("an index below the count");
    let (first, last) = field.row().subleaves();
    Ok(FieldAt { field, subleaf: u.int_in_range(first..=last)? })
}

fn set_feature(policy: &mut Policy, feature: Feature, on: bool) {
    let before = policy.clone();
    let (place, bit) = place_of(feature);
    let was = stored(&before, place) >> bit & 1 == 1;
    if policy.set_feature(feature, on).is_err() {
        assert_eq!(*policy, before, "{feature}: refused and changed");
        return;
    }
    assert_eq!(stored(policy, place) >> bit & 1 == 1, on, "{feature}");
    let seen = policy.features().contains(feature);
    assert!(!seen || on, "{feature} is cleared and seen");
    if was == on {
        assert_eq!(*policy, before, "{feature}: set to what it was");
    } else {
        let expected = with_word(&before, place, stored(&before, place) ^ 1 << bit);
        assert_eq!(*policy, expected, "{feature}: something else changed");
    }
}

fn set_field(policy: &mut Policy, at: FieldAt, value: u64) {
    let before = policy.clone();
    let row = at.field.row();
    if policy.set_field(at, value).is_err() {
        assert_eq!(*policy, before, "{}: refused and changed", at.field.name());
        return;
    }
    let fitting = value & row.mask() >> row.low;
    let (old, new) = (field_word(&before, at), field_word(policy, at));
    assert_eq!(row.get(new), fitting, "{}", at.field.name());
    assert_eq!(new & !row.mask(), old & !row.mask(), "{}: neighbours changed", at.field.name());
    if let Some(read) = policy.field(at) {
        assert_eq!(read, fitting, "{}", at.field.name());
    }
    let mut undone = policy.clone();
    undone.set_field(at, row.get(old)).expect("the entry is there");
    assert_eq!(undone, with_entry(&before, at, old), "{}: set back", at.field.name());
}

fn place_of(feature: Feature) -> (Place, u8) {
    match feature.location() {
        Location::Cpuid { leaf, subleaf, register, bit } => (Place::Cpuid { leaf, subleaf, register }, bit),
        Location::Msr { index, bit } => (Place::Msr { index, high: bit >= 32 }, bit & 31),
    }
}

/// The word at a place, also where the CPU does not announce the leaf.
fn stored(policy: &Policy, place: Place) -> u32 {
    match place {
        Place::Cpuid { leaf, subleaf, register } => policy.cpuid.register(leaf, subleaf, register),
        Place::Msr { index, high } => {
            let value = policy.msrs.get(index).unwrap_or(0);
            (value >> if high { 32 } else { 0 }) as u32
        }
    }
}

fn with_word(policy: &Policy, place: Place, word: u32) -> Policy {
    let mut changed = policy.clone();
    changed.set_word(place, word).expect("the same entry fitted before");
    changed
}

fn field_word(policy: &Policy, at: FieldAt) -> u64 {
    match at.field.row().place {
        FieldPlace::Cpuid { leaf, register, .. } => u64::from(policy.cpuid.register(leaf, at.subleaf, register)),
        FieldPlace::Msr { index } => policy.msrs.get(index).unwrap_or(0),
    }
}

/// The policy with the field's register or MSR present, since setting a field creates it.
fn with_entry(policy: &Policy, at: FieldAt, word: u64) -> Policy {
    match at.field.row().place {
        FieldPlace::Cpuid { leaf, register, .. } => with_word(policy, Place::Cpuid { leaf, subleaf: at.subleaf, register }, word as u32),
        FieldPlace::Msr { index } => {
            let mut changed = policy.clone();
            changed.msrs.insert(index, word).expect("the same entry fitted before");
            changed
        }
    }
}

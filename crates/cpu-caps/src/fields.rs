//! Fields: conflicts on what survives, then values.

use cpuid_db::{Feature, Field, FieldAt, FieldPlace, FieldRow, Merge, OnConflict, Register, Vendor};

use crate::finish::Work;
use crate::pool::FieldFacts;
use crate::view::{component, is_open};
use crate::{Cause, FieldDecision, Outcome, Refusal};

/// The XSAVE component whose layout the field describes, if it does.
pub(crate) fn described_component(at: FieldAt) -> Option<Feature> {
    let row = at.field.row();
    let layout = matches!(row.place, FieldPlace::Cpuid { leaf: 0xd, first, .. } if first >= 2);
    if layout { component(at.subleaf) } else { None }
}

/// What must be there for the field to matter.
fn owner_missing<const W: usize>(work: &Work<'_, W>, at: FieldAt) -> Option<Feature> {
    let row = at.field.row();
    if !is_open(row, &work.set) {
        return row.requires.first().copied();
    }
    let layout = matches!(row.place, FieldPlace::Cpuid { leaf: 0xd, first, .. } if first >= 2);
    let owner = described_component(at);
    match owner {
        Some(owner) => (!work.set.contains(owner)).then_some(owner),
        None if layout => Some(Feature::XSAVE),
        None => None,
    }
}

/// Withholds what machines cannot share, or refuses the pool. Returns whether anything was withheld.
pub(crate) fn resolve_conflicts<const W: usize>(work: &mut Work<'_, W>) -> Result<bool, Refusal> {
    let mut changed = false;
    let pool = work.pool;
    for (slot, facts) in pool.told() {
        let conflict = facts.any() && facts.min != facts.max;
        if !conflict && facts.unknown.is_empty() {
            continue;
        }
        let Some((at, _)) = cpuid_db::slots().get(slot).copied() else { continue };
        let row = at.field.row();
        if row.merge != Merge::Equal || owner_missing(work, at).is_some() {
            continue;
        }
        let unknown_layout = !facts.unknown.is_empty() && described_component(at).is_some() && standard(work.identity.vendor, at).is_none();
        let cause = match (conflict, unknown_layout) {
            (true, _) => Cause::Conflict,
            (false, true) => Cause::Unrecorded,
            (false, false) => continue,
        };
        let withheld = match row.on_conflict {
            OnConflict::Refuse if cause == Cause::Conflict && !is_identity(row) => {
                let low = (facts.min, facts.at_min.ids().next());
                let high = (facts.max, facts.at_max.ids().next());
                return Err(Refusal::Field { at, low, high });
            }
            OnConflict::Refuse | OnConflict::Chosen => None,
            OnConflict::Withhold(feature) => Some(feature),
            OnConflict::WithholdComponent => described_component(at),
        };
        if let Some(feature) = withheld.filter(|feature| work.set.contains(*feature)) {
            let machines = if cause == Cause::Conflict { &facts.at_max } else { &facts.unknown };
            work.tell(feature, Outcome::Withheld, cause, machines);
            changed = true;
        }
    }
    Ok(changed)
}

/// The vendor string is judged as a whole, before everything else.
pub(crate) fn is_identity(row: &FieldRow) -> bool {
    matches!(row.place, FieldPlace::Cpuid { leaf: 0, .. })
}

/// Where state components lie in the standard format on Intel CPUs: number, size, offset, supervisor.
/// CPUID enumerates it, and every Intel CPU recorded so far agrees; AMD's layout differs between generations.
const INTEL_LAYOUT: [(u32, u64, u64, bool); 8] = [
    (3, 64, 960, false),
    (4, 64, 1024, false),
    (5, 64, 1088, false),
    (6, 512, 1152, false),
    (7, 1024, 1664, false),
    (9, 8, 2688, false),
    (11, 16, 0, true),
    (12, 24, 0, true),
];

/// AVX state lies behind the legacy area and the header on every CPU.
const AVX_LAYOUT: (u32, u64, u64, bool) = (2, 256, 576, false);

/// The value of a field that nobody recorded, where it is known all the same.
pub(crate) fn standard(vendor: Vendor, at: FieldAt) -> Option<u64> {
    if described_component(at).is_none() {
        return at.field.row().default;
    }
    let layouts = INTEL_LAYOUT.iter().filter(|_| vendor == Vendor::Intel).chain([&AVX_LAYOUT]);
    let (_, size, offset, supervisor) = *layouts.into_iter().find(|layout| layout.0 == at.subleaf)?;
    Some(match at.field {
        Field::XSTATE_SIZE => size,
        Field::XSTATE_OFFSET => offset,
        Field::XSTATE_SUPERVISOR => u64::from(supervisor),
        _ => 0,
    })
}

/// Gives every field of every machine its value and decision.
pub(crate) fn decide<const W: usize>(work: &mut Work<'_, W>) {
    let pool = work.pool;
    for (slot, facts) in pool.told() {
        let Some((at, _)) = cpuid_db::slots().get(slot).copied() else { continue };
        let decision = match owner_missing(work, at) {
            Some(owner) => withheld(at.field.row(), Cause::Requires(owner)),
            None => value_of(work, at, slot, facts),
        };
        work.decisions.set_field(slot, decision);
    }
    if work.request.identity.is_some() {
        for (slot, (at, _)) in cpuid_db::slots().iter().enumerate() {
            if let Some(decision) = asked_identity(work, *at) {
                work.decisions.set_field(slot, decision);
            }
        }
    }
}

fn withheld(row: &FieldRow, cause: Cause) -> FieldDecision {
    FieldDecision { outcome: Outcome::Withheld, rule: row.merge, cause, value: 0, count: 0, witness: None }
}

fn value_of<const W: usize>(work: &Work<'_, W>, at: FieldAt, slot: usize, facts: &FieldFacts<W>) -> FieldDecision {
    let row = at.field.row();
    let rule = row.merge;
    if !facts.any() {
        let value = standard(work.identity.vendor, at).unwrap_or(0);
        let (count, witness) = (facts.unknown.count(), facts.unknown.ids().next());
        return FieldDecision { outcome: Outcome::Undecided, rule, cause: Cause::Unrecorded, value, count, witness };
    }
    let same = facts.min == facts.max;
    let (value, outcome, cause, machines) = match rule {
        Merge::Or | Merge::Max => {
            let value = if rule == Merge::Or { facts.or } else { facts.max };
            (value, Outcome::Raised, Cause::Limitation, &facts.at_max)
        }
        Merge::And => (facts.and, Outcome::Lowered, Cause::MissingOnHost, &facts.at_min),
        Merge::Equal => (chosen(work, at, facts), Outcome::Chosen, Cause::Conflict, &facts.at_min),
        Merge::EqualOrZero if same && work.same_product() => (facts.min, Outcome::Granted, Cause::AllHosts, &facts.at_min),
        Merge::EqualOrZero => (0, Outcome::Lowered, Cause::Conflict, &facts.at_min),
        _ => (facts.min, Outcome::Lowered, Cause::MissingOnHost, &facts.at_min),
    };
    let (count, witness) = (machines.count(), machines.ids().next());
    if value == 0 && same && facts.min == 0 && work.pool.is_field_in_hardware(slot) {
        return FieldDecision { count: work.pool.machines().count(), ..withheld(row, Cause::NotInKvm) };
    }
    if same && value == facts.min {
        let known = FieldDecision { outcome: Outcome::Granted, rule, cause: Cause::AllHosts, value, count, witness: None };
        if facts.unknown.is_empty() {
            return known;
        }
        let (count, witness) = (facts.unknown.count(), facts.unknown.ids().next());
        return FieldDecision { outcome: Outcome::Undecided, cause: Cause::Unrecorded, count, witness, ..known };
    }
    FieldDecision { outcome, rule, cause, value, count, witness }
}

/// A part of the identity that the operator asked for, whatever the machines say.
fn asked_identity<const W: usize>(work: &Work<'_, W>, at: FieldAt) -> Option<FieldDecision> {
    let rule = at.field.row().merge;
    let value = own_word(work, at)?;
    Some(FieldDecision { outcome: Outcome::Chosen, rule, cause: Cause::Request, value, count: 0, witness: None })
}

/// The declared choice where machines differ and it does not matter: the identity's own words, else the smallest value.
fn chosen<const W: usize>(work: &Work<'_, W>, at: FieldAt, facts: &FieldFacts<W>) -> u64 {
    own_word(work, at).unwrap_or(facts.min)
}

/// What the guest's identity says in this field, if it is a part of the vendor, signature or name.
fn own_word<const W: usize>(work: &Work<'_, W>, at: FieldAt) -> Option<u64> {
    let row = at.field.row();
    let FieldPlace::Cpuid { leaf, register, .. } = row.place else { return None };
    match leaf {
        0 => Some(u64::from(work.identity.vendor.leaf_0(0).get(register))),
        1 if register == Register::Eax => Some(row.get(u64::from(work.identity.signature.0))),
        0x8000_0002..=0x8000_0004 => Some(row.get(u64::from(brand_word(&work.identity.brand, leaf, register)))),
        _ => None,
    }
}

/// Four characters of the processor name.
pub(crate) fn brand_word(brand: &[u8; 48], leaf: u32, register: Register) -> u32 {
    let at = (leaf.wrapping_sub(0x8000_0002) as usize).saturating_mul(16) + 4 * register as usize;
    let bytes = brand.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    u32::from_le_bytes(bytes.unwrap_or_default())
}

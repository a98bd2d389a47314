//! What a dump could not tell: places that are neither 0 nor 1 because the format has no room for them or the tool did not ask.
//!
//! The database says which leaves, subleaves and feature MSRs have a meaning; the CPU's own announcements say which of them it has;
//! the format says which of those an absent line is silent about.

use cpuid_db::{CpuidTable, Feature, FeatureSet, LeafRow, Location, Policy, Register, Registers, TableFull, Unrecorded, Vendor, leaves};

use crate::error::Problem;

/// What an absent leaf or subleaf means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coverage<'a> {
    /// The tool asks for everything: it reads zero.
    Full,
    /// The tool prints every leaf and subleaf that the CPU announces: one that is missing was cut off.
    Printed,
    /// The tool does not know subleaves, but for the lists that it prints line by line: a missing subleaf is unknown.
    FirstSubleaves,
    /// The tool knows the subleaves of these leaves; a missing subleaf of another leaf is unknown.
    Lists(&'a [u32]),
    /// The format has room for fixed places only: whatever is missing is unknown.
    FixedPlaces,
    /// The format knows no registers, at most names of bits: all is unknown but for these leaves and subleaves.
    Names(&'a [(u32, u32)]),
    /// The format has no place for CPUID: all of it is unknown.
    Nothing,
}

/// What absence means in one file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) cpuid: Coverage<'a>,
    /// Whether the tool tried every feature MSR, so that an absent one does not exist.
    pub(crate) msrs: bool,
}

impl Told<'_> {
    /// Every leaf was asked for, no MSR.
    pub(crate) const CPUID_ONLY: Self = Self { cpuid: Coverage::Full, msrs: false };
    /// Every leaf and every feature MSR was asked for.
    pub(crate) const ALL: Self = Self { cpuid: Coverage::Full, msrs: true };
}

/// The MSRs of which the database knows bits.
pub(crate) fn feature_msrs() -> impl Iterator<Item = u32> {
    leaves().iter().filter(|row| row.leaf.is_none()).map(|row| row.msr)
}

/// Lists what `policy` cannot know. `unreadable` MSRs were tried and faulted: they are known not to exist.
///
/// A place whose gate is unknown is itself unknown, and gates may stand anywhere (the VMX control that opens MSR 48BH is
/// a bit of 48EH): so the rows are gone over until the list no longer grows.
pub(crate) fn fill(policy: &mut Policy, told: Told<'_>, unreadable: &[u32]) -> Result<(), Problem> {
    let features = policy.features();
    loop {
        let known = policy.unrecorded.as_slice().len();
        for row in leaves() {
            match row.leaf {
                Some(leaf) => fill_leaf(policy, &features, row, leaf, told.cpuid)?,
                None if told.msrs || unreadable.contains(&row.msr) => {}
                None => fill_msr(policy, &features, row, told.cpuid)?,
            }
        }
        if policy.unrecorded.as_slice().len() == known {
            return Ok(());
        }
    }
}

fn fill_leaf(policy: &mut Policy, features: &FeatureSet, row: &LeafRow, leaf: u32, coverage: Coverage<'_>) -> Result<(), Problem> {
    let foreign = row.hypervisor.is_some() && row.hypervisor != policy.hypervisor();
    if coverage == Coverage::Full || foreign || !may_exist(policy, leaf, coverage) || is_gated(policy, features, row) {
        return Ok(());
    }
    for &(first, last) in row.subleaves {
        for subleaf in first..=last.min(highest_subleaf(leaf)) {
            if is_unknown(&policy.cpuid, leaf, subleaf, coverage) {
                insert(policy, Unrecorded::Cpuid { leaf, subleaf })?;
            }
        }
    }
    Ok(())
}

fn fill_msr(policy: &mut Policy, features: &FeatureSet, row: &LeafRow, coverage: Coverage<'_>) -> Result<(), Problem> {
    let is_recorded = policy.msrs.get(row.msr).is_some() && !matches!(coverage, Coverage::Names(_));
    if is_recorded || is_gated(policy, features, row) {
        return Ok(());
    }
    insert(policy, Unrecorded::Msr { index: row.msr })
}

pub(crate) fn too_many_unrecorded(full: TableFull) -> Problem {
    Problem::TooMany { what: "unrecorded places", limit: full.capacity }
}

fn insert(policy: &mut Policy, place: Unrecorded) -> Result<(), Problem> {
    let list = &mut policy.unrecorded;
    list.insert(place).map_err(too_many_unrecorded)
}

/// Whether every feature that could give the leaf or MSR a meaning is known to be absent.
fn is_gated(policy: &Policy, features: &FeatureSet, row: &LeafRow) -> bool {
    !row.requires.is_empty() && row.requires.iter().all(|gate| is_known_absent(policy, features, *gate))
}

fn is_known_absent(policy: &Policy, features: &FeatureSet, feature: Feature) -> bool {
    let place = match feature.location() {
        Location::Cpuid { leaf, subleaf, .. } => Unrecorded::Cpuid { leaf, subleaf },
        Location::Msr { index, .. } => Unrecorded::Msr { index },
    };
    !features.contains(feature) && (policy.named.contains(feature) || !policy.unrecorded.contains(place))
}

/// Whether the CPU has this leaf, or may have it: libcpuid's format has no room for the leaf that announces Centaur's range.
fn may_exist(policy: &Policy, leaf: u32, coverage: Coverage<'_>) -> bool {
    let centaur = matches!(policy.vendor(), Vendor::Centaur | Vendor::Zhaoxin) && leaf >> 16 == 0xc000;
    match coverage {
        Coverage::FixedPlaces => centaur || policy.cpuid.in_range(leaf),
        Coverage::Names(_) | Coverage::Nothing => centaur || matches!(leaf >> 16, 0 | 0x4000 | 0x8000),
        _ => policy.cpuid.in_range(leaf),
    }
}

/// How far subleaves are followed. Leaf 0DH has one per state component, up to the last that is defined (APX, 19).
fn highest_subleaf(leaf: u32) -> u32 {
    if leaf == 0xd { 19 } else { 3 }
}

fn is_unknown(cpuid: &CpuidTable, leaf: u32, subleaf: u32, coverage: Coverage<'_>) -> bool {
    let silent = match coverage {
        Coverage::Full => false,
        Coverage::FirstSubleaves => subleaf > 0,
        Coverage::Lists(lists) => subleaf > 0 && !lists.contains(&leaf),
        Coverage::Printed | Coverage::FixedPlaces => true,
        Coverage::Names(complete) => return !complete.contains(&(leaf, subleaf)),
        Coverage::Nothing => return true,
    };
    silent && cpuid.get(leaf, subleaf).is_none() && is_announced(cpuid, leaf, subleaf, coverage) && !is_list_complete(cpuid, leaf, coverage)
}

/// Where a leaf's subleaf 0 says which other subleaves there are.
enum Announced {
    /// The register holds the highest subleaf.
    Highest(Register),
    /// Bit n of the register stands for subleaf n.
    Bitmap(Register),
}

/// SDM vol. 2A, CPUID: leaves whose subleaf 0 announces the others.
const ANNOUNCED: [(u32, Announced); 10] = [
    (0x07, Announced::Highest(Register::Eax)),
    (0x0f, Announced::Bitmap(Register::Edx)),
    (0x10, Announced::Bitmap(Register::Ebx)),
    (0x14, Announced::Highest(Register::Eax)),
    (0x17, Announced::Highest(Register::Eax)),
    (0x18, Announced::Highest(Register::Eax)),
    (0x1d, Announced::Highest(Register::Eax)),
    (0x20, Announced::Highest(Register::Eax)),
    (0x23, Announced::Bitmap(Register::Eax)),
    (0x24, Announced::Highest(Register::Eax)),
];

fn is_announced(cpuid: &CpuidTable, leaf: u32, subleaf: u32, coverage: Coverage<'_>) -> bool {
    let first = match cpuid.get(leaf, 0) {
        None if coverage == Coverage::FixedPlaces => return true,
        first => first.unwrap_or_default(),
    };
    if leaf == 0xd {
        return is_component(cpuid, &first, subleaf);
    }
    let row = ANNOUNCED.iter().find(|(announced, _)| *announced == leaf);
    match row {
        _ if subleaf == 0 => true,
        None => true,
        Some((_, Announced::Highest(register))) => subleaf <= first.get(*register),
        Some((_, Announced::Bitmap(register))) => first.get(*register).checked_shr(subleaf).unwrap_or(0) & 1 == 1,
    }
}

/// Whether a subleaf of leaf 0DH describes a component of XCR0 (0.EDX:EAX) or, as far as known, of IA32_XSS (1.EDX:ECX).
fn is_component(cpuid: &CpuidTable, first: &Registers, subleaf: u32) -> bool {
    let second = cpuid.get_or_zero(0xd, 1);
    let components = u64::from(first.eax | second.ecx) | u64::from(first.edx | second.edx) << 32;
    subleaf < 2 || components.checked_shr(subleaf).unwrap_or(0) & 1 == 1
}

/// Leaves that are lists, one entry per subleaf, and the bits that are zero in the entry that ends the list.
const LISTS: [(u32, Register, u32); 5] = [
    (0x04, Register::Eax, 0x1f),
    (0x0b, Register::Ecx, 0xff00),
    (0x1f, Register::Ecx, 0xff00),
    (0x8000_001d, Register::Eax, 0x1f),
    (0x8000_0026, Register::Ecx, 0xff00),
];

/// Whether this answer ends the list that its leaf is.
pub(crate) fn ends_list(leaf: u32, registers: &Registers) -> bool {
    let list = LISTS.iter().find(|(list, _, _)| *list == leaf);
    list.is_some_and(|(_, register, mask)| registers.get(*register) & mask == 0)
}

/// Whether the dump holds all entries of a list: the last one ends it, or the tool prints lists without their end
/// (and without anything when they are empty).
fn is_list_complete(cpuid: &CpuidTable, leaf: u32, coverage: Coverage<'_>) -> bool {
    let entries = cpuid.leaf(leaf);
    let printed = coverage == Coverage::FirstSubleaves && entries.len() != 1;
    let is_list = LISTS.iter().any(|(list, _, _)| *list == leaf);
    is_list && (printed || entries.iter().any(|entry| ends_list(leaf, &entry.registers)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_all_that_a_file_of_names_cannot_say() {
        let places = |row: &LeafRow| -> u32 {
            let leaf = row.leaf.map_or(0, highest_subleaf);
            row.subleaves.iter().map(|(first, last)| ((*last).min(leaf) + 1).saturating_sub(*first)).sum::<u32>().max(1)
        };
        let own: u32 = leaves().iter().filter(|row| row.hypervisor.is_none()).map(places).sum();
        let of_hypervisors: u32 = leaves().iter().filter(|row| row.hypervisor.is_some()).map(places).sum();
        let all = (own + of_hypervisors) as usize;
        assert!(all <= cpuid_db::UnrecordedList::CAPACITY, "{own} places and {of_hypervisors} of hypervisors");
    }
}

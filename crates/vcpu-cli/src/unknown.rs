//! Bits that are set and have no name in the database: what is newer than it.

use cpuid_db::{CpuidEntry, Field, FieldPlace, LeafRow, Place, Policy, Register, leaves, words};

/// Set bits of one register or MSR without a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Unknown {
    /// Where.
    pub(crate) place: UnknownPlace,
    /// Which bits.
    pub(crate) mask: u64,
    /// Whether the database describes the leaf or MSR; if not, the bits may as well be a number.
    pub(crate) is_described: bool,
}

/// A register or MSR.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum UnknownPlace {
    /// A CPUID output register.
    Cpuid {
        /// EAX on input.
        leaf: u32,
        /// ECX on input.
        subleaf: u32,
        /// Output register.
        register: Register,
    },
    /// A feature MSR.
    Msr {
        /// Its address.
        index: u32,
    },
}

/// All set bits without a name, in order. Leaves beyond the range that their class announces do not count.
pub(crate) fn unknown_bits(policy: &Policy) -> Vec<Unknown> {
    let hypervisor = policy.hypervisor();
    let mut found = Vec::new();
    for entry in policy.cpuid.entries().iter().filter(|entry| policy.cpuid.in_range(entry.leaf)) {
        let Some(is_described) = described(policy, entry, hypervisor) else { continue };
        for register in Register::ALL {
            if entry.registers.get(register) == 0 {
                continue;
            }
            let place = Place::Cpuid { leaf: entry.leaf, subleaf: entry.subleaf, register };
            let named = if is_described { named_bits(place, hypervisor) } else { 0 };
            let mask = u64::from(entry.registers.get(register) & !named as u32);
            if mask != 0 {
                let place = UnknownPlace::Cpuid { leaf: entry.leaf, subleaf: entry.subleaf, register };
                found.push(Unknown { place, mask, is_described });
            }
        }
    }
    for msr in policy.msrs.entries() {
        let halves = [false, true].map(|high| named_bits(Place::Msr { index: msr.index, high }, hypervisor));
        let mask = msr.value & !halves.into_iter().fold(0, |named, half| named | half);
        if mask != 0 {
            found.push(Unknown { place: UnknownPlace::Msr { index: msr.index }, mask, is_described: true });
        }
    }
    found
}

/// Whether the database describes this subleaf. `None`: it does not look at ECX there, and the entry repeats subleaf 0.
fn described(policy: &Policy, entry: &CpuidEntry, hypervisor: Option<[u8; 12]>) -> Option<bool> {
    let ours = |row: &&LeafRow| row.leaf == Some(entry.leaf) && (row.hypervisor.is_none() || row.hypervisor == hypervisor);
    let mut rows = leaves().iter().filter(ours).peekable();
    if rows.peek().is_none() {
        return Some(false);
    }
    let mut ranges = rows.flat_map(|row| row.subleaves);
    if ranges.any(|(first, last)| (*first..=*last).contains(&entry.subleaf)) {
        return Some(true);
    }
    let repeats = policy.cpuid.get(entry.leaf, 0) == Some(entry.registers);
    (!repeats && !entry.registers.is_zero()).then_some(false)
}

/// The bits of a register, or of half an MSR at its place in the MSR, that have a name.
fn named_bits(place: Place, hypervisor: Option<[u8; 12]>) -> u64 {
    let ours = |owner: Option<[u8; 12]>| owner.is_none() || owner == hypervisor;
    let shift = if matches!(place, Place::Msr { high: true, .. }) { 32 } else { 0 };
    let of_features = words().iter().filter(|word| word.place == place && ours(word.hypervisor));
    let features = of_features.fold(0, |bits, word| bits | u64::from(word.named) << shift);
    let of_fields = Field::all().map(Field::row).filter(|row| ours(row.hypervisor) && holds(row.place, place));
    of_fields.fold(features, |bits, row| bits | row.mask())
}

fn holds(field: FieldPlace, place: Place) -> bool {
    match (field, place) {
        (FieldPlace::Cpuid { leaf, first, last, register }, Place::Cpuid { leaf: l, subleaf, register: r }) => {
            leaf == l && register == r && (first..=last).contains(&subleaf)
        }
        (FieldPlace::Msr { index }, Place::Msr { index: i, .. }) => index == i,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpuid_db::Registers;

    fn policy(entries: &[(u32, u32, [u32; 4])]) -> Policy {
        let mut policy = Policy::default();
        for (leaf, subleaf, [eax, ebx, ecx, edx]) in entries {
            policy.cpuid.insert(*leaf, *subleaf, Registers::new(*eax, *ebx, *ecx, *edx)).unwrap();
        }
        policy
    }

    #[test]
    fn set_bits_without_a_name_are_found() {
        const ALL: [u32; 4] = [u32::MAX; 4];
        let reserved = unknown_bits(&policy(&[(0, 0, [1, 0, 0, 0]), (1, 0, ALL)]));
        let of = |register, mask| Unknown { place: UnknownPlace::Cpuid { leaf: 1, subleaf: 0, register }, mask, is_described: true };
        assert_eq!(reserved, [of(Register::Eax, 0xf000_c000), of(Register::Ecx, 1 << 16), of(Register::Edx, 1 << 20 | 1 << 10)]);
    }

    #[test]
    fn leaves_that_nobody_describes_count_as_a_whole() {
        const ONE: [u32; 4] = [1, 0, 0, 0];
        let cases = [
            (vec![(0, 0, [0xee, 0, 0, 0]), (0xee, 0, ONE)], 1, "a leaf without a description"),
            (vec![(0, 0, [0xed, 0, 0, 0]), (0xee, 0, ONE)], 0, "a leaf beyond the maximum"),
            (vec![(0, 0, [7, 0, 0, 0]), (7, 9, ONE)], 1, "a subleaf without a description"),
            (vec![(0, 0, [6, 0, 0, 0]), (6, 0, [4, 0, 0, 0]), (6, 1, [4, 0, 0, 0])], 0, "a repeated answer"),
            (vec![(0, 0, [6, 0, 0, 0]), (6, 0, [4, 0, 0, 0]), (6, 1, [5, 0, 0, 0])], 1, "a new subleaf"),
        ];
        for (entries, expected, what) in cases {
            assert_eq!(unknown_bits(&policy(&entries)).len(), expected, "{what}");
        }
    }

    #[test]
    fn msr_bits_are_named_in_both_halves() {
        let mut policy = Policy::default();
        policy.msrs.insert(0x10a, 1 << 63 | 1 << 62 | 1).unwrap();
        let [unknown] = unknown_bits(&policy)[..] else { panic!("one register") };
        assert_eq!(unknown.place, UnknownPlace::Msr { index: 0x10a });
        assert_eq!(unknown.mask & 1, 0);
    }
}

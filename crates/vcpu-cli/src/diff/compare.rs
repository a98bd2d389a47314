//! Two CPUs compared place by place. What one side does not record is neither equal nor different.

use std::collections::BTreeSet;

use cpu_dumps::Cpu;
use cpuid_db::{CpuidTable, Feature, FeatureSet, Field, FieldAt, FieldPlace, Merge, MsrEntry, Place, Policy, Register, Unrecorded};

use super::Side;
use crate::unknown::{Unknown, UnknownPlace, unknown_bits};
use crate::words;

/// Which places are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    /// Those that mean the same on every CPU of a machine at any time.
    Shared,
    /// Also those that follow run-time state or belong to one CPU, and leaves beyond the announced maximum.
    All,
}

impl Scope {
    fn has(self, merge: Merge) -> bool {
        self == Self::All || !matches!(merge, Merge::Live | Merge::Local)
    }
}

/// A field and its values; `None` where a side does not have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FieldOf {
    pub(crate) at: FieldAt,
    pub(crate) values: [Option<u64>; 2],
}

/// Bits without a name in one register, as far as they differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BitsOf {
    pub(crate) place: UnknownPlace,
    pub(crate) bits: [u64; 2],
}

/// An MSR and its values; `None` where a side does not have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MsrOf {
    pub(crate) index: u32,
    pub(crate) values: [Option<u64>; 2],
    /// Whether its differing bits are listed as features, fields and bits, too.
    pub(crate) is_decoded: bool,
}

/// What differs between two CPUs, and what could not be compared.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Differences {
    /// Features of one side only.
    pub(crate) features: [Vec<Feature>; 2],
    pub(crate) fields: Vec<FieldOf>,
    /// The processor names, if they differ; their pieces are among the fields.
    pub(crate) brands: Option<[String; 2]>,
    pub(crate) bits: Vec<BitsOf>,
    /// Leaves and subleaves of one side only that are not empty.
    pub(crate) leaves: Vec<(Side, u32, u32)>,
    pub(crate) msrs: Vec<MsrOf>,
    /// Places that a side does not record.
    pub(crate) unrecorded: [Vec<Unrecorded>; 2],
    /// Features of the one side in places that the other does not record.
    pub(crate) undecided: [Vec<Feature>; 2],
    /// MSRs without description that one side records: whether the other has them, nobody knows.
    pub(crate) unshared_msrs: [Vec<u32>; 2],
}

impl Differences {
    /// Compares two CPUs with all their MSRs.
    pub(crate) fn of_cpus(a: &Cpu, b: &Cpu, scope: Scope) -> Self {
        let mut differences = Self::of_policies(&a.policy, &b.policy, scope);
        differences.other_msrs(a, b);
        differences
    }

    /// Compares CPUID and feature MSRs.
    pub(crate) fn of_policies(a: &Policy, b: &Policy, scope: Scope) -> Self {
        let mut differences = Self::default();
        differences.features(a, b, scope);
        differences.fields(a, b, scope);
        differences.unnamed_bits(a, b);
        differences.leaves(a, b, scope);
        differences.feature_msrs(a, b, scope);
        let brands = [a, b].map(|policy| words::brand(&policy.brand()));
        differences.brands = Some(brands).filter(|[a, b]| a != b);
        let list = |policy: &Policy| policy.unrecorded.as_slice().to_vec();
        differences.unrecorded = [list(a), list(b)];
        if scope == Scope::All {
            differences.add_registers(&a.cpuid, &b.cpuid, |leaf| !a.cpuid.in_range(leaf) || !b.cpuid.in_range(leaf));
        }
        differences
    }

    /// Whether nothing is known to differ.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { features: [only_a, only_b], fields, bits, leaves, msrs, .. } = self;
        only_a.is_empty() && only_b.is_empty() && fields.is_empty() && bits.is_empty() && leaves.is_empty() && msrs.is_empty()
    }

    /// Whether the same is left uncompared.
    pub(crate) fn has_same_gaps(&self, other: &Self) -> bool {
        let gaps = |one: &Self| (one.unrecorded.clone(), one.undecided.clone(), one.unshared_msrs.clone());
        gaps(self) == gaps(other)
    }

    fn features(&mut self, a: &Policy, b: &Policy, scope: Scope) {
        let (set_a, set_b) = (compared(a, scope), compared(b, scope));
        let (unknown_a, unknown_b) = (a.unrecorded_features(), b.unrecorded_features());
        let (known_a, known_b) = (set_a.difference(&unknown_a), set_b.difference(&unknown_b));
        let only =
            |these: &FeatureSet, those: &FeatureSet, unknown: &FeatureSet| these.difference(those).difference(unknown).iter().collect();
        self.features = [only(&known_a, &known_b, &unknown_b), only(&known_b, &known_a, &unknown_a)];
        self.undecided = [known_a.intersection(&unknown_b).iter().collect(), known_b.intersection(&unknown_a).iter().collect()];
    }

    fn fields(&mut self, a: &Policy, b: &Policy, scope: Scope) {
        for field in Field::all().filter(|field| scope.has(field.row().merge)) {
            for subleaf in subleaves(field, [a, b]) {
                let at = FieldAt { field, subleaf };
                let place = match field.row().place {
                    FieldPlace::Cpuid { leaf, .. } => Unrecorded::Cpuid { leaf, subleaf },
                    FieldPlace::Msr { index } => Unrecorded::Msr { index },
                };
                let values = [a.field(at), b.field(at)];
                let is_same = values[0].unwrap_or(0) == values[1].unwrap_or(0);
                if !is_same && is_recorded([a, b], place) {
                    self.fields.push(FieldOf { at, values });
                }
            }
        }
    }

    fn unnamed_bits(&mut self, a: &Policy, b: &Policy) {
        let (in_a, in_b) = (unknown_bits(a), unknown_bits(b));
        let places: BTreeSet<UnknownPlace> = in_a.iter().chain(&in_b).map(|unknown| unknown.place).collect();
        for place in places {
            let mask = |list: &[Unknown]| list.iter().find(|unknown| unknown.place == place).map_or(0, |unknown| unknown.mask);
            let recorded = match place {
                UnknownPlace::Cpuid { leaf, subleaf, .. } => is_recorded([a, b], Unrecorded::Cpuid { leaf, subleaf }),
                UnknownPlace::Msr { index } => is_recorded([a, b], Unrecorded::Msr { index }),
            };
            if recorded {
                self.add_bits(place, mask(&in_a), mask(&in_b));
            }
        }
    }

    fn add_bits(&mut self, place: UnknownPlace, a: u64, b: u64) {
        if a != b {
            self.bits.push(BitsOf { place, bits: [a & !b, b & !a] });
        }
    }

    /// Adds the differing bits of whole registers, of leaves in which names mean nothing.
    pub(crate) fn add_registers(&mut self, a: &CpuidTable, b: &CpuidTable, is_wanted: impl Fn(u32) -> bool) {
        let places: BTreeSet<(u32, u32)> = a.entries().iter().chain(b.entries()).map(|entry| (entry.leaf, entry.subleaf)).collect();
        for (leaf, subleaf) in places.into_iter().filter(|(leaf, _)| is_wanted(*leaf)) {
            for register in Register::ALL {
                let value = |table: &CpuidTable| u64::from(table.register(leaf, subleaf, register));
                self.add_bits(UnknownPlace::Cpuid { leaf, subleaf, register }, value(a), value(b));
            }
        }
    }

    fn leaves(&mut self, a: &Policy, b: &Policy, scope: Scope) {
        for (side, one, other) in [(Side::A, a, b), (Side::B, b, a)] {
            for entry in one.cpuid.entries().iter().filter(|entry| one.cpuid.in_range(entry.leaf)) {
                let (leaf, subleaf) = (entry.leaf, entry.subleaf);
                let is_there = other.cpuid.in_range(leaf) && other.cpuid.get(leaf, subleaf).is_some();
                let repeats =
                    subleaf > 0 && one.cpuid.get(leaf, 0) == Some(entry.registers) && other.cpuid.get(leaf, 0) == Some(entry.registers);
                let says =
                    |register| entry.registers.get(register) & !left_out(Place::Cpuid { leaf, subleaf, register }, scope) as u32 != 0;
                if !is_there && !repeats && is_recorded([a, b], Unrecorded::Cpuid { leaf, subleaf }) && Register::ALL.into_iter().any(says)
                {
                    self.leaves.push((side, leaf, subleaf));
                }
            }
        }
        self.leaves.sort_unstable_by_key(|(_, leaf, subleaf)| (*leaf, *subleaf));
    }

    fn feature_msrs(&mut self, a: &Policy, b: &Policy, scope: Scope) {
        let indexes: BTreeSet<u32> = a.msrs.entries().iter().chain(b.msrs.entries()).map(|msr| msr.index).collect();
        for index in indexes.into_iter().filter(|index| is_recorded([a, b], Unrecorded::Msr { index: *index })) {
            let values = [a.msrs.get(index), b.msrs.get(index)];
            let skipped = [false, true].map(|high| left_out(Place::Msr { index, high }, scope)).into_iter().fold(0, |all, half| all | half);
            let seen = values.map(|value| value.map(|value| value & !skipped));
            if seen[0] != seen[1] {
                self.msrs.push(MsrOf { index, values, is_decoded: true });
            }
        }
    }

    fn other_msrs(&mut self, a: &Cpu, b: &Cpu) {
        let other =
            |cpu: &Cpu| -> Vec<MsrEntry> { cpu.msrs.iter().filter(|msr| cpu.policy.msrs.get(msr.index).is_none()).copied().collect() };
        let (in_a, in_b) = (other(a), other(b));
        let find = |list: &[MsrEntry], index: u32| list.iter().find(|msr| msr.index == index).map(|msr| msr.value);
        for msr in &in_a {
            match find(&in_b, msr.index) {
                Some(value) if value != msr.value => {
                    self.msrs.push(MsrOf { index: msr.index, values: [Some(msr.value), Some(value)], is_decoded: false });
                }
                Some(_) => {}
                None => self.unshared_msrs[0].push(msr.index),
            }
        }
        self.unshared_msrs[1] = in_b.iter().map(|msr| msr.index).filter(|index| find(&in_a, *index).is_none()).collect();
        self.msrs.sort_unstable_by_key(|msr| msr.index);
    }
}

fn compared(policy: &Policy, scope: Scope) -> FeatureSet {
    policy.features().iter().filter(|feature| scope.has(feature.row().merge)).collect()
}

fn is_recorded(policies: [&Policy; 2], place: Unrecorded) -> bool {
    policies.iter().all(|policy| !policy.unrecorded.contains(place))
}

/// The subleaves of a field that any of the policies has.
fn subleaves(field: Field, policies: [&Policy; 2]) -> BTreeSet<u32> {
    match field.row().place {
        FieldPlace::Msr { .. } => BTreeSet::from([0]),
        FieldPlace::Cpuid { leaf, first, last, .. } => {
            let entries = policies.into_iter().flat_map(|policy| policy.cpuid.leaf(leaf));
            entries.map(|entry| entry.subleaf).filter(|subleaf| (first..=last).contains(subleaf)).collect()
        }
    }
}

/// The bits of a register, or of half an MSR at its place in the MSR, that are not compared.
fn left_out(place: Place, scope: Scope) -> u64 {
    let shift = if matches!(place, Place::Msr { high: true, .. }) { 32 } else { 0 };
    let features = || Feature::all().filter(|feature| cpuid_db::words().get(feature.word()).is_some_and(|word| word.place == place));
    let of_features = features().filter(|feature| !scope.has(feature.row().merge)).map(|feature| u64::from(feature.mask()) << shift);
    let is_here = |field: FieldPlace| match (field, place) {
        (FieldPlace::Cpuid { leaf, first, last, register }, Place::Cpuid { leaf: l, subleaf, register: r }) => {
            leaf == l && register == r && (first..=last).contains(&subleaf)
        }
        (FieldPlace::Msr { index }, Place::Msr { index: i, .. }) => index == i,
        _ => false,
    };
    let fields = Field::all().map(Field::row).filter(|row| !scope.has(row.merge) && is_here(row.place)).map(cpuid_db::FieldRow::mask);
    of_features.chain(fields).fold(0, |all, bits| all | bits)
}

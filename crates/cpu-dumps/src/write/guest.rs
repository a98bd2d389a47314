//! Formats that define a guest by a model and words: what all of them have in common, and what they cannot say.
//!
//! A bit that such a format has no word for is not in the guest, so bits that are 0 are not lost. Bits that are 1 are told one by one.

use std::fmt;

use cpuid_db::{CpuidTable, Feature, FeatureSet, Field, FieldPlace, Location, Merge, Place, Policy, Project, Register, Unrecorded, words};

use super::Lost;
use super::lost::compare_origin;
use super::own::all_msrs;
use crate::vocabulary::{self, KVM, Word, is_foreign, vocabulary};
use crate::{Cpu, Machine};

/// Why a format of words does not say something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// It has no word for it.
    NoWord,
    /// One word stands for several features, and the guest must not have another of them.
    OneWord,
    /// The bit follows run-time state.
    Live,
    /// It belongs to the interface of another hypervisor, under which the machine was seen.
    Hypervisor,
    /// The hypervisor computes the value itself, or takes that of the model.
    Computed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoWord => "there is no word for it",
            Self::OneWord => "its word means other features too, which the guest must not have",
            Self::Live => "it follows run-time state",
            Self::Hypervisor => "it belongs to another hypervisor",
            Self::Computed => "the hypervisor computes it",
        })
    }
}

/// What a guest is to have, as far as it is known.
pub(super) fn features(policy: &Policy) -> FeatureSet {
    policy.features().difference(&policy.unrecorded_features())
}

/// The words of a project that a guest is to have: those of which it has every feature. Words that it lacks are the rest.
pub(super) fn said(project: Project, features: &FeatureSet) -> Vec<&'static Word> {
    vocabulary(project).iter().filter(|word| !word.features.is_empty() && word.features.is_subset(features)).collect()
}

/// The words to say: those that differ from the model, and those that do not follow from it. Each with whether the guest has it.
pub(super) fn differences(
    project: Project,
    features: &FeatureSet,
    model: &FeatureSet,
    spelt_out: &FeatureSet,
) -> (Vec<&'static str>, Vec<&'static str>) {
    let on = said(project, features);
    let has = on.iter().fold(FeatureSet::EMPTY, |all, word| all.union(&word.features));
    let (mut plus, mut minus) = (Vec::new(), Vec::new());
    for word in vocabulary(project) {
        let is_on = !word.features.is_empty() && word.features.is_subset(&has);
        let is_given = word.features.is_subset(model);
        let must_say = !word.features.intersection(spelt_out).is_empty() || !word.features.intersection(model).is_empty() && !is_given;
        if is_on != is_given || must_say {
            if is_on { plus.push(word.name) } else { minus.push(word.name) }
        }
    }
    (plus, minus)
}

/// What a file of words does not say of a machine.
pub(super) fn compare(machine: &Machine, again: &Machine, project: Project) -> Vec<Lost> {
    let mut lost = compare_origin(machine, again);
    for (old, new) in machine.cpus.iter().zip(&again.cpus) {
        if old.number != new.number {
            lost.push(Lost::CpuNumber { cpu: old.number });
        }
        if old.core_type.is_some() {
            lost.push(Lost::CoreType { cpu: old.number });
        }
        let mut work = Work { cpu: old.number, old: &old.policy, new: &new.policy, lost: &mut lost };
        work.features(project);
        work.leaves();
        work.msrs(old);
        work.unrecorded();
    }
    lost
}

struct Work<'a> {
    cpu: u32,
    old: &'a Policy,
    new: &'a Policy,
    lost: &'a mut Vec<Lost>,
}

impl Work<'_> {
    fn features(&mut self, project: Project) {
        let (old, new) = (features(self.old), features(self.new));
        let sayable = vocabulary::sayable(project);
        for feature in &old.difference(&new) {
            let because = match feature {
                _ if is_foreign(feature) => Reason::Hypervisor,
                _ if feature.row().merge == Merge::Live => Reason::Live,
                _ if sayable.contains(feature) => Reason::OneWord,
                _ => Reason::NoWord,
            };
            self.lost.push(Lost::Feature { cpu: self.cpu, feature, because });
        }
        self.lost.extend(new.difference(&old).iter().map(|feature| Lost::Given { cpu: self.cpu, feature }));
    }

    fn leaves(&mut self) {
        let (old, new) = (&self.old.cpuid, &self.new.cpuid);
        let mut places: Vec<(u32, u32)> = old.entries().iter().chain(new.entries()).map(|entry| (entry.leaf, entry.subleaf)).collect();
        places.sort_unstable();
        places.dedup();
        for (leaf, subleaf) in places {
            let is_said = new.get(leaf, subleaf).is_some();
            let is_empty = old.get_or_zero(leaf, subleaf) == cpuid_db::Registers::ZERO;
            if !is_said && !is_empty && Register::ALL.iter().all(|register| mask(Place::Cpuid { leaf, subleaf, register: *register }) == 0)
            {
                self.lost.push(Lost::Leaf { cpu: self.cpu, leaf, subleaf });
                continue;
            }
            for register in Register::ALL {
                let place = Place::Cpuid { leaf, subleaf, register };
                self.bits(place, old.register(leaf, subleaf, register) ^ new.register(leaf, subleaf, register));
            }
        }
    }

    fn msrs(&mut self, cpu: &Cpu) {
        for msr in all_msrs(cpu) {
            let index = msr.index;
            if self.old.msrs.get(index).is_none() {
                self.lost.push(Lost::Msr { cpu: self.cpu, index });
                continue;
            }
            let differing = msr.value ^ self.new.msrs.get(index).unwrap_or(0);
            for high in [false, true] {
                self.bits(Place::Msr { index, high }, (if high { differing >> 32 } else { differing }) as u32);
            }
        }
    }

    /// Tells of bits of a register that are no features: those are told by name.
    fn bits(&mut self, place: Place, differing: u32) {
        let rest = differing & !mask(place);
        if rest == 0 {
            return;
        }
        let values = Field::all().map(|field| field_mask(field, place)).fold(0, |all, mask| all | mask) & rest;
        let is_foreign = matches!(place, Place::Cpuid { leaf: 0x4000_0000..=0x4fff_ffff, .. }) && self.old.hypervisor() != Some(KVM);
        let computed = if is_foreign { Reason::Hypervisor } else { Reason::Computed };
        for (bits, because) in [(values, computed), (rest & !values, Reason::NoWord)] {
            if bits != 0 {
                self.lost.push(Lost::Bits { cpu: self.cpu, place, bits, because });
            }
        }
    }

    /// Places that nobody knew, of which the file says something.
    fn unrecorded(&mut self) {
        let told = self.new.named.intersection(&self.old.unrecorded_features());
        let is_told = |place: &Unrecorded| told.iter().any(|feature| place_of(feature) == *place);
        let places = self.old.unrecorded.as_slice().iter().filter(|place| is_told(place));
        self.lost.extend(places.map(|place| Lost::Unrecorded { cpu: self.cpu, place: *place }));
    }
}

fn place_of(feature: Feature) -> Unrecorded {
    match feature.location() {
        Location::Cpuid { leaf, subleaf, .. } => Unrecorded::Cpuid { leaf, subleaf },
        Location::Msr { index, .. } => Unrecorded::Msr { index },
    }
}

/// The bits of a register that are features.
fn mask(place: Place) -> u32 {
    words().iter().filter(|row| row.place == place).fold(0, |all, row| all | row.named)
}

/// The bits of a register that a field covers.
fn field_mask(field: Field, place: Place) -> u32 {
    let row = field.row();
    let all = u64::MAX >> (63 - (row.high - row.low)) << row.low;
    match (row.place, place) {
        (FieldPlace::Cpuid { leaf, first, last, register }, Place::Cpuid { leaf: l, subleaf, register: r })
            if (leaf, register) == (l, r) && (first..=last).contains(&subleaf) =>
        {
            all as u32
        }
        (FieldPlace::Msr { index }, Place::Msr { index: i, high }) if index == i => (if high { all >> 32 } else { all }) as u32,
        _ => 0,
    }
}

/// How many bits a guest's physical addresses have, where a format has room for that.
pub(super) fn phys_bits(cpuid: &CpuidTable) -> Option<u32> {
    let bits = cpuid.get(0x8000_0008, 0).filter(|_| cpuid.in_range(0x8000_0008))?.eax & 0xff;
    (32..=52).contains(&bits).then_some(bits)
}

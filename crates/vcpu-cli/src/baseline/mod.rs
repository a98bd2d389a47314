//! A pool of machines and what its guests get: gathering, reasons, costs, and how they are told.

pub(crate) mod costs;
pub(crate) mod document;
pub(crate) mod hosts;
pub(crate) mod html;
pub(crate) mod keep;
pub(crate) mod reasons;
pub(crate) mod refusal;
pub(crate) mod report;
pub(crate) mod values;

use cpu_caps::{Baseline, Request};
use cpuid_db::{Basis, Feature, FeatureSet, KvmInputs, Location, Unrecorded};

pub(crate) use hosts::{Ceiling, Fleet, Host, core_name, name_apart};

/// A finished baseline with everything that explains it.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    /// The machines.
    pub(crate) fleet: &'a Fleet,
    /// What the operator asked for.
    pub(crate) request: &'a Request,
    /// What the machines were limited by.
    pub(crate) ceiling: Ceiling,
    /// The outcome.
    pub(crate) baseline: &'a Baseline,
}

impl Case<'_> {
    /// How sure the ceiling is: as sure as the least known machine.
    pub(crate) fn basis(&self) -> Basis {
        match self.ceiling {
            Ceiling::Raw => Basis::Raw,
            Ceiling::Kvm(_) if self.fleet.hosts.iter().all(|host| host.basis == Basis::Recorded) => Basis::Recorded,
            Ceiling::Kvm(_) => Basis::Derived,
        }
    }

    /// The features to tell about: those of any input and of the result, and those that nobody could tell.
    pub(crate) fn features(&self) -> impl Iterator<Item = Feature> {
        let told = self.fleet.seen.union(&self.baseline.features);
        Feature::all().filter(move |feature| {
            let cause = self.baseline.decisions.feature(*feature).cause;
            told.contains(*feature) || cause == cpu_caps::Cause::Unrecorded
        })
    }
}

/// The words for the inputs of the model of stock KVM, as the command line takes them.
pub(crate) const KVM_INPUTS: [(KvmInputs, &str); 9] = [
    (KvmInputs::TDP, "tdp"),
    (KvmInputs::NESTED, "nested"),
    (KvmInputs::PMU, "pmu"),
    (KvmInputs::PEBS, "pebs"),
    (KvmInputs::PT, "pt"),
    (KvmInputs::SGX, "sgx"),
    (KvmInputs::CET, "cet"),
    (KvmInputs::SEV, "sev"),
    (KvmInputs::XFD, "xfd"),
];

/// The words for these inputs.
pub(crate) fn input_words(inputs: KvmInputs) -> Vec<&'static str> {
    KVM_INPUTS.iter().filter(|(input, _)| inputs.contains(*input)).map(|(_, word)| *word).collect()
}

/// The place that a dump has to record to tell about a feature.
pub(crate) fn place_of(feature: Feature) -> Unrecorded {
    match feature.location() {
        Location::Cpuid { leaf, subleaf, .. } => Unrecorded::Cpuid { leaf, subleaf },
        Location::Msr { index, .. } => Unrecorded::Msr { index },
    }
}

/// Features that a guest gains from having: no limitations, no copies, nothing that follows state or place.
pub(crate) fn gains(set: &FeatureSet) -> FeatureSet {
    use cpuid_db::Merge;
    let gain = |feature: &Feature| {
        let row = feature.row();
        row.alias_of.is_none() && matches!(row.merge, Merge::And | Merge::Fixed | Merge::Context)
    };
    set.iter().filter(gain).collect()
}

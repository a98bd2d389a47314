//! Decisions: every feature and field ends in exactly one, with its cause.

use cpuid_db::{FIELD_SLOTS, Feature, Field, FieldAt, Merge};

/// What became of a feature or field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// The guest gets it as every machine has it.
    Granted,
    /// The guest does not get it.
    Withheld,
    /// Announced because some machine behaves so, or raised to the largest value.
    Raised,
    /// Lowered to the smallest value.
    Lowered,
    /// A declared choice.
    Chosen,
    /// Not enough is recorded to tell.
    Undecided,
}

impl Outcome {
    /// The word used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Withheld => "withheld",
            Self::Raised => "raised",
            Self::Lowered => "lowered",
            Self::Chosen => "chosen",
            Self::Undecided => "undecided",
        }
    }
}

/// Why.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// All machines agree.
    AllHosts,
    /// Some machines lack it.
    MissingOnHost,
    /// Hardware has it, the hypervisor does not give it.
    NotInKvm,
    /// The hypervisor executes it without hardware.
    Emulated,
    /// The hypervisor gives it everywhere.
    Fixed,
    /// A prerequisite is not there.
    Requires(Feature),
    /// Some machine is limited so.
    Limitation,
    /// Machines disagree.
    Conflict,
    /// The dumps of some machines could not tell.
    Unrecorded,
    /// The operator asked for it.
    Request,
    /// Follows run-time state.
    Live,
    /// Belongs to one VM or vCPU.
    Local,
    /// Recomputed from the rest.
    Derived,
    /// Decided by a rule that looks at the rest of the policy.
    Context,
    /// Another vendor's bit that the hypervisor would give all the same.
    Foreign,
    /// It ties a guest to one machine, and the guest is to be migratable.
    Pinned,
}

impl Cause {
    /// The word used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllHosts => "all-hosts",
            Self::MissingOnHost => "missing-on-host",
            Self::NotInKvm => "not-in-kvm",
            Self::Emulated => "emulated",
            Self::Fixed => "fixed",
            Self::Requires(_) => "requires",
            Self::Limitation => "limitation",
            Self::Conflict => "conflict",
            Self::Unrecorded => "unrecorded",
            Self::Request => "request",
            Self::Live => "live",
            Self::Local => "local",
            Self::Derived => "derived",
            Self::Context | Self::Foreign | Self::Pinned => "context",
        }
    }
}

/// The decision about one feature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What became of it.
    pub outcome: Outcome,
    /// By which rule.
    pub rule: Merge,
    /// Why.
    pub cause: Cause,
    /// How many machines are the cause.
    pub count: u32,
    /// The smallest identifier among them.
    pub witness: Option<u32>,
}

/// The decision about one merged field of one subleaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldDecision {
    /// What became of it.
    pub outcome: Outcome,
    /// By which rule.
    pub rule: Merge,
    /// Why.
    pub cause: Cause,
    /// The value that the guest sees; 0 when withheld.
    pub value: u64,
    /// How many machines are the cause.
    pub count: u32,
    /// The smallest identifier among them.
    pub witness: Option<u32>,
}

const NONE: Decision = Decision { outcome: Outcome::Withheld, rule: Merge::And, cause: Cause::MissingOnHost, count: 0, witness: None };

/// All decisions of one run: one per feature, one per merged field and subleaf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decisions {
    features: [Decision; Feature::COUNT],
    fields: [Option<FieldDecision>; FIELD_SLOTS],
}

impl Decisions {
    #[expect(clippy::large_stack_arrays, reason = "the core does not allocate; the caller decides where it lives")]
    pub(crate) const fn new() -> Self {
        Self { features: [NONE; Feature::COUNT], fields: [None; FIELD_SLOTS] }
    }

    /// The decision about a feature.
    pub fn feature(&self, feature: Feature) -> Decision {
        self.features.get(feature.index()).copied().unwrap_or(NONE)
    }

    /// The decision about a merged field; `None` when no machine has it.
    pub fn field(&self, at: FieldAt) -> Option<FieldDecision> {
        self.fields.get(at.slot()?).copied().flatten()
    }

    pub(crate) fn set_feature(&mut self, feature: Feature, decision: Decision) {
        if let Some(place) = self.features.get_mut(feature.index()) {
            *place = decision;
        }
    }

    pub(crate) fn set_field(&mut self, slot: usize, decision: FieldDecision) {
        if let Some(place) = self.fields.get_mut(slot) {
            *place = Some(decision);
        }
    }
}

/// All merged fields with their subleaves, in order of slot.
pub fn field_slots() -> impl Iterator<Item = FieldAt> {
    Field::all().filter(|field| field.row().slot.is_some()).flat_map(|field| {
        let (first, last) = field.row().subleaves();
        (first..=last).map(move |subleaf| FieldAt { field, subleaf })
    })
}

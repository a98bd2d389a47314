//! Decisions: every feature and field ends in exactly one, with its cause.

use cpuid_db::{FIELD_SLOTS, Feature, FeatureSet, FieldAt, Merge};

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
    const ALL: [Self; 6] = [Self::Granted, Self::Withheld, Self::Raised, Self::Lowered, Self::Chosen, Self::Undecided];

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
    /// All causes but [`Cause::Requires`], which names a feature.
    const PLAIN: [Self; 15] = [
        Self::AllHosts,
        Self::MissingOnHost,
        Self::NotInKvm,
        Self::Emulated,
        Self::Fixed,
        Self::Limitation,
        Self::Conflict,
        Self::Unrecorded,
        Self::Request,
        Self::Live,
        Self::Local,
        Self::Derived,
        Self::Context,
        Self::Foreign,
        Self::Pinned,
    ];

    /// The number of a cause, its place in the list of plain ones, and one more for prerequisites.
    const fn number(self) -> u8 {
        match self {
            Self::AllHosts => 0,
            Self::MissingOnHost => 1,
            Self::NotInKvm => 2,
            Self::Emulated => 3,
            Self::Fixed => 4,
            Self::Limitation => 5,
            Self::Conflict => 6,
            Self::Unrecorded => 7,
            Self::Request => 8,
            Self::Live => 9,
            Self::Local => 10,
            Self::Derived => 11,
            Self::Context => 12,
            Self::Foreign => 13,
            Self::Pinned => 14,
            Self::Requires(_) => 15,
        }
    }

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

/// Who is the cause of a decision that many features share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    /// Nobody in particular.
    Nobody,
    /// Every machine, and none is worth naming.
    All,
    /// Every machine, by name.
    Everybody,
    /// Some machines: the number and the first are noted for each feature.
    Some,
}

/// What a feature's own note says: for prerequisites the feature that is not there, else machines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Note {
    count: u32,
    witness: u32,
}

/// Marks a note without a witness; no machine may have this identifier.
const NO_WITNESS: u32 = u32::MAX;

/// How many bits say what became of a feature, why, and whose doing it is.
const PLANES: usize = 9;

/// The number that the planes hold for one feature: three bits of outcome, four of cause, two of [`Who`].
const fn code(outcome: Outcome, cause: Cause, who: Who) -> u16 {
    outcome as u16 | (cause.number() as u16) << 3 | (who as u16) << 7
}

/// All decisions of one run: one per feature, one per merged field and subleaf.
///
/// What most features share is kept in planes, one set per bit of a small number, so that whole registers are decided at once.
#[derive(Clone, Debug)]
pub struct Decisions {
    planes: [FeatureSet; PLANES],
    machines: Note,
    notes: [Note; Feature::COUNT],
    fields: [Option<FieldDecision>; FIELD_SLOTS],
}

impl Decisions {
    /// Nothing is decided: every feature reads as granted by all, until it is painted.
    pub(crate) const NONE: Self = Self {
        planes: [FeatureSet::EMPTY; PLANES],
        machines: Note { count: 0, witness: NO_WITNESS },
        notes: [Note { count: 0, witness: 0 }; Feature::COUNT],
        fields: [None; FIELD_SLOTS],
    };

    /// Forgets everything; the pool has `machines`, of which this is the first. Notes are read only where planes point to them.
    pub(crate) fn reset(&mut self, machines: u32, first: Option<u32>) {
        self.planes = [FeatureSet::EMPTY; PLANES];
        self.machines = Note { count: machines, witness: first.unwrap_or(NO_WITNESS) };
        for field in &mut self.fields {
            *field = None;
        }
    }

    /// The decision about a feature.
    pub fn feature(&self, feature: Feature) -> Decision {
        let bits = self.planes.iter().enumerate();
        let code = bits.fold(0, |code, (bit, plane)| code | usize::from(plane.contains(feature)) << bit);
        let note = self.notes.get(feature.index()).copied().unwrap_or_default();
        let outcome = Outcome::ALL.get(code & 7).copied().unwrap_or(Outcome::Withheld);
        let parent = || Feature::from_number(note.count as u16).map_or(Cause::Context, Cause::Requires);
        let cause = Cause::PLAIN.get(code >> 3 & 15).copied().unwrap_or_else(parent);
        let named = |witness: u32| (witness != NO_WITNESS).then_some(witness);
        let (count, witness) = match code >> 7 {
            _ if matches!(cause, Cause::Requires(_)) => (0, None),
            0 => (0, None),
            1 => (self.machines.count, None),
            2 => (self.machines.count, named(self.machines.witness)),
            _ => (note.count, named(note.witness)),
        };
        Decision { outcome, rule: feature.row().merge, cause, count, witness }
    }

    /// The decision about a merged field; `None` when no machine has it.
    pub fn field(&self, at: FieldAt) -> Option<FieldDecision> {
        self.fields.get(at.slot()?).copied().flatten()
    }

    /// The decisions about merged fields in order of slot.
    pub(crate) const fn fields(&self) -> &[Option<FieldDecision>; FIELD_SLOTS] {
        &self.fields
    }

    /// The features that nobody can tell about.
    pub(crate) fn undecided(&self) -> FeatureSet {
        const _: () = assert!(Outcome::Undecided as u8 == 0b101, "the planes of the outcome");
        let [low, _, high, ..] = &self.planes;
        low.intersection(high)
    }

    /// Decides features of which nothing was decided before. With [`Who::Some`] each needs a [`Decisions::note`] too.
    pub(crate) fn paint(&mut self, features: &FeatureSet, outcome: Outcome, cause: Cause, who: Who) {
        let code = code(outcome, cause, who);
        for (bit, plane) in self.planes.iter_mut().enumerate() {
            if code >> bit & 1 == 1 {
                *plane = plane.union(features);
            }
        }
    }

    /// Decides features anew, for a reason that is nobody's.
    pub(crate) fn repaint(&mut self, features: &FeatureSet, outcome: Outcome, cause: Cause) {
        let code = code(outcome, cause, Who::Nobody);
        for (bit, plane) in self.planes.iter_mut().enumerate() {
            *plane = if code >> bit & 1 == 1 { plane.union(features) } else { plane.difference(features) };
        }
    }

    /// Whose doing it is, where it differs from feature to feature.
    pub(crate) fn note(&mut self, feature: Feature, count: u32, witness: Option<u32>) {
        if let Some(note) = self.notes.get_mut(feature.index()) {
            *note = Note { count, witness: witness.unwrap_or(NO_WITNESS) };
        }
    }

    /// Decides one feature anew.
    pub(crate) fn set_feature(&mut self, feature: Feature, outcome: Outcome, cause: Cause, count: u32, witness: Option<u32>) {
        let (who, count) = match cause {
            Cause::Requires(parent) => (Who::Some, u32::from(parent.number())),
            _ if count == 0 && witness.is_none() => (Who::Nobody, 0),
            _ => (Who::Some, count),
        };
        if who == Who::Some {
            self.note(feature, count, witness);
        }
        let code = code(outcome, cause, who);
        for (bit, plane) in self.planes.iter_mut().enumerate() {
            plane.set(feature, code >> bit & 1 == 1);
        }
    }

    pub(crate) fn set_field(&mut self, slot: usize, decision: FieldDecision) {
        if let Some(place) = self.fields.get_mut(slot) {
            *place = Some(decision);
        }
    }
}

/// Equal when every decision is: how it is written down does not matter.
impl PartialEq for Decisions {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields && Feature::all().all(|feature| self.feature(feature) == other.feature(feature))
    }
}

impl Eq for Decisions {}

/// All merged fields with their subleaves, in order of slot.
pub fn field_slots() -> impl Iterator<Item = FieldAt> {
    cpuid_db::slots().iter().map(|(at, _)| *at)
}

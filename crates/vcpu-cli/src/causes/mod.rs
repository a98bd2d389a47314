//! One vocabulary for everything that goes wrong between a guest and a machine: what breaks, where it is said, what to do about it.
//!
//! Consequences derive from the database: from what a feature opens, from the reason of its merge rule, from its leaf. The tables here
//! hold what no column of the database tells.

pub(crate) mod bits;
pub(crate) mod fields;
pub(crate) mod fix;
pub(crate) mod instructions;
pub(crate) mod missing;
pub(crate) mod singles;
pub(crate) mod sources;
pub(crate) mod unannounced;

use cpu_caps::{Gap, GapKind, Subject};
use cpuid_db::{Context, Feature, FieldAt, Merge, OnConflict};

use crate::words;

/// What kind of harm is done. The order is that of reports: what stops a guest at once comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Effect {
    /// The guest's saved state cannot be put back.
    Restore,
    /// The guest takes an exception.
    Fault,
    /// The guest goes by a number that does not hold.
    Number,
    /// The guest computes or believes something wrong, and nothing tells.
    Silent,
    /// The guest is less protected than it believes.
    Exposed,
    /// A hypervisor inside the guest fails.
    Nested,
    /// Something that the guest uses does not do its work.
    Gone,
    /// The guest is slower.
    Slower,
    /// Nothing breaks.
    Harmless,
    /// The records do not tell.
    Untold,
}

impl Effect {
    /// The heading in reports.
    pub(crate) const fn heading(self) -> &'static str {
        match self {
            Self::Restore => "State that cannot be restored",
            Self::Fault => "Exceptions in the guest",
            Self::Number => "Numbers that do not fit",
            Self::Silent => "Wrong without an exception",
            Self::Exposed => "Less protected than the guest believes",
            Self::Nested => "Guests inside the guest",
            Self::Gone => "Facilities that do not work",
            Self::Slower => "Slower",
            Self::Harmless => "Harmless by itself",
            Self::Untold => "Not recorded",
        }
    }

    /// The word in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Fault => "exception",
            Self::Number => "number",
            Self::Silent => "silent",
            Self::Exposed => "exposed",
            Self::Nested => "nested",
            Self::Gone => "gone",
            Self::Slower => "slower",
            Self::Harmless => "harmless",
            Self::Untold => "unrecorded",
        }
    }
}

/// What happens to a guest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Consequence {
    /// What kind of harm.
    pub(crate) effect: Effect,
    /// What several features can have in common; reports group by it.
    pub(crate) short: String,
    /// The whole sentence.
    pub(crate) text: String,
    /// Which rule found the sentence.
    pub(crate) origin: Origin,
}

/// Where a sentence comes from: from what is known of this very bit, or of its kind only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// The bit itself: its gates, its reason, a row of a table.
    Own,
    /// The leaf or MSR that holds it.
    Leaf,
    /// Nothing: the title stands for all.
    Fallback,
}

impl Consequence {
    pub(crate) fn new(effect: Effect, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { effect, short: text.clone(), text, origin: Origin::Own }
    }
}

/// What a gap does to the guest.
pub(crate) fn of_gap(gap: &Gap) -> Consequence {
    match (gap.subject, gap.kind) {
        (_, GapKind::Unrecorded) => unrecorded(gap),
        (Subject::Vendor, _) => Consequence::new(
            Effect::Silent,
            "the guest chose instructions, errata and MSRs by the vendor when it started: SYSENTER, microcode and bank MSRs differ",
        ),
        (Subject::Feature(feature), GapKind::NotAnnounced) => unannounced::of_feature(feature),
        (Subject::Feature(feature), GapKind::Unprotected) => unannounced::of_unprotected(feature),
        (Subject::Feature(feature), _) => missing::of_feature(feature),
        (Subject::Field(at), kind) => fields::of_field(at, kind),
        (Subject::Msr(index), _) => msr(index, gap.guest.unwrap_or(0)),
        (Subject::TscFrequency, _) => Consequence::new(
            Effect::Silent,
            "time runs differently: the guest converts ticks of the time-stamp counter with a rate that does not hold there",
        ),
    }
}

/// What happens to a guest where a feature is not as it was told: it counts on the feature, or was not told of the limitation.
/// Nothing, where the feature promises nothing.
pub(crate) fn if_not_as_told(feature: Feature) -> Option<Consequence> {
    let row = feature.row();
    let is_limitation = row.merge == Merge::Or || matches!(row.context, Some(Context::Rsba | Context::Rrsba));
    let consequence = if is_limitation { unannounced::of_feature(feature) } else { missing::of_feature(feature) };
    (consequence.effect != Effect::Harmless).then_some(consequence)
}

fn msr(index: u32, refused: u64) -> Consequence {
    let bits: Vec<String> = (0..64).filter(|bit| refused >> bit & 1 == 1).map(|bit: u8| bit.to_string()).collect();
    let openers = bits::openers(index, refused);
    let by = if openers.is_empty() { String::new() } else { format!("; they come with {}", words::some_of(&openers, openers.len(), 6)) };
    let text = format!("{}: the stored value has bits that KVM_SET_MSRS refuses there: {}{by}", words::msr(index), bits.join(", "));
    Consequence::new(Effect::Restore, text)
}

/// What nobody recorded, and what it would mean.
fn unrecorded(gap: &Gap) -> Consequence {
    let worst = match gap.subject {
        Subject::Feature(feature) if gap.guest == Some(0) => unannounced::of_feature(feature).text,
        Subject::Feature(feature) => missing::of_feature(feature).text,
        Subject::Field(at) => fields::of_field(at, GapKind::Differs).text,
        Subject::TscFrequency => "time may run differently".to_owned(),
        Subject::Vendor | Subject::Msr(_) => String::new(),
    };
    let short = match place_to_record(gap.subject) {
        Some(place) => format!("nobody can tell: {} is not recorded", words::unrecorded(place)),
        None => "nobody can tell: it is not recorded".to_owned(),
    };
    let text = if worst.is_empty() { short.clone() } else { format!("{short}; in the worst case: {worst}") };
    Consequence { effect: Effect::Untold, short, text, origin: Origin::Own }
}

/// What would have to be recorded to tell about this.
pub(crate) fn place_to_record(subject: Subject) -> Option<cpuid_db::Unrecorded> {
    use cpuid_db::{FieldPlace, Unrecorded};
    match subject {
        Subject::Feature(feature) => Some(crate::baseline::place_of(feature)),
        Subject::Field(FieldAt { field, subleaf }) => Some(match field.row().place {
            FieldPlace::Cpuid { leaf, .. } => Unrecorded::Cpuid { leaf, subleaf },
            FieldPlace::Msr { index } => Unrecorded::Msr { index },
        }),
        Subject::Msr(index) => Some(Unrecorded::Msr { index }),
        Subject::TscFrequency => Some(Unrecorded::Cpuid { leaf: 0x15, subleaf: 0 }),
        Subject::Vendor => None,
    }
}

/// The features whose absence closes a gap about a field: what hangs on the field.
pub(crate) fn closes(at: FieldAt) -> Option<Feature> {
    match at.field.row().on_conflict {
        OnConflict::Withhold(feature) if at.field.row().merge == Merge::Equal => Some(feature),
        OnConflict::WithholdComponent => bits::component(at.subleaf),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

//! One view of one CPU: its features, its merged fields, and what is unknown.

use cpuid_db::{FIELD_SLOTS, Feature, FeatureSet, Field, FieldAt, FieldPlace, FieldRow, Place, Policy, Unrecorded};

/// A field's value on one machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FieldValue {
    /// The machine has no such leaf.
    #[default]
    Absent,
    /// The dump could not tell.
    Unknown,
    /// This value.
    Known(u64),
}

impl FieldValue {
    /// The value, if known.
    pub const fn known(self) -> Option<u64> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }
}

/// What one CPU has, or what a hypervisor can give there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// Bits that are set.
    pub features: FeatureSet,
    /// Bits of which nobody knows whether they are set.
    pub unknown: FeatureSet,
    /// Fields, in order of slot.
    pub fields: [FieldValue; FIELD_SLOTS],
}

impl View {
    /// A CPU with nothing.
    pub const EMPTY: Self = Self { features: FeatureSet::EMPTY, unknown: FeatureSet::EMPTY, fields: [FieldValue::Absent; FIELD_SLOTS] };

    /// Reads a policy as it stands: raw CPUID, or a hypervisor's recorded answer.
    pub fn of(policy: &Policy) -> Self {
        let mut features = without_absent_msrs(policy.features());
        if features.contains(Feature::LM) && !policy.vendor().is_amd_compatible() {
            features = features.union(&FeatureSet::ONLY_IN_64BIT_MODE);
        }
        let unknown = unknown_features(policy, &features);
        let mut view = Self { features, unknown, fields: [FieldValue::Absent; FIELD_SLOTS] };
        for field in Field::all() {
            view.read_field(policy, field);
        }
        view.doubt_missing_layouts();
        view
    }

    /// A component that is enumerated has a size; where its subleaf is missing or zero, the dump did not record it.
    fn doubt_missing_layouts(&mut self) {
        for number in 2..63 {
            let size = FieldAt { field: Field::XSTATE_SIZE, subleaf: number };
            let enumerated = components(number).any(|feature| self.features.contains(feature));
            if enumerated && self.field(size) == FieldValue::Absent {
                for field in [Field::XSTATE_SIZE, Field::XSTATE_OFFSET, Field::XSTATE_SUPERVISOR, Field::XSTATE_ALIGN64, Field::XSTATE_XFD]
                {
                    self.put(FieldAt { field, subleaf: number }, FieldValue::Unknown);
                }
            }
        }
    }

    fn read_field(&mut self, policy: &Policy, field: Field) {
        let row = field.row();
        if row.slot.is_none() {
            return;
        }
        let (first, last) = row.subleaves();
        if first == last {
            self.put(FieldAt { field, subleaf: first }, field_value(policy, FieldAt { field, subleaf: first }));
            return;
        }
        let FieldPlace::Cpuid { leaf, .. } = row.place else { return };
        let recorded = policy.cpuid.leaf(leaf).iter().map(|entry| entry.subleaf);
        let unrecorded = policy.unrecorded.as_slice().iter().filter_map(|place| match place {
            Unrecorded::Cpuid { leaf: l, subleaf } if *l == leaf => Some(*subleaf),
            _ => None,
        });
        for subleaf in recorded.chain(unrecorded).filter(|subleaf| (first..=last).contains(subleaf)) {
            // A subleaf of zeros says that there is no such thing, not that each of its fields is zero.
            if policy.cpuid.get(leaf, subleaf).is_some_and(|registers| registers.is_zero()) {
                continue;
            }
            let at = FieldAt { field, subleaf };
            self.put(at, field_value(policy, at));
        }
    }

    /// The value in a slot.
    pub fn field(&self, at: FieldAt) -> FieldValue {
        at.slot().and_then(|slot| self.fields.get(slot)).copied().unwrap_or_default()
    }

    pub(crate) fn put(&mut self, at: FieldAt, value: FieldValue) {
        if let Some(place) = at.slot().and_then(|slot| self.fields.get_mut(slot)) {
            *place = value;
        }
    }
}

fn field_value(policy: &Policy, at: FieldAt) -> FieldValue {
    if let Some(value) = policy.field(at) {
        return FieldValue::Known(value);
    }
    let place = match at.field.row().place {
        FieldPlace::Cpuid { leaf, .. } => Unrecorded::Cpuid { leaf, subleaf: at.subleaf },
        FieldPlace::Msr { index } => Unrecorded::Msr { index },
    };
    if policy.unrecorded.contains(place) { FieldValue::Unknown } else { FieldValue::Absent }
}

/// An MSR that the CPU does not enumerate does not exist; a value that a dump gives for it came from a hypervisor.
fn without_absent_msrs(mut features: FeatureSet) -> FeatureSet {
    features.retain_words(|word, left| !matches!(word.place, Place::Msr { .. }) || left.contains_any(word.requires));
    features
}

/// A bit is unknown when its place is unrecorded, unless the feature that enumerates the place is known to be absent.
fn unknown_features(policy: &Policy, features: &FeatureSet) -> FeatureSet {
    let mut unknown = policy.unrecorded_features();
    unknown.retain_words(|word, left| word.requires.is_empty() || features.contains_any(word.requires) || left.contains_any(word.requires));
    unknown
}

/// The features that enumerate an XSAVE component: the bit of XCR0 and that of IA32_XSS, as far as the database knows them.
pub(crate) fn components(number: u32) -> impl Iterator<Item = Feature> {
    let bit = number as u8;
    let places = match bit {
        0..32 => [Feature::XCR0_X87.sibling(bit), Feature::XSS_PT.sibling(bit)],
        _ => [Feature::XCR0_LWP.sibling(bit & 31), None],
    };
    places.into_iter().flatten().filter(|feature| FeatureSet::COMPONENTS.contains(*feature))
}

/// The feature that enumerates an XSAVE component.
pub(crate) fn component(number: u32) -> Option<Feature> {
    components(number).next()
}

/// Whether the field's leaf is enumerated by these features.
pub(crate) fn is_open(row: &FieldRow, features: &FeatureSet) -> bool {
    row.requires.is_empty() || features.contains_any(row.requires)
}

//! The pool: an accumulator of facts about machines. Nothing is decided here, so order and grouping cannot matter.

use cpuid_db::{FIELD_SLOTS, Feature, FeatureSet, Field, FieldAt, FieldRow, Merge, ZeroMeans};

use crate::facts::{Sayings, SlotSet};
use crate::identity::Identities;
use crate::{FieldValue, Identity, Tally, View, WITNESSES};

/// One kind of core of a machine: what it is, what the hypervisor can give there.
#[derive(Clone, Copy, Debug)]
pub struct Core<'a> {
    /// Who it says it is.
    pub identity: Identity,
    /// The hardware.
    pub raw: &'a View,
    /// The ceiling: the hypervisor's view, or again the hardware's when no hypervisor is to be considered.
    pub ceiling: &'a View,
}

/// One machine: its cores, mostly one kind. A guest may land on any of them.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// Identifies the machine in witnesses; below `u32::MAX`.
    pub id: u32,
    /// Its kinds of core.
    pub cores: &'a [Core<'a>],
}

/// What is known about one merged field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FieldFacts<const W: usize> {
    pub(crate) min: u64,
    pub(crate) max: u64,
    pub(crate) and: u64,
    pub(crate) or: u64,
    pub(crate) at_min: Tally<W>,
    pub(crate) at_max: Tally<W>,
    pub(crate) unknown: Tally<W>,
}

impl<const W: usize> FieldFacts<W> {
    const NONE: Self =
        Self { min: u64::MAX, max: 0, and: u64::MAX, or: 0, at_min: Tally::EMPTY, at_max: Tally::EMPTY, unknown: Tally::EMPTY };

    /// Whether any machine contributed a value.
    pub(crate) const fn any(&self) -> bool {
        !self.at_min.is_empty()
    }

    /// What one machine says, which counts once however many kinds of core it has.
    fn of(id: u32, values: impl Iterator<Item = FieldValue>) -> Self {
        let mut facts = Self::NONE;
        let (mut any, mut unknown) = (false, false);
        for value in values {
            if let FieldValue::Known(value) = value {
                any = true;
                (facts.min, facts.max) = (facts.min.min(value), facts.max.max(value));
                (facts.and, facts.or) = (facts.and & value, facts.or | value);
            }
            unknown |= value == FieldValue::Unknown;
        }
        if any {
            facts.at_min.add(id);
            facts.at_max.add(id);
        }
        if unknown {
            facts.unknown.add(id);
        }
        facts
    }

    fn merge(&mut self, other: &Self) {
        self.and &= other.and;
        self.or |= other.or;
        self.unknown.merge(&other.unknown);
        if !other.any() {
            return;
        }
        if !self.any() || other.min < self.min {
            (self.min, self.at_min) = (other.min, other.at_min);
        } else if other.min == self.min {
            self.at_min.merge(&other.at_min);
        }
        if self.at_max.is_empty() || other.max > self.max {
            (self.max, self.at_max) = (other.max, other.at_max);
        } else if other.max == self.max {
            self.at_max.merge(&other.at_max);
        }
    }
}

/// Facts about a set of machines, with up to `W` witnesses for each. A commutative monoid under [`Pool::merge`],
/// idempotent on facts (counts aside).
#[derive(Clone, PartialEq, Debug)]
pub struct Pool<const W: usize = WITNESSES> {
    machines: Tally<W>,
    pub(crate) identities: Identities,
    /// The hardware lacks it, and the ceiling does not give it.
    pub(crate) missing: Sayings<W>,
    /// The hardware has it, the ceiling does not give it.
    pub(crate) denied: Sayings<W>,
    /// Nobody knows.
    pub(crate) unknown: Sayings<W>,
    /// The hardware or the ceiling has it.
    pub(crate) having: Sayings<W>,
    /// Set if any machine's hardware has the bit.
    pub(crate) in_hardware: FeatureSet,
    fields: [FieldFacts<W>; FIELD_SLOTS],
    /// Fields of which any machine says something.
    told: SlotSet,
    /// Fields that are other than zero in some machine's hardware, whatever the ceiling gives.
    fields_in_hardware: SlotSet,
    /// Machines on which XBEGIN is undefined: neither RTM nor RTM_ALWAYS_ABORT.
    pub(crate) without_rtm_opcode: Tally<W>,
}

impl<const W: usize> Pool<W> {
    /// No machine.
    pub const fn new() -> Self {
        Self {
            machines: Tally::EMPTY,
            identities: Identities::NONE,
            missing: Sayings::NONE,
            denied: Sayings::NONE,
            unknown: Sayings::NONE,
            having: Sayings::NONE,
            in_hardware: FeatureSet::EMPTY,
            fields: [FieldFacts::NONE; FIELD_SLOTS],
            told: SlotSet::EMPTY,
            fields_in_hardware: SlotSet::EMPTY,
            without_rtm_opcode: Tally::EMPTY,
        }
    }

    /// Forgets all machines. Cheaper than a new pool, which is large, when few machines were added.
    pub fn clear(&mut self) {
        self.machines = Tally::EMPTY;
        self.identities = Identities::NONE;
        for sayings in [&mut self.missing, &mut self.denied, &mut self.unknown, &mut self.having] {
            sayings.clear();
        }
        self.in_hardware = FeatureSet::EMPTY;
        for slot in self.told.iter() {
            if let Some(facts) = self.fields.get_mut(slot) {
                *facts = FieldFacts::NONE;
            }
        }
        (self.told, self.fields_in_hardware) = (SlotSet::EMPTY, SlotSet::EMPTY);
        self.without_rtm_opcode = Tally::EMPTY;
    }

    /// Adds a machine.
    pub fn add(&mut self, machine: &Machine) {
        let before = self.machines;
        self.machines.add(machine.id);
        self.add_fields(machine);
        let mut sums = Sums::default();
        for core in machine.cores {
            self.identities.add(core.identity);
            sums.add(core);
            self.note_hardware(core.raw);
        }
        self.in_hardware = self.in_hardware.union(&sums.in_hardware);
        if sums.no_rtm_opcode {
            self.without_rtm_opcode.add(machine.id);
        }
        self.missing.add(machine.id, &sums.missing, &before);
        self.denied.add(machine.id, &sums.denied, &before);
        self.unknown.add(machine.id, &sums.unknown, &before);
        self.having.add(machine.id, &sums.having, &before);
    }

    fn add_fields(&mut self, machine: &Machine) {
        for field in Field::all() {
            let row = field.row();
            let Some(first) = row.slot.map(usize::from) else { continue };
            let (low, high) = row.subleaves();
            let slots = first..=first + (high - low) as usize;
            for (slot, facts) in slots.clone().zip(self.fields.get_mut(slots).unwrap_or(&mut [])) {
                let values = machine.cores.iter().filter_map(|core| core.ceiling.fields.get(slot).map(|value| (core, *value)));
                if !absence_counts(row) && values.clone().all(|(_, value)| value == FieldValue::Absent) {
                    continue;
                }
                let values =
                    values.map(|(core, value)| value_for(row, value, &|same| core.ceiling.field(FieldAt { field: same, subleaf: low })));
                let news = FieldFacts::of(machine.id, values);
                if news.any() || !news.unknown.is_empty() {
                    facts.merge(&news);
                    self.told.insert(slot);
                }
            }
        }
    }

    fn note_hardware(&mut self, raw: &View) {
        for (slot, value) in raw.fields.iter().enumerate() {
            if value.known().is_some_and(|value| value != 0) {
                self.fields_in_hardware.insert(slot);
            }
        }
    }

    /// Adds everything that another pool knows.
    pub fn merge(&mut self, other: &Self) {
        self.missing.merge(&other.missing, &self.machines, &other.machines);
        self.denied.merge(&other.denied, &self.machines, &other.machines);
        self.unknown.merge(&other.unknown, &self.machines, &other.machines);
        self.having.merge(&other.having, &self.machines, &other.machines);
        self.machines.merge(&other.machines);
        self.identities.merge(&other.identities);
        self.in_hardware = self.in_hardware.union(&other.in_hardware);
        self.without_rtm_opcode.merge(&other.without_rtm_opcode);
        for slot in other.told.iter() {
            if let (Some(mine), Some(theirs)) = (self.fields.get_mut(slot), other.fields.get(slot)) {
                mine.merge(theirs);
            }
        }
        self.told.merge(&other.told);
        self.fields_in_hardware.merge(&other.fields_in_hardware);
    }

    /// The machines: how many, and the first few.
    pub const fn machines(&self) -> &Tally<W> {
        &self.machines
    }

    /// Machines whose hardware lacks the feature.
    pub fn missing(&self, feature: Feature) -> &Tally<W> {
        self.missing.of(feature, &self.machines)
    }

    /// Machines whose hardware has the feature while the hypervisor does not give it.
    pub fn denied(&self, feature: Feature) -> &Tally<W> {
        self.denied.of(feature, &self.machines)
    }

    /// Machines of which nobody knows.
    pub fn unknown(&self, feature: Feature) -> &Tally<W> {
        self.unknown.of(feature, &self.machines)
    }

    /// Machines that have the feature.
    pub fn having(&self, feature: Feature) -> &Tally<W> {
        self.having.of(feature, &self.machines)
    }

    /// Features that some machine lacks, by missing, denial or ignorance.
    pub(crate) fn lacked(&self) -> FeatureSet {
        self.missing.any.union(&self.denied.any).union(&self.unknown.any)
    }

    /// Fields of which any machine says something, in order of slot.
    pub(crate) fn told(&self) -> impl Iterator<Item = (usize, &FieldFacts<W>)> {
        self.told.iter().filter_map(|slot| Some((slot, self.fields.get(slot)?)))
    }

    /// Whether some machine's hardware has a value other than zero in this field.
    pub(crate) fn is_field_in_hardware(&self, slot: usize) -> bool {
        self.fields_in_hardware.contains(slot)
    }

    pub(crate) fn facts(&self, slot: usize) -> Option<&FieldFacts<W>> {
        self.fields.get(slot)
    }

    /// Machines at the smallest value of a field, at the largest, and those of which nobody knows.
    pub fn field_witnesses(&self, at: FieldAt) -> Option<(&Tally<W>, &Tally<W>, &Tally<W>)> {
        let facts = self.fields.get(at.slot()?)?;
        Some((&facts.at_min, &facts.at_max, &facts.unknown))
    }
}

impl<const W: usize> Default for Pool<W> {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a machine without the field has a say: where the smallest value wins, having nothing is the smallest value.
const fn absence_counts(row: &FieldRow) -> bool {
    matches!(row.merge, Merge::Min | Merge::And | Merge::EqualOrZero)
}

/// What counts as a machine's value in a merge.
pub(crate) fn value_for(row: &FieldRow, value: FieldValue, other: &dyn Fn(Field) -> FieldValue) -> FieldValue {
    let value = if absence_counts(row) && value == FieldValue::Absent { FieldValue::Known(0) } else { value };
    match (row.zero_means, value) {
        (ZeroMeans::Absent, FieldValue::Known(0)) => FieldValue::Absent,
        (ZeroMeans::Number(number), FieldValue::Known(0)) => FieldValue::Known(number),
        // The other field says what its own zero means; it does not point further.
        (ZeroMeans::SameAs(field), FieldValue::Known(0)) => value_for(field.row(), other(field), &|_| FieldValue::Absent),
        (_, value) => value,
    }
}

/// One machine's bits, summed over its kinds of core: it lacks what any core lacks, and has what any core has.
#[derive(Default)]
struct Sums {
    missing: FeatureSet,
    denied: FeatureSet,
    unknown: FeatureSet,
    having: FeatureSet,
    in_hardware: FeatureSet,
    no_rtm_opcode: bool,
}

impl Sums {
    fn add(&mut self, core: &Core) {
        let (raw, ceiling) = (core.raw, core.ceiling);
        let has = raw.features.difference(&raw.unknown);
        let lacks = FeatureSet::ALL.difference(&ceiling.features).difference(&ceiling.unknown);
        // What the ceiling refuses whatever the hardware has is a denial even where nobody knows what the hardware has.
        let denied = lacks.intersection(&has.union(&raw.unknown));
        let missing = lacks.difference(&denied);
        self.missing = self.missing.union(&missing);
        self.denied = self.denied.union(&denied);
        self.unknown = self.unknown.union(&ceiling.unknown).union(&raw.unknown.difference(&ceiling.features));
        self.in_hardware = self.in_hardware.union(&has);
        self.having = self.having.union(&has).union(&ceiling.features);
        let opcode = [Feature::RTM, Feature::RTM_ALWAYS_ABORT];
        self.no_rtm_opcode |= !raw.features.contains_any(&opcode);
    }
}

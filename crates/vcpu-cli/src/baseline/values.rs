//! Which machine has which value of a field.

use std::collections::BTreeMap;

use cpu_caps::{FieldValue, field_slots};
use cpuid_db::{Feature, FieldAt, FieldPlace, Gate, OnConflict, ZeroMeans};

use super::Fleet;
use crate::words;

/// The values of one field in a pool, under the ceiling.
#[derive(Debug, Default)]
pub(crate) struct Values<'a> {
    /// Each value with the machines that have it.
    pub(crate) known: BTreeMap<u64, Vec<&'a str>>,
    /// The machines of which nobody knows.
    pub(crate) unknown: Vec<&'a str>,
    /// The machines that have no such field.
    absent: Vec<&'a str>,
}

impl<'a> Values<'a> {
    /// Looks at every machine.
    pub(crate) fn of(fleet: &'a Fleet, at: FieldAt) -> Self {
        let mut values = Self::default();
        for host in &fleet.hosts {
            for core in &host.cores {
                let list = match core.ceiling.field(at) {
                    FieldValue::Known(0) if at.field.row().zero_means == ZeroMeans::Absent => &mut values.absent,
                    FieldValue::Absent => &mut values.absent,
                    FieldValue::Known(value) => values.known.entry(value).or_default(),
                    FieldValue::Unknown => &mut values.unknown,
                };
                if list.last() != Some(&host.name.as_str()) {
                    list.push(&host.name);
                }
            }
        }
        values
    }

    /// All machines that have a value, in order.
    pub(crate) fn hosts(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.known.values().flatten().copied().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// `46 on a and b; 52 on c; none on d`.
    pub(crate) fn text(&self) -> String {
        const MOST: usize = 6;
        let mut parts: Vec<String> = self
            .known
            .iter()
            .take(MOST)
            .map(|(value, names)| format!("{} on {}", words::number(*value), words::some_of(names, names.len(), 3)))
            .collect();
        if self.known.len() > MOST {
            parts.push(format!("{} more values", self.known.len() - MOST));
        }
        if !self.absent.is_empty() {
            parts.push(format!("none on {}", words::some_of(&self.absent, self.absent.len(), 3)));
        }
        parts.join("; ")
    }
}

/// The field on whose values this feature hangs and on which machines differ, or of which nobody knows the values.
pub(crate) fn in_conflict(fleet: &Fleet, feature: Feature) -> Option<(FieldAt, Values<'_>)> {
    let components = feature.row().gates.iter().filter_map(|gate| match gate {
        Gate::Xcr0(bit) | Gate::Xss(bit) => Some(u32::from(*bit)),
        _ => None,
    });
    let components: Vec<u32> = components.collect();
    let decides = |at: &FieldAt| match at.field.row().on_conflict {
        OnConflict::Withhold(withheld) => withheld == feature,
        OnConflict::WithholdComponent => {
            matches!(at.field.row().place, FieldPlace::Cpuid { leaf: 0xd, .. }) && components.contains(&at.subleaf)
        }
        OnConflict::Refuse | OnConflict::Chosen => false,
    };
    let values = field_slots().filter(decides).map(|at| (at, Values::of(fleet, at)));
    values.into_iter().find(|(_, values)| values.known.len() > 1 || !values.unknown.is_empty())
}

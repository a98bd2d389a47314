//! The rows of the matrix: every decision of the policy object, in order of place, grouped by leaf or MSR.

use std::collections::HashMap;

use cpuid_db::{Feature, FeatureText, Field, FieldAt, FieldPlace, LeafRow, Location, Register, leaves};
use serde_json::Value;

use crate::words;

/// What a row is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    /// A bit.
    Feature(Feature),
    /// A number that a rule merges.
    Field(FieldAt),
    /// A number that no rule merges.
    Static(Field),
    /// A bit or register that the database does not know.
    Unknown,
}

/// One decision.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) subject: Subject,
    /// Which of the groups it belongs to.
    pub(super) group: usize,
    /// `7.0.EBX[5]`, short for the matrix.
    pub(super) place: String,
    /// The decision, as the policy object tells it.
    pub(super) decision: Value,
}

/// A leaf or MSR, over the rows that belong to it.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) label: String,
    pub(super) title: &'static str,
}

/// Groups in order, and rows in order of group and place.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) groups: Vec<Group>,
    pub(super) rows: Vec<Row>,
}

/// Where a row belongs: leaves by number, then MSRs, then what nobody knows; inside of them by subleaf, register and bit.
type Key = (Home, u32, Option<Register>, u8);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Home {
    Leaf(u32, Option<[u8; 12]>),
    Msr(u32),
    Nowhere,
}

impl Home {
    fn group(self) -> Group {
        let row = |wanted: &dyn Fn(&LeafRow) -> bool| leaves().iter().find(|row| wanted(row));
        let title = |row: Option<&'static LeafRow>| row.map_or("", |row| row.title);
        match self {
            Self::Leaf(leaf, owner) => {
                let row = row(&|row| row.leaf == Some(leaf) && row.hypervisor == owner);
                Group { label: format!("CPUID {leaf:X}H"), title: title(row) }
            }
            Self::Msr(index) => {
                let row = row(&|row| row.leaf.is_none() && row.msr == index);
                let name = row.map_or("", |row| row.name);
                Group { label: format!("MSR {index:X}H {name}").trim_end().to_owned(), title: title(row) }
            }
            Self::Nowhere => Group { label: "Unknown bits".to_owned(), title: "Set on a host, and not named by any manual we know" },
        }
    }
}

impl Rows {
    /// Sorts the decisions of a policy object.
    pub(super) fn of(decisions: &Value) -> Self {
        let names = Names::new();
        let mut keyed: Vec<(Key, Row)> = decisions.as_array().into_iter().flatten().map(|decision| names.row(decision)).collect();
        // Unknown bits keep the order of the policy object.
        keyed.sort_by_key(|(key, _)| *key);
        let mut groups: Vec<Group> = Vec::new();
        let mut last = None;
        let mut rows = Vec::with_capacity(keyed.len());
        for ((home, ..), mut row) in keyed {
            if last.replace(home) != Some(home) {
                groups.push(home.group());
            }
            row.group = groups.len() - 1;
            rows.push(row);
        }
        Self { groups, rows }
    }
}

impl Row {
    fn member(&self, key: &str) -> &str {
        self.decision.get(key).and_then(Value::as_str).unwrap_or("")
    }

    /// The name of the feature or field.
    pub(super) fn name(&self) -> &str {
        let feature = self.member("feature");
        if feature.is_empty() { self.member("field") } else { feature }
    }

    pub(super) fn outcome(&self) -> &str {
        self.member("outcome")
    }

    /// The value that the guest sees, as people write it.
    pub(super) fn shown_value(&self) -> String {
        let digits = self.member("value").trim_start_matches("0x");
        match (&self.subject, u64::from_str_radix(digits, 16)) {
            (Subject::Feature(_), Ok(value)) => (if value == 0 { "off" } else { "on" }).to_owned(),
            (_, Ok(value)) => words::number(value),
            (_, Err(_)) => String::new(),
        }
    }

    /// The cause in one sentence, without the name before it.
    pub(super) fn cause(&self) -> &str {
        let text = self.decision.get("because").and_then(|because| because.get("text")).and_then(Value::as_str).unwrap_or("");
        text.split_once(": ").map_or(text, |(_, clause)| clause)
    }

    /// What the database says in words.
    pub(super) fn text(&self) -> Option<&'static FeatureText> {
        match self.subject {
            Subject::Feature(feature) => Some(feature.text()),
            Subject::Field(FieldAt { field, .. }) | Subject::Static(field) => Some(field.text()),
            Subject::Unknown => None,
        }
    }
}

/// From the names in decisions back to what they name.
struct Names {
    features: HashMap<&'static str, Feature>,
    fields: HashMap<&'static str, Field>,
}

impl Names {
    fn new() -> Self {
        Self {
            features: Feature::all().map(|feature| (feature.name(), feature)).collect(),
            fields: Field::all().map(|field| (field.name(), field)).collect(),
        }
    }

    fn row(&self, decision: &Value) -> (Key, Row) {
        let word = |key: &str| decision.get(key).and_then(Value::as_str);
        let feature = word("feature").and_then(|name| self.features.get(name));
        let field = word("field").and_then(|name| self.fields.get(name));
        let subleaf = word("subleaf").and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok());
        let (subject, key, place) = match (feature, field) {
            (Some(feature), _) => (Subject::Feature(*feature), feature_key(*feature), feature.location().to_string()),
            (None, Some(field)) => {
                let place = words::field_place(*field, subleaf);
                (field_subject(*field, subleaf), field_key(*field, subleaf), place)
            }
            (None, None) => (Subject::Unknown, (Home::Nowhere, 0, None, 0), word("field").unwrap_or("").to_owned()),
        };
        let place = place.trim_start_matches("CPUID.").to_owned();
        (key, Row { subject, group: 0, place, decision: decision.clone() })
    }
}

fn feature_key(feature: Feature) -> Key {
    let owner = cpuid_db::words().get(feature.word()).and_then(|word| word.hypervisor);
    match feature.location() {
        Location::Cpuid { leaf, subleaf, register, bit } => (Home::Leaf(leaf, owner), subleaf, Some(register), bit),
        Location::Msr { index, bit } => (Home::Msr(index), 0, None, bit),
    }
}

fn field_subject(field: Field, subleaf: Option<u32>) -> Subject {
    let row = field.row();
    match row.slot {
        Some(_) => Subject::Field(FieldAt { field, subleaf: subleaf.unwrap_or(row.subleaves().0) }),
        None => Subject::Static(field),
    }
}

fn field_key(field: Field, subleaf: Option<u32>) -> Key {
    let row = field.row();
    match row.place {
        FieldPlace::Cpuid { leaf, first, register, .. } => {
            (Home::Leaf(leaf, row.hypervisor), subleaf.unwrap_or(first), Some(register), row.low)
        }
        FieldPlace::Msr { index } => (Home::Msr(index), 0, None, row.low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_name_leads_back_to_its_place() {
        let decisions = json!([
            { "field": "CPUID.7.1.EDX[31]", "outcome": "withheld" },
            { "field": "XSTATE_SIZE", "subleaf": "0x09", "outcome": "granted", "value": "0x8" },
            { "feature": "RDCL_NO", "outcome": "withheld" },
            { "feature": "AVX2", "outcome": "granted", "because": { "text": "AVX2: given: twice" } },
            { "field": "CACHE4_TYPE", "outcome": "chosen", "value": "0xabcdef" },
        ]);
        let Rows { groups, rows } = Rows::of(&decisions);
        let labels: Vec<&str> = groups.iter().map(|group| group.label.as_str()).collect();
        assert_eq!(labels, ["CPUID 4H", "CPUID 7H", "CPUID DH", "MSR 10AH IA32_ARCH_CAPABILITIES", "Unknown bits"]);
        let places: Vec<&str> = rows.iter().map(|row| row.place.as_str()).collect();
        assert_eq!(places, ["4.*.EAX[4:0]", "7.0.EBX[5]", "D.9.EAX[31:0]", "MSR.10A[0]", "7.1.EDX[31]"]);
        assert_eq!(rows.iter().map(|row| row.group).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!((rows[1].name(), rows[1].cause()), ("AVX2", "given: twice"));
        assert_eq!(rows[0].shown_value(), "0xabcdef");
        assert_eq!(rows[2].shown_value(), "8");
        assert_eq!(rows[2].subject, Subject::Field(FieldAt { field: Field::XSTATE_SIZE, subleaf: 9 }));
    }
}

//! What a gap is about, in names, places and values.

use cpu_caps::{Gap, Subject};
use cpuid_db::Vendor;
use serde_json::{Value, json};

use crate::words;

/// The name: a feature, a field, an MSR.
pub(crate) fn name(subject: Subject) -> String {
    match subject {
        Subject::Vendor => "VENDOR".to_owned(),
        Subject::Feature(feature) => feature.name().to_owned(),
        Subject::Field(at) => match at.field.row().subleaves() {
            (first, last) if first == last => at.field.name().to_owned(),
            _ => format!("{} {:X}", at.field.name(), at.subleaf),
        },
        Subject::Msr(index) => words::msr(index),
        Subject::TscFrequency => "TSC_FREQUENCY".to_owned(),
    }
}

/// The place.
pub(crate) fn place(subject: Subject) -> String {
    match subject {
        Subject::Vendor => "CPUID.0.0".to_owned(),
        Subject::Feature(feature) => feature.location().to_string(),
        Subject::Field(at) => words::field_place(at.field, Some(at.subleaf)),
        Subject::Msr(index) => format!("MSR.{index:X}"),
        Subject::TscFrequency => "CPUID.15.0".to_owned(),
    }
}

/// The documents behind the row.
pub(crate) fn sources(subject: Subject) -> Vec<String> {
    let cites = match subject {
        Subject::Feature(feature) => feature.text().cite,
        Subject::Field(at) => at.field.text().cite,
        Subject::Vendor | Subject::Msr(_) | Subject::TscFrequency => &[],
    };
    cites.iter().filter_map(|cite| crate::causes::sources::document(cite)).collect()
}

/// The value on one side, for programs; null where nobody recorded it.
pub(crate) fn value(subject: Subject, value: Option<u64>, vendor: Vendor) -> Value {
    match subject {
        Subject::Vendor => json!(words::vendor_string(vendor)),
        _ => value.map_or(Value::Null, crate::json::hex),
    }
}

/// Both values, for people; empty for features, whose kind of gap says it all.
pub(crate) fn values(gap: &Gap, guest: Vendor, host: Vendor) -> String {
    let number = |value: Option<u64>| match (gap.subject, value) {
        (_, None) => "not recorded".to_owned(),
        (Subject::TscFrequency, Some(hertz)) => format!("{}.{:03} MHz", hertz / 1_000_000, hertz / 1000 % 1000),
        (Subject::Msr(_), Some(value)) => format!("{value:#x}"),
        (_, Some(value)) => words::number(value),
    };
    match gap.subject {
        Subject::Feature(_) => String::new(),
        Subject::Vendor => format!("guest {}, here {}", words::vendor(guest), words::vendor(host)),
        Subject::Msr(_) => format!("bits refused {}, taken {}", number(gap.guest), number(gap.host)),
        _ => format!("guest {}, here {}", number(gap.guest), number(gap.host)),
    }
}

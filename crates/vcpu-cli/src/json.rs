//! The JSON that several commands share: leaves, MSRs, features, and how a document is laid out.

use cpu_dumps::Machine;
use cpuid_db::{CpuidTable, Feature, FeatureSet, Location, MsrEntry, Policy, Register, Unrecorded};
use serde_json::{Map, Value, json};

use crate::words;

/// A 32-bit number.
pub(crate) fn hex32(value: u32) -> Value {
    Value::String(format!("0x{value:08x}"))
}

/// The number of a subleaf.
pub(crate) fn hex_subleaf(subleaf: u32) -> Value {
    Value::String(format!("0x{subleaf:02x}"))
}

/// A number of no fixed size.
pub(crate) fn hex(value: u64) -> Value {
    Value::String(format!("{value:#x}"))
}

/// All entries of a CPUID table.
pub(crate) fn leaves(table: &CpuidTable) -> Value {
    let entry = |entry: &cpuid_db::CpuidEntry| {
        let mut object = Map::new();
        object.insert("leaf".to_owned(), hex32(entry.leaf));
        object.insert("subleaf".to_owned(), hex_subleaf(entry.subleaf));
        for register in Register::ALL {
            object.insert(register.name().to_owned(), hex32(entry.registers.get(register)));
        }
        Value::Object(object)
    };
    table.entries().iter().map(entry).collect()
}

/// MSRs and their values.
pub(crate) fn msrs(entries: &[MsrEntry]) -> Value {
    let entry = |entry: &MsrEntry| json!({ "index": hex32(entry.index), "value": format!("0x{:016x}", entry.value) });
    entries.iter().map(entry).collect()
}

/// A feature by name and place.
pub(crate) fn feature(feature: Feature) -> Value {
    match feature.location() {
        Location::Cpuid { leaf, subleaf, register, bit } => json!({
            "name": feature.name(), "leaf": hex32(leaf), "subleaf": hex_subleaf(subleaf), "register": register.name(), "bit": bit,
        }),
        Location::Msr { index, bit } => json!({ "name": feature.name(), "msr": hex(u64::from(index)), "bit": bit }),
    }
}

/// All features of a set.
pub(crate) fn features(set: &FeatureSet) -> Value {
    set.iter().map(feature).collect()
}

/// Places that a dump could not tell.
pub(crate) fn unrecorded(places: &[Unrecorded]) -> Value {
    let place = |place: &Unrecorded| match *place {
        Unrecorded::Cpuid { leaf, subleaf } => json!({ "leaf": hex32(leaf), "subleaf": hex_subleaf(subleaf) }),
        Unrecorded::Msr { index } => json!({ "msr": hex32(index) }),
    };
    places.iter().map(place).collect()
}

/// Who a CPU says it is.
pub(crate) fn identity(policy: &Policy) -> Value {
    let (vendor, signature) = (policy.vendor(), policy.signature());
    json!({
        "vendor": words::vendor_string(vendor),
        "family": signature.family(),
        "model": signature.model(),
        "stepping": signature.stepping(),
        "brand": words::brand(&policy.brand()),
    })
}

/// Who recorded a dump, and on what.
pub(crate) fn provenance(machine: &Machine) -> Value {
    let provenance = &machine.provenance;
    let mut object = Map::new();
    object.insert("format".to_owned(), machine.format.name().into());
    for (key, text) in
        [("tool", &provenance.tool), ("kernel", &provenance.kernel), ("microcode", &provenance.microcode), ("source", &provenance.source)]
    {
        if let Some(text) = text {
            object.insert(key.to_owned(), text.as_str().into());
        }
    }
    Value::Object(object)
}

/// How deep a document is spread over lines: its members, and the items of its lists.
const SPREAD: usize = 2;

/// A document as text: one line per member, and one per item of a member that is a list.
pub(crate) fn document(value: &Value) -> String {
    let mut text = String::new();
    spread(value, if value.is_array() { SPREAD + 1 } else { SPREAD }, 0, &mut text);
    text.push('\n');
    text
}

fn spread(value: &Value, levels: usize, depth: usize, text: &mut String) {
    let new_line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    match value {
        Value::Object(members) if levels > 0 && !members.is_empty() && (depth == 0 || levels == SPREAD) => {
            for (at, (key, value)) in members.iter().enumerate() {
                text.push_str(if at == 0 { "{" } else { "," });
                new_line(text, depth + 1);
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push_str(": ");
                spread(value, levels - 1, depth + 1, text);
            }
            new_line(text, depth);
            text.push('}');
        }
        Value::Array(items) if levels > 0 && !items.is_empty() => {
            for (at, value) in items.iter().enumerate() {
                text.push_str(if at == 0 { "[" } else { "," });
                new_line(text, depth + 1);
                spread(value, levels - 1, depth + 1, text);
            }
            new_line(text, depth);
            text.push(']');
        }
        _ => text.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_spread_and_stay_the_same() {
        let one = json!({ "a": 1, "b": [{ "c": [1, 2] }, {}], "d": [], "e": { "f": "\u{7}\"" } });
        let text = document(&one);
        assert_eq!(
            text,
            "{\n  \"a\": 1,\n  \"b\": [\n    {\"c\":[1,2]},\n    {}\n  ],\n  \"d\": [],\n  \"e\": {\"f\":\"\\u0007\\\"\"}\n}\n"
        );
        for value in [one.clone(), json!([one.clone(), one]), json!([]), json!({}), json!("x")] {
            let text = document(&value);
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value, "{text}");
        }
    }
}

//! The Rust tables: words, features, fields, leaves, control-register gates.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::data::{Emulated, RawRule, parse_kernel, parse_number};
use super::model::{ANY_SUBLEAF, Model, REGISTERS, Row};

/// `Eax` for 0.
pub(super) fn register(at: usize) -> String {
    let mut name = REGISTERS[at].to_owned();
    name[..1].make_ascii_uppercase();
    name
}

/// A name as a Rust constant: a digit cannot come first.
pub(crate) fn constant(name: &str) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name.to_owned() }
}

fn feature(name: &str) -> String {
    format!("Feature::{}", constant(name))
}

fn feature_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    format!("&[{}]", names.into_iter().map(feature).collect::<Vec<_>>().join(", "))
}

/// Twelve bytes, padded with zeros, as a byte string.
fn hypervisor(name: Option<&String>) -> String {
    match name {
        None => "None".into(),
        Some(name) => {
            let padding = "\\0".repeat(12usize.saturating_sub(name.len()));
            format!("Some(*b\"{name}{padding}\")")
        }
    }
}

/// One word of the dense feature array.
pub(crate) struct Word<'a> {
    place: String,
    hypervisor: Option<&'a String>,
    named: u32,
    first: usize,
    requires: &'a [String],
}

/// The registers that hold features, and for each feature its register and bit.
pub(crate) fn word_table(model: &Model) -> (Vec<Word<'_>>, Vec<(usize, u8)>) {
    let mut words: Vec<Word> = Vec::new();
    let mut spots = Vec::new();
    for (at, row) in model.features.iter().enumerate() {
        let unit = model.unit(row);
        let place = match (unit.leaf, unit.msr) {
            (Some(leaf), _) => format!(
                "Place::Cpuid {{ leaf: {leaf:#010x}, subleaf: {}, register: Register::{} }}",
                row.span.first,
                register(row.span.register)
            ),
            (None, msr) => format!("Place::Msr {{ index: {:#010x}, high: {} }}", msr.unwrap_or(0), row.span.low >= 32),
        };
        let fresh = words.last().is_none_or(|word| word.place != place || word.hypervisor != unit.hypervisor.as_ref());
        if fresh {
            words.push(Word { place, hypervisor: unit.hypervisor.as_ref(), named: 0, first: at, requires: &unit.requires });
        }
        let bit = row.span.low & 31;
        if let Some(word) = words.last_mut() {
            word.named |= 1 << bit;
        }
        spots.push((words.len() - 1, bit));
    }
    (words, spots)
}

/// `words.rs`.
pub(crate) fn words(model: &Model) -> String {
    let (words, _) = word_table(model);
    let mut text = String::from("//! Registers that hold features.\n//@BANNER\nuse crate::{Feature, Place, Register, Word};\n\n");
    let _ = writeln!(text, "/// How many 32-bit words a feature set has.\npub const WORD_COUNT: usize = {};\n", words.len());
    text.push_str("pub(crate) const WORDS: [Word; WORD_COUNT] = [\n");
    for word in words {
        let _ = writeln!(
            text,
            "    Word {{ place: {}, named: {:#010x}, first: {}, requires: {}, hypervisor: {} }},",
            word.place,
            word.named,
            word.first,
            feature_list(word.requires.iter().map(String::as_str)),
            hypervisor(word.hypervisor)
        );
    }
    text.push_str("];\n");
    text
}

fn camel(word: &str) -> String {
    if word == "x86_64" {
        return "X86_64".into();
    }
    word.split(['-', '_']).map(|part| part[..1].to_uppercase() + &part[1..]).collect()
}

fn bit_set(kind: &str, words: &[String]) -> String {
    let parts: Vec<String> = words.iter().map(|word| format!("{kind}::{}.bits()", word.to_uppercase())).collect();
    format!("{kind}::from_bits_retain({})", parts.join(" | "))
}

/// Parses `insn:X`, `cr4:X`, `msr:0x48[1]`... into the Rust value.
pub(crate) fn gate(text: &str) -> Option<String> {
    let (kind, what) = text.split_once(':')?;
    Some(match kind {
        "insn" => format!("Gate::Instruction(\"{what}\")"),
        "cr4" => format!("Gate::Cr4({})", CR4.iter().find(|(name, _)| *name == what)?.1),
        "efer" => format!("Gate::Efer({})", EFER.iter().find(|(name, _)| *name == what)?.1),
        "xcr0" => format!("Gate::Xcr0({})", what.parse::<u8>().ok().filter(|bit| *bit < 64)?),
        "xss" => format!("Gate::Xss({})", what.parse::<u8>().ok().filter(|bit| *bit < 64)?),
        "msr" => match what.split_once('[') {
            Some((index, bit)) => {
                let bit: u8 = bit.strip_suffix(']')?.parse().ok().filter(|bit| *bit < 64)?;
                format!("Gate::MsrBit({:#x}, {bit})", parse_number(index)?)
            }
            None => format!("Gate::Msr({:#x})", parse_number(what)?),
        },
        _ => return None,
    })
}

/// CR4 bits by the manuals' names.
const CR4: [(&str, u8); 28] = [
    ("VME", 0),
    ("PVI", 1),
    ("TSD", 2),
    ("DE", 3),
    ("PSE", 4),
    ("PAE", 5),
    ("MCE", 6),
    ("PGE", 7),
    ("PCE", 8),
    ("OSFXSR", 9),
    ("OSXMMEXCPT", 10),
    ("UMIP", 11),
    ("LA57", 12),
    ("VMXE", 13),
    ("SMXE", 14),
    ("FSGSBASE", 16),
    ("PCIDE", 17),
    ("OSXSAVE", 18),
    ("KL", 19),
    ("SMEP", 20),
    ("SMAP", 21),
    ("PKE", 22),
    ("CET", 23),
    ("PKS", 24),
    ("UINTR", 25),
    ("LASS", 27),
    ("LAM_SUP", 28),
    ("FRED", 32),
];

/// EFER bits by the manuals' names.
const EFER: [(&str, u8); 12] = [
    ("SCE", 0),
    ("LME", 8),
    ("LMA", 10),
    ("NXE", 11),
    ("SVME", 12),
    ("LMSLE", 13),
    ("FFXSR", 14),
    ("TCE", 15),
    ("MCOMMIT", 17),
    ("INTWB", 18),
    ("UAIE", 20),
    ("AIBRSE", 21),
];

/// All prerequisites of a row, the file's own first; `(alternatives, kind)`.
pub(crate) fn edges(model: &Model, row: &Row) -> Vec<(Vec<String>, String, String)> {
    let unit = model.unit(row);
    let mut edges = Vec::new();
    if !unit.requires.is_empty() && !unit.requires.contains(&row.name) {
        let what = unit.leaf.map_or_else(|| unit.name.clone(), |leaf| format!("leaf {leaf:X}H"));
        edges.push((unit.requires.clone(), "architectural".into(), format!("{what} exists only with it")));
    }
    for edge in &row.requires {
        let any = edge.any.clone().unwrap_or_else(|| edge.feature.iter().cloned().collect());
        edges.push((any, edge.kind.clone(), edge.because.clone()));
    }
    edges
}

/// `6.12` as the Rust value.
fn kernel(text: &str) -> String {
    let (major, minor) = parse_kernel(text).unwrap_or_default();
    format!("KernelVersion::new({major}, {minor})")
}

fn kvm_rule(rule: &RawRule) -> String {
    let mut parts = Vec::new();
    for (key, list) in [("all", &rule.all), ("none", &rule.none)] {
        if !list.is_empty() {
            parts.push(format!("{key}: {}", feature_list(list.iter().map(String::as_str))));
        }
    }
    if !rule.vendors.is_empty() {
        parts.push(format!("vendors: {}", bit_set("Vendors", &rule.vendors)));
    }
    if let (Some(_), Some((first, last))) = (&rule.families, rule.families()) {
        parts.push(format!("families: ({first:#x}, {last:#x})"));
    }
    let models = rule.models().unwrap_or_default();
    if !models.is_empty() {
        let ranges: Vec<String> = models.iter().map(|(first, last)| format!("({first:#x}, {last:#x})")).collect();
        parts.push(format!("models: &[{}]", ranges.join(", ")));
    }
    if let Some(since) = &rule.since {
        parts.push(format!("since: {}", kernel(since)));
    }
    if let Some(before) = &rule.before {
        parts.push(format!("before: Some({})", kernel(before)));
    }
    parts.push("..KvmRule::PLAIN".into());
    format!("KvmRule {{ {} }}", parts.join(", "))
}

fn feature_row(model: &Model, row: &Row) -> String {
    let raw = &row.raw;
    let mut parts = Vec::new();
    let mut put = |key: &str, value: String| parts.push(format!("{key}: {value}"));
    if row.merge != "and" {
        put("merge", format!("Merge::{}", camel(&row.merge)));
    }
    if !row.vendors.is_empty() {
        put("vendors", bit_set("Vendors", &row.vendors));
    }
    if raw.kvm != "never" {
        put("kvm", format!("Kvm::{}", camel(&raw.kvm)));
    }
    if !raw.kvm_if.is_empty() {
        put("kvm_if", bit_set("KvmInputs", &raw.kvm_if));
    }
    if !raw.kvm_not.is_empty() {
        put("kvm_not", bit_set("KvmModules", &raw.kvm_not));
    }
    let rules: Vec<String> = raw.kvm_from.rules().iter().map(kvm_rule).collect();
    if !rules.is_empty() {
        put("kvm_from", format!("&[{}]", rules.join(", ")));
    }
    if !raw.kvm_needs.is_empty() {
        put("kvm_needs", feature_list(raw.kvm_needs.iter().map(String::as_str)));
    }
    if let Some(since) = &raw.kvm_since {
        put("kvm_since", kernel(since));
    }
    match &raw.emulated {
        None | Some(Emulated::Always(false)) => {}
        Some(Emulated::Always(true)) => put("emulation", "Emulation::Always".into()),
        Some(Emulated::With(name)) => put("emulation", format!("Emulation::With({})", feature(name))),
    }
    for (key, on) in [("innate", raw.innate), ("intercepted", raw.intercepted)] {
        if on {
            put(key, "true".into());
        }
    }
    let fixed = row.merge == "fixed" && raw.value.is_none();
    if fixed || raw.value.as_ref().and_then(super::data::Number::value) == Some(1) {
        put("value", "true".into());
    }
    if let Some(name) = &raw.alias_of {
        put("alias_of", format!("Some({})", feature(name)));
    }
    if let Some(name) = &raw.context {
        put("context", format!("Some(Context::{})", camel(name)));
    }
    let edges: Vec<String> = edges(model, row)
        .iter()
        .map(|(any, kind, _)| format!("Edge {{ any: {}, kind: EdgeKind::{} }}", feature_list(any.iter().map(String::as_str)), camel(kind)))
        .collect();
    if !edges.is_empty() {
        put("requires", format!("&[{}]", edges.join(", ")));
    }
    let gates: Vec<String> = raw.gates.iter().filter_map(|text| gate(text)).collect();
    if !gates.is_empty() {
        put("gates", format!("&[{}]", gates.join(", ")));
    }
    parts.push("..FeatureRow::PLAIN".into());
    format!("FeatureRow {{ {} }}", parts.join(", "))
}

/// `features.rs`.
pub(crate) fn features(model: &Model) -> String {
    let (_, spots) = word_table(model);
    let mut text = String::from(
        "//! Features: constants and rows.\n//@BANNER\nuse crate::{Context, Edge, EdgeKind, Emulation, Feature, FeatureRow, FeatureSet, Gate, KernelVersion, Kvm, KvmInputs, KvmModules, KvmRule, Merge, Vendors};\n\nimpl Feature {\n",
    );
    let _ = writeln!(text, "    /// How many features the database names.\n    pub const COUNT: usize = {};\n", model.features.len());
    for (row, (word, bit)) in model.features.iter().zip(&spots) {
        text.push_str(&super::docs::rustdoc(model, row));
        let _ = writeln!(text, "    pub const {}: Self = Self::at({word}, {bit});", constant(&row.name));
    }
    text.push_str("}\n\nimpl FeatureSet {\n");
    text.push_str("    /// What a 32-bit program does not see on CPUs that are not AMD-compatible, although LM says that it is there.\n");
    let hidden = model.features.iter().filter(|row| row.raw.only_in_64bit_mode);
    let hidden = hidden.fold("Self::EMPTY".to_owned(), |set, row| format!("{set}.with({})", feature(&row.name)));
    let _ = writeln!(text, "    pub const ONLY_IN_64BIT_MODE: Self = {hidden};");
    text.push_str("}\n\npub(crate) static FEATURES: [FeatureRow; Feature::COUNT] = [\n");
    for row in &model.features {
        let _ = writeln!(text, "    {}, // {}", feature_row(model, row), row.name);
    }
    text.push_str("];\n");
    text
}

/// `host`, `zero`, `min:N`... as the Rust value.
pub(crate) fn field_kvm(word: &str) -> Option<String> {
    let plain = match word {
        "host" => Some("FieldKvm::Host"),
        "zero" => Some("FieldKvm::Zero"),
        "derived" => Some("FieldKvm::Derived"),
        _ => None,
    };
    if let Some(plain) = plain {
        return Some(plain.into());
    }
    let (kind, number) = word.split_once(':')?;
    let kind = match kind {
        "min" => "AtMost",
        "max" => "AtLeast",
        "mask" => "Mask",
        "const" => "Const",
        _ => return None,
    };
    Some(format!("FieldKvm::{kind}({:#x})", parse_number(number)?))
}

/// Rules that merge a value per machine and so need storage.
pub(crate) fn is_merged(row: &Row) -> bool {
    ["and", "or", "min", "max", "equal", "equal-or-zero"].contains(&row.merge.as_str()) && (row.span.first, row.span.last) != ANY_SUBLEAF
}

fn on_conflict(word: &str) -> String {
    match word.strip_prefix("withhold:") {
        Some("XSTATE_COMPONENT") => "OnConflict::WithholdComponent".into(),
        Some(name) => format!("OnConflict::Withhold({})", feature(name)),
        None => format!("OnConflict::{}", camel(word)),
    }
}

fn field_row(model: &Model, row: &Row, slot: Option<u32>) -> String {
    let raw = &row.raw;
    let unit = model.unit(row);
    let place = match unit.leaf {
        Some(leaf) => format!(
            "FieldPlace::Cpuid {{ leaf: {leaf:#010x}, first: {}, last: {:#x}, register: Register::{} }}",
            row.span.first,
            row.span.last,
            register(row.span.register)
        ),
        None => format!("FieldPlace::Msr {{ index: {:#010x} }}", unit.msr.unwrap_or(0)),
    };
    let mut parts = vec![format!("place: {place}"), format!("high: {}, low: {}", row.span.high, row.span.low)];
    parts.push(format!("merge: Merge::{}", camel(&row.merge)));
    parts.push(format!("kvm: {}", field_kvm(&raw.kvm).unwrap_or_default()));
    parts.push(format!("slot: {}", slot.map_or("None".into(), |slot| format!("Some({slot})"))));
    if let Some(word) = &raw.on_conflict {
        parts.push(format!("on_conflict: {}", on_conflict(word)));
    }
    if let Some(zero) = &raw.zero_means {
        let value = match zero {
            super::data::Number::Text(word) if word == "absent" => "Absent".into(),
            super::data::Number::Text(name) if model.by_name.contains_key(name) => format!("SameAs(Field::{name})"),
            number => format!("Number({:#x})", number.value().unwrap_or(0)),
        };
        parts.push(format!("zero_means: ZeroMeans::{value}"));
    }
    let number = |number: &Option<super::data::Number>| number.as_ref().and_then(super::data::Number::value);
    if let Some(value) = number(&raw.value).filter(|value| *value != 0) {
        parts.push(format!("value: {value:#x}"));
    }
    if let Some(value) = number(&raw.default) {
        parts.push(format!("default: Some({value:#x})"));
    }
    if !raw.kvm_if.is_empty() {
        parts.push(format!("kvm_if: {}", bit_set("KvmInputs", &raw.kvm_if)));
    }
    if let Some(since) = &raw.kvm_since {
        parts.push(format!("kvm_since: {}", kernel(since)));
    }
    if let Some(name) = &raw.derive {
        parts.push(format!("derive: Some(Derive::{})", camel(name)));
    }
    if !unit.requires.is_empty() {
        parts.push(format!("requires: {}", feature_list(unit.requires.iter().map(String::as_str))));
    }
    if !row.vendors.is_empty() {
        parts.push(format!("vendors: {}", bit_set("Vendors", &row.vendors)));
    }
    if unit.hypervisor.is_some() {
        parts.push(format!("hypervisor: {}", hypervisor(unit.hypervisor.as_ref())));
    }
    parts.push("..FieldRow::PLAIN".into());
    format!("FieldRow {{ {} }}", parts.join(", "))
}

/// `fields.rs`.
pub(crate) fn fields(model: &Model) -> String {
    let mut text = String::from(
        "//! Fields: constants and rows.\n//@BANNER\nuse crate::{Derive, Feature, Field, FieldKvm, FieldPlace, FieldRow, KernelVersion, KvmInputs, Merge, OnConflict, Register, Vendors, ZeroMeans};\n\nimpl Field {\n",
    );
    let _ = writeln!(text, "    /// How many fields the database names.\n    pub const COUNT: usize = {};\n", model.fields.len());
    for (at, row) in model.fields.iter().enumerate() {
        text.push_str(&super::docs::rustdoc(model, row));
        let _ = writeln!(text, "    pub const {}: Self = Self({at});", constant(&row.name));
    }
    text.push_str("}\n\npub(crate) static FIELDS: [FieldRow; Field::COUNT] = [\n");
    let mut next = 0;
    for row in &model.fields {
        let slot = is_merged(row).then_some(next);
        if slot.is_some() {
            next += row.span.last - row.span.first + 1;
        }
        let _ = writeln!(text, "    {}, // {}", field_row(model, row, slot), row.name);
    }
    text.push_str("];\n\n");
    let _ = writeln!(
        text,
        "/// How many values one machine contributes to a pool: merged fields, each subleaf by itself.\npub const FIELD_SLOTS: usize = {next};"
    );
    text
}

/// `leaves.rs`.
pub(crate) fn leaves(model: &Model) -> String {
    let mut text = String::from(
        "//! Leaves and feature MSRs as wholes.\n//@BANNER\nuse crate::{Feature, LeafRow};\n\npub(crate) static LEAVES: &[LeafRow] = &[\n",
    );
    for unit in &model.units {
        let leaf = unit.leaf.map_or("None".into(), |leaf| format!("Some({leaf:#010x})"));
        let subleaves: Vec<String> = unit.subleaves.iter().map(|(first, last)| format!("({first}, {last:#x})")).collect();
        let _ = writeln!(
            text,
            "    LeafRow {{ leaf: {leaf}, msr: {:#x}, requires: {}, hypervisor: {}, subleaves: &[{}], indexed: {}, name: {:?}, title: {:?} }},",
            unit.msr.unwrap_or(0),
            feature_list(unit.requires.iter().map(String::as_str)),
            hypervisor(unit.hypervisor.as_ref()),
            subleaves.join(", "),
            unit.indexed,
            unit.name,
            unit.title
        );
    }
    text.push_str("];\n");
    text
}

/// `control.rs`: which features open which control-register bits.
pub(crate) fn control(model: &Model) -> String {
    let mut tables: BTreeMap<&str, BTreeMap<u8, Vec<&str>>> = ["CR4", "EFER", "XCR0", "XSS"].map(|name| (name, BTreeMap::new())).into();
    for row in &model.features {
        for gate in &row.raw.gates {
            let Some((kind, what)) = gate.split_once(':') else { continue };
            let bit = match kind {
                "cr4" => CR4.iter().find(|(name, _)| *name == what).map(|(_, bit)| *bit),
                "efer" => EFER.iter().find(|(name, _)| *name == what).map(|(_, bit)| *bit),
                "xcr0" | "xss" => what.parse().ok(),
                _ => None,
            };
            if let (Some(table), Some(bit)) = (tables.get_mut(kind.to_uppercase().as_str()), bit) {
                table.entry(bit).or_default().push(&row.name);
            }
        }
    }
    let mut text =
        String::from("//! Control-register bits and what opens them.\n//@BANNER\nuse crate::Feature;\nuse crate::control::ControlBit;\n");
    for (name, bits) in tables {
        let _ = writeln!(text, "\npub(crate) static {name}: &[ControlBit] = &[");
        for (bit, any) in bits {
            let _ = writeln!(text, "    ControlBit {{ bit: {bit}, any: {} }},", feature_list(any));
        }
        text.push_str("];\n");
    }
    text
}

//! Rows, lookup and texts as Rust.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::data::{RawKvm, RawMsr, Source};
use super::{Row, parse};
use crate::codegen::data::{Number, parse_number};
use crate::codegen::model::Model;
use crate::report::Problems;

/// `gp-counters` as `GpCounters`.
fn camel(word: &str) -> String {
    word.split('-').map(|part| part[..1].to_uppercase() + &part[1..]).collect()
}

fn word(kind: &str, value: Option<&String>, default: &str, known: &[&str]) -> Result<String, String> {
    let value = value.map_or(default, String::as_str);
    if known.contains(&value) {
        return Ok(format!("{kind}::{}", camel(value)));
    }
    Err(format!("`{value}` is not one of {}", known.join(", ")))
}

fn number(value: Option<&Number>) -> Result<Option<u64>, String> {
    value.map(|value| value.value().ok_or_else(|| format!("{value:?} is not a number"))).transpose()
}

fn vendors(words: &[String]) -> String {
    let parts: Vec<String> = words.iter().map(|word| format!("Vendors::{}.bits()", word.to_uppercase())).collect();
    if parts.is_empty() { "Vendors::empty()".to_owned() } else { format!("Vendors::from_bits_retain({})", parts.join(" | ")) }
}

fn effects(words: &[String]) -> String {
    let parts: Vec<String> = words.iter().map(|word| format!("Effects::{}.bits()", word.to_uppercase().replace('-', "_"))).collect();
    if parts.is_empty() { "Effects::empty()".to_owned() } else { format!("Effects::from_bits_retain({})", parts.join(" | ")) }
}

/// Makes one row; problems of its bits are reported with their own lines.
pub(super) fn row(mut source: Source, gates: &parse::Gates, model: &Model, problems: &mut Problems) -> Result<Row, String> {
    let (address, count, stride) = place(&source.raw)?;
    if source.raw.present.as_deref() == Some("gates") {
        let names = gates.present(address);
        source.raw.present = Some(names.ok_or_else(|| format!("no feature of the CPUID database has a gate `msr:{address:#x}`"))?);
    }
    let mut runs = Vec::new();
    for (bits, line) in source.raw.bits.iter().zip(&source.lines) {
        match parse::run(bits.get_ref(), address, gates, model) {
            Ok(run) => runs.push(run),
            Err(what) => problems.add(&source.file, *line, &what, "see data/README.md"),
        }
    }
    parse::covers(&runs).map_err(|what| format!("{}: {what}", source.raw.name))?;
    let kvm = source.raw.kvm.as_ref().map_or(Ok("None".to_owned()), |kvm| self::kvm(kvm, address, gates, model))?;
    let rust = rust(&source.raw, (address, count, stride), &runs, &kvm, model)?;
    let number = source.raw.family.as_ref().map_or(0, |family| family.number);
    Ok(Row { source, address, count, stride, number, runs, rust })
}

fn place(raw: &RawMsr) -> Result<(u32, u16, u16), String> {
    let parse = |text: &str| parse_number(text).and_then(|value| u32::try_from(value).ok()).ok_or(format!("`{text}` is no address"));
    match (&raw.address, &raw.family) {
        (Some(address), None) => Ok((parse(address)?, 1, 1)),
        (None, Some(family)) => Ok((parse(&family.first)?, family.count, family.stride)),
        _ => Err(format!("{} needs either an address or a family", raw.name)),
    }
}

fn rust(raw: &RawMsr, (address, count, stride): (u32, u16, u16), runs: &[parse::Run], kvm: &str, model: &Model) -> Result<String, String> {
    let present = raw.present.as_deref().map_or(Ok("Condition::ALWAYS".to_owned()), |text| parse::condition(text, model))?;
    let access = raw.access.as_deref().unwrap_or("rw");
    if !["rw", "r", "w", "host"].contains(&access) {
        return Err(format!("`{access}` is not rw, r, w or host"));
    }
    let limit = raw.family.as_ref().and_then(|family| family.limit.as_ref());
    let limits = ["all", "mc-banks", "gp-counters", "fixed-counters", "pt-ranges", "mtrr-ranges", "lbr-records", "lbr-stack"];
    let withins = ["all", "physical", "xss", "efer", "xfd", "counters", "fixed-control", "gp-counters", "gp-width", "fixed-width", "host"];
    let checks = ["any", "canonical", "pat", "memory-types", "memory-type", "all-or-nothing", "zero"];
    let phases = ["model", "sregs", "xsave", "lapic", "time", "early", "normal", "late"];
    let reset = match &raw.reset {
        Some(Number::Text(text)) if text == "gp-counters" => "Initial::GpCounters".to_owned(),
        Some(Number::Text(text)) if text.starts_with("policy") => match text.split_once(' ') {
            None => "Initial::Policy(0)".to_owned(),
            Some((_, value)) => format!("Initial::Policy({:#x})", parse_number(value).ok_or_else(|| format!("`{value}` is not a number"))?),
        },
        other => format!("Initial::Value({:#x})", number(other.as_ref())?.unwrap_or(0)),
    };
    let hook = raw.hook.as_ref().map_or("None".to_owned(), |name| format!("Some(&hooks::{})", name.to_uppercase()));
    let bits: Vec<&str> = runs.iter().map(|run| run.rust.as_str()).collect();
    let mut text = String::new();
    let _ = write!(text, "Msr {{ address: {address:#x}, count: {count}, stride: {stride}, vendors: {}, ", vendors(&raw.vendors));
    let _ = write!(text, "limit: {}, present: {present}, ", word("Limit", limit, "all", &limits)?);
    let _ = write!(
        text,
        "readable: {}, writable: {}, bits: &[{}], ",
        ["rw", "r"].contains(&access),
        ["rw", "w"].contains(&access),
        bits.join(", ")
    );
    let _ = write!(text, "within: {}, ", word("Within", raw.within.as_ref(), "all", &withins)?);
    let _ = write!(text, "beyond: {}, ", word("Kind", raw.beyond.as_ref(), "reserved", &["reserved", "ignored"])?);
    let _ = write!(
        text,
        "frozen: {}, check: {}, hook: {hook}, reset: {reset}, ",
        raw.frozen,
        word("Check", raw.check.as_ref(), "any", &checks)?
    );
    let _ = write!(text, "init: {}, ", word("Init", raw.init.as_ref(), "keep", &["keep", "reset"])?);
    let _ = write!(text, "scope: {}, ", word("Scope", raw.scope.as_ref(), "thread", &["thread", "core", "package", "machine"])?);
    let _ = write!(text, "effects: {}, ", effects(&raw.effects));
    let _ = write!(text, "save: {}, ", word("Save", raw.save.as_ref(), "state", &["state", "model", "elsewhere", "none"])?);
    let _ = write!(text, "phase: {}, ", word("Phase", raw.phase.as_ref(), "normal", &phases)?);
    let _ = write!(text, "home: {}, kvm: {kvm} }}", word("Home", raw.home.as_ref(), "file", &["file", "hardware", "device"])?);
    Ok(text)
}

/// The bits that KVM takes, if they are not the row's.
fn kvm_bits(raw: &RawKvm, address: u32, gates: &parse::Gates, model: &Model) -> Result<String, String> {
    if raw.bits.is_empty() {
        return Ok("None".to_owned());
    }
    let runs: Result<Vec<parse::Run>, String> = raw.bits.iter().map(|bits| parse::run(bits.get_ref(), address, gates, model)).collect();
    let runs = runs?;
    parse::covers(&runs).map_err(|what| format!("kvm.bits: {what}"))?;
    let bits: Vec<&str> = runs.iter().map(|run| run.rust.as_str()).collect();
    Ok(format!("Some(&[{}])", bits.join(", ")))
}

fn kvm(raw: &RawKvm, address: u32, gates: &parse::Gates, model: &Model) -> Result<String, String> {
    let door = |own: &Option<String>, both: &Option<String>, what: &str| {
        let text = own.as_ref().or(both.as_ref()).ok_or_else(|| format!("kvm does not say what happens to {what}"))?;
        parse::door(text, model)
    };
    let option = |value: Option<u64>| value.map_or("None".to_owned(), |value| format!("Some({value:#x})"));
    let mut text = String::from("Some(KvmRow { ");
    let _ = write!(text, "guest_read: {}, ", door(&raw.guest_read, &raw.guest, "RDMSR")?);
    let _ = write!(text, "guest_write: {}, ", door(&raw.guest_write, &raw.guest, "WRMSR")?);
    let _ = write!(text, "host_read: {}, ", door(&raw.host_read, &raw.host, "KVM_GET_MSRS")?);
    let _ = write!(text, "host_write: {}, ", door(&raw.host_write, &raw.host, "KVM_SET_MSRS")?);
    let _ = write!(text, "valid: {}, ", option(number(raw.valid.as_ref())?));
    let _ = write!(text, "bits: {}, everywhere: {}, ", kvm_bits(raw, address, gates, model)?, raw.everywhere);
    let _ = write!(text, "unchecked: {}, ", raw.unchecked);
    let _ = write!(text, "dropped: {:#x}, ", number(raw.dropped.as_ref())?.unwrap_or(0));
    let _ = write!(text, "advertised: {}, ", raw.advertised);
    let _ = write!(text, "reset: {} }})", option(number(raw.reset.as_ref())?));
    Ok(text)
}

/// `table.rs`.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::from("//! The rows.\n//@BANNER\n");
    text += "use cpuid_db::{Feature, Vendors};\n\nuse crate::row::{\n    Bits, Check, Condition, Door, Home, Init, Initial, Kind, KvmRow, ";
    text += "Limit, Msr, Otherwise, Phase, Save, Scope, Term, Within,\n};\nuse crate::{Capabilities, Effects, hooks};\n\n";
    let _ = writeln!(text, "pub(crate) static TABLE: [Msr; {}] = [", rows.len());
    for row in rows {
        let _ = writeln!(text, "    {}, // {}", row.rust, row.source.raw.name);
    }
    text + "];\n"
}

/// Addresses that share their upper bits stand in one block.
const BLOCK: u32 = 32;

/// `index.rs`: blocks of addresses, found by a perfect hash of their numbers.
pub(super) fn index(rows: &[Row]) -> String {
    let mut instances: BTreeMap<u32, Vec<(usize, u16)>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        for (address, number) in row.addresses() {
            instances.entry(address).or_default().push((at, number));
        }
    }
    let mut text = String::from("//! From an address to its place.\n//@BANNER\nuse crate::file::Instance;\n\n");
    let _ = writeln!(text, "/// How many addresses the table has.\npub(crate) const INSTANCE_COUNT: usize = {};\n", instances.len());
    let _ = writeln!(text, "pub(crate) static INSTANCES: &[Instance; INSTANCE_COUNT] = &[");
    for (address, rows) in &instances {
        let rows: Vec<String> = rows.iter().map(|(row, number)| format!("({row}, {number})")).collect();
        let _ = writeln!(text, "    Instance {{ address: {address:#x}, rows: &[{}] }},", rows.join(", "));
    }
    text += "];\n\n";
    let addresses: Vec<u32> = instances.keys().copied().collect();
    text + &blocks(&addresses)
}

/// Places of a hash table of block numbers, as a power of two.
const HASH_BITS: u32 = 11;

/// A factor under which no two blocks share a place of the hash table.
fn factor(blocks: &[u32]) -> u32 {
    let spreads = |factor: &u32| {
        let mut taken = [false; 1 << HASH_BITS];
        blocks.iter().all(|block| !core::mem::replace(&mut taken[hash(*block, *factor)], true))
    };
    (0..u32::MAX / 2).map(|at| (2 * at + 1).wrapping_mul(0x9e37_79b1)).find(spreads).unwrap_or_default()
}

const fn hash(block: u32, factor: u32) -> usize {
    (block.wrapping_mul(factor) >> (32 - HASH_BITS)) as usize
}

fn blocks(addresses: &[u32]) -> String {
    let mut blocks: BTreeMap<u32, [u16; BLOCK as usize]> = BTreeMap::new();
    for (at, address) in addresses.iter().enumerate() {
        blocks.entry(address / BLOCK).or_insert([u16::MAX; BLOCK as usize])[(address % BLOCK) as usize] = at as u16;
    }
    let numbers: Vec<u32> = blocks.keys().copied().collect();
    let factor = factor(&numbers);
    let mut places = vec![0; 1 << HASH_BITS];
    for (at, number) in numbers.iter().enumerate() {
        places[hash(*number, factor)] = at;
    }
    let mut text =
        format!("/// The blocks: number, and the places of their addresses.\nstatic BLOCKS: &[(u32, [u16; 32]); {}] = &[\n", blocks.len());
    for (number, places) in &blocks {
        let _ = writeln!(text, "    ({number:#x}, {places:?}),");
    }
    let _ = writeln!(text, "];\n\n/// Which block a hash stands for, if any.\nstatic HASH: [u8; {}] = {places:?};\n", places.len());
    text += "/// The place of an address in the file: one multiplication, three loads.\n#[inline]\npub(crate) fn find(address: u32) -> Option<usize> {\n";
    let _ = writeln!(text, "    let at = HASH.get(((address / 32).wrapping_mul({factor:#x}) >> {}) as usize)?;", 32 - HASH_BITS);
    text += "    let (number, places) = BLOCKS.get(usize::from(*at))?;\n    let place = *places.get((address % 32) as usize)?;\n";
    text + "    (*number == address / 32 && place != u16::MAX).then_some(usize::from(place))\n}\n"
}

/// `text.rs`.
pub(super) fn text(rows: &[Row]) -> String {
    let mut text = String::from("//! Names, titles and sources of the rows.\n//@BANNER\nuse crate::MsrText;\n\n");
    let _ = writeln!(text, "pub(crate) static TEXT: [MsrText; {}] = [", rows.len());
    for row in rows {
        let raw = &row.source.raw;
        let bits: Vec<&str> = row.runs.iter().map(|run| run.name.as_str()).collect();
        let note = raw.kvm.as_ref().and_then(|kvm| kvm.note.as_deref()).unwrap_or_default();
        let cite = raw.cite.list();
        let _ = writeln!(
            text,
            "    MsrText {{ name: {:?}, title: {:?}, bits: &{bits:?}, kvm: {note:?}, cite: &{cite:?} }},",
            raw.name, raw.title
        );
    }
    text + "];\n"
}

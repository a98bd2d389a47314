//! Conditions, doors and runs of bits: from the words of the data to Rust.

use std::collections::{BTreeMap, BTreeSet};

use crate::codegen::data::parse_number;
use crate::codegen::emit::constant;
use crate::codegen::model::Model;

/// What the CPUID database says about MSRs: which features make one exist, and which open a bit of it.
#[derive(Debug, Default)]
pub(super) struct Gates {
    msrs: BTreeMap<u32, BTreeSet<String>>,
    bits: BTreeMap<(u32, u8), BTreeSet<String>>,
}

impl Gates {
    /// Collects the gates of all features.
    pub(super) fn new(model: &Model) -> Self {
        let mut gates = Self::default();
        for row in &model.features {
            for gate in row.raw.gates.iter().filter_map(|gate| gate.strip_prefix("msr:")) {
                let (address, bit) = gate.split_once('[').map_or((gate, None), |(address, bit)| (address, bit.strip_suffix(']')));
                let Some(address) = parse_number(address).map(|address| address as u32) else { continue };
                match bit.and_then(|bit| bit.parse().ok()) {
                    Some(bit) => gates.bits.entry((address, bit)).or_default().insert(row.name.clone()),
                    None => gates.msrs.entry(address).or_default().insert(row.name.clone()),
                };
            }
        }
        gates
    }

    /// Who makes the MSR exist; where nobody is said to, whoever opens a bit of it.
    pub(super) fn present(&self, address: u32) -> Option<String> {
        let by_bit = || self.bits.iter().filter(|((msr, _), _)| *msr == address).flat_map(|(_, names)| names.iter().cloned()).collect();
        let names: BTreeSet<String> = self.msrs.get(&address).cloned().unwrap_or_else(by_bit);
        (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join("|"))
    }

    /// Who opens each of these bits, if it is the same for all.
    fn bit(&self, address: u32, high: u8, low: u8) -> Option<String> {
        let first = self.bits.get(&(address, low))?;
        let alike = (low..=high).all(|bit| self.bits.get(&(address, bit)) == Some(first));
        alike.then(|| first.iter().cloned().collect::<Vec<_>>().join("|"))
    }

    /// Bits of an MSR that some feature opens, and that no run speaks of in these words.
    pub(super) fn unspoken(&self, address: u32, runs: &[&Run]) -> Option<String> {
        let gated = self.bits.iter().filter(|((msr, _), _)| *msr == address);
        let missed = gated.filter(|((_, bit), _)| !runs.iter().any(|run| run.gated && (run.low..=run.high).contains(bit)));
        let words: Vec<String> = missed.map(|((_, bit), names)| format!("bit {bit} ({names:?})")).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// `A|B & C` as a Rust constant.
pub(super) fn condition(text: &str, model: &Model) -> Result<String, String> {
    match text {
        "always" => return Ok("Condition::ALWAYS".to_owned()),
        "never" => return Ok("Condition::NEVER".to_owned()),
        _ => {}
    }
    let groups: Result<Vec<String>, String> = text.split('&').map(|group| any(group, model)).collect();
    Ok(format!("Condition(&[{}])", groups?.join(", ")))
}

fn any(group: &str, model: &Model) -> Result<String, String> {
    let terms: Result<Vec<String>, String> = group.split('|').map(|word| term(word.trim(), model)).collect();
    Ok(format!("&[{}]", terms?.join(", ")))
}

fn feature(name: &str, model: &Model) -> Result<String, String> {
    match model.feature(name) {
        Some(_) => Ok(format!("Feature::{}", constant(name))),
        None => Err(format!("no feature is called `{name}`")),
    }
}

fn term(word: &str, model: &Model) -> Result<String, String> {
    let number = |text: &str| text.parse::<u8>().map_err(|_| format!("`{text}` is not a number"));
    if let Some(version) = word.strip_prefix("pmu>=") {
        return Ok(format!("Term::Pmu({})", number(version)?));
    }
    if let Some(name) = word.strip_prefix('!') {
        return Ok(format!("Term::Without({})", feature(name, model)?));
    }
    match word.split_once(':') {
        Some(("mcg", bit)) => Ok(format!("Term::Mcg({})", number(bit)?)),
        Some(("pv", name)) => Ok(format!("Term::Paravirtual({})", feature(name, model)?)),
        Some(("hv", name)) => Ok(format!("Term::HyperV(Some({}))", feature(name, model)?)),
        Some(("cap", name)) => Ok(format!("Term::Capability(Capabilities::{name})")),
        Some((kind, _)) => Err(format!("`{kind}:` is no kind of condition")),
        None if word == "cpuid-faulting" => Ok("Term::CpuidFaulting".to_owned()),
        None if word == "lbr-format" => Ok("Term::LbrFormat".to_owned()),
        None if word == "pebs-format" => Ok("Term::PebsFormat".to_owned()),
        None if word == "hv" => Ok("Term::HyperV(None)".to_owned()),
        None => Ok(format!("Term::Feature({})", feature(word, model)?)),
    }
}

/// `CONDITION else invalid`, `never unknown`, `const 0x0`, `always`, `ignored`.
pub(super) fn door(text: &str, model: &Model) -> Result<String, String> {
    let made =
        |when: &str, otherwise: &str, constant: &str| format!("Door {{ when: {when}, otherwise: {otherwise}, constant: {constant} }}");
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["always"] => Ok(made("Condition::ALWAYS", "Otherwise::Invalid", "None")),
        ["ignored"] => Ok(made("Condition::NEVER", "Otherwise::Nothing", "None")),
        ["never", class] => Ok(made("Condition::NEVER", &otherwise(class)?, "None")),
        ["const", value] => {
            let value = parse_number(value).ok_or_else(|| format!("`{value}` is not a number"))?;
            Ok(made("Condition::ALWAYS", "Otherwise::Invalid", &format!("Some({value:#x})")))
        }
        _ => {
            let (when, class) = text.rsplit_once(" else ").ok_or_else(|| format!("`{text}` does not say what happens else"))?;
            Ok(made(&condition(when.trim(), model)?, &otherwise(class.trim())?, "None"))
        }
    }
}

fn otherwise(word: &str) -> Result<String, String> {
    match word {
        "invalid" => Ok("Otherwise::Invalid".to_owned()),
        "unknown" => Ok("Otherwise::Unknown".to_owned()),
        "nothing" => Ok("Otherwise::Nothing".to_owned()),
        _ => Err(format!("`{word}` is neither invalid nor unknown nor nothing")),
    }
}

/// A run of bits.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) high: u8,
    pub(super) low: u8,
    pub(super) name: String,
    /// Opened by the features whose gates name these bits.
    pub(super) gated: bool,
    pub(super) rust: String,
}

/// `63:12 reserved`, `3 LOCK ignored if FEATURE else ignored`, `10 BHI_DIS_S gated`.
pub(super) fn run(text: &str, address: u32, gates: &Gates, model: &Model) -> Result<Run, String> {
    let (range, rest) = text.split_once(' ').ok_or("a run of bits is a range and what is there")?;
    let (high, low) = range.split_once(':').unwrap_or((range, range));
    let bit = |text: &str| text.parse::<u8>().ok().filter(|bit| *bit < 64).ok_or_else(|| format!("`{text}` is no bit"));
    let (high, low) = (bit(high)?, bit(low)?);
    if low > high {
        return Err(format!("`{range}` runs upwards"));
    }
    let gated = rest.split_once(" gated");
    let opened = gated.map(|(what, rest)| match gates.bit(address, high, low) {
        Some(names) => Ok(format!("{what} if {names}{rest}")),
        None => Err(format!("no feature of the CPUID database has a gate `msr:{address:#x}[{low}]` for each of these bits")),
    });
    let opened = opened.transpose()?;
    let (is_gated, rest) = (gated.is_some(), opened.as_deref().unwrap_or(rest));
    let (what, condition_text) = rest.split_once(" if ").map_or((rest, None), |(what, when)| (what, Some(when)));
    let (name, kind) = kind(what)?;
    let (needs, without) = match condition_text {
        None => ("Condition::ALWAYS".to_owned(), "Kind::Reserved"),
        Some(when) => {
            let (when, without) = when.rsplit_once(" else ").map_or((when, "reserved"), |(when, without)| (when, without));
            let without = match without.trim() {
                "ignored" => "Kind::Ignored",
                "reserved" => "Kind::Reserved",
                other => return Err(format!("`{other}` is neither reserved nor ignored")),
            };
            (condition(when.trim(), model)?, without)
        }
    };
    let rust = format!("Bits {{ high: {high}, low: {low}, kind: {kind}, needs: {needs}, without: {without} }}");
    Ok(Run { high, low, name, gated: is_gated, rust })
}

fn kind(what: &str) -> Result<(String, &'static str), String> {
    match what.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["reserved"] => Ok((String::new(), "Kind::Reserved")),
        ["ignored"] => Ok((String::new(), "Kind::Ignored")),
        [name] => Ok(((*name).to_owned(), "Kind::Stored")),
        [name, "ignored"] => Ok(((*name).to_owned(), "Kind::Ignored")),
        [name, "zero-clears"] => Ok(((*name).to_owned(), "Kind::Clears")),
        [name, "reserved"] => Ok(((*name).to_owned(), "Kind::Reserved")),
        _ => Err(format!("`{what}` is neither a name nor reserved nor ignored")),
    }
}

/// Complains unless the runs cover bits 63 to 0 in this order.
pub(super) fn covers(runs: &[Run]) -> Result<(), String> {
    let mut next = 64;
    for run in runs {
        if u32::from(run.high) + 1 != next {
            return Err(format!("after bit {next} comes bit {}, not {}", run.high, next - 1));
        }
        next = u32::from(run.low);
    }
    if next == 0 { Ok(()) } else { Err(format!("bits {} to 0 are not spoken for", next - 1)) }
}

//! Firecracker's JSON: the fingerprint that its `cpu-template-helper` takes (what a guest without CPU template sees on a host), and
//! the bare `cpuid_modifiers` and `msr_modifiers` that are a custom template, or, without open bits, its `template dump`.

use cpuid_db::{Basis, Register, Registers};
use serde::de::Deserializer;

use crate::digits::{binary, prefixed, three_state};
use crate::draft::Draft;
use crate::error::{Fault, Problem};
use crate::json::{self, Cursor, Documents, List, Object, Others};
use crate::limits::{MAX_LEAVES, MAX_MSRS, MAX_NAMES};
use crate::machine::Found;
use crate::template::{Bits, CpuidRule, MsrRule, Template};
use crate::unrecorded::Told;
use crate::{Format, Provenance};

/// Reads the next fingerprint of a file.
pub(crate) fn fingerprint(documents: &mut Documents<'_>) -> Result<Option<Found>, Fault> {
    let mut file = Fingerprint::default();
    let Some(read) = documents.read(&mut file) else { return Ok(None) };
    read?;
    let found = told(file.config.cpu)?;
    Ok(Some(Found { provenance: file.provenance, ..found }))
}

/// Reads the next dump of a file that is written as a template.
pub(crate) fn dump(documents: &mut Documents<'_>) -> Result<Option<Found>, Fault> {
    let Some(template) = template(documents)? else { return Ok(None) };
    let mut cpu = Draft::default();
    let mut rules = template.cpuid.as_slice();
    while let Some(first) = rules.first() {
        let is_same = |rule: &CpuidRule| (rule.leaf, rule.first) == (first.leaf, first.first);
        let count = rules.iter().take_while(|rule| is_same(rule)).count();
        let (these, rest) = rules.split_at_checked(count).unwrap_or((rules, &[]));
        cpu.leaf(first.leaf, first.first, registers(these)?)?;
        rules = rest;
    }
    for rule in &template.msrs {
        cpu.msr(rule.index, Some(closed(rule.bits, 64)?))?;
    }
    told(cpu).map(Some)
}

/// Reads the next template of a file.
pub(crate) fn template(documents: &mut Documents<'_>) -> Result<Option<Template>, Fault> {
    let mut rules = Rules(Template::new(Format::FirecrackerTemplate));
    let Some(read) = documents.read(&mut rules) else { return Ok(None) };
    read?;
    Ok(Some(rules.0))
}

fn told(cpu: Draft) -> Result<Found, Fault> {
    if cpu.is_empty() {
        return Err(Problem::NoCpu.into());
    }
    // The tool reads every MSR that KVM lists: one that is not there does not exist in the guest.
    Ok(Found::new(vec![cpu.into_told_cpu(Basis::Recorded, Told::ALL)?]))
}

fn closed(bits: Bits, width: u32) -> Result<u64, Problem> {
    if bits.is_closed(width) { Ok(bits.value) } else { Err(Problem::OpenBits) }
}

/// The registers of one leaf; a template that does not give all of them leaves bits open.
fn registers(rules: &[CpuidRule]) -> Result<Registers, Problem> {
    let mut registers = Registers::ZERO;
    for register in Register::ALL {
        let mut of_register = rules.iter().filter(|rule| rule.register == register);
        let rule = of_register.next().ok_or(Problem::OpenBits)?;
        if of_register.next().is_some() {
            return Err(Problem::Twice { what: register.name() });
        }
        *registers.get_mut(register) = closed(rule.bits, 32)? as u32;
    }
    Ok(registers)
}

#[derive(Default)]
struct Fingerprint {
    provenance: Provenance,
    config: Config,
}

impl Object for Fingerprint {
    const KEYS: &'static [&'static str] = &["firecracker_version", "kernel_version", "microcode_version", "guest_cpu_config"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        let origin = &mut self.provenance;
        match key {
            "firecracker_version" => origin.tool = Some(format!("Firecracker {}", json::string(value, at)?)),
            "kernel_version" => origin.kernel = Some(json::string(value, at)?),
            "microcode_version" => origin.microcode = Some(json::string(value, at)?),
            _ => json::object(value, at, &mut self.config)?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct Config {
    cpu: Draft,
}

impl Object for Config {
    const KEYS: &'static [&'static str] = &["kvm_capabilities", "cpuid_modifiers", "msr_modifiers"];
    const OTHERS: Others = Others::Refused;

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "kvm_capabilities" => json::list(value, at, ("capabilities", MAX_NAMES), &mut Capabilities(&mut Vec::new())),
            "cpuid_modifiers" => json::list(value, at, ("leaves in one CPU", MAX_LEAVES), &mut Leaves(&mut self.cpu)),
            _ => json::list(value, at, ("MSRs in one CPU", MAX_MSRS), &mut Msrs(&mut self.cpu)),
        }
    }
}

/// The bare lists.
struct Rules(Template);

impl Object for Rules {
    const KEYS: &'static [&'static str] = &["kvm_capabilities", "cpuid_modifiers", "msr_modifiers"];
    const OTHERS: Others = Others::Refused;

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "kvm_capabilities" => json::list(value, at, ("capabilities", MAX_NAMES), &mut Capabilities(&mut self.0.capabilities)),
            "cpuid_modifiers" => json::list(value, at, ("leaves in one CPU", MAX_LEAVES), &mut Leaves(&mut self.0.cpuid)),
            _ => json::list(value, at, ("MSRs in one CPU", MAX_MSRS), &mut Msrs(&mut self.0.msrs)),
        }
    }
}

struct Capabilities<'a>(&'a mut Vec<String>);

impl List for Capabilities<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        self.0.push(json::string(value, at)?);
        Ok(())
    }
}

/// What becomes of the modifiers: a dump takes whole registers only, a template what it gets.
trait Sink<T> {
    /// Whether every bitmap must give all bits.
    const EXACT: bool;

    fn take(&mut self, item: T) -> Result<(), Problem>;
}

/// The modifiers of one leaf.
struct Leaf {
    number: u32,
    subleaf: u32,
    modifiers: Vec<(Register, Bits)>,
}

impl Sink<Leaf> for Draft {
    const EXACT: bool = true;

    fn take(&mut self, item: Leaf) -> Result<(), Problem> {
        let mut registers = Registers::ZERO;
        for register in Register::ALL {
            let bits = item.modifiers.iter().find(|(named, _)| *named == register);
            *registers.get_mut(register) = bits.ok_or(Problem::Missing { what: register.name() })?.1.value as u32;
        }
        self.leaf(item.number, item.subleaf, registers)
    }
}

impl Sink<Leaf> for Vec<CpuidRule> {
    const EXACT: bool = false;

    fn take(&mut self, item: Leaf) -> Result<(), Problem> {
        let Leaf { number: leaf, subleaf, modifiers } = item;
        self.extend(modifiers.into_iter().map(|(register, bits)| CpuidRule { leaf, first: subleaf, last: subleaf, register, bits }));
        Ok(())
    }
}

impl Sink<MsrRule> for Draft {
    const EXACT: bool = true;

    fn take(&mut self, item: MsrRule) -> Result<(), Problem> {
        self.msr(item.index, Some(item.bits.value))
    }
}

impl Sink<MsrRule> for Vec<MsrRule> {
    const EXACT: bool = false;

    fn take(&mut self, item: MsrRule) -> Result<(), Problem> {
        self.push(item);
        Ok(())
    }
}

struct Leaves<'a, S>(&'a mut S);

impl<S: Sink<Leaf>> List for Leaves<'_, S> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        json::object(value, at, &mut Answer { sink: self.0, leaf: None, subleaf: None, modifiers: Vec::with_capacity(4) })
    }
}

struct Answer<'a, S> {
    sink: &'a mut S,
    leaf: Option<u32>,
    subleaf: Option<u32>,
    modifiers: Vec<(Register, Bits)>,
}

impl<S: Sink<Leaf>> Object for Answer<'_, S> {
    const KEYS: &'static [&'static str] = &["leaf", "subleaf", "modifiers"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "leaf" => self.leaf = Some(number(value, at)?),
            "subleaf" => self.subleaf = Some(number(value, at)?),
            _ => {
                let mut list = Modifiers { modifiers: &mut self.modifiers, is_exact: S::EXACT };
                json::list(value, at, ("registers in one leaf", if S::EXACT { 4 } else { 64 }), &mut list)?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let missing = |what| Problem::Missing { what };
        let leaf = self.leaf.ok_or(missing("leaf"))?;
        let subleaf = self.subleaf.ok_or(missing("subleaf"))?;
        self.sink.take(Leaf { number: leaf, subleaf, modifiers: std::mem::take(&mut self.modifiers) })
    }
}

/// A number with its prefix, `0x` or `0b`; a number without one is refused as the tool refuses it.
fn number<'de, D: Deserializer<'de>>(value: D, at: &Cursor) -> Result<u32, D::Error> {
    const EXPECTED: &str = "a string of 0x and up to 8 hex digits";
    json::text(value, at, EXPECTED, |text| {
        let text = text.as_bytes();
        let bits = || binary(text, text.len().checked_sub(2).filter(|digits| (1..=32).contains(digits))?);
        let number = prefixed(text, 8).or_else(bits).ok_or_else(|| Problem::expected(EXPECTED, text))?;
        Ok(number as u32)
    })
}

struct Modifiers<'a> {
    modifiers: &'a mut Vec<(Register, Bits)>,
    is_exact: bool,
}

impl List for Modifiers<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        json::object(value, at, &mut Modifier { modifiers: self.modifiers, is_exact: self.is_exact, register: None, bits: None })
    }
}

struct Modifier<'a> {
    modifiers: &'a mut Vec<(Register, Bits)>,
    is_exact: bool,
    register: Option<Register>,
    bits: Option<Bits>,
}

impl Object for Modifier<'_> {
    const KEYS: &'static [&'static str] = &["register", "bitmap"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "bitmap" => self.bits = Some(bitmap(value, at, 32, self.is_exact)?),
            _ => self.register = Some(json::register(value, at)?),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let register = self.register.ok_or(Problem::Missing { what: "register" })?;
        let bits = self.bits.ok_or(Problem::Missing { what: "bitmap" })?;
        if self.is_exact && self.modifiers.iter().any(|(named, _)| *named == register) {
            return Err(Problem::Twice { what: register.name() });
        }
        self.modifiers.push((register, bits));
        Ok(())
    }
}

fn bitmap<'de, D: Deserializer<'de>>(value: D, at: &Cursor, width: u32, is_exact: bool) -> Result<Bits, D::Error> {
    let expected = match (width, is_exact) {
        (32, true) => "0b and 32 binary digits",
        (_, true) => "0b and 64 binary digits",
        (32, false) => "0b and up to 32 of 0, 1 and x",
        (_, false) => "0b and up to 64 of 0, 1 and x",
    };
    let parse = |text: &[u8]| -> Option<Bits> {
        if is_exact {
            return Some(Bits { filter: u64::MAX >> (64 - width), value: binary(text, width as usize)? });
        }
        let (filter, value) = three_state(text, width)?;
        Some(Bits { filter, value })
    };
    json::text(value, at, expected, |text| parse(text.as_bytes()).ok_or_else(|| Problem::expected(expected, text.as_bytes())))
}

struct Msrs<'a, S>(&'a mut S);

impl<S: Sink<MsrRule>> List for Msrs<'_, S> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        json::object(value, at, &mut Msr { sink: self.0, index: None, bits: None })
    }
}

struct Msr<'a, S> {
    sink: &'a mut S,
    index: Option<u32>,
    bits: Option<Bits>,
}

impl<S: Sink<MsrRule>> Object for Msr<'_, S> {
    const KEYS: &'static [&'static str] = &["addr", "bitmap"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "addr" => self.index = Some(number(value, at)?),
            _ => self.bits = Some(bitmap(value, at, 64, S::EXACT)?),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let index = self.index.ok_or(Problem::Missing { what: "addr" })?;
        let bits = self.bits.ok_or(Problem::Missing { what: "bitmap" })?;
        self.sink.take(MsrRule { index, bits })
    }
}

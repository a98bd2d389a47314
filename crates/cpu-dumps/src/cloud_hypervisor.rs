//! Cloud Hypervisor's CPU profiles: `NAME.cpuid.json` and `NAME.msr.json`, lists of what to keep of a host's register and what to put
//! in its place. A profile that keeps nothing describes a machine.
//!
//! Left out: the keys `hypervisor` and `cpu_vendor` of older files.

use cpuid_db::{Basis, Register, Registers};
use serde::de::Deserializer;

use crate::Format;
use crate::digits::prefixed32;
use crate::draft::Draft;
use crate::error::{Fault, Problem};
use crate::json::{self, Cursor, Documents, List, Object};
use crate::limits::{MAX_LEAVES, MAX_MSRS};
use crate::machine::Found;
use crate::template::{Bits, CpuidRule, MsrRule, Template};
use crate::unrecorded::{Coverage, Told};

/// The most rules of one profile: one per register.
const MAX_RULES: usize = 4 * MAX_LEAVES + MAX_MSRS;

/// Reads the next profile of a file.
pub(crate) fn template(documents: &mut Documents<'_>) -> Result<Option<Template>, Fault> {
    let mut profile = Profile(Template::new(Format::CloudHypervisorProfile));
    let Some(read) = documents.read(&mut profile) else { return Ok(None) };
    read?;
    Ok(Some(profile.0))
}

/// Reads the next profile of a file as the machine that it describes.
pub(crate) fn dump(documents: &mut Documents<'_>) -> Result<Option<Found>, Fault> {
    let Some(template) = template(documents)? else { return Ok(None) };
    if !template.is_closed() {
        return Err(Problem::OpenBits.into());
    }
    let mut cpu = Draft::default();
    for rule in &template.cpuid {
        place(&template, rule, &mut cpu)?;
    }
    for rule in &template.msrs {
        cpu.msr(rule.index, Some(rule.bits.value))?;
    }
    if cpu.is_empty() {
        return Err(Problem::NoCpu.into());
    }
    let told = if template.cpuid.is_empty() { Told { cpuid: Coverage::Nothing, msrs: false } } else { Told::CPUID_ONLY };
    Ok(Some(Found::new(vec![cpu.into_told_cpu(Basis::Raw, told)?])))
}

/// A range up to here is written out subleaf by subleaf. A longer one says that ECX does not count, or that the rest reads zero.
const MAX_SUBLEAVES: u32 = 64;

fn place(template: &Template, rule: &CpuidRule, cpu: &mut Draft) -> Result<(), Problem> {
    let span = rule.last - rule.first;
    let last = if span < MAX_SUBLEAVES { rule.last } else { rule.first };
    if last == rule.first && span > 0 && rule.first > 0 && rule.bits.value != 0 {
        return Err(Problem::TooMany { what: "subleaves with a value in one rule", limit: MAX_SUBLEAVES as usize });
    }
    for subleaf in rule.first..=last {
        let mut registers = Registers::ZERO;
        for register in Register::ALL {
            let rule = template.rule(rule.leaf, subleaf, register);
            *registers.get_mut(register) = rule.map_or(0, |rule| rule.bits.value as u32);
        }
        cpu.leaf(rule.leaf, subleaf, registers)?;
    }
    Ok(())
}

struct Profile(Template);

impl Object for Profile {
    const KEYS: &'static [&'static str] = &["adjustments", "required_msrs"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "adjustments" => json::list(value, at, ("adjustments", MAX_RULES), &mut Adjustments(&mut self.0)),
            _ => json::list(value, at, ("MSRs in one CPU", MAX_MSRS), &mut Addresses(&mut self.0.required_msrs)),
        }
    }
}

struct Addresses<'a>(&'a mut Vec<u32>);

impl List for Addresses<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        self.0.push(json::hex32(value, at)?);
        Ok(())
    }
}

struct Adjustments<'a>(&'a mut Template);

impl List for Adjustments<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        let mut pair = Pair::default();
        json::list(value, at, ("parts of an adjustment", 2), &mut pair)?;
        pair.store(self.0).map_err(|problem| at.refuse(problem))
    }
}

/// `[what, adjustment]`: what is an object for CPUID, an address for MSRs.
#[derive(Default)]
struct Pair {
    count: usize,
    what: What,
    adjustment: Adjustment,
}

impl List for Pair {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        self.count += 1;
        if self.count == 2 {
            return json::object(value, at, &mut self.adjustment);
        }
        let address = |text: &str, what: &mut What| {
            what.msr = Some(prefixed32(text.as_bytes()).ok_or_else(|| Problem::expected("0x and up to 8 hex digits", text.as_bytes()))?);
            Ok(())
        };
        json::text_or_object(value, at, address, &mut self.what)
    }
}

impl Pair {
    fn store(self, template: &mut Template) -> Result<(), Problem> {
        let missing = |what| Problem::Missing { what };
        let Self { what, adjustment, .. } = self;
        let value = adjustment.replacements.ok_or(missing("replacements"))?;
        let mask = adjustment.mask.ok_or(missing("mask"))?;
        // Kept bits are open, unless they are set in any case.
        let bits = Bits { filter: !mask | value, value };
        if let Some(index) = what.msr {
            template.msrs.push(MsrRule { index, bits });
            return Ok(());
        }
        if value > u64::from(u32::MAX) || mask > u64::from(u32::MAX) {
            return Err(Problem::Expected { expected: "32 bits", found: format!("{:#x}", value | mask) });
        }
        let (first, last) = what.subleaves.ok_or(missing("sub_leaf"))?;
        let bits = Bits { filter: bits.filter & u64::from(u32::MAX), value };
        let leaf = what.leaf.ok_or(missing("leaf"))?;
        let register = what.register.ok_or(missing("register"))?;
        template.cpuid.push(CpuidRule { leaf, first, last, register, bits });
        Ok(())
    }
}

#[derive(Default)]
struct What {
    msr: Option<u32>,
    leaf: Option<u32>,
    subleaves: Option<(u32, u32)>,
    register: Option<Register>,
}

impl Object for What {
    const KEYS: &'static [&'static str] = &["leaf", "sub_leaf", "register"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "leaf" => self.leaf = Some(json::hex32(value, at)?),
            "register" => self.register = Some(json::register(value, at)?),
            _ => {
                let mut range = Range::default();
                json::object(value, at, &mut range)?;
                self.subleaves = range.start.zip(range.end);
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Range {
    start: Option<u32>,
    end: Option<u32>,
}

impl Object for Range {
    const KEYS: &'static [&'static str] = &["start", "end"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        let slot = if key == "start" { &mut self.start } else { &mut self.end };
        *slot = Some(json::hex32(value, at)?);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        match (self.start, self.end) {
            (Some(start), Some(end)) if start <= end => Ok(()),
            (Some(_), Some(end)) => Err(Problem::Order { what: "end", number: end }),
            _ => Err(Problem::Missing { what: "start or end" }),
        }
    }
}

#[derive(Default)]
struct Adjustment {
    replacements: Option<u64>,
    mask: Option<u64>,
}

impl Object for Adjustment {
    const KEYS: &'static [&'static str] = &["replacements", "mask"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        let slot = if key == "replacements" { &mut self.replacements } else { &mut self.mask };
        *slot = Some(json::hex64(value, at)?);
        Ok(())
    }
}

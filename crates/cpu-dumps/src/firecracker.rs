//! The fingerprint that Firecracker's `cpu-template-helper` takes: what a guest without CPU template sees on a host.
//!
//! Also the bare `cpuid_modifiers` and `msr_modifiers` that its `template dump` writes. Templates proper, which leave bits open
//! with `x`, describe no machine and are refused.

use cpuid_db::{Basis, Register, Registers};
use serde::de::Deserializer;

use crate::digits::binary;
use crate::draft::Draft;
use crate::error::{Fault, Problem};
use crate::json::{self, Cursor, Documents, List, Object};
use crate::limits::{MAX_LEAVES, MAX_MSRS};
use crate::unrecorded::Told;
use crate::{Cpu, Provenance};

/// Reads the one vCPU that a file describes.
pub(crate) fn read(bytes: &[u8]) -> Result<(Vec<Cpu>, Provenance), Fault> {
    let mut file = Fingerprint::default();
    let mut documents = Documents::new(bytes)?;
    if let Some(read) = documents.read(&mut file) {
        read?;
    }
    if file.config.cpu.is_empty() {
        return Err(Problem::NoCpu.into());
    }
    // The tool reads every MSR that KVM lists: one that is not there does not exist in the guest.
    let cpu = file.config.cpu.into_told_cpu(Basis::Recorded, Told::ALL)?;
    Ok((vec![cpu], file.provenance))
}

#[derive(Default)]
struct Fingerprint {
    provenance: Provenance,
    config: Config,
}

impl Object for Fingerprint {
    const KEYS: &'static [&'static str] =
        &["firecracker_version", "kernel_version", "microcode_version", "guest_cpu_config", "cpuid_modifiers", "msr_modifiers"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        let origin = &mut self.provenance;
        match key {
            "firecracker_version" => origin.tool = Some(format!("Firecracker {}", json::string(value, at)?)),
            "kernel_version" => origin.kernel = Some(json::string(value, at)?),
            "microcode_version" => origin.microcode = Some(json::string(value, at)?),
            "guest_cpu_config" => json::object(value, at, &mut self.config)?,
            _ => self.config.member(key, value, at)?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct Config {
    cpu: Draft,
}

impl Object for Config {
    const KEYS: &'static [&'static str] = &["cpuid_modifiers", "msr_modifiers"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "cpuid_modifiers" => json::list(value, at, ("leaves in one CPU", MAX_LEAVES), &mut Leaves(&mut self.cpu)),
            _ => json::list(value, at, ("MSRs in one CPU", MAX_MSRS), &mut Msrs(&mut self.cpu)),
        }
    }
}

struct Leaves<'a>(&'a mut Draft);

impl List for Leaves<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        json::object(value, at, &mut Answer { cpu: self.0, leaf: None, subleaf: None, registers: [None; 4] })
    }
}

struct Answer<'a> {
    cpu: &'a mut Draft,
    leaf: Option<u32>,
    subleaf: Option<u32>,
    registers: [Option<u32>; 4],
}

impl Object for Answer<'_> {
    const KEYS: &'static [&'static str] = &["leaf", "subleaf", "modifiers"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "leaf" => self.leaf = Some(json::hex32(value, at)?),
            "subleaf" => self.subleaf = Some(json::hex32(value, at)?),
            _ => json::list(value, at, ("registers in one leaf", 4), &mut Modifiers(&mut self.registers))?,
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let missing = |what| Problem::Missing { what };
        let leaf = self.leaf.ok_or(missing("leaf"))?;
        let subleaf = self.subleaf.ok_or(missing("subleaf"))?;
        let mut registers = Registers::ZERO;
        for (register, value) in Register::ALL.into_iter().zip(self.registers) {
            *registers.get_mut(register) = value.ok_or(missing(register.name()))?;
        }
        self.cpu.leaf(leaf, subleaf, registers)
    }
}

struct Modifiers<'a>(&'a mut [Option<u32>; 4]);

impl List for Modifiers<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        json::object(value, at, &mut Modifier { registers: self.0, register: None, bitmap: None })
    }
}

struct Modifier<'a> {
    registers: &'a mut [Option<u32>; 4],
    register: Option<Register>,
    bitmap: Option<u32>,
}

impl Object for Modifier<'_> {
    const KEYS: &'static [&'static str] = &["register", "bitmap"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        if key == "bitmap" {
            self.bitmap = Some(bitmap(value, at, 32)? as u32);
            return Ok(());
        }
        self.register = Some(json::register(value, at)?);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let register = self.register.ok_or(Problem::Missing { what: "register" })?;
        let bitmap = self.bitmap.ok_or(Problem::Missing { what: "bitmap" })?;
        let mut slots = Register::ALL.into_iter().zip(self.registers.iter_mut());
        match slots.find(|(named, _)| *named == register) {
            Some((_, slot @ None)) => *slot = Some(bitmap),
            _ => return Err(Problem::Twice { what: register.name() }),
        }
        Ok(())
    }
}

fn bitmap<'de, D: Deserializer<'de>>(value: D, at: &Cursor, digits: usize) -> Result<u64, D::Error> {
    let expected = if digits == 32 { "0b and 32 binary digits" } else { "0b and 64 binary digits" };
    json::text(value, at, expected, |text| binary(text.as_bytes(), digits).ok_or_else(|| Problem::expected(expected, text.as_bytes())))
}

struct Msrs<'a>(&'a mut Draft);

impl List for Msrs<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, value: D, at: &Cursor) -> Result<(), D::Error> {
        json::object(value, at, &mut Msr { cpu: self.0, index: None, value: None })
    }
}

struct Msr<'a> {
    cpu: &'a mut Draft,
    index: Option<u32>,
    value: Option<u64>,
}

impl Object for Msr<'_> {
    const KEYS: &'static [&'static str] = &["addr", "bitmap"];

    fn member<'de, D: Deserializer<'de>>(&mut self, key: &str, value: D, at: &Cursor) -> Result<(), D::Error> {
        match key {
            "addr" => self.index = Some(json::hex32(value, at)?),
            _ => self.value = Some(bitmap(value, at, 64)?),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let index = self.index.ok_or(Problem::Missing { what: "addr" })?;
        let value = self.value.ok_or(Problem::Missing { what: "bitmap" })?;
        self.cpu.msr(index, Some(value))
    }
}

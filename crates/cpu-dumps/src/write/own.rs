//! Writing the project's own dump format, `vcpu.dump/1`: small, stable, and one leaf per line, so that two dumps compare well.

use std::fmt::{self, Write};

use cpuid_db::{CpuidEntry, CpuidTable, FeatureSet, MsrEntry, Place, Policy, Unrecorded, words};

use crate::{Cpu, KvmView, Machine, Provenance};

/// A machine as text: `write!(file, "{}", Dump::new(&machine))`.
///
/// What is written is read again as the same machine, but for [`Machine::format`], which is then the own format.
#[derive(Clone, Copy, Debug)]
pub struct Dump<'a> {
    machine: &'a Machine,
    one_per_core_type: bool,
    one_line: bool,
}

impl<'a> Dump<'a> {
    /// Everything, one leaf per line.
    pub const fn new(machine: &'a Machine) -> Self {
        Self { machine, one_per_core_type: false, one_line: false }
    }

    /// Only the first CPU of each core type: the others of a type differ from it in their APIC ids only.
    pub const fn one_per_core_type(mut self) -> Self {
        self.one_per_core_type = true;
        self
    }

    /// The whole document on one line, for files with one machine per line.
    pub const fn one_line(mut self) -> Self {
        self.one_line = true;
        self
    }
}

impl fmt::Display for Dump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = self.machine;
        let cpus = if self.one_per_core_type { machine.one_per_core_type() } else { machine.cpus.iter().collect() };
        let mut page = Page::new(f, self.one_line);
        page.open('{')?;
        page.text("schema", "vcpu.dump/1")?;
        page.text("name", &machine.name)?;
        page.text("basis", machine.basis.name())?;
        page.provenance(&machine.provenance)?;
        page.unknown_names(&machine.unknown_names)?;
        page.key("cpus")?;
        page.open('[')?;
        for cpu in cpus {
            page.cpu(cpu)?;
        }
        page.close(']')?;
        if let Some(kvm) = &machine.kvm {
            page.kvm(kvm)?;
        }
        page.close('}')?;
        page.end()
    }
}

/// JSON with indentation, or on one line.
pub(super) struct Page<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    one_line: bool,
    depth: usize,
    /// Whether nothing stands in the innermost bracket yet.
    is_first: bool,
}

impl<'a, 'b> Page<'a, 'b> {
    pub(super) const fn new(f: &'a mut fmt::Formatter<'b>, one_line: bool) -> Self {
        Self { f, one_line, depth: 0, is_first: true }
    }

    /// Ends the line of the whole document.
    pub(super) fn end(&mut self) -> fmt::Result {
        self.f.write_char('\n')
    }

    /// The blank after a colon or comma within a line.
    const fn gap(&self) -> &'static str {
        if self.one_line { "" } else { " " }
    }

    pub(super) fn open(&mut self, bracket: char) -> fmt::Result {
        self.depth += 1;
        self.is_first = true;
        self.f.write_char(bracket)
    }

    pub(super) fn close(&mut self, bracket: char) -> fmt::Result {
        self.depth = self.depth.saturating_sub(1);
        if !self.is_first {
            self.new_line()?;
        }
        self.is_first = false;
        self.f.write_char(bracket)
    }

    /// Begins the next item of the innermost bracket.
    pub(super) fn item(&mut self) -> fmt::Result {
        if !self.is_first {
            self.f.write_char(',')?;
        }
        self.is_first = false;
        self.new_line()
    }

    /// A value that stands on one line, as it is.
    pub(super) fn value(&mut self, value: impl fmt::Display) -> fmt::Result {
        write!(self.f, "{value}")
    }

    fn new_line(&mut self) -> fmt::Result {
        if self.one_line { Ok(()) } else { write!(self.f, "\n{:1$}", "", self.depth * 2) }
    }

    pub(super) fn key(&mut self, key: &str) -> fmt::Result {
        self.item()?;
        write!(self.f, "\"{key}\":{}", self.gap())
    }

    pub(super) fn text(&mut self, key: &str, text: &str) -> fmt::Result {
        self.key(key)?;
        write!(self.f, "{}", Quoted(text))
    }

    pub(super) fn provenance(&mut self, provenance: &Provenance) -> fmt::Result {
        let Provenance { tool, kernel, microcode, source } = provenance;
        let members = [("tool", tool), ("kernel", kernel), ("microcode", microcode), ("source", source)];
        self.key("provenance")?;
        self.open('{')?;
        for (key, text) in members {
            if let Some(text) = text {
                self.text(key, text)?;
            }
        }
        self.close('}')
    }

    pub(super) fn unknown_names(&mut self, names: &[String]) -> fmt::Result {
        if names.is_empty() {
            return Ok(());
        }
        self.key("unknown_names")?;
        self.open('[')?;
        for name in names {
            self.item()?;
            write!(self.f, "{}", Quoted(name))?;
        }
        self.close(']')
    }

    fn cpu(&mut self, cpu: &Cpu) -> fmt::Result {
        self.item()?;
        self.open('{')?;
        self.key("cpu")?;
        write!(self.f, "{}", cpu.number)?;
        if let Some(kind) = cpu.core_type {
            self.text("core_type", kind.name())?;
        }
        self.leaves(&cpu.policy.cpuid)?;
        self.msrs(&all_msrs(cpu))?;
        self.unrecorded(cpu.policy.unrecorded.as_slice())?;
        self.named(&cpu.policy.named)?;
        self.close('}')
    }

    fn kvm(&mut self, kvm: &KvmView) -> fmt::Result {
        let Policy { cpuid, msrs, basis, unrecorded, named } = &kvm.supported;
        self.key("kvm")?;
        self.open('{')?;
        self.key("supported")?;
        self.open('{')?;
        self.text("basis", basis.name())?;
        self.leaves(cpuid)?;
        self.msrs(msrs.entries())?;
        self.unrecorded(unrecorded.as_slice())?;
        self.named(named)?;
        self.close('}')?;
        if let Some(emulated) = &kvm.emulated {
            self.key("emulated")?;
            self.open('{')?;
            self.leaves(emulated)?;
            self.close('}')?;
        }
        self.close('}')
    }

    pub(super) fn leaves(&mut self, cpuid: &CpuidTable) -> fmt::Result {
        self.key("leaves")?;
        self.open('[')?;
        let gap = self.gap();
        for CpuidEntry { leaf, subleaf, registers } in cpuid.entries() {
            self.item()?;
            write!(self.f, "{{\"leaf\":{gap}\"0x{leaf:08x}\",{gap}\"subleaf\":{gap}\"0x{subleaf:02x}\"")?;
            for register in cpuid_db::Register::ALL {
                write!(self.f, ",{gap}\"{}\":{gap}\"0x{:08x}\"", register.name(), registers.get(register))?;
            }
            self.f.write_char('}')?;
        }
        self.close(']')
    }

    pub(super) fn msrs(&mut self, msrs: &[MsrEntry]) -> fmt::Result {
        self.key("msrs")?;
        self.open('[')?;
        let gap = self.gap();
        for MsrEntry { index, value } in msrs {
            self.item()?;
            write!(self.f, "{{\"index\":{gap}\"0x{index:08x}\",{gap}\"value\":{gap}\"0x{value:016x}\"}}")?;
        }
        self.close(']')
    }

    pub(super) fn unrecorded(&mut self, places: &[Unrecorded]) -> fmt::Result {
        self.key("unrecorded")?;
        self.open('[')?;
        let gap = self.gap();
        for place in places {
            self.item()?;
            match place {
                Unrecorded::Cpuid { leaf, subleaf } => {
                    write!(self.f, "{{\"leaf\":{gap}\"0x{leaf:08x}\",{gap}\"subleaf\":{gap}\"0x{subleaf:02x}\"}}")?;
                }
                Unrecorded::Msr { index } => write!(self.f, "{{\"msr\":{gap}\"0x{index:08x}\"}}")?,
            }
        }
        self.close(']')
    }

    pub(super) fn named(&mut self, named: &FeatureSet) -> fmt::Result {
        if named.is_empty() {
            return Ok(());
        }
        self.key("named")?;
        self.open('[')?;
        let gap = self.gap();
        for (mask, row) in named.words().iter().zip(words()).filter(|(mask, _)| **mask != 0) {
            self.item()?;
            match row.place {
                Place::Cpuid { leaf, subleaf, register } => write!(
                    self.f,
                    "{{\"leaf\":{gap}\"0x{leaf:08x}\",{gap}\"subleaf\":{gap}\"0x{subleaf:02x}\",{gap}\"register\":{gap}\"{register}\",{gap}\"mask\":{gap}\"0x{mask:08x}\"}}"
                )?,
                Place::Msr { index, high } => {
                    let mask = u64::from(*mask) << if high { 32 } else { 0 };
                    write!(self.f, "{{\"msr\":{gap}\"0x{index:08x}\",{gap}\"mask\":{gap}\"0x{mask:016x}\"}}")?;
                }
            }
        }
        self.close(']')
    }
}

/// All MSRs of a CPU, also those that somebody put into its policy only.
pub(super) fn all_msrs(cpu: &Cpu) -> Vec<MsrEntry> {
    let mut all = cpu.msrs.clone();
    for feature_msr in cpu.policy.msrs.entries() {
        if let Err(at) = all.binary_search_by_key(&feature_msr.index, |msr| msr.index) {
            all.insert(at, *feature_msr);
        }
    }
    all
}

/// A JSON string.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                '\0'..' ' | '\x7f' => write!(f, "\\u{:04x}", u32::from(character))?,
                _ => f.write_char(character)?,
            }
        }
        f.write_char('"')
    }
}

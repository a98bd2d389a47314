//! The raw dump of libcpuid: tables of fixed length, one line per entry.
//!
//! ```text
//! _________________ Logical CPU #0 _________________
//! basic_cpuid[7]=00000000 00000008 00000000 00000000
//! ```
//!
//! All entries are printed, whatever the CPU supports: those above its maximum leaf hold data of another leaf and are dropped.
//! Nothing outside the tables is recorded, so what is missing is unknown, not zero.

use cpuid_db::{Basis, Registers};

use crate::Provenance;
use crate::digits::{decimal, hex32};
use crate::draft::{Draft, Drafts};
use crate::error::{Fault, Problem};
use crate::lines::Lines;
use crate::machine::Found;
use crate::unrecorded::{Coverage, Told, ends_list};

/// A table of the format: its name, the leaf of its entry 0, and whether the index counts subleaves.
const TABLES: [(&str, u32, Index); 8] = [
    ("basic_cpuid", 0, Index::Leaf),
    ("ext_cpuid", 0x8000_0000, Index::Leaf),
    ("intel_fn4", 4, Index::Subleaf),
    ("intel_fn11", 0xb, Index::Subleaf),
    ("intel_fn12h", 0x12, Index::Subleaf),
    ("intel_fn14h", 0x14, Index::Subleaf),
    ("amd_fn8000001dh", 0x8000_001d, Index::Subleaf),
    ("amd_fn80000026h", 0x8000_0026, Index::Subleaf),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Index {
    Leaf,
    Subleaf,
}

/// Reads the CPUs of one dump; live dumps also name the tool's version.
pub(crate) fn read(bytes: &[u8]) -> Result<Found, Fault> {
    let mut cpus = Drafts::default();
    let mut provenance = Provenance::default();
    for line in Lines::new(bytes) {
        let line = line?;
        let text = line.text.trim_ascii();
        // The expected values of libcpuid's tests follow.
        if text.len() == 80 && text.iter().all(|byte| *byte == b'-') {
            break;
        }
        if let Some(version) = text.strip_prefix(b"version=") {
            provenance.tool = Some(format!("libcpuid {}", String::from_utf8_lossy(version)));
        } else {
            read_line(&mut cpus, text).map_err(|problem| problem.at_line(line.number))?;
        }
    }
    cpus.iter_mut().for_each(drop_copies);
    let told = Told { cpuid: Coverage::FixedPlaces, msrs: false };
    Ok(Found { provenance, ..Found::new(cpus.finish(Basis::Raw, told)?) })
}

/// Whether this line shows that a file has this format.
pub(crate) fn is_sign(line: &[u8]) -> bool {
    entry(line).is_some()
}

fn read_line(cpus: &mut Drafts, line: &[u8]) -> Result<(), Problem> {
    if line.is_empty() || line.starts_with(b"build_date=") {
        return Ok(());
    }
    if line.starts_with(b"____") {
        let number = heading(line).ok_or_else(|| Problem::expected("a CPU heading", line))?;
        return cpus.open_unique(number);
    }
    let entry = entry(line).ok_or_else(|| Problem::expected("name[index]= and four registers of 8 hex digits", line))?;
    if cpus.is_empty() {
        cpus.open(0)?;
    }
    let Some((_, leaf, index)) = TABLES.iter().find(|(name, _, _)| name.as_bytes() == entry.table) else {
        return Err(Problem::expected("a table of libcpuid's raw format", entry.table));
    };
    let (leaf, subleaf) = match index {
        Index::Leaf => (leaf + entry.index, 0),
        Index::Subleaf => (*leaf, entry.index),
    };
    cpus.current()?.leaf(leaf, subleaf, entry.registers)
}

fn heading(line: &[u8]) -> Option<u32> {
    let name = line.trim_ascii().strip_prefix(b"_________________ Logical CPU #")?;
    decimal(name.strip_suffix(b" _________________")?)
}

struct Entry<'a> {
    table: &'a [u8],
    index: u32,
    registers: Registers,
}

/// The most entries that a table of the format may have.
const MAX_INDEX: u32 = 64;

fn entry(line: &[u8]) -> Option<Entry<'_>> {
    let line = line.trim_ascii();
    let bracket = line.iter().position(|byte| *byte == b'[')?;
    let (table, rest) = line.split_at_checked(bracket)?;
    let close = rest.iter().position(|byte| *byte == b']')?;
    let index = decimal(rest.get(1..close)?).filter(|index| *index < MAX_INDEX)?;
    let values = rest.get(close + 1..)?.strip_prefix(b"=")?;
    let mut values = values.split(|byte| *byte == b' ').map(hex32);
    let mut next = || values.next().flatten();
    let registers = Registers::new(next()?, next()?, next()?, next()?);
    values.next().is_none().then_some(Entry { table, index, registers })
}

/// Drops the entries that are not answers for their own place: leaves above the maximum, and what follows the end of a list.
fn drop_copies(cpu: &mut Draft) {
    let all = cpu.leaves.clone();
    let ends = |leaf: u32| {
        let mut entries = all.leaf(leaf).iter();
        entries.find(|entry| ends_list(leaf, &entry.registers)).map_or(u32::MAX, |entry| entry.subleaf)
    };
    let traces = all.get_or_zero(0x14, 0).eax;
    cpu.leaves.retain(|entry| {
        let last = if entry.leaf == 0x14 { traces } else { ends(entry.leaf) };
        all.in_range(entry.leaf) && entry.subleaf <= last
    });
}

//! The text family of AIDA64 and InstLatx64: a heading per logical CPU, then one line per leaf.
//!
//! ```text
//! ------[ Logical CPU #0 ]------
//! CPUID 00000007: 00000000-00000008-00000000-00000000 [SL 00] [comment]
//! ```
//!
//! Left out: everything else that the reports hold, and the expected values that follow a line of 80 dashes in libcpuid's tests.

use cpuid_db::{Basis, Registers};

use crate::Cpu;
use crate::digits::{decimal, hex_exact, hex32};
use crate::draft::{Draft, Drafts};
use crate::error::{Fault, Problem};
use crate::lines::{Lines, word};
use crate::unrecorded::{Coverage, Told};

/// Reads the CPUs of one report.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Cpu>, Fault> {
    let mut report = Report::default();
    for line in Lines::new(bytes) {
        let line = line?;
        if is_end(line.text) {
            break;
        }
        report.line(line.text).map_err(|problem| problem.at_line(line.number))?;
    }
    let cpuid = if report.subleaves_known { Coverage::Full } else { Coverage::FirstSubleaves };
    Ok(report.cpus.finish(Basis::Raw, Told { cpuid, msrs: false })?)
}

/// Whether this line shows that a file is of this family.
pub(crate) fn is_sign(line: &[u8]) -> bool {
    matches!(Item::of(line), Ok(Item::Cpu(_) | Item::Leaf(_)))
}

/// What follows the 80 dashes is about libcpuid's own answers, not about the CPU.
fn is_end(line: &[u8]) -> bool {
    line.len() == 80 && line.iter().all(|byte| *byte == b'-')
}

#[derive(Default)]
struct Report {
    cpus: Drafts,
    /// Whether the lines belong to the CPU opened last.
    in_cpu: bool,
    /// Whether any line names its subleaf: then the tool knows subleaves and leaves out those that read zero.
    subleaves_known: bool,
    /// How many lines without subleaf each leaf of the present CPU has had.
    unnumbered: Vec<(u32, u32)>,
}

impl Report {
    fn line(&mut self, line: &[u8]) -> Result<(), Problem> {
        match Item::of(line)? {
            Item::Cpu(number) => {
                self.in_cpu = true;
                self.unnumbered.clear();
                self.cpus.open(number)
            }
            Item::Section => {
                self.in_cpu = false;
                Ok(())
            }
            Item::Leaf(data) if self.in_cpu => self.data(&data),
            Item::Leaf(_) => Err(Problem::OutsideCpu),
            // The section that holds MSRs names no CPU: the tool runs on the first.
            Item::Msr(index, value) => self.cpus.first().map_or(Ok(()), |cpu| cpu.msr(index, value)),
            // Before the first CPU such lines name the processor; among its leaves they are damaged.
            Item::Other if self.in_cpu && line.starts_with(b"CPUID ") => Err(Problem::expected(DATA, line)),
            Item::Other => Ok(()),
        }
    }

    fn data(&mut self, data: &Data) -> Result<(), Problem> {
        let leaf = data.leaf;
        let subleaf = if let Some(subleaf) = data.subleaf {
            self.subleaves_known = true;
            subleaf
        } else {
            let rank = self.rank(leaf);
            let cpu = self.cpus.current()?;
            unnumbered_subleaf(cpu, data, rank)?
        };
        self.cpus.current()?.leaf(leaf, subleaf, data.registers)
    }

    /// How many lines without subleaf this leaf has had before.
    fn rank(&mut self, leaf: u32) -> u32 {
        if let Some((_, count)) = self.unnumbered.iter_mut().find(|(seen, _)| *seen == leaf) {
            *count += 1;
            return *count;
        }
        self.unnumbered.push((leaf, 0));
        0
    }
}

const DATA: &str = "CPUID, a leaf of 8 hex digits, four registers of 8 hex digits joined by -, and [SL xx] or a comment";
const MSR: &str = "MSR, an address of 8 hex digits, and 16 hex digits in groups of four joined by -";

/// The subleaf of a line that does not name it, when its leaf has had `rank` such lines before.
fn unnumbered_subleaf(cpu: &Draft, data: &Data, rank: u32) -> Result<u32, Problem> {
    let Registers { eax, ebx, .. } = data.registers;
    match data.leaf {
        _ if rank == 0 => Ok(0),
        // Lists are printed entry by entry.
        4 | 0xb | 0x1f | 0x8000_001d => Ok(rank),
        // Printers of leaf 0DH give subleaves 0 and 2 or 0, 1 and 2; AVX state has 100H bytes at 240H everywhere.
        0xd if eax == 0x100 && ebx == 0x240 => Ok(2),
        0xd if rank == 1 => Ok(1),
        leaf if cpu.leaves.get(leaf, 0) == Some(data.registers) => Ok(0),
        leaf => Err(Problem::Unnumbered { leaf }),
    }
}

/// What a line is.
enum Item {
    /// The heading of the CPU with this number, from 0.
    Cpu(u32),
    /// The heading of something else.
    Section,
    /// One answer of CPUID.
    Leaf(Data),
    /// An MSR; without value when it could not be read.
    Msr(u32, Option<u64>),
    /// Anything else.
    Other,
}

impl Item {
    fn of(line: &[u8]) -> Result<Self, Problem> {
        let heading = || Problem::expected("a CPU heading", line);
        if let Some(number) = cpu_number(line.trim_ascii_end()) {
            return number.map(Self::Cpu).map_err(|NoNumber| heading());
        }
        if line.starts_with(b"------[ ") {
            return Ok(Self::Section);
        }
        if let Some(data) = data(line) {
            return Ok(Self::Leaf(data));
        }
        match line.strip_prefix(b"MSR ").and_then(|rest| rest.split_at_checked(8)) {
            Some((index, rest)) if rest.starts_with(b":") => msr(index, rest).ok_or_else(|| Problem::expected(MSR, line)),
            _ => Ok(Self::Other),
        }
    }
}

/// A line has the form of a heading, but no usable number.
struct NoNumber;

/// The number in the heading of a CPU, counted from 0; `None` for other lines.
fn cpu_number(line: &[u8]) -> Option<Result<u32, NoNumber>> {
    if let Some(number) = line.strip_prefix(b"CPU#") {
        let (number, rest) = word(number);
        return rest.trim_ascii().starts_with(b"AffMask:").then(|| decimal(number).ok_or(NoNumber));
    }
    if let Some(rest) = line.strip_prefix(b"CPUID Registers (CPU #") {
        let from_1 = rest.strip_suffix(b"):").and_then(number_of);
        return Some(from_1.and_then(|number| number.checked_sub(1)).ok_or(NoNumber));
    }
    let inner = line.strip_prefix(b"------[ ")?;
    let inner = inner.strip_prefix(b"CPUID Registers / ").unwrap_or(inner);
    let rest = inner.strip_prefix(b"Logical CPU #")?;
    Some(rest.strip_suffix(b" ]------").and_then(number_of).ok_or(NoNumber))
}

/// `Virtual` marks the second thread of a core; it says nothing that leaf 0BH does not.
fn number_of(text: &[u8]) -> Option<u32> {
    decimal(text.strip_suffix(b" Virtual").unwrap_or(text))
}

struct Data {
    leaf: u32,
    subleaf: Option<u32>,
    registers: Registers,
}

fn data(line: &[u8]) -> Option<Data> {
    let rest = line.strip_prefix(b"CPUID ")?.trim_ascii_start();
    let (leaf, rest) = rest.split_at_checked(8)?;
    let leaf = hex32(leaf)?;
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let (registers, rest) = word(rest);
    let registers = registers_of(registers)?;
    let subleaf = match rest.trim_ascii_start().strip_prefix(b"[SL ") {
        None if !is_comment(rest) => return None,
        None => None,
        Some(rest) => {
            let (digits, rest) = rest.split_at_checked(2)?;
            rest.strip_prefix(b"]").filter(|rest| is_comment(rest))?;
            Some(hex_exact(digits, 2)? as u32)
        }
    };
    Some(Data { leaf, subleaf, registers })
}

/// Commentary begins with a bracket; nothing else about it is regular.
fn is_comment(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().first(), None | Some(b'['))
}

fn registers_of(text: &[u8]) -> Option<Registers> {
    let mut parts = text.split(|byte| *byte == b'-').map(hex32);
    let mut next = || parts.next().flatten();
    let registers = Registers::new(next()?, next()?, next()?, next()?);
    parts.next().is_none().then_some(registers)
}

/// `0000010A` and `: 0000-0000-0000-002B [comment]` or `: < FAILED >`.
fn msr(index: &[u8], rest: &[u8]) -> Option<Item> {
    let index = hex32(index)?;
    let (value, _) = word(rest.strip_prefix(b":")?);
    if value == b"<" {
        return Some(Item::Msr(index, None));
    }
    let digits: Vec<u8> = value.iter().copied().filter(|byte| *byte != b'-').collect();
    hex_exact(&digits, 16).map(|value| Item::Msr(index, Some(value)))
}

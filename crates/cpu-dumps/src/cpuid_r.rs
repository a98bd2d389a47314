//! The output of cpuid(1) with `-r`, or with `-1 -r` for one CPU.
//!
//! ```text
//! CPU 0:
//!    0x00000007 0x00: eax=0x00000002 ebx=0xf1bf2ffb ecx=0x1a415f46 edx=0x23c14010
//! ```
//!
//! The tool prints every leaf up to the maximum that leaf 0 announces, and the subleaves that leaves announce: what is missing was cut
//! off by somebody, and is unrecorded. It also asks every range of leaves, those too that the CPU does not have and answers with data of
//! its highest basic leaf. These lines are kept as printed: their first leaf announces no maximum inside its own range, so no reader of
//! the table uses them.

use cpuid_db::{Basis, Register, Registers};

use crate::Cpu;
use crate::digits::{decimal, prefixed32};
use crate::draft::Drafts;
use crate::error::{Fault, Problem};
use crate::lines::{Lines, word};
use crate::unrecorded::{Coverage, Told};

/// Reads the CPUs of one output.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Cpu>, Fault> {
    let mut cpus = Drafts::default();
    for line in Lines::new(bytes) {
        let line = line?;
        read_line(&mut cpus, line.text.trim_ascii()).map_err(|problem| problem.at_line(line.number))?;
    }
    Ok(cpus.finish(Basis::Raw, Told { cpuid: Coverage::Printed, msrs: false })?)
}

/// Whether this line shows that a file has this format. Only leaf 0 does: the decoded output has the same headings, and
/// lines like these for leaves that it does not know.
pub(crate) fn is_sign(line: &[u8]) -> bool {
    matches!(data(line.trim_ascii()), Some((0, 0, _)))
}

fn read_line(cpus: &mut Drafts, line: &[u8]) -> Result<(), Problem> {
    if line.is_empty() {
        return Ok(());
    }
    if line.starts_with(b"CPU") {
        let number = heading(line).ok_or_else(|| Problem::expected("a CPU heading", line))?;
        return cpus.open_unique(number);
    }
    let Some((leaf, subleaf, registers)) = data(line) else {
        return Err(Problem::expected("0x, a leaf, 0x, a subleaf, and eax= ebx= ecx= edx=", line));
    };
    cpus.current()?.leaf(leaf, subleaf, registers)
}

/// `CPU 3:`, or `CPU:` when only one was asked.
fn heading(line: &[u8]) -> Option<u32> {
    let number = line.strip_prefix(b"CPU")?.strip_suffix(b":")?;
    if number.is_empty() { Some(0) } else { decimal(number.strip_prefix(b" ")?) }
}

fn data(line: &[u8]) -> Option<(u32, u32, Registers)> {
    let (leaf, rest) = word(line);
    let (subleaf, mut rest) = word(rest);
    let leaf = prefixed32(leaf)?;
    let subleaf = prefixed32(subleaf.strip_suffix(b":")?)?;
    let mut registers = Registers::ZERO;
    for register in Register::ALL {
        let (value, after) = word(rest);
        let value = value.strip_prefix(register.name().as_bytes())?.strip_prefix(b"=")?;
        // Always all eight digits: fewer are a line that was cut.
        *registers.get_mut(register) = prefixed32(value).filter(|_| value.len() == 10)?;
        rest = after;
    }
    rest.is_empty().then_some((leaf, subleaf, registers))
}

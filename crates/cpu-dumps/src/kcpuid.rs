//! The output of `kcpuid -r`, the tool of the Linux sources: one CPU, the ranges of leaves 0 and 8000_0000H.
//!
//! ```text
//! Basic Leafs :
//! ================
//! 0x00000006: EAX=0x00000077, EBX=0x00000002, ECX=0x00000009, EDX=0x00000000
//! 0x00000007: subleafs:
//!   0: EAX=0x00000002, EBX=0xf1bf2ffb, ECX=0x1a415f46, EDX=0x23c14010
//! ```
//!
//! Subleaf numbers are decimal. The tool leaves out what reads all zero, and asks for further subleaves of those leaves only that
//! it prints as lists; which these are has grown with its versions.

use cpuid_db::{Basis, Register, Registers};

use crate::digits::{decimal, prefixed32};
use crate::draft::Draft;
use crate::error::{Fault, Problem};
use crate::lines::{Lines, word};
use crate::machine::Found;
use crate::unrecorded::{Coverage, Told};

/// Reads the one CPU of an output.
pub(crate) fn read(bytes: &[u8]) -> Result<Found, Fault> {
    let mut output = Output::default();
    for line in Lines::new(bytes) {
        let line = line?;
        output.line(line.text.trim_ascii()).map_err(|problem| problem.at_line(line.number))?;
    }
    let Output { cpu, lists, headings, .. } = output;
    // The second range is announced even when it is empty.
    if headings == [true, false] {
        return Err(Problem::Missing { what: "the heading of the extended leaves" }.into());
    }
    if cpu.leaves.entries().is_empty() {
        return Err(Problem::NoCpu.into());
    }
    if cpu.leaves.get(0, 0).is_none() {
        return Err(Problem::NoLeaf0 { number: 0 }.into());
    }
    let told = Told { cpuid: Coverage::Lists(&lists), msrs: false };
    Ok(Found::new(vec![cpu.into_told_cpu(Basis::Raw, told)?]))
}

/// Whether this line shows that a file has this format: leaf 0, which every output has, in this spelling.
pub(crate) fn is_sign(line: &[u8]) -> bool {
    matches!(Item::of(line.trim_ascii()), Some(Item::Leaf(0, _)))
}

const EXPECTED: &str = "0x and a leaf of 8 hex digits, or a subleaf, and EAX= EBX= ECX= EDX=";

#[derive(Default)]
struct Output {
    cpu: Draft,
    /// The leaves that are printed as lists.
    lists: Vec<u32>,
    /// Which of the headings were there: one per range, each printed even when its range is empty.
    headings: [bool; 2],
    /// The list that is open, and its highest subleaf so far.
    open: Option<(u32, Option<u32>)>,
}

impl Output {
    fn line(&mut self, line: &[u8]) -> Result<(), Problem> {
        if let Some(range) = heading(line) {
            self.open = None;
            let [basic, extended] = &mut self.headings;
            match range {
                Range::Basic => *basic = true,
                Range::Extended => *extended = true,
                Range::Other => {}
            }
            return Ok(());
        }
        match Item::of(line).ok_or_else(|| Problem::expected(EXPECTED, line))? {
            Item::Leaf(leaf, registers) => {
                self.open = None;
                self.cpu.leaf(leaf, 0, registers)
            }
            Item::List(leaf) => {
                self.lists.push(leaf);
                self.open = Some((leaf, None));
                Ok(())
            }
            Item::Subleaf(subleaf, registers) => self.subleaf(subleaf, registers),
        }
    }

    /// Lists begin with subleaf 0 and go up, so a line that lost its list is found out.
    fn subleaf(&mut self, subleaf: u32, registers: Registers) -> Result<(), Problem> {
        let (leaf, before) = self.open.ok_or(Problem::Missing { what: "the leaf of this subleaf" })?;
        if before.map_or(subleaf != 0, |before| subleaf <= before) {
            return Err(Problem::Order { what: "subleaf", number: subleaf });
        }
        self.open = Some((leaf, Some(subleaf)));
        self.cpu.leaf(leaf, subleaf, registers)
    }
}

/// What a heading announces.
enum Range {
    Basic,
    Extended,
    /// Another range, or the line under a heading, or a blank line.
    Other,
}

/// `Basic Leafs :`, in later versions `Basic Leaves :`, and the line under it.
fn heading(line: &[u8]) -> Option<Range> {
    let title = line.strip_suffix(b":").map_or(b"".as_slice(), <[u8]>::trim_ascii_end);
    let range = title.strip_suffix(b"Leafs").or_else(|| title.strip_suffix(b"Leaves"));
    match range.map(<[u8]>::trim_ascii_end) {
        Some(b"Basic") => Some(Range::Basic),
        Some(b"Extended") => Some(Range::Extended),
        Some(_) => Some(Range::Other),
        None => line.iter().all(|byte| *byte == b'=').then_some(Range::Other),
    }
}

/// What a line is.
enum Item {
    /// A leaf without subleaves.
    Leaf(u32, Registers),
    /// The beginning of a leaf with subleaves.
    List(u32),
    /// One subleaf of the leaf begun last.
    Subleaf(u32, Registers),
}

impl Item {
    fn of(line: &[u8]) -> Option<Self> {
        let (number, rest) = word(line);
        let number = number.strip_suffix(b":")?;
        if !number.starts_with(b"0x") {
            return Some(Self::Subleaf(decimal(number)?, registers(rest)?));
        }
        let leaf = prefixed32(number).filter(|_| number.len() == 10)?;
        match rest.trim_ascii() {
            b"subleafs:" | b"subleaves:" => Some(Self::List(leaf)),
            rest => registers(rest).map(|registers| Self::Leaf(leaf, registers)),
        }
    }
}

fn registers(mut rest: &[u8]) -> Option<Registers> {
    let mut registers = Registers::ZERO;
    for register in Register::ALL {
        let (value, after) = word(rest);
        let value = if register == Register::Edx { value } else { value.strip_suffix(b",")? };
        let (name, value) = value.split_at_checked(3)?;
        let value = value.strip_prefix(b"=").filter(|_| name.eq_ignore_ascii_case(register.name().as_bytes()))?;
        // Always all eight digits: fewer are a line that was cut.
        *registers.get_mut(register) = prefixed32(value).filter(|_| value.len() == 10)?;
        rest = after;
    }
    rest.is_empty().then_some(registers)
}

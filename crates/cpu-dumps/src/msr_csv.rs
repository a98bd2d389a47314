//! Firecracker's MSR baseline: every MSR that a root process could read inside a guest, one per line, and no CPUID.
//!
//! ```text
//! MSR_ADDR,VALUE
//! 0x10,0x11bc7e610
//! ```
//!
//! The tool tries whole ranges of addresses, so an MSR that is not there cannot be read in that guest. It also tries some numbers
//! above 32 bits: RDMSR takes the lower half, and so does this reader, so the value must be the one of that MSR.

use cpuid_db::Basis;

use crate::digits::prefixed;
use crate::draft::Draft;
use crate::error::{Fault, Problem};
use crate::lines::Lines;
use crate::machine::Found;
use crate::unrecorded::{Coverage, Told};

const HEAD: &[u8] = b"MSR_ADDR,VALUE";

/// Whether this line shows that a file has this format.
pub(crate) fn is_sign(line: &[u8]) -> bool {
    line.trim_ascii() == HEAD
}

/// Reads the one vCPU that a file describes.
pub(crate) fn read(bytes: &[u8]) -> Result<Found, Fault> {
    let mut cpu = Draft::default();
    let mut has_head = false;
    for line in Lines::new(bytes) {
        let line = line?;
        match line.text.trim_ascii() {
            b"" => {}
            text if !has_head => {
                has_head = true;
                if text != HEAD {
                    return Err(Problem::expected("MSR_ADDR,VALUE", text).at_line(line.number));
                }
            }
            text => row(&mut cpu, text).map_err(|problem| problem.at_line(line.number))?,
        }
    }
    if cpu.is_empty() {
        return Err(Problem::NoCpu.into());
    }
    // Values have no fixed length: without its end, the last may be cut.
    if !bytes.ends_with(b"\n") {
        return Err(Problem::Missing { what: "the end of the last line" }.into());
    }
    let told = Told { cpuid: Coverage::Nothing, msrs: true };
    Ok(Found::new(vec![cpu.into_told_cpu(Basis::Recorded, told)?]))
}

fn row(cpu: &mut Draft, text: &[u8]) -> Result<(), Problem> {
    let mut cells = text.split(|byte| *byte == b',');
    let (index, value, rest) = (cells.next(), cells.next(), cells.next());
    let index = index.and_then(|index| prefixed(index, 16)).map(|index| index as u32);
    let value = value.and_then(|value| prefixed(value, 16));
    match (index, value, rest) {
        (Some(index), Some(value), None) => cpu.msr(index, Some(value)),
        _ => Err(Problem::expected("0x, an address, a comma, 0x and a value", text)),
    }
}

//! The text formats that hold registers line by line: `cpuid -r` and libvirt's `cpudata`.

use std::collections::BTreeSet;
use std::fmt::Write;

use cpuid_db::{CpuidEntry, MsrEntry, Registers};

use super::own::all_msrs;
use crate::{Cpu, Machine};

/// The output that cpuid(1) with `-r` would give.
pub(super) fn cpuid_r(machine: &Machine) -> String {
    let mut text = String::new();
    // Some tools number every CPU 0; this one does not.
    let numbers: BTreeSet<u32> = machine.cpus.iter().map(|cpu| cpu.number).collect();
    let are_unique = numbers.len() == machine.cpus.len();
    for (rank, cpu) in machine.cpus.iter().enumerate() {
        let number = if are_unique { cpu.number as usize } else { rank };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "CPU {number}:");
        for CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } in cpu.policy.cpuid.entries() {
            let _ = writeln!(text, "   0x{leaf:08x} 0x{subleaf:02x}: eax=0x{eax:08x} ebx=0x{ebx:08x} ecx=0x{ecx:08x} edx=0x{edx:08x}");
        }
    }
    text
}

/// libvirt's raw CPU data.
pub(super) fn cpudata(name: &str, cpu: &Cpu) -> String {
    let mut text = String::new();
    // Two hyphens end a comment.
    let name: String = name.chars().filter(|character| !character.is_control()).collect::<String>().replace("--", "- -");
    let _ = writeln!(text, "<!-- {} -->\n<cpudata arch='x86'>", name.trim_end_matches('-'));
    for CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } in cpu.policy.cpuid.entries() {
        let _ = writeln!(
            text,
            "  <cpuid eax_in='0x{leaf:08x}' ecx_in='0x{subleaf:02x}' eax='0x{eax:08x}' ebx='0x{ebx:08x}' ecx='0x{ecx:08x}' edx='0x{edx:08x}'/>"
        );
    }
    for MsrEntry { index, value } in all_msrs(cpu) {
        let _ = writeln!(text, "  <msr index='0x{index:x}' edx='0x{:08x}' eax='0x{:08x}'/>", value >> 32, value as u32);
    }
    text.push_str("</cpudata>\n");
    text
}

//! A CPUID profile of Propolis' configuration.

use std::fmt::Write;

use cpuid_db::{CpuidEntry, Registers, Vendor};

use super::counts_ecx;
use crate::Cpu;

/// Propolis' word for the CPU's vendor.
pub(super) fn vendor(cpu: &Cpu) -> Option<&'static str> {
    match cpu.policy.vendor() {
        Vendor::Amd => Some("amd"),
        Vendor::Intel => Some("intel"),
        _ => None,
    }
}

/// The leaves that a profile may have: the basic and the extended ones.
fn is_allowed(leaf: u32) -> bool {
    matches!(leaf, 0..=0xffff | 0x8000_0000..=0x8000_ffff)
}

pub(super) fn toml(name: &str, vendor: &str, cpu: &Cpu) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "[cpuid.{}]\nvendor = \"{vendor}\"", Key(name));
    let cpuid = &cpu.policy.cpuid;
    for CpuidEntry { leaf, subleaf, registers } in cpuid.entries().iter().filter(|entry| is_allowed(entry.leaf)) {
        let Registers { eax, ebx, ecx, edx } = registers;
        // A key without subleaf answers every ECX, so only leaves that do so have one.
        let _ = if counts_ecx(cpuid, *leaf) { write!(text, "\"{leaf:x}-{subleaf:x}\"") } else { write!(text, "\"{leaf:x}\"") };
        let _ = writeln!(text, " = [0x{eax:08x}, 0x{ebx:08x}, 0x{ecx:08x}, 0x{edx:08x}]");
    }
    text
}

/// A name as a TOML key.
struct Key<'a>(&'a str);

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_bare = !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if is_bare { f.write_str(self.0) } else { super::own::Quoted(self.0).fmt(f) }
    }
}

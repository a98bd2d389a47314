//! Firecracker's custom CPU templates.

use std::fmt::{self, Write};

use cpuid_db::Register;

use super::own::{Quoted, all_msrs};
use crate::template::{Bits, CpuidRule, MsrRule};
use crate::{Cpu, Format, Template};

/// A template that gives every bit of every leaf and MSR of a CPU.
pub(super) fn dump(cpu: &Cpu) -> Template {
    let mut template = Template::new(Format::FirecrackerTemplate);
    for entry in cpu.policy.cpuid.entries() {
        template.cpuid.extend(Register::ALL.map(|register| CpuidRule {
            leaf: entry.leaf,
            first: entry.subleaf,
            last: entry.subleaf,
            register,
            bits: Bits { filter: u64::from(u32::MAX), value: u64::from(entry.registers.get(register)) },
        }));
    }
    template.msrs =
        all_msrs(cpu).iter().map(|msr| MsrRule { index: msr.index, bits: Bits { filter: u64::MAX, value: msr.value } }).collect();
    template
}

/// The template as a file of its tool.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.format == Format::CloudHypervisorProfile { super::cloud_hypervisor::print(self, f) } else { print(self, f) }
    }
}

fn print(template: &Template, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("{\n")?;
    if !template.capabilities.is_empty() {
        f.write_str("  \"kvm_capabilities\": [")?;
        let mut comma = "";
        for capability in &template.capabilities {
            write!(f, "{comma}{}", Quoted(capability))?;
            comma = ", ";
        }
        f.write_str("],\n")?;
    }
    f.write_str("  \"cpuid_modifiers\": [")?;
    let mut rules = template.cpuid.as_slice();
    let mut comma = "";
    while let Some(first) = rules.first() {
        let count = rules.iter().take_while(|rule| (rule.leaf, rule.first) == (first.leaf, first.first)).count();
        let (these, rest) = rules.split_at_checked(count).unwrap_or((rules, &[]));
        write!(f, "{comma}\n    ")?;
        leaf(these, f)?;
        comma = ",";
        rules = rest;
    }
    f.write_str(if comma.is_empty() { "],\n" } else { "\n  ],\n" })?;
    f.write_str("  \"msr_modifiers\": [")?;
    comma = "";
    for MsrRule { index, bits } in &template.msrs {
        write!(f, "{comma}\n    {{\"addr\": \"{index:#x}\", \"bitmap\": \"{}\"}}", Bitmap(*bits, 64))?;
        comma = ",";
    }
    f.write_str(if comma.is_empty() { "]\n}\n" } else { "\n  ]\n}\n" })
}

/// The modifiers of one leaf and subleaf.
fn leaf(rules: &[CpuidRule], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(first) = rules.first() else { return Ok(()) };
    // KVM's flag 1: ECX counts.
    let flags = u8::from(super::counts_ecx(&cpuid_db::CpuidTable::new(), first.leaf) || first.first > 0);
    write!(f, "{{\"leaf\": \"{:#x}\", \"subleaf\": \"{:#x}\", \"flags\": {flags}, \"modifiers\": [", first.leaf, first.first)?;
    let mut comma = "";
    for rule in rules {
        write!(f, "{comma}\n      {{\"register\": \"{}\", \"bitmap\": \"{}\"}}", rule.register, Bitmap(rule.bits, 32))?;
        comma = ",";
    }
    f.write_str("\n    ]}")
}

/// `0b` and one digit per bit, the highest first; `x` is left open.
struct Bitmap(Bits, u32);

impl fmt::Display for Bitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Bits { filter, value }, width) = self;
        f.write_str("0b")?;
        for bit in (0..*width).rev() {
            f.write_char(match (filter >> bit & 1, value >> bit & 1) {
                (0, _) => 'x',
                (_, 0) => '0',
                _ => '1',
            })?;
        }
        Ok(())
    }
}

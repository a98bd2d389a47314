//! Cloud Hypervisor's CPU profiles, in two files: `NAME.cpuid.json` and `NAME.msr.json`.

use std::fmt;

use cpuid_db::{Register, Unrecorded, UnrecordedList};

use super::{Part, Target, WriteError, again, counts_ecx};
use crate::template::{Bits, CpuidRule, MsrRule};
use crate::{Cpu, Format, Machine, Template};

/// Both files, and the machine that is read from both.
pub(super) fn write(cpu: &Cpu) -> Result<(Vec<Part>, Machine), WriteError> {
    let target = Target::CloudHypervisorProfile;
    let (cpuid, msrs) = (cpuid_part(cpu), msr_part(cpu));
    let mut parts = Vec::new();
    let mut machine: Option<Machine> = None;
    for (template, extension) in [(cpuid, "cpuid.json"), (msrs, "msr.json")] {
        if template.cpuid.is_empty() && template.msrs.is_empty() {
            continue;
        }
        let text = template.to_string();
        let part = again(target, &text)?;
        parts.push(Part { extension, text });
        machine = Some(match machine {
            Some(first) => with_msrs(first, &part),
            None => part,
        });
    }
    Ok((parts, machine.ok_or(WriteError::Nothing { target })?))
}

/// The machine of the one file with the MSRs of the other.
fn with_msrs(mut machine: Machine, msrs: &Machine) -> Machine {
    for (cpu, other) in machine.cpus.iter_mut().zip(&msrs.cpus) {
        cpu.policy.msrs = other.policy.msrs.clone();
        cpu.msrs.clone_from(&other.msrs);
        let mut unrecorded = UnrecordedList::new();
        // The MSRs tell of further MSRs whether they are there.
        let is_told = |place: &Unrecorded| matches!(place, Unrecorded::Msr { .. }) && !other.policy.unrecorded.contains(*place);
        for place in cpu.policy.unrecorded.as_slice().iter().filter(|place| !is_told(place)) {
            // A part of a list fits where the list did.
            let _ = unrecorded.insert(*place);
        }
        cpu.policy.unrecorded = unrecorded;
    }
    machine
}

fn cpuid_part(cpu: &Cpu) -> Template {
    let mut template = Template::new(Format::CloudHypervisorProfile);
    let cpuid = &cpu.policy.cpuid;
    for entry in cpuid.entries() {
        let (first, last) = if counts_ecx(cpuid, entry.leaf) { (entry.subleaf, entry.subleaf) } else { (0, u32::MAX) };
        template.cpuid.extend(Register::ALL.map(|register| CpuidRule {
            leaf: entry.leaf,
            first,
            last,
            register,
            bits: Bits { filter: u64::from(u32::MAX), value: u64::from(entry.registers.get(register)) },
        }));
    }
    template
}

/// Only feature MSRs: the others are state, which a profile does not set.
fn msr_part(cpu: &Cpu) -> Template {
    let mut template = Template::new(Format::CloudHypervisorProfile);
    for msr in cpu.policy.msrs.entries() {
        template.msrs.push(MsrRule { index: msr.index, bits: Bits { filter: u64::MAX, value: msr.value } });
        template.required_msrs.push(msr.index);
    }
    template
}

/// The profile as a file; rules for CPUID and for MSRs do not go together in one.
pub(super) fn print(template: &Template, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("{\n  \"adjustments\": [")?;
    let mut comma = "";
    for rule in &template.cpuid {
        let CpuidRule { leaf, first, last, register, bits } = rule;
        let register = register.name().to_ascii_uppercase();
        write!(
            f,
            "{comma}\n    [{{\"leaf\": \"{leaf:#x}\", \"sub_leaf\": {{\"start\": \"{first:#x}\", \"end\": \"{last:#x}\"}}, \"register\": \"{register}\"}}, "
        )?;
        adjustment(*bits, u64::from(u32::MAX), f)?;
        comma = ",";
    }
    for rule in &template.msrs {
        write!(f, "{comma}\n    [\"{:#x}\", ", rule.index)?;
        adjustment(rule.bits, u64::MAX, f)?;
        comma = ",";
    }
    f.write_str(if comma.is_empty() { "]" } else { "\n  ]" })?;
    if !template.msrs.is_empty() || !template.required_msrs.is_empty() {
        f.write_str(",\n  \"required_msrs\": [")?;
        comma = "";
        for index in &template.required_msrs {
            write!(f, "{comma}\"{index:#x}\"")?;
            comma = ", ";
        }
        f.write_str("]")?;
    }
    f.write_str("\n}\n")
}

fn adjustment(bits: Bits, all: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{{\"replacements\": \"{:#x}\", \"mask\": \"{:#x}\"}}]", bits.value, !bits.filter & all)
}

//! Inputs of the benchmarks: machines and files that are made up, always the same, and about as large as real ones.

pub mod designs;

use std::fmt::Write as _;

use cpu_dumps::{Cpu, Dump, Format, Machine, Provenance};
use cpuid_db::{CpuidEntry, Feature, FieldAt, Merge, Policy, Register, Registers, Vendor};

/// A server CPU: every feature that merges by AND or OR and that Intel has, but for a few that differ from machine to machine.
///
/// # Panics
/// When the database outgrows a CPUID table.
pub fn machine(number: u32) -> Policy {
    let mut policy = Policy::default();
    fill(&mut policy, number).expect("the database has fewer leaves than a table has room");
    policy
}

fn fill(policy: &mut Policy, number: u32) -> Result<(), cpuid_db::TableFull> {
    policy.cpuid.insert(0, 0, Vendor::Intel.leaf_0(0x20))?;
    policy.cpuid.insert(1, 0, Registers::new(0x5_0654, 0x0800, 0, 0))?;
    policy.cpuid.insert(0x8000_0000, 0, Registers::new(0x8000_0008, 0, 0, 0))?;
    let intel = |feature: &Feature| feature.row().vendors.is_empty() || feature.row().vendors.contains(Vendor::Intel.set());
    let merged = |feature: &Feature| matches!(feature.row().merge, Merge::And | Merge::Or);
    for feature in Feature::all().filter(intel).filter(merged) {
        let differs = feature.index() as u32 % 41 == number % 41;
        policy.set_feature(feature, !differs)?;
    }
    for at in cpu_caps::field_slots().filter(|at| at.field.row().merge == Merge::Min) {
        set_width(policy, at, number)?;
    }
    Ok(())
}

/// Fields in which the smallest value wins differ a little from machine to machine.
fn set_width(policy: &mut Policy, at: FieldAt, number: u32) -> Result<(), cpuid_db::TableFull> {
    let row = at.field.row();
    let most = row.mask() >> row.low;
    policy.set_field(at, most.min(0x20) - u64::from(number % 3).min(most))
}

/// One machine in every format that is read, with the format.
///
/// # Panics
/// Never: strings take everything.
pub fn files() -> Vec<(Format, String)> {
    let policy = machine(0);
    let dump = Machine {
        name: "bench".to_owned(),
        format: Format::Dump,
        provenance: Provenance::default(),
        basis: policy.basis,
        cpus: vec![Cpu { number: 0, core_type: None, msrs: policy.msrs.entries().to_vec(), policy: policy.clone() }],
        unknown_names: Vec::new(),
        kvm: None,
    };
    let lines = |head: &str, line: fn(&CpuidEntry) -> String, tail: &str| {
        let body: String = policy.cpuid.entries().iter().map(line).collect();
        format!("{head}\n{body}{tail}")
    };
    vec![
        (Format::Dump, Dump::new(&dump).to_string()),
        (Format::Aida, lines("------[ Logical CPU #0 ]------", aida, "")),
        (Format::LibcpuidRaw, lines("_________________ Logical CPU #0 _________________", libcpuid, "")),
        (Format::LibvirtCpudata, lines("<cpudata arch='x86'>", libvirt, "</cpudata>\n")),
        (Format::CpuidR, lines("CPU 0:", cpuid_r, "")),
        (Format::FirecrackerFingerprint, firecracker(&policy)),
    ]
}

fn aida(entry: &CpuidEntry) -> String {
    let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = entry;
    format!("CPUID {leaf:08X}: {eax:08X}-{ebx:08X}-{ecx:08X}-{edx:08X} [SL {subleaf:02X}]\n")
}

/// The format has tables of fixed length, which repeat what the CPU answers to leaves that it does not have.
fn libcpuid(entry: &CpuidEntry) -> String {
    let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = entry;
    let (table, index) = match leaf {
        4 => ("intel_fn4", subleaf),
        0xb => ("intel_fn11", subleaf),
        0x12 => ("intel_fn12h", subleaf),
        0x14 => ("intel_fn14h", subleaf),
        0..=0x20 => ("basic_cpuid", leaf),
        0x8000_0000..=0x8000_001f => ("ext_cpuid", &(leaf & 0x1f)),
        _ => return String::new(),
    };
    if *subleaf > 0 && table.ends_with("_cpuid") {
        String::new()
    } else {
        format!("{table}[{index}]={eax:08x} {ebx:08x} {ecx:08x} {edx:08x}\n")
    }
}

fn libvirt(entry: &CpuidEntry) -> String {
    let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = entry;
    let place = format!("eax_in='0x{leaf:08x}' ecx_in='0x{subleaf:02x}'");
    format!("  <cpuid {place} eax='0x{eax:08x}' ebx='0x{ebx:08x}' ecx='0x{ecx:08x}' edx='0x{edx:08x}'/>\n")
}

fn cpuid_r(entry: &CpuidEntry) -> String {
    let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = entry;
    format!("   0x{leaf:08x} 0x{subleaf:02x}: eax=0x{eax:08x} ebx=0x{ebx:08x} ecx=0x{ecx:08x} edx=0x{edx:08x}\n")
}

fn firecracker(policy: &Policy) -> String {
    let mut text = "{\"guest_cpu_config\": {\"cpuid_modifiers\": [\n".to_owned();
    for (rank, CpuidEntry { leaf, subleaf, registers }) in policy.cpuid.entries().iter().enumerate() {
        let value = |register: Register| format!("{{\"register\": \"{register}\", \"bitmap\": \"0b{:032b}\"}}", registers.get(register));
        let comma = if rank == 0 { "" } else { ",\n" };
        let values = Register::ALL.map(value).join(", ");
        write!(text, "{comma}{{\"leaf\": \"{leaf:#x}\", \"subleaf\": \"{subleaf:#x}\", \"flags\": 0, \"modifiers\": [{values}]}}")
            .expect("a string takes everything");
    }
    text + "\n], \"msr_modifiers\": []}}\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_read_as_what_it_is() {
        for (format, text) in files() {
            let machines = cpu_dumps::read("bench", text.as_bytes()).unwrap_or_else(|error| panic!("{format}: {error}"));
            assert_eq!(machines[0].format, format);
            assert!(machines[0].cpus[0].policy.cpuid.entries().len() > 10, "{format}");
        }
    }

    #[test]
    fn machines_differ_and_have_features() {
        let first = machine(0).features();
        let second = machine(1).features();
        assert!(first.len() > 300, "{}", first.len());
        assert_ne!(first, second);
    }
}

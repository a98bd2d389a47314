//! Inputs of the benchmarks: machines and files that are made up, always the same, and about as large as real ones.

pub mod designs;
mod files;

use cpu_dumps::{Cpu, Format, Machine, Provenance};
use cpuid_db::{Feature, FieldAt, Merge, Policy, Registers, Vendor};

pub use files::files;

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

/// A machine of one CPU, as a dump.
pub fn dump() -> Machine {
    let policy = machine(0);
    Machine {
        name: "bench".to_owned(),
        format: Format::Dump,
        provenance: Provenance::default(),
        basis: policy.basis,
        cpus: vec![Cpu { number: 0, core_type: None, msrs: policy.msrs.entries().to_vec(), policy }],
        unknown_names: Vec::new(),
        kvm: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_read_as_what_it_is() {
        let all = files(&dump());
        assert_eq!(all.iter().map(|(format, _)| *format).collect::<Vec<_>>(), Format::ALL);
        for (format, text) in all {
            let machines = cpu_dumps::read("bench", &text).unwrap_or_else(|error| panic!("{format}: {error}"));
            assert_eq!((machines.len(), machines[0].format), (1, format));
            let Cpu { policy, msrs, .. } = &machines[0].cpus[0];
            assert!(policy.cpuid.entries().len() + msrs.len() > 10, "{format}");
            assert_eq!(machines[0].unknown_names, Vec::<String>::new(), "{format}");
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

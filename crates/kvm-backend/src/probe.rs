//! What this machine is: raw CPUID, once per core type, with kernel and microcode for the record.
//!
//! Left out: what KVM makes of it, and MSRs. Reading happens on a thread of its own, so that pinning it disturbs nobody.

mod enumerate;
mod kind;
mod pin;

use cpuid_db::{Basis, CpuidTable, Policy, Registers, TableFull, Unrecorded, leaves};

pub use enumerate::enumerate;
use kind::Kind;

/// What was read on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recording {
    /// One CPU of each core type, in order of number; at least one.
    pub cpus: Vec<RecordedCpu>,
    /// The running kernel's release, where it can be read.
    pub kernel: Option<String>,
    /// The microcode revision as the kernel prints it, where it can be read.
    pub microcode: Option<String>,
    /// What the machine is called, where it can be read.
    pub host_name: Option<String>,
}

/// One logical CPU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordedCpu {
    /// The kernel's number for it.
    pub number: u32,
    /// Raw CPUID. The feature MSRs that it announces are listed as unrecorded.
    pub policy: Policy,
}

/// Why a machine could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// There is no CPUID instruction here.
    #[error("raw CPUID can be read on x86-64 only")]
    NotX86,
    /// The cores differ, and the kernel does not let us choose one.
    #[error("this machine has several core types, and no thread can be pinned to a core of each")]
    CannotPin,
    /// The CPU announces more than any CPU has.
    #[error("CPUID answers do not fit: {0}")]
    Full(#[from] TableFull),
    /// The reading thread did not start or did not end well.
    #[error("the reading thread failed: {0}")]
    Thread(std::io::ErrorKind),
}

/// Reads this machine.
///
/// # Errors
/// [`ProbeError`] on another architecture, or when cores differ and cannot be chosen.
pub fn record() -> Result<Recording, ProbeError> {
    if !cfg!(target_arch = "x86_64") {
        return Err(ProbeError::NotX86);
    }
    let reader = std::thread::Builder::new().name("cpuid".to_owned()).spawn(read_core_types);
    let reader = reader.map_err(|error| ProbeError::Thread(error.kind()))?;
    let cpus = reader.join().map_err(|_| ProbeError::Thread(std::io::ErrorKind::Other))??;
    let [kernel, host_name] = ["/proc/sys/kernel/osrelease", "/proc/sys/kernel/hostname"].map(line_of);
    Ok(Recording { cpus, kernel, microcode: microcode_revision(), host_name })
}

/// One answer of the CPU that executes this.
#[cfg(target_arch = "x86_64")]
fn cpuid(leaf: u32, subleaf: u32) -> Registers {
    let answer = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    Registers::new(answer.eax, answer.ebx, answer.ecx, answer.edx)
}

/// Never called: [`record`] has refused before.
#[cfg(not(target_arch = "x86_64"))]
fn cpuid(_leaf: u32, _subleaf: u32) -> Registers {
    Registers::ZERO
}

/// Visits the CPUs that this process may use and keeps the first of each kind.
fn read_core_types() -> Result<Vec<RecordedCpu>, ProbeError> {
    let mut cpus = Vec::new();
    let mut seen = Vec::new();
    for number in pin::allowed().into_iter().filter(|number| pin::to(*number)) {
        let kind = Kind::read(cpuid);
        if !seen.contains(&kind) {
            seen.push(kind);
            cpus.push(read_cpu(number)?);
        }
        if kind == Kind::Uniform {
            break;
        }
    }
    match cpus.is_empty() {
        false => Ok(cpus),
        true if Kind::read(cpuid) == Kind::Uniform => Ok(vec![read_cpu(0)?]),
        true => Err(ProbeError::CannotPin),
    }
}

fn read_cpu(number: u32) -> Result<RecordedCpu, TableFull> {
    let policy = policy_of(enumerate(cpuid)?)?;
    Ok(RecordedCpu { number, policy })
}

/// A policy that says of every feature MSR that this CPU announces that nobody read it.
fn policy_of(cpuid: CpuidTable) -> Result<Policy, TableFull> {
    let mut policy = Policy { cpuid, basis: Basis::Raw, ..Policy::default() };
    let features = policy.features();
    for row in leaves().iter().filter(|row| row.leaf.is_none()) {
        if row.requires.is_empty() || features.contains_any(row.requires) {
            policy.unrecorded.insert(Unrecorded::Msr { index: row.msr })?;
        }
    }
    Ok(policy)
}

/// The content of a file of one line.
fn line_of(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|line| !line.is_empty())
}

fn microcode_revision() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    revision_in(&text).map(str::to_owned)
}

/// The first `microcode` line of /proc/cpuinfo.
fn revision_in(cpuinfo: &str) -> Option<&str> {
    let mut pairs = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let (_, revision) = pairs.find(|(key, _)| key.trim() == "microcode")?;
    Some(revision.trim()).filter(|revision| !revision.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_read() {
        let recording = match record() {
            Err(ProbeError::NotX86) => return,
            outcome => outcome.unwrap(),
        };
        for cpu in &recording.cpus {
            let table = &cpu.policy.cpuid;
            assert!(table.max_leaf(0).is_some() && table.in_range(1));
            assert_ne!(cpu.policy.signature().family(), 0);
        }
    }

    #[test]
    fn announced_msrs_are_unrecorded() {
        // 7.0.EDX[29] announces IA32_ARCH_CAPABILITIES; nothing announces IA32_PERF_CAPABILITIES.
        let table = |edx: u32| {
            enumerate(|leaf, subleaf| match (leaf, subleaf) {
                (0, _) => Registers::new(7, 0x756e_6547, 0x6c65_746e, 0x4965_6e69),
                (7, 0) => Registers::new(0, 0, 0, edx),
                _ => Registers::ZERO,
            })
        };
        for (edx, unknown) in [(1 << 29, true), (0, false)] {
            let policy = policy_of(table(edx).unwrap()).unwrap();
            assert_eq!(policy.unrecorded.contains(Unrecorded::Msr { index: 0x10a }), unknown);
            assert!(!policy.unrecorded.contains(Unrecorded::Msr { index: 0x345 }));
        }
    }

    #[test]
    fn microcode_is_found_in_cpuinfo() {
        let cases = [
            ("processor\t: 0\nmicrocode\t: 0x2b000571\nflags\t: fpu\n", Some("0x2b000571")),
            ("processor\t: 0\nmicrocode\t:\n", None),
            ("no colon here\n", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(revision_in(text), expected, "{text:?}");
        }
    }
}

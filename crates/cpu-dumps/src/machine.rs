//! What a dump says about one machine.

use cpuid_db::{Basis, CpuidTable, MsrEntry, Policy};

use crate::Format;

/// One machine: its logical CPUs as the file gives them, and where the numbers come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// The machine's name: the own format's `name`, else the file name without directories and extension.
    pub name: String,
    /// The format the machine was read from.
    pub format: Format,
    /// Who recorded it, and on what.
    pub provenance: Provenance,
    /// Where the view comes from; the same for all its CPUs.
    pub basis: Basis,
    /// Names in the file that stand for no feature of the database and no model that is known: what they say is not in the CPUs.
    pub unknown_names: Vec<String>,
    /// The logical CPUs in the order of the file; at least one after a successful read.
    pub cpus: Vec<Cpu>,
    /// What KVM offers there, if it was asked; boxed, since few files have it and it is large.
    pub kvm: Option<Box<KvmView>>,
}

/// A machine as one file of a foreign format describes it.
#[derive(Default)]
pub(crate) struct Found {
    /// The machine's name, where the format has names.
    pub(crate) name: Option<String>,
    pub(crate) provenance: Provenance,
    pub(crate) unknown_names: Vec<String>,
    pub(crate) cpus: Vec<Cpu>,
}

impl Found {
    pub(crate) fn new(cpus: Vec<Cpu>) -> Self {
        Self { cpus, ..Self::default() }
    }

    pub(crate) fn into_machine(self, name: &str, format: Format) -> Machine {
        let Self { name: own, provenance, unknown_names, cpus } = self;
        let basis = cpus.first().map_or(Basis::Raw, |cpu| cpu.policy.basis);
        Machine { name: own.unwrap_or_else(|| name.to_owned()), format, provenance, basis, unknown_names, cpus, kvm: None }
    }
}

impl Machine {
    /// Whether the machine has cores of several kinds, as far as the file tells.
    pub fn is_hybrid(&self) -> bool {
        self.cpus.iter().any(|cpu| cpu.core_type.is_some())
    }

    /// The first CPU of each core type, in order of appearance. One CPU on a machine that is not hybrid.
    pub fn one_per_core_type(&self) -> Vec<&Cpu> {
        let mut kept: Vec<&Cpu> = Vec::new();
        for cpu in &self.cpus {
            if kept.iter().all(|other| other.core_type != cpu.core_type) {
                kept.push(cpu);
            }
        }
        kept
    }
}

/// Who recorded a dump, and on what. Only what the file itself says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Provenance {
    /// The program and its version.
    pub tool: Option<String>,
    /// The kernel it ran under.
    pub kernel: Option<String>,
    /// The microcode revision.
    pub microcode: Option<String>,
    /// Where the dump comes from: an address, a file, a person.
    pub source: Option<String>,
}

/// One logical CPU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cpu {
    /// Its number as printed, from 0. Some old tools number every CPU 0.
    pub number: u32,
    /// Its kind, on hybrid machines only.
    pub core_type: Option<CoreType>,
    /// CPUID, and those MSRs that the database knows as feature MSRs. Leaves beyond the announced maximum are kept where
    /// the format prints them; [`CpuidTable::in_range`] tells them apart.
    pub policy: Policy,
    /// All MSRs that the file records, sorted by address.
    pub msrs: Vec<MsrEntry>,
}

/// What KVM answered on a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KvmView {
    /// `KVM_GET_SUPPORTED_CPUID` and the feature MSRs of the system-wide `KVM_GET_MSRS`.
    pub supported: Policy,
    /// `KVM_GET_EMULATED_CPUID`.
    pub emulated: Option<CpuidTable>,
}

/// A kind of core of a hybrid machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum CoreType {
    /// Intel Core, or an AMD performance core.
    Performance,
    /// Intel Atom, or an AMD efficiency core.
    Efficiency,
    /// Intel Atom outside the last-level cache: leaf 4 lists no level 3.
    LowPower,
}

impl CoreType {
    const ALL: [Self; 3] = [Self::Performance, Self::Efficiency, Self::LowPower];

    /// The word used in the own format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Performance => "performance",
            Self::Efficiency => "efficiency",
            Self::LowPower => "low-power",
        }
    }

    /// The type with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The type of the CPU that gave these answers; `None` when it does not say that it is part of a hybrid machine.
    ///
    /// Intel: 7.0.EDX\[15\] says hybrid, 1AH.EAX\[31:24\] which type (SDM vol. 2A, CPUID leaf 1AH).
    /// AMD: 8000_0026H.EAX\[30\] says that there are several types, EBX\[31:28\] which (APM vol. 3, Fn8000_0026).
    pub fn of(cpuid: &CpuidTable) -> Option<Self> {
        Self::of_intel(cpuid).or_else(|| Self::of_amd(cpuid))
    }

    fn of_intel(cpuid: &CpuidTable) -> Option<Self> {
        let hybrid = cpuid.in_range(7) && cpuid.get(7, 0)?.edx >> 15 & 1 == 1;
        let native = cpuid.get(0x1a, 0).filter(|_| hybrid && cpuid.in_range(0x1a))?;
        match native.eax >> 24 {
            0x40 => Some(Self::Performance),
            0x20 if has_last_level_cache(cpuid) => Some(Self::Efficiency),
            0x20 => Some(Self::LowPower),
            _ => None,
        }
    }

    fn of_amd(cpuid: &CpuidTable) -> Option<Self> {
        let core = cpuid.get(0x8000_0026, 0).filter(|_| cpuid.in_range(0x8000_0026))?;
        match core.ebx >> 28 {
            _ if core.eax >> 30 & 1 == 0 => None,
            0 => Some(Self::Performance),
            1 => Some(Self::Efficiency),
            _ => None,
        }
    }
}

/// Whether leaf 4 lists a cache of level 3 (EAX\[7:5\]); a dump without leaf 4 tells nothing against it.
fn has_last_level_cache(cpuid: &CpuidTable) -> bool {
    let caches = cpuid.leaf(4);
    caches.is_empty() || caches.iter().any(|entry| entry.registers.eax >> 5 & 7 == 3)
}

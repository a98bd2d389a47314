//! Templates: what a hypervisor is to change in the CPUID and MSRs of any host. A template describes no machine, since it leaves
//! bits open; applied to a host, it gives a guest.

use std::fmt;

use cpuid_db::{Policy, Register, TableFull};

use crate::Format;

/// Which bits of a register are given, and their values; all others are the host's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Bits {
    /// The bits that are given.
    pub filter: u64,
    /// Their values; no bit outside of `filter`.
    pub value: u64,
}

impl Bits {
    /// The register of a host with the given bits replaced.
    pub const fn apply(self, host: u64) -> u64 {
        host & !self.filter | self.value
    }

    /// Whether all of the lower `width` bits are given.
    pub const fn is_closed(self, width: u32) -> bool {
        self.filter == u64::MAX >> (64 - width)
    }
}

/// What a template says about one CPUID register in a range of subleaves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CpuidRule {
    /// EAX on input.
    pub leaf: u32,
    /// The first subleaf.
    pub first: u32,
    /// The last subleaf.
    pub last: u32,
    /// The register.
    pub register: Register,
    /// What becomes of it.
    pub bits: Bits,
}

/// What a template says about one MSR.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MsrRule {
    /// The MSR's address.
    pub index: u32,
    /// What becomes of it.
    pub bits: Bits,
}

/// A template: [`read_template`](crate::read_template) reads one.
///
/// In a Firecracker template rules apply in their order, and a register without rule is the host's.
/// In a Cloud Hypervisor profile the first rule that fits applies, and a CPUID register without rule is zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    /// Whose rules these are: [`Format::FirecrackerTemplate`] or [`Format::CloudHypervisorProfile`].
    pub format: Format,
    /// Numbers of KVM capabilities that Firecracker is to demand, or with `!` not to demand.
    pub capabilities: Vec<String>,
    /// CPUID.
    pub cpuid: Vec<CpuidRule>,
    /// MSRs.
    pub msrs: Vec<MsrRule>,
    /// MSRs that a host must have, for Cloud Hypervisor.
    pub required_msrs: Vec<u32>,
}

impl Template {
    /// A template without rules.
    pub const fn new(format: Format) -> Self {
        Self { format, capabilities: Vec::new(), cpuid: Vec::new(), msrs: Vec::new(), required_msrs: Vec::new() }
    }

    /// Whether every rule gives all bits of its register.
    pub fn is_closed(&self) -> bool {
        self.cpuid.iter().all(|rule| rule.bits.is_closed(32)) && self.msrs.iter().all(|rule| rule.bits.is_closed(64))
    }

    /// What a guest sees on this host. What the host's dump could not tell stays untold.
    ///
    /// # Errors
    /// When a rule is about a leaf or MSR that the host does not have: the hypervisors refuse such a template there.
    pub fn apply(&self, host: &Policy) -> Result<Policy, ApplyError> {
        let mut guest = if self.format == Format::CloudHypervisorProfile { self.first_match(host)? } else { self.in_order(host)? };
        for rule in &self.msrs {
            let old = host.msrs.get(rule.index).ok_or(ApplyError::NoMsr { index: rule.index })?;
            let old = guest.msrs.get(rule.index).unwrap_or(old);
            guest.msrs.insert(rule.index, rule.bits.apply(old))?;
        }
        Ok(guest)
    }

    fn in_order(&self, host: &Policy) -> Result<Policy, ApplyError> {
        let mut guest = host.clone();
        for rule in &self.cpuid {
            let (leaf, subleaf) = (rule.leaf, rule.first);
            let registers = guest.cpuid.get_mut(leaf, subleaf).ok_or(ApplyError::NoLeaf { leaf, subleaf })?;
            let register = registers.get_mut(rule.register);
            *register = rule.bits.apply(u64::from(*register)) as u32;
        }
        Ok(guest)
    }

    fn first_match(&self, host: &Policy) -> Result<Policy, ApplyError> {
        let mut guest = host.clone();
        for entry in host.cpuid.entries() {
            let Some(registers) = guest.cpuid.get_mut(entry.leaf, entry.subleaf) else { continue };
            for register in Register::ALL {
                let rule = self.rule(entry.leaf, entry.subleaf, register);
                *registers.get_mut(register) = rule.map_or(0, |rule| rule.bits.apply(u64::from(entry.registers.get(register))) as u32);
            }
        }
        for rule in self.cpuid.iter().filter(|rule| rule.bits.value != 0) {
            let (leaf, subleaf) = (rule.leaf, rule.first);
            let is_there = host.cpuid.leaf(leaf).iter().any(|entry| (rule.first..=rule.last).contains(&entry.subleaf));
            if !is_there && self.rule(leaf, subleaf, rule.register) == Some(rule) {
                return Err(ApplyError::NoLeaf { leaf, subleaf });
            }
        }
        Ok(guest)
    }

    /// The first rule for a register.
    pub(crate) fn rule(&self, leaf: u32, subleaf: u32, register: Register) -> Option<&CpuidRule> {
        let fits = |rule: &&CpuidRule| rule.leaf == leaf && rule.register == register && (rule.first..=rule.last).contains(&subleaf);
        self.cpuid.iter().find(fits)
    }
}

/// Why a template cannot be applied to a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ApplyError {
    /// The host has no such leaf.
    NoLeaf {
        /// EAX on input.
        leaf: u32,
        /// ECX on input.
        subleaf: u32,
    },
    /// The host has no such MSR, or its dump does not say so.
    NoMsr {
        /// Its address.
        index: u32,
    },
    /// A table of the guest is full.
    Full(TableFull),
}

impl From<TableFull> for ApplyError {
    fn from(full: TableFull) -> Self {
        Self::Full(full)
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeaf { leaf, subleaf } => write!(f, "the host has no leaf {leaf:08x} subleaf {subleaf:02x}"),
            Self::NoMsr { index } => write!(f, "the host has no MSR {index:08x}"),
            Self::Full(full) => full.fmt(f),
        }
    }
}

impl std::error::Error for ApplyError {}

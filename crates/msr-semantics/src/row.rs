//! What a row of the table can say. The vocabulary is explained in `data/README.md`.

use cpuid_db::{Feature, Vendors};

use crate::hooks::Hook;
use crate::{Capabilities, Effects};

/// One thing that has to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Term {
    /// The guest has the feature.
    Feature(Feature),
    /// The guest does not have the feature.
    Without(Feature),
    /// The guest's performance counters are of this version or later (leaf 0AH EAX\[7:0\]; AMD: 2 with PERFMON_V2, else 1).
    Pmu(u8),
    /// A bit of IA32_MCG_CAP.
    Mcg(u8),
    /// Bit 31 of MSR_PLATFORM_INFO: CPUID can be made to fault.
    CpuidFaulting,
    /// IA32_PERF_CAPABILITIES names a layout of last-branch records.
    LbrFormat,
    /// IA32_PERF_CAPABILITIES names a layout of PEBS records.
    PebsFormat,
    /// KVM only: the paravirtual feature is there, or nobody enforces them.
    Paravirtual(Feature),
    /// KVM only: leaf 4000_0001H is Hyper-V's, and the feature is there or nobody enforces them.
    HyperV(Option<Feature>),
    /// KVM only: the VMM has switched this on.
    Capability(Capabilities),
}

/// Holds if each group has a term that holds; always, if there are no groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Condition(pub &'static [&'static [Term]]);

impl Condition {
    /// Holds.
    pub const ALWAYS: Self = Self(&[]);
    /// Does not hold.
    pub const NEVER: Self = Self(&[&[]]);
}

/// What happens to an access that is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Otherwise {
    /// #GP, by KVM's generic failure: user space can ask for exits with reason INVAL.
    Invalid,
    /// #GP, since KVM has no such MSR: exits with reason UNKNOWN. A host access with value zero succeeds if the MSR is advertised.
    Unknown,
    /// Reads give zero, writes are dropped.
    Nothing,
}

/// Who gets in, in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Door {
    /// When.
    pub when: Condition,
    /// What else happens.
    pub otherwise: Otherwise,
    /// A read gives this, whatever is stored; a write is dropped.
    pub constant: Option<u64>,
}

/// What stock KVM does, where it is not the architecture that decides (arch/x86/kvm of Linux 7.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KvmRow {
    /// RDMSR.
    pub guest_read: Door,
    /// WRMSR.
    pub guest_write: Door,
    /// KVM_GET_MSRS.
    pub host_read: Door,
    /// KVM_SET_MSRS.
    pub host_write: Door,
    /// Bits that may be set, in place of the row's bits and mask; `None`: the bits of the row, gates included.
    pub valid: Option<u64>,
    /// The same with conditions: what KVM does with each bit, in place of the row's bits and mask.
    pub bits: Option<&'static [Bits]>,
    /// Bits that are taken and not kept.
    pub dropped: u64,
    /// KVM answers guests of every vendor, not only those of the row.
    pub everywhere: bool,
    /// The host's value is not judged: bits that the guest may not set are dropped.
    pub unchecked: bool,
    /// In KVM_GET_MSR_INDEX_LIST: the host may read zero from it and write zero to it whatever the guest has.
    pub advertised: bool,
    /// The value that KVM starts with where it is not the architecture's.
    pub reset: Option<u64>,
}

/// How many members of a family there are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Limit {
    /// All of them.
    All,
    /// As many as IA32_MCG_CAP\[7:0\] says.
    McBanks,
    /// As many as there are general-purpose counters.
    GpCounters,
    /// As many as there are fixed-function counters.
    FixedCounters,
    /// Two for each address range of leaf 14H.
    PtRanges,
    /// Two for each entry of AMD's last-branch stack.
    LbrStack,
    /// As many as IA32_MTRRCAP\[7:0\] says.
    MtrrRanges,
    /// As many as the deepest stack of last-branch records of leaf 1CH.
    LbrRecords,
}

/// A mask that depends on the guest: bits outside are reserved.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Within {
    /// Everything.
    All,
    /// Bits of a physical address that the guest has.
    Physical,
    /// State components that IA32_XSS takes.
    Xss,
    /// Bits that EFER takes.
    Efer,
    /// State components that may be disabled: those of XCR0 that XFD covers.
    Xfd,
    /// One bit for each counter, fixed-function ones from bit 32 to 47; higher bits are not touched.
    Counters,
    /// The fields of the fixed-function counters, four bits each, in their control register.
    FixedControl,
    /// One bit for each general-purpose counter.
    GpCounters,
    /// The width of a general-purpose counter.
    GpWidth,
    /// The width of a fixed-function counter.
    FixedWidth,
    /// What the machine holds in this MSR.
    Host,
}

/// A rule on the whole value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Check {
    /// None.
    Any,
    /// A canonical linear address.
    Canonical,
    /// Eight memory types of the page-attribute table: 0, 1, 4, 5, 6, 7.
    Pat,
    /// Eight memory types: 0, 1, 4, 5, 6.
    MemoryTypes,
    /// One memory type in the lowest byte.
    MemoryType,
    /// Zero, or all bits set.
    AllOrNothing,
    /// Zero.
    Zero,
}

/// What a run of bits does when it is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Kept.
    Stored,
    /// Must be written as it is; anything else is #GP.
    Reserved,
    /// What is written is dropped.
    Ignored,
    /// A written zero clears it; a written one leaves it.
    Clears,
}

/// A run of bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bits {
    /// Highest bit.
    pub high: u8,
    /// Lowest bit.
    pub low: u8,
    /// What a write does, if `needs` holds.
    pub kind: Kind,
    /// Else `without` holds.
    pub needs: Condition,
    /// What a write does if `needs` does not hold.
    pub without: Kind,
}

impl Bits {
    /// The bits as a mask.
    pub const fn mask(&self) -> u64 {
        (u64::MAX >> (63 - (self.high - self.low))) << self.low
    }
}

/// Where the value comes from at reset.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Initial {
    /// This value.
    Value(u64),
    /// The guest policy's feature MSR; this value, if the policy does not list it.
    Policy(u64),
    /// One bit for each general-purpose counter.
    GpCounters,
}

/// What INIT does to the value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Init {
    /// Leaves it alone.
    Keep,
    /// As RESET.
    Reset,
}

/// Who shares one value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// Each logical CPU has its own.
    Thread,
    /// The threads of a core.
    Core,
    /// All CPUs of a package.
    Package,
    /// All CPUs of the VM.
    Machine,
}

/// Why a snapshot has it, or has not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Save {
    /// State of the guest.
    State,
    /// Part of the CPU model: set before the first run.
    Model,
    /// Saved by another ioctl, which the phase names.
    Elsewhere,
    /// Nothing to save: a command, a constant, or time.
    None,
}

/// When a snapshot's value is put back. The order is the order of restoring.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Phase {
    /// With the CPU model, before anything else but CPUID.
    Model,
    /// By KVM_SET_SREGS.
    Sregs,
    /// By KVM_SET_XSAVE and KVM_SET_XCRS.
    Xsave,
    /// By KVM_SET_LAPIC.
    Lapic,
    /// Time, before everything that is measured by it.
    Time,
    /// Locks, counters' controls and others that later values depend on.
    Early,
    /// Most of them.
    Normal,
    /// What starts something: enables, deadlines.
    Late,
}

/// Where the value lives while the guest runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Home {
    /// In the MSR file.
    File,
    /// In the hypervisor or the CPU: a write that is accepted has to be forwarded.
    Hardware,
    /// In a device (the local APIC): not answered here.
    Device,
}

/// One MSR, or a family with a stride.
#[derive(Clone, Copy, Debug)]
pub struct Msr {
    /// Address of the first member.
    pub address: u32,
    /// How many members the family can have.
    pub count: u16,
    /// Distance of their addresses.
    pub stride: u16,
    /// Who has it; everybody if empty.
    pub vendors: Vendors,
    /// How many members exist.
    pub limit: Limit,
    /// When it exists.
    pub present: Condition,
    /// Whether RDMSR works.
    pub readable: bool,
    /// Whether WRMSR works.
    pub writable: bool,
    /// All 64 bits, from the highest down.
    pub bits: &'static [Bits],
    /// What of the bits depends on the guest.
    pub within: Within,
    /// What a write does to bits beyond that mask: reserved or ignored.
    pub beyond: Kind,
    /// Part of the CPU model: after the first run the host may only write what is there.
    pub frozen: bool,
    /// A rule on the whole value.
    pub check: Check,
    /// What all this does not say.
    pub hook: Option<&'static Hook>,
    /// At RESET.
    pub reset: Initial,
    /// At INIT.
    pub init: Init,
    /// Who shares it.
    pub scope: Scope,
    /// What a change asks of the VMM.
    pub effects: Effects,
    /// In snapshots.
    pub save: Save,
    /// When restored.
    pub phase: Phase,
    /// Where it lives.
    pub home: Home,
    /// What stock KVM does; `None` where nobody checked.
    pub kvm: Option<KvmRow>,
}

/// Names, titles and sources of one row.
#[cfg(feature = "names")]
#[derive(Clone, Copy, Debug)]
pub struct MsrText {
    /// The manual's name; `{n}` stands for the member's number.
    pub name: &'static str,
    /// Meaning, in a few words.
    pub title: &'static str,
    /// Names of the runs of bits, in the order of `bits`; empty for reserved ones.
    pub bits: &'static [&'static str],
    /// What KVM does differently and why, in a sentence; empty where it does not.
    pub kvm: &'static str,
    /// Handles of docs/manuals.toml.
    pub cite: &'static [&'static str],
}

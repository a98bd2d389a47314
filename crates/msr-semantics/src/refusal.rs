//! Refused accesses: whose fault, and why.

use core::fmt;

/// Why an access is not answered with a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// No row has this address: what happens is the VMM's decision.
    Unknown,
    /// The MSR is known, and the access faults.
    Fault(Fault),
}

/// #GP(0), or for the host a value that is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fault {
    /// Why.
    pub reason: Reason,
    /// As what stock KVM would see the failure: exits to user space are enabled by it.
    pub class: Class,
}

/// Why an access faults.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// This vendor's CPUs do not have the MSR.
    OtherVendor,
    /// The guest lacks what enumerates the MSR.
    NotEnumerated,
    /// The family has fewer members.
    NoSuchMember,
    /// The MSR cannot be read.
    WriteOnly,
    /// The MSR cannot be written.
    ReadOnly,
    /// These bits may not be changed.
    ReservedBits(u64),
    /// The value is no canonical address.
    NotCanonical,
    /// The value is beyond the guest's physical addresses.
    NotPhysical,
    /// The register is locked until reset.
    Locked,
    /// The field has an encoding that means nothing.
    BadEncoding,
    /// The value does not go together with other state.
    Conflict,
    /// The machine cannot hold the value: these bits.
    Unsupported(u64),
    /// The CPU model may not change any more.
    Frozen,
}

/// The three reasons for which KVM exits to user space (KVM_CAP_X86_USER_SPACE_MSR).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// KVM_MSR_EXIT_REASON_INVAL.
    Invalid,
    /// KVM_MSR_EXIT_REASON_UNKNOWN.
    Unknown,
    /// KVM_MSR_EXIT_REASON_FILTER.
    Filter,
}

impl Fault {
    /// A fault that KVM reports as invalid.
    pub const fn invalid(reason: Reason) -> Self {
        Self { reason, class: Class::Invalid }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherVendor => f.write_str("CPUs of this vendor do not have it"),
            Self::NotEnumerated => f.write_str("the guest's CPUID does not enumerate it"),
            Self::NoSuchMember => f.write_str("the guest has fewer of them"),
            Self::WriteOnly => f.write_str("it cannot be read"),
            Self::ReadOnly => f.write_str("it cannot be written"),
            Self::ReservedBits(bits) => write!(f, "bits {bits:#x} are reserved"),
            Self::NotCanonical => f.write_str("the value is no canonical address"),
            Self::NotPhysical => f.write_str("the value is beyond the guest's physical addresses"),
            Self::Locked => f.write_str("it is locked until reset"),
            Self::BadEncoding => f.write_str("the value has an encoding without a meaning"),
            Self::Conflict => f.write_str("the value does not go together with other state"),
            Self::Unsupported(bits) => write!(f, "the machine cannot hold bits {bits:#x}"),
            Self::Frozen => f.write_str("the CPU model cannot change after the first run"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no such MSR is known"),
            Self::Fault(fault) => fault.reason.fmt(f),
        }
    }
}

impl core::error::Error for Refusal {}

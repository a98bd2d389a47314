//! What KVM's answer depends on beside CPUID: the kernel, module options, and what the kernel knows of a CPU.

use core::fmt;

use crate::{Feature, Signature, Vendor, Vendors};

/// A release of Linux by its first two numbers: the granularity at which KVM learns features.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KernelVersion {
    /// The first number.
    pub major: u8,
    /// The second number.
    pub minor: u8,
}

impl KernelVersion {
    /// Older than everything: what the oldest kernel looked at already did, so no beginning is known.
    pub const ALWAYS: Self = Self::new(0, 0);
    /// The oldest kernel whose KVM was compared with the rows.
    pub const OLDEST: Self = Self::new(5, 10);
    /// The newest kernel whose KVM was compared with the rows.
    pub const NEWEST: Self = Self::new(7, 2);

    /// `major.minor`.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }

    /// Reads `6.12`, `6.12.3` and `6.12.0-18-amd64`; what follows the second number does not count.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, rest) = text.split_once('.')?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        Some(Self { major: major.parse().ok()?, minor: rest.get(..digits)?.parse().ok()? })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// One case in which KVM reports a feature although raw CPUID lacks it. All of its conditions hold together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KvmRule {
    /// Raw features that the host has.
    pub all: &'static [Feature],
    /// Raw features that the host lacks.
    pub none: &'static [Feature],
    /// Whose CPUs; all if empty.
    pub vendors: Vendors,
    /// Families as displayed, first and last.
    pub families: (u16, u16),
    /// Models as displayed, as ranges; all if empty.
    pub models: &'static [(u8, u8)],
    /// From this kernel on.
    pub since: KernelVersion,
    /// Up to the kernel before this one; for ever if `None`.
    pub before: Option<KernelVersion>,
}

impl KvmRule {
    /// Everywhere and always.
    pub const PLAIN: Self = Self {
        all: &[],
        none: &[],
        vendors: Vendors::empty(),
        families: (0, u16::MAX),
        models: &[],
        since: KernelVersion::ALWAYS,
        before: None,
    };

    /// Whether the rule is about this CPU under this kernel; its features are looked at by the caller.
    pub fn applies(&self, vendor: Vendor, signature: Signature, kernel: KernelVersion) -> bool {
        let (family, model) = (signature.family(), signature.model());
        (self.vendors.is_empty() || self.vendors.contains(vendor.set()))
            && (u32::from(self.families.0)..=u32::from(self.families.1)).contains(&family)
            && (self.models.is_empty() || self.models.iter().any(|(first, last)| (u32::from(*first)..=u32::from(*last)).contains(&model)))
            && kernel >= self.since
            && self.before.is_none_or(|before| kernel < before)
    }
}

bitflags::bitflags! {
    /// Module options and hardware support that stock KVM's answer depends on.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub struct KvmInputs: u16 {
        /// Two-dimensional paging (EPT, NPT).
        const TDP = 1;
        /// Nested virtualization (`kvm_intel.nested`, `kvm_amd.nested`).
        const NESTED = 1 << 1;
        /// Virtual PMU (`kvm.enable_pmu`).
        const PMU = 1 << 2;
        /// Virtual PEBS: needs a host on which perf knows PEBS to work with EPT.
        const PEBS = 1 << 3;
        /// Intel PT in host-guest mode (`kvm_intel.pt_mode=1`).
        const PT = 1 << 4;
        /// SGX virtualization (`kvm_intel.sgx`).
        const SGX = 1 << 5;
        /// CET virtualization.
        const CET = 1 << 6;
        /// SEV (`kvm_amd.sev`).
        const SEV = 1 << 7;
        /// Permission for AMX state, which needs extended feature disable (`ARCH_REQ_XCOMP_GUEST_PERM`).
        const XFD = 1 << 8;
    }

    /// KVM vendor modules.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub struct KvmModules: u8 {
        /// `kvm_intel`.
        const VMX = 1;
        /// `kvm_amd`.
        const SVM = 1 << 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let version = |text| KernelVersion::parse(text);
        assert_eq!(version("6.12"), Some(KernelVersion::new(6, 12)));
        assert_eq!(version("5.10.255-253.1008.amzn2.x86_64"), Some(KernelVersion::OLDEST));
        assert_eq!(version("6.18-rc1"), Some(KernelVersion::new(6, 18)));
        for odd in ["", "6", "6.", ".1", "six.one", "600.1"] {
            assert_eq!(version(odd), None, "{odd}");
        }
        assert!(version("6.2") < version("6.12") && version("5.19") < version("6.0"));
        assert!(KernelVersion::ALWAYS < KernelVersion::OLDEST && KernelVersion::OLDEST < KernelVersion::NEWEST);
    }

    #[test]
    fn rules_look_at_vendor_family_model_and_kernel() {
        let rule = KvmRule {
            vendors: Vendors::AMD,
            families: (0x17, 0x17),
            models: &[(0x30, 0xff)],
            since: KernelVersion::new(5, 18),
            before: Some(KernelVersion::new(6, 13)),
            ..KvmRule::PLAIN
        };
        let zen2 = Signature(0x0083_0f10);
        let kernel = |minor| KernelVersion::new(6, minor);
        assert!(rule.applies(Vendor::Amd, zen2, kernel(12)) && KvmRule::PLAIN.applies(Vendor::Intel, zen2, kernel(12)));
        assert!(!rule.applies(Vendor::Intel, zen2, kernel(12)), "vendor");
        assert!(!rule.applies(Vendor::Amd, Signature(0x0080_0f11), kernel(12)), "model 1");
        assert!(!rule.applies(Vendor::Amd, Signature(0x00a2_0f10), kernel(12)), "family 19H");
        assert!(!rule.applies(Vendor::Amd, zen2, kernel(13)) && !rule.applies(Vendor::Amd, zen2, KernelVersion::OLDEST));
    }
}

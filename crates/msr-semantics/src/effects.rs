//! What an accepted write asks of the VMM. The file performs nothing.

bitflags::bitflags! {
    /// What the VMM has to do after a write was accepted.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct Effects: u32 {
        /// CPUID answers differently now: live bits have to be asked again.
        const CPUID = 1;
        /// Linear-address translations of the guest are void.
        const FLUSH_TLB = 1 << 1;
        /// The paging mode may have changed.
        const PAGING = 1 << 2;
        /// An indirect-branch prediction barrier (PRED_CMD.IBPB).
        const IBPB = 1 << 3;
        /// A selective one (PRED_CMD.SBPB).
        const SBPB = 1 << 4;
        /// A flush of the L1 data cache (FLUSH_CMD).
        const FLUSH_L1D = 1 << 5;
        /// The value must reach the CPU before the guest runs on.
        const FORWARD = 1 << 6;
        /// The guest's time-stamp counter moved.
        const TSC = 1 << 7;
        /// The sizes of the XSAVE area changed.
        const XSAVE = 1 << 8;
        /// Memory types changed.
        const MEMORY_TYPES = 1 << 9;
        /// Performance counters have to be programmed again.
        const PMU = 1 << 10;
        /// A structure of a paravirtual interface has to be mapped or written.
        const PARAVIRTUAL = 1 << 11;
    }
}

/// What the VMM has switched on in KVM, as far as MSRs notice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Capabilities(u16);

bitflags::bitflags! {
    impl Capabilities: u16 {
        /// KVM_CAP_ENFORCE_PV_FEATURE_CPUID.
        const ENFORCE_PV = 1;
        /// KVM_CAP_HYPERV_ENFORCE_CPUID.
        const ENFORCE_HYPERV = 1 << 1;
        /// KVM_CAP_MSR_PLATFORM_INFO, which is on by default.
        const PLATFORM_INFO = 1 << 2;
        /// KVM_X86_DISABLE_EXITS_APERFMPERF.
        const APERFMPERF = 1 << 3;
        /// KVM_X86_DISABLE_EXITS_CSTATE.
        const CSTATE = 1 << 4;
        /// The in-kernel local APIC (KVM_CREATE_IRQCHIP or split).
        const LAPIC = 1 << 5;
        /// System management mode (KVM_CAP_X86_SMM).
        const SMM = 1 << 6;
        /// Intel PT in host-guest mode.
        const PT = 1 << 7;
        /// Last-branch records for the guest (vLBR).
        const LBR = 1 << 8;
        /// Hyper-V's synthetic interrupt controller (KVM_CAP_HYPERV_SYNIC2).
        const SYNIC = 1 << 9;
    }
}

bitflags::bitflags! {
    /// KVM's quirks that MSRs notice (KVM_CAP_DISABLE_QUIRKS2); set means that KVM behaves in the odd, default way.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub struct Quirks: u16 {
        /// KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT: MISC_ENABLE\[18\] does not touch CPUID.
        const MISC_ENABLE_NO_MWAIT = 1 << 4;
        /// KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS: MONITOR and MWAIT never fault.
        const MWAIT_NEVER_UD_FAULTS = 1 << 6;
        /// KVM_X86_QUIRK_STUFF_FEATURE_MSRS: feature MSRs start with what KVM supports.
        const STUFF_FEATURE_MSRS = 1 << 8;
    }
}

//! Odd MSRs: two pure functions each, one file each. By the time they run, gates, reserved and ignored bits have been dealt with.

mod amd_pmu;
mod apic;
mod cet;
mod commands;
mod hyperv;
mod locks;
mod machine_check;
mod misc;
mod model;
mod paravirtual;
mod pmu;
mod syscall;
mod trace;
mod tsc;
mod vm_cr;

pub(crate) use amd_pmu::{CORE_COUNTER, GLOBAL_CLEAR, GLOBAL_SET};
pub(crate) use apic::{APIC_BASE, TSC_DEADLINE, X2APIC};
pub(crate) use cet::CET;
pub(crate) use commands::{FLUSH_CMD, PRED_CMD};
pub(crate) use hyperv::{
    HV_COMMAND, HV_CRASH_CTL, HV_GUEST_OS_ID, HV_HYPERCALL, HV_SINT, HV_STIMER_COUNT, HV_TSC_EMULATION_STATUS, HV_TSC_INVARIANT,
};
pub(crate) use locks::{DEBUG_INTERFACE, FEATURE_CONTROL, LMCE, LOCK_BIT_0, MCU_OPT, SET_ONCE, SGX_HASH};
pub(crate) use machine_check::{MCI_ADDRESS, MCI_CTL, MCI_STATUS};
pub(crate) use misc::{MICROCODE, MISC_ENABLE, MISC_FEATURES};
pub(crate) use model::{ARCH_CAPABILITIES, PERF_CAPABILITIES, VMX_ANY, VMX_BASIC, VMX_CONTROLS, VMX_MISC, VMX_SUBSET, VMX_SUPERSET};
pub(crate) use paravirtual::{PV_ACK, PV_TWIN};
pub(crate) use pmu::{FIXED_CTR, FULL_WIDTH, LBR_DEPTH, PERFCTR, STATUS_RESET, STATUS_SET};
pub(crate) use syscall::{EFER, SYSENTER};
pub(crate) use trace::{RTIT, RTIT_CTL};
pub(crate) use tsc::{TSC, TSC_ADJUST};
pub(crate) use vm_cr::{SVM_KEY, VM_CR};

use cpuid_db::Feature;

use crate::access::Written;
use crate::file::MsrFile;
use crate::row::Msr;
use crate::{Context, Fault, Initiator, Semantics};

/// What the row does not say about an MSR.
#[derive(Debug)]
pub struct Hook {
    /// What is read.
    pub read: fn(&Access<'_>) -> Result<u64, Fault>,
    /// What a write of this value leaves behind; ignored bits are already as they were.
    pub write: fn(&Access<'_>, u64) -> Result<Written, Fault>,
}

/// One access, as a hook sees it.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The MSRs, to look at.
    pub file: &'a MsrFile,
    /// What the file does not hold.
    pub cx: Context,
    /// Who.
    pub initiator: Initiator,
    /// The row.
    pub row: &'static Msr,
    /// The member of the row's family.
    pub number: u16,
    /// What is stored now.
    pub stored: u64,
    /// What the machine holds.
    pub host: u64,
}

impl Access<'_> {
    /// The MSR's address, in a family that counts from 0.
    pub(crate) fn address(&self) -> u32 {
        self.row.address + u32::from(self.number) * u32::from(self.row.stride)
    }

    /// RDMSR or WRMSR of the guest.
    pub fn is_guest(&self) -> bool {
        self.initiator == Initiator::Guest
    }

    /// Stock KVM decides, not the architecture.
    pub fn is_kvm(&self) -> bool {
        self.file.settings.semantics == Semantics::Kvm
    }

    /// The guest has the feature.
    pub fn has(&self, feature: Feature) -> bool {
        self.file.facts.features.contains(feature)
    }
}

impl PartialEq for Hook {
    /// Hooks are statics: each is itself.
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

/// Reads what is stored.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
pub(crate) fn stored(access: &Access<'_>) -> Result<u64, Fault> {
    Ok(access.stored)
}

#[cfg(test)]
mod tests {
    use super::Access;
    use crate::file::MsrFile;
    use crate::{Context, Initiator, Semantics, Settings};
    use std::boxed::Box;

    /// The MSRs of an AMD CPU without features.
    pub(super) fn bare(semantics: Semantics) -> Box<MsrFile> {
        let mut policy = cpuid_db::Policy::default();
        policy.cpuid.insert(0, 0, cpuid_db::Vendor::Amd.leaf_0(1)).unwrap();
        Box::new(MsrFile::new(&policy, &Settings { semantics, ..Settings::default() }))
    }

    fn access(file: &MsrFile, address: u32, stored: u64, initiator: Initiator) -> Access<'_> {
        let (row, number) = crate::entry(address).unwrap().rows().next().unwrap();
        Access { file, cx: Context::default(), initiator, row, number, stored, host: u64::MAX }
    }

    /// The guest is about to write.
    pub(super) fn guest(file: &MsrFile, address: u32, stored: u64) -> Access<'_> {
        access(file, address, stored, Initiator::Guest)
    }

    /// The host is about to write.
    pub(super) fn host(file: &MsrFile, address: u32, stored: u64) -> Access<'_> {
        access(file, address, stored, Initiator::Host)
    }
}

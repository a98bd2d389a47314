//! Odd MSRs: two pure functions each, one file each. By the time they run, gates, reserved and ignored bits have been dealt with.

mod apic;
mod cet;
mod commands;
mod locks;
mod machine_check;
mod misc;
mod model;
mod pmu;
mod syscall;
mod trace;
mod tsc;

pub(crate) use apic::{APIC_BASE, TSC_DEADLINE, X2APIC};
pub(crate) use cet::CET;
pub(crate) use commands::{FLUSH_CMD, PRED_CMD};
pub(crate) use locks::{DEBUG_INTERFACE, FEATURE_CONTROL, LMCE, LOCK_BIT_0, MCU_OPT, SET_ONCE, SGX_HASH};
pub(crate) use machine_check::{MCI_ADDRESS, MCI_CTL, MCI_STATUS};
pub(crate) use misc::{MICROCODE, MISC_ENABLE, MISC_FEATURES};
pub(crate) use model::{ARCH_CAPABILITIES, PERF_CAPABILITIES, VMX_ANY, VMX_BASIC, VMX_CONTROLS, VMX_MISC, VMX_SUBSET, VMX_SUPERSET};
pub(crate) use pmu::{FIXED_CTR, FULL_WIDTH, LBR_DEPTH, PERFCTR, STATUS_RESET, STATUS_SET};
pub(crate) use syscall::{EFER, SYSENTER};
pub(crate) use trace::{RTIT, RTIT_CTL};
pub(crate) use tsc::{TSC, TSC_ADJUST};

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

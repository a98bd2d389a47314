//! MSRs that a guest can close until RESET: IA32_FEATURE_CONTROL and what it opens, and smaller locks. A restore is not bound by a lock.

use cpuid_db::Feature;

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::{Fault, Reason};

pub(crate) static FEATURE_CONTROL: Hook = Hook { read: stored, write: feature_control };
pub(crate) static SGX_HASH: Hook = Hook { read: stored, write: sgx_hash };
pub(crate) static LMCE: Hook = Hook { read: read_lmce, write: write_lmce };
pub(crate) static SET_ONCE: Hook = Hook { read: stored, write: set_once };
pub(crate) static LOCK_BIT_0: Hook = Hook { read: stored, write: lock_bit_0 };
pub(crate) static DEBUG_INTERFACE: Hook = Hook { read: stored, write: debug_interface };
pub(crate) static MCU_OPT: Hook = Hook { read: stored, write: mcu_opt };

const FEATURE_CONTROL_ADDRESS: u32 = 0x3a;
const LOCK: u64 = 1;
const VMX: u64 = 0b110;
const SGX_LAUNCH_CONTROL: u64 = 1 << 17;
const SGX: u64 = 1 << 18;
const LMCE_ON: u64 = 1 << 20;

const LOCKED: Fault = Fault::invalid(Reason::Locked);

fn feature_control(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    if access.is_guest() && access.stored & LOCK != 0 {
        return Err(LOCKED);
    }
    // KVM's own mask: both VMX bits come with VMX, no SENTER, whatever the row says.
    let undefined = value & !kvm_feature_control(access);
    if access.is_kvm() && access.is_guest() && undefined != 0 {
        return Err(Fault::invalid(Reason::ReservedBits(undefined)));
    }
    Ok(Written::plain(value))
}

fn kvm_feature_control(access: &Access<'_>) -> u64 {
    let bits = [(Feature::VMX, VMX), (Feature::SGX, SGX), (Feature::SGX_LC, SGX_LAUNCH_CONTROL), (Feature::MCG_LMCE_P, LMCE_ON)];
    bits.iter().filter(|(feature, _)| access.has(*feature)).fold(LOCK, |mask, (_, bits)| mask | bits)
}

/// Writable until IA32_FEATURE_CONTROL is locked, and after that with its launch-control bit (SDM vol. 3D, "Launch Control").
fn sgx_hash(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let control = access.file.stored(FEATURE_CONTROL_ADDRESS);
    let closed = control & LOCK != 0 && control & SGX_LAUNCH_CONTROL == 0;
    if access.is_guest() && closed { Err(LOCKED) } else { Ok(Written::plain(value)) }
}

/// IA32_MCG_EXT_CTL exists for software once firmware has allowed local machine checks.
fn allowed(access: &Access<'_>) -> Result<(), Fault> {
    let on = access.file.stored(FEATURE_CONTROL_ADDRESS) & LMCE_ON != 0;
    if access.is_guest() && !on { Err(Fault::invalid(Reason::NotEnumerated)) } else { Ok(()) }
}

fn read_lmce(access: &Access<'_>) -> Result<u64, Fault> {
    allowed(access)?;
    Ok(access.stored)
}

fn write_lmce(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    allowed(access)?;
    Ok(Written::plain(value))
}

/// A bit that is set stays set.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn set_once(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    Ok(Written::plain(if access.is_guest() { value | access.stored } else { value }))
}

fn lock_bit_0(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    if access.is_guest() && access.stored & LOCK != 0 { Err(LOCKED) } else { Ok(Written::plain(value)) }
}

const DEBUG_LOCK: u64 = 1 << 30;

fn debug_interface(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    if access.is_guest() && access.stored & DEBUG_LOCK != 0 { Err(LOCKED) } else { Ok(Written::plain(value)) }
}

const GDS_MITG_DIS: u64 = 1 << 4;
const GDS_MITG_LOCK: u64 = 1 << 5;

/// Locked, the mitigation stays as it is; writes to it are dropped.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn mcu_opt(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    if access.is_guest() && access.stored & GDS_MITG_LOCK != 0 {
        let locked = GDS_MITG_LOCK | GDS_MITG_DIS;
        return Ok(Written::plain(value & !locked | access.stored & locked));
    }
    Ok(Written::plain(value))
}

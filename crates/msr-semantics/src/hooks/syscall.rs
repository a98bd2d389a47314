//! IA32_EFER and the addresses of SYSENTER.

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::{Fault, Reason};

pub(crate) static EFER: Hook = Hook { read: stored, write: efer };
pub(crate) static SYSENTER: Hook = Hook { read: stored, write: sysenter };

const SCE: u64 = 1;
const LME: u64 = 1 << 8;
const LMA: u64 = 1 << 10;
const LMSLE: u64 = 1 << 13;
const CR0_PG: u64 = 1 << 31;

fn efer(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    if access.is_kvm() {
        return kvm_efer(access, value);
    }
    if !access.is_guest() {
        return Ok(Written::plain(value));
    }
    toggles_long_mode(access, value)?;
    // AMD wants LMA written as it is; Intel drops it.
    if access.file.facts.vendor.is_amd_compatible() && (value ^ access.stored) & LMA != 0 {
        return Err(Fault::invalid(Reason::ReservedBits(LMA)));
    }
    Ok(Written::plain(keep_lma(access, value)))
}

fn kvm_efer(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let undefined = value & !access.host;
    if undefined != 0 {
        return Err(Fault::invalid(Reason::Unsupported(undefined)));
    }
    if access.is_guest() {
        let untold = value & !(access.file.facts.efer | SCE | LMSLE);
        if untold != 0 {
            return Err(Fault::invalid(Reason::ReservedBits(untold)));
        }
        toggles_long_mode(access, value)?;
    }
    Ok(Written::plain(keep_lma(access, value)))
}

/// Long mode cannot be enabled or disabled while paging is on.
fn toggles_long_mode(access: &Access<'_>, value: u64) -> Result<(), Fault> {
    let paging = access.file.controls.cr0 & CR0_PG != 0;
    if paging && (value ^ access.stored) & LME != 0 { Err(Fault::invalid(Reason::Conflict)) } else { Ok(()) }
}

const fn keep_lma(access: &Access<'_>, value: u64) -> u64 {
    value & !LMA | access.stored & LMA
}

/// The architecture refuses what is not canonical; KVM makes it canonical, since AMD CPUs would keep 32 bits and never fault.
fn sysenter(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let facts = &access.file.facts;
    match (access.is_kvm(), facts.is_canonical(value)) {
        (true, _) => Ok(Written::plain(facts.canonical(value))),
        (false, true) => Ok(Written::plain(value)),
        (false, false) => Err(Fault::invalid(Reason::NotCanonical)),
    }
}

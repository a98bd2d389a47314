//! The local APIC: its mode, its registers in x2APIC mode, its deadline timer (SDM vol. 3A, "Advanced Programmable Interrupt Controller").

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::{Effects, Fault, Reason};

pub(crate) static APIC_BASE: Hook = Hook { read: stored, write: apic_base };
pub(crate) static X2APIC: Hook = Hook { read: read_register, write: write_register };
pub(crate) static TSC_DEADLINE: Hook = Hook { read: read_deadline, write: write_deadline };

const APIC_BASE_ADDRESS: u32 = 0x1b;
const EXTD: u64 = 1 << 10;
const EN: u64 = 1 << 11;
const X2APIC_MODE: u64 = EN | EXTD;

/// A guest goes from off to xAPIC to x2APIC, and from both back to off; anything else is #GP.
fn apic_base(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let (old, new) = (access.stored & X2APIC_MODE, value & X2APIC_MODE);
    if new == EXTD && value != access.stored {
        return Err(Fault::invalid(Reason::BadEncoding));
    }
    let back = old == X2APIC_MODE && new == EN;
    let leap = old & EN == 0 && new == X2APIC_MODE;
    if access.is_guest() && (back || leap) {
        return Err(Fault::invalid(Reason::Conflict));
    }
    let effects = if (old ^ new) & EN != 0 { Effects::CPUID } else { Effects::empty() };
    Ok(Written { effects, ..Written::plain(value) })
}

/// Outside x2APIC mode none of its MSRs exists, for the VMM either.
fn in_mode(access: &Access<'_>) -> Result<(), Fault> {
    let mode = access.file.stored(APIC_BASE_ADDRESS) & X2APIC_MODE;
    if mode == X2APIC_MODE { Ok(()) } else { Err(Fault::invalid(Reason::NotEnumerated)) }
}

fn read_register(access: &Access<'_>) -> Result<u64, Fault> {
    in_mode(access)?;
    Ok(access.stored)
}

fn write_register(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    in_mode(access)?;
    // Commands keep nothing.
    let value = if access.row.readable { value } else { 0 };
    Ok(Written { acts: true, ..Written::plain(value) })
}

const LVT_TIMER: u32 = 0x832;

fn in_deadline_mode(access: &Access<'_>) -> bool {
    access.file.stored(LVT_TIMER) >> 17 & 3 == 2
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn read_deadline(access: &Access<'_>) -> Result<u64, Fault> {
    Ok(if in_deadline_mode(access) { access.stored } else { 0 })
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn write_deadline(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    Ok(Written::plain(if in_deadline_mode(access) { value } else { access.stored }))
}

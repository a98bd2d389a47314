//! Performance counters and their overflow register (SDM vol. 3B, "Performance Monitoring").

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::row::Within;
use crate::{Fault, Reason};

pub(crate) static PERFCTR: Hook = Hook { read: stored, write: counter };
pub(crate) static FULL_WIDTH: Hook = Hook { read: read_alias, write: full_width };
pub(crate) static FIXED_CTR: Hook = Hook { read: stored, write: fixed };
pub(crate) static STATUS_RESET: Hook = Hook { read: stored, write: status_reset };
pub(crate) static STATUS_SET: Hook = Hook { read: stored, write: status_set };
pub(crate) static LBR_DEPTH: Hook = Hook { read: stored, write: lbr_depth };

const PERFCTR0: u32 = 0xc1;
const GLOBAL_STATUS: u32 = 0x38e;

/// A guest's write takes 32 bits and extends their sign to the width of the counter.
fn counter(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let width = access.file.facts.mask(Within::GpWidth, 0);
    if access.is_guest() {
        let extended = i64::from((value as u32).cast_signed()).cast_unsigned();
        return Ok(Written::plain(extended & width));
    }
    if !access.is_kvm() && value & !width != 0 {
        return Err(Fault::invalid(Reason::Unsupported(value & !width)));
    }
    Ok(Written::plain(value & width))
}

fn aliased(access: &Access<'_>) -> u32 {
    PERFCTR0 + u32::from(access.number)
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn read_alias(access: &Access<'_>) -> Result<u64, Fault> {
    Ok(access.file.stored(aliased(access)))
}

fn full_width(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let beyond = value & !access.file.facts.mask(Within::GpWidth, 0);
    if beyond != 0 {
        return Err(Fault::invalid(Reason::ReservedBits(beyond)));
    }
    Ok(Written { also: Some((aliased(access), value)), acts: true, ..Written::plain(access.stored) })
}

fn fixed(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let width = access.file.facts.mask(Within::FixedWidth, 0);
    if !access.is_kvm() && value & !width != 0 {
        return Err(Fault::invalid(Reason::ReservedBits(value & !width)));
    }
    Ok(Written::plain(value & width))
}

/// A command to the overflow register. What the VMM writes is judged and does nothing.
fn command(access: &Access<'_>, status: u64) -> Written {
    let also = access.is_guest().then_some((GLOBAL_STATUS, status));
    Written { also, acts: access.is_guest(), ..Written::plain(0) }
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn status_reset(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    Ok(command(access, access.file.stored(GLOBAL_STATUS) & !value))
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn status_set(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    Ok(command(access, access.file.stored(GLOBAL_STATUS) | value))
}

/// One of the depths of leaf 1CH: bit n of EAX stands for 8(n+1) records.
fn lbr_depth(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let step = (value / 8).wrapping_sub(1);
    let told = value.is_multiple_of(8) && step < 8 && access.file.facts.lbr_depths >> step & 1 == 1;
    if told || value == access.stored { Ok(Written::plain(value)) } else { Err(Fault::invalid(Reason::BadEncoding)) }
}

//! IA32_TIME_STAMP_COUNTER and IA32_TSC_ADJUST: a guest's write to one moves the other by as much (SDM vol. 3B, "Time-Stamp Counter
//! Adjustment"). A restore sets each on its own.

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::{Effects, Fault, Initiator};

const TIME_STAMP_COUNTER: u32 = 0x10;
const ADJUST: u32 = 0x3b;

/// The slot of the counter holds the offset to the context's time.
pub(crate) static TSC: Hook = Hook { read: read_tsc, write: write_tsc };
pub(crate) static TSC_ADJUST: Hook = Hook { read: stored, write: write_adjust };

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn read_tsc(access: &Access<'_>) -> Result<u64, Fault> {
    Ok(access.cx.tsc.wrapping_add(access.stored))
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn write_tsc(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let offset = value.wrapping_sub(access.cx.tsc);
    let moved = offset.wrapping_sub(access.stored);
    let adjust = access.file.stored(ADJUST).wrapping_add(moved);
    let also = (access.initiator == Initiator::Guest).then_some((ADJUST, adjust));
    Ok(Written { value: offset, effects: Effects::TSC, also, acts: true })
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn write_adjust(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let moved = value.wrapping_sub(access.stored);
    let offset = access.file.stored(TIME_STAMP_COUNTER).wrapping_add(moved);
    let guest = access.initiator == Initiator::Guest;
    let effects = if guest { Effects::TSC } else { Effects::empty() };
    Ok(Written { value, effects, also: guest.then_some((TIME_STAMP_COUNTER, offset)), acts: false })
}

//! Processor trace: nothing changes while it runs (SDM vol. 3C, "Intel Processor Trace").

use cpuid_db::Feature;

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::{Fault, Reason};

pub(crate) static RTIT: Hook = Hook { read: stored, write: other };
pub(crate) static RTIT_CTL: Hook = Hook { read: stored, write: control };

const RTIT_CTL_ADDRESS: u32 = 0x570;
const TRACE_EN: u64 = 1;
const FABRIC_EN: u64 = 1 << 6;
const TOPA: u64 = 1 << 8;

/// A restore sets the registers in any order; KVM makes no difference between guest and VMM.
fn judged(access: &Access<'_>) -> bool {
    access.is_guest() || access.is_kvm()
}

fn other(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let running = access.file.stored(RTIT_CTL_ADDRESS) & TRACE_EN != 0;
    if running && judged(access) { Err(Fault::invalid(Reason::Conflict)) } else { Ok(Written::plain(value)) }
}

fn control(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let stays_on = access.stored & value & TRACE_EN != 0;
    let nowhere = value & TRACE_EN != 0 && value & (TOPA | FABRIC_EN) == 0 && !access.has(Feature::PT_SINGLE_RANGE);
    if judged(access) && (nowhere || stays_on && value != access.stored) {
        return Err(Fault::invalid(Reason::Conflict));
    }
    Ok(Written::plain(value))
}

//! Machine-check banks: what software may write into an error report (SDM vol. 3B, "Error-Reporting Register Banks"; APM vol. 2, chapter 9).

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::{Fault, Reason};

pub(crate) static MCI_CTL: Hook = Hook { read: stored, write: control };
pub(crate) static MCI_STATUS: Hook = Hook { read: stored, write: status };
pub(crate) static MCI_ADDRESS: Hook = Hook { read: stored, write: address };

/// Bits 0 and 10, which old kernels clear for the errata of some CPUs.
const FREE: u64 = 1 | 1 << 10;

fn control(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    if access.is_kvm() && value != 0 && value | FREE != u64::MAX {
        return Err(Fault::invalid(Reason::BadEncoding));
    }
    Ok(Written::plain(value))
}

const HWCR: u32 = 0xc001_0015;
const MC_STATUS_WR_EN: u64 = 1 << 18;

fn may_inject(access: &Access<'_>) -> bool {
    access.file.facts.vendor.is_amd_compatible() && access.file.stored(HWCR) & MC_STATUS_WR_EN != 0
}

/// Software clears a report; only AMD lets it make one up, after a switch in HWCR.
fn status(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    if access.is_guest() && value != 0 && !may_inject(access) {
        return Err(Fault::invalid(Reason::ReservedBits(value)));
    }
    Ok(Written::plain(value))
}

/// Intel faults for anything but zero here, too; AMD stores it.
fn address(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let free = access.is_kvm() || access.file.facts.vendor.is_amd_compatible();
    if access.is_guest() && value != 0 && !free {
        return Err(Fault::invalid(Reason::ReservedBits(value)));
    }
    Ok(Written::plain(value))
}

//! IA32_MISC_ENABLE, MSR_MISC_FEATURES_ENABLES and the microcode revision: switches that CPUID follows, and one that nobody can turn.

use cpuid_db::Feature;

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::{Effects, Fault, Quirks, Reason};

pub(crate) static MISC_ENABLE: Hook = Hook { read: stored, write: misc_enable };
pub(crate) static MISC_FEATURES: Hook = Hook { read: stored, write: misc_features };
pub(crate) static MICROCODE: Hook = Hook { read: stored, write: microcode };

const PERFMON_AVAILABLE: u64 = 1 << 7;
/// BTS_UNAVAILABLE and PEBS_UNAVAILABLE.
const READ_ONLY: u64 = 1 << 11 | 1 << 12;
const MONITOR: u64 = 1 << 18;
/// MONITOR, the limit of leaves, and NX.
const SEEN_IN_CPUID: u64 = MONITOR | 1 << 22 | 1 << 34;

fn misc_enable(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let changed = value ^ access.stored;
    if !access.is_kvm() {
        return Ok(with_cpuid(value, changed & SEEN_IN_CPUID != 0));
    }
    if access.is_guest() && changed & READ_ONLY != 0 {
        return Err(Fault::invalid(Reason::ReservedBits(changed & READ_ONLY)));
    }
    let followed = !access.file.settings.quirks.contains(Quirks::MISC_ENABLE_NO_MWAIT) && changed & MONITOR != 0;
    if followed && !access.has(Feature::SSE3) {
        return Err(Fault::invalid(Reason::ReservedBits(MONITOR)));
    }
    let kept = if access.is_guest() { PERFMON_AVAILABLE } else { 0 };
    Ok(with_cpuid(value & !kept | access.stored & kept, followed))
}

fn with_cpuid(value: u64, changes: bool) -> Written {
    let effects = if changes { Effects::CPUID } else { Effects::empty() };
    Written { effects, ..Written::plain(value) }
}

const PLATFORM_INFO: u32 = 0xce;
const CPUID_FAULTING: u64 = 1 << 31;

/// CPUID faulting has to be announced by MSR_PLATFORM_INFO; KVM asks it of the VMM, too.
fn misc_features(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    if value & 1 != 0 && access.file.stored(PLATFORM_INFO) & CPUID_FAULTING == 0 {
        return Err(Fault::invalid(Reason::ReservedBits(1)));
    }
    Ok(Written::plain(value))
}

/// Software writes zero before it asks for the revision with CPUID; the revision stays.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn microcode(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    Ok(Written::plain(if access.is_guest() { access.stored } else { value }))
}

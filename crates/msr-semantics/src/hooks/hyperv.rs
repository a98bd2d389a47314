//! Hyper-V's synthetic MSRs where a mask does not say it (Hypervisor Top-Level Functional Specification; arch/x86/kvm/hyperv.c).

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::{Effects, Fault, Initiator, Reason};

const GUEST_OS_ID: u32 = 0x4000_0000;
const HYPERCALL: u32 = 0x4000_0001;
const HYPERCALL_ENABLE: u64 = 1;
const CRASH_NOTIFY: u64 = 1 << 63;
const SINT_MASKED: u64 = 1 << 16;
const FIRST_VECTOR: u64 = 16;
const STIMER_ENABLE: u64 = 1;
const STIMER_AUTO_ENABLE: u64 = 1 << 3;

pub(crate) static HV_GUEST_OS_ID: Hook = Hook { read: stored, write: guest_os_id };
pub(crate) static HV_HYPERCALL: Hook = Hook { read: stored, write: hypercall };
pub(crate) static HV_COMMAND: Hook = Hook { read: stored, write: command };
pub(crate) static HV_CRASH_CTL: Hook = Hook { read: stored, write: crash_ctl };
pub(crate) static HV_SINT: Hook = Hook { read: stored, write: sint };
pub(crate) static HV_STIMER_COUNT: Hook = Hook { read: stored, write: stimer_count };
pub(crate) static HV_TSC_EMULATION_STATUS: Hook = Hook { read: stored, write: tsc_emulation_status };
pub(crate) static HV_TSC_INVARIANT: Hook = Hook { read: stored, write: tsc_invariant };

fn is_guest(access: &Access<'_>) -> bool {
    access.initiator == Initiator::Guest
}

/// A guest that is nobody has no hypercalls.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn guest_os_id(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let page = access.file.stored(HYPERCALL) & !HYPERCALL_ENABLE;
    Ok(Written { also: (value == 0).then_some((HYPERCALL, page)), ..Written::plain(value) })
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn hypercall(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let known = access.file.stored(GUEST_OS_ID) != 0;
    Ok(Written::plain(if known { value } else { access.stored }))
}

/// Reads zero; a write other than zero does something.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn command(_: &Access<'_>, _: u64) -> Result<Written, Fault> {
    Ok(Written { effects: Effects::PARAVIRTUAL, acts: true, ..Written::plain(0) })
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn crash_ctl(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    if is_guest(access) {
        let acts = value & CRASH_NOTIFY != 0;
        let effects = if acts { Effects::PARAVIRTUAL } else { Effects::empty() };
        return Ok(Written { effects, acts, ..Written::plain(access.stored) });
    }
    Ok(Written::plain(value & CRASH_NOTIFY))
}

fn sint(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let vector = value & 0xff;
    if is_guest(access) && vector < FIRST_VECTOR && value & SINT_MASKED == 0 {
        return Err(Fault::invalid(Reason::BadEncoding));
    }
    Ok(Written::plain(value))
}

/// The configuration is the MSR before this one.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn stimer_count(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let at = access.address() - 1;
    let config = access.file.stored(at);
    let changed = match value {
        0 => config & !STIMER_ENABLE,
        _ if config & STIMER_AUTO_ENABLE != 0 => config | STIMER_ENABLE,
        _ => config,
    };
    Ok(Written { also: is_guest(access).then_some((at, changed)), ..Written::plain(value) })
}

fn tsc_emulation_status(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    if is_guest(access) && value != 0 {
        return Err(Fault::invalid(Reason::ReservedBits(value)));
    }
    Ok(Written::plain(value))
}

fn tsc_invariant(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    if is_guest(access) && access.stored & !value != 0 {
        return Err(Fault::invalid(Reason::Locked));
    }
    Ok(Written::plain(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Semantics;
    use crate::hooks::tests::{bare, guest, host};

    /// Linux, include/asm-generic/hyperv-tlfs.h: valid vectors are 16 to 255, MASKED is bit 16.
    #[test]
    fn which_interrupt_sources_are_taken() {
        let file = bare(Semantics::Kvm);
        for (value, taken) in [(0, false), (15, false), (16, true), (255, true), (0x1_0000, true), (0x1_000f, true), (0x2_000f, false)] {
            assert_eq!(sint(&guest(&file, 0x4000_0090, 0x1_0000), value).is_ok(), taken, "{value:#x}");
            assert!(sint(&host(&file, 0x4000_0090, 0x1_0000), value).is_ok(), "{value:#x}: the host is not judged");
        }
    }

    /// TLFS, "Synthetic timers": zero stops, another count starts a timer with AUTO_ENABLE.
    #[test]
    fn what_a_count_does_to_its_timer() {
        for (config, count, changed) in [(9, 0, 8), (8, 5, 9), (0, 5, 0), (1, 5, 1), (1, 0, 0)] {
            let mut file = bare(Semantics::Kvm);
            file.put(0x4000_00b2, config);
            let written = stimer_count(&guest(&file, 0x4000_00b3, 0), count).unwrap();
            assert_eq!(written.also, Some((0x4000_00b2, changed)), "{config} {count}");
        }
    }

    #[test]
    fn hypercalls_need_an_identity() {
        let mut file = bare(Semantics::Kvm);
        assert_eq!(hypercall(&guest(&file, HYPERCALL, 0), 0x1001).unwrap().value, 0);
        file.put(GUEST_OS_ID, 1);
        file.put(HYPERCALL, 0x1001);
        assert_eq!(hypercall(&guest(&file, HYPERCALL, 0), 0x1001).unwrap().value, 0x1001);
        assert_eq!(guest_os_id(&guest(&file, GUEST_OS_ID, 1), 0).unwrap().also, Some((HYPERCALL, 0x1000)));
        assert_eq!(guest_os_id(&guest(&file, GUEST_OS_ID, 1), 7).unwrap().also, None);
    }

    /// arch/x86/kvm/hyperv.c, kvm_hv_set_msr_pw: the guest's value is an event, the host's is kept under bit 63.
    #[test]
    fn crashes_are_announced_and_not_kept() {
        let file = bare(Semantics::Kvm);
        for (value, acts) in [(0, false), (CRASH_NOTIFY, true), (1 << 62, false)] {
            let written = crash_ctl(&guest(&file, 0x4000_0105, 5), value).unwrap();
            assert_eq!((written.value, written.acts), (5, acts));
        }
        assert_eq!(crash_ctl(&host(&file, 0x4000_0105, 0), u64::MAX).unwrap().value, CRASH_NOTIFY);
    }

    /// selftests/hyperv_features.c, stages 37 and 44 to 47; hyperv.c: once the invariant TSC is shown it stays.
    #[test]
    fn time_after_migration() {
        let file = bare(Semantics::Kvm);
        assert!(tsc_emulation_status(&guest(&file, 0x4000_0108, 0), 1).is_err());
        assert!(tsc_emulation_status(&guest(&file, 0x4000_0108, 1), 0).is_ok());
        assert!(tsc_emulation_status(&host(&file, 0x4000_0108, 0), 1).is_ok());
        assert!(tsc_invariant(&guest(&file, 0x4000_0118, 0), 1).is_ok());
        assert!(tsc_invariant(&guest(&file, 0x4000_0118, 1), 0).is_err());
        assert!(tsc_invariant(&host(&file, 0x4000_0118, 1), 0).is_ok());
    }
}

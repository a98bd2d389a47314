//! Feature MSRs, which only the VMM writes: what it may choose depends on what the machine has. The rules are those that KVM checks in
//! `vmx/nested.c`, `vmx/vmx.c` and `x86.c` (arch/x86/kvm of Linux 7.2); they hold for any restore.

use cpuid_db::Feature;

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::{Fault, Reason};

pub(crate) static PERF_CAPABILITIES: Hook = Hook { read: stored, write: perf_capabilities };
pub(crate) static ARCH_CAPABILITIES: Hook = Hook { read: stored, write: arch_capabilities };
pub(crate) static VMX_BASIC: Hook = Hook { read: stored, write: vmx_basic };
pub(crate) static VMX_MISC: Hook = Hook { read: stored, write: vmx_misc };
pub(crate) static VMX_SUBSET: Hook = Hook { read: stored, write: subset };
pub(crate) static VMX_SUPERSET: Hook = Hook { read: stored, write: superset };
pub(crate) static VMX_CONTROLS: Hook = Hook { read: stored, write: controls };
pub(crate) static VMX_ANY: Hook = Hook { read: stored, write: any };

fn unless(beyond: u64, value: u64) -> Result<Written, Fault> {
    if beyond == 0 { Ok(Written::plain(value)) } else { Err(Fault::invalid(Reason::Unsupported(beyond))) }
}

const LBR_FMT: u64 = 0x3f;
const PEBS_FMT: u64 = 0xf00;
/// Trap, registers, format, baseline, timing: one unit.
const PEBS: u64 = 1 << 6 | 1 << 7 | PEBS_FMT | 1 << 14 | 1 << 17;
const FW_WRITE: u64 = 1 << 13;

/// No layout or the machine's, on the same CPU model; the PEBS bits as one; full-width writes at will.
fn perf_capabilities(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let full_width = if access.is_kvm() { FW_WRITE } else { 0 };
    let (machine, same) = (access.host | full_width, access.file.settings.same_model);
    let differs = |mask: u64| (value ^ machine) & mask != 0 || !same;
    if value & LBR_FMT != 0 && differs(LBR_FMT) {
        return Err(Fault::invalid(Reason::Unsupported(value & LBR_FMT)));
    }
    let records = access.has(Feature::DS) && access.has(Feature::DTES64);
    if value & PEBS_FMT != 0 && (differs(PEBS) || !records) {
        return Err(Fault::invalid(Reason::Unsupported(value & PEBS)));
    }
    unless(value & !machine, value)
}

/// RSBA, DOITM, FB_CLEAR, RRSBA, RFDS_CLEAR: they say that something is worse or may be needed, which is true of any machine.
const LIMITATIONS: u64 = 1 << 2 | 1 << 12 | 1 << 17 | 1 << 19 | 1 << 28;

fn arch_capabilities(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let limitations = if access.row.address == 0x10a { LIMITATIONS } else { 0 };
    let beyond = if access.is_kvm() { 0 } else { value & !(access.host | limitations) };
    unless(beyond, value)
}

fn subset(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    unless(value & !access.host, value)
}

fn superset(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    unless(access.host & !value, value)
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn any(_: &Access<'_>, value: u64) -> Result<Written, Fault> {
    Ok(Written::plain(value))
}

const LOW: u64 = 0xffff_ffff;

/// The lower half says what must be one, the upper what may be.
fn controls(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    unless(access.host & !value & LOW | value & !access.host & !LOW, value)
}

/// IA32_VMX_BASIC: revision, memory type equal; a VMCS not smaller than the machine's; features a part.
fn vmx_basic(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    const EQUAL: u64 = 0x7fff_ffff | 0xf << 50;
    const SIZE: u64 = 0x1fff << 32;
    let small = if value & SIZE < access.host & SIZE { SIZE } else { 0 };
    unless((value ^ access.host) & EQUAL | small | value & !access.host & !(EQUAL | SIZE), value)
}

/// IA32_VMX_MISC: MSEG revision equal, counts not larger, features a part; the timer's rate equal where the guest has the timer.
fn vmx_misc(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    const RATE: u64 = 0x1f;
    const CR3_TARGETS: u64 = 0x1ff << 16;
    const MSRS: u64 = 0x7 << 25;
    const MSEG: u64 = LOW << 32;
    const FEATURES: u64 = !(RATE | CR3_TARGETS | MSRS | MSEG);
    /// Bit 6 of the upper half of IA32_VMX_TRUE_PINBASED_CTLS.
    const TIMER: u64 = 1 << 38;
    let timed = access.file.stored(0x48d) & TIMER != 0;
    let large = |mask: u64| if value & mask > access.host & mask { mask } else { 0 };
    let equal = if timed { MSEG | RATE } else { MSEG };
    unless((value ^ access.host) & equal | large(CR3_TARGETS) | large(MSRS) | value & !access.host & FEATURES, value)
}

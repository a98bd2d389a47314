//! AMD's performance counters: the first four have two addresses (APM vol. 2, "Performance Monitoring Counters"), and overflow is set
//! and cleared through MSRs of their own.

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::{Effects, Fault, Initiator, Semantics};
use cpuid_db::Feature;

const LEGACY_CTL: u32 = 0xc001_0000;
const LEGACY_CTR: u32 = 0xc001_0004;
const CORE_CTL: u32 = 0xc001_0200;
const GLOBAL_STATUS: u32 = 0xc000_0300;

pub(crate) static CORE_COUNTER: Hook = Hook { read: stored, write: write_counter };
pub(crate) static GLOBAL_CLEAR: Hook = Hook { read: stored, write: clear };
pub(crate) static GLOBAL_SET: Hook = Hook { read: stored, write: set };

/// The other address of the same register.
const fn twin(address: u32) -> Option<u32> {
    match address {
        LEGACY_CTL..=0xc001_0003 => Some(CORE_CTL + 2 * (address - LEGACY_CTL)),
        LEGACY_CTR..=0xc001_0007 => Some(CORE_CTL + 1 + 2 * (address - LEGACY_CTR)),
        CORE_CTL..=0xc001_0207 => {
            let number = (address - CORE_CTL) / 2;
            Some(if address & 1 == 0 { LEGACY_CTL + number } else { LEGACY_CTR + number })
        }
        _ => None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn write_counter(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let both = access.file.facts.features.contains(Feature::PERFCTR_CORE);
    let also = twin(access.address()).filter(|_| both).map(|twin| (twin, value));
    Ok(Written { also, ..Written::plain(value) })
}

/// Nothing is kept here; the status changes, unless it is KVM's host that writes.
fn status(access: &Access<'_>, change: impl Fn(u64) -> u64) -> Written {
    let kvm = access.file.settings.semantics == Semantics::Kvm;
    let acts = !(kvm && access.initiator == Initiator::Host);
    let also = acts.then(|| (GLOBAL_STATUS, change(access.file.stored(GLOBAL_STATUS))));
    Written { also, effects: if acts { Effects::PMU } else { Effects::empty() }, acts, ..Written::plain(0) }
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn clear(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    Ok(status(access, |status| status & !value))
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn set(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let frozen = 3 << 58;
    let facts = &access.file.facts;
    let counters = facts.mask(crate::Within::GpCounters, 0);
    let defined = if facts.features.contains(Feature::AMD_LBR_PMC_FREEZE) { counters | frozen } else { counters };
    Ok(status(access, |status| status | value & defined))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::tests::{bare, guest};

    /// Linux, arch/x86/include/asm/msr-index.h: MSR_K7_EVNTSELn, MSR_K7_PERFCTRn, MSR_F15H_PERF_CTLn, MSR_F15H_PERF_CTRn.
    #[test]
    fn counters_and_their_twins() {
        let pairs = [(0xc001_0000, 0xc001_0200), (0xc001_0003, 0xc001_0206), (0xc001_0004, 0xc001_0201), (0xc001_0007, 0xc001_0207)];
        for (legacy, core) in pairs {
            assert_eq!((twin(legacy), twin(core)), (Some(core), Some(legacy)));
        }
        assert_eq!((twin(0xc001_0208), twin(0xc001_020b), twin(0xc001_0008)), (None, None, None), "counters 4 and 5 have one");
    }

    /// Status before, written to STATUS_CLR and to STATUS_SET, status after each: four counters without PERFMON_V2.
    #[test]
    fn what_the_status_becomes() {
        for (before, written, cleared, added) in [(0b1111, 0b0101, 0b1010, 0b1111), (0, 0b1_0011, 0, 0b0011), (1, 3 << 58, 1, 1)] {
            let mut file = bare(Semantics::Architectural);
            file.put(GLOBAL_STATUS, before);
            let access = guest(&file, 0xc000_0302, 0);
            assert_eq!(clear(&access, written).unwrap().also, Some((GLOBAL_STATUS, cleared)));
            assert_eq!(set(&access, written).unwrap().also, Some((GLOBAL_STATUS, added)));
        }
    }
}

//! Whether MSR values that a guest stored can be put back on another machine, by the gates of the database alone.
//!
//! Only MSRs whose bits the database opens one by one are judged here; the rules of each MSR are the MSR layer's.

use cpuid_db::{Feature, FeatureSet, Gate, MsrEntry};

use crate::accept::Accept;
use crate::check::{Because, Gap, GapKind, Guest, Subject};

const IA32_XSS: u32 = 0xda0;
const EFER: u32 = 0xc000_0080;

/// Names every value that holds a bit which nothing on the machine opens.
pub(crate) fn msr_values(guest: &Guest, host: &Accept, mut tell: impl FnMut(Gap)) {
    for MsrEntry { index, value } in guest.msrs.iter().filter(|msr| msr.value != 0) {
        let known = mask(*index, &FeatureSet::ALL);
        let taken = mask(*index, &host.may);
        let refused = value & known & !taken;
        if refused == 0 {
            continue;
        }
        let same = guest.identity.signature == host.core.identity.signature;
        let because = if same { Because::Kernel } else { Because::Hardware };
        let (subject, kind) = (Subject::Msr(*index), GapKind::ValueRefused);
        tell(Gap { subject, kind, because, guest: Some(refused), host: Some(taken) });
    }
}

/// The bits of an MSR that these features open.
fn mask(index: u32, features: &FeatureSet) -> u64 {
    let gates = features.iter().flat_map(|feature: Feature| feature.row().gates);
    gates.fold(0, |mask, gate| {
        mask | match *gate {
            Gate::MsrBit(msr, bit) if msr == index => 1 << (bit & 63),
            Gate::Xss(bit) if index == IA32_XSS => 1 << (bit & 63),
            Gate::Efer(bit) if index == EFER => 1 << (bit & 63),
            _ => 0,
        }
    })
}

//! Which bits of CR4, EFER, XCR0 and IA32_XSS a CPU with these features accepts.
//!
//! The tables are generated from the `gates` of the features, so that a new feature brings its control bit along.

use crate::generated::control::{CR4, EFER, XCR0, XSS};
use crate::{Feature, FeatureSet, Policy};

/// One control-register bit and the features of which any one makes it legal.
pub(crate) struct ControlBit {
    pub(crate) bit: u8,
    pub(crate) any: &'static [Feature],
}

fn opened(bits: &[ControlBit], features: &FeatureSet) -> u64 {
    bits.iter().filter(|row| features.contains_any(row.any)).fold(0, |mask, row| mask | 1 << row.bit)
}

/// CR4.PCE: RDPMC at CPL 3. No feature bit announces it.
const CR4_PCE: u64 = 1 << 8;

/// CR4 bits that a guest may set; all others are reserved and fault.
/// Static bits only: CR4.OSXSAVE and CR4.PKE are legal when XSAVE and PKU are there, whatever the live OSXSAVE and OSPKE say.
pub fn valid_cr4(policy: &Policy) -> u64 {
    CR4_PCE | opened(CR4, &policy.features())
}

/// EFER.LMA: set by the CPU together with LME; legal in a value that was read before.
const EFER_LMA: u64 = 1 << 10;
const EFER_LMSLE: u64 = 1 << 13;

/// EFER bits that this CPU knows.
/// EFER.LMSLE has no feature bit of its own: AMD-compatible CPUs with long mode have it until they announce `EFER_LMSLE_MBZ`.
pub fn valid_efer(policy: &Policy) -> u64 {
    let features = policy.features();
    let mut mask = opened(EFER, &features);
    if features.contains(Feature::LM) {
        mask |= EFER_LMA;
        if policy.vendor().is_amd_compatible() && !features.contains(Feature::EFER_LMSLE_MBZ) {
            mask |= EFER_LMSLE;
        }
    }
    mask
}

/// XCR0 bits that XSETBV accepts, taken one by one: combinations (AVX needs SSE, the AVX-512 and MPX groups) are checked by the writer.
pub fn valid_xcr0(policy: &Policy) -> u64 {
    let features = policy.features();
    if features.contains(Feature::XSAVE) { opened(XCR0, &features) } else { 0 }
}

/// IA32_XSS bits that WRMSR accepts.
pub fn valid_xss(policy: &Policy) -> u64 {
    let features = policy.features();
    if features.contains(Feature::XSAVE) && features.contains(Feature::XSAVES) { opened(XSS, &features) } else { 0 }
}

//! Which scrubs a core does not need. A pool announces a scrub if any machine has it, since the guest may land where it is needed;
//! whether one machine needs it is a question for one machine.

use cpuid_db::Feature;

use crate::{Core, View};

/// One reason why a core does not leak what a scrub would clear.
enum Immune {
    /// It says so.
    Says(Feature),
    /// It lacks what the leak goes through.
    Lacks(Feature),
}

use Immune::{Lacks, Says};

/// A scrub is not needed where every one of the leaks that it covers is closed, each by any of its reasons.
type Scrub = (Feature, &'static [&'static [Immune]]);

/// What each scrub covers (Documentation/admin-guide/hw-vuln of Linux: mds, tsx_async_abort, processor_mmio_stale_data,
/// reg-file-data-sampling; x86: AMD's transient scheduler attacks).
const SCRUBS: [Scrub; 4] = [
    (Feature::MD_CLEAR, &[&[Says(Feature::MDS_NO)], TAA]),
    (Feature::FB_CLEAR, &[&[Says(Feature::MDS_NO)], TAA, SBDR, FBSDP, PSDP]),
    (Feature::RFDS_CLEAR, &[&[Says(Feature::RFDS_NO)]]),
    (Feature::VERW_CLEAR, &[&[Says(Feature::TSA_SQ_NO)], &[Says(Feature::TSA_L1_NO)]]),
];

/// An asynchronous abort needs transactions.
const TAA: &[Immune] = &[Says(Feature::TAA_NO), Lacks(Feature::RTM)];
const SBDR: &[Immune] = &[Says(Feature::SBDR_SSDP_NO)];
const FBSDP: &[Immune] = &[Says(Feature::FBSDP_NO)];
const PSDP: &[Immune] = &[Says(Feature::PSDP_NO)];

/// Whether the core is known not to need this scrub; false for everything that is no scrub.
pub(crate) fn is_immune(scrub: Feature, core: &Core) -> bool {
    let raw = core.raw;
    let known = |feature: &Feature| !raw.unknown.contains(*feature);
    let closed = |reason: &Immune| match reason {
        Says(feature) => known(feature) && raw.features.contains(*feature),
        Lacks(feature) => known(feature) && !raw.features.contains(*feature),
    };
    let leaks = SCRUBS.iter().find(|(feature, _)| *feature == scrub);
    // MDS, TAA, stale MMIO data and RFDS are Intel's; what AMD's VERW clears are its own scheduler attacks.
    let others = core.identity.vendor.is_amd_compatible() && scrub != Feature::VERW_CLEAR;
    leaks.is_some_and(|(_, leaks)| others || leaks.iter().all(|reasons| reasons.iter().any(closed)))
}

/// The scrubs.
pub(crate) fn scrubs() -> impl Iterator<Item = Feature> {
    SCRUBS.iter().map(|(scrub, _)| *scrub)
}

/// Whether a guest that counts on this scrub is exposed here: the core lacks it, and is not known to need none.
/// `None` where that is not recorded.
pub(crate) fn is_exposed(scrub: Feature, core: &Core) -> Option<bool> {
    let raw = core.raw;
    let recorded = !raw.unknown.contains(scrub);
    let needless = raw.features.contains(scrub) || is_immune(scrub, core);
    if needless { Some(false) } else { recorded.then_some(true) }
}

/// Whether the core keeps the claim of an immunity that it does not make itself: TAA needs transactions.
pub(crate) fn keeps_claim(claim: Feature, raw: &View) -> bool {
    claim == Feature::TAA_NO && !raw.features.contains(Feature::RTM) && !raw.unknown.contains(Feature::RTM)
}

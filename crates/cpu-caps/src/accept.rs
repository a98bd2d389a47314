//! What an incoming guest may have on one kind of core and still be honest there.
//!
//! The offer to a new guest is narrower: what is accepted beside it was promised elsewhere and can be kept here all the same.

use cpuid_db::{Context, Emulation, Feature, FeatureRow, FeatureSet, Merge};

use crate::Core;
use crate::immunity::keeps_claim;

/// The bounds of what a guest may be told on one kind of core.
#[derive(Clone, Copy, Debug)]
pub struct Accept<'a> {
    /// The core.
    pub core: Core<'a>,
    /// Bits that the guest may see. Bits that belong to the VM or follow run-time state are always among them.
    pub may: FeatureSet,
    /// Bits that the guest must see where their prerequisites are met: limitations of this core.
    pub must: FeatureSet,
    /// Bits of which nobody knows whether the guest may see them.
    pub perhaps: FeatureSet,
    /// Limitations of which nobody knows whether this core has them.
    pub doubtful: FeatureSet,
}

impl<'a> Accept<'a> {
    /// What this core accepts.
    pub fn of(core: Core<'a>) -> Self {
        let (raw, ceiling) = (core.raw, core.ceiling);
        let known = raw.features.difference(&raw.unknown);
        let given = ceiling.features.difference(&ceiling.unknown);
        let mut accept =
            Self { core, may: ceiling.features, must: FeatureSet::EMPTY, perhaps: FeatureSet::EMPTY, doubtful: FeatureSet::EMPTY };
        let unknown = ceiling.unknown.union(&raw.unknown.difference(&ceiling.features));
        for feature in Feature::all() {
            let row = feature.row();
            accept.may.set(feature, accept.may.contains(feature) || is_harmless(feature, row) || is_executed(feature, row, &core));
            if row.merge == Merge::Or && !FeatureSet::OTHER_HYPERVISORS.contains(feature) {
                // A constant of KVM's that speaks of another vendor's CPUs says nothing about this one.
                let native = row.vendors.is_empty() || row.vendors.contains(core.identity.vendor.set());
                let told = known.contains(feature) || native && given.contains(feature);
                // A bit that also opens an MSR is a promise, and no machine without that MSR could keep it: it need not be told.
                let unmet = FeatureSet::UNMEETABLE.contains(feature) && !given.contains(feature);
                let hidden = FeatureSet::OPENING.contains(feature) || unmet;
                accept.must.set(feature, told && !hidden);
                accept.doubtful.set(feature, !told && !hidden && unknown.contains(feature));
            }
        }
        accept.perhaps = ceiling.unknown.difference(&accept.may);
        accept
    }
}

/// A bit that promises nothing here: it belongs to the VM, follows its state, repeats another bit, or warns of what is not so.
fn is_harmless(feature: Feature, row: &FeatureRow) -> bool {
    match row.merge {
        Merge::Live | Merge::Local | Merge::Derived => true,
        Merge::Or => !FeatureSet::OPENING.contains(feature),
        Merge::Context => matches!(row.context, Some(Context::Rsba | Context::Rrsba)),
        _ => row.alias_of.is_some() || FeatureSet::OTHER_HYPERVISORS.contains(feature),
    }
}

/// What works without being offered: KVM executes it, the CPU is immune without saying so, or the CPU aborts where the guest expects that it may.
fn is_executed(feature: Feature, row: &FeatureRow, core: &Core) -> bool {
    let emulated = match row.emulation {
        Emulation::None => false,
        Emulation::Always => true,
        Emulation::With(other) => core.ceiling.features.contains(other),
    };
    // XBEGIN that always aborts is a correct XBEGIN, and one that may succeed is a correct one for a guest that does not count on it.
    let has_xbegin = core.raw.features.contains_any(&[Feature::RTM, Feature::RTM_ALWAYS_ABORT]);
    emulated || keeps_claim(feature, core.raw) || matches!(row.context, Some(Context::Rtm | Context::RtmAlwaysAbort)) && has_xbegin
}

//! From facts to a policy: merge rules, ceiling, closure, context, closure again, shape. Once, in this order.

use core::fmt;

use cpuid_db::{Emulation, Feature, FeatureSet, FieldAt, Kvm, Merge, Policy, TableFull, Vendor};

use crate::accept::opens_msr;
use crate::closure::close;
use crate::{Cause, Decision, Decisions, Identity, Outcome, Pool, Tally};

/// What the operator asks for beside the default, "everything that can be promised".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// Features that the guest must have.
    pub with: FeatureSet,
    /// Features that the guest must not have.
    pub without: FeatureSet,
    /// Mix vendors all the same.
    pub any_vendor: bool,
    /// Obey even where that makes the guest believe what the hardware does not do (hiding an innate bit).
    pub force: bool,
}

/// The guest policy of a pool, and every decision that led to it.
#[derive(Clone, PartialEq, Debug)]
pub struct Baseline {
    /// What the guest sees.
    pub policy: Policy,
    /// The features of the policy.
    pub features: FeatureSet,
    /// Who the guest's CPU says it is.
    pub identity: Identity,
    /// Whether the identity was chosen because machines differ.
    pub identity_chosen: bool,
    /// One decision per feature and per merged field.
    pub decisions: Decisions,
}

/// Why there is no policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// A pool without machines.
    Empty,
    /// Machines of different vendors.
    Vendors(Vendor, Vendor),
    /// A field on which machines must agree.
    Field {
        /// The field.
        at: FieldAt,
        /// The smallest value and a machine that has it.
        low: (u64, Option<u32>),
        /// The largest value and a machine that has it.
        high: (u64, Option<u32>),
    },
    /// A feature was asked for and cannot be given.
    Impossible {
        /// The feature.
        feature: Feature,
        /// What became of it.
        decision: Decision,
    },
    /// A feature that describes what the hardware does cannot be hidden honestly.
    Innate(Feature),
    /// The policy has more leaves than a table holds.
    Full(TableFull),
}

impl From<TableFull> for Refusal {
    fn from(full: TableFull) -> Self {
        Self::Full(full)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a pool without machines has no baseline"),
            Self::Vendors(low, high) => write!(f, "the pool mixes {low} and {high}: their feature bits, errata and MSRs differ"),
            Self::Field { at, low, high } => {
                #[cfg(feature = "names")]
                write!(f, "{} differs: {:#x} and {:#x}; no guest can run on both", at.field.name(), low.0, high.0)?;
                #[cfg(not(feature = "names"))]
                write!(f, "field {} differs: {:#x} and {:#x}; no guest can run on both", at.field.index(), low.0, high.0)?;
                Ok(())
            }
            Self::Impossible { feature, decision } => {
                write!(f, "{feature} was asked for and cannot be given: {}", decision.cause.name())?;
                match decision.cause {
                    Cause::Requires(parent) => write!(f, " {parent}"),
                    _ => Ok(()),
                }
            }
            Self::Innate(feature) => {
                write!(f, "{feature} describes what the hardware does and cannot be hidden honestly; force it to do so all the same")
            }
            Self::Full(full) => write!(f, "the policy does not fit: {full}"),
        }
    }
}

impl core::error::Error for Refusal {}

/// The state of one run.
pub(crate) struct Work<'a, const W: usize> {
    pub(crate) pool: &'a Pool<W>,
    pub(crate) request: &'a Request,
    /// Bits that the guest has so far.
    pub(crate) set: FeatureSet,
    pub(crate) decisions: Decisions,
    pub(crate) identity: Identity,
}

/// Decides what a guest of this pool gets.
///
/// # Errors
/// [`Refusal`] when no policy is right on all machines, or the request is impossible.
pub fn finish<const W: usize>(pool: &Pool<W>, request: &Request) -> Result<Baseline, Refusal> {
    let (identity, identity_chosen) = pool.identities.chosen().ok_or(Refusal::Empty)?;
    if let Some((low, high)) = pool.identities.vendors_differ().filter(|_| !request.any_vendor) {
        return Err(Refusal::Vendors(low, high));
    }
    let mut work = Work { pool, request, set: FeatureSet::EMPTY, decisions: Decisions::new(), identity };
    for feature in Feature::all() {
        work.merge(feature);
    }
    work.obey()?;
    work.close();
    crate::context::decide(&mut work);
    work.close();
    while crate::fields::resolve_conflicts(&mut work)? {
        work.close();
    }
    crate::context::decide(&mut work);
    work.close();
    work.mirror_aliases();
    work.settle_moot();
    work.check_request()?;
    crate::fields::decide(&mut work);
    let policy = crate::shape::build(&work)?;
    Ok(Baseline { policy, features: work.set, identity, identity_chosen, decisions: work.decisions })
}

/// A bit of another hypervisor's leaf: it describes where the dump was taken, or is set per VM, and is not merged.
pub(crate) fn is_foreign_hypervisors(feature: Feature) -> bool {
    let owner = cpuid_db::words().get(feature.word()).and_then(|word| word.hypervisor);
    owner.is_some_and(|owner| owner != crate::shape::KVM_SIGNATURE)
}

impl<const W: usize> Work<'_, W> {
    pub(crate) fn decide(&mut self, feature: Feature, outcome: Outcome, cause: Cause, count: u32, witness: Option<u32>) {
        let given = matches!(outcome, Outcome::Granted | Outcome::Raised);
        self.set.set(feature, given);
        let rule = feature.row().merge;
        self.decisions.set_feature(feature, Decision { outcome, rule, cause, count, witness });
    }

    pub(crate) fn tell(&mut self, feature: Feature, outcome: Outcome, cause: Cause, machines: &Tally<W>) {
        self.decide(feature, outcome, cause, machines.count(), machines.ids().next());
    }

    pub(crate) fn withhold(&mut self, feature: Feature, cause: Cause) {
        self.decide(feature, Outcome::Withheld, cause, 0, None);
    }

    pub(crate) fn is_requested_away(&self, feature: Feature) -> bool {
        self.request.without.contains(feature)
    }

    /// The first word about a feature: its merge rule under the ceiling.
    fn merge(&mut self, feature: Feature) {
        let row = feature.row();
        match row.merge {
            Merge::Or => self.decide_or(feature),
            Merge::Live => self.decide_static(feature, Cause::Live),
            Merge::Local => self.decide_static(feature, Cause::Local),
            _ => self.decide_and(feature),
        }
        if self.set.contains(feature) && is_foreign_hypervisors(feature) {
            self.withhold(feature, Cause::Local);
        }
        let foreign = !row.vendors.is_empty() && !row.vendors.contains(self.identity.vendor.set());
        if foreign && self.set.contains(feature) && !self.pool.in_hardware.contains(feature) {
            self.withhold(feature, Cause::Foreign);
        }
    }

    /// All machines, within the ceiling.
    pub(crate) fn decide_and(&mut self, feature: Feature) {
        let pool = self.pool;
        let fixed = feature.row().merge == Merge::Fixed || matches!(feature.row().kvm, Kvm::Emulated | Kvm::Fixed);
        if !pool.lacked.contains(feature) {
            let cause = if fixed && !pool.missing(feature).is_empty() { Cause::Fixed } else { Cause::AllHosts };
            let cause = if feature.row().merge == Merge::Fixed { Cause::Fixed } else { cause };
            self.decide(feature, Outcome::Granted, cause, pool.machines().count(), None);
            return;
        }
        let (denied, missing, unknown) = (pool.denied(feature), pool.missing(feature), pool.unknown(feature));
        if !denied.is_empty() {
            self.tell(feature, Outcome::Withheld, Cause::NotInKvm, denied);
        } else if !missing.is_empty() {
            self.tell(feature, Outcome::Withheld, Cause::MissingOnHost, missing);
        } else {
            self.tell(feature, Outcome::Withheld, Cause::Unrecorded, unknown);
        }
    }

    /// Any machine. The ceiling does not matter: KVM shows the guest whatever bit the policy sets.
    fn decide_or(&mut self, feature: Feature) {
        let pool = self.pool;
        let row = feature.row();
        let having = pool.having(feature);
        if row.kvm == Kvm::Never && row.intercepted && !pool.denied(feature).is_empty() {
            // Announcing it would tell of what a guest never meets.
            self.tell(feature, Outcome::Withheld, Cause::NotInKvm, pool.denied(feature));
        } else if opens_msr(row) && pool.lacked.contains(feature) {
            // It would open an MSR that not every machine can provide.
            self.decide_and(feature);
        } else if !having.is_empty() {
            let everywhere = having.count() == pool.machines().count();
            let outcome = if everywhere { Outcome::Granted } else { Outcome::Raised };
            self.tell(feature, outcome, Cause::Limitation, having);
        } else if pool.unknown.contains(feature) {
            self.tell(feature, Outcome::Undecided, Cause::Unrecorded, pool.unknown(feature));
        } else {
            self.tell(feature, Outcome::Withheld, Cause::MissingOnHost, pool.missing(feature));
        }
    }

    /// A static value that is never merged.
    fn decide_static(&mut self, feature: Feature, cause: Cause) {
        let value = feature.row().value && self.pool.seen.contains(feature);
        self.decide(feature, Outcome::Chosen, cause, 0, None);
        self.set.set(feature, value);
    }

    /// What the operator asked for by name.
    fn obey(&mut self) -> Result<(), Refusal> {
        for feature in &self.request.without {
            let limited = self.pool.seen.contains(feature) && feature.row().innate;
            if limited && !self.request.force {
                return Err(Refusal::Innate(feature));
            }
            self.withhold(feature, Cause::Request);
        }
        for feature in &self.request.with.difference(&self.set) {
            let pool = self.pool;
            let row = feature.row();
            let emulated = match row.emulation {
                Emulation::None => false,
                Emulation::Always => true,
                Emulation::With(other) => !pool.lacked.contains(other),
            };
            let harmless = row.merge == Merge::Or && row.gates.is_empty();
            if emulated {
                self.tell(feature, Outcome::Granted, Cause::Emulated, pool.missing(feature));
            } else if harmless || !pool.lacked.contains(feature) {
                self.decide(feature, Outcome::Granted, Cause::Request, 0, None);
            }
        }
        Ok(())
    }

    /// Every feature that was asked for must have survived.
    fn check_request(&self) -> Result<(), Refusal> {
        match self.request.with.difference(&self.set).iter().next() {
            Some(feature) => Err(Refusal::Impossible { feature, decision: self.decisions.feature(feature) }),
            None => Ok(()),
        }
    }

    /// Withholds what has lost a prerequisite.
    fn close(&mut self) {
        let mut set = self.set;
        let decisions = &mut self.decisions;
        close(&mut set, &self.request.with, |feature, parent| {
            let cause = Cause::Requires(parent);
            let decision = Decision { outcome: Outcome::Withheld, rule: feature.row().merge, cause, count: 0, witness: None };
            decisions.set_feature(feature, decision);
        });
        self.set = set;
    }

    /// Nobody needs to find out about a limitation of something that the guest does not get.
    fn settle_moot(&mut self) {
        for feature in Feature::all() {
            let undecided = self.decisions.feature(feature).outcome == Outcome::Undecided;
            let mut edges = feature.row().requires.iter();
            let unmet = edges.find(|edge| undecided && !self.set.contains_any(edge.any));
            if let Some(parent) = unmet.and_then(|edge| edge.any.first()) {
                self.withhold(feature, Cause::Requires(*parent));
            }
        }
    }

    /// AMD repeats bits of leaf 1 in leaf 8000_0001H; other vendors do not.
    fn mirror_aliases(&mut self) {
        for feature in Feature::all() {
            let Some(original) = feature.row().alias_of else { continue };
            let on = self.identity.vendor.is_amd_compatible() && self.set.contains(original);
            let outcome = if on { Outcome::Granted } else { Outcome::Withheld };
            self.decide(feature, outcome, Cause::Derived, 0, None);
        }
    }
}

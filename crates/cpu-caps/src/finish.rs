//! From facts to a policy: merge rules, ceiling, closure, context, closure again, shape. Once, in this order.

use cpuid_db::{Emulation, Feature, FeatureSet, Kvm, Merge, Policy};

use crate::accept::opens_msr;
use crate::closure::close;
use crate::{Base, Cause, Decision, Decisions, Identity, Outcome, Pool, Refusal, Request, Tally};

/// The guest policy of a pool, and every decision that led to it.
#[derive(Clone, PartialEq, Debug)]
pub struct Baseline {
    /// What the guest sees.
    pub policy: Policy,
    /// The features of the policy.
    pub features: FeatureSet,
    /// Who the guest's CPU says it is.
    pub identity: Identity,
    /// Whether the identity was chosen because machines differ, and not asked for.
    pub identity_chosen: bool,
    /// One decision per feature and per merged field.
    pub decisions: Decisions,
}

/// A baseline as near to the request as the pool allows, and what of the request it does not keep.
#[derive(Clone, PartialEq, Debug)]
pub struct Attempt {
    /// The guest policy without the features that cannot be given, and with those that cannot be hidden.
    pub baseline: Baseline,
    /// Features that were asked for and cannot be given; each has its decision in the baseline.
    pub impossible: FeatureSet,
    /// Features that were to be hidden, describe what the hardware does, and so are shown all the same.
    pub innate: FeatureSet,
}

impl Attempt {
    /// What [`finish`] says when the request is not kept in full.
    pub fn refusal(&self) -> Option<Refusal> {
        if let Some(feature) = self.innate.iter().next() {
            return Some(Refusal::Innate { feature, all: self.innate });
        }
        let feature = self.impossible.iter().next()?;
        let decision = self.baseline.decisions.feature(feature);
        Some(Refusal::Impossible { feature, decision, all: self.impossible })
    }
}

/// The state of one run.
pub(crate) struct Work<'a, const W: usize> {
    pub(crate) pool: &'a Pool<W>,
    pub(crate) request: &'a Request,
    /// Bits that the guest has so far.
    pub(crate) set: FeatureSet,
    pub(crate) decisions: Decisions,
    pub(crate) identity: Identity,
    /// What the request keeps from the guest, whatever the machines have.
    pub(crate) barred: FeatureSet,
    /// What was to be hidden and cannot be.
    innate: FeatureSet,
}

/// Decides what a guest of this pool gets.
///
/// # Errors
/// [`Refusal`] when no policy is right on all machines, or the request is impossible.
pub fn finish<const W: usize>(pool: &Pool<W>, request: &Request) -> Result<Baseline, Refusal> {
    let attempt = attempt(pool, request)?;
    match attempt.refusal() {
        Some(refusal) => Err(refusal),
        None => Ok(attempt.baseline),
    }
}

/// Decides what comes nearest to the request: like [`finish`], but features that cannot be given or hidden are told, not refused.
///
/// # Errors
/// [`Refusal`] when no policy at all is right on all machines.
pub fn attempt<const W: usize>(pool: &Pool<W>, request: &Request) -> Result<Attempt, Refusal> {
    let (identity, identity_chosen) = identity(pool, request)?;
    let mut work = Work {
        pool,
        request,
        set: FeatureSet::EMPTY,
        decisions: Decisions::new(),
        identity,
        barred: request.base.left_out().difference(&request.with),
        innate: FeatureSet::EMPTY,
    };
    for feature in Feature::all() {
        work.merge(feature);
    }
    work.leave_out();
    work.obey();
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
    crate::fields::decide(&mut work);
    let policy = crate::shape::build(&work)?;
    let (impossible, innate) = (request.with.difference(&work.set), work.innate);
    let baseline = Baseline { policy, features: work.set, identity, identity_chosen, decisions: work.decisions };
    Ok(Attempt { baseline, impossible, innate })
}

/// Who the guest's CPU says it is, and whether that was chosen because machines differ.
fn identity<const W: usize>(pool: &Pool<W>, request: &Request) -> Result<(Identity, bool), Refusal> {
    let (own, chosen) = pool.identities.chosen().ok_or(Refusal::Empty)?;
    if let Some((low, high)) = pool.identities.vendors_differ().filter(|_| !request.any_vendor) {
        return Err(Refusal::Vendors(low, high));
    }
    match request.identity {
        Some(asked) if asked.vendor != own.vendor && !request.any_vendor => {
            Err(Refusal::Identity { pool: own.vendor, asked: asked.vendor })
        }
        Some(asked) => Ok((asked, false)),
        None => Ok((own, chosen)),
    }
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

    /// Whether all machines are one product, and the guest's CPU is of its model too.
    pub(crate) fn same_product(&self) -> bool {
        self.pool.identities.same_product(self.identity.signature)
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

    /// What the base of the request does not have. A model speaks first: what it lacks would be left out on any machines.
    /// That a feature is pinned matters only where it could be given.
    fn leave_out(&mut self) {
        let (left_out, cause) = match self.request.base {
            Base::Only(_) => (self.barred, Cause::Request),
            _ => (self.barred.intersection(&self.set), Cause::Pinned),
        };
        for feature in &left_out {
            self.withhold(feature, cause);
        }
    }

    /// What the operator asked for by name.
    fn obey(&mut self) {
        let request = self.request;
        if !request.force {
            self.innate = request.without.intersection(&self.pool.seen).intersection(&FeatureSet::INNATE);
        }
        let without = request.without.difference(&self.innate);
        self.barred = self.barred.union(&without);
        for feature in &without {
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
            if is_foreign_hypervisors(feature) {
                // Its leaf is not there to hold the bit.
            } else if emulated {
                self.tell(feature, Outcome::Granted, Cause::Emulated, pool.missing(feature));
            } else if harmless || !pool.lacked.contains(feature) {
                self.decide(feature, Outcome::Granted, Cause::Request, 0, None);
            }
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

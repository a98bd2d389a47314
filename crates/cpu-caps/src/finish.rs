//! From facts to a policy: merge rules, ceiling, closure, context, closure again, shape. Once, in this order.

use cpuid_db::{Emulation, Feature, FeatureSet, Merge, Policy};

use crate::closure::close;
use crate::{Base, Cause, Decisions, Identity, Outcome, Pool, Refusal, Request, Tally};

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
        refusal(&self.baseline, &self.impossible, &self.innate)
    }
}

fn refusal(baseline: &Baseline, impossible: &FeatureSet, innate: &FeatureSet) -> Option<Refusal> {
    if let Some(feature) = innate.after(None) {
        return Some(Refusal::Innate { feature, all: *innate });
    }
    let feature = impossible.after(None)?;
    Some(Refusal::Impossible { feature, decision: baseline.decisions.feature(feature), all: *impossible })
}

/// The state of one run.
pub(crate) struct Work<'a, const W: usize> {
    pub(crate) pool: &'a Pool<W>,
    pub(crate) request: &'a Request,
    /// Bits that the guest has so far.
    pub(crate) set: FeatureSet,
    pub(crate) decisions: &'a mut Decisions,
    pub(crate) identity: Identity,
    /// What the request keeps from the guest, whatever the machines have.
    pub(crate) barred: FeatureSet,
    /// What was to be hidden and cannot be.
    innate: FeatureSet,
    /// What may lack a prerequisite since the last closure.
    suspects: FeatureSet,
}

/// Decides what a guest of this pool gets.
///
/// # Errors
/// [`Refusal`] when no policy is right on all machines, or the request is impossible.
pub fn finish<const W: usize>(pool: &Pool<W>, request: &Request) -> Result<Baseline, Refusal> {
    let mut baseline = Baseline::new();
    baseline.resolve(pool, request)?;
    Ok(baseline)
}

/// Decides what comes nearest to the request: like [`finish`], but features that cannot be given or hidden are told, not refused.
///
/// # Errors
/// [`Refusal`] when no policy at all is right on all machines.
pub fn attempt<const W: usize>(pool: &Pool<W>, request: &Request) -> Result<Attempt, Refusal> {
    let mut baseline = Baseline::new();
    let (impossible, innate) = fill(&mut baseline, pool, request)?;
    Ok(Attempt { baseline, impossible, innate })
}

impl Baseline {
    /// Room for a baseline; nothing is decided.
    #[inline]
    pub const fn new() -> Self {
        Self {
            policy: Policy::new(),
            features: FeatureSet::EMPTY,
            identity: Identity::NONE,
            identity_chosen: false,
            decisions: Decisions::NONE,
        }
    }

    /// [`finish`] in place. A baseline is large; who resolves many guests one after the other saves two copies for each.
    ///
    /// # Errors
    /// [`Refusal`] as [`finish`]; what the baseline holds then is of no use.
    pub fn resolve<const W: usize>(&mut self, pool: &Pool<W>, request: &Request) -> Result<(), Refusal> {
        let (impossible, innate) = fill(self, pool, request)?;
        refusal(self, &impossible, &innate).map_or(Ok(()), Err)
    }
}

impl Default for Baseline {
    fn default() -> Self {
        Self::new()
    }
}

/// Decides everything, in place: a baseline is too large to be handed around. Returns what was asked for and is impossible,
/// and what was to be hidden and is innate.
fn fill<const W: usize>(baseline: &mut Baseline, pool: &Pool<W>, request: &Request) -> Result<(FeatureSet, FeatureSet), Refusal> {
    let machines = pool.machines();
    (baseline.identity, baseline.identity_chosen) = identity(pool, request)?;
    baseline.decisions.reset(machines.count(), machines.ids().next());
    baseline.policy.clear();
    let mut work = Work {
        pool,
        request,
        set: FeatureSet::EMPTY,
        decisions: &mut baseline.decisions,
        identity: baseline.identity,
        barred: request.base.left_out().difference(&request.with),
        innate: FeatureSet::EMPTY,
        suspects: FeatureSet::EMPTY,
    };
    crate::merge::decide(&mut work);
    work.leave_out();
    work.obey();
    work.suspects = crate::closure::suspects(&work.set);
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
    let (impossible, innate) = (request.with.difference(&work.set), work.innate);
    crate::shape::build(&work, &mut baseline.policy)?;
    baseline.features = work.set;
    Ok((impossible, innate))
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

impl<const W: usize> Work<'_, W> {
    pub(crate) fn decide(&mut self, feature: Feature, outcome: Outcome, cause: Cause, count: u32, witness: Option<u32>) {
        let given = matches!(outcome, Outcome::Granted | Outcome::Raised);
        if given != self.set.contains(feature) {
            self.set.set(feature, given);
            if given {
                self.suspects.set(feature, true);
            } else {
                self.suspects.add_dependants(feature);
            }
        }
        self.decisions.set_feature(feature, outcome, cause, count, witness);
    }

    /// Withholds features for a reason that is nobody's.
    pub(crate) fn withhold_all(&mut self, features: &FeatureSet, cause: Cause) {
        self.set = self.set.difference(features);
        self.decisions.repaint(features, Outcome::Withheld, cause);
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

    /// All machines, within the ceiling: the decision about one feature whose rule is a function that begins with this.
    pub(crate) fn decide_and(&mut self, feature: Feature) {
        let pool = self.pool;
        let (denied, missing, unknown) = (pool.denied(feature), pool.missing(feature), pool.unknown(feature));
        if !denied.is_empty() {
            self.tell(feature, Outcome::Withheld, Cause::NotInKvm, denied);
        } else if !missing.is_empty() {
            self.tell(feature, Outcome::Withheld, Cause::MissingOnHost, missing);
        } else if !unknown.is_empty() {
            self.tell(feature, Outcome::Withheld, Cause::Unrecorded, unknown);
        } else {
            self.decide(feature, Outcome::Granted, Cause::AllHosts, pool.machines().count(), None);
        }
    }

    /// What the base of the request does not have. A model speaks first: what it lacks would be left out on any machines.
    /// That a feature is pinned matters only where it could be given.
    fn leave_out(&mut self) {
        let (left_out, cause) = match self.request.base {
            Base::Only(_) => (self.barred, Cause::Request),
            _ => (self.barred.intersection(&self.set), Cause::Pinned),
        };
        self.withhold_all(&left_out, cause);
    }

    /// What the operator asked for by name.
    fn obey(&mut self) {
        let request = self.request;
        if !request.force {
            self.innate = request.without.intersection(&self.pool.having.any).intersection(&FeatureSet::INNATE);
        }
        let without = request.without.difference(&self.innate);
        self.barred = self.barred.union(&without);
        self.withhold_all(&without, Cause::Request);
        let pool = self.pool;
        let lacked = pool.lacked();
        for feature in &self.request.with.difference(&self.set) {
            let row = feature.row();
            let emulated = match row.emulation {
                Emulation::None => false,
                Emulation::Always => true,
                Emulation::With(other) => !lacked.contains(other),
            };
            let harmless = row.merge == Merge::Or && row.gates.is_empty();
            if FeatureSet::OTHER_HYPERVISORS.contains(feature) {
                // Its leaf is not there to hold the bit.
            } else if emulated {
                self.tell(feature, Outcome::Granted, Cause::Emulated, pool.missing(feature));
            } else if harmless || !lacked.contains(feature) {
                self.decide(feature, Outcome::Granted, Cause::Request, 0, None);
            }
        }
    }

    /// Withholds what has lost a prerequisite.
    fn close(&mut self) {
        let suspects = core::mem::take(&mut self.suspects);
        let decisions = &mut *self.decisions;
        close(&mut self.set, suspects, &self.request.with, |feature, parent| {
            decisions.set_feature(feature, Outcome::Withheld, Cause::Requires(parent), 0, None);
        });
    }

    /// Nobody needs to find out about a limitation of something that the guest does not get.
    fn settle_moot(&mut self) {
        for feature in &self.decisions.undecided() {
            let mut edges = feature.row().requires.iter();
            let unmet = edges.find(|edge| !self.set.contains_any(edge.any));
            if let Some(parent) = unmet.and_then(|edge| edge.any.first()) {
                self.withhold(feature, Cause::Requires(*parent));
            }
        }
    }

    /// AMD repeats bits of leaf 1 in leaf 8000_0001H; other vendors do not.
    fn mirror_aliases(&mut self) {
        let copies = self.identity.vendor.is_amd_compatible();
        let has_original = |feature: &Feature| feature.row().alias_of.is_some_and(|original| self.set.contains(original));
        let on: FeatureSet = FeatureSet::ALIASES.iter().filter(|feature| copies && has_original(feature)).collect();
        self.withhold_all(&FeatureSet::ALIASES, Cause::Derived);
        self.set = self.set.union(&on);
        self.decisions.repaint(&on, Outcome::Granted, Cause::Derived);
    }
}

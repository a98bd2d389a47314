//! Rules that look at the rest of the policy: return-stack underflow, TSX, invariant TSC, PEBS.

use cpuid_db::{Context, Feature, FeatureSet, Field, FieldAt};

use crate::finish::Work;
use crate::{Cause, Outcome};

/// Decides every feature whose rule is a function of the rest of the set.
pub(crate) fn decide<const W: usize>(work: &mut Work<'_, W>) {
    for feature in &FeatureSet::CONTEXT {
        let Some(context) = feature.row().context else { continue };
        if work.barred.contains(feature) {
            continue;
        }
        match context {
            Context::Rsba => rsb(work, feature, false),
            Context::Rrsba => rsb(work, feature, true),
            Context::Rtm => rtm(work, feature),
            Context::RtmAlwaysAbort => rtm_always_abort(work, feature),
            Context::InvariantTsc => invariant_tsc(work, feature),
            Context::PebsGroup => pebs(work, feature),
        }
    }
}

/// RSBA and RRSBA say the same of a return-stack underflow, without and with enhanced IBRS in sight of the guest.
/// If any machine behaves so, exactly the one that fits the guest's IBRS_ALL is announced.
fn rsb<const W: usize>(work: &mut Work<'_, W>, feature: Feature, with_eibrs: bool) {
    let pool = work.pool;
    let either = [Feature::RSBA, Feature::RRSBA];
    if !work.set.contains(Feature::ARCH_CAPABILITIES) {
        work.withhold(feature, Cause::Requires(Feature::ARCH_CAPABILITIES));
    } else if work.set.contains(Feature::IBRS_ALL) != with_eibrs {
        work.decide(feature, Outcome::Withheld, Cause::Context, 0, None);
    } else if either.iter().any(|bit| pool.having.any.contains(*bit)) {
        let witnesses = either.map(|bit| pool.having(bit));
        let all = witnesses.iter().any(|tally| tally.count() == pool.machines().count());
        let count = witnesses.iter().map(|tally| tally.count()).max().unwrap_or(0);
        let witness = witnesses.iter().filter_map(|tally| tally.ids().next()).min();
        let outcome = if all { Outcome::Granted } else { Outcome::Raised };
        work.decide(feature, outcome, Cause::Limitation, count, witness);
    } else if either.iter().any(|bit| pool.unknown.any.contains(*bit)) {
        work.tell(feature, Outcome::Undecided, Cause::Unrecorded, pool.unknown(feature));
    } else {
        work.tell(feature, Outcome::Withheld, Cause::MissingOnHost, pool.missing(feature));
    }
}

/// RTM is offered where every machine runs it. On request it is also kept where XBEGIN merely aborts.
fn rtm<const W: usize>(work: &mut Work<'_, W>, feature: Feature) {
    let requested = work.request.with.contains(feature);
    if requested && work.pool.without_rtm_opcode.is_empty() {
        work.decide(feature, Outcome::Granted, Cause::Request, 0, None);
    } else {
        work.decide_and(feature);
    }
}

/// Means that XBEGIN does not fault but always aborts: told to a guest that has RTM when some machine behaves so.
fn rtm_always_abort<const W: usize>(work: &mut Work<'_, W>, feature: Feature) {
    let aborting = work.pool.having(feature);
    if aborting.is_empty() {
        work.decide_and(feature);
    } else if work.set.contains(Feature::RTM) {
        work.tell(feature, Outcome::Raised, Cause::Limitation, aborting);
    } else {
        work.decide(feature, Outcome::Withheld, Cause::Context, aborting.count(), aborting.ids().next());
    }
}

/// A promise about the VM's whole life: every machine must run the TSC at one frequency.
/// That is known when leaf 15H agrees, and assumed when all machines are the same product; else the operator must know that every
/// machine scales, and ask for it.
fn invariant_tsc<const W: usize>(work: &mut Work<'_, W>, feature: Feature) {
    work.decide_and(feature);
    if !work.set.contains(feature) || work.request.with.contains(feature) {
        return;
    }
    let agrees = |field: Field| {
        let facts = FieldAt { field, subleaf: 0 }.slot().and_then(|slot| work.pool.facts(slot));
        facts.is_some_and(|facts| facts.any() && facts.min == facts.max && facts.min != 0 && facts.unknown.is_empty())
    };
    let frequency = [Field::TSC_DENOMINATOR, Field::TSC_NUMERATOR, Field::CRYSTAL_HZ];
    if !work.pool.identities.one_product() && !frequency.into_iter().all(agrees) {
        work.decide(feature, Outcome::Withheld, Cause::Context, 0, None);
    }
}

/// KVM accepts the PEBS bits together with the host's own record format, or none of them.
fn pebs<const W: usize>(work: &mut Work<'_, W>, feature: Feature) {
    work.decide_and(feature);
    let format = FieldAt { field: Field::PEBS_FMT, subleaf: 0 }.slot().and_then(|slot| work.pool.facts(slot));
    let same_format = format.is_some_and(|facts| facts.any() && facts.min == facts.max && facts.min != 0);
    if work.set.contains(feature) && !(same_format && work.same_product()) {
        work.decide(feature, Outcome::Withheld, Cause::Context, 0, None);
    }
}

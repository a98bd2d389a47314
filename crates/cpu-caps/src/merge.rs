//! The first word about every feature: its merge rule under the ceiling, a register at a time.

use cpuid_db::FeatureSet;

use crate::decision::Who;
use crate::facts::Sayings;
use crate::finish::Work;
use crate::{Cause, Outcome};

/// Decides all features. Every feature is painted once.
pub(crate) fn decide<const W: usize>(work: &mut Work<'_, W>) {
    const STATIC: FeatureSet = FeatureSet::LIVE.union(&FeatureSet::LOCAL);
    const BY_ALL: FeatureSet = FeatureSet::ALL.difference(&STATIC).difference(&FeatureSet::LIMITATIONS);
    by_all(work, &BY_ALL);
    by_any(work);
    work.decisions.paint(&FeatureSet::LIVE, Outcome::Chosen, Cause::Live, Who::Nobody);
    work.decisions.paint(&FeatureSet::LOCAL, Outcome::Chosen, Cause::Local, Who::Nobody);
    work.set = work.set.union(&FeatureSet::SET.intersection(&work.pool.having.any));
    withhold_foreign(work);
}

/// All machines, within the ceiling.
fn by_all<const W: usize>(work: &mut Work<'_, W>, features: &FeatureSet) {
    let pool = work.pool;
    let granted = features.difference(&pool.lacked());
    let fixed = granted.intersection(&FeatureSet::FIXED);
    work.set = work.set.union(&granted);
    work.decisions.paint(&fixed, Outcome::Granted, Cause::Fixed, Who::All);
    work.decisions.paint(&granted.difference(&fixed), Outcome::Granted, Cause::AllHosts, Who::All);
    let denied = features.intersection(&pool.denied.any);
    tell(work, &denied, Outcome::Withheld, Cause::NotInKvm, &pool.denied);
    let missing = features.intersection(&pool.missing.any).difference(&denied);
    tell(work, &missing, Outcome::Withheld, Cause::MissingOnHost, &pool.missing);
    let unknown = features.intersection(&pool.unknown.any).difference(&denied).difference(&missing);
    tell(work, &unknown, Outcome::Withheld, Cause::Unrecorded, &pool.unknown);
}

/// Any machine. The ceiling does not matter: KVM shows the guest whatever bit the policy sets. But what tells of something that a guest
/// never meets is not announced where it is denied, and what would open an MSR is announced only where every machine provides it.
fn by_any<const W: usize>(work: &mut Work<'_, W>) {
    let pool = work.pool;
    let denied = FeatureSet::UNMEETABLE.intersection(&pool.denied.any);
    tell(work, &denied, Outcome::Withheld, Cause::NotInKvm, &pool.denied);
    let opening = FeatureSet::OPENING.difference(&denied).intersection(&pool.lacked());
    by_all(work, &opening);
    let rest = FeatureSet::LIMITATIONS.difference(&denied).difference(&opening);
    let having = rest.intersection(&pool.having.any);
    let everywhere = having.intersection(&pool.having.all);
    work.set = work.set.union(&having);
    tell(work, &everywhere, Outcome::Granted, Cause::Limitation, &pool.having);
    tell(work, &having.difference(&everywhere), Outcome::Raised, Cause::Limitation, &pool.having);
    let unknown = rest.difference(&having).intersection(&pool.unknown.any);
    tell(work, &unknown, Outcome::Undecided, Cause::Unrecorded, &pool.unknown);
    let missing = rest.difference(&having).difference(&unknown);
    tell(work, &missing, Outcome::Withheld, Cause::MissingOnHost, &pool.missing);
}

/// Bits of other hypervisors' leaves, which describe where a dump was taken or are set per VM, and bits of another vendor that the
/// hypervisor would give all the same.
fn withhold_foreign<const W: usize>(work: &mut Work<'_, W>) {
    let elsewhere = work.set.intersection(&FeatureSet::OTHER_HYPERVISORS);
    work.withhold_all(&elsewhere, Cause::Local);
    let foreign = work.set.difference(&FeatureSet::defined_by(work.identity.vendor)).difference(&work.pool.in_hardware);
    work.withhold_all(&foreign, Cause::Foreign);
}

/// Decides features because of what machines say, who are noted one by one only where not all of them say it.
fn tell<const W: usize>(work: &mut Work<'_, W>, features: &FeatureSet, outcome: Outcome, cause: Cause, said: &Sayings<W>) {
    let everybody = features.intersection(&said.all);
    work.decisions.paint(&everybody, outcome, cause, Who::Everybody);
    let some = features.difference(&said.all);
    if some.is_empty() {
        return;
    }
    work.decisions.paint(&some, outcome, cause, Who::Some);
    for feature in &some {
        let tally = said.of(feature, work.pool.machines());
        work.decisions.note(feature, tally.count(), tally.ids().next());
    }
}

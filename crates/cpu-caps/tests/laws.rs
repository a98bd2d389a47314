//! The laws of the pool and of the baseline, on random machines.

mod common;

use common::oracle::{assert_closed, assert_fields_within, assert_within};
use common::random::machine;
use common::{Ceiling, add};
use cpu_caps::{Attempt, Base, Cause, Outcome, Pool, Refusal, Request, attempt, finish};
use cpuid_db::{Feature, FeatureSet, Policy};
use proptest::prelude::*;

fn same_vendor(machines: &mut Vec<Policy>) {
    let vendor = machines[0].vendor();
    machines.retain(|machine| machine.vendor() == vendor);
}

fn fold(machines: &[(u32, &Policy)], ceiling: Ceiling) -> Box<Pool> {
    let mut pool = Box::new(Pool::new());
    for (id, machine) in machines {
        add(&mut pool, *id, machine, ceiling);
    }
    pool
}

/// Any set of features.
fn features(most: usize) -> impl Strategy<Value = FeatureSet> {
    prop::collection::vec(0..Feature::COUNT, 0..most).prop_map(|numbers| {
        let all: Vec<Feature> = Feature::all().collect();
        numbers.into_iter().map(|at| all[at]).collect()
    })
}

/// Any request: every base, a few features by name.
fn request() -> impl Strategy<Value = Request> {
    let base = prop_oneof![Just(Base::Everything), Just(Base::Migratable), features(600).prop_map(Base::Only)];
    (base, features(4), features(4), any::<bool>()).prop_map(|(base, with, without, force)| {
        let with = with.difference(&without);
        Request { base, with, without, force, ..Request::default() }
    })
}

/// Everything that may stand above the ceiling: what KVM executes by itself, what a guest must learn of, what has a static value,
/// what the rest of the policy decides, and what was asked for.
fn above_the_ceiling(result: &Attempt, request: &Request) -> FeatureSet {
    let by_cause = Feature::all().filter(|feature| result.baseline.decisions.feature(*feature).cause == Cause::Emulated);
    let rules = [FeatureSet::LIMITATIONS, FeatureSet::LIVE, FeatureSet::LOCAL, FeatureSet::DERIVED, FeatureSet::CONTEXT, request.with];
    rules.iter().fold(by_cause.collect(), |all: FeatureSet, rule| all.union(rule))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merging_pools_is_commutative_associative_and_idempotent(a in machine(), b in machine(), c in machine()) {
        for ceiling in [Ceiling::Raw, Ceiling::Kvm] {
            let whole = fold(&[(0, &a), (1, &b), (2, &c)], ceiling);
            let shuffled = fold(&[(2, &c), (0, &a), (1, &b)], ceiling);
            prop_assert!(whole == shuffled, "order");
            let mut grouped = fold(&[(1, &b), (2, &c)], ceiling);
            grouped.merge(&fold(&[(0, &a)], ceiling));
            prop_assert!(whole == grouped, "grouping");
            let mut doubled = whole.clone();
            doubled.merge(&whole);
            let request = Request { any_vendor: true, ..Request::default() };
            match (finish(&whole, &request), finish(&doubled, &request)) {
                (Ok(once), Ok(twice)) => prop_assert_eq!(once.policy, twice.policy, "idempotent on facts"),
                (Err(once), Err(twice)) => prop_assert_eq!(once, twice),
                _ => prop_assert!(false, "one of the two was refused"),
            }
        }
    }

    #[test]
    fn a_baseline_is_closed_and_within_every_member(machines in prop::collection::vec(machine(), 1..5)) {
        let mut machines = machines;
        same_vendor(&mut machines);
        let numbered: Vec<(u32, &Policy)> = (0..).zip(&machines).collect();
        for ceiling in [Ceiling::Raw, Ceiling::Kvm] {
            let pool = fold(&numbered, ceiling);
            let result = match finish(&pool, &Request::default()) {
                Ok(result) => result,
                Err(Refusal::Field { .. }) => continue,
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            };
            prop_assert_eq!(result.features, result.policy.features(), "registers and features agree");
            assert_closed(&result.features);
            for member in &machines {
                assert_within(&result.features, member, ceiling, |feature| result.decisions.feature(feature).outcome);
                assert_fields_within(&result.policy, member, ceiling, &result.features);
            }
            for feature in Feature::all() {
                let given = matches!(result.decisions.feature(feature).outcome, Outcome::Granted | Outcome::Raised);
                let chosen = result.decisions.feature(feature).outcome == Outcome::Chosen;
                prop_assert!(chosen || given == result.features.contains(feature), "{}: the decision says what happened", feature);
            }
        }
    }

    #[test]
    fn a_baseline_resolved_again_on_itself_is_itself(machines in prop::collection::vec(machine(), 1..4)) {
        let mut machines = machines;
        same_vendor(&mut machines);
        let numbered: Vec<(u32, &Policy)> = (0..).zip(&machines).collect();
        let Ok(first) = finish(&fold(&numbered, Ceiling::Raw), &Request::default()) else { return Ok(()) };
        let again = finish(&fold(&[(0, &first.policy)], Ceiling::Raw), &Request::default()).unwrap();
        prop_assert_eq!(again.policy.cpuid.entries(), first.policy.cpuid.entries());
        prop_assert_eq!(again.policy.msrs, first.policy.msrs);
    }

    #[test]
    fn every_request_is_answered_within_its_bounds(machines in prop::collection::vec(machine(), 1..4), asked in request()) {
        let mut machines = machines;
        same_vendor(&mut machines);
        let numbered: Vec<(u32, &Policy)> = (0..).zip(&machines).collect();
        for ceiling in [Ceiling::Raw, Ceiling::Kvm] {
            let pool = fold(&numbered, ceiling);
            let Ok(result) = attempt(&pool, &asked) else { continue };
            let set = result.baseline.features;
            assert_closed(&set);
            prop_assert_eq!(set, result.baseline.policy.features(), "registers and features agree");
            let exceptions = above_the_ceiling(&result, &asked);
            for member in &machines {
                let ceiling = common::oracle::ceiling_of(member, ceiling);
                prop_assert!(set.difference(&exceptions).is_subset(&ceiling.features), "above the ceiling");
            }
            // A copy of another bit says what the original says.
            let refused = asked.without.difference(&FeatureSet::DERIVED);
            prop_assert!(set.intersection(&refused).is_subset(&result.innate), "refused by name and given");
            prop_assert_eq!(asked.with.difference(&set), result.impossible);
            match asked.base {
                Base::Everything => {}
                Base::Migratable => prop_assert!(set.intersection(&FeatureSet::PINNED).is_subset(&asked.with)),
                Base::Only(model) => prop_assert!(set.is_subset(&model.union(&Base::BEYOND_MODELS).union(&asked.with))),
            }
            let everything = attempt(&pool, &Request { base: Base::Everything, ..asked }).unwrap();
            let bounded = set.difference(&FeatureSet::LIMITATIONS).difference(&FeatureSet::CONTEXT);
            prop_assert!(bounded.is_subset(&everything.baseline.features), "a narrower base gives more");
        }
    }

    #[test]
    fn the_nearest_answer_is_the_answer_without_what_is_impossible(machine in machine(), asked in request()) {
        let pool = fold(&[(0, &machine)], Ceiling::Kvm);
        let Ok(nearest) = attempt(&pool, &asked) else { return Ok(()) };
        let (with, without) = (asked.with.difference(&nearest.impossible), asked.without.difference(&nearest.innate));
        let again = finish(&pool, &Request { with, without, ..asked }).unwrap();
        prop_assert_eq!(&again.policy, &nearest.baseline.policy);
        prop_assert_eq!(nearest.refusal().is_none(), nearest.impossible.is_empty() && nearest.innate.is_empty());
    }

    #[test]
    fn an_answer_asked_for_again_is_itself(machine in machine(), asked in request()) {
        let Ok(first) = attempt(&fold(&[(0, &machine)], Ceiling::Raw), &asked) else { return Ok(()) };
        let first = first.baseline;
        let pool = fold(&[(0, &first.policy)], Ceiling::Raw);
        let again = finish(&pool, &Request { with: asked.with.intersection(&first.features), ..Request::default() }).unwrap();
        prop_assert_eq!(again.policy.cpuid.entries(), first.policy.cpuid.entries());
        prop_assert_eq!(again.policy.msrs, first.policy.msrs);
    }
}

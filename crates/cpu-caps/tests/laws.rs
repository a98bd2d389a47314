//! The laws of the pool and of the baseline, on random machines.

mod common;

use common::oracle::{assert_closed, assert_fields_within, assert_within};
use common::random::machine;
use common::{Ceiling, add};
use cpu_caps::{Outcome, Pool, Refusal, Request, finish};
use cpuid_db::{Feature, Policy};
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
}

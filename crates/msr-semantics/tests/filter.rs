//! The compiled filter does exactly what the rules say. The limits are those of KVM_X86_SET_MSR_FILTER
//! (Documentation/virt/kvm/api.rst 4.135 and arch/x86/include/uapi/asm/kvm.h).

use msr_semantics::{Action, Conflict, Direction, Filter, Rule, Unhandled, UnhandledRule};
use proptest::prelude::*;

const DIRECTIONS: [Direction; 2] = [Direction::Read, Direction::Write];

fn rule(first: u32, last: u32, direction: &str, allow: bool) -> Rule {
    Rule { first, last, read: direction.contains('r'), write: direction.contains('w'), allow }
}

/// Addresses at which something may change: around every edge of a rule, of the x2APIC's range and of a full window.
fn edges(rules: &[Rule]) -> Vec<u32> {
    let near = |at: u32| (0..4).flat_map(move |by| [at.wrapping_add(by), at.wrapping_sub(by)]);
    let bounds = rules.iter().flat_map(|rule| [rule.first, rule.last, rule.first.wrapping_add(12288), rule.last.wrapping_add(12288)]);
    bounds.chain([0, 0x800, 0x8ff, 0x2fff, 0xc000_0080, u32::MAX]).flat_map(near).collect()
}

fn check(filter: &Filter<'_>) -> Result<(), TestCaseError> {
    let Ok(compiled) = filter.compile() else { return Ok(()) };
    for address in edges(filter.rules) {
        for direction in DIRECTIONS {
            prop_assert_eq!(compiled.allows(address, direction), filter.allows(address, direction), "{:#x} {:?}", address, direction);
        }
    }
    prop_assert!(compiled.ranges().len() <= 16);
    prop_assert!(!compiled.default_deny || !compiled.ranges().is_empty(), "DEFAULT_DENY needs a range");
    for range in compiled.ranges() {
        prop_assert!((1..=12288).contains(&range.count) && range.base.checked_add(range.count - 1).is_some());
        prop_assert!(range.read || range.write);
        prop_assert_eq!(range.bitmap().len(), range.count.div_ceil(64) as usize, "whole words");
    }
    Ok(())
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let bases =
        prop_oneof![Just(0_u32), Just(0x7f0), Just(0x4000_0000), Just(0xc000_0000), Just(0xc001_0000), Just(0xffff_f000), any::<u32>()];
    let one = (bases, 0_u32..0x200, prop_oneof![4 => 0_u32..4, 2 => 0_u32..0x100, 1 => 0_u32..20000], 0_usize..3, any::<bool>());
    let one = one.prop_map(|(base, offset, length, way, allow)| {
        let first = base.saturating_add(offset);
        rule(first, first.saturating_add(length), ["r", "w", "rw"][way], allow)
    });
    prop::collection::vec(one, 0..14)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_compiled_filter_is_the_filter(rules in rules(), default_allow in any::<bool>()) {
        check(&Filter { default_allow, rules: &rules })?;
    }
}

#[test]
fn every_address_of_a_small_filter() {
    let rules = [
        rule(0x10, 0x10, "r", true),
        rule(0x48, 0x49, "rw", true),
        rule(0x7fe, 0x902, "rw", true),
        rule(0xc000_0080, 0xc000_0084, "rw", true),
    ];
    let filter = Filter { default_allow: false, rules: &rules };
    let compiled = filter.compile().unwrap();
    for address in (0..0x4000).chain(0xc000_0000..0xc000_4000).chain(0xffff_fff0..=u32::MAX) {
        for direction in DIRECTIONS {
            let expected = match address {
                0x10 => direction == Direction::Read,
                0x48..=0x49 | 0x7fe..=0x902 | 0xc000_0080..=0xc000_0084 => true,
                _ => false,
            };
            assert_eq!(compiled.allows(address, direction), expected, "{address:#x} {direction:?}");
        }
    }
    assert!(compiled.ranges().len() <= 4);
}

#[test]
fn trapping_everything_is_one_line() {
    let compiled = Filter::TRAP_ALL.compile().unwrap();
    assert!(compiled.default_deny && compiled.ranges().len() == 1);
    for address in [0, 1, 0x10, 0x7ff, 0x900, 0xc000_0080, u32::MAX] {
        assert!(DIRECTIONS.iter().all(|direction| !compiled.allows(address, *direction)), "{address:#x}");
    }
    assert!(compiled.allows(0x830, Direction::Write), "KVM does not filter the x2APIC");
}

#[test]
fn one_msr_out_of_all_needs_one_range() {
    let rules = [rule(0x3b, 0x3b, "r", false)];
    let compiled = Filter { default_allow: true, rules: &rules }.compile().unwrap();
    assert!(!compiled.default_deny && compiled.ranges().len() == 1);
    assert!(!compiled.allows(0x3b, Direction::Read) && compiled.allows(0x3b, Direction::Write));
}

#[test]
fn everything_but_a_few_is_said_the_other_way_round() {
    // Four thousand million addresses do not fit into sixteen ranges; the three that are left out do.
    let rules = [rule(0x345, 0x345, "rw", false), rule(0xc001_0140, 0xc001_0141, "w", false), rule(0, u32::MAX, "rw", true)];
    let filter = Filter { default_allow: false, rules: &rules };
    let compiled = filter.compile().unwrap();
    assert!(!compiled.default_deny);
    for address in [0, 0x344, 0x345, 0x346, 0xc001_0140, u32::MAX] {
        assert!(DIRECTIONS.iter().all(|direction| compiled.allows(address, *direction) == filter.allows(address, *direction)));
    }
}

#[test]
fn what_kvm_cannot_do_is_an_error_with_a_place() {
    let scattered: Vec<Rule> = (0..20).map(|at| rule(at * 0x10_0000, at * 0x10_0000, "rw", true)).collect();
    let error = Filter { default_allow: false, rules: &scattered }.compile().unwrap_err();
    assert_eq!(error, Conflict::TooManyRanges { covered_to: 16 * 0x10_0000 });
    assert!(error.to_string().contains("0x1000000"), "{error}");
    let x2apic = [rule(0x802, 0x80f, "rw", false)];
    let error = Filter { default_allow: true, rules: &x2apic }.compile().unwrap_err();
    assert_eq!(error, Conflict::X2apic { first: 0x802, last: 0x80f });
}

#[test]
fn unhandled_accesses_go_by_the_first_rule() {
    let unhandled = |first, last, read, write, action| UnhandledRule { first, last, read, write, action };
    let rules = [unhandled(0x10, 0x1f, true, false, Action::Ignore), unhandled(0, 0xff, true, true, Action::Exit)];
    let table = Unhandled { rules: &rules, rest: Action::Fault };
    assert_eq!(table.action(0x10, Direction::Read), Action::Ignore);
    assert_eq!(table.action(0x10, Direction::Write), Action::Exit);
    assert_eq!(table.action(0x100, Direction::Read), Action::Fault);
    let trap_the_rest = Unhandled { rules: &[], rest: Action::Exit };
    assert_eq!(trap_the_rest.action(u32::MAX, Direction::Write), Action::Exit);
}

//! Templates: three states per bit, what makes one a machine, and what they make of a host.

mod samples;

use cpu_dumps::{ApplyError, Bits, Format, Template, detect, read, read_template};
use cpuid_db::{Feature, FeatureSet, Policy, Registers, Unrecorded, Vendor};
use proptest::prelude::*;

fn template(text: &str) -> Template {
    read_template("dir/name.ext", text.as_bytes()).unwrap()
}

#[track_caller]
fn refused(text: &str, message: &str) {
    assert_eq!(read_template("a", text.as_bytes()).unwrap_err().to_string(), message);
}

fn host() -> Policy {
    let mut host = Policy::default();
    host.cpuid.insert(0, 0, Vendor::Intel.leaf_0(7)).unwrap();
    host.cpuid.insert(1, 0, Registers::new(0x506e3, 0, 0xf, 0)).unwrap();
    host.cpuid.insert(7, 0, Registers::new(0, 0b11, 0, 0)).unwrap();
    host.msrs.insert(0x10a, 0b10).unwrap();
    host
}

#[test]
fn a_bitmap_has_three_states_and_missing_digits_are_open() {
    let template = template(samples::FIRECRACKER_TEMPLATE);
    assert_eq!(template.capabilities, ["!56"]);
    let bits: Vec<(u32, Bits)> = template.cpuid.iter().map(|rule| (rule.leaf, rule.bits)).collect();
    assert_eq!(bits, [(1, Bits { filter: 0b110, value: 0b010 }), (7, Bits { filter: 0b101, value: 0b100 })]);
    assert_eq!(template.msrs[0].bits, Bits { filter: 1, value: 1 });
}

#[test]
fn a_template_is_not_a_machine() {
    assert_eq!(detect(samples::FIRECRACKER_TEMPLATE.as_bytes()), Some(Format::FirecrackerTemplate));
    let error = read("a", samples::FIRECRACKER_TEMPLATE.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "a: bits are left open: this is a template, not a machine");
}

#[test]
fn a_template_without_open_bits_is_a_dump() {
    let machine = read("a", samples::FIRECRACKER_DUMP.as_bytes()).unwrap().remove(0);
    assert_eq!(machine.format, Format::FirecrackerTemplate);
    assert_eq!(machine.cpus[0].policy.cpuid.get(0, 0), Some(Vendor::Intel.leaf_0(7)));
    assert!(template(samples::FIRECRACKER_DUMP).is_closed());
}

#[test]
fn a_template_of_which_a_register_is_missing_is_no_dump() {
    let register = ",\n      {\"register\": \"edx\", \"bitmap\": \"0b01001001011001010110111001101001\"}";
    let text = samples::FIRECRACKER_DUMP.replace(register, "");
    assert_ne!(text, samples::FIRECRACKER_DUMP);
    assert!(read("a", text.as_bytes()).unwrap_err().to_string().contains("bits are left open"));
}

#[test]
fn bits_are_compared_with_what_they_leave_open() {
    let open = Bits { filter: 0, value: 0 };
    let zero = Bits { filter: 1, value: 0 };
    assert_ne!(open, zero, "a bit that is left alone is not a bit that is cleared");
    assert_eq!((open.apply(1), zero.apply(1)), (1, 0));
}

#[test]
fn damaged_templates() {
    let text = samples::FIRECRACKER_TEMPLATE;
    let path = "cpuid_modifiers[1].modifiers[0]";
    refused(&text.replace("\"1x0\"", "\"1X0\""), &format!("a:8: {path}.bitmap: expected 0b and up to 32 of 0, 1 and x, found \"1X0\""));
    let long = "x".repeat(33);
    refused(
        &text.replace("\"1x0\"", &format!("\"{long}\"")),
        &format!("a:8: {path}.bitmap: expected 0b and up to 32 of 0, 1 and x, found \"{long}\""),
    );
    refused(&text.replace("\"0x7\"", "\"7\""), "a:7: cpuid_modifiers[1].leaf: expected a string of 0x and up to 8 hex digits, found \"7\"");
    refused(
        &text.replace("msr_modifiers", "reg_modifiers"),
        "a:11: the key \"reg_modifiers\" is not known; did you mean \"msr_modifiers\"?",
    );
    refused(&text.repeat(2), "a: more than 1 template in one file");
    refused(samples::CPUID_R, "a: cpuid -r is no template");
}

#[test]
fn templates_are_written_as_they_were_read() {
    for text in [samples::FIRECRACKER_TEMPLATE, samples::FIRECRACKER_DUMP, samples::CLOUD_HYPERVISOR, samples::CLOUD_HYPERVISOR_MSRS] {
        let template = template(text);
        assert_eq!(self::template(&template.to_string()), template, "{template}");
    }
}

#[test]
fn firecracker_rules_apply_in_order_and_need_their_leaf() {
    let template = template(samples::FIRECRACKER_TEMPLATE);
    let guest = template.apply(&host()).unwrap();
    assert_eq!(guest.cpuid.get(1, 0).unwrap().ecx, 0b1011, "bit 2 is cleared, bit 1 set, the others kept");
    assert_eq!(guest.cpuid.get(7, 0).unwrap().ebx, 0b110);
    assert_eq!(guest.msrs.get(0x10a), Some(0b11));
    let mut poorer = host();
    poorer.cpuid.retain(|entry| entry.leaf != 7);
    assert_eq!(template.apply(&poorer), Err(ApplyError::NoLeaf { leaf: 7, subleaf: 0 }));
}

// Cloud Hypervisor.

#[test]
fn a_profile_that_keeps_nothing_is_a_machine() {
    let machine = read("a", samples::CLOUD_HYPERVISOR.as_bytes()).unwrap().remove(0);
    assert_eq!(machine.format, Format::CloudHypervisorProfile);
    assert_eq!(machine.cpus[0].policy.cpuid.entries().len(), 1, "any ECX is held as subleaf 0");
    let msrs = read("a", samples::CLOUD_HYPERVISOR_MSRS.as_bytes()).unwrap().remove(0);
    assert_eq!(msrs.cpus[0].policy.msrs.get(0x10a), Some(0x2b));
    assert!(msrs.cpus[0].policy.unrecorded.contains(Unrecorded::Cpuid { leaf: 1, subleaf: 0 }));
}

fn profile(rules: &str) -> String {
    format!("{{\"adjustments\": [{rules}]}}")
}

fn rule(leaf: &str, range: (&str, &str), register: &str, (value, mask): (&str, &str)) -> String {
    let (start, end) = range;
    format!(
        r#"[{{"leaf": "{leaf}", "sub_leaf": {{"start": "{start}", "end": "{end}"}}, "register": "{register}"}}, {{"replacements": "{value}", "mask": "{mask}"}}]"#
    )
}

#[test]
fn the_first_rule_that_fits_wins_and_no_rule_is_zero() {
    let rules = [
        rule("0x1", ("0x0", "0x0"), "EAX", ("0x0", "0xffffffff")),
        rule("0x1", ("0x0", "0x0"), "ECX", ("0x10", "0x3")),
        rule("0x1", ("0x0", "0xffffffff"), "ECX", ("0xff", "0x0")),
    ];
    let template = template(&profile(&rules.join(",")));
    let guest = template.apply(&host()).unwrap();
    assert_eq!(guest.cpuid.get(1, 0), Some(Registers::new(0x506e3, 0, 0x13, 0)));
    assert_eq!(guest.cpuid.get(7, 0), Some(Registers::ZERO));
    assert!(read("a", profile(&rules.join(",")).as_bytes()).is_err(), "it keeps bits of the host");
}

#[test]
fn ranges_of_subleaves_are_inclusive_and_bounded() {
    let subleaves = |range: (&str, &str), value: &str| {
        let text = profile(&[rule("0x0", ("0x0", "0x0"), "EAX", ("0x7", "0x0")), rule("0xd", range, "EAX", (value, "0x0"))].join(","));
        read("a", text.as_bytes()).map(|machines| machines[0].cpus[0].policy.cpuid.leaf(0xd).len())
    };
    assert_eq!(subleaves(("0x2", "0x4"), "0x1"), Ok(3));
    assert_eq!(subleaves(("0x0", "0xffffffff"), "0x1"), Ok(1));
    assert_eq!(subleaves(("0x2", "0xffffffff"), "0x0"), Ok(1), "the rest reads zero in any case");
    let error = subleaves(("0x2", "0xffffffff"), "0x1").unwrap_err();
    assert_eq!(error.to_string(), "a: more than 64 subleaves with a value in one rule");
    let error = subleaves(("0x2", "0x1"), "0x1").unwrap_err();
    assert_eq!(error.to_string(), "a:1: adjustments[1][0].sub_leaf: end 1 is out of order");
}

#[test]
fn damaged_profiles() {
    let good = rule("0x1", ("0x0", "0x0"), "EAX", ("0x0", "0x0"));
    refused(&profile("[]"), "a:1: adjustments[0]: replacements is missing");
    refused(&profile(&good.replace("\"leaf\": \"0x1\", ", "")), "a:1: adjustments[0]: leaf is missing");
    refused(
        &profile(&good.replace("\"mask\": \"0x0\"", "\"mask\": \"0x100000000\"")),
        "a:1: adjustments[0]: expected 32 bits, found \"0x100000000\"",
    );
    refused(&profile(&good.replace("EAX", "RAX")), "a:1: adjustments[0][0].register: expected eax, ebx, ecx or edx, found \"RAX\"");
    refused(&profile(r#"["10a", {}]"#), "a:1: adjustments[0][0]: expected 0x and up to 8 hex digits, found \"10a\"");
    refused(&profile(&format!("{}, 7]", good.trim_end_matches(']'))), "a:1: adjustments[0][2]: more than 2 parts of an adjustment");
}

// The smallest template for a host.

#[test]
fn a_difference_has_only_the_bits_that_differ() {
    let mut guest = host();
    guest.cpuid.insert(1, 0, Registers::new(0x506e3, 0, 0b1011, 0)).unwrap();
    guest.msrs.insert(0x10a, 0).unwrap();
    let (template, lost) = Template::difference(&guest, &host()).unwrap();
    assert_eq!(lost, []);
    let text = template.to_string();
    assert_eq!((template.cpuid.len(), template.msrs.len()), (1, 1), "{text}");
    assert!(text.contains("\"leaf\": \"0x1\", \"subleaf\": \"0x0\", \"flags\": 0"), "{text}");
    assert!(text.contains("\"0bxxxxxxxxxxxxxxxxxxxxxxxxxxxxx0xx\""), "{text}");
    assert_eq!(template.apply(&host()), Ok(guest));
    assert_eq!(Template::difference(&host(), &host()).unwrap().0, Template::new(Format::FirecrackerTemplate));
}

#[test]
fn setting_bits_of_an_absent_leaf_is_refused_with_the_reason() {
    let mut guest = host();
    guest.cpuid.insert(0x14, 0, Registers::new(0, 0xf, 0, 0)).unwrap();
    guest.msrs.insert(0xcf, 0x20).unwrap();
    let refused = Template::difference(&guest, &host()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a Firecracker template cannot add what the host does not have: leaf 00000014 subleaf 00 ebx, of which the guest wants 0xf; \
         MSR 000000cf, of which the guest wants 0x20"
    );
}

#[test]
fn clearing_bits_of_an_absent_leaf_is_nothing_to_do() {
    let mut guest = host();
    guest.cpuid.insert(0x14, 0, Registers::ZERO).unwrap();
    assert_eq!(Template::difference(&guest, &host()).unwrap().0.cpuid, []);
    let mut richer = host();
    richer.cpuid.insert(0x14, 0, Registers::new(0, 0xf, 0, 0)).unwrap();
    let (template, _) = Template::difference(&host(), &richer).unwrap();
    assert_eq!(template.apply(&richer).unwrap().cpuid.get(0x14, 0), Some(Registers::ZERO), "the guest does not have what the host has");
}

#[test]
fn what_nobody_knows_is_left_to_the_host_and_listed() {
    let mut guest = host();
    guest.cpuid.insert(7, 0, Registers::new(0, 1 << 5, 0, 0)).unwrap();
    let place = Unrecorded::Cpuid { leaf: 7, subleaf: 0 };
    guest.unrecorded.insert(place).unwrap();
    guest.named = FeatureSet::EMPTY.with(Feature::AVX2).with(Feature::FSGSBASE);
    let (template, lost) = Template::difference(&guest, &host()).unwrap();
    assert_eq!(lost.iter().map(ToString::to_string).collect::<Vec<_>>(), ["that leaf 00000007 subleaf 00 of CPU 0 is not known"]);
    assert_eq!(template.cpuid[0].bits, Bits { filter: 1 << 5 | 1, value: 1 << 5 }, "two bits are known by name");
}

fn policy() -> impl Strategy<Value = Policy> {
    let value = || prop_oneof![Just(0_u32), Just(u32::MAX), any::<u32>()];
    let leaf = (prop_oneof![Just(1_u32), Just(7), Just(0xd), Just(0x8000_0001)], 0_u32..2, [value(), value(), value(), value()]);
    let msrs = proptest::collection::vec((prop_oneof![Just(0x10a_u32), Just(0xcf)], any::<u64>()), 0..3);
    (proptest::collection::vec(leaf, 0..8), msrs).prop_map(|(leaves, msrs)| {
        let mut policy = Policy::default();
        policy.cpuid.insert(0, 0, Vendor::Intel.leaf_0(0xd)).unwrap();
        for (leaf, subleaf, [eax, ebx, ecx, edx]) in leaves {
            policy.cpuid.insert(leaf, subleaf, Registers { eax, ebx, ecx, edx }).unwrap();
        }
        for (index, value) in msrs {
            policy.msrs.insert(index, value).unwrap();
        }
        policy
    })
}

proptest! {
    /// Applied to its host, a difference gives the guest; it is refused only for bits in places that the host does not have.
    #[test]
    fn a_difference_makes_the_guest(guest in policy(), host in policy()) {
        match Template::difference(&guest, &host) {
            Ok((template, lost)) => {
                prop_assert_eq!(&lost, &[]);
                let made = template.apply(&host).unwrap();
                for entry in guest.cpuid.entries().iter().chain(host.cpuid.entries()) {
                    let (leaf, subleaf) = (entry.leaf, entry.subleaf);
                    prop_assert_eq!(made.cpuid.get_or_zero(leaf, subleaf), guest.cpuid.get_or_zero(leaf, subleaf));
                }
                for msr in guest.msrs.entries() {
                    prop_assert_eq!(made.msrs.get(msr.index).unwrap_or(0), msr.value);
                }
                prop_assert_eq!(read_template("a", template.to_string().as_bytes()).unwrap(), template);
            }
            Err(refused) => for wanted in refused.wanted {
                match wanted.place {
                    Unrecorded::Cpuid { leaf, subleaf } => prop_assert_eq!(host.cpuid.get(leaf, subleaf), None),
                    Unrecorded::Msr { index } => prop_assert_eq!(host.msrs.get(index), None),
                }
            },
        }
    }
}

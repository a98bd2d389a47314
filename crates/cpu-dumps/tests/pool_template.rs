//! One Firecracker template for a pool: it names only what every host has, and Firecracker's schema takes it.

#![expect(clippy::large_stack_arrays, reason = "a pool of two or three machines, in a test")]

use cpu_dumps::{AbsentBits, Bits, Lost, Template, read, read_template};
use cpuid_db::{Policy, Register, Registers, Unrecorded, Vendor};
use serde_json::Value;

fn host(leaves: &[(u32, Registers)], msrs: &[(u32, u64)]) -> Policy {
    let mut host = Policy::default();
    host.cpuid.insert(0, 0, Vendor::Intel.leaf_0(0x1d)).unwrap();
    for (leaf, registers) in leaves {
        host.cpuid.insert(*leaf, 0, *registers).unwrap();
    }
    for (index, value) in msrs {
        host.msrs.insert(*index, *value).unwrap();
    }
    host
}

const fn eax(eax: u32) -> Registers {
    Registers::new(eax, 0, 0, 0)
}

#[test]
fn only_bits_in_which_some_host_differs_are_named() {
    let hosts = [host(&[(1, eax(0b011)), (7, eax(1))], &[(0x10a, 0b11)]), host(&[(1, eax(0b110)), (7, eax(1))], &[(0x10a, 0b10)])];
    let guest = host(&[(1, eax(0b010)), (7, eax(1))], &[(0x10a, 0b10)]);
    let (template, lost) = Template::for_pool(&guest, &[&hosts[0], &hosts[1]]).unwrap();
    assert_eq!(lost, []);
    let rules: Vec<(u32, Bits)> = template.cpuid.iter().map(|rule| (rule.leaf, rule.bits)).collect();
    assert_eq!(rules, [(1, Bits { filter: 0b101, value: 0 })]);
    assert_eq!(template.msrs[0].bits, Bits { filter: 1, value: 0 });
    for host in &hosts {
        assert_eq!(template.apply(host).unwrap(), guest, "the same guest on every host");
    }
}

#[test]
fn a_template_that_clears_a_bit_on_an_absent_leaf_exports_without_touching_that_leaf() {
    // The AMX leaf: one host has it, the other does not, and the guest is to have none of it.
    let hosts = [host(&[(0x1d, eax(1)), (0x14, eax(2))], &[]), host(&[(0x14, eax(3))], &[])];
    let guest = host(&[(0x1d, eax(0)), (0x14, eax(2))], &[]);
    let (template, lost) = Template::for_pool(&guest, &[&hosts[0], &hosts[1]]).unwrap();
    assert_eq!(template.cpuid.iter().map(|rule| rule.leaf).collect::<Vec<_>>(), [0x14]);
    assert!(!template.to_string().contains("0x1d"), "{template}");
    let left = AbsentBits { place: Unrecorded::Cpuid { leaf: 0x1d, subleaf: 0 }, register: Some(Register::Eax), bits: 1 };
    assert_eq!(lost, [Lost::Left(left)], "one host still shows it, and that is said");
    assert_eq!(lost[0].to_string(), "that the guest does not have bits 0x1 of leaf 0000001d subleaf 00 eax: some hosts lack the place");
    for host in &hosts {
        assert!(template.apply(host).is_ok(), "no host refuses the template");
    }
}

#[test]
fn a_leaf_beyond_the_guests_range_is_nothing_to_clear() {
    let hosts = [host(&[(0x1d, eax(1))], &[]), host(&[], &[])];
    let mut guest = host(&[], &[]);
    guest.cpuid.insert(0, 0, Vendor::Intel.leaf_0(0x16)).unwrap();
    let (template, lost) = Template::for_pool(&guest, &[&hosts[0], &hosts[1]]).unwrap();
    assert_eq!((template.cpuid.len(), lost), (1, Vec::new()), "leaf 0 alone");
}

#[test]
fn what_a_host_lacks_cannot_be_given() {
    let hosts = [host(&[(0x14, eax(1))], &[(0xcf, 1)]), host(&[], &[])];
    let guest = host(&[(0x14, eax(1))], &[(0xcf, 1)]);
    let refused = Template::for_pool(&guest, &[&hosts[0], &hosts[1]]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a Firecracker template cannot add what the host does not have: leaf 00000014 subleaf 00 eax, of which the guest wants 0x1; \
         MSR 000000cf, of which the guest wants 0x1"
    );
}

#[test]
fn bits_that_nobody_knows_on_some_host_are_left_alone() {
    let mut hosts = [host(&[(7, eax(1))], &[]), host(&[(7, eax(3))], &[])];
    let place = Unrecorded::Cpuid { leaf: 7, subleaf: 0 };
    hosts[1].unrecorded.insert(place).unwrap();
    let (template, lost) = Template::for_pool(&host(&[(7, eax(0))], &[]), &[&hosts[0], &hosts[1]]).unwrap();
    assert_eq!((template.cpuid.len(), lost), (0, vec![Lost::Unrecorded { cpu: 0, place }]));
}

#[test]
fn a_pool_of_one_is_the_difference_to_that_host() {
    let (one, guest) = (host(&[(1, eax(7)), (0x1d, eax(1))], &[(0x10a, 3)]), host(&[(1, eax(5))], &[(0x10a, 1)]));
    assert_eq!(Template::for_pool(&guest, &[&one]).unwrap(), Template::difference(&guest, &one).unwrap());
}

/// The rules of Firecracker's parser for templates of x86: which keys there are, how numbers and bitmaps are spelt.
fn check_schema(text: &str) {
    let template: Value = serde_json::from_str(text).unwrap();
    keys(&template, &["cpuid_modifiers", "msr_modifiers"], &["kvm_capabilities"]);
    for leaf in template["cpuid_modifiers"].as_array().unwrap() {
        keys(leaf, &["flags", "leaf", "modifiers", "subleaf"], &[]);
        number(&leaf["leaf"], 32);
        number(&leaf["subleaf"], 32);
        assert!(leaf["flags"].as_u64().is_some_and(|flags| flags <= 7), "{leaf}");
        for modifier in leaf["modifiers"].as_array().unwrap() {
            keys(modifier, &["bitmap", "register"], &[]);
            assert!(matches!(modifier["register"].as_str(), Some("eax" | "ebx" | "ecx" | "edx")), "{modifier}");
            bitmap(&modifier["bitmap"], 32);
        }
    }
    for msr in template["msr_modifiers"].as_array().unwrap() {
        keys(msr, &["addr", "bitmap"], &[]);
        number(&msr["addr"], 32);
        bitmap(&msr["bitmap"], 64);
    }
}

fn keys(object: &Value, required: &[&str], optional: &[&str]) {
    let object = object.as_object().unwrap();
    assert!(required.iter().all(|key| object.contains_key(*key)), "{object:?}");
    assert!(object.keys().all(|key| required.contains(&key.as_str()) || optional.contains(&key.as_str())), "{object:?}");
}

/// A string of `0x` and hexadecimal or `0b` and binary digits; decimal numbers are refused.
fn number(value: &Value, bits: u32) {
    let text = value.as_str().unwrap();
    let (digits, radix) = text.strip_prefix("0x").map_or_else(|| (text.strip_prefix("0b").unwrap(), 2), |digits| (digits, 16));
    let number = u64::from_str_radix(digits, radix).unwrap();
    assert!(bits == 64 || number >> bits == 0, "{text}");
}

/// Up to so many of `0`, `1` and a small `x`, after an optional `0b`.
fn bitmap(value: &Value, bits: usize) {
    let text = value.as_str().unwrap();
    let digits = text.strip_prefix("0b").unwrap_or(text).replace('_', "");
    assert!(!digits.is_empty() && digits.len() <= bits && digits.chars().all(|digit| matches!(digit, '0' | '1' | 'x')), "{text}");
}

/// Real hosts of one family, the baseline by AND: the template is taken by the schema and by every host.
#[test]
fn a_template_for_real_hosts_is_one_that_firecracker_takes() {
    let machine = |name: &str| {
        let path = format!("{}/../../testdata/hosts/{name}.json", env!("CARGO_MANIFEST_DIR"));
        read(&path, &std::fs::read(&path).unwrap()).unwrap().remove(0).cpus.remove(0).policy
    };
    let hosts = [machine("intel-cascadelake-8268"), machine("intel-icelake-gold-6330"), machine("intel-skylake-e3-1245v5")];
    let hosts: Vec<&Policy> = hosts.iter().collect();
    let mut guest = hosts[2].clone();
    for feature in &guest.features() {
        if !hosts.iter().all(|host| host.features().contains(feature)) {
            guest.set_feature(feature, false).unwrap();
        }
    }
    // What not all hosts have: other leaves and MSRs.
    guest.cpuid.retain(|entry| hosts.iter().all(|host| host.cpuid.get(entry.leaf, entry.subleaf).is_some()));
    let template = Template::for_pool(&guest, &hosts).unwrap().0;
    assert!(!template.cpuid.is_empty());
    check_schema(&template.to_string());
    assert_eq!(read_template("again", template.to_string().as_bytes()).unwrap(), template);
    for host in hosts {
        for rule in &template.cpuid {
            assert!(host.cpuid.get(rule.leaf, rule.first).is_some(), "{rule:x?}");
        }
        let made = template.apply(host).unwrap();
        for feature in &guest.features() {
            assert!(made.features().contains(feature), "{feature}");
        }
    }
}

//! Each merge rule on the smallest pool that shows it. Expected values follow from the rule's definition and the manuals' facts
//! about the bit, not from the tables.

mod common;

use common::{Ceiling, amd, baseline, components, feature, has, intel, pool, value, why};
use cpu_caps::{Outcome, Refusal, Request, finish};
use cpuid_db::{Feature, FeatureSet, Field, Registers, Unrecorded};

const LONG_MODE: [&str; 14] = ["FPU", "TSC", "MSR", "PAE", "CX8", "APIC", "SEP", "PGE", "CMOV", "FXSR", "SSE", "SSE2", "LM", "SYSCALL"];

fn plus(extra: &[&'static str]) -> Vec<&'static str> {
    LONG_MODE.iter().chain(extra).copied().collect()
}

#[test]
fn and_needs_every_host() {
    let with = intel(&plus(&["PCLMULQDQ", "POPCNT"]));
    let without = intel(&plus(&["POPCNT"]));
    let result = baseline(&[&with, &without, &without], Ceiling::Raw).unwrap();
    assert!(has(&result, "POPCNT"));
    assert!(!has(&result, "PCLMULQDQ"));
    assert_eq!(why(&result, "PCLMULQDQ"), (Outcome::Withheld, "missing-on-host", 2));
    assert_eq!(result.decisions.feature(Feature::PCLMULQDQ).witness, Some(1));
    assert_eq!(why(&result, "POPCNT"), (Outcome::Granted, "all-hosts", 3));
}

#[test]
fn limitations_are_announced_if_any_host_has_them() {
    for (bit, host) in [
        ("CPUID.7.0.EBX[6]", intel as fn(&[&str]) -> _),
        ("CPUID.7.0.EBX[13]", intel),
        ("CPUID.80000008.EBX[20]", amd),
        ("CPUID.80000021.EAX[1]", amd),
        ("CPUID.7.0.EDX[10]", intel),
    ] {
        let limited = host(&plus(&[bit]));
        let free = host(&plus(&[]));
        for ceiling in [Ceiling::Raw, Ceiling::Kvm] {
            let result = baseline(&[&free, &limited], ceiling).unwrap();
            assert!(has(&result, bit), "{bit} is announced");
            assert_eq!(why(&result, bit), (Outcome::Raised, "limitation", 1), "{bit}");
        }
        let result = baseline(&[&limited, &limited], Ceiling::Kvm).unwrap();
        assert_eq!(why(&result, bit), (Outcome::Granted, "limitation", 2), "{bit}");
        let result = baseline(&[&free, &free], Ceiling::Kvm).unwrap();
        assert!(!has(&result, bit));
    }
}

#[test]
fn a_raised_bit_creates_its_leaf_and_lifts_the_maximum() {
    let mut old = amd(&plus(&[]));
    old.cpuid.insert(0x8000_0000, 0, Registers::new(0x8000_0020, 0, 0, 0)).unwrap();
    let new = amd(&plus(&["WRMSR_XX_BASE_NS"]));
    let result = baseline(&[&old, &new], Ceiling::Kvm).unwrap();
    assert!(result.policy.cpuid.max_leaf(0x8000_0000) >= Some(0x8000_0021));
    assert_eq!(result.policy.cpuid.get_or_zero(0x8000_0021, 0).eax & 2, 2);
}

#[test]
fn an_innate_limitation_is_not_hidden_unless_forced() {
    let host = intel(&plus(&["ZERO_FCS_FDS"]));
    let pool = pool(&[&host], Ceiling::Kvm);
    let without = FeatureSet::EMPTY.with(Feature::ZERO_FCS_FDS);
    let request = Request { without, ..Request::default() };
    assert_eq!(finish(&pool, &request).unwrap_err(), Refusal::Innate { feature: Feature::ZERO_FCS_FDS, all: without });
    let forced = finish(&pool, &Request { force: true, ..request }).unwrap();
    assert!(!has(&forced, "ZERO_FCS_FDS"));
}

#[test]
fn kvm_withholds_what_it_never_gives_and_says_so() {
    let host = intel(&plus(&["MONITOR", "DS", "ACPI", "TM", "EIST", "DTS", "POPCNT"]));
    let result = baseline(&[&host, &host], Ceiling::Kvm).unwrap();
    for word in ["MONITOR", "DS", "linux:ACPI", "TM", "EIST", "CPUID.6.0.EAX[0]"] {
        assert!(!has(&result, word), "{word}");
        assert_eq!(why(&result, word), (Outcome::Withheld, "not-in-kvm", 2), "{word}");
    }
    assert!(has(&result, "POPCNT"));
    let raw = baseline(&[&host, &host], Ceiling::Raw).unwrap();
    assert!(has(&raw, "MONITOR") && has(&raw, "DS"));
}

#[test]
fn kvm_gives_what_it_emulates_everywhere() {
    let host = intel(&LONG_MODE);
    let result = baseline(&[&host], Ceiling::Kvm).unwrap();
    for word in ["X2APIC", "TSC_DEADLINE", "HYPERVISOR", "TSC_ADJUST", "ARAT"] {
        assert!(has(&result, word), "{word}");
        assert_eq!(why(&result, word).1, "fixed", "{word}");
    }
    assert!(has(&result, "ARCH_CAPABILITIES"));
    let result = baseline(&[&amd(&LONG_MODE)], Ceiling::Kvm).unwrap();
    assert!(!has(&result, "ARCH_CAPABILITIES"), "an Intel promise is not offered to AMD guests, though KVM would give it");
    assert_eq!(why(&result, "ARCH_CAPABILITIES").1, "context");
    assert!(has(&result, "NO_SMM_CTL_MSR"));
}

#[test]
fn emulated_instructions_are_given_on_request_only() {
    let host = intel(&plus(&["RDTSCP"]));
    let pool = pool(&[&host], Ceiling::Kvm);
    let plain = finish(&pool, &Request::default()).unwrap();
    assert!(!has(&plain, "MOVBE") && !has(&plain, "RDPID"));
    let with: FeatureSet = [Feature::MOVBE, Feature::RDPID].into_iter().collect();
    let asked = finish(&pool, &Request { with, ..Request::default() }).unwrap();
    assert!(has(&asked, "MOVBE") && has(&asked, "RDPID"));
    assert_eq!(why(&asked, "RDPID").1, "emulated");
    let no_rdtscp = common::pool(&[&intel(&LONG_MODE)], Ceiling::Kvm);
    let request = Request { with: FeatureSet::EMPTY.with(Feature::RDPID), ..Request::default() };
    assert!(matches!(finish(&no_rdtscp, &request), Err(Refusal::Impossible { feature: Feature::RDPID, .. })));
}

#[test]
fn what_loses_its_prerequisite_goes_too() {
    let mut host = intel(&plus(&["SSE3", "SSSE3", "SSE4_1", "SSE4_2", "XSAVE", "AVX", "AVX2", "FMA", "XCR0_X87", "XCR0_SSE", "XCR0_AVX"]));
    components(&mut host, &[(2, 256, 576)]);
    let pool = pool(&[&host], Ceiling::Raw);
    assert!(has(&finish(&pool, &Request::default()).unwrap(), "AVX2"));
    let without = FeatureSet::EMPTY.with(Feature::XSAVE);
    let result = finish(&pool, &Request { without, ..Request::default() }).unwrap();
    for word in ["AVX", "AVX2", "FMA", "XCR0_AVX", "XCR0_X87"] {
        assert!(!has(&result, word), "{word} cannot be without XSAVE");
        assert_eq!(why(&result, word).1, "requires", "{word}");
    }
    assert_eq!(result.policy.cpuid.leaf(0xd), [], "nothing of leaf 0DH is left");
    assert!(has(&result, "SSE4_2"));
}

#[test]
fn a_component_with_two_layouts_is_withheld_with_its_instructions() {
    let features = plus(&["XSAVE", "PKU", "XCR0_X87", "XCR0_SSE", "XCR0_PKRU"]);
    let (mut a, mut b) = (amd(&features), amd(&features));
    components(&mut a, &[(9, 8, 832)]);
    components(&mut b, &[(9, 8, 2432)]);
    let result = baseline(&[&a, &b], Ceiling::Raw).unwrap();
    assert!(!has(&result, "XCR0_PKRU") && !has(&result, "PKU"));
    assert_eq!(why(&result, "XCR0_PKRU").1, "conflict");
    assert_eq!(why(&result, "PKU").1, "requires");
    let same = baseline(&[&a, &a], Ceiling::Raw).unwrap();
    assert!(has(&same, "PKU"));
    assert_eq!(same.policy.cpuid.get_or_zero(0xd, 0).ecx, 840, "0DH.0.ECX is recomputed: 832 + 8");
}

#[test]
fn a_conflict_on_what_no_guest_gets_refuses_nobody() {
    let with_pku = plus(&["XSAVE", "PKU", "XCR0_X87", "XCR0_SSE", "XCR0_PKRU"]);
    let (mut a, mut b, c) = (amd(&with_pku), amd(&with_pku), amd(&plus(&["XSAVE", "XCR0_X87", "XCR0_SSE"])));
    components(&mut a, &[(9, 8, 832)]);
    components(&mut b, &[(9, 8, 2432)]);
    let result = baseline(&[&a, &b, &c], Ceiling::Raw).unwrap();
    assert_eq!(why(&result, "XCR0_PKRU"), (Outcome::Withheld, "missing-on-host", 1));
}

#[test]
fn unrecorded_bits_are_withheld_or_undecided() {
    let mut blind = intel(&plus(&["ARCH_CAPABILITIES"]));
    blind.unrecorded.insert(Unrecorded::Msr { index: 0x10a }).unwrap();
    blind.unrecorded.insert(Unrecorded::Cpuid { leaf: 7, subleaf: 1 }).unwrap();
    let result = baseline(&[&blind], Ceiling::Kvm).unwrap();
    assert_eq!(why(&result, "AVX_VNNI"), (Outcome::Withheld, "unrecorded", 1));
    assert_eq!(why(&result, "RDCL_NO"), (Outcome::Withheld, "unrecorded", 1));
    assert_eq!(why(&result, "FB_CLEAR"), (Outcome::Undecided, "unrecorded", 1));
    assert_eq!(why(&result, "RSBA"), (Outcome::Undecided, "unrecorded", 1));
    let mut scrubs = intel(&plus(&["ARCH_CAPABILITIES"]));
    scrubs.msrs.insert(0x10a, 1 << 17).unwrap();
    let result = baseline(&[&blind, &scrubs], Ceiling::Kvm).unwrap();
    assert_eq!(why(&result, "FB_CLEAR"), (Outcome::Raised, "limitation", 1), "one host that needs scrubbing decides it");
}

#[test]
fn rsba_follows_the_ibrs_that_the_guest_sees() {
    let host = |value: u64| {
        let mut host = intel(&plus(&["ARCH_CAPABILITIES", "SPEC_CTRL"]));
        host.msrs.insert(0x10a, value).unwrap();
        host
    };
    // ARCH_CAPABILITIES: bit 1 IBRS_ALL, bit 2 RSBA, bit 19 RRSBA.
    for (a, b, rsba, rrsba) in [
        (0b010, 1 << 19 | 0b010, false, true),
        (0b000, 1 << 19 | 0b010, true, false),
        (0b100, 0b000, true, false),
        (0b100, 0b010, true, false),
        (0b010, 0b010, false, false),
    ] {
        let result = baseline(&[&host(a), &host(b)], Ceiling::Kvm).unwrap();
        assert_eq!((has(&result, "RSBA"), has(&result, "RRSBA")), (rsba, rrsba), "{a:#x} with {b:#x}");
    }
}

#[test]
fn numbers_take_the_smaller() {
    let (mut a, mut b) = (intel(&LONG_MODE), intel(&LONG_MODE));
    a.cpuid.insert(0x8000_0008, 0, Registers::new(0x302e, 0, 0, 0)).unwrap();
    b.cpuid.insert(0x8000_0008, 0, Registers::new(0x3027, 0, 0, 0)).unwrap();
    let result = baseline(&[&a, &b], Ceiling::Kvm).unwrap();
    assert_eq!(value(&result, Field::PHYS_ADDR_BITS), 0x27);
    assert_eq!(value(&result, Field::VIRT_ADDR_BITS), 0x30);
}

#[test]
fn clflush_size_must_agree() {
    let (a, mut b) = (intel(&plus(&["CLFSH"])), intel(&plus(&["CLFSH"])));
    let mut leaf = b.cpuid.get_or_zero(1, 0);
    leaf.ebx = 0x1000;
    b.cpuid.insert(1, 0, leaf).unwrap();
    match baseline(&[&a, &b], Ceiling::Raw) {
        Err(Refusal::Field { at, low, high }) => {
            assert_eq!((at.field, low, high), (Field::CLFLUSH_SIZE, (8, Some(0)), (16, Some(1))));
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn an_equal_field_keeps_its_value_whatever_the_identity() {
    let old = common::cpu("GenuineIntel", 0x3_06f2, &plus(&["CLFSH"]));
    let new = common::cpu("GenuineIntel", 0x5_0654, &plus(&["CLFSH"]));
    let result = baseline(&[&old, &new], Ceiling::Kvm).unwrap();
    assert_eq!(value(&result, Field::CLFLUSH_SIZE), 8);
    assert_eq!(result.policy.cpuid.get_or_zero(1, 0).ebx, 0x0800);
}

#[test]
fn a_machine_counts_once_however_many_kinds_of_core_it_has() {
    let narrow = |width: u32| {
        let mut host = intel(&LONG_MODE);
        host.cpuid.insert(0x8000_0008, 0, Registers::new(0x3000 | width, 0, 0, 0)).unwrap();
        host
    };
    let views = [cpu_caps::View::of(&narrow(39)), cpu_caps::View::of(&narrow(39))];
    let cores = views.each_ref().map(|view| cpu_caps::Core { identity: cpu_caps::Identity::of(&narrow(39)), raw: view, ceiling: view });
    let mut pool: Box<cpu_caps::Pool> = Box::default();
    pool.add(&cpu_caps::Machine { id: 0, cores: &cores });
    common::add(&mut pool, 1, &narrow(46), Ceiling::Raw);
    let result = finish(&pool, &Request::default()).unwrap();
    let at = cpuid_db::FieldAt { field: Field::PHYS_ADDR_BITS, subleaf: 0 };
    let decision = result.decisions.field(at).unwrap();
    assert_eq!((decision.outcome, decision.value, decision.count), (Outcome::Lowered, 39, 1));
}

/// SDM vol. 2A, CPUID: 80000001H.EDX[11] reads 0 outside 64-bit mode on Intel CPUs, so a 32-bit dump tool does not see SYSCALL.
#[test]
fn a_dump_by_a_32_bit_program_does_not_cost_syscall() {
    let native: Vec<&str> = LONG_MODE.to_vec();
    let narrow: Vec<&str> = LONG_MODE.iter().copied().filter(|name| *name != "SYSCALL").collect();
    let result = baseline(&[&intel(&native), &intel(&narrow)], Ceiling::Kvm).unwrap();
    assert!(has(&result, "SYSCALL"));
    let result = baseline(&[&amd(&native), &amd(&narrow)], Ceiling::Kvm).unwrap();
    assert!(!has(&result, "SYSCALL"), "AMD CPUs report it in every mode");
    let no_long_mode: Vec<&str> = narrow.iter().copied().filter(|name| *name != "LM").collect();
    assert!(!has(&baseline(&[&intel(&no_long_mode)], Ceiling::Kvm).unwrap(), "SYSCALL"));
}

#[test]
fn identity_is_a_declared_choice() {
    let old = common::cpu("GenuineIntel", 0x3_06f2, &LONG_MODE);
    let new = common::cpu("GenuineIntel", 0x5_0654, &LONG_MODE);
    for order in [[&old, &new], [&new, &old]] {
        let result = baseline(&order, Ceiling::Kvm).unwrap();
        assert_eq!(result.policy.signature().0, 0x3_06f2, "the oldest model, whatever the order");
        assert!(result.identity_chosen);
    }
}

#[test]
fn vendors_are_mixed_only_on_request() {
    let (a, b) = (intel(&LONG_MODE), amd(&LONG_MODE));
    let pool = pool(&[&a, &b], Ceiling::Kvm);
    assert!(matches!(finish(&pool, &Request::default()), Err(Refusal::Vendors(..))));
    let mixed = finish(&pool, &Request { any_vendor: true, ..Request::default() }).unwrap();
    assert!(has(&mixed, "LM"));
    assert_eq!(mixed.policy.vendor(), cpuid_db::Vendor::Amd);
}

#[test]
fn an_empty_pool_is_refused() {
    let pool: Box<cpu_caps::Pool> = Box::default();
    assert_eq!(finish(&pool, &Request::default()).unwrap_err(), Refusal::Empty);
}

#[test]
fn invariant_tsc_needs_one_product_or_one_frequency() {
    let named = |name: &[u8; 16], crystal: u32| {
        let mut host = intel(&plus(&["INVARIANT_TSC"]));
        host.cpuid.insert(0x8000_0000, 0, Registers::new(0x8000_0008, 0, 0, 0)).unwrap();
        let word = |at: usize| u32::from_le_bytes(name[at..at + 4].try_into().unwrap());
        host.cpuid.insert(0x8000_0002, 0, Registers::new(word(0), word(4), word(8), word(12))).unwrap();
        host.cpuid.insert(0x15, 0, Registers::new(2, 200, crystal, 0)).unwrap();
        host
    };
    let (a, b, c) = (named(b"Xeon A @ 2.00GHz", 0), named(b"Xeon B @ 2.50GHz", 0), named(b"Xeon C @ 2.50GHz", 0));
    assert!(has(&baseline(&[&a, &a], Ceiling::Kvm).unwrap(), "INVARIANT_TSC"));
    let mixed = baseline(&[&a, &b, &c], Ceiling::Kvm).unwrap();
    assert_eq!(why(&mixed, "INVARIANT_TSC").1, "context");
    let with = FeatureSet::EMPTY.with(Feature::INVARIANT_TSC);
    let asked = finish(&pool(&[&a, &b], Ceiling::Kvm), &Request { with, ..Request::default() }).unwrap();
    assert!(has(&asked, "INVARIANT_TSC"), "the operator knows that every host scales");
}

#[test]
fn amd_copies_of_leaf_1_follow_leaf_1() {
    let host = amd(&plus(&["FPU_ALIAS", "TSC_ALIAS", "MMX_ALIAS"]));
    let result = baseline(&[&host], Ceiling::Kvm).unwrap();
    let (leaf_1, leaf_81) = (result.policy.cpuid.get_or_zero(1, 0).edx, result.policy.cpuid.get_or_zero(0x8000_0001, 0).edx);
    let copied = 0x0183_f3ff;
    assert_eq!(leaf_1 & copied, leaf_81 & copied);
}

#[test]
fn stibp_without_ibrs_is_kept() {
    let host = amd(&plus(&["AMD_IBPB", "AMD_STIBP"]));
    let result = baseline(&[&host], Ceiling::Kvm).unwrap();
    assert!(has(&result, "AMD_STIBP") && has(&result, "AMD_IBPB") && !has(&result, "AMD_IBRS"));
}

#[test]
fn live_bits_have_a_static_value_whatever_the_dump_says() {
    let host = intel(&plus(&["XSAVE", "XCR0_X87", "XCR0_SSE", "OSXSAVE"]));
    let result = baseline(&[&host], Ceiling::Raw).unwrap();
    assert!(!has(&result, "OSXSAVE") && has(&result, "APIC"));
    assert_eq!(why(&result, "OSXSAVE"), (Outcome::Chosen, "live", 0));
    assert_eq!(result.policy.cpuid.get_or_zero(0xd, 0).ebx, 0x240);
    let _ = feature("OSPKE");
}

/// The place of a bit in leaf 0DH is the number of its component in XCR0 or IA32_XSS.
#[test]
fn components_are_where_their_numbers_are() {
    for feature in &FeatureSet::COMPONENTS {
        let cpuid_db::Location::Cpuid { leaf: 0xd, register, bit, .. } = feature.location() else { panic!("{feature} is elsewhere") };
        let number = if register == cpuid_db::Register::Edx { bit + 32 } else { bit };
        let gates = [cpuid_db::Gate::Xcr0(number), cpuid_db::Gate::Xss(number)];
        assert!(feature.row().gates.iter().any(|gate| gates.contains(gate)), "{feature}");
    }
}

#[test]
fn a_baseline_resolved_in_the_place_of_another_is_as_new() {
    let wide = intel(&plus(&["POPCNT", "ARCH_CAPABILITIES", "FB_CLEAR", "RDCL_NO"]));
    let narrow = amd(&LONG_MODE);
    let mut place = Box::new(cpu_caps::Baseline::new());
    let mut reused = pool(&[&wide, &intel(&LONG_MODE)], Ceiling::Raw);
    for host in [&wide, &narrow, &wide] {
        place.resolve(&reused, &Request::default()).unwrap();
        reused.clear();
        common::add(&mut reused, 7, host, Ceiling::Kvm);
        let mut fresh: Box<cpu_caps::Pool> = Box::default();
        common::add(&mut fresh, 7, host, Ceiling::Kvm);
        assert!(*reused == *fresh, "a cleared pool is as new");
        place.resolve(&reused, &Request::default()).unwrap();
        assert!(*place == finish(&fresh, &Request::default()).unwrap());
    }
}

#[test]
fn amx_that_is_withheld_takes_its_state_and_its_leaves_along() {
    // SDM vol. 1, 18: tiles live in XCR0 components 17 and 18; leaf 1DH describes palettes, 1EH the multiplier.
    let base = ["FPU", "MSR", "PAE", "FXSR", "SSE", "SSE2", "LM", "XSAVE", "XSAVEC", "XCR0_X87", "XCR0_SSE", "XFD"];
    let amx = ["AMX_TILE", "AMX_INT8", "AMX_BF16", "XCR0_TILECFG", "XCR0_TILEDATA"];
    let mut host = intel(&[&base[..], &amx].concat());
    components(&mut host, &[(17, 64, 2752), (18, 8192, 2816)]);
    host.cpuid.insert(0x1d, 0, Registers::new(1, 0, 0, 0)).unwrap();
    host.cpuid.insert(0x1d, 1, Registers::new(0x0400_2000, 0x0008_0040, 0x10, 0)).unwrap();
    host.cpuid.insert(0x1e, 0, Registers::new(0, 0x4010, 0, 0)).unwrap();
    let with = baseline(&[&host], Ceiling::Raw).unwrap();
    assert_eq!(with.policy.cpuid.get_or_zero(0xd, 0).eax >> 17 & 3, 3);
    assert!(with.policy.cpuid.get(0x1d, 1).is_some() && with.policy.cpuid.get(0x1e, 0).is_some());
    let request = Request { without: [feature("AMX_TILE")].into_iter().collect(), ..Request::default() };
    let without = finish(&pool(&[&host], Ceiling::Raw), &request).unwrap();
    assert_eq!(without.policy.cpuid.get_or_zero(0xd, 0).eax >> 17 & 3, 0, "XCR0 bits");
    for (leaf, subleaf) in [(0xd, 17), (0xd, 18), (0x1d, 0), (0x1d, 1), (0x1e, 0)] {
        assert!(without.policy.cpuid.get_or_zero(leaf, subleaf).is_zero(), "{leaf:#x}.{subleaf}");
    }
    assert!(!has(&without, "AMX_INT8") && !has(&without, "AMX_BF16"));
}

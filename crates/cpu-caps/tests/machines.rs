//! Pools of real machines (testdata/hosts): what the project promises, by name.
//! Expected values are facts of the recorded registers, quoted by register so that they can be checked in the dump.

mod common;

use common::{Ceiling, add, baseline, has, value, why};
use cpu_caps::{Baseline, Outcome, Pool, Refusal, Request, finish};
use cpuid_db::{Feature, FeatureSet, Field, Policy};

/// Every recorded core type of a machine of testdata/hosts.
fn cores(name: &str) -> Vec<Policy> {
    let path = format!("{}/../../testdata/hosts/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let machine = cpu_dumps::read(&path, &bytes).unwrap().remove(0);
    machine.cpus.into_iter().map(|cpu| cpu.policy).collect()
}

fn host(name: &str) -> Policy {
    cores(name).remove(0)
}

#[expect(clippy::result_large_err, reason = "a refusal stands beside a much larger baseline")]
fn pool_of(names: &[&str]) -> Result<Baseline, Refusal> {
    let hosts: Vec<Policy> = names.iter().map(|name| host(name)).collect();
    baseline(&hosts.iter().collect::<Vec<_>>(), Ceiling::Kvm)
}

fn register(baseline: &Baseline, leaf: u32, subleaf: u32) -> cpuid_db::Registers {
    baseline.policy.cpuid.get_or_zero(leaf, subleaf)
}

const SERVERS: [&str; 4] = ["intel-cascadelake-8268", "intel-cascadelake-gold-6212u", "intel-icelake-gold-6330", "intel-icelake-8351n"];

#[test]
fn mpx_goes_together_with_its_xcr0_bits() {
    assert_eq!(host(SERVERS[0]).cpuid.get_or_zero(7, 0).ebx >> 14 & 1, 1, "Cascade Lake has MPX");
    assert_eq!(host(SERVERS[2]).cpuid.get_or_zero(7, 0).ebx >> 14 & 1, 0, "Ice Lake has not");
    let result = pool_of(&SERVERS).unwrap();
    assert!(!has(&result, "MPX"));
    assert_eq!(register(&result, 0xd, 0).eax & 0b11000, 0, "XCR0 bits 3 and 4");
    assert!(result.policy.cpuid.get(0xd, 3).is_none() && result.policy.cpuid.get(0xd, 4).is_none());
    assert_eq!(why(&result, "MPX").1, "missing-on-host");
    assert_eq!(register(&result, 0xd, 0).eax & 0xe7, 0xe7, "x87, SSE, AVX and AVX-512 state stay");
}

#[test]
fn x87_removals_are_announced_for_the_whole_pool() {
    // 7.0.EBX as recorded: Ivy Bridge 00000281 (neither), Haswell 000037ab (13), Cascade Lake d39ffffb (6 and 13).
    let result = pool_of(&["intel-ivybridge-e3-1230v2", "intel-haswell-e5-2660v3", "intel-cascadelake-8268"]).unwrap();
    let ebx = register(&result, 7, 0).ebx;
    assert_eq!((ebx >> 6 & 1, ebx >> 13 & 1), (1, 1));
    assert_eq!(why(&result, "ZERO_FCS_FDS").0, Outcome::Raised);
}

#[test]
fn leaf_7_subleaves_go_when_one_host_has_none() {
    let names = ["intel-alderlake-12900h", "intel-arrowlake-285h"];
    let newer = pool_of(&names).unwrap();
    assert!(register(&newer, 7, 1).eax != 0 && value(&newer, Field::LEAF7_MAX_SUBLEAF) >= 1);
    let older = pool_of(&[names[0], names[1], "intel-icelake-gold-6330"]).unwrap();
    assert_eq!(value(&older, Field::LEAF7_MAX_SUBLEAF), 0);
    assert!(older.policy.cpuid.get(7, 1).is_none());
    assert_eq!(why(&older, "AVX_VNNI").1, "missing-on-host");
}

#[test]
fn host_management_bits_are_withheld_by_kvm() {
    let result = pool_of(&SERVERS).unwrap();
    for word in ["MONITOR", "DS_CPL", "TM", "TM2", "EIST", "linux:ACPI", "CPUID.6.0.EAX[0]", "CPUID.6.0.EAX[6]"] {
        assert_eq!(why(&result, word), (Outcome::Withheld, "not-in-kvm", 4), "{word}");
    }
    // PEBS works with EPT on the two Ice Lakes.
    for word in ["DS", "DTES64"] {
        assert_eq!(why(&result, word), (Outcome::Withheld, "not-in-kvm", 2), "{word}");
    }
}

#[test]
fn zen_2_with_newer_zen_gets_leaf_80000021() {
    assert!(host("amd-zen2-4800h").cpuid.max_leaf(0x8000_0000) < Some(0x8000_0021));
    for newer in ["amd-zen4-z1", "amd-zen5-9950x"] {
        assert_eq!(host(newer).cpuid.get_or_zero(0x8000_0021, 0).eax >> 1 & 1, 1, "{newer} has EAX[1]");
        for order in [["amd-zen2-4800h", newer], [newer, "amd-zen2-4800h"]] {
            let result = pool_of(&order).unwrap();
            assert_eq!(register(&result, 0x8000_0021, 0).eax >> 1 & 1, 1);
            assert!(register(&result, 0x8000_0000, 0).eax >= 0x8000_0021);
            assert_eq!(why(&result, "WRMSR_XX_BASE_NS"), (Outcome::Raised, "limitation", 1));
        }
    }
}

#[test]
fn different_steppings_brands_and_crystals_mix_without_refusal() {
    let names = [
        "intel-cascadelake-8268",
        "intel-cascadelake-9242",
        "intel-cascadelake-gold-6212u",
        "intel-skylake-e3-1245v5",
        "intel-icelake-gold-6330",
    ];
    let result = pool_of(&names).unwrap();
    assert!(result.identity_chosen);
    assert_eq!(result.policy.brand()[..18], *b"Intel(R) Processor");
    assert_eq!(why(&result, "INVARIANT_TSC").1, "context");
}

#[test]
fn amd_3020e_keeps_stibp_without_ibrs() {
    let ebx = host("amd-zen-3020e").cpuid.get_or_zero(0x8000_0008, 0).ebx;
    assert_eq!((ebx >> 14 & 1, ebx >> 15 & 1), (0, 1), "IBRS and STIBP as recorded");
    let result = pool_of(&["amd-zen-3020e"]).unwrap();
    assert!(has(&result, "AMD_STIBP") && !has(&result, "AMD_IBRS"));
}

#[test]
fn rrsba_is_raised_where_enhanced_ibrs_stays() {
    let with_msr = |name: &str, value: u64| {
        let mut host = host(name);
        host.msrs.insert(0x10a, value).unwrap();
        host.unrecorded = cpuid_db::UnrecordedList::default();
        host
    };
    // A machine with IBRS_ALL (bit 1) and RRSBA (bit 19) joins one with IBRS_ALL alone.
    let (a, b) = (with_msr("intel-cascadelake-8268", 0x2b), with_msr("intel-icelake-gold-6330", 0x8_002b));
    let result = baseline(&[&a, &b], Ceiling::Kvm).unwrap();
    assert!(has(&result, "IBRS_ALL") && has(&result, "RRSBA") && !has(&result, "RSBA"));
    assert_eq!(why(&result, "RRSBA"), (Outcome::Raised, "limitation", 1));
    assert_eq!(result.policy.msrs.get(0x10a).map(|value| value >> 19 & 1), Some(1));
}

#[test]
fn what_nobody_recorded_is_undecided_and_names_the_hosts() {
    let result = pool_of(&["intel-cascadelake-8268", "intel-icelake-gold-6330"]).unwrap();
    // Ice Lake's MSR 10AH is not recorded, so IBRS_ALL is not promised, and RSBA is the bit that would have to tell.
    assert_eq!(why(&result, "RSBA"), (Outcome::Undecided, "unrecorded", 1));
    assert_eq!(result.decisions.feature(Feature::RSBA).witness, Some(1));
    assert_eq!(why(&result, "RDCL_NO"), (Outcome::Withheld, "unrecorded", 1));
}

#[test]
fn intel_with_amd_is_refused_unless_asked() {
    let (intel, amd) = (host("intel-icelake-gold-6330"), host("amd-zen3-7763"));
    let pool = common::pool(&[&intel, &amd], Ceiling::Kvm);
    let refusal = finish(&pool, &Request::default()).unwrap_err();
    assert_eq!(refusal.to_string(), "the pool mixes AuthenticAMD and GenuineIntel: their feature bits, errata and MSRs differ");
    let mixed = finish(&pool, &Request { any_vendor: true, ..Request::default() }).unwrap();
    assert!(has(&mixed, "AVX2") && has(&mixed, "AESNI"));
    assert!(!has(&mixed, "AVX512F"));
}

#[test]
fn every_order_of_the_hosts_gives_the_same_policy() {
    let hosts: Vec<Policy> = SERVERS.iter().map(|name| host(name)).collect();
    let reference = baseline(&hosts.iter().collect::<Vec<_>>(), Ceiling::Kvm).unwrap();
    for a in 0..4 {
        for b in (0..4).filter(|b| *b != a) {
            for c in (0..4).filter(|c| *c != a && *c != b) {
                let d = 6 - a - b - c;
                let mut pool = Box::new(Pool::new());
                for at in [a, b, c, d] {
                    add(&mut pool, at as u32, &hosts[at], Ceiling::Kvm);
                }
                let result = finish(&pool, &Request::default()).unwrap();
                assert!(result == reference, "{a}{b}{c}{d}");
            }
        }
    }
}

#[test]
fn a_hybrid_gives_only_what_all_its_cores_have() {
    let kinds = cores("intel-alderlake-12900h");
    assert!(kinds.len() >= 2, "each core type is recorded");
    let result = baseline(&kinds.iter().collect::<Vec<_>>(), Ceiling::Kvm).unwrap();
    assert!(has(&result, "AVX2") && !has(&result, "HYBRID"));
}

/// The recorded Xeon Gold 6330 enumerates PKRU state, and subleaf 9 reads zero in the dump; on Intel the layout is known all the same.
#[test]
fn a_component_without_a_recorded_layout_is_not_guessed() {
    let intel = host("intel-icelake-gold-6330");
    assert!(intel.cpuid.get_or_zero(0xd, 0).eax >> 9 & 1 == 1 && intel.cpuid.get_or_zero(0xd, 9).is_zero());
    let result = baseline(&[&intel], Ceiling::Kvm).unwrap();
    assert!(has(&result, "PKU"));
    let pkru = result.policy.cpuid.get_or_zero(0xd, 9);
    assert_eq!((pkru.eax, pkru.ebx, result.policy.cpuid.get_or_zero(0xd, 0).ecx), (8, 0xa80, 0xa88));

    let mut amd = host("amd-zen3-7763");
    amd.cpuid.retain(|entry| (entry.leaf, entry.subleaf) != (0xd, 9));
    let result = baseline(&[&amd, &host("amd-zen3-7713")], Ceiling::Kvm).unwrap();
    assert!(!has(&result, "PKU"), "AMD's layout differs between generations");
    assert_eq!(why(&result, "XCR0_PKRU"), (Outcome::Withheld, "unrecorded", 1));
}

/// What is moot is not undecided.
#[test]
fn a_limitation_of_something_withheld_needs_no_record() {
    // Alder Lake has CORE_CAPABILITIES, its MSR is not recorded, and KVM gives neither.
    let result = pool_of(&["intel-alderlake-12900h"]).unwrap();
    assert_eq!(why(&result, "RSM_IN_CPL0_ONLY").1, "requires");
}

#[test]
fn zhaoxin_machines_make_a_pool_of_their_own() {
    let result = pool_of(&["zhaoxin-kx-u6780a", "zhaoxin-kh-40000"]).unwrap();
    assert!(has(&result, "AVX") && has(&result, "CPUID.C0000001.EDX[2]"));
    assert_eq!(result.policy.cpuid.max_leaf(0xc000_0000), Some(0xc000_0001));
    assert!(pool_of(&["zhaoxin-kx-u6780a", "intel-icelake-gold-6330"]).is_err());
}

// What libvirt 11.3 and QEMU 10.2 get wrong in a pool, each under the name of the defect.

#[test]
fn libvirt_ands_limitation_bits_away_we_announce_them() {
    // One host lacks the bits, so libvirt drops them.
    let result = pool_of(&["intel-ivybridge-e3-1230v2", "intel-cascadelake-8268"]).unwrap();
    for word in ["libvirt:zero-fcs-fds", "libvirt:fdp-excptn-only"] {
        assert!(has(&result, word), "{word}");
    }
    let mut rsba = host("intel-cascadelake-8268");
    rsba.msrs.insert(0x10a, 0x2d).unwrap();
    let result = baseline(&[&rsba, &host("intel-cascadelake-9242")], Ceiling::Kvm).unwrap();
    assert!(has(&result, "libvirt:rsba") || has(&result, "RRSBA"));
}

#[test]
fn libvirt_keeps_avx_without_xsave_we_do_not() {
    let mut lame = host("intel-skylake-e3-1245v5");
    lame.set_feature(Feature::XSAVE, false).unwrap();
    let result = baseline(&[&lame, &host("intel-haswell-e5-2660v3")], Ceiling::Kvm).unwrap();
    for word in ["AVX", "AVX2", "FMA", "F16C", "XSAVEOPT"] {
        assert!(!has(&result, word), "{word}");
    }
    assert_eq!(why(&result, "AVX").1, "requires");
}

#[test]
fn libvirt_depends_on_host_order_we_do_not() {
    let names = ["intel-haswell-e5-2660v3", "intel-cascadelake-8268", "intel-atom-p5362"];
    let forward = pool_of(&names).unwrap();
    let backward = pool_of(&[names[2], names[1], names[0]]).unwrap();
    assert_eq!(forward.policy, backward.policy);
}

#[test]
fn libvirt_aborts_on_one_unknown_name_we_withhold_one_unknown_bit() {
    let mut odd = host("intel-icelake-gold-6330");
    let mut leaf_7 = odd.cpuid.get_or_zero(7, 0);
    leaf_7.edx |= 1 << 17;
    odd.cpuid.insert(7, 0, leaf_7).unwrap();
    let result = baseline(&[&odd, &odd], Ceiling::Raw).unwrap();
    assert_eq!(register(&result, 7, 0).edx >> 17 & 1, 0, "no name, no promise");
    assert!(has(&result, "AVX512F"));
}

#[test]
fn libvirt_loses_phys_bits_we_take_the_smallest() {
    let widths = |name: &str| host(name).cpuid.get_or_zero(0x8000_0008, 0).eax & 0xff;
    assert_eq!((widths("intel-cascadelake-8268"), widths("intel-skylake-e3-1245v5")), (0x2e, 0x27));
    let result = pool_of(&["intel-cascadelake-8268", "intel-skylake-e3-1245v5"]).unwrap();
    assert_eq!(value(&result, Field::PHYS_ADDR_BITS), 0x27);
}

#[test]
fn libvirt_ignores_emulated_features_we_give_them_on_request() {
    // E9: MOVBE that KVM emulates is reported unavailable by libvirt and QEMU.
    let host = host("intel-ivybridge-e3-1230v2");
    let pool = common::pool(&[&host], Ceiling::Kvm);
    let request = Request { with: FeatureSet::EMPTY.with(Feature::MOVBE), ..Request::default() };
    assert_eq!(why(&finish(&pool, &request).unwrap(), "MOVBE").1, "emulated");
}

#[test]
fn libvirt_reads_a_disabled_feature_as_required_we_keep_it_out() {
    let host = host("intel-icelake-gold-6330");
    let pool = common::pool(&[&host, &host], Ceiling::Kvm);
    let request = Request { without: FeatureSet::EMPTY.with(Feature::AVX512F), ..Request::default() };
    let result = finish(&pool, &request).unwrap();
    assert!(!has(&result, "AVX512F") && !has(&result, "AVX512_VNNI") && !has(&result, "XCR0_OPMASK"));
    assert_eq!(why(&result, "AVX512F").1, "request");
}

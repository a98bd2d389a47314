//! May a guest move there? Named cases; the facts are registers of the machines in testdata/hosts or values quoted in the test.

mod common;

use common::views::{policy, root};
use common::{Ceiling, baseline, checked, feature, intel};
use cpu_caps::{Because, Gap, GapKind, Subject, Verdict};
use cpuid_db::{Feature, MsrEntry, Policy, Registers};

fn host(name: &str) -> Policy {
    policy(&root().join(format!("testdata/hosts/{name}.json")))
}

/// A guest checked against a machine as recorded: what each of them says is what it has.
fn raw(guest: &Policy, host: &Policy) -> (Verdict, Vec<Gap>) {
    checked(guest, &[], host, Ceiling::Raw)
}

fn about(gaps: &[Gap], word: &str) -> Option<(GapKind, Because)> {
    let subject = Subject::Feature(feature(word));
    gaps.iter().find(|gap| gap.subject == subject).map(|gap| (gap.kind, gap.because))
}

fn with_arch_capabilities(mut policy: Policy, value: u64) -> Policy {
    policy.set_feature(Feature::ARCH_CAPABILITIES, true).unwrap();
    policy.msrs.insert(0x10a, value).unwrap();
    policy
}

/// As [`intel`], of another signature.
fn of_model(signature: u32, features: &[&str]) -> Policy {
    common::cpu("GenuineIntel", signature, features)
}

const CASCADE_LAKE: u32 = 0x5_0657;
const ICE_LAKE: u32 = 0x6_06a6;
const SAPPHIRE_RAPIDS: u32 = 0x8_06f8;
const SPECULATION: [&str; 2] = ["SPEC_CTRL", "ARCH_CAPABILITIES"];

/// IA32_ARCH_CAPABILITIES as KVM gives it to guests on these CPUs, Linux 6.18 with TSX off.
const CASCADE_LAKE_CAPABILITIES: u64 = 0x0c0a_a0eb;
const ICE_LAKE_CAPABILITIES: u64 = 0x0c02_a0eb;
const SAPPHIRE_RAPIDS_CAPABILITIES: u64 = 0x4000_0000_0c08_e0eb;

#[test]
fn cascade_lake_to_sapphire_rapids_has_no_gap_in_arch_capabilities() {
    // FB_CLEAR is bit 17, TAA_NO bit 8: the target has neither, and no RTM.
    let guest = with_arch_capabilities(of_model(CASCADE_LAKE, &SPECULATION), CASCADE_LAKE_CAPABILITIES);
    let target = with_arch_capabilities(of_model(SAPPHIRE_RAPIDS, &SPECULATION), SAPPHIRE_RAPIDS_CAPABILITIES);
    assert_eq!(raw(&guest, &target), (Verdict::Compatible, vec![]));
}

#[test]
fn a_vulnerable_machine_that_cannot_scrub_is_reported() {
    let guest = with_arch_capabilities(of_model(CASCADE_LAKE, &SPECULATION), CASCADE_LAKE_CAPABILITIES);
    // The same target with transactions: TAA is open, and FB_CLEAR would be needed.
    let exposed = [&SPECULATION[..], &["RTM"]].concat();
    let target = with_arch_capabilities(of_model(SAPPHIRE_RAPIDS, &exposed), SAPPHIRE_RAPIDS_CAPABILITIES);
    let (verdict, gaps) = raw(&guest, &target);
    assert_eq!((verdict, about(&gaps, "FB_CLEAR")), (Verdict::Unknown, Some((GapKind::Unprotected, Because::Hardware))));
    assert_eq!(GapKind::Unprotected.name(), "missing");
}

#[test]
fn a_guest_that_was_not_told_of_rrsba_cannot_go_where_it_holds() {
    let guest = with_arch_capabilities(of_model(ICE_LAKE, &SPECULATION), ICE_LAKE_CAPABILITIES);
    let target = with_arch_capabilities(of_model(CASCADE_LAKE, &SPECULATION), CASCADE_LAKE_CAPABILITIES);
    let (verdict, gaps) = raw(&guest, &target);
    assert_eq!(verdict, Verdict::Incompatible);
    assert_eq!(about(&gaps, "RRSBA"), Some((GapKind::NotAnnounced, Because::Hardware)));
    assert_eq!(gaps.len(), 1, "{gaps:?}");
}

#[test]
fn ice_lake_joining_a_pool_with_an_rrsba_host_gets_rrsba_announced() {
    let hosts = vec![
        with_arch_capabilities(of_model(ICE_LAKE, &SPECULATION), ICE_LAKE_CAPABILITIES),
        with_arch_capabilities(of_model(CASCADE_LAKE, &SPECULATION), CASCADE_LAKE_CAPABILITIES),
    ];
    let pool = baseline(&[&hosts[0], &hosts[1]], Ceiling::Raw).unwrap();
    assert!(common::has(&pool, "RRSBA"));
    for host in &hosts {
        assert_eq!(raw(&pool.policy, host), (Verdict::Compatible, vec![]));
    }
}

#[test]
fn a_bit_that_goes_away_between_kernels_is_a_kernel_difference() {
    // Milan (25-1-1): Linux 5.10 and 6.1 report 7.0.EDX[26] (SPEC_CTRL) to guests there, 6.18 does not.
    let milan = |words: &[&str]| common::cpu("AuthenticAMD", 0x00a0_0f11, words);
    let before = milan(&["SPEC_CTRL", "AMD_IBRS", "AMD_IBPB"]);
    let after = milan(&["AMD_IBRS", "AMD_IBPB"]);
    let (verdict, gaps) = raw(&before, &after);
    assert_eq!((verdict, about(&gaps, "SPEC_CTRL")), (Verdict::Incompatible, Some((GapKind::Missing, Because::Kernel))));
    // Another model whose hardware has AMD's spelling: KVM could translate it. One without: nothing could.
    let elsewhere = |words: &[&str]| raw(&before, &common::cpu("AuthenticAMD", 0x0083_0f10, words));
    let (_, gaps) = elsewhere(&["AMD_IBRS", "AMD_IBPB", "AMD_STIBP"]);
    assert_eq!(about(&gaps, "SPEC_CTRL"), Some((GapKind::Missing, Because::Hypervisor)));
    let (_, gaps) = elsewhere(&[]);
    assert_eq!(about(&gaps, "SPEC_CTRL"), Some((GapKind::Missing, Because::Hardware)));
}

#[test]
fn what_kvm_does_not_give_is_missing_because_of_the_hypervisor() {
    let guest = intel(&["MONITOR", "POPCNT"]);
    let (_, gaps) = checked(&guest, &[], &of_model(CASCADE_LAKE, &["MONITOR", "POPCNT"]), Ceiling::Kvm);
    // KVM executes MWAIT as a no-op and lets a guest have the bit.
    assert_eq!(about(&gaps, "MONITOR"), None);
    let guest = intel(&["DS_CPL", "POPCNT"]);
    let (verdict, gaps) = checked(&guest, &[], &of_model(CASCADE_LAKE, &["DS_CPL", "POPCNT"]), Ceiling::Kvm);
    assert_eq!((verdict, about(&gaps, "DS_CPL")), (Verdict::Incompatible, Some((GapKind::Missing, Because::Hypervisor))));
    assert_eq!(about(&gaps, "POPCNT"), None);
}

#[test]
fn limitations_must_be_announced_and_may_be_announced_anywhere() {
    let (told, untold) = (intel(&["ZERO_FCS_FDS"]), intel(&[]));
    assert_eq!(raw(&told, &untold).0, Verdict::Compatible);
    let (verdict, gaps) = raw(&untold, &told);
    assert_eq!(verdict, Verdict::Incompatible);
    assert_eq!(about(&gaps, "ZERO_FCS_FDS"), Some((GapKind::NotAnnounced, Because::Kernel)), "one model: something else differs");
}

#[test]
fn vendors_do_not_mix() {
    let (verdict, gaps) = raw(&intel(&[]), &common::amd(&[]));
    assert_eq!(verdict, Verdict::Incompatible);
    assert!(gaps.iter().any(|gap| (gap.subject, gap.kind) == (Subject::Vendor, GapKind::Differs)));
}

#[test]
fn numbers_must_fit() {
    let width = |bits: u32| {
        let mut policy = intel(&[]);
        policy.cpuid.insert(0x8000_0008, 0, Registers::new(0x3000 | bits, 0, 0, 0)).unwrap();
        policy
    };
    assert_eq!(raw(&width(39), &width(46)).0, Verdict::Compatible);
    let (verdict, gaps) = raw(&width(46), &width(39));
    let found: Vec<_> = gaps.iter().map(|gap| (gap.kind, gap.guest, gap.host)).collect();
    assert_eq!((verdict, found), (Verdict::Incompatible, vec![(GapKind::TooSmall, Some(46), Some(39))]));
}

#[test]
fn the_layout_of_state_must_agree() {
    let amd = |offset: u32| {
        let mut policy = common::amd(&["XSAVE", "XCR0_X87", "XCR0_SSE", "XCR0_AVX", "AVX", "PKU", "XCR0_PKRU"]);
        common::components(&mut policy, &[(2, 256, 576), (9, 8, offset)]);
        policy
    };
    // PKRU lies at 832 on client Zen 3 and at 2432 where there is AVX-512.
    assert_eq!(raw(&amd(832), &amd(832)).0, Verdict::Compatible);
    let (verdict, gaps) = raw(&amd(832), &amd(2432));
    let found: Vec<_> = gaps.iter().map(|gap| (gap.kind, gap.guest, gap.host)).collect();
    assert_eq!((verdict, found), (Verdict::Incompatible, vec![(GapKind::Differs, Some(832), Some(2432))]));
}

#[test]
fn the_layout_of_state_that_is_not_there_is_no_gap_of_its_own() {
    let mut guest = common::amd(&["XSAVE", "XCR0_X87", "XCR0_SSE", "XCR0_AVX", "AVX", "PKU", "XCR0_PKRU"]);
    common::components(&mut guest, &[(2, 256, 576), (9, 8, 832)]);
    let mut target = common::amd(&["XSAVE", "XCR0_X87", "XCR0_SSE", "XCR0_AVX", "AVX"]);
    common::components(&mut target, &[(2, 256, 576)]);
    target.unrecorded.insert(cpuid_db::Unrecorded::Cpuid { leaf: 0xd, subleaf: 9 }).unwrap();
    let (verdict, gaps) = raw(&guest, &target);
    let found: Vec<_> = gaps.iter().map(|gap| (gap.subject, gap.kind)).collect();
    let missing = |word| (Subject::Feature(feature(word)), GapKind::Missing);
    assert_eq!((verdict, found), (Verdict::Incompatible, vec![missing("PKU"), missing("XCR0_PKRU")]));
}

#[test]
fn stored_msr_values_must_be_taken() {
    // IA32_SPEC_CTRL: bit 0 comes with IBRS, bit 1 with STIBP, bit 2 with SSBD (SDM vol. 4, MSR 48H).
    let guest = intel(&["SPEC_CTRL", "INTEL_STIBP", "SPEC_CTRL_SSBD"]);
    let target = intel(&["SPEC_CTRL", "INTEL_STIBP"]);
    let msrs = [MsrEntry { index: 0x48, value: 0b101 }];
    let (_, gaps) = checked(&guest, &msrs, &target, Ceiling::Raw);
    let refused: Vec<_> =
        gaps.iter().filter(|gap| gap.kind == GapKind::ValueRefused).map(|gap| (gap.subject, gap.guest, gap.host)).collect();
    assert_eq!(refused, [(Subject::Msr(0x48), Some(0b100), Some(0b011))]);
    let without_ssbd = [MsrEntry { index: 0x48, value: 0b001 }];
    let (_, gaps) = checked(&target, &without_ssbd, &guest, Ceiling::Raw);
    assert_eq!(gaps, []);
}

#[test]
fn stibp_alone_takes_its_own_bit() {
    let target = intel(&["INTEL_STIBP"]);
    let value = |value| checked(&target, &[MsrEntry { index: 0x48, value }], &target, Ceiling::Raw);
    assert_eq!(value(0b10).0, Verdict::Compatible);
    assert_eq!(value(0b11).0, Verdict::Incompatible);
}

fn timed(crystal: u32, features: &[&str]) -> Policy {
    let mut policy = of_model(CASCADE_LAKE, features);
    policy.cpuid.insert(0x15, 0, Registers::new(2, 200, crystal, 0)).unwrap();
    policy
}

#[test]
fn time_must_run_at_one_rate_or_be_scaled() {
    let guest = timed(25_000_000, &["INVARIANT_TSC", "TSC"]);
    let mut other = timed(24_000_000, &["INVARIANT_TSC", "TSC"]);
    other.cpuid.insert(1, 0, Registers { eax: SAPPHIRE_RAPIDS, ..other.cpuid.get_or_zero(1, 0) }).unwrap();
    let (verdict, gaps) = raw(&guest, &other);
    let found: Vec<_> = gaps.iter().map(|gap| (gap.subject, gap.kind, gap.guest, gap.host)).collect();
    let expected = (Subject::TscFrequency, GapKind::Differs, Some(2_500_000_000), Some(2_400_000_000));
    assert_eq!((verdict, found), (Verdict::Incompatible, vec![expected]));
    assert_eq!(raw(&guest, &timed(25_000_000, &["INVARIANT_TSC", "TSC", "POPCNT"])).0, Verdict::Compatible);
    other.cpuid.retain(|entry| entry.leaf != 0x15);
    let (verdict, gaps) = raw(&guest, &other);
    assert_eq!((verdict, gaps[0].subject, gaps[0].kind), (Verdict::Unknown, Subject::TscFrequency, GapKind::Unrecorded));
}

#[test]
fn what_nobody_recorded_is_unknown() {
    let guest = with_arch_capabilities(intel(&SPECULATION), 0x1);
    let mut target = intel(&SPECULATION);
    target.unrecorded.insert(cpuid_db::Unrecorded::Msr { index: 0x10a }).unwrap();
    let (verdict, gaps) = raw(&guest, &target);
    assert_eq!((verdict, about(&gaps, "RDCL_NO")), (Verdict::Unknown, Some((GapKind::Unrecorded, Because::Unrecorded))));
}

#[test]
fn emulated_features_are_accepted_and_not_offered() {
    let target = intel(&["RDTSCP", "SSE"]);
    let guest = intel(&["RDTSCP", "SSE", "RDPID"]);
    assert_eq!(checked(&guest, &[], &target, Ceiling::Kvm), (Verdict::Compatible, vec![]), "KVM executes RDPID where it has RDTSCP");
    let offer = baseline(&[&target], Ceiling::Kvm).unwrap();
    assert!(!common::has(&offer, "RDPID"));
    assert_eq!(checked(&offer.policy, &[], &target, Ceiling::Kvm), (Verdict::Compatible, vec![]));
}

#[test]
fn real_machines_accept_what_they_are_offered() {
    let folder = format!("{}/../../testdata/hosts", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let target = host(path.file_stem().unwrap().to_str().unwrap());
        for ceiling in [Ceiling::Raw, Ceiling::Kvm] {
            let offer = baseline(&[&target], ceiling).unwrap();
            let (verdict, gaps) = checked(&offer.policy, &[], &target, ceiling);
            let known = gaps.iter().all(|gap| matches!(gap.kind, GapKind::Unrecorded | GapKind::Unprotected));
            assert!(known && verdict != Verdict::Incompatible, "{}: {gaps:?}", path.display());
        }
        count += 1;
    }
    assert!(count >= 30, "{count}");
}

/// A view that KVM gave to a guest, re-recorded from Firecracker's fingerprints.
fn kvm_view(name: &str) -> Policy {
    policy(&root().join(format!("testdata/kvm-views/{name}.json")))
}

#[test]
fn milan_guests_of_linux_5_10_and_6_1_miss_a_bit_under_6_18() {
    let after = kvm_view("amd-milan-linux-6-18");
    assert_eq!(after.cpuid.get_or_zero(7, 0).edx >> 26 & 1, 0, "recorded");
    for before in ["amd-milan-linux-5-10", "amd-milan-linux-6-1"] {
        let before = kvm_view(before);
        assert_eq!(before.cpuid.get_or_zero(7, 0).edx >> 26 & 1, 1, "recorded");
        let (verdict, gaps) = raw(&before, &after);
        assert_eq!((verdict, about(&gaps, "CPUID.7.0.EDX[26]")), (Verdict::Incompatible, Some((GapKind::Missing, Because::Kernel))));
    }
}

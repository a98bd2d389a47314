//! What an operator can ask for, on the smallest pool that shows it.

mod common;

use common::{Ceiling, amd, components, feature, has, intel, pool, value, why};
use cpu_caps::{Attempt, Base, Baseline, Identity, Outcome, Pool, Refusal, Request, StockKvm, View, attempt, finish};
use cpuid_db::{Feature, FeatureSet, Field, Policy, Signature, Vendor};

const LONG_MODE: [&str; 14] = ["FPU", "TSC", "MSR", "PAE", "CX8", "APIC", "SEP", "PGE", "CMOV", "FXSR", "SSE", "SSE2", "LM", "SYSCALL"];

fn plus(extra: &[&'static str]) -> Vec<&'static str> {
    LONG_MODE.iter().chain(extra).copied().collect()
}

fn set(words: &[&str]) -> FeatureSet {
    words.iter().map(|word| feature(word)).collect()
}

fn only(words: &[&'static str]) -> Request {
    Request { base: Base::Only(set(&plus(words))), ..Request::default() }
}

fn migratable() -> Request {
    Request { base: Base::Migratable, ..Request::default() }
}

#[test]
fn a_migratable_guest_is_not_told_of_what_ties_it_to_its_machine() {
    let host = intel(&plus(&["SGX", "SGX_LC", "SGX1", "INVARIANT_TSC", "PSN", "CPUID.7.1.EBX[0]", "POPCNT"]));
    let pool = pool(&[&host], Ceiling::Raw);
    assert!(has(&finish(&pool, &Request::default()).unwrap(), "SGX1"));
    let result = finish(&pool, &migratable()).unwrap();
    for word in ["SGX", "INVARIANT_TSC", "PSN", "CPUID.7.1.EBX[0]"] {
        assert!(!has(&result, word), "{word}");
        assert_eq!(why(&result, word), (Outcome::Withheld, "context", 0), "{word}");
    }
    assert_eq!(why(&result, "SGX1").1, "requires", "what needs it follows");
    assert!(has(&result, "POPCNT"));
}

#[test]
fn an_encrypted_guest_is_not_migratable() {
    let host = amd(&plus(&["SEV", "SEV_ES", "SEV_SNP", "VMPL"]));
    let result = finish(&pool(&[&host], Ceiling::Raw), &migratable()).unwrap();
    assert!(!has(&result, "SEV") && !has(&result, "SEV_ES") && !has(&result, "SEV_SNP") && !has(&result, "VMPL"));
}

#[test]
fn what_no_host_gives_is_not_blamed_on_migration() {
    let result = finish(&pool(&[&intel(&LONG_MODE)], Ceiling::Kvm), &migratable()).unwrap();
    assert_eq!(why(&result, "SGX"), (Outcome::Withheld, "missing-on-host", 1));
}

#[test]
fn a_pinned_feature_is_given_to_who_asks_for_it_by_name() {
    let pool = pool(&[&intel(&plus(&["INVARIANT_TSC"]))], Ceiling::Kvm);
    let request = Request { with: set(&["INVARIANT_TSC"]), ..migratable() };
    assert!(has(&finish(&pool, &request).unwrap(), "INVARIANT_TSC"));
}

#[test]
fn a_model_bounds_plain_features() {
    let host = intel(&plus(&["POPCNT", "SSE3", "SSSE3", "AESNI", "PCLMULQDQ", "RTM", "INVARIANT_TSC"]));
    let pool = pool(&[&host], Ceiling::Kvm);
    let result = finish(&pool, &only(&["SSE3", "POPCNT"])).unwrap();
    assert!(has(&result, "SSE3") && has(&result, "POPCNT"));
    for word in ["SSSE3", "AESNI", "PCLMULQDQ", "RTM", "INVARIANT_TSC", "TSC_DEADLINE", "TSC_ADJUST", "ARAT", "AVX512F"] {
        assert!(!has(&result, word), "{word}");
        assert_eq!(why(&result, word).1, "request", "{word}");
    }
    let with = set(&["AESNI"]);
    let result = finish(&pool, &Request { with, ..only(&[]) }).unwrap();
    assert!(has(&result, "AESNI") && !has(&result, "POPCNT"), "more than the model by name");
}

#[test]
fn a_model_has_no_say_in_limitations_and_in_what_the_hypervisor_adds() {
    let host = intel(&plus(&["ZERO_FCS_FDS", "MD_CLEAR", "MCE", "MCA", "POPCNT"]));
    let result = finish(&pool(&[&host], Ceiling::Kvm), &only(&["MCE", "MCA"])).unwrap();
    for word in ["ZERO_FCS_FDS", "MD_CLEAR", "HYPERVISOR", "X2APIC", "KVM_CLOCKSOURCE", "APIC", "MCG_CTL_P"] {
        assert!(has(&result, word), "{word}: {:?}", why(&result, word));
    }
    let host = amd(&plus(&["MMX", "FPU_ALIAS", "MMX_ALIAS"]));
    let result = finish(&pool(&[&host], Ceiling::Kvm), &only(&[])).unwrap();
    assert!(has(&result, "FPU_ALIAS") && !has(&result, "MMX_ALIAS"), "a copy follows its original");
}

#[test]
fn state_components_go_with_the_instructions_of_the_model() {
    let state = ["XSAVE", "AVX", "PKU", "XCR0_X87", "XCR0_SSE", "XCR0_AVX", "XCR0_PKRU"];
    let mut host = intel(&plus(&state));
    components(&mut host, &[(2, 256, 576), (9, 8, 2688)]);
    let pool = pool(&[&host], Ceiling::Kvm);
    let with = set(&["XSAVE", "AVX"]);
    let result = finish(&pool, &Request { with, ..only(&["XSAVE", "AVX"]) }).unwrap();
    assert!(has(&result, "AVX") && has(&result, "XCR0_AVX") && has(&result, "XCR0_X87"));
    assert!(!has(&result, "PKU") && !has(&result, "XCR0_PKRU"));
    assert_eq!(result.policy.cpuid.get_or_zero(0xd, 0).ecx, 832, "576 and 256 bytes of AVX state");
}

#[test]
fn an_identity_is_shown_as_asked() {
    let mut brand = [0; 48];
    brand[..11].copy_from_slice(b"Model A CPU");
    let asked = Identity { vendor: Vendor::Intel, signature: Signature(0x3_06c3), brand };
    let request = Request { identity: Some(asked), ..Request::default() };
    let result = finish(&pool(&[&intel(&LONG_MODE)], Ceiling::Kvm), &request).unwrap();
    assert_eq!((result.policy.signature(), result.policy.brand()), (Signature(0x3_06c3), brand));
    assert_eq!((result.identity, result.identity_chosen), (asked, false));
    for (field, shown) in [(Field::STEPPING, 3), (Field::MODEL, 0xc), (Field::EXTENDED_MODEL, 3), (Field::FAMILY, 6)] {
        let decision = result.decisions.field(cpuid_db::FieldAt { field, subleaf: 0 }).unwrap();
        assert_eq!((decision.outcome, decision.cause.name(), decision.value), (Outcome::Chosen, "request", shown));
        assert_eq!(value(&result, field), shown);
    }
}

#[test]
fn an_identity_of_another_vendor_is_refused_unless_vendors_may_mix() {
    let asked = Identity::of(&amd(&LONG_MODE));
    let pool = pool(&[&intel(&LONG_MODE)], Ceiling::Kvm);
    let request = Request { identity: Some(asked), ..Request::default() };
    let refusal = Refusal::Identity { pool: Vendor::Intel, asked: Vendor::Amd };
    assert_eq!(finish(&pool, &request).unwrap_err(), refusal);
    let mixed = finish(&pool, &Request { any_vendor: true, ..request }).unwrap();
    assert_eq!(mixed.policy.vendor(), Vendor::Amd);
}

/// The record formats belong to one model: a guest that is told another model would decode them wrongly.
#[test]
fn an_identity_of_another_model_costs_the_lbr_format() {
    let mut host = intel(&plus(&["PDCM"]));
    host.msrs.insert(0x345, 5).unwrap();
    host.cpuid.insert(0x8000_0002, 0, cpuid_db::Registers::new(0x4141_4141, 0, 0, 0)).unwrap();
    let pool = pool(&[&host], Ceiling::Raw);
    let own = finish(&pool, &Request::default()).unwrap();
    assert_eq!(value(&own, Field::LBR_FMT), 5);
    let asked = Identity { signature: Signature(0x3_06c3), ..Identity::of(&host) };
    let other = finish(&pool, &Request { identity: Some(asked), ..Request::default() }).unwrap();
    assert_eq!(value(&other, Field::LBR_FMT), 0);
}

/// One attempt on one machine under stock KVM.
fn tried(host: &Policy, request: &Request) -> (Attempt, Result<Baseline, Refusal>) {
    let pool: Box<Pool> = pool(&[host], Ceiling::Kvm);
    (attempt(&pool, request).unwrap(), finish(&pool, request))
}

#[test]
fn everything_impossible_is_told_at_once_and_the_rest_is_given() {
    let host = intel(&plus(&["POPCNT", "DS"]));
    let with = set(&["AVX2", "AESNI", "DS", "POPCNT"]);
    let (nearest, refused) = tried(&host, &Request { with, ..Request::default() });
    let impossible = set(&["AVX2", "AESNI", "DS"]);
    assert_eq!(nearest.impossible, impossible);
    assert!(matches!(refused, Err(Refusal::Impossible { feature: Feature::AESNI, all, .. }) if all == impossible));
    assert!(has(&nearest.baseline, "POPCNT") && !has(&nearest.baseline, "AESNI"));
    assert_eq!(why(&nearest.baseline, "AESNI").1, "missing-on-host");
    assert_eq!(why(&nearest.baseline, "DS").1, "not-in-kvm");
    assert_eq!(refused.unwrap_err().to_string(), "AESNI was asked for and cannot be given: missing-on-host (and 2 more)");
}

#[test]
fn everything_innate_is_told_at_once_and_stays_in_sight() {
    let without = set(&["ZERO_FCS_FDS", "FDP_EXCPTN_ONLY", "POPCNT"]);
    let host = intel(&plus(&["ZERO_FCS_FDS", "FDP_EXCPTN_ONLY", "POPCNT"]));
    let (nearest, refused) = tried(&host, &Request { without, ..Request::default() });
    assert_eq!(nearest.innate, set(&["ZERO_FCS_FDS", "FDP_EXCPTN_ONLY"]));
    assert!(matches!(refused, Err(Refusal::Innate { feature: Feature::FDP_EXCPTN_ONLY, all }) if all == nearest.innate));
    assert!(has(&nearest.baseline, "ZERO_FCS_FDS") && !has(&nearest.baseline, "POPCNT"));
    let (forced, _) = tried(&host, &Request { without, force: true, ..Request::default() });
    assert!(forced.innate.is_empty() && !has(&forced.baseline, "ZERO_FCS_FDS"));
}

/// The nearest answer is the answer to the request without what is impossible.
#[test]
fn the_nearest_answer_is_right_by_itself() {
    let host = intel(&plus(&["POPCNT", "SSE3"]));
    let with = set(&["AVX2", "POPCNT"]);
    let (nearest, _) = tried(&host, &Request { with, ..only(&["SSE3"]) });
    let (_, asked) = tried(&host, &Request { with: with.difference(&nearest.impossible), ..only(&["SSE3"]) });
    assert_eq!(asked.unwrap().policy, nearest.baseline.policy);
    let raw = View::of(&host);
    let kvm = StockKvm::default().view(&host, &raw);
    assert!(nearest.baseline.features.is_subset(&kvm.features.union(&raw.features)));
}

#[test]
fn kvms_leaves_keep_their_signature_whatever_bit_of_them_is_refused() {
    let request = Request { without: set(&["KVM_CLOCKSOURCE"]), ..Request::default() };
    let result = finish(&pool(&[&intel(&LONG_MODE)], Ceiling::Kvm), &request).unwrap();
    assert_eq!(result.policy.hypervisor(), Some(*b"KVMKVMKVM\0\0\0"));
    assert!(has(&result, "KVM_CLOCKSOURCE2") && !has(&result, "KVM_CLOCKSOURCE"));
}

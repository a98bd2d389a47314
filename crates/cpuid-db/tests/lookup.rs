//! Every way to name a bit leads to the bit, and words that fit two say so.
//! Positions are those of the manuals and of the projects' own headers.

use cpuid_db::{Feature, Found, LookupError, Named, lookup, nearest};

fn location(word: &str) -> String {
    match lookup(word) {
        Ok(Found::Named(Named::Feature(feature))) => feature.location().to_string(),
        Ok(Found::Named(Named::Field(field))) => format!("field {}", field.name()),
        Ok(Found::Reserved(place)) => format!("reserved {place}"),
        Ok(Found::Msr(index)) => format!("MSR {index:X}H"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn spellings_lead_to_their_bits() {
    for (word, place) in [
        ("SSE3", "CPUID.1.0.ECX[0]"),
        ("pni", "CPUID.1.0.ECX[0]"),
        ("CPUID.1.0.ECX[0]", "CPUID.1.0.ECX[0]"),
        ("cpuid.1.ecx[0]", "CPUID.1.0.ECX[0]"),
        ("linux:XMM3", "CPUID.1.0.ECX[0]"),
        ("pclmuldq", "CPUID.1.0.ECX[1]"),
        ("monitor", "CPUID.1.0.ECX[3]"),
        ("sse4.1", "CPUID.1.0.ECX[19]"),
        ("SSE4-2", "CPUID.1.0.ECX[20]"),
        ("invpcid", "CPUID.7.0.EBX[10]"),
        ("xen:NO_FPU_SEL", "CPUID.7.0.EBX[13]"),
        ("libvirt:ssbd", "CPUID.7.0.EDX[31]"),
        ("linux:SSBD", "CPUID.7.0.EDX[31]"),
        ("xen:IBRS", "CPUID.80000008.0.EBX[14]"),
        ("qemu:ibpb", "CPUID.80000008.0.EBX[12]"),
        ("fs-gs-base-ns", "CPUID.80000021.0.EAX[1]"),
        ("invtsc", "CPUID.80000007.0.EDX[8]"),
        ("xsaves", "CPUID.D.1.EAX[3]"),
        ("rdctl-no", "MSR.10A[0]"),
        ("RRSBA", "MSR.10A[19]"),
        ("MSR.10A[2]", "MSR.10A[2]"),
        ("its-no", "MSR.10A[62]"),
        ("vmx-ept", "MSR.48B[33]"),
        ("3dnow", "CPUID.80000001.0.EDX[31]"),
        ("CPUID.1.0.EBX[9]", "field CLFLUSH_SIZE"),
        ("CPUID.D.3.EBX[0]", "field XSTATE_OFFSET"),
        ("CPUID.7.0.EDX[17]", "reserved CPUID.7.0.EDX[17]"),
        ("0x345", "MSR 345H"),
        ("IA32_ARCH_CAPABILITIES", "MSR 10AH"),
    ] {
        assert_eq!(location(word), place, "{word}");
    }
}

#[test]
fn words_that_fit_two_things_list_them() {
    for (word, candidates) in [
        ("pae", &["CPUID.1.0.EDX[6]", "CPUID.80000001.0.EDX[6]"][..]),
        ("mba", &["CPUID.10.0.EBX[3]", "CPUID.80000008.0.EBX[6]", "CPUID.80000020.0.EBX[1]"]),
        ("fsrs", &["CPUID.7.1.EAX[11]", "CPUID.80000021.0.EAX[10]"]),
        ("hv-time", &["CPUID.40000003.0.EAX[1]", "CPUID.40000003.0.EAX[9]"]),
    ] {
        let Err(LookupError::Ambiguous(list)) = lookup(word) else { panic!("{word} is not ambiguous: {}", location(word)) };
        let mut places: Vec<String> = list.iter().flatten().map(|named| location(named.name())).collect();
        places.sort();
        assert_eq!(places, candidates, "{word}");
    }
    assert_eq!(location("PAE"), "CPUID.1.0.EDX[6]", "a canonical name, exactly as written, is never ambiguous");
}

#[test]
fn what_is_not_there_is_an_error_of_its_kind() {
    for (word, error) in [
        ("no-such-bit", LookupError::Unknown),
        ("", LookupError::Unknown),
        ("CPUID.7.0.EBX[32]", LookupError::BadLocation),
        ("CPUID.7.0.EFX[3]", LookupError::BadLocation),
        ("CPUID.", LookupError::BadLocation),
        ("MSR.10A[64]", LookupError::BadLocation),
        ("0xzz", LookupError::BadLocation),
        ("bsd:IBRS", LookupError::UnknownProject),
        ("linux:zero-fcs", LookupError::Unknown),
    ] {
        assert_eq!(lookup(word), Err(error), "{word}");
    }
    assert_eq!(nearest("avx51f")[0], Some("AVX512F"));
    assert!(nearest("pdmc").contains(&Some("PDCM")));
    assert_eq!(nearest("completely different"), [None; 5]);
}

#[test]
fn every_canonical_name_finds_its_own_row() {
    for feature in Feature::all() {
        assert_eq!(lookup(feature.name()), Ok(Found::Named(Named::Feature(feature))), "{feature}");
        assert_eq!(Feature::at_location(feature.location()).map(Feature::location), Some(feature.location()));
    }
}

#[test]
fn every_spelling_finds_its_row_or_lists_it() {
    for feature in Feature::all() {
        for (project, word) in feature.text().names {
            let pinned = format!("{}:{word}", project.name());
            match lookup(&pinned) {
                Ok(Found::Named(Named::Feature(found))) => assert_eq!(found, feature, "{pinned}"),
                Err(LookupError::Ambiguous(list)) => assert!(list.contains(&Some(Named::Feature(feature))), "{pinned}"),
                other => panic!("{pinned}: {other:?}"),
            }
        }
    }
}

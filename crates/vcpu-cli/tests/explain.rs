//! `vcpu explain`: one page for all spellings, and what happens to words that name nothing or several things.

mod common;

use common::vcpu;
use serde_json::Value;

fn explain(word: &str, code: i32) -> Value {
    vcpu(&["explain", "--json", word]).json_with(code)
}

#[test]
fn all_spellings_give_the_same_page() {
    for words in [
        &["SSE3", "pni", "linux:XMM3", "CPUID.1.0.ECX[0]", "cpuid.1.ecx[0]", " sse3 "][..],
        &["RDCL_NO", "MSR.10A[0]", "MSR 0x10a[0]"],
        &["0x10a", "IA32_ARCH_CAPABILITIES", "ia32_arch_capabilities", "MSR.10A"],
        &["CLFLUSH_SIZE", "CPUID.1.0.EBX[8]", "CPUID.1.EBX[15]"],
    ] {
        let pages: Vec<String> = words.iter().map(|word| vcpu(&["explain", word]).stdout).collect();
        assert!(!pages[0].is_empty());
        for (word, page) in words.iter().zip(&pages) {
            assert_eq!(page, &pages[0], "{word}");
        }
    }
}

#[test]
fn json_has_the_shape_of_the_contract() {
    let keys = ["schema", "kind", "name", "location", "names", "merge", "why", "requires", "required_by", "gates", "kvm", "cite"];
    for (word, kind, name, place) in [
        ("pni", "feature", "SSE3", "CPUID.1.0.ECX[0]"),
        ("PHYS_ADDR_BITS", "field", "PHYS_ADDR_BITS", "CPUID.80000008.0.EAX[7:0]"),
        ("0x10a", "msr", "IA32_ARCH_CAPABILITIES", "MSR.10A"),
        ("0x48", "msr", "MSR.48", "MSR.48"),
        ("CPUID.1.0.EDX[10]", "reserved", "reserved", "CPUID.1.0.EDX[10]"),
        ("CPUID.55.0.EDX[10]", "reserved", "reserved", "CPUID.55.0.EDX[10]"),
    ] {
        let page = explain(word, 0);
        for key in keys {
            assert!(page.get(key).is_some(), "{word}: {key}");
        }
        assert_eq!(page["schema"], "vcpu.explain/1");
        assert_eq!((&page["kind"], &page["name"], &page["location"]), (&kind.into(), &name.into(), &place.into()), "{word}");
    }
    let page = explain("pni", 0);
    assert_eq!(page["names"]["qemu"], "pni");
    assert_eq!(page["merge"], "and");
    assert!(page["requires"].as_array().unwrap().contains(&"SSE2".into()), "{page}");
    assert!(page["required_by"].as_array().unwrap().contains(&"SSSE3".into()), "{page}");
}

#[test]
fn the_page_in_the_readme_is_what_is_printed() {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once("$ vcpu explain '").unwrap();
    let (word, rest) = rest.split_once("'\n").unwrap();
    let (page, _) = rest.split_once("  ...\n").unwrap();
    assert!(vcpu(&["explain", word]).stdout.starts_with(page));
}

#[test]
fn prerequisites_are_told_with_all_steps() {
    let page = explain("AVX512_VBMI", 0);
    for name in ["AVX512F", "AVX2", "AVX", "XSAVE"] {
        assert!(page["requires_all"].as_array().unwrap().contains(&name.into()), "{name}: {page}");
    }
    for one in page["requires_because"].as_array().unwrap() {
        assert!(matches!(one["kind"].as_str(), Some("architectural" | "policy")), "{one}");
        assert_ne!(one["because"], "", "{one}");
    }
}

#[test]
fn ambiguous_words_list_what_they_may_mean() {
    let error = explain("mba", 2);
    assert_eq!(error["schema"], "vcpu.error/1");
    let candidates = error["candidates"].as_array().unwrap();
    assert!(candidates.len() >= 2, "{error}");
    for candidate in candidates {
        let word = candidate["spelling"].as_str().unwrap();
        assert_eq!(explain(word, 0)["name"], candidate["name"], "{word}");
    }
    let run = vcpu(&["explain", "mba"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(run.stderr.contains("several things") && run.stderr.contains("CPUID."), "{run:?}");
}

#[test]
fn unknown_words_list_what_is_near() {
    for (word, near) in [("avx512fp61", "AVX512_FP16"), ("MOVEB", "MOVBE")] {
        let error = explain(word, 2);
        assert!(common::has(&error["candidates"], &serde_json::json!({ "name": near })), "{word}: {error}");
        let run = vcpu(&["explain", word]);
        assert!(run.code == Some(2) && run.stderr.contains(near), "{run:?}");
    }
    for word in ["", "0xdead", "0xffffffffff", "nosuch:thing", "CPUID.1.0.EBX[32]", "CPUID.", "MSR.10A[64]", "\u{1b}[2J", "[", "é[13]"] {
        let run = vcpu(&["explain", word]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{word:?}: {run:?}");
        assert!(!run.stderr.contains('\u{1b}'), "{run:?}");
        assert_eq!(explain(word, 2)["schema"], "vcpu.error/1");
    }
}

//! What each format could not tell.

mod samples;

use cpu_dumps::read;
use cpuid_db::{Policy, Unrecorded};

fn policy(text: &str) -> Policy {
    read("x", text.as_bytes()).unwrap().remove(0).cpus.remove(0).policy
}

/// The unknown leaves as (leaf, subleaf).
fn leaves(text: &str) -> Vec<(u32, u32)> {
    let list = policy(text).unrecorded;
    let leaf = |place: &Unrecorded| match *place {
        Unrecorded::Cpuid { leaf, subleaf } => Some((leaf, subleaf)),
        Unrecorded::Msr { .. } => None,
    };
    list.as_slice().iter().filter_map(leaf).collect()
}

fn is_msr_unknown(text: &str, index: u32) -> bool {
    policy(text).unrecorded.contains(Unrecorded::Msr { index })
}

/// A report of an Intel CPU with this maximum leaf, OSXSAVE and XSAVE, and further lines.
fn aida(max: u32, lines: &[&str]) -> String {
    let head = format!("------[ Logical CPU #0 ]------\nCPUID 00000000: {max:08X}-756E6547-6C65746E-49656E69\n");
    format!("{head}CPUID 00000001: 000506E3-00000000-04000000-00000000\n{}\n", lines.join("\n"))
}

const LEAF_7: &str = "CPUID 00000007: 00000002-00000000-00000000-00000000";
const LEAF_D: &str = "CPUID 0000000D: 00000207-00000340-00000340-00000000";
const AVX: &str = "CPUID 0000000D: 00000100-00000240-00000000-00000000";

#[test]
fn aida_reports_without_subleaf_numbers_do_not_know_subleaves() {
    assert_eq!(leaves(&aida(7, &[LEAF_7])), [(7, 1), (7, 2)]);
    assert_eq!(leaves(&aida(0xd, &[LEAF_D])), [(0xd, 1), (0xd, 2), (0xd, 9)]);
    assert_eq!(leaves(&aida(0xd, &[LEAF_D, AVX])), [(0xd, 1), (0xd, 9)]);
}

#[test]
fn aida_reports_with_subleaf_numbers_leave_out_zeros() {
    let numbered = format!("{LEAF_7} [SL 00]");
    assert_eq!(leaves(&aida(0xd, &[&numbered, LEAF_D])), []);
}

#[test]
fn subleaves_that_the_cpu_does_not_announce_are_known_to_be_absent() {
    let plain = "CPUID 00000007: 00000000-00000000-00000000-00000000";
    assert_eq!(leaves(&aida(7, &[plain])), []);
    assert_eq!(leaves(&aida(6, &[LEAF_7])), [], "above the maximum leaf");
    assert_eq!(leaves(&aida(7, &[])), [], "an absent leaf is zero");
}

#[test]
fn leaves_without_their_feature_are_known_to_be_absent() {
    let report = aida(0x14, &["CPUID 00000014: 00000001-00000000-00000000-00000000"]);
    assert_eq!(leaves(&report), [(0xd, 1)], "no processor trace, no leaf 14H");
    let traced =
        aida(0x14, &["CPUID 00000007: 00000000-02000000-00000000-00000000", "CPUID 00000014: 00000001-00000000-00000000-00000000"]);
    assert_eq!(leaves(&traced), [(0xd, 1), (0x14, 1)]);
}

#[test]
fn lists_that_are_printed_line_by_line_are_complete() {
    let cache = |level: u32| format!("CPUID 00000004: 000001{level}1-00000000-00000000-00000000");
    assert_eq!(leaves(&aida(4, &[&cache(2), &cache(4)])), []);
    assert_eq!(leaves(&aida(4, &["CPUID 00000004: 00000000-00000000-00000000-00000000"])), []);
    assert_eq!(leaves(&aida(4, &[&cache(2)])), [(4, 1), (4, 2), (4, 3)], "one line is no list");
}

#[test]
fn cpuid_r_prints_every_leaf_that_the_cpu_announces() {
    let line =
        |leaf: u32, eax: u32, ecx: u32| format!("   0x{leaf:08x} 0x00: eax=0x{eax:08x} ebx=0x00000000 ecx=0x{ecx:08x} edx=0x00000000\n");
    let whole = format!("CPU:\n{}{}{}{}", line(0, 3, 0), line(1, 0, 0), line(2, 0, 0), line(3, 0, 0));
    assert_eq!(leaves(&whole), []);
    let cut = whole.replace(&line(2, 0, 0), "");
    assert_eq!(leaves(&cut), [(2, 0)]);
    let text = format!("CPU:\n{}{}", line(0, 7, 0), line(7, 1, 0));
    assert!(leaves(&text).contains(&(7, 1)) && !leaves(&text).contains(&(7, 2)), "7.0.EAX announces 7.1");
}

#[test]
fn libvirt_knows_every_leaf() {
    let text = "<cpudata arch='x86'><cpuid eax_in='0x0' ecx_in='0x0' eax='0xd' ebx='0x0' ecx='0x0' edx='0x0'/><cpuid eax_in='0x7' ecx_in='0x0' eax='0x2' ebx='0x0' ecx='0x0' edx='0x0'/></cpudata>";
    assert_eq!(leaves(text), []);
}

#[test]
fn libcpuid_raw_knows_only_its_tables() {
    let entry = |name: &str, eax: u32, ecx: u32| format!("{name}={eax:08x} 00000000 {ecx:08x} 00000000\n");
    let text = [
        entry("basic_cpuid[0]", 0x20, 0),
        entry("basic_cpuid[1]", 0, 1 << 26),
        entry("basic_cpuid[7]", 1, 0),
        entry("basic_cpuid[13]", 7, 0),
        entry("ext_cpuid[0]", 0x8000_0021, 0),
    ]
    .concat();
    let unknown = leaves(&text);
    for place in [(7, 1), (0xd, 1), (0xd, 2), (0x8000_0021, 0)] {
        assert!(unknown.contains(&place), "{place:x?} in {unknown:x?}");
    }
    assert!(!unknown.contains(&(7, 2)), "not announced");
    assert!(!unknown.contains(&(0x8000_0022, 0)), "above the maximum");
}

#[test]
fn libcpuid_raw_does_not_know_the_leaves_of_centaur() {
    let leaf_0 = ["746e6543 736c7561 48727561", "68532020 20206961 68676e61", "756e6547 6c65746e 49656e69"];
    for (vendor, unknown) in leaf_0.into_iter().zip([true, true, false]) {
        let text = format!("basic_cpuid[0]=00000000 {vendor}\n");
        assert_eq!(leaves(&text).contains(&(0xc000_0001, 0)), unknown, "{vendor}");
    }
}

#[test]
fn feature_msrs_are_unknown_unless_cpuid_says_that_they_do_not_exist() {
    let announced = aida(7, &["CPUID 00000007: 00000000-00000000-00000000-20000000"]);
    assert!(is_msr_unknown(&announced, 0x10a));
    assert!(!is_msr_unknown(&aida(7, &[LEAF_7]), 0x10a), "7.0.EDX[29] is 0");
    let vmx = "------[ Logical CPU #0 ]------\nCPUID 00000000: 00000001-756E6547-6C65746E-49656E69\nCPUID 00000001: 00000000-00000000-00000020-00000000\n";
    assert!(is_msr_unknown(vmx, 0x480));
    assert!(is_msr_unknown(vmx, 0x48b), "what gates it is itself unknown");
    assert!(!is_msr_unknown(&aida(1, &[]), 0x48b), "no VMX, no VMX capabilities");
}

#[test]
fn an_msr_that_is_recorded_or_cannot_be_read_is_known() {
    let announced = "CPUID 00000007: 00000000-00000000-00000000-20000000";
    assert!(!is_msr_unknown(&aida(7, &[announced, "MSR 0000010A: 0000-0000-0000-0000"]), 0x10a));
    assert!(!is_msr_unknown(&aida(7, &[announced, "MSR 0000010A: < FAILED >"]), 0x10a));
}

#[test]
fn firecracker_knows_every_msr() {
    let bitmap = |register: &str, value: u32| format!(r#"{{"register": "{register}", "bitmap": "0b{value:032b}"}}"#);
    let leaf = |leaf: u32, edx: u32| {
        let registers = [bitmap("eax", 7), bitmap("ebx", 0), bitmap("ecx", 0), bitmap("edx", edx)].join(",");
        format!(r#"{{"leaf": "0x{leaf:x}", "subleaf": "0x0", "modifiers": [{registers}]}}"#)
    };
    let text = format!(r#"{{"guest_cpu_config": {{"cpuid_modifiers": [{}, {}]}}}}"#, leaf(0, 0), leaf(7, 1 << 29));
    assert!(policy(&text).unrecorded.as_slice().is_empty());
}

#[test]
fn msrs_of_a_file_without_cpuid_are_known() {
    for text in [samples::CLOUD_HYPERVISOR_MSRS, samples::MSR_CSV] {
        assert!(!is_msr_unknown(text, 0x10a), "{text}");
        assert!(leaves(text).contains(&(7, 0)), "{text}");
    }
    assert!(is_msr_unknown(samples::CLOUD_HYPERVISOR_MSRS, 0x345), "a profile lists some MSRs");
    assert!(!is_msr_unknown(samples::MSR_CSV, 0x345), "the tool tries every MSR");
}

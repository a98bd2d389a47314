//! Every format, and every trap of the files that people have: one named test each.

mod samples;

use cpu_dumps::{CoreType, Cpu, Format, Machine, detect, read};
use cpuid_db::{Basis, Registers};

type Answer = (u32, u32, [u32; 4]);

fn machine(text: &str) -> Machine {
    let mut machines = read("dir/name.ext", text.as_bytes()).unwrap();
    assert_eq!(machines.len(), 1);
    machines.remove(0)
}

fn answers(cpu: &Cpu) -> Vec<Answer> {
    let answer = |entry: &cpuid_db::CpuidEntry| {
        let Registers { eax, ebx, ecx, edx } = entry.registers;
        (entry.leaf, entry.subleaf, [eax, ebx, ecx, edx])
    };
    cpu.policy.cpuid.entries().iter().map(answer).collect()
}

/// The subleaves of one leaf and their EAX in CPU 0.
fn subleaves(text: &str, leaf: u32) -> Vec<(u32, u32)> {
    let machine = machine(text);
    machine.cpus[0].policy.cpuid.leaf(leaf).iter().map(|entry| (entry.subleaf, entry.registers.eax)).collect()
}

fn numbers(machine: &Machine) -> Vec<u32> {
    machine.cpus.iter().map(|cpu| cpu.number).collect()
}

const ZERO: &str = "CPUID 00000000: 0000000D-756E6547-6C65746E-49656E69\n";

fn aida(lines: &str) -> String {
    format!("------[ Logical CPU #0 ]------\n{ZERO}{lines}")
}

#[test]
fn every_sample_is_detected_and_read() {
    for (format, text) in samples::SAMPLES {
        assert_eq!(detect(text.as_bytes()), Some(format));
        let machine = machine(text);
        assert_eq!(machine.format, format);
        assert_eq!(machine.cpus.len(), 1, "{format}");
        assert_eq!(machine.cpus[0].policy.vendor(), cpuid_db::Vendor::Intel, "{format}");
        assert_eq!(machine.cpus[0].policy.basis, machine.basis, "{format}");
    }
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    for (format, text) in samples::SAMPLES {
        let changed = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        assert_eq!(read("dir/name.ext", changed.as_bytes()).unwrap(), [machine(text)], "{format}");
    }
}

#[test]
fn the_name_is_the_file_name_without_directory_and_extension() {
    let names = [("a/b/c.d.txt", "c.d"), ("c", "c"), ("-", "-"), (".hidden", ".hidden"), ("C:\\dumps\\e.txt", "e")];
    for (file, name) in names {
        assert_eq!(read(file, samples::CPUID_R.as_bytes()).unwrap()[0].name, name);
    }
}

#[test]
fn provenance_is_what_the_file_says() {
    let machine = machine(samples::FIRECRACKER);
    assert_eq!(machine.provenance.tool.as_deref(), Some("Firecracker 1.0.0"));
    assert_eq!(machine.provenance.kernel.as_deref(), Some("6.1"));
    assert_eq!(machine.provenance.microcode.as_deref(), Some("0x1"));
    assert_eq!(machine.basis, Basis::Recorded);
    let raw = self::machine(samples::LIBCPUID_RAW);
    assert_eq!(raw.provenance.tool.as_deref(), Some("libcpuid 0.6.5"));
    assert_eq!(raw.basis, Basis::Raw);
}

// AIDA64 family.

#[test]
fn all_headings_count_from_zero() {
    let headings = [
        ("------[ Logical CPU #0 ]------", "------[ Logical CPU #1 ]------"),
        ("------[ CPUID Registers / Logical CPU #0 ]------", "------[ CPUID Registers / Logical CPU #1 Virtual ]------"),
        ("CPUID Registers (CPU #1):", "CPUID Registers (CPU #2 Virtual):"),
        ("CPU#000 AffMask: 0x0000000000000001", "CPU#001 AffMask: 0x0000000000000002"),
        ("CPU#000 AffMask: 0x0000000000000000:0x0000000000000001", "CPU#0001 AffMask: 0x0000000000000001:0x0000000000000001"),
    ];
    for (first, second) in headings {
        let machine = machine(&format!("{first}\n{ZERO}\n{second}\n{ZERO}"));
        assert_eq!(machine.format, Format::Aida);
        assert_eq!(numbers(&machine), [0, 1], "{first}");
    }
}

#[test]
fn a_cpu_number_that_every_heading_repeats_is_kept() {
    let text = format!("CPU#000 AffMask: 0x1\n{ZERO}CPU#000 AffMask: 0x2\n{ZERO}");
    assert_eq!(numbers(&machine(&text)), [0, 0]);
}

#[test]
fn headings_without_data_are_dropped() {
    let text = format!(
        "------[ Logical CPU #0 ]------\n{ZERO}------[ Logical CPU #1 ]------\n------[ Logical CPU #2 ]------\n{ZERO}------[ Logical CPU #3 ]------\n"
    );
    assert_eq!(numbers(&machine(&text)), [0, 2]);
}

#[test]
fn the_colon_is_optional_and_blanks_vary() {
    for separator in [": ", " ", "  ", "  \t", ":\t", ":"] {
        let text = aida(&format!("CPUID 00000002{separator}00000001-00000002-00000003-0000000f\n"));
        assert_eq!(answers(&machine(&text).cpus[0])[1], (2, 0, [1, 2, 3, 15]), "{separator:?}");
    }
}

#[test]
fn comments_are_ignored_even_when_unbalanced() {
    for comment in ["[]", "[L1D: 16 KB / L1I: 64 KB]", "[L2: 2048 KB] / L3: 0 KB]", "[SL 00] [x87]", "[SL 00]", "[", "[SL00"] {
        let text = aida(&format!("CPUID 00000002: 00000001-00000002-00000003-00000004 {comment}\n"));
        assert_eq!(subleaves(&text, 2), [(0, 1)], "{comment}");
    }
}

#[test]
fn comments_may_hold_bytes_that_are_not_ascii() {
    let mut bytes = aida("CPUID 00000002: 00000001-00000002-00000003-00000004 [").into_bytes();
    bytes.extend(b"\xae\xff]\n");
    assert_eq!(answers(&read("x", &bytes).unwrap()[0].cpus[0]).len(), 2);
}

#[test]
fn subleaves_are_hexadecimal() {
    let text = aida("CPUID 0000000D: 00000080-00000340-00000000-00000000 [SL 3E]\n");
    assert_eq!(subleaves(&text, 0xd), [(62, 0x80)]);
}

#[test]
fn repeated_lines_of_lists_are_counted() {
    for leaf in ["00000004", "0000000B", "8000001D"] {
        let line = |eax| format!("CPUID {leaf}: 0000000{eax}-00000000-00000000-00000000\n");
        let text = aida(&format!("{}{}{}", line(1), line(2), line(2)));
        let leaf = u32::from_str_radix(leaf, 16).unwrap();
        assert_eq!(subleaves(&text, leaf), [(0, 1), (1, 2), (2, 2)]);
    }
}

#[test]
fn repeated_lines_of_leaf_0dh_are_told_by_the_place_of_the_avx_state() {
    let (first, second, avx) = (
        "CPUID 0000000D: 00000007-00000340-00000340-00000000\n",
        "CPUID 0000000D: 0000000F-00000350-00000000-00000000\n",
        "CPUID 0000000D: 00000100-00000240-00000000-00000000\n",
    );
    assert_eq!(subleaves(&aida(&[first, avx].concat()), 0xd), [(0, 7), (2, 0x100)]);
    assert_eq!(subleaves(&aida(&[first, second, avx].concat()), 0xd), [(0, 7), (1, 0xf), (2, 0x100)]);
}

#[test]
fn the_same_answer_may_be_given_twice() {
    let line = "CPUID 00000007: 00000000-00000001-00000000-00000000";
    assert_eq!(subleaves(&aida(&format!("{line}\n{line} []\n")), 7), [(0, 0)]);
    assert_eq!(subleaves(&aida(&format!("{line} [SL 00]\n{line} [SL 00]\n")), 7), [(0, 0)]);
}

#[test]
fn order_of_lines_is_free() {
    let text = format!("------[ Logical CPU #0 ]------\nCPUID 00000001: 000506E3-00000000-00000000-00000000\n{ZERO}");
    assert_eq!(machine(&text).cpus[0].policy.signature().to_string(), "6-94-3");
}

#[test]
fn leaves_above_the_maximum_are_kept_but_out_of_range() {
    let text = aida("CPUID 8FFFFFFF: 00000001-00000002-00000003-00000004\n");
    let cpu = &machine(&text).cpus[0];
    assert_eq!(answers(cpu).len(), 2);
    assert!(!cpu.policy.cpuid.in_range(0x8fff_ffff));
}

#[test]
fn other_lines_of_a_report_are_skipped() {
    let text = format!(
        "CPUID Manufacturer: GenuineIntel\nCPUID CPU Name    : Invented\n------[ Versions ]------\nProgram: x\n\
         ------[ Logical CPU #0 ]------\n\nallcpu: Package 0 / Core 0 / Thread 0: Valid\n\n{ZERO}\n------[ End ]------\n"
    );
    assert_eq!(answers(&machine(&text).cpus[0]).len(), 1);
}

#[test]
fn msr_lines_belong_to_the_first_cpu() {
    let text = aida(
        "------[ MSR Registers ]------\nMSR 0000010A: 0000-0001-0000-002B [x]\nMSR 00000345: < FAILED >\nMSR 0000001B: 0000-0000-FEE0-0900\n",
    );
    let cpu = &machine(&text).cpus[0];
    assert_eq!(cpu.msrs.iter().map(|msr| (msr.index, msr.value)).collect::<Vec<_>>(), [(0x1b, 0xfee0_0900), (0x10a, 0x1_0000_002b)]);
    assert_eq!(cpu.policy.msrs.get(0x10a), Some(0x1_0000_002b));
    assert_eq!(cpu.policy.msrs.get(0x1b), None, "not a feature MSR");
}

#[test]
fn expected_values_of_libcpuid_are_not_read() {
    let end = "-".repeat(80);
    let text = aida(&format!("{end}\nx86\nx86-64-v3\n{end}\nCPUID damaged\n"));
    assert_eq!(machine(&text).cpus.len(), 1);
    let raw = format!("{}{end}\nx86\n", samples::LIBCPUID_RAW);
    assert_eq!(machine(&raw).cpus.len(), 1);
}

// libcpuid raw.

#[test]
fn raw_dumps_need_no_heading() {
    let text = "basic_cpuid[0]=00000001 00000000 00000000 00000000\nbasic_cpuid[1]=00000001 00000002 00000003 00000004\n";
    assert_eq!(answers(&machine(text).cpus[0]), [(0, 0, [1, 0, 0, 0]), (1, 0, [1, 2, 3, 4])]);
}

#[test]
fn raw_entries_above_the_maximum_are_copies_and_dropped() {
    let text = "\
basic_cpuid[0]=00000001 00000000 00000000 00000000
basic_cpuid[1]=00000001 00000002 00000003 00000004
basic_cpuid[2]=00000001 00000002 00000003 00000004
ext_cpuid[0]=00000001 00000002 00000003 00000004
ext_cpuid[1]=00000001 00000002 00000003 00000004
intel_fn4[0]=00000001 00000002 00000003 00000004
";
    assert_eq!(answers(&machine(text).cpus[0]), [(0, 0, [1, 0, 0, 0]), (1, 0, [1, 2, 3, 4])]);
}

#[test]
fn raw_lists_end_with_their_terminator() {
    let text = "\
basic_cpuid[0]=0000000b 00000000 00000000 00000000
basic_cpuid[4]=00000121 00000000 00000000 00000000
intel_fn4[0]=00000121 00000000 00000000 00000000
intel_fn4[1]=00000000 00000000 00000000 00000000
intel_fn4[2]=00000000 00000000 00000000 00000000
intel_fn11[0]=00000001 00000002 00000100 00000000
intel_fn11[1]=00000004 00000004 00000201 00000000
intel_fn11[2]=00000000 00000000 00000002 00000000
intel_fn11[3]=00000000 00000000 00000003 00000000
";
    assert_eq!(subleaves(text, 4), [(0, 0x121), (1, 0)]);
    assert_eq!(subleaves(text, 0xb), [(0, 1), (1, 4), (2, 0)]);
}

#[test]
fn raw_live_dumps_have_versions_and_blank_lines() {
    let text = format!("version=0.7.0\nbuild_date=Jan  1 2024\n{}", samples::LIBCPUID_RAW.replace("version=0.6.5\n", ""));
    let two = format!("{text}\n_________________ Logical CPU #1 _________________\nbasic_cpuid[0]=00000000 00000000 00000000 00000000\n");
    assert_eq!(numbers(&machine(&two)), [0, 1]);
}

// cpuid -r, libvirt, Firecracker.

#[test]
fn cpuid_r_without_number_is_cpu_zero() {
    let text = samples::CPUID_R.replace("CPU 0:", "CPU:");
    assert_eq!(numbers(&machine(&text)), [0]);
}

#[test]
fn echoed_ranges_announce_nothing() {
    let echo = "eax=0x00000000 ebx=0x00070001 ecx=0x00000000 edx=0x00000000";
    let ranges = [0x2000_0000_u32, 0x4000_0100, 0x8086_0000, 0xc000_0000];
    let lines: Vec<String> = ranges.iter().map(|leaf| format!("   0x{leaf:08x} 0x00: {echo}\n")).collect();
    let cpu = &machine(&format!("{}{}", samples::CPUID_R, lines.concat())).cpus[0];
    for leaf in ranges {
        assert!(cpu.policy.cpuid.get(leaf, 0).is_some(), "kept as printed");
        assert!(!cpu.policy.cpuid.in_range(leaf), "{leaf:x}");
    }
}

#[test]
fn decoded_output_of_cpuid_is_not_taken_for_the_raw_one() {
    let text = "CPU 0:\n   vendor_id = \"GenuineIntel\"\n   0x00000003 0x00: eax=0x00000000 ebx=0x00000000 ecx=0x00000000 edx=0x00000000\n";
    assert_eq!(detect(text.as_bytes()), None);
}

#[test]
fn libvirt_msrs_are_high_word_first() {
    let text = samples::LIBVIRT.replace("edx='0x00000000' eax='0x0000002b'", "edx='0x00000001' eax='0x0000002b'");
    let cpu = &machine(&text).cpus[0];
    assert_eq!(cpu.policy.msrs.get(0x10a), Some(0x1_0000_002b));
    assert_eq!(cpu.msrs.len(), 1);
}

#[test]
fn other_xml_and_json_is_not_detected() {
    for text in ["<html><cpu/></html>", "<a/>", "{}", r#"{"schema":"vcpu.show/1"}"#, "[]", "<", "{", ""] {
        assert_eq!(detect(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn firecracker_without_wrapper_is_read_too() {
    let text = r#"{"msr_modifiers": [], "cpuid_modifiers": [{"leaf": "0x1", "subleaf": "0x0", "modifiers": [
        {"register": "edx", "bitmap": "0b10000000000000000000000000000001"},
        {"register": "ecx", "bitmap": "0b00000000000000000000000000000001"},
        {"register": "ebx", "bitmap": "0b00000000000000000000000000000010"},
        {"register": "eax", "bitmap": "0b00000000000000000000000000000011"}]}]}"#;
    assert_eq!(answers(&machine(text).cpus[0]), [(1, 0, [3, 2, 1, 0x8000_0001])]);
}

// Hybrid machines.

fn hybrid(edx_7: u32, leaf_1a: u32, caches: &[u32]) -> Option<CoreType> {
    let caches = caches.iter().map(|eax| format!("CPUID 00000004: {eax:08X}-00000000-00000000-00000000\n"));
    let text = format!(
        "------[ Logical CPU #0 ]------\n\
         CPUID 00000000: 0000001A-756E6547-6C65746E-49656E69\n\
         CPUID 00000007: 00000000-00000000-00000000-{edx_7:08X}\n\
         CPUID 0000001A: {leaf_1a:08X}-00000000-00000000-00000000\n{}",
        caches.collect::<Vec<_>>().concat()
    );
    machine(&text).cpus[0].core_type
}

#[test]
fn core_types_follow_leaf_1ah_on_hybrid_parts_only() {
    let (flag, level_2, level_3) = (1 << 15, 0x143, 0x163);
    let cases: [(u32, u32, &[u32], Option<CoreType>); 6] = [
        (flag, 0x4000_0001, &[level_2, level_3], Some(CoreType::Performance)),
        (flag, 0x2000_0001, &[level_2, level_3], Some(CoreType::Efficiency)),
        (flag, 0x2000_0001, &[level_2, 0x122], Some(CoreType::LowPower)),
        (flag, 0x2000_0001, &[], Some(CoreType::Efficiency)),
        (flag, 0x1000_0001, &[], None),
        (0, 0x2000_0001, &[level_2, level_3], None),
    ];
    for (edx, leaf, caches, kind) in cases {
        assert_eq!(hybrid(edx, leaf, caches), kind, "{edx:x} {leaf:x} {caches:x?}");
    }
}

#[test]
fn core_types_of_amd_follow_leaf_80000026h() {
    let cases = [(0x4000_0001, 0, Some(CoreType::Performance)), (0x4000_0001, 1 << 28, Some(CoreType::Efficiency)), (1, 1 << 28, None)];
    for (eax, ebx, kind) in cases {
        let text = format!(
            "------[ Logical CPU #0 ]------\n{ZERO}CPUID 80000000: 80000028-00000000-00000000-00000000\nCPUID 80000026: {eax:08X}-{ebx:08X}-00000100-00000000 [SL 00]\n"
        );
        assert_eq!(machine(&text).cpus[0].core_type, kind);
    }
}

//! Traps that other projects fell into with files of CPUID and MSRs: one named test each, for all formats at once where it can be.
//!
//! | trap | test |
//! |---|---|
//! | masks that touch another register than they say | `a_difference_touches_the_bits_that_differ_and_no_others` |
//! | unknown bits cut off in silence | `bits_that_nobody_has_named_are_kept` |
//! | the last leaf left out, or one read too many | `the_maximum_leaf_is_itself_a_leaf` |
//! | loops as long as the CPU says | `counts_that_a_cpu_announces_are_not_believed` |
//! | missing taken for zero | `a_leaf_of_zeros_is_not_an_absent_leaf`, `an_absent_subleaf_is_not_zero_where_the_tool_did_not_ask` |
//! | scans that depend on the order of entries | `the_order_of_leaves_does_not_matter` |
//! | errors without data | `errors_carry_the_offender` |
//! | the running host read in a conversion | `nothing_is_asked_of_the_machine_that_converts` |
//! | values with open bits compared by value only | `states_are_compared_with_the_bits_that_they_leave_open`, `a_bitmap_that_looks_hexadecimal_is_none` |
//! | formats without version or provenance | `a_document_without_version_is_refused`, `a_format_without_provenance_loses_it_aloud` |
//! | documents of a format that drift from its reader | `the_documented_keys_are_the_ones_that_are_skipped`; `documented.rs` |
//! | results changed afterwards without a word | `what_a_reader_adds_to_what_was_written_is_listed` |
//! | partial answers taken for whole ones | `a_cut_list_is_not_a_shorter_list` |
//! | tables with room for 256 entries | `tables_of_kvm_size_are_read_and_larger_ones_are_refused_aloud` |
//! | strings borrowed from the input | `strings_with_escapes_are_read_like_others` |
//! | tables of one vendor applied to another | `a_vendor_is_not_taken_for_another` |
//! | a stream given up at the first error | `a_stream_goes_on_after_a_damaged_document`, `every_json_format_streams_as_lines_and_as_documents` |
//! | decimal and hexadecimal confused | `numbers_of_subleaves_are_read_in_the_base_of_their_format` |
//!
//! Traps of Rust APIs and of KVM's calls (`Default` that asks the hardware, lost results, `ignore_msrs`) touch no format.

mod samples;

use std::fmt::Write;

use cpu_dumps::{Bits, CpuidRule, Format, Lost, Machine, Target, Template, documents, limits, lines, read, read_template, write};
use cpuid_db::{Feature, Register, Registers, Unrecorded, UnrecordedList};

fn machine(text: &str) -> Machine {
    read("dir/name.ext", text.as_bytes()).unwrap().remove(0)
}

/// A machine with these leaves, in every format with registers that this crate writes; each written file is read again.
fn in_every_format(leaves: &[(u32, u32, Registers)]) -> Vec<(Target, Machine)> {
    let mut machine = machine(samples::CPUID_R);
    for (leaf, subleaf, registers) in leaves {
        machine.cpus[0].policy.cpuid.insert(*leaf, *subleaf, *registers).unwrap();
    }
    let again = |target| read("a", write(&machine, target).unwrap().parts[0].text.as_bytes()).unwrap().remove(0);
    Target::ALL.into_iter().filter(|target| target.has_registers()).map(|target| (target, again(target))).collect()
}

#[test]
fn bits_that_nobody_has_named_are_kept() {
    let all = Registers::new(u32::MAX, u32::MAX, u32::MAX, u32::MAX);
    for (target, machine) in in_every_format(&[(0x7777, 0, all), (7, 0, all)]) {
        assert_eq!(machine.cpus[0].policy.cpuid.get(7, 0), Some(all), "{target}");
        assert_eq!(machine.cpus[0].policy.cpuid.get(0x7777, 0), Some(all), "{target}");
    }
}

#[test]
fn the_maximum_leaf_is_itself_a_leaf() {
    for (target, machine) in in_every_format(&[(7, 0, Registers::new(0, 1, 0, 0))]) {
        assert!(machine.cpus[0].policy.cpuid.in_range(7), "{target}");
        assert!(machine.cpus[0].policy.features().contains(Feature::FSGSBASE), "{target}: the sample's maximum is 7");
    }
}

#[test]
fn a_leaf_of_zeros_is_not_an_absent_leaf() {
    for (target, machine) in in_every_format(&[(5, 0, Registers::ZERO)]) {
        assert_eq!(machine.cpus[0].policy.cpuid.get(5, 0), Some(Registers::ZERO), "{target}");
        assert_eq!(machine.cpus[0].policy.cpuid.get(6, 0), None, "{target}");
    }
}

#[test]
fn counts_that_a_cpu_announces_are_not_believed() {
    // As many subleaves as a register can say, in every leaf that says so.
    let most = Registers::new(u32::MAX, u32::MAX, u32::MAX, u32::MAX);
    let leaves = [7, 0xd, 0x10, 0x14, 0x18, 0x1d, 0x8000_001d, 0x8000_0026].map(|leaf| (leaf, 0, most));
    for (target, machine) in in_every_format(&leaves) {
        assert!(machine.cpus[0].policy.unrecorded.as_slice().len() < 100, "{target}");
    }
}

#[test]
fn an_absent_subleaf_is_not_zero_where_the_tool_did_not_ask() {
    let text = samples::KCPUID.replace("0x00000000: EAX=0x00000007", "0x00000000: EAX=0x00000024");
    let leaf = "0x00000024: EAX=0x00000001, EBX=0x00000002, ECX=0x00000000, EDX=0x00000000\nExtended Leafs";
    let text = text.replace("Extended Leafs", leaf);
    let gated = text.replace(
        "  1: EAX=0x00000010, EBX=0x00000000, ECX=0x00000000, EDX=0x00000000",
        "  1: EAX=0x00000010, EBX=0x00000000, ECX=0x00000000, EDX=0x00080000",
    );
    let policy = &machine(&gated).cpus[0].policy;
    assert!(policy.unrecorded.contains(Unrecorded::Cpuid { leaf: 0x24, subleaf: 1 }), "{:?}", policy.unrecorded);
}

#[test]
fn the_order_of_leaves_does_not_matter() {
    let mut lines: Vec<&str> = samples::CPUID_R.lines().skip(1).collect();
    lines.reverse();
    assert_eq!(machine(&format!("CPU 0:\n{}\n", lines.join("\n"))), machine(samples::CPUID_R));
    let mut rules: Vec<&str> =
        samples::CLOUD_HYPERVISOR.lines().filter(|line| line.starts_with("    [")).map(|line| line.trim_end_matches(',')).collect();
    rules.reverse();
    let reversed = format!("{{\"adjustments\": [{}]}}", rules.join(",\n"));
    assert_eq!(machine(&reversed), machine(samples::CLOUD_HYPERVISOR));
}

#[test]
fn errors_carry_the_offender() {
    let error = read("hosts/a.toml", b"[cpuid.a]\nvendor = \"amd\"\n\"7\" = [0, 0, 0, 0]\n\"7-0\" = [0, 0, 0, 0]\n").unwrap_err();
    assert_eq!(error.name, "hosts/a.toml");
    assert_eq!(error.problem, cpu_dumps::Problem::WithAndWithoutSubleaf { leaf: 7 });
    assert_eq!(error.place, cpu_dumps::Place::Line(4));
}

#[test]
fn states_are_compared_with_the_bits_that_they_leave_open() {
    let with = |bitmap: &str| {
        let text = samples::FIRECRACKER_TEMPLATE.replace("\"1x0\"", &format!("\"{bitmap}\""));
        read_template("a", text.as_bytes()).unwrap().cpuid[1].bits
    };
    assert_eq!((with("0b1x0"), with("1_x_0"), with("xxx1x0")), (Bits { filter: 5, value: 4 }, with("1x0"), with("1x0")));
    assert_ne!(with("1x0"), with("100"), "the values are the same");
}

#[test]
fn a_bitmap_that_looks_hexadecimal_is_none() {
    let text = samples::FIRECRACKER_TEMPLATE.replace("\"1x0\"", "\"0x1\"");
    assert_eq!(read_template("a", text.as_bytes()).unwrap().cpuid[1].bits, Bits { filter: 0b101, value: 0b001 });
}

#[test]
fn a_format_without_provenance_loses_it_aloud() {
    let machine = machine(samples::FIRECRACKER);
    for target in Target::ALL.into_iter().filter(|target| !matches!(target, Target::Dump | Target::Policy)) {
        let lost = write(&machine, target).unwrap().lost;
        for part in [Lost::Tool, Lost::Kernel, Lost::Microcode] {
            assert!(lost.contains(&part), "{target} {part}");
        }
    }
}

#[test]
fn strings_with_escapes_are_read_like_others() {
    // Readers that borrow strings from the input fail here, and on streams.
    let cases = [
        (samples::CLOUD_HYPERVISOR, "\"0x0\"", "\"0\\u0078\\u0030\""),
        (samples::FIRECRACKER_DUMP, "\"eax\"", "\"\\u0065ax\""),
        (samples::DUMP, "\"0x00000007\"", "\"0\\u007800000007\""),
    ];
    for (text, plain, escaped) in cases {
        let changed = text.replace(plain, escaped);
        assert_ne!(changed, text);
        assert_eq!(machine(&changed), machine(text));
        let streamed: Vec<Machine> = documents("name", changed.as_bytes()).map(Result::unwrap).collect();
        assert_eq!(streamed[0].cpus, machine(text).cpus);
    }
}

#[test]
fn tables_of_kvm_size_are_read_and_larger_ones_are_refused_aloud() {
    let mut text = String::from("CPU:\n");
    text.push_str("   0x00000000 0x00: eax=0x000000ff ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69\n");
    for leaf in 1..limits::MAX_LEAVES {
        writeln!(text, "   0x{leaf:08x} 0x00: eax=0x000000ff ebx=0x00000000 ecx=0x00000000 edx=0x00000000").unwrap();
    }
    let machine = machine(&text);
    assert_eq!(machine.cpus[0].policy.cpuid.entries().len(), 256);
    for target in Target::ALL.into_iter().filter(|target| target.has_registers()) {
        let again = read("a", write(&machine, target).unwrap().parts[0].text.as_bytes()).unwrap();
        assert_eq!(again[0].cpus[0].policy.cpuid, machine.cpus[0].policy.cpuid, "{target}");
    }
    text.push_str("   0x00000100 0x00: eax=0x00000000 ebx=0x00000000 ecx=0x00000000 edx=0x00000000\n");
    assert_eq!(read("a", text.as_bytes()).unwrap_err().to_string(), "a:258: more than 256 leaves in one CPU");
}

#[test]
fn every_json_format_streams_as_lines_and_as_documents() {
    let json: Vec<(Format, &str)> = samples::SAMPLES.into_iter().filter(|(format, _)| format.is_json()).collect();
    assert_eq!(json.len(), 7);
    let fleet: String = json.iter().map(|(_, text)| text.replace('\n', " ") + "\n").collect();
    let formats: Vec<Format> = lines("fleet", fleet.as_bytes()).map(|machine| machine.unwrap().format).collect();
    assert_eq!(formats, json.iter().map(|(format, _)| *format).collect::<Vec<_>>());
    let concatenated: String = json.iter().map(|(_, text)| *text).collect();
    let again: Vec<Format> = documents("fleet", concatenated.as_bytes()).map(|machine| machine.unwrap().format).collect();
    assert_eq!(again, formats);
}

#[test]
fn a_stream_goes_on_after_a_damaged_document() {
    let text = format!("{}{{\"adjustments\": [\n7]}}\n{}{{\"a\"", samples::DUMP, samples::POLICY);
    let results: Vec<String> =
        documents("fleet", text.as_bytes()).map(|machine| machine.map_or_else(|error| error.to_string(), |machine| machine.name)).collect();
    let line = samples::DUMP.lines().count() + 2;
    let end = line + samples::POLICY.lines().count() + 1;
    let damaged = format!("fleet:{line}: adjustments[0]: invalid type: integer `7`, expected a list");
    assert_eq!(results, ["invented", &damaged, &format!("fleet:{line}"), &format!("fleet:{end}: EOF while parsing an object")]);
}

#[test]
fn numbers_of_subleaves_are_read_in_the_base_of_their_format() {
    let aida = "------[ Logical CPU #0 ]------\nCPUID 00000000: 0000000D-756E6547-6C65746E-49656E69\nCPUID 0000000D: 00000001-00000000-00000000-00000000 [SL 10]\n";
    assert_eq!(machine(aida).cpus[0].policy.cpuid.leaf(0xd)[0].subleaf, 16);
    let list = "  0: EAX=0x00000001, EBX=0x029c6fbf, ECX=0x00000000, EDX=0xbc000400\n 10: EAX";
    let kcpuid = samples::KCPUID.replace("  0: EAX=0x00000001, EBX=0x029c6fbf, ECX=0x00000000, EDX=0xbc000400\n  1: EAX", list);
    assert_eq!(machine(&kcpuid).cpus[0].policy.cpuid.leaf(7)[1].subleaf, 10);
    let propolis = samples::PROPOLIS_TOML.replace("7-1\"", "7-10\"");
    assert_eq!(machine(&propolis).cpus[0].policy.cpuid.leaf(7)[1].subleaf, 16);
}

#[test]
fn a_difference_touches_the_bits_that_differ_and_no_others() {
    let host = &machine(samples::CPUID_R).cpus[0].policy;
    let all = host.cpuid.entries().iter().flat_map(|entry| Register::ALL.map(|register| (entry.leaf, entry.subleaf, register)));
    for (leaf, subleaf, register) in all {
        for bit in 0..32 {
            let mut guest = host.clone();
            *guest.cpuid.get_mut(leaf, subleaf).unwrap().get_mut(register) ^= 1 << bit;
            let value = u64::from(guest.cpuid.register(leaf, subleaf, register) & 1 << bit);
            let bits = Bits { filter: 1 << bit, value };
            let (template, _) = Template::difference(&guest, host).unwrap();
            assert_eq!(template.cpuid, [CpuidRule { leaf, first: subleaf, last: subleaf, register, bits }]);
        }
    }
}

#[test]
fn nothing_is_asked_of_the_machine_that_converts() {
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            files += 1;
            for word in ["::arch", "__cpuid", "asm!", "std::fs", "std::env", "std::process"] {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
        }
    }
    assert!(files > 20);
}

#[test]
fn a_document_without_version_is_refused() {
    for text in [samples::DUMP, samples::POLICY] {
        for schema in ["", "\"schema\": \"vcpu.dump\",", "\"schema\": \"vcpu.dump/2\",", "\"schema\": 1,"] {
            let (before, rest) = text.split_once("\"schema\"").unwrap();
            let (_, after) = rest.split_once(',').unwrap();
            assert!(read("a", format!("{before}{schema}{after}").as_bytes()).is_err(), "{schema}");
        }
    }
}

#[test]
fn the_documented_keys_are_the_ones_that_are_skipped() {
    let page = include_str!("../../../docs/decisions/0011-formats.md");
    let (_, list) = page.split_once("say nothing which is not in the registers (").unwrap();
    let (list, _) = list.split_once(')').unwrap();
    let keys: Vec<&str> =
        list.split('`').filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !key.is_empty()).collect();
    assert_eq!(keys.len(), 7, "{keys:?}");
    for key in keys {
        let text = samples::DUMP.replacen("\"basis\"", &format!("\"{key}\": [], \"basis\""), 1);
        assert_eq!(machine(&text), machine(samples::DUMP), "{key}");
    }
}

#[test]
fn what_a_reader_adds_to_what_was_written_is_listed() {
    // A reader of `cpuid -r` takes announced leaves that are missing for unknown; the dump said that they are empty.
    let mut machine = machine(samples::DUMP);
    machine.cpus[0].policy.unrecorded = UnrecordedList::new();
    let written = write(&machine, Target::CpuidR).unwrap();
    let again = read("a", written.parts[0].text.as_bytes()).unwrap().remove(0);
    assert!(!again.cpus[0].policy.unrecorded.as_slice().is_empty());
    for place in again.cpus[0].policy.unrecorded.as_slice() {
        let is_value = matches!(place, Unrecorded::Msr { index } if machine.cpus[0].policy.msrs.get(*index).is_some());
        assert!(is_value || written.lost.contains(&Lost::Absence { cpu: 0, place: *place }), "{place:?}: {:?}", written.lost);
    }
}

#[test]
fn a_cut_list_is_not_a_shorter_list() {
    let table = samples::kvm_cpuid2();
    for length in 1..table.len() {
        assert!(read("a", &table[..length]).is_err(), "KVM's table of {length} bytes");
    }
    let list = samples::MSR_CSV.trim_end().as_bytes();
    assert!(read("a", list).is_err(), "the last line may have had more digits");
    for text in
        [samples::DUMP, samples::POLICY, samples::FIRECRACKER, samples::FIRECRACKER_DUMP, samples::CLOUD_HYPERVISOR, samples::LIBVIRT]
    {
        let text = text.trim_end();
        for length in 1..text.len() {
            assert!(read("a", &text.as_bytes()[..length]).is_err(), "{}", &text[..length]);
        }
    }
}

#[test]
fn a_vendor_is_not_taken_for_another() {
    // Leaf 8000_001DH is AMD's list of caches, leaf 4 Intel's: one says nothing about the other.
    let lists = [(4, 0, Registers::new(0x21, 1, 2, 3)), (0x8000_001d, 0, Registers::new(0x43, 4, 5, 6))];
    for (target, machine) in in_every_format(&lists) {
        for (leaf, subleaf, registers) in lists {
            assert_eq!(machine.cpus[0].policy.cpuid.get(leaf, subleaf), Some(registers), "{target}");
        }
    }
    let propolis = samples::PROPOLIS_TOML.replace("\"intel\"", "\"amd\"");
    assert!(read("a", propolis.as_bytes()).unwrap_err().to_string().contains("of the same vendor"), "{propolis}");
}

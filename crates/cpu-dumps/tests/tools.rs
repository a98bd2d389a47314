//! Formats with registers that other tools write: kcpuid, Firecracker's MSR list, Propolis, KVM's table. One named test per trap.

mod samples;

use samples::{machine, refused};

use cpu_dumps::{Cpu, Format, Machine, detect, read, read_as};
use cpuid_db::{Basis, Registers, Unrecorded, Vendor};

fn eax(cpu: &Cpu) -> Vec<(u32, u32, u32)> {
    cpu.policy.cpuid.entries().iter().map(|entry| (entry.leaf, entry.subleaf, entry.registers.eax)).collect()
}

fn is_unknown(machine: &Machine, leaf: u32, subleaf: u32) -> bool {
    machine.cpus[0].policy.unrecorded.contains(Unrecorded::Cpuid { leaf, subleaf })
}

// kcpuid.

#[test]
fn subleaves_of_kcpuid_are_decimal() {
    let line = " 10: EAX=0x0000000a, EBX=0x00000000, ECX=0x00000000, EDX=0x00000000\n";
    let text = samples::KCPUID.replace("  1: EAX=0x00000010,", &format!("{line}  12: EAX=0x00000010,"));
    let found = eax(&machine(&text).cpus[0]);
    assert!(found.contains(&(7, 10, 10)) && found.contains(&(7, 12, 0x10)), "{found:x?}");
}

#[test]
fn kcpuid_is_read_in_its_later_spelling_too() {
    let later = samples::KCPUID.replace("Leafs", "Leaves").replace("subleafs", "subleaves").replace("EAX", "eax").replace("EDX", "edx");
    assert_eq!(machine(&later), machine(samples::KCPUID));
    let bare: String = samples::KCPUID.lines().filter(|line| line.starts_with([' ', '0'])).flat_map(|line| [line, "\n"]).collect();
    assert_eq!(machine(&bare), machine(samples::KCPUID), "headings are for people");
}

#[test]
fn kcpuid_knows_the_subleaves_of_the_leaves_that_it_prints_as_lists() {
    let sgx = "0x00000014: EAX=0x00000001, EBX=0x00000001, ECX=0x00000000, EDX=0x00000000\n";
    let text = samples::KCPUID
        .replace("0x00000000: EAX=0x00000007", "0x00000000: EAX=0x00000014")
        .replace("EBX=0x029c6fbf", "EBX=0x0200_0000".replace('_', "").as_str())
        .replace("  0: EAX=0x00000001", "  0: EAX=0x00000002")
        .replace("Extended Leafs", &format!("{sgx}Extended Leafs"));
    let machine = machine(&text);
    assert!(!is_unknown(&machine, 7, 2), "asked, and left out because it reads zero");
    assert!(is_unknown(&machine, 0x14, 1), "not asked");
}

#[test]
fn a_subleaf_of_kcpuid_needs_its_leaf_and_its_order() {
    let text = samples::KCPUID;
    let list = "0x00000007: subleafs:\n";
    refused(&text.replace(list, ""), "a:5: the leaf of this subleaf is missing");
    refused(&text.replace("  1: EAX", "  0: EAX"), "a:7: subleaf 0 is out of order");
    refused(&text.replace("  0: EAX", "  2: EAX"), "a:6: subleaf 2 is out of order");
    let phrase = "expected 0x and a leaf of 8 hex digits, or a subleaf, and EAX= EBX= ECX= EDX=, found";
    refused(
        &text.replace(", EDX=0xbfebfbff", ""),
        &format!("a:4: {phrase} \"0x00000001: EAX=0x000506e3, EBX=0x00100800, ECX=0x7ffafbbf\""),
    );
    refused(
        &text.replace("EDX=0xbfebfbff", "EDX=0xbfeb"),
        &format!("a:4: {phrase} \"0x00000001: EAX=0x000506e3, EBX=0x00100800, ECX=0x7ffafbbf, ...\""),
    );
    refused(&text[..text.find("Extended").unwrap()], "a: the heading of the extended leaves is missing");
}

#[test]
fn decoded_output_of_kcpuid_is_not_taken_for_the_raw_one() {
    assert_eq!(detect(b"CPU features:\n=============\n\nCPUID_0x0_ECX[0x0]:\n\t EAX: 0x0000000d\n"), None);
}

// Firecracker's MSR list.

#[test]
fn an_msr_list_is_a_machine_of_which_only_msrs_are_known() {
    let machine = machine(samples::MSR_CSV);
    assert_eq!((machine.format, machine.basis), (Format::FirecrackerMsrCsv, Basis::Recorded));
    let cpu = &machine.cpus[0];
    assert_eq!(cpu.msrs.iter().map(|msr| (msr.index, msr.value)).collect::<Vec<_>>(), [(0, 0), (0x10a, 0x2b), (0xc000_0080, 0xd01)]);
    assert_eq!(cpu.policy.msrs.get(0x10a), Some(0x2b));
    assert!(is_unknown(&machine, 1, 0) && is_unknown(&machine, 7, 1) && is_unknown(&machine, 0x8000_0021, 0));
    assert!(!cpu.policy.unrecorded.contains(Unrecorded::Msr { index: 0x345 }), "tried, and not readable");
}

#[test]
fn msr_addresses_above_32_bits_are_what_rdmsr_makes_of_them() {
    refused(&samples::MSR_CSV.replace("0x400000000,0x0", "0x40000010a,0x0"), "a:5: MSR 0000010a is given twice with different values");
}

#[test]
fn damaged_msr_lists() {
    let phrase = "expected 0x, an address, a comma, 0x and a value, found";
    refused(&samples::MSR_CSV.replace("0x10a,0x2b", "0x10a,2b"), &format!("a:3: {phrase} \"0x10a,2b\""));
    refused(&samples::MSR_CSV.replace("0x10a,0x2b", "0x10a"), &format!("a:3: {phrase} \"0x10a\""));
    refused(&samples::MSR_CSV.replace("0x10a,0x2b", "0x10a,0x2b,0x0"), &format!("a:3: {phrase} \"0x10a,0x2b,0x0\""));
    refused("MSR_ADDR,VALUE\n", "a: no CPU in the file");
    let error = read_as(Format::FirecrackerMsrCsv, "a", b"0x10,0x1\n").unwrap_err();
    assert_eq!(error.to_string(), "a:1: expected MSR_ADDR,VALUE, found \"0x10,0x1\"");
}

// Propolis.

fn profile(lines: &str) -> String {
    format!("[cpuid.a]\nvendor = \"amd\"\n\"0\" = [0xd, 0x68747541, 0x444d4163, 0x69746e65]\n{lines}\n")
}

#[test]
fn profiles_of_propolis_are_called_by_their_names() {
    let second = profile("\"1\" = [1, 2, 3, 4]").replace("cpuid.a", "cpuid.\"b c\"");
    let machines = read("fleet.toml", format!("{}{second}", profile("")).as_bytes()).unwrap();
    assert_eq!(machines.iter().map(|machine| machine.name.as_str()).collect::<Vec<_>>(), ["a", "b c"]);
    assert_eq!(machines[1].cpus[0].policy.cpuid.get(1, 0), Some(Registers::new(1, 2, 3, 4)));
    assert!(machines.iter().all(|machine| machine.cpus[0].policy.vendor() == Vendor::Amd));
}

#[test]
fn a_leaf_both_with_and_without_subleaf_is_refused_as_propolis_refuses_it() {
    refused(&profile("\"7\" = [0, 0, 0, 0]\n\"7-0\" = [0, 1, 0, 0]"), "a:5: leaf 00000007 is given both with and without subleaf");
    refused(&profile("\"7-1\" = [0, 0, 0, 0]\n\"7-01\" = [0, 1, 0, 0]"), "a:5: leaf 00000007 subleaf 01 is given twice");
}

#[test]
fn what_cpuid_gen_prints_is_read_although_propolis_wants_a_vendor() {
    let text = "[cpuid]\n\"0\" = [0xd, 0x756e6547, 0x6c65746e, 0x49656e69]\n\"80000000\" = [0x80000008, 0, 0, 0]\n";
    assert_eq!(eax(&machine(text).cpus[0]), [(0, 0, 0xd), (0x8000_0000, 0, 0x8000_0008)]);
    assert_eq!(machine(text).name, "name");
}

#[test]
fn keys_of_propolis_are_hexadecimal_without_prefix() {
    assert_eq!(eax(&machine(&profile("\"10-1f\" = [1, 0, 0, 0]")).cpus[0])[1], (0x10, 0x1f, 1));
    let phrase = "expected vendor, or a leaf in hex digits, or a leaf, - and a subleaf, found";
    for key in ["0x7", "7-", "-1", "7-0-0", "vendors", "123456789"] {
        refused(&profile(&format!("\"{key}\" = [0, 0, 0, 0]")), &format!("a:4: {phrase} \"{key}\""));
    }
}

#[test]
fn a_profile_without_leaf_0_knows_its_vendor_and_not_its_leaf_0() {
    let machine = machine("[cpuid.a]\nvendor = \"intel\"\n\"7-0\" = [0, 1, 0, 0]\n");
    assert_eq!(machine.cpus[0].policy.vendor(), Vendor::Intel);
    assert!(is_unknown(&machine, 0, 0) && machine.cpus[0].policy.features().contains(cpuid_db::Feature::FSGSBASE));
    refused("[cpuid.a]\n\"7-0\" = [0, 1, 0, 0]\n", "a:2: CPU 0 has no leaf 00000000");
}

#[test]
fn damaged_profiles() {
    let four = "expected a list of four numbers of 32 bits, found";
    refused(&profile("\"1\" = [1, 2, 3]"), &format!("a:4: {four} \"another list\""));
    refused(&profile("\"1\" = [1, 2, 3, 4, 5]"), &format!("a:4: {four} \"another list\""));
    refused(&profile("\"1\" = [1, 2, 3, 0x100000000]"), &format!("a:4: {four} \"another list\""));
    refused(&profile("\"1\" = 7"), &format!("a:4: {four} \"another value\""));
    refused(&profile("").replace("amd", "arm"), "a:2: expected amd or intel, found \"arm\"");
    refused(&profile("").replace("amd", "intel"), "a:3: expected a leaf 00000000 of the same vendor, found \"AuthenticAMD\"");
    refused("[cpuid.a]\n", "a: no CPU in the file");
    assert!(read("a", b"[cpuid.a]\n\"1\" = [").unwrap_err().to_string().starts_with("a:2: "));
}

#[test]
fn the_instance_specification_holds_its_cpuid_at_the_top_or_in_the_board() {
    let start = samples::PROPOLIS_JSON.find("{\n      \"entries\"").unwrap();
    let end = samples::PROPOLIS_JSON.find("  },\n  \"components\"").unwrap();
    assert_eq!(machine(samples::PROPOLIS_JSON[start..end].trim()), machine(samples::PROPOLIS_JSON));
    let fleet = samples::PROPOLIS_JSON.repeat(2);
    let names: Vec<String> = read("fleet.json", fleet.as_bytes()).unwrap().into_iter().map(|machine| machine.name).collect();
    assert_eq!(names, ["fleet:1", "fleet:2"]);
}

#[test]
fn damaged_instance_specifications() {
    let text = samples::PROPOLIS_JSON;
    refused(&text.replace("\"eax\": 16, ", ""), "a:7: board.cpuid.entries[1]: eax is missing");
    refused(
        &text.replace("\"subleaf\": 1", "\"subleaf\": \"1\""),
        "a:7: board.cpuid.entries[1].subleaf: invalid type: string \"1\", expected u32",
    );
    refused(
        &text.replace("\"leaf\": 7, \"subleaf\": 1", "\"leaf\": 0, \"subleaf\": 0"),
        "a:7: board.cpuid.entries[1]: leaf 00000000 is given both with and without subleaf",
    );
}

// KVM's table.

#[test]
fn the_table_of_kvm_is_told_by_its_length() {
    let bytes = samples::kvm_cpuid2();
    assert_eq!(detect(&bytes), Some(Format::KvmCpuid2));
    let machines = read("kvm.bin", &bytes).unwrap();
    assert_eq!((machines[0].name.as_str(), machines[0].basis), ("kvm", Basis::Recorded));
    assert_eq!(eax(&machines[0].cpus[0]), [(0, 0, 7), (7, 1, 0x10)]);
    assert_eq!(detect(&[bytes.as_slice(), &[0; 40]].concat()), None, "one entry more than announced");
    let error = read_as(Format::KvmCpuid2, "a", b"text").unwrap_err();
    assert_eq!(error.to_string(), "a: expected struct kvm_cpuid2, with as many entries as it announces, found \"text\"");
}

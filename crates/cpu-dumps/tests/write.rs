//! Writers: what is written is read again as the same, and what a format cannot hold is listed.

mod samples;

use cpu_dumps::{Cpu, Format, KvmView, Lost, Machine, Provenance, Target, WriteError, detect, read, write};
use cpuid_db::{Basis, MsrEntry, Policy, Registers, Unrecorded, UnrecordedList, Vendor};
use proptest::prelude::*;

fn machine(text: &str) -> Machine {
    read("dir/name.ext", text.as_bytes()).unwrap().remove(0)
}

/// What gets lost on the way, in words.
fn lost(machine: &Machine, target: Target) -> Vec<String> {
    write(machine, target).unwrap().lost.iter().map(ToString::to_string).collect()
}

#[test]
fn targets_are_called_by_their_names() {
    for target in Target::ALL {
        assert_eq!(Target::from_name(target.name()), Some(target));
    }
    assert_eq!(Target::from_name("aida64"), None);
}

#[test]
fn the_own_format_loses_nothing() {
    for (format, text) in samples::SAMPLES {
        assert_eq!(lost(&machine(text), Target::Dump), Vec::<String>::new(), "{format}");
    }
}

#[test]
fn what_a_format_writes_of_its_own_machines_is_complete() {
    let cases = [
        (samples::CPUID_R, Target::CpuidR),
        (samples::POLICY, Target::Policy),
        (samples::LIBVIRT, Target::LibvirtCpudata),
        (samples::FIRECRACKER_DUMP, Target::FirecrackerTemplate),
        (samples::PROPOLIS_TOML, Target::PropolisToml),
        (samples::CLOUD_HYPERVISOR, Target::CloudHypervisorProfile),
    ];
    for (text, target) in cases {
        let machine = machine(text);
        let written = write(&machine, target).unwrap();
        assert_eq!(written.lost, [], "{target}");
        assert_eq!(detect(written.parts[0].text.as_bytes()), Some(target.format()));
        assert_eq!(read("name", written.parts[0].text.as_bytes()).unwrap(), [machine], "{target}");
    }
}

#[test]
fn files_look_as_their_tools_write_them() {
    let text = |sample, target| write(&machine(sample), target).unwrap().parts.remove(0).text;
    assert_eq!(text(samples::CPUID_R, Target::CpuidR), samples::CPUID_R);
    assert_eq!(text(samples::LIBVIRT, Target::LibvirtCpudata), samples::LIBVIRT.replace("invented", "name"));
    assert_eq!(text(samples::FIRECRACKER_DUMP, Target::FirecrackerTemplate), samples::FIRECRACKER_DUMP);
    let propolis = "[cpuid.invented]\nvendor = \"intel\"\n\"0\" = [0x00000007, 0x756e6547, 0x6c65746e, 0x49656e69]\n\"7-0\" = [0x00000001, 0x00000000, 0x00000000, 0x00000000]\n\"7-1\" = [0x00000010, 0x00000000, 0x00000000, 0x00000000]\n";
    assert_eq!(text(samples::PROPOLIS_TOML, Target::PropolisToml), propolis);
    assert_eq!(text(samples::CLOUD_HYPERVISOR, Target::CloudHypervisorProfile), samples::CLOUD_HYPERVISOR);
}

#[test]
fn what_is_lost_is_listed() {
    let machine = machine(samples::DUMP);
    let common = ["the program that recorded the machine", "where the dump comes from"];
    let kvm = "what KVM answered";
    let kind = "the core type of CPU 0";
    let list = |lost: &[&str]| -> Vec<String> { lost.iter().map(ToString::to_string).collect() };
    let msr = "MSR 0000010a of CPU 0";
    let gone = ["that leaf 0000000d subleaf 01 of CPU 0 is not known", "that MSR 00000345 of CPU 0 is not known"];
    assert_eq!(lost(&machine, Target::LibvirtCpudata), list(&[&common[..], &[kvm, kind], &gone].concat()));
    assert_eq!(lost(&machine, Target::PropolisToml), list(&[&common[..], &[kvm, kind, msr], &gone].concat()));
    assert_eq!(
        lost(&machine, Target::FirecrackerTemplate),
        list(&[&common[..], &["where the view comes from", kvm, kind], &gone].concat())
    );
    let of_cpuid_r = lost(&machine, Target::CpuidR);
    assert!(
        of_cpuid_r.contains(&msr.to_owned())
            && of_cpuid_r.contains(&"that leaf 00000001 subleaf 00 of CPU 0 is known to be empty".to_owned())
    );
}

#[test]
fn a_policy_keeps_one_cpu_and_says_where_it_comes_from() {
    let machine = machine(samples::DUMP);
    let core_type = Lost::CoreType { cpu: 0 };
    let written = write(&machine, Target::Policy).unwrap();
    assert_eq!(written.lost, [Lost::Kvm, core_type]);
    let again = read("a", written.parts[0].text.as_bytes()).unwrap().remove(0);
    assert_eq!((again.basis, &again.provenance, &again.name), (machine.basis, &machine.provenance, &machine.name));
    assert!(written.parts[0].text.contains("\"features\": [\n    {\"name\": \""), "{}", written.parts[0].text);
    for member in ["\"hosts\": {\"count\": 1, \"names\": [\"invented\"]}", "\"decisions\": []"] {
        assert!(written.parts[0].text.contains(member), "{}", written.parts[0].text);
    }
}

#[test]
fn leaves_that_propolis_has_no_place_for_are_listed() {
    let mut machine = machine(samples::CPUID_R);
    machine.cpus[0].policy.cpuid.insert(0x4000_0000, 0, Registers::new(1, 2, 3, 4)).unwrap();
    let lost = write(&machine, Target::PropolisToml).unwrap().lost;
    assert!(lost.contains(&Lost::Leaf { cpu: 0, leaf: 0x4000_0000, subleaf: 0 }), "{lost:?}");
}

#[test]
fn further_cpus_are_listed_where_there_is_room_for_one() {
    let mut machine = machine(samples::CPUID_R);
    let second = Cpu { number: 1, ..machine.cpus[0].clone() };
    machine.cpus.push(second);
    assert_eq!(write(&machine, Target::CpuidR).unwrap().lost, []);
    for target in
        [Target::Policy, Target::LibvirtCpudata, Target::FirecrackerTemplate, Target::PropolisToml, Target::CloudHypervisorProfile]
    {
        assert!(write(&machine, target).unwrap().lost.contains(&Lost::Cpus { count: 1 }), "{target}");
    }
    machine.cpus[1].number = 0;
    assert_eq!(write(&machine, Target::CpuidR).unwrap().lost, [Lost::CpuNumber { cpu: 0 }], "the tool numbers its CPUs");
}

#[test]
fn features_known_by_name_are_no_registers() {
    let machine = machine(samples::LIBVIRT_CPU);
    let lost = write(&machine, Target::LibvirtCpudata).unwrap().lost;
    assert!(lost.contains(&Lost::Named { cpu: 0 }));
    assert!(lost.contains(&Lost::Unrecorded { cpu: 0, place: Unrecorded::Cpuid { leaf: 1, subleaf: 0 } }));
}

#[test]
fn what_cannot_be_written_is_refused_with_the_reason() {
    let list = read("a", samples::MSR_CSV.as_bytes()).unwrap().remove(0);
    let refusal = |machine: &Machine, target| write(machine, target).unwrap_err().to_string();
    assert_eq!(refusal(&list, Target::CpuidR), "CPU 0 has no leaf 00000000, which cpuid-r needs");
    assert_eq!(refusal(&list, Target::PropolisToml), "CPU 0 has no leaf 00000000, which propolis needs");
    assert!(write(&list, Target::LibvirtCpudata).is_ok());
    let mut hygon = machine(samples::CPUID_R);
    hygon.cpus[0].policy.cpuid.insert(0, 0, Vendor::Hygon.leaf_0(1)).unwrap();
    assert_eq!(refusal(&hygon, Target::PropolisToml), "propolis has no word for the vendor HygonGenuine");
    let nothing = Machine { cpus: Vec::new(), ..list };
    for target in Target::ALL {
        assert_eq!(write(&nothing, target), Err(WriteError::Nothing { target }));
    }
    let empty = Cpu { number: 0, core_type: None, policy: Policy::default(), msrs: Vec::new() };
    let blank = Machine { cpus: vec![empty], ..nothing };
    for target in [Target::Dump, Target::LibvirtCpudata, Target::FirecrackerTemplate, Target::CloudHypervisorProfile] {
        assert_eq!(write(&blank, target), Err(WriteError::Nothing { target }), "a CPU of which nothing is known");
    }
}

#[test]
fn a_profile_of_cloud_hypervisor_is_two_files() {
    let written = write(&machine(samples::DUMP), Target::CloudHypervisorProfile).unwrap();
    assert_eq!(written.parts.iter().map(|part| part.extension).collect::<Vec<_>>(), ["cpuid.json", "msr.json"]);
    assert_eq!(written.parts[1].text, samples::CLOUD_HYPERVISOR_MSRS);
    assert!(!written.lost.iter().any(|lost| matches!(lost, Lost::Msr { .. })), "{:?}", written.lost);
}

#[test]
fn msrs_that_other_msrs_deny_are_known_to_be_absent_in_both_files_together() {
    let mut vmx = machine(samples::CPUID_R);
    let cpu = &mut vmx.cpus[0];
    cpu.policy.cpuid.insert(1, 0, Registers::new(0x506e3, 0, 1 << 5, 0)).unwrap();
    cpu.policy.unrecorded = UnrecordedList::new();
    // No secondary and tertiary controls: then 48BH is not there, which would give 491H a meaning.
    for index in [0x480, 0x482, 0x48e] {
        cpu.policy.msrs.insert(index, 0).unwrap();
        cpu.msrs.push(MsrEntry { index, value: 0 });
    }
    let lost = write(&vmx, Target::CloudHypervisorProfile).unwrap().lost;
    let absence = |index| lost.contains(&Lost::Absence { cpu: 0, place: Unrecorded::Msr { index } });
    assert!(absence(0x481), "nothing tells");
    assert!(!absence(0x48b) && !absence(0x491), "{lost:?}");
}

#[test]
fn names_of_any_characters_do_not_break_a_file() {
    for name in ["", "--", "a--b---", "]]>", "\"quoted\"", "new\nline", "-->", "Ümlaut", "\\"] {
        let machine = Machine { name: name.to_owned(), ..machine(samples::CPUID_R) };
        for target in Target::ALL {
            assert!(write(&machine, target).is_ok(), "{target} {name:?}");
        }
    }
}

fn cpu() -> impl Strategy<Value = Cpu> {
    let number = || prop_oneof![4 => 0_u32..0x30, 1 => any::<u32>()];
    let leaf = (prop_oneof![Just(0_u32), Just(0x4000_0000), Just(0x8000_0000), Just(0xc000_0000)], number(), number(), any::<[u32; 4]>());
    let msr = (prop_oneof![Just(0x10a_u32), Just(0x480), any::<u32>()], any::<u64>());
    let unrecorded = (0_u32..0x20, 0_u32..3);
    let all = (proptest::collection::vec(leaf, 0..20), proptest::collection::vec(msr, 0..8), proptest::collection::vec(unrecorded, 0..4));
    (all, any::<bool>()).prop_map(|((leaves, msrs, places), is_amd)| {
        let mut policy = Policy::default();
        for (base, leaf, subleaf, [eax, ebx, ecx, edx]) in leaves {
            policy.cpuid.insert(base.wrapping_add(leaf), subleaf, Registers { eax, ebx, ecx, edx }).unwrap();
        }
        let vendor = if is_amd { Vendor::Amd } else { Vendor::Intel };
        policy.cpuid.insert(0, 0, vendor.leaf_0(0x20)).unwrap();
        for (leaf, subleaf) in places {
            policy.unrecorded.insert(Unrecorded::Cpuid { leaf, subleaf }).unwrap();
        }
        let mut all: Vec<MsrEntry> = msrs.into_iter().map(|(index, value)| MsrEntry { index, value }).collect();
        all.sort_by_key(|msr| msr.index);
        all.dedup_by_key(|msr| msr.index);
        for msr in all.iter().filter(|msr| matches!(msr.index, 0x10a | 0x480)) {
            policy.msrs.insert(msr.index, msr.value).unwrap();
        }
        Cpu { number: 0, core_type: None, policy, msrs: all }
    })
}

/// The machine without what is said to be lost.
fn without(machine: &Machine, lost: &[Lost]) -> (Vec<(u32, u32, Registers)>, Vec<MsrEntry>) {
    let cpu = &machine.cpus[0];
    let is_kept = |leaf, subleaf| !lost.contains(&Lost::Leaf { cpu: 0, leaf, subleaf });
    let leaves = cpu.policy.cpuid.entries().iter().filter(|entry| is_kept(entry.leaf, entry.subleaf));
    let msrs = cpu.msrs.iter().filter(|msr| !lost.contains(&Lost::Msr { cpu: 0, index: msr.index }));
    (leaves.map(|entry| (entry.leaf, entry.subleaf, entry.registers)).collect(), msrs.copied().collect())
}

proptest! {
    /// Whatever a format holds is read again as it was; the rest, and nothing else, is listed.
    #[test]
    fn what_is_written_is_read_again(cpu in cpu(), kvm in any::<bool>(), tool in proptest::option::of("[a-z]{1,8}")) {
        let kvm = kvm.then(|| Box::new(KvmView { supported: cpu.policy.clone(), emulated: None }));
        let provenance = Provenance { tool, ..Provenance::default() };
        let machine = Machine { name: "a".into(), format: Format::Dump, provenance, basis: Basis::Raw, unknown_names: Vec::new(), cpus: vec![cpu], kvm };
        for target in Target::ALL.into_iter().filter(|target| target.has_registers()) {
            let written = write(&machine, target).unwrap();
            let parts: Vec<Machine> = written.parts.iter().flat_map(|part| read("a", part.text.as_bytes()).unwrap()).collect();
            let leaves: Vec<_> = parts[0].cpus[0].policy.cpuid.entries().iter().map(|entry| (entry.leaf, entry.subleaf, entry.registers)).collect();
            let msrs: Vec<_> = parts.iter().flat_map(|part| part.cpus[0].msrs.clone()).collect();
            let (kept_leaves, kept_msrs) = without(&machine, &written.lost);
            prop_assert_eq!(leaves, kept_leaves, "{}", target);
            prop_assert_eq!(msrs, kept_msrs, "{}", target);
            prop_assert_eq!(written.lost.contains(&Lost::Kvm), machine.kvm.is_some() && target != Target::Dump);
            prop_assert_eq!(written.lost.contains(&Lost::Tool), machine.provenance.tool.is_some() && !matches!(target, Target::Dump | Target::Policy));
            for place in machine.cpus[0].policy.unrecorded.as_slice() {
                let is_lost = written.lost.contains(&Lost::Unrecorded { cpu: 0, place: *place });
                prop_assert_eq!(is_lost, !parts[0].cpus[0].policy.unrecorded.contains(*place), "{} {:?}", target, place);
            }
        }
    }
}

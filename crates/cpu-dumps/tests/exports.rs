//! What is written for QEMU and libvirt says the machine that was meant: read again it has the same features, and every bit that is not
//! in it is listed.

use std::error::Error;
use std::path::{Path, PathBuf};

use cpu_dumps::{Cpu, Format, Lost, Machine, Reason, Target, detect, find_model, read, write};
use cpuid_db::{Basis, Feature, FeatureSet, Place, Policy, Register, Registers, Unrecorded, Vendor};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const TARGETS: [Target; 2] = [Target::Qemu, Target::LibvirtCpu];

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>()?;
    files.sort();
    Ok(files)
}

/// All files below a directory.
fn all_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in files(dir)? {
        if path.is_dir() {
            all.extend(all_files(&path)?);
        } else {
            all.push(path);
        }
    }
    Ok(all)
}

fn hosts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/hosts")
}

fn known(policy: &Policy) -> FeatureSet {
    policy.features().difference(&policy.unrecorded_features())
}

/// Writes and reads again, and accounts for every bit. `None` when there is nothing to write.
fn account(machine: &Machine, target: Target) -> Result<Option<Machine>> {
    let Ok(written) = write(machine, target) else { return Ok(None) };
    let text = &written.parts[0].text;
    assert_eq!(detect(text.as_bytes()), Some(target.format()), "{text}");
    let again = read("again", text.as_bytes())?.remove(0);
    let (old, new) = (&machine.cpus[0].policy, &again.cpus[0].policy);
    let name = &machine.name;
    let told = |pick: fn(&Lost) -> Option<Feature>| written.lost.iter().filter_map(pick).collect::<FeatureSet>();
    let missing = told(|lost| if let Lost::Feature { feature, .. } = lost { Some(*feature) } else { None });
    let given = told(|lost| if let Lost::Given { feature, .. } = lost { Some(*feature) } else { None });
    assert_eq!(known(old).difference(&known(new)), missing, "{name} {target}: {text}");
    assert_eq!(known(new).difference(&known(old)), given, "{name} {target}: {text}");
    bits_are_listed(machine, &again, &written.lost, target);
    assert_eq!(again.unknown_names, Vec::<String>::new(), "{name} {target}");
    Ok(Some(again))
}

/// Every bit of a register that is 1 is 1 again, is a feature (those are told by name), or is listed.
fn bits_are_listed(machine: &Machine, again: &Machine, lost: &[Lost], target: Target) {
    let (old, new) = (&machine.cpus[0].policy, &again.cpus[0].policy);
    for entry in old.cpuid.entries() {
        let (leaf, subleaf) = (entry.leaf, entry.subleaf);
        if lost.contains(&Lost::Leaf { cpu: machine.cpus[0].number, leaf, subleaf }) {
            continue;
        }
        for register in Register::ALL {
            let at = Place::Cpuid { leaf, subleaf, register };
            let listed = lost.iter().fold(0, |all, lost| match lost {
                Lost::Bits { place, bits, .. } if *place == at => all | bits,
                _ => all,
            });
            let features = cpuid_db::words().iter().filter(|row| row.place == at).fold(0, |all, row| all | row.named);
            let missing = entry.registers.get(register) & !new.cpuid.register(leaf, subleaf, register);
            assert_eq!(missing & !listed & !features, 0, "{} {target} {at:?}", machine.name);
        }
    }
}

#[test]
fn what_is_written_of_a_host_is_read_again() -> Result<()> {
    for path in files(&hosts())? {
        let machine = read(&path.to_string_lossy(), &std::fs::read(&path)?)?.remove(0);
        for target in TARGETS {
            let again = account(&machine, target)?.ok_or("nothing written")?;
            // Once it is in the words of the format, nothing more is lost.
            let twice = account(&Machine { name: machine.name.clone(), ..again.clone() }, target)?.ok_or("nothing written")?;
            assert_eq!(known(&twice.cpus[0].policy), known(&again.cpus[0].policy), "{} {target}", machine.name);
        }
    }
    Ok(())
}

#[test]
fn what_is_written_of_the_corpus_is_read_again() -> Result<()> {
    let Some(corpus) = std::env::var_os("VCPU_CORPUS") else {
        eprintln!("skipped: VCPU_CORPUS is not set");
        return Ok(());
    };
    let mut written = [0; 2];
    for path in all_files(&Path::new(&corpus).join("originals"))? {
        // What no reader takes is another test's business, and the first machine stands for those of one file.
        let Ok(machines) = read(&path.to_string_lossy(), &std::fs::read(&path)?) else { continue };
        for (count, target) in written.iter_mut().zip(TARGETS) {
            *count += usize::from(account(&machines[0], target)?.is_some());
        }
    }
    eprintln!("{written:?} machines written");
    assert!(written.iter().all(|count| *count > 500), "{written:?}");
    Ok(())
}

/// A guest that is a model of QEMU's, seen under KVM's interface or not.
fn guest(name: &str) -> Machine {
    let model = find_model(name).unwrap().model;
    let mut policy = Policy::default();
    policy.cpuid.insert(0, 0, model.vendor.unwrap().leaf_0(model.level.unwrap())).unwrap();
    policy.cpuid.insert(1, 0, Registers { eax: model.signatures[0], ..Registers::ZERO }).unwrap();
    policy.cpuid.insert(0x8000_0000, 0, Registers { eax: model.xlevel.unwrap(), ..Registers::ZERO }).unwrap();
    let mut brand = model.model_id.clone().unwrap().into_bytes();
    brand.resize(48, 0);
    for (leaf, quarter) in (0x8000_0002..).zip(brand.chunks(16)) {
        let words: Vec<u32> = quarter.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
        policy.cpuid.insert(leaf, 0, Registers::new(words[0], words[1], words[2], words[3])).unwrap();
    }
    for feature in &model.features {
        policy.set_feature(feature, true).unwrap();
    }
    let cpu = Cpu { number: 0, core_type: None, policy, msrs: Vec::new() };
    Machine {
        name: name.into(),
        format: Format::Dump,
        provenance: cpu_dumps::Provenance::default(),
        basis: Basis::Raw,
        unknown_names: Vec::new(),
        cpus: vec![cpu],
        kvm: None,
    }
}

fn text(machine: &Machine, target: Target) -> String {
    write(machine, target).unwrap().parts.remove(0).text
}

fn change(machine: &mut Machine, feature: Feature, on: bool) {
    machine.cpus[0].policy.set_feature(feature, on).unwrap();
}

// What an accelerator decides is always spelt out, and so is that there is no hypervisor.

#[test]
fn a_model_of_qemu_is_written_as_its_name() {
    let mut machine = guest("Skylake-Server-v4");
    assert_eq!(text(&machine, Target::Qemu), "Skylake-Server-v4,kvm=off,+x2apic,+vme,-monitor,-hypervisor,-acpi,-svm\n");
    change(&mut machine, Feature::AVX512F, false);
    change(&mut machine, Feature::GFNI, true);
    change(&mut machine, Feature::HYPERVISOR, true);
    assert_eq!(text(&machine, Target::Qemu), "Skylake-Server-v4,kvm=off,+x2apic,+vme,+gfni,-monitor,-acpi,-avx512f,-svm\n");
}

#[test]
fn what_differs_beside_features_is_said_in_properties() {
    let mut machine = guest("Skylake-Server-v4");
    let cpuid = &mut machine.cpus[0].policy.cpuid;
    cpuid.insert(0, 0, Vendor::Intel.leaf_0(0x16)).unwrap();
    let signature = cpuid.get_or_zero(1, 0);
    cpuid.insert(1, 0, Registers { eax: 0x50657, ..signature }).unwrap();
    cpuid.insert(0x8000_0002, 0, Registers::new(u32::from_le_bytes(*b"a,b\0"), 0, 0, 0)).unwrap();
    cpuid.insert(0x8000_0003, 0, Registers::ZERO).unwrap();
    cpuid.insert(0x8000_0004, 0, Registers::ZERO).unwrap();
    let old = cpuid.get_or_zero(0x8000_0008, 0);
    cpuid.insert(0x8000_0008, 0, Registers { eax: 46, ..old }).unwrap();
    let text = text(&machine, Target::Qemu);
    assert!(text.starts_with("Skylake-Server-v4,stepping=7,level=0x16,model-id=a,,b,phys-bits=46,kvm=off,+"), "{text}");
    let again = read("again", text.as_bytes()).unwrap().remove(0);
    assert_eq!(again.cpus[0].policy.signature().to_string(), "6-85-7");
    assert_eq!(&again.cpus[0].policy.brand()[..4], b"a,b\0");
    assert_eq!(again.cpus[0].policy.cpuid.get_or_zero(0x8000_0008, 0).eax, 46);
    assert_eq!(write(&machine, Target::Qemu).unwrap().lost, []);
}

#[test]
fn what_qemu_has_no_word_for_is_listed_with_the_bit_and_the_reason() {
    let mut machine = guest("Skylake-Server-v4");
    change(&mut machine, Feature::CET_SS, true);
    change(&mut machine, Feature::OSXSAVE, true);
    machine.cpus[0].policy.cpuid.insert(0xb, 0, Registers::new(1, 2, 0x100, 0)).unwrap();
    machine.cpus[0].policy.unrecorded.insert(Unrecorded::Cpuid { leaf: 6, subleaf: 0 }).unwrap();
    let lost = write(&machine, Target::Qemu).unwrap().lost;
    let lines: Vec<String> = lost.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "OSXSAVE (CPUID.1.0.ECX[27]) of CPU 0: it follows run-time state",
            "CET_SS (CPUID.7.0.ECX[7]) of CPU 0: there is no word for it",
            "leaf 0000000b subleaf 00 of CPU 0",
            "that leaf 00000006 subleaf 00 of CPU 0 is not known",
        ]
    );
    assert!(lost.contains(&Lost::Feature { cpu: 0, feature: Feature::CET_SS, because: Reason::NoWord }));
}

#[test]
fn a_word_for_two_bits_is_not_said_for_one_of_them() {
    let mut machine = guest("Skylake-Server-v4");
    let registers =
        Registers::new(0x4000_0001, u32::from_le_bytes(*b"KVMK"), u32::from_le_bytes(*b"VMKV"), u32::from_le_bytes(*b"M\0\0\0"));
    machine.cpus[0].policy.cpuid.insert(0x4000_0000, 0, registers).unwrap();
    change(&mut machine, Feature::KVM_CLOCKSOURCE2, true);
    change(&mut machine, Feature::KVM_STEAL_TIME, true);
    let written = write(&machine, Target::Qemu).unwrap();
    let text = &written.parts[0].text;
    assert!(text.contains(",+kvm-steal-time,") && text.contains(",-kvmclock,") && !text.contains("kvm=off"), "{text}");
    assert_eq!(written.lost, [Lost::Feature { cpu: 0, feature: Feature::KVM_CLOCKSOURCE2, because: Reason::OneWord }]);
}

#[test]
fn a_guest_of_no_known_vendor_gets_another_ones_model_and_its_own_name() {
    let mut machine = guest("Skylake-Server-v4");
    machine.cpus[0].policy.cpuid.insert(0, 0, Vendor::Zhaoxin.leaf_0(0xd)).unwrap();
    let text = text(&machine, Target::Qemu);
    assert!(text.starts_with("Skylake-Server-v4,vendor=  Shanghai  ,"), "{text}");
}

#[test]
fn vmx_that_is_turned_on_says_what_it_can_do() {
    let mut machine = guest("Skylake-Server-v4");
    change(&mut machine, Feature::VMX, true);
    let none = text(&machine, Target::Qemu);
    assert!(none.contains(",-vmx-ept,"), "the model would bring it: {none}");
    let model = find_model("qemu:Skylake-Server-v4").unwrap().model;
    for feature in &model.vmx {
        change(&mut machine, feature, true);
    }
    assert_eq!(text(&machine, Target::Qemu), "Skylake-Server-v4,kvm=off,+vmx,+x2apic,+vme,-monitor,-hypervisor,-acpi,-svm\n");
    let libvirt = text(&machine, Target::LibvirtCpu);
    assert!(libvirt.contains("<feature policy='require' name='vmx-ept'/>"), "{libvirt}");
}

#[test]
fn libvirt_spells_out_what_its_versions_disagree_about() {
    let machine = guest("Skylake-Server-v4");
    let text = text(&machine, Target::LibvirtCpu);
    assert!(
        text.starts_with("<cpu mode='custom' match='exact' check='full'>\n  <model fallback='forbid'>Skylake-Server-v4</model>\n"),
        "{text}"
    );
    let mut older = guest("Skylake-Server-v1");
    change(&mut older, Feature::XSAVES, true);
    let text = self::text(&older, Target::LibvirtCpu);
    assert!(text.contains("<model fallback='forbid'>Skylake-Server") && text.contains("<feature policy='disable' name='mpx'/>"), "{text}");
}

#[test]
fn options_are_read_as_people_write_them() {
    let features = |text: &str| known(&read("a", text.as_bytes()).unwrap()[0].cpus[0].policy);
    let plain = features("EPYC-Rome\n");
    assert!(plain.contains(Feature::AVX2) && plain.contains(Feature::HYPERVISOR) && !plain.contains(Feature::SVM));
    assert_eq!(features("-cpu EPYC-Rome-v1\n"), plain, "without a version it is the first");
    let changed = features("EPYC-Rome,+svm,-avx2,sse4_2=off,x2apic=on,hv-time=on,migratable=no,l3-cache=off\n");
    assert!(changed.contains(Feature::SVM) && !changed.contains(Feature::AVX2) && !changed.contains(Feature::SSE4_2));
    let machine = read("a", b"-cpu NoSuchModel,+avx,+nosuchword").unwrap().remove(0);
    assert_eq!(machine.unknown_names, ["NoSuchModel", "nosuchword"]);
    let error = |text: &[u8]| read("a", text).unwrap_err().to_string();
    assert_eq!(error(b"EPYC,+avx,-avx\n"), "a:1: \"avx\" is both there and not there");
    assert_eq!(error(b"-cpu ,+avx\n"), "a:1: model is missing");
    assert_eq!(error(b"EPYC\nEPYC\n"), "a:2: expected the end of the file, found \"EPYC\"");
    assert_eq!(error(b"EPYC,vendor=short\n"), "a:1: expected a vendor of 12 characters, found \"short\"");
}

// Formats with registers: what they can hold comes back, what they cannot is listed.

/// Propolis has no MSRs and no leaves outside of the basic and the extended range; Cloud Hypervisor has all leaves and all feature MSRs.
#[test]
fn profiles_of_hosts_hold_what_their_formats_can_hold() -> Result<()> {
    for path in files(&hosts())? {
        let machine = read(&path.to_string_lossy(), &std::fs::read(&path)?)?.remove(0);
        let cpu = &machine.cpus[0];
        for target in [Target::PropolisToml, Target::CloudHypervisorProfile] {
            let has_room = |leaf: u32| target == Target::CloudHypervisorProfile || matches!(leaf, 0..=0xffff | 0x8000_0000..=0x8000_ffff);
            let Ok(written) = write(&machine, target) else {
                assert!(!matches!(cpu.policy.vendor(), Vendor::Intel | Vendor::Amd), "{} {target}", machine.name);
                continue;
            };
            let parts: Vec<Machine> =
                written.parts.iter().map(|part| Ok(read("a", part.text.as_bytes())?.remove(0))).collect::<Result<_>>()?;
            for entry in cpu.policy.cpuid.entries() {
                let (leaf, subleaf) = (entry.leaf, entry.subleaf);
                let again = parts[0].cpus[0].policy.cpuid.get(leaf, subleaf);
                assert_eq!(again, has_room(leaf).then_some(entry.registers), "{} {target} {leaf:x}.{subleaf:x}", machine.name);
                let is_listed = written.lost.contains(&Lost::Leaf { cpu: cpu.number, leaf, subleaf });
                assert_eq!(is_listed, !has_room(leaf), "{} {target} {leaf:x}.{subleaf:x}", machine.name);
            }
            for msr in cpu.policy.msrs.entries() {
                let is_told = parts.iter().any(|part| part.cpus[0].policy.msrs.get(msr.index) == Some(msr.value));
                let is_listed = written.lost.contains(&Lost::Msr { cpu: cpu.number, index: msr.index });
                let has_msrs = target == Target::CloudHypervisorProfile;
                assert_eq!((is_told, is_listed), (has_msrs, !has_msrs), "{} {target} {:x}", machine.name, msr.index);
            }
        }
    }
    Ok(())
}

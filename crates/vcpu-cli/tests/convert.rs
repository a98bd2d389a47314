//! `vcpu convert`: every target, what gets lost, where files go, templates, and what goes wrong.

mod common;

use std::fs;
use std::path::Path;

use common::{Folder, Host, has, vcpu, vcpu_on};
use cpu_dumps::{Machine, read};
use cpuid_db::{MsrEntry, Registers, Unrecorded};
use serde_json::{Value, json};

const TARGETS: [&str; 7] = ["dump", "policy", "cpuid-r", "libvirt-cpudata", "firecracker", "propolis", "cloud-hypervisor"];

/// Two leaves of an invented CPU, as cpuid(1) prints them.
const CPUID_R: &str = "\
CPU 0:
   0x00000000 0x00: eax=0x00000001 ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69
   0x00000001 0x00: eax=0x000506e3 ebx=0x00000000 ecx=0x80000001 edx=0x00000005
   0x80000000 0x00: eax=0x80000000 ebx=0x00000000 ecx=0x00000000 edx=0x00000000
";

/// A template that leaves bits open: leaf 7 EBX bit 4 is set and bit 7 cleared.
const TEMPLATE: &str = r#"{"cpuid_modifiers": [{"leaf": "0x7", "subleaf": "0x0", "flags": 1, "modifiers": [
  {"register": "ebx", "bitmap": "0b0xx1xxxx"}]}], "msr_modifiers": []}"#;

fn hosts() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/hosts")
}

fn host(name: &str) -> (String, Machine) {
    let path = hosts().join(name);
    let machine = read(name, &fs::read(&path).unwrap()).unwrap().remove(0);
    (path.to_str().unwrap().to_owned(), machine)
}

/// The CPU that all parts of a result describe together.
fn again(result: &Value) -> (Vec<(u32, u32, Registers)>, Vec<MsrEntry>) {
    let texts = result["parts"].as_array().unwrap().iter().map(|part| part["text"].as_str().unwrap());
    let machines: Vec<Machine> = texts.flat_map(|text| read("again", text.as_bytes()).unwrap()).collect();
    let leaves = machines[0].cpus[0].policy.cpuid.entries().iter().map(|entry| (entry.leaf, entry.subleaf, entry.registers)).collect();
    (leaves, machines.iter().flat_map(|machine| machine.cpus[0].msrs.clone()).collect())
}

#[test]
fn what_every_target_holds_of_real_hosts_is_read_back() {
    for name in ["intel-alderlake-12900h.json", "amd-zen5-9950x.json", "intel-cascadelake-8268.json", "zhaoxin-kh-40000.json"] {
        let (file, machine) = host(name);
        let cpu = &machine.cpus[0];
        for target in TARGETS {
            let run = vcpu(&["convert", "--json", "--to", target, &file]);
            if target == "propolis" && name.starts_with("zhaoxin") {
                assert!(run.code == Some(1) && run.stdout.contains("no word for the vendor"), "{run:?}");
                continue;
            }
            let result = run.json_with(0);
            assert_eq!((&result["schema"], &result["target"]), (&"vcpu.convert/1".into(), &target.into()));
            let lost = |key: &str, number: u32| has(&result["lost"], &json!({ key: format!("0x{number:08x}"), "kind": key }));
            let (leaves, msrs) = again(&result);
            let kept: Vec<_> = cpu.policy.cpuid.entries().iter().filter(|entry| !lost("leaf", entry.leaf)).collect();
            assert_eq!(
                leaves,
                kept.iter().map(|entry| (entry.leaf, entry.subleaf, entry.registers)).collect::<Vec<_>>(),
                "{name} {target}"
            );
            assert_eq!(msrs, cpu.msrs.iter().filter(|msr| !lost("msr", msr.index)).copied().collect::<Vec<_>>(), "{name} {target}");
            if target == "dump" {
                assert_eq!(result["lost"], json!([]));
            }
        }
    }
}

#[test]
fn registers_stand_where_each_format_wants_them() {
    let cases = [
        (
            "dump",
            r#"{"leaf": "0x00000001", "subleaf": "0x00", "eax": "0x000506e3", "ebx": "0x00000000", "ecx": "0x80000001", "edx": "0x00000005"}"#,
        ),
        ("policy", r#"{"name": "SSE3", "leaf": "0x00000001", "subleaf": "0x00", "register": "ecx", "bit": 0}"#),
        ("cpuid-r", "   0x00000001 0x00: eax=0x000506e3 ebx=0x00000000 ecx=0x80000001 edx=0x00000005\n"),
        (
            "libvirt-cpudata",
            "<cpuid eax_in='0x00000001' ecx_in='0x00' eax='0x000506e3' ebx='0x00000000' ecx='0x80000001' edx='0x00000005'/>",
        ),
        ("firecracker", r#"{"register": "ecx", "bitmap": "0b10000000000000000000000000000001"}"#),
        ("propolis", "[cpuid.stdin]\nvendor = \"intel\"\n\"0\" = [0x00000001, 0x756e6547, 0x6c65746e, 0x49656e69]\n"),
        ("cloud-hypervisor", r#""register": "EDX"}, {"replacements": "0x5", "mask": "0x0"}]"#),
    ];
    for (target, expected) in cases {
        let run = vcpu_on(&["convert", "-", "--to", target], CPUID_R.as_bytes());
        assert!(run.code == Some(0) && run.stdout.contains(expected), "{target}: {run:?}");
        let part = &vcpu_on(&["convert", "-", "--json", "--to", target], CPUID_R.as_bytes()).json_with(0)["parts"][0];
        assert_eq!(part["text"], run.stdout.as_str(), "{target}");
    }
    assert_eq!(vcpu_on(&["convert", "-", "--to", "cpuid-r"], CPUID_R.as_bytes()).stdout, CPUID_R);
    assert_eq!(vcpu_on(&["convert", "-", "--to", "cpuid-r"], CPUID_R.as_bytes()).stderr, "", "nothing is lost");
}

/// A host of which much can get lost.
fn rich() -> Host {
    let mut host = Host::intel("rich", &["SMEP", "ARCH_CAPABILITIES", "RDCL_NO"]).with_kvm(&["SMEP"]).with(|policy| {
        policy.unrecorded.insert(Unrecorded::Cpuid { leaf: 0x19, subleaf: 0 }).unwrap();
    });
    host.0.provenance.kernel = Some("6.18".to_owned());
    host.0.cpus[0].msrs = vec![MsrEntry { index: 0x10, value: 7 }, MsrEntry { index: 0x10a, value: 1 }];
    let second = cpu_dumps::Cpu { number: 1, ..host.0.cpus[0].clone() };
    host.0.cpus.push(second);
    host
}

#[test]
fn losses_are_said_one_line_per_kind() {
    let text = rich().text();
    let cases: [(&str, &[&str]); 4] = [
        ("dump", &[]),
        ("policy", &["lost: what KVM answered\n", "lost: further CPUs: 1\n"]),
        ("cpuid-r", &["lost: the kernel\n", "lost: what KVM answered\n", "lost: MSRs: MSR 10H and MSR 10AH (IA32_ARCH_CAPABILITIES)\n"]),
        ("propolis", &["lost: further CPUs: 1\n", "lost: that nobody knows what is there (it reads as known): CPUID leaf 19H\n"]),
    ];
    for (target, lines) in cases {
        let run = vcpu_on(&["convert", "-", "--to", target], text.as_bytes());
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(lines.iter().all(|line| run.stderr.contains(line)), "{target}: {run:?}");
        assert_eq!(run.stderr.is_empty(), lines.is_empty(), "{target}: {run:?}");
        assert!(run.stderr.lines().all(|line| line.starts_with("lost: ")), "{run:?}");
    }
    let lost = &vcpu_on(&["convert", "-", "--json", "--to", "cpuid-r"], text.as_bytes()).json_with(0)["lost"];
    for cpu in [0, 1] {
        let msr =
            json!({ "kind": "msr", "machine": "rich", "cpu": cpu, "msr": "0x0000010a", "text": "MSRs: MSR 10AH (IA32_ARCH_CAPABILITIES)" });
        assert!(has(lost, &msr), "{lost}");
    }
}

#[test]
fn a_strict_run_writes_nothing_that_would_lose_something() {
    let folder = Folder::new();
    let (input, output) = (rich().write(&folder), folder.path("out").to_str().unwrap().to_owned());
    let run = vcpu(&["convert", "--strict", "--to", "propolis", &input, "-o", &output]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.contains("lost: the kernel") && run.stderr.contains("--strict"), "{run:?}");
    assert_eq!(folder.entries(), ["rich.json"]);
    let result = vcpu(&["convert", "--strict", "--json", "--to", "propolis", &input, "-o", &output]).json_with(1);
    assert_eq!(result["schema"], "vcpu.convert/1");
    assert_eq!(vcpu(&["convert", "--strict", &input, "-o", &output]).code, Some(0), "the own format loses nothing");
    assert_eq!(fs::read_to_string(output).unwrap(), rich().text());
}

#[test]
fn several_machines_are_lines_or_files() {
    let folder = Folder::new();
    let names = ["a", "../b", "a", "\u{1b}[1m"];
    let fleet: String = names.iter().map(|name| Host::intel(name, &["SMEP"]).text()).collect();
    for target in ["dump", "policy"] {
        let run = vcpu_on(&["convert", "-", "--to", target], fleet.as_bytes());
        let read: Vec<String> = cpu_dumps::lines("fleet", run.stdout.as_bytes()).map(|machine| machine.unwrap().name).collect();
        assert_eq!(read, names, "{target}");
    }
    let run = vcpu_on(&["convert", "-", "--to", "cpuid-r"], fleet.as_bytes());
    assert!(run.code == Some(2) && run.stderr.contains("cpuid-r needs 4 files") && run.stderr.contains("-o DIRECTORY/"), "{run:?}");
    let out = folder.path("out/");
    let run = vcpu_on(&["convert", "-", "--to", "cpuid-r", "-o", out.to_str().unwrap()], fleet.as_bytes());
    assert!(run.code == Some(0) && run.stdout.contains("4 machines as cpuid-r written to"), "{run:?}");
    let mut files: Vec<String> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, ["1m.txt", "a-2.txt", "a.txt", "b.txt"]);
    assert_eq!(folder.entries(), ["out"], "nothing outside of the directory");
    let one = vcpu_on(&["convert", "-", "--machine", "../b"], fleet.as_bytes());
    assert_eq!(one.stdout, Host::intel("../b", &["SMEP"]).text());
    let none = vcpu_on(&["convert", "-", "--machine", "c"], fleet.as_bytes());
    assert!(none.code == Some(2) && none.stderr.contains("no machine \"c\" in the file, which has a, ../b, a and ?[1m"), "{none:?}");
}

#[test]
fn a_cloud_hypervisor_profile_of_two_files_wants_a_directory() {
    let folder = Folder::new();
    let input = Host::intel("h", &["ARCH_CAPABILITIES", "RDCL_NO"]).write(&folder);
    let run = vcpu(&["convert", "--to", "cloud-hypervisor", &input]);
    assert!(run.code == Some(2) && run.stderr.contains("cloud-hypervisor needs 2 files (h.cpuid.json and h.msr.json)"), "{run:?}");
    let out = folder.path("profiles/").to_str().unwrap().to_owned();
    assert_eq!(vcpu(&["convert", "--to", "cloud-hypervisor", &input, "-o", &out]).code, Some(0));
    let msrs = fs::read_to_string(folder.path("profiles/h.msr.json")).unwrap();
    assert!(msrs.contains(r#"["0x10a", {"replacements": "0x1", "mask": "0x0"}]"#), "{msrs}");
}

#[test]
fn one_cpu_can_be_chosen() {
    let (file, machine) = host("intel-alderlake-12900h.json");
    let efficiency = machine.cpus.iter().find(|cpu| cpu.core_type == Some(cpu_dumps::CoreType::Efficiency)).unwrap();
    let number = efficiency.number.to_string();
    let run = vcpu(&["convert", "--to", "cpuid-r", "--cpu", &number, &file]);
    let read_back = read("a", run.stdout.as_bytes()).unwrap().remove(0);
    assert_eq!(read_back.cpus.len(), 1);
    assert_eq!(read_back.cpus[0].policy.cpuid, efficiency.policy.cpuid);
    let run = vcpu(&["convert", "--to", "propolis", &file]);
    assert!(run.stderr.contains(&format!("lost: further CPUs: 1, among them other core types: efficiency (CPU {number})\n")), "{run:?}");
    let run = vcpu(&["convert", "--cpu", "77", &file]);
    assert!(run.code == Some(2) && run.stderr.contains(&format!("no CPU 77; the file has CPU 0 and {number}")), "{run:?}");
    // Some tools give every CPU the number 0.
    let mut twins = rich();
    twins.0.cpus[1].number = 0;
    let run = vcpu_on(&["convert", "-", "--cpu", "1"], twins.text().as_bytes());
    assert_eq!(read("a", run.stdout.as_bytes()).unwrap()[0].cpus.len(), 1, "{run:?}");
}

#[test]
fn templates_become_machines_on_a_host() {
    let folder = Folder::new();
    let host = Host::intel("h", &["SMEP", "ERMS"]).write(&folder);
    let template = folder.write("template.json", TEMPLATE);
    let run = vcpu(&["convert", &template]);
    assert!(run.code == Some(2) && run.stderr.contains("this is a template, not a machine; --host FILE applies it to a host"), "{run:?}");
    assert!(vcpu(&["show", &template]).stderr.contains("vcpu convert --host HOST makes a machine of it"));
    let result = vcpu(&["convert", &template, "--host", &host]);
    let guest = read("a", result.stdout.as_bytes()).unwrap().remove(0);
    // SMEP (bit 7) is gone, HLE (bit 4) is there, ERMS (bit 9) is the host's.
    assert_eq!(guest.cpus[0].policy.cpuid.get(7, 0).unwrap().ebx, 1 << 4 | 1 << 9);
    assert_eq!(guest.name, "template");
    assert!(guest.provenance.source.unwrap().contains("applied to h"));
    let old = Host::intel("old", &[]).write(&folder);
    let run = vcpu(&["convert", &template, "--host", &old]);
    assert!(run.code == Some(1) && run.stderr.contains("old does not have CPUID leaf 7H, which the template changes"), "{run:?}");
    let run = vcpu(&["convert", &host, "--host", &host]);
    assert!(run.code == Some(2) && run.stderr.contains("--host is for templates"), "{run:?}");
}

#[test]
fn a_template_changes_what_kvm_gives_where_that_is_recorded() {
    let folder = Folder::new();
    let host = Host::intel("h", &["SMEP", "ERMS"]).with_kvm(&["ERMS"]).write(&folder);
    let template = folder.write("template.json", TEMPLATE);
    let run = vcpu(&["convert", &template, "--host", &host]);
    let guest = read("a", run.stdout.as_bytes()).unwrap().remove(0);
    assert_eq!((guest.cpus[0].policy.cpuid.get(7, 0).unwrap().ebx, guest.basis), (1 << 4, cpuid_db::Basis::Recorded), "{run:?}");
}

#[test]
fn a_difference_applied_to_its_host_is_the_guest() {
    let folder = Folder::new();
    let host = Host::intel("h", &["SMEP", "ERMS", "ADX"]).write(&folder);
    let guest = Host::intel("g", &["SMEP", "INVPCID"]);
    let file = guest.write(&folder);
    let run = vcpu(&["convert", &file, "--difference-to", &host]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    // Of leaf 7 EBX only bits 19, 10 and 9 differ: ADX and ERMS go, INVPCID comes.
    let bitmap = "0bxxxxxxxxxxxx0xxxxxxxx10xxxxxxxxx";
    assert!(run.stdout.contains(bitmap) && run.stdout.matches("bitmap").count() == 1, "{}", run.stdout);
    let template = folder.write("difference.json", &run.stdout);
    let applied = vcpu(&["convert", &template, "--host", &host]);
    let applied = read("a", applied.stdout.as_bytes()).unwrap().remove(0);
    assert_eq!(applied.cpus[0].policy.cpuid, guest.0.cpus[0].policy.cpuid);
}

#[test]
fn what_no_difference_can_express_is_refused_or_said() {
    let folder = Folder::new();
    let old =
        Host::intel("old", &["ARCH_CAPABILITIES", "RDCL_NO"]).with(|policy| policy.cpuid.retain(|entry| entry.leaf != 7)).write(&folder);
    let new = Host::intel("new", &["SMEP"]).write(&folder);
    let run = vcpu(&["convert", &new, "--difference-to", &old]);
    assert!(run.code == Some(1) && run.stderr.contains("new on old") && run.stderr.contains("CPUID.7.0.EBX (SMEP)"), "{run:?}");
    let bare = Host::intel("bare", &[]).write(&folder);
    let run = vcpu(&["convert", &bare, "--difference-to", &old, "--strict"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("MSRs that the guest lacks and a template cannot take away: MSR 10AH (IA32_ARCH_CAPABILITIES)"), "{run:?}");
    let run = vcpu(&["convert", &bare, "--difference-to", &old, "--to", "dump"]);
    assert!(run.code == Some(2) && run.stderr.contains("--difference-to writes a Firecracker template"), "{run:?}");
}

#[test]
fn files_are_replaced_as_one_step() {
    let folder = Folder::new();
    let input = Host::intel("h", &[]).write(&folder);
    let output = folder.write("out.txt", "before");
    let run = vcpu(&["convert", "--to", "cpuid-r", &input, "-o", &output]);
    assert!(run.code == Some(0) && run.stdout.contains("1 machine as cpuid-r written to"), "{run:?}");
    let after = fs::read_to_string(&output).unwrap();
    assert!(after.starts_with("CPU 0:\n"), "{after}");
    let damaged = folder.write("damaged", "hello");
    assert_eq!(vcpu(&["convert", &damaged, "-o", &output]).code, Some(2));
    assert_eq!(fs::read_to_string(&output).unwrap(), after, "a failed run leaves the file");
    let nowhere = folder.path("no/such/file").to_str().unwrap().to_owned();
    assert_eq!(vcpu(&["convert", &input, "-o", &nowhere]).code, Some(2));
    let result = vcpu(&["convert", "--json", &input, "-o", &output]).json_with(0);
    assert_eq!(result["parts"][0]["file"], output.as_str());
    assert_eq!(folder.entries(), ["damaged", "h.json", "out.txt"]);
    assert_eq!(vcpu(&["convert", &input, "-o", "-"]).stdout, Host::intel("h", &[]).text());
}

#[test]
fn wrong_input_is_named_and_ends_with_2() {
    let folder = Folder::new();
    let damaged = folder.write("damaged.json", "{\"schema\":\"vcpu.dump/1\",\n\"basis\":\"raw\",\"cpu\":[]}");
    let input = Host::intel("h", &[]).write(&folder);
    let cases = [
        (vec!["convert", &damaged], "damaged.json:2: the key \"cpu\" is not known; did you mean \"cpus\"?"),
        (vec!["convert", "/no/such/file"], "/no/such/file: "),
        (vec!["convert", "-"], "stdin: the file is empty"),
        (vec!["convert", "-", "--host", "-"], "standard input (-) can be read only once"),
        (vec!["convert", &input, "--to", "libvirt"], "libvirt-cpudata"),
        (vec!["convert"], "Usage"),
    ];
    for (args, expected) in cases {
        let run = vcpu(&args);
        assert!(run.code == Some(2) && run.stderr.contains(expected) && run.stdout.is_empty(), "{args:?}: {run:?}");
    }
    let error = vcpu(&["convert", "--json", &damaged]).json_with(2);
    assert_eq!(error["schema"], "vcpu.error/1");
}

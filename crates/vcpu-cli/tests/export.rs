//! `vcpu export`: a policy in the words of hypervisors, and what they cannot hold.

mod common;

use common::{Folder, vcpu};
use serde_json::Value;

fn recorded(name: &str) -> String {
    format!("{}/../../testdata/hosts/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

/// The guest of these machines, in a file.
fn guest(folder: &Folder, hosts: &[String], options: &[&str]) -> String {
    let path = folder.path("guest.json").to_str().unwrap().to_owned();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let run = vcpu(&[&["baseline", "-o", &path], options, &hosts].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
    path
}

#[test]
fn qemu_gets_a_model_and_flags() {
    let folder = Folder::new();
    let guest = guest(&folder, &[recorded("intel-cascadelake-8268")], &["--without", "avx512f,hle"]);
    let run = vcpu(&["export", &guest, "--to", "qemu"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let line = run.stdout.trim_end();
    assert_eq!(line.lines().count(), 1, "{line}");
    let words: Vec<&str> = line.split(',').collect();
    assert!(words[0].starts_with("Cascadelake-Server") || words[0].starts_with("Skylake-Server"), "{line}");
    assert!(words.contains(&"-avx512f"), "{line}");
    // 7.0.EBX[13], which QEMU has a word for.
    assert!(words.contains(&"+zero-fcs-fds"), "{line}");
    assert!(run.stderr.contains("lost: features that have no word there: ANYTHREAD_DEPRECATED (CPUID.A.0.EDX[15])"), "{}", run.stderr);
    assert!(!run.stderr.contains("where the view comes from"), "{}", run.stderr);
}

#[test]
fn libvirt_gets_an_element_that_is_read_again() {
    let folder = Folder::new();
    let guest = guest(&folder, &[recorded("amd-zen3-7713")], &[]);
    let path = folder.path("cpu.xml").to_str().unwrap().to_owned();
    let run = vcpu(&["export", &guest, "--to", "libvirt", "-o", &path]);
    assert!(run.code == Some(0) && run.stdout.contains("libvirt written to"), "{run:?}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("<cpu mode='custom'") && text.contains("<model fallback='forbid'>EPYC-Milan"), "{text}");
    assert_eq!(vcpu(&["show", &path]).code, Some(0));
}

#[test]
fn a_template_for_hosts_names_only_what_all_of_them_have() {
    let folder = Folder::new();
    let hosts = [recorded("intel-cascadelake-8268"), recorded("intel-cascadelake-gold-6212u")];
    let guest = guest(&folder, &hosts, &["--ceiling", "raw"]);
    let run = vcpu(&["export", "--to", "firecracker", "--json", &guest, "--hosts", &hosts[0], &hosts[1]]);
    let answer = run.json_with(0);
    assert_eq!((&answer["schema"], &answer["target"]), (&"vcpu.export/1".into(), &"firecracker".into()));
    let template: Value = serde_json::from_str(answer["parts"][0]["text"].as_str().unwrap()).unwrap();
    let shown: Vec<Value> = hosts.iter().map(|host| vcpu(&["show", "--json", host]).json_with(0)).collect();
    let number = |value: &Value| u32::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    for modifier in template["cpuid_modifiers"].as_array().unwrap() {
        let at = (number(&modifier["leaf"]), number(&modifier["subleaf"]));
        for host in &shown {
            let leaves = host["cpus"][0]["leaves"].as_array().unwrap();
            assert!(leaves.iter().any(|leaf| (number(&leaf["leaf"]), number(&leaf["subleaf"])) == at), "{at:x?}");
        }
    }
    let whole = vcpu(&["export", &guest, "--to", "firecracker"]);
    assert!(whole.stderr.contains("--hosts"), "{}", whole.stderr);
}

#[test]
fn targets_with_registers_hold_all_leaves() {
    let folder = Folder::new();
    let guest = guest(&folder, &[recorded("intel-cascadelake-8268")], &[]);
    for to in ["propolis", "cpuid-r"] {
        let run = vcpu(&["export", &guest, "--to", to]);
        assert_eq!(run.code, Some(0), "{to}: {run:?}");
        let path = folder.write(to, &run.stdout);
        assert_eq!(vcpu(&["show", &path]).code, Some(0), "{to}");
        assert!(run.stderr.contains("MSR 10AH (IA32_ARCH_CAPABILITIES)"), "{to}: {}", run.stderr);
        assert_eq!(vcpu(&["export", &guest, "--to", to, "--strict"]).code, Some(1));
    }
    let directory = folder.path("profiles/").to_str().unwrap().to_owned() + "/";
    assert_eq!(vcpu(&["export", &guest, "--to", "cloud-hypervisor", "-o", &directory]).code, Some(0));
    assert_eq!(vcpu(&["export", &guest, "--to", "cloud-hypervisor"]).code, Some(2), "two files need a directory");
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = Folder::new();
    let host = recorded("intel-cascadelake-8268");
    let guest = guest(&folder, std::slice::from_ref(&host), &[]);
    for args in [
        &["export", &guest][..],
        &["export", &guest, "--to", "nonsense"],
        &["export", &guest, "--to", "qemu", "--hosts", &host],
        &["export", "-", "--to", "firecracker", "--hosts", "-"],
    ] {
        let run = vcpu(args);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{args:?}: {run:?}");
    }
    assert!(vcpu(&["export", &host, "--to", "qemu"]).stderr.contains("raw hardware"));
}

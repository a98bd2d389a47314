//! `vcpu show`: the JSON contract, every kind of input, and what goes wrong.

mod common;

use common::{Folder, Host, Run, has, vcpu, vcpu_on};
use cpuid_db::{MsrEntry, Registers, Unrecorded};
use serde_json::json;

fn show(host: &Host, json: bool) -> Run {
    let args: &[&str] = if json { &["show", "--json", "-"] } else { &["show", "-"] };
    vcpu_on(args, host.text().as_bytes())
}

#[test]
fn json_has_the_shape_of_the_contract() {
    let host = Host::intel("a", &["SMEP", "ARCH_CAPABILITIES", "RDCL_NO"]).with(|policy| {
        policy.cpuid.insert(0x1d, 0, Registers::new(0, 0, 0, 1)).unwrap();
        policy.unrecorded.insert(Unrecorded::Msr { index: 0x345 }).unwrap();
        policy.unrecorded.insert(Unrecorded::Cpuid { leaf: 7, subleaf: 1 }).unwrap();
    });
    let mut host = host;
    host.0.cpus[0].msrs = vec![MsrEntry { index: 0x10, value: 5 }, MsrEntry { index: 0x10a, value: 1 }];
    let shown = show(&host, true).json_with(0);
    assert_eq!(shown["schema"], "vcpu.show/1");
    assert_eq!(shown["basis"], "raw");
    let identity = json!({ "vendor": "GenuineIntel", "family": 6, "model": 85, "stepping": 4, "brand": "" });
    assert_eq!(shown["identity"], identity);
    assert_eq!(shown["cpus"][0]["cpu"], 0);
    let leaf = json!({ "leaf": "0x0000001d", "subleaf": "0x00", "eax": "0x00000000", "ebx": "0x00000000", "ecx": "0x00000000", "edx": "0x00000001" });
    assert!(has(&shown["cpus"][0]["leaves"], &leaf));
    assert!(has(&shown["features"], &json!({ "name": "SMEP", "leaf": "0x00000007", "subleaf": "0x00", "register": "ebx", "bit": 7 })));
    assert!(has(&shown["features"], &json!({ "name": "RDCL_NO", "msr": "0x10a", "bit": 0 })));
    let unknown = json!({ "leaf": "0x0000001d", "subleaf": "0x00", "register": "edx", "mask": "0x00000001" });
    assert!(has(&shown["unknown_bits"], &unknown), "{}", shown["unknown_bits"]);
    assert_eq!(shown["unrecorded"], json!([{ "leaf": "0x00000007", "subleaf": "0x01" }, { "msr": "0x00000345" }]));
    assert!(has(&shown["msrs"], &json!({ "index": "0x00000010", "value": "0x0000000000000005" })));
    assert!(has(&shown["msrs"], &json!({ "index": "0x0000010a", "value": "0x0000000000000001" })));
}

#[test]
fn text_tells_the_same() {
    let host = Host::intel("rack1", &["SMEP"]).with(|policy| {
        policy.cpuid.insert(0x1d, 0, Registers::new(0, 0, 0, 1)).unwrap();
        policy.unrecorded.insert(Unrecorded::Msr { index: 0x10a }).unwrap();
    });
    let run = show(&host, false);
    assert_eq!(run.code, Some(0), "{run:?}");
    for part in
        ["rack1", "Intel 6-85-4", "x86-64-v2", "CPUID.7.0.EBX", "SMEP", "Unknown bits", "0x00000001", "MSR 10AH (IA32_ARCH_CAPABILITIES)"]
    {
        assert!(run.stdout.contains(part), "{part}: {}", run.stdout);
    }
    assert!(!run.stdout.contains('\x1b'), "no colours without a terminal");
}

#[test]
fn text_fits_the_terminal() {
    let host = Host::intel("a", &["AVX", "SMEP", "FSGSBASE", "BMI1", "ERMS", "INVPCID", "RDSEED", "ADX", "SMAP"]);
    for columns in [40, 60, 80] {
        let mut command = common::command(&["show", "-"]);
        let mut child = command.env("COLUMNS", columns.to_string()).spawn().unwrap();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), host.text().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            assert!(line.chars().count() <= columns, "{columns}: {line}");
        }
    }
}

#[test]
fn files_with_several_machines_give_a_list() {
    let folder = Folder::new();
    let text = Host::intel("a", &[]).text() + &Host::intel("b", &["SMEP"]).text();
    let file = folder.write("fleet.jsonl", &text);
    let shown = vcpu(&["show", "--json", &file]).json_with(0);
    let names: Vec<&str> = shown.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(vcpu(&["show", "--json", &Host::intel("a", &[]).write(&folder)]).json_with(0).is_object());
    let run = vcpu(&["show", &file]);
    assert!(run.stdout.starts_with("a\n") && run.stdout.contains("\nb\n"), "{}", run.stdout);
}

#[test]
fn names_from_files_cannot_control_the_terminal() {
    let host = Host::intel("evil\u{1b}[2J", &[]);
    let run = show(&host, false);
    assert!(run.stdout.contains("evil?[2J"), "{run:?}");
}

#[test]
fn wrong_input_is_named_and_ends_with_2() {
    let folder = Folder::new();
    let damaged = folder.write("damaged.json", "{\"schema\":\"vcpu.dump/1\",\n\"basis\":7}");
    let missing = folder.path("missing").to_str().unwrap().to_owned();
    let directory = folder.path("").to_str().unwrap().to_owned();
    let empty = folder.write("empty", " \n");
    let cases = [
        (vec!["show", &damaged], "damaged.json:2"),
        (vec!["show", &missing], "missing"),
        (vec!["show", &directory], "vcpu-cli-test"),
        (vec!["show", &empty], "the file is empty"),
        (vec!["show", "-"], "stdin: the file is empty"),
        (vec!["show"], "Usage"),
        (vec!["show", "--nonsense", "-"], "--nonsense"),
    ];
    for (args, expected) in cases {
        let run = vcpu(&args);
        assert_eq!(run.code, Some(2), "{args:?}: {run:?}");
        assert!(run.stderr.contains(expected), "{args:?}: {run:?}");
        assert_eq!(run.stdout, "", "{args:?}");
    }
    let error = vcpu(&["show", "--json", &damaged]).json_with(2);
    assert_eq!(error["schema"], "vcpu.error/1");
    assert!(error["error"].as_str().unwrap().contains("damaged.json:2"), "{error}");
}

//! `vcpu check`: the JSON contract, gaps with their consequences, and every pair of recorded machines.

mod common;

use std::fs;
use std::path::Path;

use common::{Folder, Host, Run, has, vcpu, vcpu_on};
use cpu_dumps::CoreType;
use cpuid_db::{MsrEntry, Registers, Unrecorded, Vendor};
use serde_json::{Value, json};

/// Runs `vcpu check` of a guest on hosts, each in a file of its own, by the hardware alone unless options say otherwise.
fn check(guest: &Host, hosts: &[Host], options: &[&str]) -> Run {
    let folder = Folder::new();
    let guest = folder.write("guest.json", &guest.text());
    let files: Vec<String> = hosts.iter().enumerate().map(|(at, host)| folder.write(&format!("{at}.json"), &host.text())).collect();
    let args = ["check"].into_iter().chain(options.iter().copied()).chain([guest.as_str()]).chain(files.iter().map(String::as_str));
    vcpu(&args.collect::<Vec<_>>())
}

fn raw(guest: &Host, hosts: &[Host], code: i32) -> Value {
    check(guest, hosts, &["--ceiling", "raw", "--json"]).json_with(code)
}

/// The gap about a feature or field on the first host.
fn gap<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let gaps = answer["results"][0]["gaps"].as_array().unwrap();
    gaps.iter().find(|gap| gap["feature"] == name || gap["field"] == name).unwrap_or_else(|| panic!("no gap about {name}: {answer}"))
}

fn of_gap(answer: &Value, name: &str, key: &str) -> String {
    let gap = gap(answer, name);
    gap[key].as_str().unwrap_or_else(|| panic!("{key}: {gap}")).to_owned()
}

#[test]
fn json_has_the_shape_of_the_contract() {
    let guest = Host::intel("guest", &["SMEP", "AVX"]);
    let answer = raw(&guest, &[Host::intel("a", &["SMEP", "AVX"]), Host::intel("b", &[])], 1);
    assert_eq!((&answer["schema"], &answer["verdict"]), (&"vcpu.check/1".into(), &"incompatible".into()));
    assert_eq!(answer["summary"], json!({ "compatible": 1, "incompatible": 1, "unknown": 0 }));
    let first = json!({ "host": "a", "basis": "raw", "verdict": "compatible", "gaps": [], "fixes": [] });
    assert_eq!(answer["results"][0], first);
    let second = &answer["results"][1];
    assert_eq!((&second["host"], &second["verdict"]), (&"b".into(), &"incompatible".into()));
    let smep = second["gaps"].as_array().unwrap().iter().find(|gap| gap["feature"] == "SMEP").unwrap();
    for (key, value) in [("kind", "missing"), ("guest", "0x1"), ("host", "0x0"), ("location", "CPUID.7.0.EBX[7]"), ("because", "kernel")] {
        assert_eq!(smep[key], value, "{smep}");
    }
    assert!(smep["consequence"].as_str().unwrap().contains("CR4.SMEP"), "{smep}");
    assert!(second["fixes"].as_array().is_some_and(|fixes| !fixes.is_empty()), "{second}");
}

#[test]
fn consequences_follow_from_what_a_feature_opens() {
    let features = ["SMAP", "ADX", "AVX", "NX", "SPEC_CTRL", "SSBD", "ERMS", "ARCH_CAPABILITIES", "RDCL_NO", "INVPCID", "PCID"];
    let host = Host::new("other", Vendor::Intel, 0x0005_0657, &[]);
    let answer = raw(&Host::intel("guest", &features), &[host], 1);
    for (name, effect, part) in [
        ("SMAP", "restore", "KVM_SET_SREGS fails"),
        ("ADX", "exception", "ADCX and ADOX: #UD: SIGILL in user space"),
        ("XCR0_AVX", "restore", "XCR0[2]"),
        ("SSBD", "restore", "bit 2 of MSR 48H"),
        ("ERMS", "slower", "slower"),
        ("RDCL_NO", "exposed", "Meltdown"),
        ("INVPCID", "exception", "the guest's kernel"),
    ] {
        assert_eq!(of_gap(&answer, name, "effect"), effect, "{name}");
        let text = of_gap(&answer, name, "consequence");
        assert!(text.contains(part), "{name}: {text}");
        assert_eq!(of_gap(&answer, name, "because"), "hardware", "{name}");
        assert!(of_gap(&answer, name, "fix").contains("--without"), "{name}");
    }
}

#[test]
fn limitations_that_were_not_told_are_gaps() {
    let host = Host::new("other", Vendor::Intel, 0x0005_0657, &["ZERO_FCS_FDS", "MD_CLEAR"]);
    let answer = raw(&Host::intel("guest", &[]), &[host], 1);
    for (name, effect) in [("ZERO_FCS_FDS", "silent"), ("MD_CLEAR", "exposed")] {
        assert_eq!(of_gap(&answer, name, "kind"), "not-announced");
        assert_eq!(of_gap(&answer, name, "effect"), effect);
        assert!(of_gap(&answer, name, "fix").contains(&format!("--with {name}")));
    }
}

#[test]
fn numbers_say_what_would_fit() {
    let wide = |name: &str, bits: u32| {
        Host::intel(name, &[]).with(move |policy| {
            policy.cpuid.insert(0x8000_0008, 0, Registers::new(0x3000 | bits, 0, 0, 0)).unwrap();
        })
    };
    let mut host = wide("narrow", 39);
    host.0.cpus[0].policy.cpuid.get_mut(1, 0).unwrap().eax = 0x0005_0657;
    let answer = raw(&wide("guest", 46), &[host], 1);
    assert_eq!(of_gap(&answer, "PHYS_ADDR_BITS", "kind"), "too-small");
    assert_eq!(
        (of_gap(&answer, "PHYS_ADDR_BITS", "guest"), of_gap(&answer, "PHYS_ADDR_BITS", "host")),
        ("0x2e".to_owned(), "0x27".to_owned())
    );
    assert!(of_gap(&answer, "PHYS_ADDR_BITS", "consequence").contains("reserved"));
    assert!(of_gap(&answer, "PHYS_ADDR_BITS", "fix").contains("at most 39"));
}

#[test]
fn what_was_not_recorded_is_unknown_and_names_the_place() {
    let guest = Host::intel("guest", &["ARCH_CAPABILITIES", "RDCL_NO"]);
    let blind = Host::intel("blind", &["ARCH_CAPABILITIES"]).with(|policy| {
        policy.unrecorded.insert(Unrecorded::Msr { index: 0x10a }).unwrap();
    });
    let answer = raw(&guest, &[blind], 1);
    assert_eq!(answer["verdict"], "unknown");
    assert_eq!((of_gap(&answer, "RDCL_NO", "kind"), &gap(&answer, "RDCL_NO")["host"]), ("unrecorded".to_owned(), &Value::Null));
    assert!(of_gap(&answer, "RDCL_NO", "fix").contains("Record on blind: MSR 10AH"), "{answer}");
}

#[test]
fn values_of_msrs_are_judged() {
    let mut guest = Host::intel("guest", &["SPEC_CTRL", "STIBP"]);
    guest.0.cpus[0].msrs = vec![MsrEntry { index: 0x48, value: 0b100 }];
    let answer = raw(&guest, &[Host::intel("a", &["SPEC_CTRL", "STIBP"])], 1);
    let gap = &answer["results"][0]["gaps"][0];
    assert_eq!((&gap["msr"], &gap["kind"], &gap["guest"]), (&"0x48".into(), &"value-refused".into(), &"0x4".into()));
    assert!(gap["consequence"].as_str().unwrap().contains("SSBD"), "{gap}");
    guest.0.cpus[0].msrs = vec![MsrEntry { index: 0x48, value: 0b11 }];
    raw(&guest, &[Host::intel("a", &["SPEC_CTRL", "STIBP"])], 0);
}

#[test]
fn every_kind_of_core_must_accept() {
    let mut hybrid = Host::intel("hybrid", &["SMEP", "ADX"]);
    let mut small = Host::intel("", &["SMEP"]).0.cpus.remove(0);
    (small.number, small.core_type) = (8, Some(CoreType::Efficiency));
    hybrid.0.cpus[0].core_type = Some(CoreType::Performance);
    hybrid.0.cpus.push(small);
    let answer = raw(&Host::intel("guest", &["ADX", "RDSEED"]), &[hybrid], 1);
    assert_eq!(gap(&answer, "ADX")["cores"], json!(["efficiency core"]));
    assert!(gap(&answer, "RDSEED").get("cores").is_none());
}

#[test]
fn the_ceiling_is_what_kvm_answered() {
    let guest = Host::intel("guest", &["ADX", "VMX"]);
    let host = Host::intel("a", &["ADX", "VMX"]);
    let recorded = host.clone().with_kvm(&["ADX", "VMX"]);
    let json =
        |host: &Host, options: &[&str], code| check(&guest, std::slice::from_ref(host), &[options, &["--json"]].concat()).json_with(code);
    assert_eq!(of_gap(&json(&recorded, &[], 1), "ADX", "because"), "kernel");
    assert_eq!(json(&recorded, &[], 1)["results"][0]["basis"], "recorded");
    assert_eq!(json(&host, &[], 1)["results"][0]["gaps"].as_array().unwrap().len(), 1, "VMX needs nested virtualization");
    json(&host, &["--kvm", "nested"], 0);
    json(&recorded, &["--ceiling", "raw"], 0);
    let other = Host::new("other", Vendor::Intel, 0x0005_0657, &["ADX", "VMX"]);
    let answer = json(&other, &[], 1);
    assert_eq!(of_gap(&answer, "VMX", "because"), "hypervisor");
    assert!(of_gap(&answer, "VMX", "fix").contains("--kvm nested"), "{answer}");
}

#[test]
fn several_hosts_are_summed_up_and_alike_ones_stand_together() {
    let guest = Host::intel("guest", &["SMEP"]);
    let hosts = [Host::intel("a", &["SMEP"]), Host::intel("b", &[]), Host::intel("c", &[]), Host::intel("d", &["SMEP"])];
    let run = check(&guest, &hosts, &["--ceiling", "raw"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    for part in ["4 hosts: 2 compatible; 2 incompatible", "a and d: compatible", "b and c: incompatible (1 gap", "CR4", "What helps"] {
        assert!(run.stdout.contains(part), "{part}: {}", run.stdout);
    }
    let quiet = check(&guest, &hosts, &["--ceiling", "raw", "--quiet"]);
    assert_eq!((quiet.code, quiet.stdout.lines().count()), (Some(1), 4), "{}", quiet.stdout);
    assert_eq!(check(&guest, &hosts[..1], &["--ceiling", "raw"]).stdout, "a: compatible (by the hardware alone)\n");
}

#[test]
fn text_fits_the_terminal() {
    let folder = Folder::new();
    let guest = Host::intel("guest", &["SMEP", "AVX", "ADX", "RDSEED", "INVPCID", "PCID", "ERMS"]).write(&folder);
    let host = Host::new("host", Vendor::Intel, 0x0005_0657, &["ZERO_FCS_FDS"]).write(&folder);
    for columns in [40, 60, 80] {
        let output = common::command(&["check", &guest, &host]).env("COLUMNS", columns.to_string()).output().unwrap();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let is_one_word = line.split_whitespace().count() == 1;
            assert!(line.chars().count() <= columns || is_one_word, "{columns}: {line}");
        }
    }
}

#[test]
fn wrong_input_ends_with_2() {
    let folder = Folder::new();
    let good = Host::intel("a", &[]).write(&folder);
    let two = folder.write("two.jsonl", &(Host::intel("b", &[]).text() + &Host::intel("c", &[]).text()));
    let bad = folder.write("bad.json", "{}");
    for (args, part) in [
        (vec!["check", &good], "Usage"),
        (vec!["check", "-", "-"], "only once"),
        (vec!["check", &two, &good], "2 machines (b and c) where one is wanted"),
        (vec!["check", &good, &bad], "bad.json"),
        (vec!["check", &good, &good, "--ceiling", "raw", "--kvm", "tdp"], "--ceiling raw"),
    ] {
        let run = vcpu(&args);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{args:?}: {run:?}");
        assert!(run.stderr.contains(part), "{args:?}: {run:?}");
    }
    let several = vcpu(&["check", "--ceiling", "raw", "--json", &good, &two]).json_with(0);
    assert!(has(&several["results"], &json!({ "host": "b" })) && has(&several["results"], &json!({ "host": "c" })));
    let from_stdin = vcpu_on(&["check", "--ceiling", "raw", "--json", "-", &good], Host::intel("a", &[]).text().as_bytes());
    assert_eq!(from_stdin.json_with(0)["verdict"], "compatible");
}

/// The machines of testdata/hosts.
fn machines() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/hosts");
    let mut files: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().to_str().unwrap().to_owned()).collect();
    files.sort();
    files
}

/// What was found for all must not be refused by one: a law of the commands together.
#[test]
fn a_policy_of_two_machines_is_accepted_by_both() {
    let folder = Folder::new();
    let files = machines();
    let mut pairs = 0;
    for (at, a) in files.iter().enumerate() {
        // Every other pair: each machine still meets half of the others.
        for b in files[at..].iter().step_by(2) {
            let policy = folder.path("policy.json").to_str().unwrap().to_owned();
            if vcpu(&["baseline", "-o", &policy, a, b]).code != Some(0) {
                continue;
            }
            let answer = vcpu(&["check", "--json", &policy, a, b]).json();
            assert_ne!(answer["verdict"], "incompatible", "{a} {b}: {answer}");
            pairs += 1;
        }
    }
    assert!(pairs > 100, "{pairs}");
}

/// What one machine offers is within what it accepts: only what nobody recorded may stay open.
#[test]
fn what_a_machine_offers_it_accepts() {
    let folder = Folder::new();
    for file in machines() {
        for ceiling in ["kvm", "raw"] {
            let policy = folder.path("policy.json").to_str().unwrap().to_owned();
            assert_eq!(vcpu(&["baseline", "--ceiling", ceiling, "-o", &policy, &file]).code, Some(0), "{file}");
            let answer = vcpu(&["check", "--ceiling", ceiling, "--json", &policy, &file]).json();
            for gap in answer["results"][0]["gaps"].as_array().unwrap() {
                let is_open = gap["kind"] == "unrecorded" || gap["effect"] == "exposed";
                assert!(is_open, "{file}: {gap}");
            }
        }
    }
}

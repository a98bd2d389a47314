//! `vcpu baseline`: the policy object, its decisions, and refusals.

mod common;

use common::{Folder, Host, Run, decision, has, vcpu, vcpu_on};
use cpuid_db::{Policy, Registers, Unrecorded, Vendor};
use serde_json::{Value, json};

/// Runs `vcpu baseline` on these machines, each in a file of its own.
fn baseline(hosts: &[Host], options: &[&str]) -> Run {
    let folder = Folder::new();
    let files: Vec<String> = hosts.iter().enumerate().map(|(at, host)| folder.write(&format!("{at}.json"), &host.text())).collect();
    let args: Vec<&str> = ["baseline"].into_iter().chain(options.iter().copied()).chain(files.iter().map(String::as_str)).collect();
    vcpu(&args)
}

fn policy(hosts: &[Host], options: &[&str]) -> Value {
    baseline(hosts, &[options, &["--json"]].concat()).json_with(0)
}

fn three() -> [Host; 3] {
    [Host::intel("a", &["AVX", "SMEP", "MONITOR"]), Host::intel("b", &["AVX", "AVX2", "SMEP"]), Host::intel("c", &["AVX", "AVX2"])]
}

#[test]
fn json_has_the_shape_of_the_contract() {
    let policy = policy(&three(), &[]);
    assert_eq!(policy["schema"], "vcpu.policy/1");
    assert_eq!(policy["basis"], "derived");
    assert_eq!(policy["hosts"], json!({ "count": 3, "names": ["a", "b", "c"] }));
    assert!(has(&policy["leaves"], &json!({ "leaf": "0x00000001", "subleaf": "0x00", "eax": "0x00050654" })));
    assert!(has(&policy["features"], &json!({ "name": "SSE2", "leaf": "0x00000001", "subleaf": "0x00", "register": "edx", "bit": 26 })));
    assert!(!has(&policy["features"], &json!({ "name": "SMEP" })));
    let smep = decision(&policy, "SMEP");
    assert_eq!((&smep["outcome"], &smep["rule"]), (&"withheld".into(), &"and".into()));
    let because = json!({
        "kind": "missing-on-host", "hosts": { "count": 1, "names": ["c"] }, "text": "SMEP: missing on 1 of 3 hosts: c",
        "fix": "Leave out c to gain SMEP.",
    });
    assert_eq!(smep["because"], because);
    assert_eq!(decision(&policy, "AVX")["because"]["kind"], "all-hosts");
    assert_eq!(decision(&policy, "MONITOR")["because"]["kind"], "not-in-kvm");
    assert_eq!(decision(&policy, "APIC")["because"]["kind"], "live");
    assert_eq!(decision(&policy, "MAX_BASIC_LEAF")["because"]["kind"], "derived");
}

#[test]
fn every_decision_uses_the_words_of_the_contract() {
    const OUTCOMES: [&str; 6] = ["granted", "withheld", "raised", "lowered", "chosen", "undecided"];
    const RULES: [&str; 11] = ["and", "or", "min", "max", "equal", "equal-or-zero", "fixed", "local", "live", "derived", "context"];
    const KINDS: [&str; 16] = [
        "all-hosts",
        "missing-on-host",
        "not-in-kvm",
        "emulated",
        "fixed",
        "requires",
        "limitation",
        "conflict",
        "unrecorded",
        "request",
        "live",
        "local",
        "derived",
        "unknown-bit",
        "context",
        "context",
    ];
    let policy = policy(&three(), &[]);
    for one in policy["decisions"].as_array().unwrap() {
        let word = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{one}")).to_owned();
        assert!(OUTCOMES.contains(&word(&one["outcome"]).as_str()), "{one}");
        assert!(RULES.contains(&word(&one["rule"]).as_str()), "{one}");
        assert!(KINDS.contains(&word(&one["because"]["kind"]).as_str()), "{one}");
        assert!(one["because"]["hosts"]["names"].as_array().unwrap().len() <= 8, "{one}");
        assert!(one["because"]["text"].as_str().unwrap().contains(": "), "{one}");
        assert_ne!(one.get("feature").is_some(), one.get("field").is_some(), "{one}");
    }
}

#[test]
fn every_feature_of_every_input_is_decided_once() {
    let hosts = three();
    let policy = policy(&hosts, &[]);
    for host in &hosts {
        for feature in &host.0.cpus[0].policy.features() {
            decision(&policy, feature.name());
        }
    }
}

#[test]
fn the_order_of_arguments_changes_nothing() {
    let [a, b, c] = three();
    // Two machines of one name that differ in content only.
    let twin = Host::intel("a", &["AVX", "AVX2", "BMI1"]);
    let orders = [[&a, &b, &c, &twin], [&twin, &c, &b, &a], [&b, &a, &twin, &c]];
    for options in [&["--json"][..], &[], &["--ceiling", "raw"]] {
        let texts: Vec<String> = orders.iter().map(|order| baseline(&order.map(Clone::clone), options).stdout).collect();
        assert!(!texts[0].is_empty());
        assert!(texts.iter().all(|text| *text == texts[0]), "{options:?}");
    }
    assert_eq!(policy(&orders[0].map(Clone::clone), &[])["hosts"]["names"], json!(["a", "a#2", "b", "c"]));
}

#[test]
fn the_report_says_who_costs_what() {
    let run = baseline(&three(), &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for part in ["Baseline of 3 hosts", "What hosts cost", "AVX2", "Withheld by KVM", "MONITOR", "x86-64-v2"] {
        assert!(run.stdout.contains(part), "{part}: {}", run.stdout);
    }
}

#[test]
fn several_machines_in_a_file_and_on_standard_input() {
    let text: String = three().iter().map(Host::text).collect();
    let from_stdin = vcpu_on(&["baseline", "--json", "-"], text.as_bytes());
    assert_eq!(from_stdin.json_with(0), policy(&three(), &[]));
    assert_eq!(vcpu(&["baseline", "-", "-"]).code, Some(2));
}

#[test]
fn a_written_policy_is_the_json_and_a_dump() {
    let folder = Folder::new();
    let file = Host::intel("a", &["AVX"]).write(&folder);
    let path = folder.path("policy.json");
    let output = path.to_str().unwrap();
    let run = vcpu(&["baseline", "-o", output, &file]);
    assert!(run.code == Some(0) && run.stdout.contains("written to"), "{run:?}");
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written, vcpu(&["baseline", "--json", &file]).stdout);
    assert_eq!(written, vcpu(&["baseline", "-o", "-", &file]).stdout);
    assert_eq!(folder.entries(), ["a.json", "policy.json"], "no temporary file is left");
    let shown = vcpu(&["show", "--json", output]).json_with(0);
    assert_eq!(shown["basis"], "derived");
    let again = vcpu(&["baseline", "--json", output]).json_with(0);
    assert_eq!(again["features"], serde_json::from_str::<Value>(&written).unwrap()["features"]);
}

#[test]
fn recorded_answers_of_kvm_are_the_ceiling() {
    let host = Host::intel("a", &["AVX", "AVX2"]).with_kvm(&["AVX2"]);
    let policy = policy(std::slice::from_ref(&host), &[]);
    assert_eq!(policy["basis"], "recorded");
    assert_eq!(decision(&policy, "AVX2")["because"]["kind"], "not-in-kvm");
    let raw = self::policy(std::slice::from_ref(&host), &["--ceiling", "raw"]);
    assert_eq!((&raw["basis"], &decision(&raw, "AVX2")["outcome"]), (&"raw".into(), &"granted".into()));
    let mixed = self::policy(&[host, Host::intel("b", &["AVX", "AVX2"])], &[]);
    assert_eq!(mixed["basis"], "derived");
}

#[test]
fn the_kernel_reaches_the_model() {
    let host = [Host::intel("a", &["FLUSH_L1D"])];
    assert_eq!(decision(&policy(&host, &[]), "L1D_FLUSH")["outcome"], "granted");
    let old = policy(&host, &["--kernel", "6.1.172"]);
    assert_eq!(old["ceiling"]["kernel"], "6.1");
    let text = decision(&old, "L1D_FLUSH")["because"]["text"].clone();
    assert!(text.as_str().unwrap().contains("since Linux 6.4"), "{text}");
    for wrong in [&["--kernel", "six"][..], &["--ceiling", "raw", "--kernel", "6.1"]] {
        assert_eq!(baseline(&host, wrong).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn kvm_options_reach_the_model() {
    let host = [Host::intel("a", &["VMX"])];
    assert_eq!(decision(&policy(&host, &[]), "VMX")["outcome"], "withheld");
    let text = decision(&policy(&host, &[]), "VMX")["because"]["text"].clone();
    assert!(text.as_str().unwrap().contains("nested"), "{text}");
    assert_eq!(policy(&host, &["--kvm", "nested"])["ceiling"]["inputs"][1], "nested");
    for wrong in [&["--kvm", "tdp", "--no-kvm", "tdp"][..], &["--ceiling", "raw", "--kvm", "tdp"], &["--kvm", "nonsense"]] {
        assert_eq!(baseline(&host, wrong).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn unknown_bits_are_withheld_and_told() {
    let hosts = [
        Host::intel("a", &[]),
        Host::intel("b", &[]).with(|policy| {
            policy.cpuid.insert(7, 0, Registers::new(1, 0, 0, 0)).unwrap();
            policy.cpuid.insert(7, 1, Registers::new(0, 0, 0, 1 << 31)).unwrap();
        }),
    ];
    let policy = policy(&hosts, &[]);
    let one = decision(&policy, "CPUID.7.1.EDX[31]");
    assert_eq!((&one["outcome"], &one["because"]["kind"]), (&"withheld".into(), &"unknown-bit".into()));
    assert_eq!(one["because"]["hosts"], json!({ "count": 1, "names": ["b"] }));
    assert!(baseline(&hosts, &[]).stdout.contains("CPUID.7.1.EDX[31]"));
}

#[test]
fn unrecorded_places_are_told() {
    let blind = Host::intel("blind", &["ARCH_CAPABILITIES"]).with(|policy| {
        policy.unrecorded.insert(Unrecorded::Msr { index: 0x10a }).unwrap();
    });
    let hosts = [blind, Host::intel("seeing", &["ARCH_CAPABILITIES", "RDCL_NO"])];
    let policy = policy(&hosts, &[]);
    let one = decision(&policy, "RDCL_NO");
    assert_eq!((&one["outcome"], &one["because"]["kind"]), (&"withheld".into(), &"unrecorded".into()));
    assert_eq!(one["because"]["hosts"]["names"], json!(["blind"]));
    let run = baseline(&hosts, &[]);
    assert!(run.stdout.contains("MSR 10AH (IA32_ARCH_CAPABILITIES)") && run.stdout.contains("RDCL_NO"), "{}", run.stdout);
}

#[test]
fn a_machine_with_several_kinds_of_core_counts_once() {
    let mut hybrid = Host::intel("hybrid", &["SMEP"]);
    let mut small = Host::new("", Vendor::Intel, 0x0005_0657, &[]).0.cpus.remove(0);
    small.number = 1;
    hybrid.0.cpus.push(small);
    let policy = policy(&[hybrid, Host::intel("plain", &["SMEP"])], &[]);
    assert_eq!(decision(&policy, "SMEP")["because"]["hosts"], json!({ "count": 1, "names": ["hybrid"] }));
    assert_eq!(decision(&policy, "STEPPING")["because"]["hosts"], json!({ "count": 2, "names": ["hybrid", "plain"] }));
    assert_eq!(policy["hosts"]["count"], 2);
}

#[test]
fn refusals_name_the_hosts_and_what_to_do() {
    let amd = |name| Host::new(name, Vendor::Amd, 0x0080_0f12, &[]);
    let clflush = |name: &str, units: u32| {
        Host::intel(name, &[]).with(move |policy: &mut Policy| {
            policy.cpuid.get_mut(1, 0).unwrap().ebx = units << 8;
        })
    };
    let cases: [(&[Host], &[&str], &[&str]); 4] = [
        (&[Host::intel("a", &[]), amd("b")], &[], &["Intel (a)", "AMD (b)", "--any-vendor"]),
        (&[clflush("a", 8), clflush("b", 16)], &[], &["CLFLUSH_SIZE", "8 on a", "16 on b"]),
        (&[Host::intel("a", &["AVX"]), Host::intel("b", &[])], &["--with", "avx"], &["--with AVX", "missing on b"]),
        (&[Host::intel("a", &["FDP_EXCPTN_ONLY"])], &["--without", "FDP_EXCPTN_ONLY"], &["--without FDP_EXCPTN_ONLY", "a", "--force"]),
    ];
    for (hosts, options, parts) in cases {
        let run = baseline(hosts, options);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{run:?}");
        for part in parts {
            assert!(run.stderr.contains(part), "{part}: {run:?}");
        }
        let error = baseline(hosts, &[options, &["--json"]].concat()).json_with(1);
        assert_eq!(error["schema"], "vcpu.error/1");
    }
    assert_eq!(baseline(&[Host::intel("a", &[]), amd("b")], &["--any-vendor"]).code, Some(0));
    let forced = policy(&[Host::intel("a", &["FDP_EXCPTN_ONLY"])], &["--without", "FDP_EXCPTN_ONLY", "--force"]);
    assert_eq!(forced["forced"], json!(["FDP_EXCPTN_ONLY"]));
}

#[test]
fn wrong_requests_end_with_2() {
    let hosts = [Host::intel("a", &[])];
    for options in [
        &["--with", "nosuchthing"][..],
        &["--with", "mba"],
        &["--with", "CLFLUSH_SIZE"],
        &["--with", "0x10a"],
        &["--with", "avx", "--without", "avx"],
        &["--ceiling", "sky"],
    ] {
        let run = baseline(&hosts, options);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{options:?}: {run:?}");
    }
    assert_eq!(vcpu(&["baseline"]).code, Some(2));
}

#[test]
fn a_damaged_file_leaves_the_policy_as_it_was() {
    let folder = Folder::new();
    let good = Host::intel("a", &[]).write(&folder);
    let bad = folder.write("bad.json", "{}");
    let output = folder.write("policy.json", "before");
    let run = vcpu(&["baseline", "-o", &output, &good, &bad]);
    assert!(run.code == Some(2) && run.stderr.contains("bad.json"), "{run:?}");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "before");
}

#[test]
fn a_pool_of_many_hosts_names_a_few() {
    let text: String = (0..40).map(|at| Host::intel(&format!("host{at:02}"), if at % 2 == 0 { &["AVX"] } else { &[] }).text()).collect();
    let run = vcpu_on(&["baseline", "-"], text.as_bytes());
    assert!(run.stdout.contains("and 28 more"), "{}", run.stdout);
    let policy = vcpu_on(&["baseline", "--json", "-"], text.as_bytes()).json_with(0);
    let hosts = &decision(&policy, "AVX")["because"]["hosts"];
    assert_eq!(hosts["count"], 20);
    assert_eq!(hosts["names"].as_array().unwrap().len(), 8);
    assert_eq!(policy["hosts"]["names"].as_array().unwrap().len(), 40);
}

//! `vcpu resolve` and `vcpu baseline --keep`: everything, named models, and what comes nearest.

mod common;

use common::{Folder, Host, Run, decision, has, vcpu};
use cpuid_db::Vendor;
use serde_json::{Value, json};

/// A machine of testdata/hosts.
fn recorded(name: &str) -> String {
    format!("{}/../../testdata/hosts/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

fn resolve(host: &str, options: &[&str]) -> Run {
    vcpu(&[&["resolve", "--host", host], options].concat())
}

fn policy(host: &str, options: &[&str]) -> Value {
    resolve(host, &[options, &["--json"]].concat()).json_with(0)
}

#[test]
fn one_machine_gets_what_a_pool_of_one_gets() {
    let file = recorded("intel-cascadelake-8268");
    let one = policy(&file, &[]);
    let pool = vcpu(&["baseline", "--json", &file]).json_with(0);
    for key in ["schema", "basis", "hosts", "leaves", "msrs", "features", "decisions"] {
        assert_eq!(one[key], pool[key], "{key}");
    }
    assert_eq!(one["request"], json!({ "model": null, "migratable": false, "with": [], "without": [] }));
    let text = resolve(&file, &[]).stdout;
    assert!(text.starts_with("Guest on intel-cascadelake-8268\n"), "{text}");
}

#[test]
fn a_model_is_given_in_full_and_no_more() {
    // Registers of the file: signature 6-85-7; a Cascade Lake is also a Skylake and a Haswell.
    let file = recorded("intel-cascadelake-8268");
    let guest = policy(&file, &["--model", "Haswell-noTSX"]);
    assert_eq!(guest["identity"]["model"], 60, "QEMU's Haswell models are 6-60");
    assert_eq!(guest["identity"]["brand"], "Intel Core Processor (Haswell, no TSX)");
    for (name, is_there) in
        [("AVX2", true), ("FMA", true), ("AVX512F", false), ("RTM", false), ("HYPERVISOR", true), ("FDP_EXCPTN_ONLY", true)]
    {
        assert_eq!(has(&guest["features"], &json!({ "name": name })), is_there, "{name}");
    }
    assert_eq!(decision(&guest, "AVX512F")["because"]["kind"], "request");
    assert_eq!(guest["request"]["model"]["origin"], "qemu");
    let more = policy(&file, &["--model", "haswell-notsx", "--with", "avx512f", "--without", "fma"]);
    assert!(has(&more["features"], &json!({ "name": "AVX512F" })) && !has(&more["features"], &json!({ "name": "FMA" })));
}

#[test]
fn a_level_of_the_psabi_runs_a_kernel() {
    let guest = policy(&recorded("intel-skylake-e3-1245v5"), &["--model", "x86-64-v3"]);
    for name in ["AVX2", "BMI2", "LM", "PAE", "MSR", "APIC", "PGE"] {
        assert!(has(&guest["features"], &json!({ "name": name })), "{name}");
    }
    assert!(!has(&guest["features"], &json!({ "name": "SMEP" })), "no level names it");
    assert_eq!(guest["identity"]["model"], 94, "a level is of no maker: the machine's own identity stays");
}

#[test]
fn what_is_missing_is_listed_with_reasons_and_with_what_comes_nearest() {
    // 7.0.EBX of this machine has neither AVX512F (bit 16) nor CLWB (bit 24); 7.0.ECX no PKU (bit 3).
    let file = recorded("intel-skylake-e3-1245v5");
    let error = resolve(&file, &["--model", "Skylake-Server", "--json"]).json_with(1);
    assert_eq!(error["schema"], "vcpu.error/1");
    let missing: Vec<&str> = error["missing"].as_array().unwrap().iter().map(|one| one["feature"].as_str().unwrap()).collect();
    assert_eq!(missing, ["AVX512F", "AVX512DQ", "CLWB", "AVX512CD", "AVX512BW", "AVX512VL", "PKU"]);
    assert_eq!(error["missing"][0]["because"]["kind"], "missing-on-host");
    assert_eq!(error["nearest"]["model"], "Skylake-Client");
    let run = resolve(&file, &["--model", "Skylake-Server"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    for part in
        ["7 features are missing", "AVX512F CPUID.7.0.EBX[16]", "--model Skylake-Server --without", "--model Skylake-Client", "--nearest"]
    {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
}

#[test]
fn suggested_commands_are_answered_and_are_the_nearest() {
    let hosts = ["intel-skylake-e3-1245v5", "amd-zen3-7713", "intel-broadwell-e5-2697v4", "amd-zen-3020e"];
    let models = ["Skylake-Server", "EPYC-Genoa", "EPYC-Milan", "x86-64-v4", "SapphireRapids"];
    let mut answered = 0;
    for host in hosts.map(recorded) {
        for model in models {
            let run = resolve(&host, &["--model", model, "--json"]);
            let commands = match run.json() {
                error if run.code == Some(1) => error["nearest"]["commands"].clone(),
                _ => continue,
            };
            let nearest = vcpu(&["resolve", "--host", &host, "--model", model, "--nearest", "--json"]);
            for (at, command) in commands.as_array().into_iter().flatten().enumerate() {
                let words: Vec<&str> = command.as_str().unwrap().split(' ').skip(1).collect();
                if words[0] != "resolve" {
                    continue;
                }
                let answer = vcpu(&[&words[..], &["--json"]].concat()).json_with(0);
                answered += 1;
                if at == 0 {
                    assert_eq!(answer["features"], nearest.json_with(0)["features"], "{command}");
                }
            }
        }
    }
    assert!(answered > 10, "{answered}");
}

#[test]
fn options_of_kvm_that_would_help_are_named() {
    let file = recorded("amd-zen3-7713");
    let run = resolve(&file, &["--model", "EPYC-Milan"]);
    assert!(run.code == Some(1) && run.stderr.contains("--kvm nested"), "{run:?}");
    assert_eq!(resolve(&file, &["--model", "EPYC-Milan", "--kvm", "nested"]).code, Some(0));
}

#[test]
fn a_model_of_another_maker_is_refused() {
    let run = resolve(&recorded("intel-skylake-e3-1245v5"), &["--model", "EPYC", "--nearest"]);
    assert!(
        run.code == Some(1) && run.stderr.contains("a CPU of AMD was asked for, and the machines are Intel (intel-skylake-e3-1245v5)"),
        "{run:?}"
    );
}

#[test]
fn migratable_guests_lack_what_ties_them_to_a_machine() {
    let file = recorded("intel-cascadelake-8268");
    assert!(has(&policy(&file, &[])["features"], &json!({ "name": "INVARIANT_TSC" })));
    let guest = policy(&file, &["--migratable"]);
    assert!(!has(&guest["features"], &json!({ "name": "INVARIANT_TSC" })));
    let asked = policy(&file, &["--migratable", "--with", "INVARIANT_TSC"]);
    assert!(has(&asked["features"], &json!({ "name": "INVARIANT_TSC" })));
}

#[test]
fn wrong_words_end_with_2() {
    let file = recorded("intel-cascadelake-8268");
    for (options, part) in [
        (&["--model", "Haswel"][..], "did you mean Haswell?"),
        (&["--model", "qemu:"], "no known CPU model"),
        (&["--with", "nosuchthing"], "--with"),
        (&["--model", "Haswell", "--migratable"], "--migratable"),
        (&["--with", "avx", "--without", "avx"], "--without"),
    ] {
        let run = resolve(&file, options);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{options:?}: {run:?}");
        assert!(run.stderr.contains(part), "{options:?}: {run:?}");
    }
    let error = resolve(&file, &["--model", "Haswel", "--json"]).json_with(2);
    assert!(has(&error["candidates"], &json!({ "name": "Haswell" })), "{error}");
    let folder = Folder::new();
    let two = folder.write("two.jsonl", &(Host::intel("a", &[]).text() + &Host::intel("b", &[]).text()));
    assert_eq!(resolve(&two, &[]).code, Some(2));
    assert_eq!(vcpu(&["resolve"]).code, Some(2));
}

#[test]
fn a_written_policy_is_read_again() {
    let folder = Folder::new();
    let file = recorded("intel-cascadelake-8268");
    let path = folder.path("guest.json").to_str().unwrap().to_owned();
    let run = resolve(&file, &["--model", "Haswell", "-o", &path]);
    assert!(run.code == Some(0) && run.stdout.contains("written to"), "{run:?}");
    assert_ne!(vcpu(&["check", "--json", &path, &file]).json()["verdict"], "incompatible");
}

#[test]
fn baseline_tells_who_keeps_a_feature_and_what_each_host_costs() {
    let folder = Folder::new();
    let other = |name: &str, features: &[&str]| Host::new(name, Vendor::Intel, 0x0005_0657, features).write(&folder);
    let files = [other("a", &["AVX", "AVX2", "SMEP"]), other("b", &["AVX", "AVX2"]), other("c", &["AVX"])];
    let [a, b, c] = files.each_ref().map(String::as_str);
    let policy = vcpu(&["baseline", "--json", "--keep", "avx2", a, b, c]).json_with(0);
    let keep = &policy["keep"];
    assert_eq!((&keep["features"], &keep["outside"]["names"]), (&json!(["AVX2"]), &json!(["c"])));
    assert_eq!(keep["pools"][0]["hosts"], json!({ "count": 2, "names": ["a", "b"] }));
    assert_eq!(keep["pools"][0]["gained"], json!(["AVX2"]));
    let cost = &policy["costs"][0];
    assert_eq!((&cost["hosts"]["names"], &cost["gained"]), (&json!(["c"]), &json!(["AVX2"])));
    assert_eq!(decision(&policy, "AVX2")["because"]["fix"], "Leave out c to gain AVX2.");
    let text = vcpu(&["baseline", "--keep", "avx2,smep", a, b, c]).stdout;
    assert!(text.contains("What keeps the features") && text.contains("1 of 3 hosts: a"), "{text}");
    assert_eq!(vcpu(&["baseline", "--keep", "nonsense", a]).code, Some(2));
    let none = vcpu(&["baseline", "--json", "--keep", "adx", a]).json_with(0);
    assert_eq!(none["keep"]["pools"], json!([]));
}

//! Formats that speak in names: libvirt's CPUs, QEMU's replies, and the models that both name.

mod samples;

use samples::{machine, refused};

use cpu_dumps::{Cpu, Dump, Format, Machine, models, read};
use cpuid_db::{Basis, Feature, FeatureSet, Field, FieldAt, Project, Unrecorded, Vendor};

/// What is known of a feature.
fn has(cpu: &Cpu, feature: Feature) -> Option<bool> {
    let is_unknown = cpu.policy.unrecorded_features().contains(feature);
    (!is_unknown).then(|| cpu.policy.features().contains(feature))
}

#[track_caller]
fn check(machine: &Machine, cases: &[(Feature, Option<bool>)]) {
    for (feature, expected) in cases {
        assert_eq!(has(&machine.cpus[0], *feature), *expected, "{feature}");
    }
}

fn cpu(inside: &str) -> String {
    format!("<cpu>{inside}</cpu>")
}

// libvirt.

#[test]
fn a_model_brings_its_features_and_the_list_changes_them() {
    let machine = machine(samples::LIBVIRT_CPU);
    assert_eq!((machine.format, machine.basis), (Format::LibvirtCpu, Basis::Raw));
    assert_eq!(machine.cpus[0].policy.signature().to_string(), "6-94-3");
    assert_eq!(machine.cpus[0].policy.vendor(), Vendor::Intel);
    check(
        &machine,
        &[
            (Feature::AVX2, Some(true)),
            (Feature::VMX, Some(true)),
            (Feature::RTM, Some(false)),
            (Feature::AVX512F, Some(false)),
            // A register of which nothing is named.
            (Feature::AVX_VNNI, None),
            // libvirt has no word for it.
            (Feature::RDCL_NO, None),
        ],
    );
}

#[test]
fn what_no_name_says_is_unrecorded() {
    let cpu = &machine(samples::LIBVIRT_CPU).cpus[0];
    for (leaf, subleaf) in [(0, 0), (1, 0), (4, 0), (7, 0), (0xb, 0), (0x8000_0008, 0)] {
        assert!(cpu.policy.unrecorded.contains(Unrecorded::Cpuid { leaf, subleaf }), "{leaf:x}");
    }
    let fields = ["CLFLUSH_SIZE", "MAX_BASIC_LEAF", "PHYS_ADDR_BITS"];
    for field in Field::all().filter(|field| fields.contains(&field.name())) {
        assert_eq!(cpu.policy.field(FieldAt { field, subleaf: 0 }), None, "{}", field.name());
    }
}

#[test]
fn a_limitation_that_is_not_listed_is_not_denied() {
    let cpu = &machine(samples::LIBVIRT_CPU).cpus[0];
    assert_eq!(has(cpu, Feature::ZERO_FCS_FDS), None, "old versions of libvirt have no word for it");
    let listed = samples::LIBVIRT_CPU.replace("'vmx'", "'zero-fcs-fds'");
    assert_eq!(has(&machine(&listed).cpus[0], Feature::ZERO_FCS_FDS), Some(true));
}

#[test]
fn policies_of_features() {
    let cases = [
        ("", Some(true)),
        ("policy='require'", Some(true)),
        ("policy='force'", Some(true)),
        ("policy='disable'", Some(false)),
        ("policy='forbid'", Some(false)),
        ("policy='optional'", None),
    ];
    for (policy, expected) in cases {
        let text = cpu(&format!("<feature {policy} name='pcid'/><feature name='aes'/>"));
        assert_eq!(has(&machine(&text).cpus[0], Feature::PCID), expected, "{policy}");
    }
    refused(&cpu("<feature policy='maybe' name='aes'/>"), "a:1: expected force, require, optional, disable or forbid, found \"maybe\"");
}

#[test]
fn cpus_are_found_where_libvirt_keeps_them() {
    let cpu = samples::LIBVIRT_CPU;
    let plain = machine(cpu);
    for text in [
        format!("<domain type='kvm'><name>x</name>{cpu}<devices><cpu/></devices></domain>"),
        format!("<capabilities><host><uuid/>{cpu}</host><guest><arch name='x86_64'/></guest></capabilities>"),
        format!("<?xml version='1.0'?>\n<!-- comment -->\n<cpus>{cpu}</cpus>"),
        format!(
            "<domainCapabilities><cpu><mode name='custom'><model usable='yes'>EPYC</model></mode><mode name='host-model' supported='yes'>{}</mode></cpu></domainCapabilities>",
            cpu.replace("<cpu>", "").replace("</cpu>", "")
        ),
    ] {
        assert_eq!(machine(&text), plain, "{text}");
    }
    assert_eq!(read("a/pool.xml", format!("<cpus>{cpu}{cpu}</cpus>").as_bytes()).unwrap()[1].name, "pool:2");
}

#[test]
fn names_that_nobody_knows_are_kept_and_reported() {
    let machine = machine(&cpu("<model>Future-Server</model><vendor>Future</vendor><feature name='aes'/><feature name='future'/>"));
    assert_eq!(machine.unknown_names, ["Future", "future", "Future-Server"]);
    check(&machine, &[(Feature::AESNI, Some(true)), (Feature::AVX, None)]);
    let again = read("again.json", Dump::new(&machine).to_string().as_bytes()).unwrap();
    assert_eq!(again[0].unknown_names, machine.unknown_names);
}

#[test]
fn damaged_cpus_of_libvirt() {
    refused(&cpu(""), "a:1: model or feature is missing");
    refused(&cpu("<arch>s390x</arch>"), "a:1: expected x86_64 or i686, found \"s390x\"");
    refused(&cpu("<model>a</model><model>b</model>"), "a:1: model is given twice");
    refused(&cpu("<feature name='aes'/><feature policy='disable' name='aes'/>"), "a:1: \"aes\" is both there and not there");
    refused(&cpu("<feature/>"), "a:1: name is missing");
    refused(&cpu("<signature family='6' model='x' stepping='3'/>"), "a:1: expected a decimal number, found \"x\"");
    refused(
        &cpu("<signature family='6' model='999' stepping='3'/>"),
        "a:1: expected family, model and stepping of a CPU, found \"6-999-3\"",
    );
    refused("<domain><name>x</name></domain>", "a:1: no CPU in the file");
    refused("<cpu>", "a:1: the end of the root element is missing");
    refused(&format!("{}{}", samples::LIBVIRT_CPU, samples::LIBVIRT_CPU), "a:9: the root element is given twice");
    refused(&format!("<cpus>{}", "<a>".repeat(100)), "a:1: more than 64 elements in each other");
}

// Models.

#[test]
fn models_have_the_features_of_their_bases() {
    let model = models::model(Project::Libvirt, "Cascadelake-Server").unwrap();
    assert_eq!(model.vendor, Some(Vendor::Intel));
    assert!(model.signatures.contains(&0x50657));
    for feature in [Feature::AVX512_VNNI, Feature::AVX512F, Feature::FPU, Feature::SPEC_CTRL] {
        assert!(model.features.contains(feature), "{feature}");
    }
    let without = models::model(Project::Libvirt, "Cascadelake-Server-noTSX").unwrap();
    let difference = model.features.difference(&without.features);
    assert_eq!(difference, FeatureSet::EMPTY.with(Feature::HLE).with(Feature::RTM));
}

#[test]
fn versions_that_libvirt_took_over_from_qemu_are_found() {
    let find = |name| models::model(Project::Libvirt, name).map(|model| model.name.as_str());
    assert_eq!(find("Haswell-v4"), Some("Haswell-noTSX-IBRS"), "the same under another name");
    assert_eq!(find("Skylake-Client-v2"), Some("Skylake-Client-v2"), "which never had MPX, unlike libvirt's older Skylake-Client-IBRS");
    assert_eq!(find("EPYC-Turin-v1"), Some("EPYC-Turin-v1"), "QEMU's own");
    assert_eq!(find("Skylake-Client-v99"), None);
    assert_eq!(models::model(Project::Xen, "Skylake-Client"), None);
    assert_eq!(models::model(Project::Qemu, "EPYC-Milan").unwrap().name, "EPYC-Milan-v1");
}

// QMP.

#[test]
fn an_expansion_says_what_is_there_and_what_is_not() {
    let machine = machine(samples::QMP);
    assert_eq!((machine.name.as_str(), machine.format, machine.basis), ("name", Format::Qmp, Basis::Recorded));
    let policy = &machine.cpus[0].policy;
    assert_eq!((policy.signature().to_string().as_str(), policy.vendor()), ("6-94-3", Vendor::Intel));
    assert_eq!(&policy.brand()[..9], b"Invented\0");
    assert!(!policy.unrecorded.contains(Unrecorded::Cpuid { leaf: 0, subleaf: 0 }), "vendor and level are said");
    check(
        &machine,
        &[
            (Feature::SSE4_1, Some(true)),
            (Feature::AESNI, Some(false)),
            (Feature::AVX, None),
            // One word for two bits.
            (Feature::KVM_CLOCKSOURCE, Some(true)),
            (Feature::KVM_CLOCKSOURCE2, Some(true)),
        ],
    );
    assert_eq!(machine.unknown_names, ["invented"], "but not l3-cache, which is no feature");
}

#[test]
fn spellings_of_one_property_must_agree() {
    let text = samples::QMP.replace("\"sse4_1\": true", "\"sse4_1\": false");
    refused(&text, "a:16: return.model.props: \"sse4_1\" is both there and not there");
}

#[test]
fn several_expansions_are_several_machines() {
    let second = samples::QMP.replace("\"base\"", "\"Skylake-Client-v1\"");
    let machines = read("replies.json", format!("{}\n{second}", samples::QMP).as_bytes()).unwrap();
    assert_eq!(machines.iter().map(|machine| machine.name.as_str()).collect::<Vec<_>>(), ["replies:1", "Skylake-Client-v1"]);
}

#[test]
fn greetings_errors_and_definitions_beside_an_expansion_change_nothing() {
    let around =
        r#"{"QMP": {"version": {}}} {"return": {}} {"error": {"class": "GenericError"}, "id": 7} {"timestamp": {}, "event": "RESUME"}"#;
    let definitions = r#"{"return": [{"name": "EPYC", "unavailable-features": ["svm"]}], "id": "definitions"}"#;
    assert_eq!(machine(&format!("{around}{}{definitions}", samples::QMP)), machine(samples::QMP));
}

#[test]
fn definitions_alone_say_what_the_host_lacks() {
    let text = r#"{"return": [
        {"name": "Skylake-Client-v1", "typename": "x", "unavailable-features": ["hle", "rtm"]},
        {"name": "EPYC-v1", "unavailable-features": ["svm", "npt", "invented"]},
        {"name": "old"}], "id": "definitions"}"#;
    let machine = machine(text);
    check(
        &machine,
        &[
            (Feature::AVX2, Some(true)),
            (Feature::HLE, Some(false)),
            (Feature::SVM, Some(false)),
            (Feature::AVX512F, None),
            // EPYC lacks a word that nobody knows, so nothing of it is believed to be there.
            (Feature::CLZERO, None),
        ],
    );
    assert_eq!(machine.unknown_names, ["invented"]);
}

#[test]
fn feature_words_are_registers() {
    let text = r#"{"return": [
          {"cpuid-register": "EDX", "cpuid-input-eax": 1, "features": 33554433},
          {"cpuid-register": "EBX", "cpuid-input-eax": 7, "cpuid-input-ecx": 0, "features": 1}], "id": "feature-words"}
        {"id": "family", "return": 6} {"return": 58, "id": "model"} {"return": 9, "id": "stepping"} {"return": "Old", "id": "model-id"}"#;
    let machine = machine(text);
    assert_eq!(machine.cpus[0].policy.signature().to_string(), "6-58-9");
    assert_eq!(&machine.cpus[0].policy.brand()[..4], b"Old\0");
    check(&machine, &[(Feature::SSE, Some(true)), (Feature::SSE2, Some(false)), (Feature::FSGSBASE, Some(true)), (Feature::SSE3, None)]);
}

#[test]
fn copies_of_leaf_1_follow_leaf_1_on_amd() {
    let amd = samples::QMP.replace("GenuineIntel", "AuthenticAMD");
    check(&machine(&amd), &[(Feature::FPU_ALIAS, Some(true)), (Feature::VME_ALIAS, None)]);
    check(&machine(samples::QMP), &[(Feature::FPU_ALIAS, Some(false))]);
}

#[test]
fn damaged_replies() {
    refused(
        &samples::QMP.replace("\"family\": 6", "\"family\": 999"),
        "a:7: return.model.props: expected a number of a CPU's identity, found \"family 999\"",
    );
    refused(&samples::QMP.replace("GenuineIntel", "Intel"), "a:6: return.model.props: expected a vendor of 12 characters, found \"Intel\"");
    refused(r#"{"return": {}}"#, "a: no CPU in the file");
    refused(r#"{"return": [{"cpuid-register": "EDX", "features": 1}]}"#, "a:1: return[0]: cpuid-input-eax is missing");
}

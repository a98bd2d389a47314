//! Models by all their names.

use cpu_dumps::models::{model_words, models};
use cpu_dumps::{Origin, find_model};
use cpuid_db::{Feature, FeatureSet, Project, Vendor, lookup};
use cpuid_db::{Found, Named};

fn name(word: &str) -> &'static str {
    &find_model(word).unwrap().model.name
}

/// Table of the x86-64 psABI, "Micro-architecture levels": what each level adds, in its own words (but for SCE, OSFXSR and OSXSAVE,
/// which are bits of control registers).
const LEVELS: [(&str, &[&str]); 4] = [
    ("x86-64-v1", &["cmov", "cx8", "fpu", "fxsr", "mmx", "sse", "sse2"]),
    ("x86-64-v2", &["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"]),
    ("x86-64-v3", &["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"]),
    ("x86-64-v4", &["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
];

fn feature(word: &str) -> Feature {
    match lookup(&format!("qemu:{word}")) {
        Ok(Found::Named(Named::Feature(feature))) => feature,
        other => panic!("{word}: {other:?}"),
    }
}

#[test]
fn levels_of_the_psabi_are_features_of_no_vendor() {
    let mut all: FeatureSet = FeatureSet::EMPTY.with(Feature::LM).with(Feature::SYSCALL);
    for (level, words) in LEVELS {
        all = words.iter().map(|word| feature(word)).fold(all, FeatureSet::with);
        let found = find_model(level).unwrap();
        assert_eq!((found.origin, found.model.vendor, found.model.features), (Origin::Psabi, None, all), "{level}");
    }
}

#[test]
fn every_word_finds_its_model() {
    let words = model_words();
    for word in &words {
        let found = find_model(word).unwrap();
        assert_eq!(found.name, *word);
        assert_eq!(find_model(&format!("{}:{word}", found.origin)).unwrap(), found);
        assert_eq!(find_model(&word.to_uppercase()).unwrap(), found);
    }
    for (project, origin) in [(Project::Qemu, Origin::Qemu), (Project::Libvirt, Origin::Libvirt)] {
        for model in models(project) {
            let found = find_model(&format!("{origin}:{}", model.name)).unwrap();
            assert_eq!((found.origin, found.model), (origin, model));
        }
    }
}

#[test]
fn a_project_can_be_pinned() {
    // libvirt took the name, but not the feature that QEMU's first version still had.
    let (qemu, libvirt) = (find_model("Skylake-Server").unwrap(), find_model("libvirt:Skylake-Server").unwrap());
    assert_eq!((qemu.origin, libvirt.origin), (Origin::Qemu, Origin::Libvirt));
    assert_eq!(qemu.model, find_model("qemu:Skylake-Server").unwrap().model);
    assert_ne!(qemu.model, libvirt.model);
    assert_eq!(find_model("libvirt:EPYC-Turin-v1").unwrap().origin, Origin::Libvirt, "newer libvirts take QEMU's names");
    assert!(find_model("xen:EPYC").is_err());
    assert!(find_model("qemu:pentiumpro").is_err(), "libvirt alone has it");
}

#[test]
fn without_a_version_it_is_the_one_that_qemu_takes() {
    // `query-cpu-definitions` of QEMU 7.2: alias-of.
    for (word, versioned) in [
        ("Skylake-Server", "Skylake-Server-v1"),
        ("Skylake-Server-IBRS", "Skylake-Server-v2"),
        ("Skylake-Server-noTSX-IBRS", "Skylake-Server-v3"),
        ("EPYC-IBPB", "EPYC-v2"),
        ("qemu64", "qemu64-v1"),
    ] {
        assert_eq!(name(word), versioned);
    }
}

#[test]
fn models_say_more_than_features() {
    // target/i386/cpu.c, EPYC-Milan.
    let model = find_model("EPYC-Milan-v1").unwrap().model;
    assert_eq!((model.vendor, model.level, model.xlevel), (Some(Vendor::Amd), Some(0xd), Some(0x8000_001e)));
    assert_eq!(model.model_id.as_deref(), Some("AMD EPYC-Milan Processor"));
    assert_eq!(model.signatures, [0x00a0_0f11]);
    assert!(model.features.contains(Feature::VME), "TCG hides it from those who ask");
}

#[test]
fn generations_stand_for_models_of_their_vendor() {
    let generations: Vec<_> =
        model_words().into_iter().map(|word| find_model(word).unwrap()).filter(|found| found.origin == Origin::Generation).collect();
    assert!(generations.len() >= 25);
    for found in generations {
        let maker = found.name.split('-').next().unwrap();
        let vendor = match maker {
            "intel" => Vendor::Intel,
            "amd" => Vendor::Amd,
            "hygon" => Vendor::Hygon,
            // Its parts of that generation call themselves CentaurHauls.
            "zhaoxin" => Vendor::Centaur,
            other => panic!("{other}"),
        };
        assert_eq!(found.model.vendor, Some(vendor), "{}", found.name);
        assert!(found.because.is_some(), "{}", found.name);
        let has_tsx = found.model.features.contains(Feature::RTM);
        let is_immune = found.model.features.contains(Feature::TAA_NO);
        assert!(!has_tsx || is_immune, "{}: TSX may be off for TAA", found.name);
    }
}

#[test]
fn an_unknown_word_gets_the_nearest() {
    let error = find_model("Skylake-Servr-v4").unwrap_err();
    assert_eq!(error.nearest[0], "Skylake-Server-v4");
    assert_eq!(find_model("amd-zen33").unwrap_err().nearest[..1], ["amd-zen3"]);
    assert_eq!(find_model("qemu:Skylake-Servr-v4").unwrap_err().word, "qemu:Skylake-Servr-v4");
    assert_eq!(find_model("").unwrap_err().to_string(), "\"\" is no known CPU model");
    assert_eq!(find_model("something else").unwrap_err().nearest, Vec::<&str>::new());
    assert_eq!(find_model(&"a".repeat(1 << 20)).unwrap_err().nearest, Vec::<&str>::new());
}

/// What QEMUs of many versions said a host lacks of their models, in the tests of libvirt: a model can only lack what it has.
#[test]
fn models_have_what_hosts_lack_of_them() {
    let Some(corpus) = std::env::var_os("VCPU_CORPUS") else {
        eprintln!("skipped: VCPU_CORPUS is not set");
        return;
    };
    let (mut checked, mut others) = (0, std::collections::BTreeSet::new());
    for entry in std::fs::read_dir(std::path::Path::new(&corpus).join("originals/libvirt")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for reply in serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>() {
            let reply = reply.unwrap();
            for row in reply.get("return").and_then(|answer| answer.as_array()).into_iter().flatten() {
                let (Some(name), Some(lacking)) = (row["name"].as_str(), row["unavailable-features"].as_array()) else { continue };
                let Ok(found) = find_model(&format!("qemu:{name}")) else { continue };
                for word in lacking.iter().filter_map(|word| word.as_str()) {
                    let Ok(Found::Named(Named::Feature(feature))) = lookup(&format!("qemu:{word}")) else { continue };
                    checked += 1;
                    if !found.model.features.contains(feature) {
                        others.insert(format!("{name} {feature}"));
                    }
                }
            }
        }
    }
    eprintln!("{checked} words of hosts compared");
    assert!(checked > 1000, "{checked}");
    assert_eq!(others.into_iter().collect::<Vec<_>>(), OLDER);
}

/// What older versions of QEMU had in a model and the recorded one has not: MPX, which went from all models when Linux dropped it.
const OLDER: [&str; 6] = [
    "Cascadelake-Server MPX",
    "Icelake-Server MPX",
    "Skylake-Client MPX",
    "Skylake-Client-IBRS MPX",
    "Skylake-Server MPX",
    "Skylake-Server-IBRS MPX",
];

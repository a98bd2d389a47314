//! The model of stock KVM against what KVM is recorded to have answered. Every difference is listed with its reason, and every
//! listed difference is there. Views that are only in a corpus are compared when `VCPU_CORPUS` names one.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::views::{At, Place, Values, known, originals};

#[test]
fn the_model_differs_from_recordings_only_as_listed() {
    let known = known();
    let mut views = BTreeSet::new();
    let mut found: BTreeMap<At, Values> = BTreeMap::new();
    for view in &known.views {
        let Some(facts) = view.differences() else { continue };
        found.extend(facts);
        assert!(views.insert(view.name.clone()), "{} is there twice", view.name);
    }
    if originals().is_none() {
        eprintln!("skipped: {} views of the corpus; VCPU_CORPUS is not set", known.views.len() - views.len());
    }
    let listed = known.listed(&views);
    let unlisted = found.iter().filter(|(at, values)| !listed.get(*at).is_some_and(|entry| entry.is(values)));
    let unlisted: Vec<String> =
        unlisted.map(|((view, what), (ours, theirs))| format!("  {view}: {what} derived {ours}, recorded {theirs}")).collect();
    let vanished = listed.iter().filter(|(at, entry)| !found.get(*at).is_some_and(|values| entry.is(values)));
    let vanished: Vec<String> = vanished.map(|((view, what), _)| format!("  {view}: {what}")).collect();
    assert!(unlisted.is_empty() && vanished.is_empty(), "not listed: {unlisted:#?}\nlisted, but not so: {vanished:#?}");
}

#[test]
fn every_entry_is_about_something() {
    let known = known();
    let names: Vec<&str> = known.views.iter().map(|view| view.name.as_str()).collect();
    for entry in &known.differences {
        assert!(!entry.what.is_empty() && !entry.reason.trim().is_empty(), "{:?}", entry.what);
        for wanted in &entry.views {
            let found = names.iter().any(|name| wanted.strip_suffix('*').map_or(*name == wanted, |prefix| name.starts_with(prefix)));
            assert!(found, "{:?}: no view is called {wanted}", entry.what);
        }
    }
    let reasons: BTreeSet<&str> = known.differences.iter().map(|entry| entry.reason.as_str()).collect();
    assert_eq!(reasons.len(), known.differences.len(), "a reason that fits two entries fits neither");
}

#[test]
fn every_recording_of_the_corpus_is_compared() {
    let Some(originals) = originals() else {
        eprintln!("skipped: VCPU_CORPUS is not set");
        return;
    };
    let known = known();
    let listed: BTreeSet<&str> = known.views.iter().filter(|view| view.from == Place::Corpus).map(|view| view.name.as_str()).collect();
    for entry in std::fs::read_dir(originals.join("libvirt")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy();
        // QEMU's replies; the other files of a host are libvirt's reading of them.
        if file.starts_with("x86_64-cpuid-") && path.extension().is_some_and(|extension| extension == "json") {
            assert!(listed.contains(format!("libvirt/{file}").as_str()), "{file} is not compared");
        }
    }
    for entry in std::fs::read_dir(originals.join("firecracker/cpu_template_helper")).unwrap() {
        let path = entry.unwrap().path();
        let recorded = common::views::policy(&path);
        let imported = known.views.iter().filter(|view| view.from == Place::Testdata).filter_map(common::views::Recorded::policies);
        assert!(imported.into_iter().any(|(_, view)| view == recorded), "{} is not in testdata/kvm-views", path.display());
    }
}

//! The engine over a folder of real dumps, named by `VCPU_CORPUS` (its `originals/` is walked); skipped, loudly, without it.

mod common;

use std::path::{Path, PathBuf};

use common::oracle::{assert_closed, assert_fields_within, assert_within};
use common::{Ceiling, baseline, checked};
use cpu_caps::{Refusal, Verdict, View};
use cpuid_db::{EdgeKind, Policy};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Every host dump that some reader knows: first CPU, and where it came from.
fn hosts() -> Option<Vec<(String, Policy)>> {
    let Some(corpus) = std::env::var_os("VCPU_CORPUS") else {
        eprintln!("skipped: VCPU_CORPUS is not set");
        return None;
    };
    let mut paths = Vec::new();
    files(&Path::new(&corpus).join("originals"), &mut paths);
    paths.sort();
    let mut hosts = Vec::new();
    for path in paths {
        let name = path.to_string_lossy().into_owned();
        let derived = ["-host.xml", "-guest.xml", "-enabled.xml", "-disabled.xml", "-json.xml", "/firecracker/", "/local/"];
        if derived.iter().any(|word| name.contains(word)) {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let Ok(machines) = cpu_dumps::read(&name, &bytes) else { continue };
        hosts.extend(machines.into_iter().filter_map(|machine| Some((name.clone(), machine.cpus.into_iter().next()?.policy))));
    }
    Some(hosts)
}

#[test]
fn no_machine_violates_an_architectural_edge() {
    for (name, policy) in hosts().unwrap_or_default() {
        if policy.hypervisor().is_some() {
            continue;
        }
        let view = View::of(&policy);
        for feature in &view.features {
            for edge in feature.row().requires.iter().filter(|edge| edge.kind == EdgeKind::Architectural) {
                let met = view.features.union(&view.unknown).contains_any(edge.any);
                assert!(met, "{name}: {feature} without {:?}", edge.any);
            }
        }
    }
}

#[test]
fn every_same_vendor_pair_has_a_right_baseline() {
    let hosts = hosts().unwrap_or_default();
    let (mut pairs, mut refused) = (0, 0);
    for (at, (a_name, a)) in hosts.iter().enumerate() {
        for (b_name, b) in hosts[at..].iter().filter(|(_, b)| b.vendor() == a.vendor()) {
            pairs += 1;
            match baseline(&[a, b], Ceiling::Kvm) {
                Ok(result) => {
                    assert_eq!(result.features, result.policy.features(), "{a_name} with {b_name}");
                    assert_closed(&result.features);
                    for member in [a, b] {
                        assert_within(&result.features, member, Ceiling::Kvm, |feature| result.decisions.feature(feature).outcome);
                        assert_fields_within(&result.policy, member, Ceiling::Kvm, &result.features);
                        let (verdict, gaps) = checked(&result.policy, &[], member, Ceiling::Kvm);
                        assert!(verdict != Verdict::Incompatible, "{a_name} with {b_name}: {gaps:?}");
                    }
                    let swapped = baseline(&[b, a], Ceiling::Kvm).unwrap();
                    assert_eq!(swapped.policy, result.policy, "{a_name} with {b_name}: order");
                }
                Err(Refusal::Field { at, .. }) => {
                    assert_eq!(at.field, cpuid_db::Field::CLFLUSH_SIZE, "{a_name} with {b_name}");
                    refused += 1;
                }
                Err(other) => panic!("{a_name} with {b_name}: {other}"),
            }
        }
    }
    if !hosts.is_empty() {
        eprintln!("{} hosts, {pairs} pairs, {refused} refused for their line size", hosts.len());
    }
}

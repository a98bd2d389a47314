//! Every machine of a corpus resolves on itself without losing a bit that KVM gives, by somebody else's table of KVM's capabilities.
//! Both are named from outside: `VCPU_CORPUS`, the folder of dumps, and `VCPU_REFERENCE`, the folder that holds kvm_caps.tsv.
//! Without the table the tests are skipped, loudly; without the corpus they look at the repository's own machines.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::views::{originals, policy, root};
use common::{Ceiling, baseline};
use cpu_caps::{Cause, Outcome, View};
use cpuid_db::{Feature, Found, Named, Policy, lookup};

/// One line of the table: a bit, how KVM comes to report it, and what may change that afterwards.
struct Line {
    feature: Feature,
    kind: String,
    adjusted: bool,
}

/// Kinds that mean that KVM reports the bit of a host that has it.
const GIVEN: [&str; 10] =
    ["native", "x86_64", "scattered", "passthrough", "synthesized", "emulated", "aliased_1_edx", "vendor", "vendor_unlisted", "hardcoded"];

fn table() -> Option<Vec<Line>> {
    let Some(reference) = std::env::var_os("VCPU_REFERENCE") else {
        eprintln!("skipped: VCPU_REFERENCE is not set");
        return None;
    };
    let text = std::fs::read_to_string(Path::new(&reference).join("kvm_caps.tsv")).unwrap();
    Some(text.lines().skip(1).filter_map(line).collect())
}

fn line(text: &str) -> Option<Line> {
    let columns: Vec<&str> = text.split('\t').collect();
    let [leaf, subleaf, register, bit, _, kind, _, _, _, _, later, ..] = columns[..] else { panic!("{text}") };
    let leaf = leaf.trim_start_matches("0x").to_uppercase();
    let place = format!("CPUID.{leaf}.{subleaf}.{register}[{bit}]");
    if let Ok(Found::Named(Named::Feature(feature))) = lookup(&place) {
        return Some(Line { feature, kind: kind.to_owned(), adjusted: later != "-" });
    }
    assert!(!GIVEN.contains(&kind), "KVM gives {place}, which the database does not name");
    None
}

/// Why a bit that the host has and KVM reports may still be missing in the guest of that very host.
fn excuse(line: &Line, outcome: Outcome, cause: Cause) -> Option<&'static str> {
    let conditional = line.adjusted || line.kind.starts_with("vendor") || !line.feature.row().kvm_if.is_empty();
    match cause {
        Cause::NotInKvm if conditional => Some("a module option that is off, or the vendor module takes it away"),
        Cause::NotInKvm if !line.feature.row().kvm_needs.is_empty() => Some("the host lacks what KVM needs for it"),
        Cause::Requires(_) => Some("a prerequisite is not there"),
        Cause::Unrecorded => Some("the dump could not tell"),
        Cause::Context => Some("decided by a rule that looks at the rest of the policy"),
        Cause::Foreign => Some("another vendor's spelling"),
        Cause::Live | Cause::Local => Some("follows state or belongs to the VM"),
        Cause::Derived if outcome == Outcome::Withheld => Some("a copy of a bit that is not there"),
        _ => None,
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Raw dumps of the repository and of the corpus.
fn hosts() -> Vec<(String, Policy)> {
    let mut paths = Vec::new();
    files(&root().join("testdata/hosts"), &mut paths);
    if let Some(originals) = originals() {
        files(&originals.join("libcpuid"), &mut paths);
        files(&originals.join("libvirt"), &mut paths);
    } else {
        eprintln!("VCPU_CORPUS is not set: the machines of testdata/hosts only");
    }
    // Beside the raw dump of a host, libvirt has other readings of it.
    let readings = ["-host.xml", "-guest.xml", "-enabled.xml", "-disabled.xml", "-json.xml", "-baseline-"];
    paths.retain(|path| {
        let name = path.to_string_lossy();
        let xml = path.extension().is_some_and(|extension| extension == "xml");
        !name.contains("/libvirt/") || xml && !readings.iter().any(|word| name.contains(word))
    });
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        cpu_dumps::read(&name, &bytes).is_ok().then(|| (name, policy(&path)))
    };
    paths.into_iter().filter_map(read).filter(|(_, policy)| policy.hypervisor().is_none()).collect()
}

#[test]
fn a_machine_alone_loses_nothing_that_kvm_gives() {
    let Some(table) = table() else { return };
    let (mut kept, mut excused, mut lost) = (0, BTreeMap::<&str, BTreeMap<String, usize>>::new(), Vec::new());
    let hosts = hosts();
    for (name, policy) in &hosts {
        let raw = View::of(policy);
        let guest = baseline(&[policy], Ceiling::Kvm).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        for line in table.iter().filter(|line| GIVEN.contains(&line.kind.as_str()) && raw.features.contains(line.feature)) {
            let decision = guest.decisions.feature(line.feature);
            if guest.features.contains(line.feature) {
                kept += 1;
            } else if let Some(excuse) = excuse(line, decision.outcome, decision.cause) {
                *excused.entry(excuse).or_default().entry(line.feature.to_string()).or_default() += 1;
            } else {
                lost.push(format!("{name}: {} ({}) {}", line.feature, line.kind, decision.cause.name()));
            }
        }
    }
    eprintln!("{} machines: {kept} bits kept, excused: {excused:?}", hosts.len());
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

#[test]
fn what_kvm_never_gives_nobody_gets() {
    let Some(table) = table() else { return };
    for (name, policy) in hosts() {
        let guest = baseline(&[&policy], Ceiling::Kvm).unwrap();
        for line in table.iter().filter(|line| line.kind == "unsupported" && guest.features.contains(line.feature)) {
            // A limitation is announced although KVM's capability words lack it: the hardware behaves so, and KVM does not filter.
            let row = line.feature.row();
            assert!(row.innate || row.merge == cpuid_db::Merge::Or, "{name}: {} is given, which KVM does not report", line.feature);
        }
    }
}

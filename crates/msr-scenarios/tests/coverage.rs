//! Every odd MSR is in some scenario: a hook that no scenario reaches has no outside witness.

use std::collections::BTreeSet;

use msr_scenarios::{Scenario, StepKind, read};
use msr_semantics::{Semantics, entry, table};

fn scenarios() -> Vec<Scenario> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/scenarios");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read_one = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        read(&name, &std::fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{error}"))
    };
    files.flat_map(read_one).collect()
}

fn address(kind: &StepKind) -> Option<u32> {
    match kind {
        StepKind::Write { address, .. } => Some(*address),
        StepKind::Control { register, .. } if register == "efer" => Some(0xc000_0080),
        _ => None,
    }
}

#[test]
fn every_hook_is_reached_by_a_write_of_some_scenario() {
    let scenarios = scenarios();
    let steps = scenarios.iter().flat_map(|scenario| &scenario.steps);
    let written: BTreeSet<u32> = steps.filter_map(|step| address(&step.kind)).collect();
    let rows = written.iter().filter_map(|address| entry(*address)).flat_map(|entry| entry.rows().map(|(msr, _)| msr).collect::<Vec<_>>());
    let reached: Vec<_> = rows.filter_map(|msr| msr.hook).collect();
    let hooks = table().iter().filter_map(|msr| Some((msr.address, msr.hook?)));
    let missed: Vec<String> = hooks.filter(|(_, hook)| !reached.contains(hook)).map(|(address, _)| format!("{address:#x}")).collect();
    assert!(missed.is_empty(), "no scenario writes an MSR with the hook of {missed:?}");
}

#[test]
fn at_least_half_of_the_scenarios_are_about_the_architecture() {
    let scenarios = scenarios();
    let architectural = scenarios.iter().filter(|scenario| scenario.semantics == Semantics::Architectural).count();
    assert!(2 * architectural >= scenarios.len(), "{architectural} of {}", scenarios.len());
}

#[test]
fn names_are_unique_across_files() {
    let mut names = BTreeSet::new();
    for scenario in scenarios() {
        assert!(names.insert(scenario.name.clone()), "{}:{}: {}", scenario.file, scenario.line, scenario.name);
    }
}

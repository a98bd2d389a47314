//! Machines in the formats that are written: what the files say, what is listed as lost, and nothing else.

use std::collections::BTreeSet;

use arbitrary::Unstructured;
use cpu_dumps::{Cpu, Lost, Machine, Target, WriteError, Written, detect, read, read_as, write};
use cpuid_db::{Unrecorded, UnrecordedList, Vendor};

use crate::machines;
use crate::readers::check_round_trip;

/// A machine in this format is read as that machine, but for what is listed.
pub(crate) fn write_one(target: Target, bytes: &[u8]) {
    if let Ok(machine) = machines::machine(&mut Unstructured::new(bytes)) {
        let lost = check(&machine, target);
        if target == Target::Dump && lost.is_some() {
            assert_eq!(lost, Some(BTreeSet::new()), "the own format says everything");
            check_round_trip(&machine);
        }
    }
}

/// The list of losses is exactly the difference between the machine and what its files say, and writing that again changes nothing.
/// The answer is that list; `None` when the machine is refused.
pub(crate) fn check(machine: &Machine, target: Target) -> Option<BTreeSet<Lost>> {
    let written = match write(machine, target) {
        Ok(written) => written,
        Err(error) => {
            check_refusal(machine, &error);
            return None;
        }
    };
    let again = read_again(machine, target, &written);
    let listed: BTreeSet<Lost> = written.lost.iter().copied().collect();
    if !target.has_registers() {
        check_words(machine, &again, &written);
        return Some(listed);
    }
    assert_eq!(difference(machine, &again), listed, "{target}: what is lost");
    if listed.is_empty() {
        assert_eq!(again, *machine, "{target}: nothing is lost");
    }
    let numbers: BTreeSet<u32> = machine.cpus.iter().map(|cpu| cpu.number).collect();
    assert!(listed.len() == written.lost.len() || numbers.len() < machine.cpus.len(), "{target}: a loss is listed twice");
    assert_eq!(write(&again, target), Ok(Written { lost: Vec::new(), ..written }), "{target}: written once more");
    Some(listed)
}

/// Formats that name features: those that only one side has are listed, each for what it is.
fn check_words(machine: &Machine, again: &Machine, written: &Written) {
    let known = |machine: &Machine| machine.cpus[0].policy.features().difference(&machine.cpus[0].policy.unrecorded_features());
    let (before, after) = (known(machine), known(again));
    let is_lost = |want| written.lost.iter().any(|lost| matches!(lost, Lost::Feature { feature, .. } if *feature == want));
    let is_given = |want| written.lost.iter().any(|lost| matches!(lost, Lost::Given { feature, .. } if *feature == want));
    for feature in &before.union(&after) {
        let (had, has) = (before.contains(feature), after.contains(feature));
        assert_eq!((had && !has, has && !had), (is_lost(feature), is_given(feature)), "{feature}");
    }
}

/// A refusal has the reason that it gives. Nothing that is made here is too large for a format.
fn check_refusal(machine: &Machine, error: &WriteError) {
    let first = &machine.cpus[0];
    let is_empty = |cpu: &Cpu| cpu.policy.cpuid.entries().is_empty() && cpu.msrs.is_empty();
    let is_true = match error {
        WriteError::Nothing { target: Target::Dump } => machine.cpus.iter().all(is_empty),
        WriteError::Nothing { target: Target::CloudHypervisorProfile } => {
            first.policy.cpuid.entries().is_empty() && first.policy.msrs.entries().is_empty()
        }
        WriteError::Nothing { .. } => is_empty(first),
        WriteError::NoLeaf0 { number, .. } => machine.cpus.iter().any(|cpu| cpu.number == *number && cpu.policy.cpuid.get(0, 0).is_none()),
        WriteError::Vendor { .. } => !matches!(first.policy.vendor(), Vendor::Intel | Vendor::Amd),
        _ => false,
    };
    assert!(is_true, "{error}");
}

/// The machine that all files together describe, under the name and format of the one that was written.
fn read_again(machine: &Machine, target: Target, written: &Written) -> Machine {
    let mut parts = Vec::new();
    for part in &written.parts {
        let bytes = part.text.as_bytes();
        assert_eq!(detect(bytes), Some(target.format()), "{}", part.text);
        let machines = read_as(target.format(), "part", bytes).unwrap_or_else(|error| panic!("{error}\n{}", part.text));
        assert_eq!(read("part", bytes).as_ref(), Ok(&machines), "{target} by its content");
        assert_eq!(machines.len(), 1, "{target}: one machine in a file");
        parts.extend(machines);
    }
    let last = parts.pop().expect("at least one file");
    let again = parts.pop().map_or(last.clone(), |first| joined(first, &last));
    assert!(parts.is_empty(), "{target}: two files at most");
    Machine { name: machine.name.clone(), format: machine.format, ..again }
}

/// CPUID of one machine and the MSRs of another; unknown is what neither knows.
fn joined(mut machine: Machine, msrs: &Machine) -> Machine {
    assert_eq!((machine.cpus.len(), msrs.cpus.len()), (1, 1), "two files, one CPU");
    for (cpu, other) in machine.cpus.iter_mut().zip(&msrs.cpus) {
        assert!(cpu.msrs.is_empty() && other.policy.cpuid.entries().is_empty(), "one file for each kind");
        let mut unrecorded = UnrecordedList::new();
        for place in cpu.policy.unrecorded.as_slice().iter().filter(|place| other.policy.unrecorded.contains(**place)) {
            unrecorded.insert(*place).expect("a part of a list fits where the list did");
        }
        cpu.policy.unrecorded = unrecorded;
        cpu.policy.msrs = other.policy.msrs.clone();
        cpu.msrs.clone_from(&other.msrs);
    }
    machine
}

/// What `new` does not say of `old`; panics when it says something else.
fn difference(old: &Machine, new: &Machine) -> BTreeSet<Lost> {
    let mut lost = BTreeSet::new();
    let (before, after) = (&old.provenance, &new.provenance);
    for (before, after, loss) in [
        (&before.tool, &after.tool, Lost::Tool),
        (&before.kernel, &after.kernel, Lost::Kernel),
        (&before.microcode, &after.microcode, Lost::Microcode),
        (&before.source, &after.source, Lost::Source),
    ] {
        assert!(after.is_none() || before == after, "{after:?} is invented");
        lost.extend((before != after).then_some(loss));
    }
    assert!(new.kvm.is_none() || old.kvm == new.kvm, "an answer of KVM is invented");
    assert!(new.unknown_names.is_empty() || old.unknown_names == new.unknown_names, "names are invented");
    lost.extend((old.kvm != new.kvm).then_some(Lost::Kvm));
    lost.extend((old.unknown_names != new.unknown_names).then_some(Lost::UnknownNames { count: old.unknown_names.len() }));
    lost.extend((old.basis != new.basis).then_some(Lost::Basis));
    assert!((1..=old.cpus.len()).contains(&new.cpus.len()), "CPUs are invented");
    let count = old.cpus.len() - new.cpus.len();
    lost.extend((count > 0).then_some(Lost::Cpus { count }));
    for (old, new) in old.cpus.iter().zip(&new.cpus) {
        registers(old, new, &mut lost);
        attributes(old, new, &mut lost);
    }
    lost
}

/// Each leaf and MSR is told as it was, or lost.
fn registers(old: &Cpu, new: &Cpu, lost: &mut BTreeSet<Lost>) {
    let cpu = old.number;
    for entry in new.policy.cpuid.entries() {
        assert_eq!(old.policy.cpuid.get(entry.leaf, entry.subleaf), Some(entry.registers), "{:#x}.{:#x}", entry.leaf, entry.subleaf);
    }
    for msr in &new.msrs {
        assert!(old.msrs.contains(msr), "{msr:?} is invented");
    }
    for entry in old.policy.cpuid.entries() {
        let is_told = new.policy.cpuid.get(entry.leaf, entry.subleaf).is_some();
        lost.extend((!is_told).then_some(Lost::Leaf { cpu, leaf: entry.leaf, subleaf: entry.subleaf }));
    }
    for msr in &old.msrs {
        lost.extend((!new.msrs.contains(msr)).then_some(Lost::Msr { cpu, index: msr.index }));
    }
}

/// What is said about a CPU beside its registers.
fn attributes(old: &Cpu, new: &Cpu, lost: &mut BTreeSet<Lost>) {
    let cpu = old.number;
    lost.extend((old.number != new.number).then_some(Lost::CpuNumber { cpu }));
    lost.extend((old.core_type != new.core_type).then_some(Lost::CoreType { cpu }));
    lost.extend((old.policy.named != new.policy.named).then_some(Lost::Named { cpu }));
    let (before, after) = (&old.policy.unrecorded, &new.policy.unrecorded);
    for place in before.as_slice().iter().filter(|place| !after.contains(**place)) {
        lost.insert(Lost::Unrecorded { cpu, place: *place });
    }
    for place in after.as_slice().iter().filter(|place| !before.contains(**place)) {
        let is_empty = match *place {
            Unrecorded::Cpuid { leaf, subleaf } => old.policy.cpuid.get(leaf, subleaf).is_none(),
            Unrecorded::Msr { index } => old.msrs.iter().all(|msr| msr.index != index),
        };
        lost.extend(is_empty.then_some(Lost::Absence { cpu, place: *place }));
    }
}

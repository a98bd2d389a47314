//! What a format could not hold, for people and programs: one line per kind, one object per thing.

use cpu_dumps::{AbsentBits, CoreType, Lost, Machine, Reason};
use cpuid_db::{Place, Unrecorded};
use serde_json::{Map, Value};

use crate::json::{hex_subleaf, hex32};
use crate::page::{NOTICE, paint};
use crate::words;

/// How many things a line lists.
const MOST: usize = 12;

/// Something that is not in what was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Loss {
    machine: String,
    cpu: Option<u32>,
    /// The kind in a word, for programs.
    kind: &'static str,
    /// The kind in words.
    title: &'static str,
    /// What of that kind; empty where there is only one.
    item: String,
    place: Option<Unrecorded>,
}

impl Loss {
    /// What the writer lists.
    pub(crate) fn new(machine: &Machine, lost: Lost) -> Self {
        let (kind, title, cpu, place) = of(lost);
        let item = match (lost, place) {
            (_, Some(place)) => words::unrecorded(place),
            (Lost::Cpus { count }, _) => further_cpus(machine, count),
            (Lost::UnknownNames { .. }, _) => words::some_of(&machine.unknown_names, machine.unknown_names.len(), MOST),
            (Lost::Feature { feature, .. } | Lost::Given { feature, .. }, _) => format!("{feature} ({})", feature.location()),
            (Lost::Bits { place, bits, .. }, _) => format!("{} {bits:#x}", register(place)),
            (Lost::CpuNumber { cpu } | Lost::CoreType { cpu } | Lost::Named { cpu }, _) => format!("CPU {cpu}"),
            _ => String::new(),
        };
        Self { machine: machine.name.clone(), cpu, kind, title, item, place }
    }

    /// An MSR that the guest does not have and a template cannot take from the host.
    pub(crate) fn msr_stays(machine: &Machine, index: u32) -> Self {
        let place = Unrecorded::Msr { index };
        let title = "MSRs that the guest lacks and a template cannot take away";
        Self { machine: machine.name.clone(), cpu: None, kind: "msr-stays", title, item: words::unrecorded(place), place: Some(place) }
    }

    /// Whether it is about the record and not about the CPU.
    pub(crate) fn is_provenance(&self) -> bool {
        matches!(self.kind, "basis" | "tool" | "kernel" | "microcode" | "source")
    }

    fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("kind".to_owned(), self.kind.into());
        object.insert("machine".to_owned(), self.machine.as_str().into());
        if let Some(cpu) = self.cpu {
            object.insert("cpu".to_owned(), cpu.into());
        }
        match self.place {
            Some(Unrecorded::Cpuid { leaf, subleaf }) => {
                object.insert("leaf".to_owned(), hex32(leaf));
                object.insert("subleaf".to_owned(), hex_subleaf(subleaf));
            }
            Some(Unrecorded::Msr { index }) => {
                object.insert("msr".to_owned(), hex32(index));
            }
            None => {}
        }
        let colon = if self.item.is_empty() { "" } else { ": " };
        object.insert("text".to_owned(), format!("{}{colon}{}", self.title, self.item).into());
        Value::Object(object)
    }
}

/// The kind as a word and in words, and what it is about.
fn of(lost: Lost) -> (&'static str, &'static str, Option<u32>, Option<Unrecorded>) {
    const ABSENCE: &str = "that nothing is there (it reads as unknown)";
    const UNRECORDED: &str = "that nobody knows what is there (it reads as known)";
    const LEFT: &str = "bits of some hosts that stay, since other hosts lack the place";
    match lost {
        Lost::Cpus { .. } => ("cpus", "further CPUs", None, None),
        Lost::CpuNumber { cpu } => ("cpu-number", "CPU numbers", Some(cpu), None),
        Lost::CoreType { cpu } => ("core-type", "core types", Some(cpu), None),
        Lost::Leaf { cpu, leaf, subleaf } => ("leaf", "leaves", Some(cpu), Some(Unrecorded::Cpuid { leaf, subleaf })),
        Lost::Msr { cpu, index } => ("msr", "MSRs", Some(cpu), Some(Unrecorded::Msr { index })),
        Lost::Unrecorded { cpu, place } => ("unrecorded", UNRECORDED, Some(cpu), Some(place)),
        Lost::Absence { cpu, place } => ("absence", ABSENCE, Some(cpu), Some(place)),
        Lost::Named { cpu } => ("named", "which features are known by name", Some(cpu), None),
        Lost::Basis => ("basis", "where the view comes from (raw, derived, recorded)", None, None),
        Lost::Tool => ("tool", "the program that recorded the machine", None, None),
        Lost::Kernel => ("kernel", "the kernel", None, None),
        Lost::Microcode => ("microcode", "the microcode revision", None, None),
        Lost::Source => ("source", "where the dump comes from", None, None),
        Lost::UnknownNames { .. } => ("unknown-names", "names that the database does not know", None, None),
        Lost::Kvm => ("kvm", "what KVM answered", None, None),
        Lost::Feature { cpu, because, .. } => feature(cpu, because),
        Lost::Given { cpu, .. } => ("given", "that the guest does not have them (it gets them)", Some(cpu), None),
        Lost::Bits { cpu, .. } => ("bits", "numbers (the hypervisor computes them, or has no word for them)", Some(cpu), None),
        Lost::Left(AbsentBits { place, .. }) => ("left", LEFT, None, Some(place)),
        _ => ("other", "something else", None, None),
    }
}

/// Features that the guest will not have.
fn feature(cpu: u32, because: Reason) -> (&'static str, &'static str, Option<u32>, Option<Unrecorded>) {
    let (kind, title) = match because {
        Reason::NoWord => ("feature-no-word", "features that have no word there"),
        Reason::OneWord => ("feature-one-word", "features whose word there means others too, which the guest must not have"),
        Reason::Live => ("feature-live", "features that follow run-time state"),
        Reason::Hypervisor => ("feature-hypervisor", "features of another hypervisor"),
        Reason::Computed => ("feature-computed", "features that the hypervisor decides itself"),
        _ => ("feature", "features"),
    };
    (kind, title, Some(cpu), None)
}

/// A register, or half of an MSR.
fn register(place: Place) -> String {
    match place {
        Place::Cpuid { leaf, subleaf, register } => words::register(leaf, subleaf, register),
        Place::Msr { index, high } => format!("MSR.{index:X}{}", if high { "[63:32]" } else { "[31:0]" }),
    }
}

/// How many CPUs are left out, and which of them are of another kind than the first.
fn further_cpus(machine: &Machine, count: usize) -> String {
    let kinds = machine.one_per_core_type();
    let named = |cpu: &&cpu_dumps::Cpu| format!("{} (CPU {})", cpu.core_type.map_or("unnamed", CoreType::name), cpu.number);
    let others: Vec<String> = kinds.iter().skip(1).map(named).collect();
    if others.is_empty() { count.to_string() } else { format!("{count}, among them other core types: {}", others.join(", ")) }
}

/// One line per kind, in the order in which they first occur.
pub(crate) fn lines(lost: &[Loss], machines: usize) -> String {
    let mut kinds: Vec<&Loss> = Vec::new();
    for loss in lost {
        if kinds.iter().all(|other| other.kind != loss.kind) {
            kinds.push(loss);
        }
    }
    kinds.into_iter().map(|first| line(first, lost, machines)).collect()
}

fn line(first: &Loss, lost: &[Loss], machines: usize) -> String {
    let of_kind = || lost.iter().filter(|loss| loss.kind == first.kind);
    let distinct = |texts: &mut dyn Iterator<Item = String>| {
        let mut distinct: Vec<String> = Vec::new();
        texts.filter(|text| !text.is_empty()).for_each(|text| {
            if !distinct.contains(&text) {
                distinct.push(text);
            }
        });
        distinct
    };
    let items = distinct(&mut of_kind().map(|loss| loss.item.clone()));
    let names = distinct(&mut of_kind().map(|loss| loss.machine.clone()));
    let mut line = format!("{}: {}", paint(NOTICE, "lost"), first.title);
    if !items.is_empty() {
        line.extend([": ", &words::some_of(&items, items.len(), MOST)]);
    }
    if machines > 1 {
        line.extend([" (of ", &words::some_of(&names, names.len(), 4), ")"]);
    }
    line + "\n"
}

/// Every single thing.
pub(crate) fn json(lost: &[Loss]) -> Value {
    lost.iter().map(Loss::json).collect()
}

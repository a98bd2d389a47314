//! The differences between two machines: which of their CPUs are compared, and what is said of them.

mod compare;
mod document;
mod report;

use cpu_dumps::{CoreType, Cpu, KvmView, Machine};
use cpuid_db::CpuidTable;

pub(crate) use compare::{Differences, Scope};
pub(crate) use document::document;
pub(crate) use report::text;

/// One of the two machines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// A pair of CPUs, and how they differ.
#[derive(Debug)]
pub(crate) struct Pair {
    /// Their kind, where a machine has several.
    pub(crate) core_type: Option<CoreType>,
    /// How they differ.
    pub(crate) differences: Differences,
}

/// How two machines differ.
#[derive(Debug)]
pub(crate) struct Comparison<'a> {
    pub(crate) a: &'a Machine,
    pub(crate) b: &'a Machine,
    /// One pair, or one per core type.
    pub(crate) pairs: Vec<Pair>,
    /// Core types that only one machine has.
    pub(crate) unpaired: Vec<(Side, CoreType)>,
    /// What KVM gives, where both recorded it.
    pub(crate) kvm: Option<Differences>,
    /// CPUs that differ from the one of their machine that was compared.
    pub(crate) others: Vec<(Side, u32)>,
}

impl<'a> Comparison<'a> {
    /// Compares two machines.
    pub(crate) fn new(a: &'a Machine, b: &'a Machine, scope: Scope) -> Self {
        let (kinds_a, kinds_b) = (a.one_per_core_type(), b.one_per_core_type());
        let mut pairs: Vec<(&Cpu, &Cpu)> = Vec::new();
        let mut unpaired = Vec::new();
        for cpu in &kinds_a {
            match partner(cpu, &kinds_a, &kinds_b) {
                Some(other) => pairs.push((cpu, other)),
                None => unpaired.extend(kind(cpu).map(|kind| (Side::A, kind))),
            }
        }
        for cpu in &kinds_b {
            match partner(cpu, &kinds_b, &kinds_a) {
                Some(_) if pairs.iter().any(|(_, b)| std::ptr::eq(*b, *cpu)) => {}
                Some(other) => pairs.push((other, cpu)),
                None => unpaired.extend(kind(cpu).map(|kind| (Side::B, kind))),
            }
        }
        let are_several = pairs.len() > 1 || !unpaired.is_empty();
        let pair = |(a, b): (&Cpu, &Cpu)| Pair {
            core_type: kind(a).or(kind(b)).filter(|_| are_several),
            differences: Differences::of_cpus(a, b, scope),
        };
        let others = [(Side::A, a, kinds_a), (Side::B, b, kinds_b)];
        Self {
            a,
            b,
            pairs: pairs.into_iter().map(pair).collect(),
            unpaired,
            kvm: a.kvm.as_ref().zip(b.kvm.as_ref()).map(|(a, b)| kvm(a, b, scope)),
            others: others.into_iter().flat_map(|(side, machine, kinds)| odd_ones(side, machine, &kinds)).collect(),
        }
    }

    /// Whether anything differs, as far as both sides are known.
    pub(crate) fn is_equal(&self) -> bool {
        self.unpaired.is_empty()
            && self.pairs.iter().all(|pair| pair.differences.is_empty())
            && self.kvm.as_ref().is_none_or(Differences::is_empty)
    }

    /// All that was compared.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Differences> {
        self.pairs.iter().map(|pair| &pair.differences).chain(&self.kvm)
    }
}

/// The kind of a CPU: as the file says, else as the CPU itself says. Formats for one CPU have no word for it.
fn kind(cpu: &Cpu) -> Option<CoreType> {
    cpu.core_type.or_else(|| CoreType::of(&cpu.policy.cpuid))
}

/// The CPU of the other machine that a CPU is compared with: the one of its type. A machine with one CPU that does not tell its type
/// is compared with every type of the other.
fn partner<'b>(cpu: &Cpu, ours: &[&Cpu], theirs: &[&'b Cpu]) -> Option<&'b Cpu> {
    if let Some(same) = theirs.iter().find(|other| kind(other) == kind(cpu)) {
        return Some(same);
    }
    match (ours, theirs) {
        ([only], [first, ..]) if kind(only).is_none() => Some(first),
        (_, [only]) if kind(only).is_none() => Some(only),
        _ => None,
    }
}

fn kvm(a: &KvmView, b: &KvmView, scope: Scope) -> Differences {
    let mut differences = Differences::of_policies(&a.supported, &b.supported, scope);
    let none = CpuidTable::new();
    differences.add_registers(a.emulated.as_ref().unwrap_or(&none), b.emulated.as_ref().unwrap_or(&none), |_| true);
    differences
}

/// The CPUs of a machine that are not like the first of their kind.
fn odd_ones(side: Side, machine: &Machine, kinds: &[&Cpu]) -> Vec<(Side, u32)> {
    let is_odd = |cpu: &&Cpu| {
        let first = kinds.iter().find(|kind| kind.core_type == cpu.core_type);
        first.is_some_and(|first| {
            !std::ptr::eq(*first, *cpu) && !Differences::of_policies(&first.policy, &cpu.policy, Scope::Shared).is_empty()
        })
    };
    machine.cpus.iter().filter(is_odd).map(|cpu| (side, cpu.number)).collect()
}

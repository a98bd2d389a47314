//! What a format could not hold: the difference between a machine and what is read from the files that were written of it.

use std::fmt;

use cpuid_db::{Feature, MsrEntry, Place, Unrecorded};

use super::AbsentBits;
use super::guest::Reason;
use super::own::all_msrs;
use crate::{Cpu, Machine};

/// Something that was known of a machine, and is not in the files that were written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Lost {
    /// All CPUs but the first.
    Cpus {
        /// How many.
        count: usize,
    },
    /// A CPU's number.
    CpuNumber {
        /// The CPU's number.
        cpu: u32,
    },
    /// Which kind of core a CPU is.
    CoreType {
        /// The CPU's number.
        cpu: u32,
    },
    /// A leaf.
    Leaf {
        /// The CPU's number.
        cpu: u32,
        /// EAX on input.
        leaf: u32,
        /// ECX on input.
        subleaf: u32,
    },
    /// An MSR.
    Msr {
        /// The CPU's number.
        cpu: u32,
        /// Its address.
        index: u32,
    },
    /// That nobody knows what is in a place: in the files it reads as if it were known.
    Unrecorded {
        /// The CPU's number.
        cpu: u32,
        /// The place.
        place: Unrecorded,
    },
    /// That a place is known to be empty: in the files it reads as if nobody knew.
    Absence {
        /// The CPU's number.
        cpu: u32,
        /// The place.
        place: Unrecorded,
    },
    /// Which features are known in places that are otherwise unrecorded.
    Named {
        /// The CPU's number.
        cpu: u32,
    },
    /// Where the view comes from: raw CPUID, a model, or KVM.
    Basis,
    /// The program that recorded the machine.
    Tool,
    /// The kernel that it ran under.
    Kernel,
    /// The microcode revision.
    Microcode,
    /// Where the dump comes from.
    Source,
    /// Names that the database does not know.
    UnknownNames {
        /// How many.
        count: usize,
    },
    /// What KVM answered on the machine.
    Kvm,
    /// A feature that the guest will not have, since the target cannot say it.
    Feature {
        /// The CPU's number.
        cpu: u32,
        /// The feature.
        feature: Feature,
        /// Why not.
        because: Reason,
    },
    /// A feature that the guest will have although the machine does not have it.
    Given {
        /// The CPU's number.
        cpu: u32,
        /// The feature.
        feature: Feature,
    },
    /// Bits of a register, beside features, that the guest will see otherwise.
    Bits {
        /// The CPU's number.
        cpu: u32,
        /// The register, or half of an MSR.
        place: Place,
        /// The bits.
        bits: u32,
        /// Why.
        because: Reason,
    },
    /// Bits that hosts of a pool have and the guest is not to have, in a leaf or MSR that other hosts of the pool lack.
    Left(AbsentBits),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpus { count } => write!(f, "{count} further CPUs"),
            Self::CpuNumber { cpu } => write!(f, "the number of CPU {cpu}"),
            Self::CoreType { cpu } => write!(f, "the core type of CPU {cpu}"),
            Self::Leaf { cpu, leaf, subleaf } => write!(f, "leaf {leaf:08x} subleaf {subleaf:02x} of CPU {cpu}"),
            Self::Msr { cpu, index } => write!(f, "MSR {index:08x} of CPU {cpu}"),
            Self::Unrecorded { cpu, place } => write!(f, "that {} of CPU {cpu} is not known", Name(*place)),
            Self::Absence { cpu, place } => write!(f, "that {} of CPU {cpu} is known to be empty", Name(*place)),
            Self::Named { cpu } => write!(f, "which features of CPU {cpu} are known by name"),
            Self::Basis => f.write_str("where the view comes from"),
            Self::Tool => f.write_str("the program that recorded the machine"),
            Self::Kernel => f.write_str("the kernel"),
            Self::Microcode => f.write_str("the microcode revision"),
            Self::Source => f.write_str("where the dump comes from"),
            Self::UnknownNames { count } => write!(f, "{count} names that the database does not know"),
            Self::Kvm => f.write_str("what KVM answered"),
            Self::Feature { cpu, feature, because } => write!(f, "{feature} ({}) of CPU {cpu}: {because}", feature.location()),
            Self::Given { cpu, feature } => write!(f, "that CPU {cpu} does not have {feature} ({})", feature.location()),
            Self::Bits { cpu, place, bits, because } => write!(f, "{} of CPU {cpu}, bits {bits:#x}: {because}", Spot(*place)),
            Self::Left(AbsentBits { place, register, bits }) => {
                let register = register.map_or("", cpuid_db::Register::name);
                write!(
                    f,
                    "that the guest does not have bits {bits:#x} of {}{}{register}: ",
                    Name(*place),
                    if register.is_empty() { "" } else { " " }
                )?;
                f.write_str("some hosts lack the place")
            }
        }
    }
}

/// How messages name a register.
struct Spot(Place);

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Place::Cpuid { leaf, subleaf, register } => write!(f, "leaf {leaf:08x} subleaf {subleaf:02x} {register}"),
            Place::Msr { index, high } => write!(f, "the {} half of MSR {index:08x}", if high { "upper" } else { "lower" }),
        }
    }
}

/// How messages name a place.
pub(super) struct Name(pub(super) Unrecorded);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unrecorded::Cpuid { leaf, subleaf } => write!(f, "leaf {leaf:08x} subleaf {subleaf:02x}"),
            Unrecorded::Msr { index } => write!(f, "MSR {index:08x}"),
        }
    }
}

/// What `again` does not say of `machine`. An error when it says something else: then the writer is wrong.
pub(super) fn compare(machine: &Machine, again: &Machine) -> Result<Vec<Lost>, String> {
    let mut lost = compare_origin(machine, again);
    for (old, new) in machine.cpus.iter().zip(&again.cpus) {
        compare_cpu(old, new, &mut lost)?;
    }
    Ok(lost)
}

/// What `again` does not say about `machine` as a whole.
pub(super) fn compare_origin(machine: &Machine, again: &Machine) -> Vec<Lost> {
    let mut lost = Vec::new();
    let (old, new) = (&machine.provenance, &again.provenance);
    let origins = [
        (&old.tool, &new.tool, Lost::Tool),
        (&old.kernel, &new.kernel, Lost::Kernel),
        (&old.microcode, &new.microcode, Lost::Microcode),
        (&old.source, &new.source, Lost::Source),
    ];
    lost.extend(origins.into_iter().filter(|(old, new, _)| old.is_some() && old != new).map(|(_, _, lost)| lost));
    if machine.basis != again.basis {
        lost.push(Lost::Basis);
    }
    if machine.unknown_names != again.unknown_names {
        lost.push(Lost::UnknownNames { count: machine.unknown_names.len() });
    }
    if machine.kvm.is_some() && machine.kvm != again.kvm {
        lost.push(Lost::Kvm);
    }
    let missing = machine.cpus.len().saturating_sub(again.cpus.len());
    if missing > 0 {
        lost.push(Lost::Cpus { count: missing });
    }
    lost
}

fn compare_cpu(old: &Cpu, new: &Cpu, lost: &mut Vec<Lost>) -> Result<(), String> {
    let cpu = old.number;
    if old.number != new.number {
        lost.push(Lost::CpuNumber { cpu });
    }
    if old.core_type != new.core_type {
        lost.push(Lost::CoreType { cpu });
    }
    compare_leaves(old, new, lost)?;
    compare_msrs(cpu, &all_msrs(old), &all_msrs(new), lost)?;
    let (before, after) = (&old.policy.unrecorded, &new.policy.unrecorded);
    let only = |list: &[Unrecorded], other: &cpuid_db::UnrecordedList| -> Vec<Unrecorded> {
        list.iter().copied().filter(|place| !other.contains(*place)).collect()
    };
    lost.extend(only(before.as_slice(), after).into_iter().map(|place| Lost::Unrecorded { cpu, place }));
    // What is lost with its value is named already.
    let is_empty = |place: &Unrecorded| match *place {
        Unrecorded::Cpuid { leaf, subleaf } => old.policy.cpuid.get(leaf, subleaf).is_none(),
        Unrecorded::Msr { index } => old.policy.msrs.get(index).is_none(),
    };
    lost.extend(only(after.as_slice(), before).into_iter().filter(is_empty).map(|place| Lost::Absence { cpu, place }));
    if old.policy.named != new.policy.named {
        lost.push(Lost::Named { cpu });
    }
    Ok(())
}

fn compare_leaves(old: &Cpu, new: &Cpu, lost: &mut Vec<Lost>) -> Result<(), String> {
    let (before, after) = (&old.policy.cpuid, &new.policy.cpuid);
    for entry in before.entries() {
        let (leaf, subleaf) = (entry.leaf, entry.subleaf);
        match after.get(leaf, subleaf) {
            None => lost.push(Lost::Leaf { cpu: old.number, leaf, subleaf }),
            Some(registers) if registers != entry.registers => return Err(format!("leaf {leaf:08x} would read differently")),
            Some(_) => {}
        }
    }
    match after.entries().iter().find(|entry| before.get(entry.leaf, entry.subleaf).is_none()) {
        Some(entry) => Err(format!("leaf {:08x} would be invented", entry.leaf)),
        None => Ok(()),
    }
}

fn compare_msrs(cpu: u32, before: &[MsrEntry], after: &[MsrEntry], lost: &mut Vec<Lost>) -> Result<(), String> {
    let get = |list: &[MsrEntry], index: u32| -> Option<u64> {
        let at = list.binary_search_by_key(&index, |msr| msr.index).ok()?;
        list.get(at).map(|msr| msr.value)
    };
    for msr in before {
        match get(after, msr.index) {
            None => lost.push(Lost::Msr { cpu, index: msr.index }),
            Some(value) if value != msr.value => return Err(format!("MSR {:08x} would read differently", msr.index)),
            Some(_) => {}
        }
    }
    match after.iter().find(|msr| get(before, msr.index).is_none()) {
        Some(msr) => Err(format!("MSR {:08x} would be invented", msr.index)),
        None => Ok(()),
    }
}

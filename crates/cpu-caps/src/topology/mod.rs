//! Which package, die, core and thread each vCPU believes to be, in every leaf that says so.
//!
//! A policy that comes out of [`finish`](crate::finish) is a template: what belongs to one VM or one vCPU is zero there.
//! [`specialise`] fills it in for one vCPU of a [`Topology`]; [`check_topology`] looks at all vCPUs of a VM as a guest kernel would.
//!
//! Sources: SDM vol. 2A (CPUID, leaves 1, 4, 0BH, 1FH) and vol. 3A, 10.9 (hierarchy of APIC ids); APM vol. 3, appendix E
//! (Fn0000_0001, Fn0000_000B, Fn8000_0008, Fn8000_001D, Fn8000_001E, Fn8000_0026); arch/x86/kernel/cpu/topology_*.c of Linux for what
//! guests do with it. Hygon follows AMD; Zhaoxin, Centaur and everybody else follow Intel.

mod check;
mod choices;
mod decode;
mod layout;
mod specialise;

use core::fmt;

use cpuid_db::{Feature, TableFull};

pub use check::{Finding, FindingKind, check_topology};
pub use choices::{Choice, Choices, Frequencies, HypervisorClock, TscRatio};
pub use specialise::{copy_caches, flatten_hybrid, is_hybrid, specialise};

/// How many of what a VM has. Every number counts inside the level above: four cores are four per module.
///
/// Each level takes as many bits of the APIC id as its count needs, rounded up, as hardware does: with three cores the ids have gaps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Topology {
    /// Packages.
    pub sockets: u32,
    /// Dies in a package. On AMD a die is also a node (8000_001EH).
    pub dies: u32,
    /// Modules in a die; 1 means that there is no such level. On Intel the cores of a module share their L2 cache, on AMD a module is
    /// a core complex, whose cores share their L3 cache.
    pub modules: u32,
    /// Cores in a module, which is a whole die unless `modules` says otherwise.
    pub cores: u32,
    /// Threads of a core.
    pub threads: u32,
}

impl Topology {
    /// A topology without modules.
    pub const fn new(sockets: u32, dies: u32, cores: u32, threads: u32) -> Self {
        Self { sockets, dies, modules: 1, cores, threads }
    }

    /// The counts from the outside in.
    pub(crate) const fn levels(&self) -> [(Level, u32); 5] {
        [
            (Level::Sockets, self.sockets),
            (Level::Dies, self.dies),
            (Level::Modules, self.modules),
            (Level::Cores, self.cores),
            (Level::Threads, self.threads),
        ]
    }

    /// How many vCPUs the VM has.
    pub fn vcpus(&self) -> u64 {
        self.levels().into_iter().fold(1, |product: u64, (_, count)| product.saturating_mul(u64::from(count)))
    }
}

/// A level of the topology.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// Packages.
    Sockets,
    /// Dies in a package.
    Dies,
    /// Modules in a die.
    Modules,
    /// Cores in a module.
    Cores,
    /// Threads of a core.
    Threads,
}

impl Level {
    /// The word used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::Dies => "dies",
            Self::Modules => "modules",
            Self::Cores => "cores",
            Self::Threads => "threads",
        }
    }
}

/// Why a policy cannot have this topology.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TopologyError {
    /// A level with nothing in it.
    Zero(Level),
    /// More of a level than the leaves of this CPU can say.
    TooMany {
        /// The level.
        level: Level,
        /// How many were asked for.
        count: u32,
        /// How many there can be.
        most: u32,
    },
    /// The highest APIC id does not fit.
    ApicIds {
        /// The highest APIC id.
        highest: u64,
        /// The highest that this CPU can have.
        most: u32,
    },
    /// This CPU cannot say how many there are without a feature that the policy lacks.
    NeedsFeature {
        /// The level.
        level: Level,
        /// How many were asked for.
        count: u32,
        /// The missing feature.
        feature: Feature,
    },
    /// The same, with a leaf that the policy lacks.
    NeedsLeaf {
        /// The level.
        level: Level,
        /// How many were asked for.
        count: u32,
        /// The missing leaf.
        leaf: u32,
    },
    /// There is no such vCPU.
    NoSuchVcpu {
        /// The vCPU.
        index: u32,
        /// How many there are.
        vcpus: u64,
    },
    /// The policy describes one core type of a hybrid machine; see [`flatten_hybrid`].
    Hybrid,
    /// Leaf 4000_0010H was asked for, and the policy has no hypervisor leaves.
    NoHypervisor,
    /// The policy has more leaves than a table holds.
    Full(TableFull),
}

impl From<TableFull> for TopologyError {
    fn from(full: TableFull) -> Self {
        Self::Full(full)
    }
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero(level) => write!(f, "no {}: every level has at least one", level.name()),
            Self::TooMany { level, count, most } => write!(f, "{count} {}: this CPU can say at most {most}", level.name()),
            Self::ApicIds { highest, most } => write!(f, "the highest APIC id would be {highest:#x}, and {most:#x} is the most"),
            Self::NeedsFeature { level, count, feature } => write!(f, "{count} {}: the policy lacks {feature}", level.name()),
            Self::NeedsLeaf { level, count, leaf } => write!(f, "{count} {}: the policy lacks leaf {leaf:X}H", level.name()),
            Self::NoSuchVcpu { index, vcpus } => write!(f, "no vCPU {index}: there are {vcpus}, counted from 0"),
            Self::Hybrid => f.write_str("the policy is one core type of a hybrid machine: flatten it first"),
            Self::NoHypervisor => f.write_str("leaf 40000010H needs hypervisor leaves, and the policy has none"),
            Self::Full(full) => write!(f, "the policy does not fit: {full}"),
        }
    }
}

impl core::error::Error for TopologyError {}

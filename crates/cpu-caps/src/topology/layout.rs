//! APIC ids: how many bits each level takes, and whether this CPU can say so.

use cpuid_db::{Feature, Policy, Vendor};

use super::{Level, Topology, TopologyError};
use crate::topology::decode::has;

/// One unit of a level: how many bits of the APIC id count inside it, and how many logical processors it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    /// The APIC id shifted right by this numbers the units.
    pub(super) shift: u32,
    /// Logical processors in one unit.
    pub(super) count: u32,
}

/// Where the ids of a topology are cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    pub(super) topology: Topology,
    pub(super) core: Span,
    pub(super) module: Span,
    pub(super) die: Span,
    pub(super) package: Span,
}

/// The place of one vCPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// Its APIC id.
    pub(super) id: u32,
    /// The number of its core in its package, by APIC id.
    pub(super) core: u32,
    /// The number of its die in the VM.
    pub(super) node: u32,
}

/// Bits that number `count` things.
const fn bits(count: u32) -> u32 {
    if count <= 1 { 0 } else { 32 - (count - 1).leading_zeros() }
}

impl Layout {
    /// Cuts the ids, after looking whether the policy's CPU can describe the topology.
    pub(super) fn new(policy: &Policy, topology: &Topology) -> Result<Self, TopologyError> {
        for (level, count) in topology.levels() {
            // The count of a package is a field of 16 bits (0BH.EBX), and no level has more than its package.
            let most = if level == Level::Sockets { u32::MAX } else { 0xffff };
            match count {
                0 => return Err(TopologyError::Zero(level)),
                count if count > most => return Err(TopologyError::TooMany { level, count, most }),
                _ => {}
            }
        }
        let core = Span { shift: bits(topology.threads), count: topology.threads };
        let module = inside(core, Level::Cores, topology.cores)?;
        let die = inside(module, Level::Modules, topology.modules)?;
        let package = inside(die, Level::Dies, topology.dies)?;
        let layout = Self { topology: *topology, core, module, die, package };
        layout.check_ids(policy)?;
        if policy.vendor().is_amd_compatible() {
            layout.check_amd(policy)?;
        } else {
            layout.check_intel(policy)?;
        }
        Ok(layout)
    }

    /// The APIC id of the last vCPU.
    fn highest(&self) -> u64 {
        let Topology { sockets, dies, modules, cores, threads } = self.topology;
        let part = |count: u32, shift: u32| u64::from(count.saturating_sub(1)) << shift;
        part(sockets, self.package.shift)
            | part(dies, self.die.shift)
            | part(modules, self.module.shift)
            | part(cores, self.core.shift)
            | part(threads, 0)
    }

    /// FFH is the broadcast id of xAPIC, FFFF_FFFFH that of x2APIC (SDM vol. 3A, 11.6.2.1 and 11.12.9). Where guests do not look for
    /// wider ids in leaf 0BH or 8000_001EH, the eight bits of leaf 1 are the id.
    fn check_ids(&self, policy: &Policy) -> Result<(), TopologyError> {
        let vendor = policy.vendor();
        let reads_wide = vendor == Vendor::Intel || vendor.is_amd_compatible() && has(policy, Feature::TOPOEXT);
        let most = if reads_wide && has(policy, Feature::X2APIC) { u32::MAX - 1 } else { 0xfe };
        let highest = self.highest();
        if highest > u64::from(most) { Err(TopologyError::ApicIds { highest, most }) } else { Ok(()) }
    }

    /// 8000_0008H has four bits for the width of the package's ids. Threads, complexes and nodes are told by the leaves of TOPOEXT, which
    /// have three bits for the nodes of a package and eight for the number of a node and for the threads of a core.
    fn check_amd(&self, policy: &Policy) -> Result<(), TopologyError> {
        let Topology { sockets, dies, modules, cores, threads } = self.topology;
        let levels = [(Level::Threads, threads, 256), (Level::Modules, modules, u32::MAX), (Level::Dies, dies, 8)];
        for (level, count, most) in levels {
            if count > 1 && !has(policy, Feature::TOPOEXT) {
                return Err(TopologyError::NeedsFeature { level, count, feature: Feature::TOPOEXT });
            }
            if count > most {
                return Err(TopologyError::TooMany { level, count, most });
            }
        }
        if has(policy, Feature::TOPOEXT) && u64::from(sockets) * u64::from(dies) > 256 {
            return Err(TopologyError::TooMany { level: Level::Sockets, count: sockets, most: 256 / dies });
        }
        if self.package.shift > 15 {
            let most = 1 << (15 - self.core.shift.min(15));
            return Err(TopologyError::TooMany { level: Level::Cores, count: cores, most });
        }
        if self.package.count > 1 && !policy.cpuid.in_range(0x8000_0008) {
            return Err(TopologyError::NeedsLeaf { level: Level::Cores, count: cores, leaf: 0x8000_0008 });
        }
        Ok(())
    }

    /// Levels above the core are in leaf 1FH, which only x2APIC CPUs have. Without leaf 0BH, and on vendors where guests do not read it,
    /// the six bits of leaf 4 and the eight of leaf 1, to which `check_ids` holds, are all there is.
    /// Other vendors have no leaf for dies and modules: there they shape the ids and the sharing of caches only.
    fn check_intel(&self, policy: &Policy) -> Result<(), TopologyError> {
        let Topology { dies, modules, cores, .. } = self.topology;
        let extended = has_leaf_b(policy);
        for (level, count) in [(Level::Dies, dies), (Level::Modules, modules)] {
            if count > 1 && policy.vendor() == Vendor::Intel && !extended {
                return Err(TopologyError::NeedsFeature { level, count, feature: Feature::X2APIC });
            }
        }
        if extended && policy.vendor() == Vendor::Intel {
            return Ok(());
        }
        let core_bits = self.package.shift - self.core.shift;
        if core_bits > 6 {
            return Err(TopologyError::TooMany { level: Level::Cores, count: cores, most: 64 });
        }
        let caches = policy.cpuid.in_range(4) && policy.cpuid.get_or_zero(4, 0).eax & 0x1f != 0;
        if core_bits > 0 && !caches {
            return Err(TopologyError::NeedsLeaf { level: Level::Cores, count: cores, leaf: 4 });
        }
        Ok(())
    }

    /// Where a vCPU is: threads of a core are neighbours, then cores, modules, dies.
    pub(super) fn place(&self, index: u32) -> Result<Place, TopologyError> {
        let Topology { dies, modules, cores, threads, .. } = self.topology;
        let vcpus = self.topology.vcpus();
        if u64::from(index) >= vcpus {
            return Err(TopologyError::NoSuchVcpu { index, vcpus });
        }
        let mut rest = index;
        let mut digit = |count: u32| {
            let digit = rest.checked_rem(count).unwrap_or(0);
            rest = rest.checked_div(count).unwrap_or(0);
            digit
        };
        let (thread, core, module, die) = (digit(threads), digit(cores), digit(modules), digit(dies));
        let inside = die << self.die.shift | module << self.module.shift | core << self.core.shift | thread;
        let id = u64::from(rest) << self.package.shift | u64::from(inside);
        let node = u64::from(rest) * u64::from(dies) + u64::from(die);
        Ok(Place { id: id as u32, core: inside >> self.core.shift, node: node as u32 })
    }
}

/// The level above: `count` units of the level below.
fn inside(below: Span, level: Level, count: u32) -> Result<Span, TopologyError> {
    let processors = below.count.saturating_mul(count);
    if processors > 0xffff {
        return Err(TopologyError::TooMany { level, count, most: 0xffff / below.count.max(1) });
    }
    Ok(Span { shift: below.shift + bits(count), count: processors })
}

/// Whether the CPU has leaf 0BH: all that have x2APIC do, and it may be recorded.
pub(super) fn has_leaf_b(policy: &Policy) -> bool {
    has(policy, Feature::X2APIC) || policy.cpuid.in_range(0xb) && policy.cpuid.get_or_zero(0xb, 0).ebx != 0
}

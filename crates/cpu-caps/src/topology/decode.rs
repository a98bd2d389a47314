//! Reads the topology of one vCPU in the order in which Linux does (arch/x86/kernel/cpu/topology_{common,ext,amd}.c).

use cpuid_db::{CpuidEntry, Feature, Policy, Vendor};

/// Leaves that list levels: Intel's newer, AMD's, and the common one; a guest takes the first that has any.
pub(super) const LEVEL_LEAVES: [u32; 3] = [0x1f, 0x8000_0026, 0xb];

/// Whether the policy has a feature.
pub(super) fn has(policy: &Policy, feature: Feature) -> bool {
    cpuid_db::words().get(feature.word()).is_some_and(|word| policy.word(word.place) & feature.mask() != 0)
}

/// Bits that number `count` things (`get_count_order`).
pub(super) const fn order(count: u32) -> u32 {
    if count <= 1 { 0 } else { 32 - (count - 1).leading_zeros() }
}

/// What a guest concludes from the leaves of one vCPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Decoded {
    /// The leaf that it believes.
    pub(super) leaf: u32,
    /// APIC id.
    pub(super) id: u32,
    /// The id shifted right by this is the core.
    pub(super) core_shift: u32,
    /// Threads of a core.
    pub(super) core_count: u32,
    /// The id shifted right by this is the package.
    pub(super) package_shift: u32,
    /// Logical processors of a package.
    pub(super) package_count: u32,
    /// Whether counts are processors, and not ids.
    pub(super) exact: bool,
}

/// One level of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LevelEntry {
    pub(super) subleaf: u32,
    pub(super) shift: u32,
    pub(super) count: u32,
    pub(super) kind: u32,
    /// ECX\[7:0\], which repeats the subleaf.
    pub(super) echo: u32,
    pub(super) id: u32,
}

impl LevelEntry {
    fn of(entry: &CpuidEntry) -> Self {
        let registers = entry.registers;
        Self {
            subleaf: entry.subleaf,
            shift: registers.eax & 0x1f,
            count: registers.ebx & 0xffff,
            kind: registers.ecx >> 8 & 0xff,
            echo: registers.ecx & 0xff,
            id: registers.edx,
        }
    }
}

/// The levels of a leaf up to the one that ends the list; none if the leaf is out of range, another vendor's or empty.
pub(super) fn list(policy: &Policy, leaf: u32) -> impl Iterator<Item = LevelEntry> + Clone {
    let foreign = leaf == 0x8000_0026 && !policy.vendor().is_amd_compatible();
    let entries = if policy.cpuid.in_range(leaf) && !foreign { policy.cpuid.leaf(leaf) } else { &[] };
    entries.iter().map(LevelEntry::of).take_while(|level| level.count != 0 && level.kind != 0)
}

/// The guest's view.
pub(super) fn decode(policy: &Policy) -> Decoded {
    let vendor = policy.vendor();
    let amd = vendor.is_amd_compatible();
    let reads_levels = if amd { has(policy, Feature::TOPOEXT) } else { vendor == Vendor::Intel };
    let from_levels = LEVEL_LEAVES.into_iter().filter(|_| reads_levels).find_map(|leaf| from_levels(policy, leaf));
    from_levels.unwrap_or_else(|| if amd { from_8000_0008(policy) } else { legacy(policy) })
}

fn from_levels(policy: &Policy, leaf: u32) -> Option<Decoded> {
    let first = list(policy, leaf).next()?;
    let last = list(policy, leaf).last()?;
    Some(Decoded {
        leaf,
        id: first.id,
        core_shift: first.shift,
        core_count: first.count,
        package_shift: last.shift,
        package_count: last.count,
        exact: true,
    })
}

/// AMD without levels: the package by 8000_0008H, threads by 8000_001EH.
fn from_8000_0008(policy: &Policy) -> Decoded {
    let ecx = if policy.cpuid.in_range(0x8000_0008) { policy.cpuid.get_or_zero(0x8000_0008, 0).ecx } else { 0 };
    let (count, width) = ((ecx & 0xff) + 1, ecx >> 12 & 0xf);
    let extended = policy.cpuid.get_or_zero(0x8000_001e, 0);
    let (id, threads) = if has(policy, Feature::TOPOEXT) {
        (extended.eax, (extended.ebx >> 8 & 0xff) + 1)
    } else {
        (policy.cpuid.get_or_zero(1, 0).ebx >> 24, 1)
    };
    Decoded {
        leaf: 0x8000_0008,
        id,
        core_shift: order(threads),
        core_count: threads,
        package_shift: if width == 0 { order(count) } else { width },
        package_count: count,
        exact: count < 256,
    }
}

/// The fields of the first dual-core processors: ids of a package in leaf 1, cores of a package in leaf 4.
fn legacy(policy: &Policy) -> Decoded {
    let one = policy.cpuid.get_or_zero(1, 0);
    let cache = if policy.cpuid.in_range(4) { policy.cpuid.get_or_zero(4, 0).eax } else { 0 };
    let kind = cache & 0x1f;
    let cores = if kind == 0 { 1 } else { (cache >> 26) + 1 };
    let package = if has(policy, Feature::HTT) { order(one.ebx >> 16 & 0xff) } else { order(cores) };
    let core_shift = package.saturating_sub(order(cores));
    Decoded {
        leaf: 4,
        id: one.ebx >> 24,
        core_shift,
        core_count: 1 << core_shift,
        package_shift: core_shift + order(cores),
        package_count: cores << core_shift,
        exact: false,
    }
}

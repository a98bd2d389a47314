//! Do the leaves of all vCPUs of a VM tell one story?

use core::borrow::Borrow;

use cpuid_db::{Feature, Policy};

use super::decode::{Decoded, LEVEL_LEAVES, decode, has, list, order};

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FindingKind {
    /// Two vCPUs have one APIC id. `found` is the other vCPU, `expected` the id.
    DuplicateApicId,
    /// A leaf gives another APIC id than the one that the guest believes.
    ApicId,
    /// A level does not repeat the number of its subleaf.
    LevelNumber,
    /// Levels are not in order of their types, begin with another than threads, or have a type that the leaf does not define.
    /// `found` is the type, `expected` the one below.
    LevelType,
    /// A level begins below the one inside it. `found` is its shift, `expected` the least.
    ShiftDescends,
    /// A level has fewer logical processors than the one inside it, or more than it has ids. `expected` is the bound.
    Count,
    /// A leaf cuts the core out of the APIC id elsewhere than the leaf that the guest believes.
    CoreShift,
    /// The same for the package.
    PackageShift,
    /// A leaf has another number of threads in a core than the leaf that the guest believes.
    CoreCount,
    /// The same for the logical processors of a package.
    PackageCount,
    /// HTT (or `CMP_LEGACY`) does not say whether the package has several logical processors.
    Htt,
    /// A cache is shared by fewer than a core, more than a package, or fewer than a cache below it. `expected` is the bound.
    Sharing,
    /// The number of the core, node or nodes in 8000_001EH does not fit the APIC id or the other vCPUs.
    Node,
    /// A vCPU cuts its id elsewhere than the first vCPU does. `found` and `expected` are the shifts.
    DiffersFromFirst,
    /// More vCPUs are in one core or package than it says that it has. `found` is how many there are.
    Crowded,
}

/// One contradiction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Finding {
    /// The vCPU, by its place in the list.
    pub vcpu: usize,
    /// What is wrong.
    pub kind: FindingKind,
    /// The leaf that says so.
    pub leaf: u32,
    /// Its subleaf.
    pub subleaf: u32,
    /// What it says.
    pub found: u64,
    /// What it should say.
    pub expected: u64,
}

/// Reports every contradiction between the topology leaves of the vCPUs of one VM: what Linux complains about while it boots, and
/// what it would silently misread. The work grows with the square of the number of vCPUs.
pub fn check_topology<P: Borrow<Policy>>(vcpus: &[P], report: &mut impl FnMut(Finding)) {
    let first = vcpus.first().map(|policy| decode(policy.borrow()));
    for (vcpu, policy) in vcpus.iter().enumerate() {
        let policy = policy.borrow();
        let mut one = One { vcpu, policy, believed: decode(policy), report };
        one.levels();
        one.leaf_1();
        if policy.vendor().is_amd_compatible() {
            one.amd();
        } else {
            one.leaf_4();
        }
        one.against_first(first);
        one.against_others(vcpus);
    }
}

/// One vCPU under examination.
struct One<'a, R> {
    vcpu: usize,
    policy: &'a Policy,
    believed: Decoded,
    report: &'a mut R,
}

impl<R: FnMut(Finding)> One<'_, R> {
    /// Reports unless `found` is `expected`.
    fn same(&mut self, kind: FindingKind, (leaf, subleaf): (u32, u32), found: u32, expected: u32) {
        self.holds(found == expected, kind, (leaf, subleaf), found, expected);
    }

    fn holds(&mut self, holds: bool, kind: FindingKind, (leaf, subleaf): (u32, u32), found: u32, expected: u32) {
        if !holds {
            (self.report)(Finding { vcpu: self.vcpu, kind, leaf, subleaf, found: found.into(), expected: expected.into() });
        }
    }

    fn levels(&mut self) {
        let believed = self.believed;
        let policy = self.policy;
        for (leaf, types) in LEVEL_LEAVES.into_iter().zip([6, 4, 2]) {
            let (mut shift, mut count, mut kind) = (0, 0, 0);
            for level in list(policy, leaf) {
                let at = (leaf, level.subleaf);
                self.same(FindingKind::ApicId, at, level.id, believed.id);
                self.same(FindingKind::LevelNumber, at, level.echo, level.subleaf);
                let first = kind == 0;
                let in_order = level.kind > kind && level.kind <= types && (!first || level.kind == 1);
                self.holds(in_order, FindingKind::LevelType, at, level.kind, kind);
                self.holds(level.shift >= shift, FindingKind::ShiftDescends, at, level.shift, shift);
                self.holds(level.count >= count, FindingKind::Count, at, level.count, count);
                let ids = 1_u32 << level.shift;
                // Some CPUs with threads give shift 0 and count 2; guests mend that, and a VM need not repeat it.
                self.holds(level.count <= ids, FindingKind::Count, at, level.count, ids);
                if first {
                    self.same(FindingKind::CoreShift, at, level.shift, believed.core_shift);
                    self.holds(
                        level.count == believed.core_count || !believed.exact,
                        FindingKind::CoreCount,
                        at,
                        level.count,
                        believed.core_count,
                    );
                }
                (shift, count, kind) = (level.shift, level.count, level.kind);
            }
            if kind != 0 {
                self.same(FindingKind::PackageShift, (leaf, 0), shift, believed.package_shift);
                let fits = if believed.exact { count == believed.package_count } else { count <= believed.package_count };
                self.holds(fits, FindingKind::PackageCount, (leaf, 0), count, believed.package_count);
            }
        }
    }

    /// Leaf 1: the low eight bits of the id; ids of the package rounded up (Intel) or its processors (AMD), at most 255.
    fn leaf_1(&mut self) {
        let Decoded { id, package_shift, package_count, .. } = self.believed;
        let amd = self.policy.vendor().is_amd_compatible();
        let ebx = self.policy.cpuid.get_or_zero(1, 0).ebx;
        self.same(FindingKind::ApicId, (1, 0), ebx >> 24, id & 0xff);
        let several = if amd { package_count > 1 } else { package_shift > 0 };
        self.same(FindingKind::Htt, (1, 0), has(self.policy, Feature::HTT).into(), several.into());
        let count = ebx >> 16 & 0xff;
        if amd {
            self.holds(count == package_count.min(255) || !several, FindingKind::PackageCount, (1, 0), count, package_count.min(255));
        } else {
            self.holds(
                order(count) == package_shift.min(8) || !several,
                FindingKind::PackageShift,
                (1, 0),
                order(count),
                package_shift.min(8),
            );
        }
    }

    /// Leaf 4: every cache repeats the cores of the package; it is shared by all threads of a core, and by no fewer than one level below.
    fn leaf_4(&mut self) {
        let Decoded { core_shift, core_count, package_shift, .. } = self.believed;
        let threads = order(core_count);
        let entries = if self.policy.cpuid.in_range(4) { self.policy.cpuid.leaf(4) } else { &[] };
        let mut below = (0, threads);
        for entry in entries.iter().filter(|entry| entry.registers.eax & 0x1f != 0) {
            let (at, eax) = ((4, entry.subleaf), entry.registers.eax);
            let cores = (package_shift.saturating_sub(core_shift)).min(6);
            self.same(FindingKind::PackageShift, at, order((eax >> 26) + 1), cores);
            let (level, sharing) = (eax >> 5 & 7, order((eax >> 14 & 0xfff) + 1));
            let least = if level > below.0 { below.1 } else { threads };
            self.holds(sharing >= least.min(12), FindingKind::Sharing, at, sharing, least);
            self.holds(sharing <= package_shift, FindingKind::Sharing, at, sharing, package_shift);
            below = (level, sharing);
        }
    }

    /// 8000_0008H, and what TOPOEXT announces.
    fn amd(&mut self) {
        let Decoded { id, core_shift, core_count, package_shift, package_count, .. } = self.believed;
        let table = &self.policy.cpuid;
        self.same(
            FindingKind::Htt,
            (0x8000_0001, 0),
            has(self.policy, Feature::CMP_LEGACY).into(),
            (package_count > 1 && table.in_range(0x8000_0001)).into(),
        );
        if table.in_range(0x8000_0008) {
            let (at, ecx) = ((0x8000_0008, 0), table.get_or_zero(0x8000_0008, 0).ecx);
            self.same(FindingKind::PackageCount, at, (ecx & 0xff) + 1, package_count.min(256));
            let width = ecx >> 12 & 0xf;
            self.same(FindingKind::PackageShift, at, if width == 0 { order((ecx & 0xff) + 1) } else { width }, package_shift);
        }
        if !has(self.policy, Feature::TOPOEXT) {
            return;
        }
        for entry in table.leaf(0x8000_001d).iter().filter(|entry| entry.registers.eax & 0x1f != 0) {
            let (at, sharing) = ((0x8000_001d, entry.subleaf), (entry.registers.eax >> 14 & 0xfff) + 1);
            self.holds(sharing >= core_count, FindingKind::Sharing, at, sharing, core_count);
            self.holds(sharing <= package_count, FindingKind::Sharing, at, sharing, package_count);
        }
        let (at, unit) = ((0x8000_001e, 0), table.get_or_zero(0x8000_001e, 0));
        self.same(FindingKind::ApicId, at, unit.eax, id);
        self.same(FindingKind::CoreCount, at, (unit.ebx >> 8 & 0xff) + 1, core_count);
        let core = (id & low_bits(package_shift)) >> core_shift;
        self.same(FindingKind::Node, at, unit.ebx & 0xff, core & 0xff);
        let nodes = (unit.ecx >> 8 & 7) + 1;
        self.holds(nodes <= package_count, FindingKind::Node, at, nodes, package_count);
    }

    /// Linux compares every CPU's shifts with those of the boot CPU.
    fn against_first(&mut self, first: Option<Decoded>) {
        let Some(first) = first else { return };
        let (at, own) = ((self.believed.leaf, 0), self.believed);
        self.same(FindingKind::DiffersFromFirst, at, own.core_shift, first.core_shift);
        self.same(FindingKind::DiffersFromFirst, at, own.package_shift, first.package_shift);
    }

    fn against_others<P: Borrow<Policy>>(&mut self, vcpus: &[P]) {
        let (own, at) = (self.believed, (self.believed.leaf, 0));
        let (mut in_core, mut in_package) = (0, 0);
        for (number, other) in vcpus.iter().enumerate() {
            let (policy, other) = (other.borrow(), decode(other.borrow()));
            if number < self.vcpu && other.id == own.id {
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                self.holds(false, FindingKind::DuplicateApicId, at, number, own.id);
            }
            let same = |shift: u32| u64::from(own.id) >> shift == u64::from(other.id) >> shift;
            in_core += u32::from(same(own.core_shift));
            in_package += u32::from(same(own.package_shift));
            self.nodes(number, policy, same(own.package_shift));
        }
        self.holds(in_core <= own.core_count, FindingKind::Crowded, at, in_core, own.core_count);
        self.holds(
            in_package <= own.package_count || own.package_count >= 256 && !own.exact,
            FindingKind::Crowded,
            at,
            in_package,
            own.package_count,
        );
    }

    /// A node is in one package, and packages have equally many nodes.
    fn nodes(&mut self, number: usize, other: &Policy, same_package: bool) {
        if number >= self.vcpu || !self.policy.vendor().is_amd_compatible() || !has(self.policy, Feature::TOPOEXT) {
            return;
        }
        let [own, other] = [self.policy, other].map(|policy| policy.cpuid.get_or_zero(0x8000_001e, 0).ecx);
        let at = (0x8000_001e, 0);
        self.same(FindingKind::Node, at, own >> 8 & 7, other >> 8 & 7);
        let shared = own & 0xff == other & 0xff;
        self.holds(same_package || !shared, FindingKind::Node, at, own & 0xff, other & 0xff);
    }
}

const fn low_bits(count: u32) -> u32 {
    if count >= 32 { u32::MAX } else { (1 << count) - 1 }
}

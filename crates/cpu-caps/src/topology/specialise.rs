//! Writes the place of one vCPU into every leaf that tells it.

use cpuid_db::{Feature, Field, FieldAt, Policy, Registers, Vendor};

use super::choices::reach;
use super::decode::has;
use super::layout::{Layout, Place, Span, has_leaf_b};
use super::{Choices, Topology, TopologyError};

/// Leaves that describe caches, and say nothing else.
const CACHE_LEAVES: [u32; 5] = [2, 4, 0x8000_0005, 0x8000_0006, 0x8000_001d];

/// The policy of one vCPU: the template with APIC ids, counts, levels, sharing of caches, and the VM's choices filled in.
///
/// Fields too narrow for their number saturate, as the manuals say: leaf 1 EBX\[23:16\] at 255, leaf 4 EAX\[31:26\] at 63, NC of
/// 8000_0008H at 255, sharing at 4095. Leaf 1 EBX\[31:24\] and the core number of 8000_001EH keep the low eight bits.
/// A policy with x2APIC gets leaf 0BH, one with dies or modules leaf 1FH, and the maximum leaf follows; AMD's leaves are written where
/// TOPOEXT announces them. Cache leaves that are not in the template are not invented: see [`copy_caches`].
///
/// ```
/// use cpu_caps::{Choices, Topology, specialise};
/// use cpuid_db::{Feature, Policy, Registers, Vendor};
///
/// let mut template = Policy::default();
/// template.cpuid.insert(0, 0, Vendor::Intel.leaf_0(0xd))?;
/// template.cpuid.insert(1, 0, Registers::new(0x5_0654, 0x800, 0, 0))?;
/// template.set_feature(Feature::X2APIC, true)?;
/// // Two sockets of three cores with two threads: thread 1, core 2, socket 1 is 1_10_1.
/// let vcpu = specialise(&template, &Topology::new(2, 1, 3, 2), &Choices::default(), 11)?;
/// assert_eq!(vcpu.cpuid.get(0xb, 1), Some(Registers::new(3, 6, 0x201, 0b1101)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`TopologyError`] when this CPU cannot say what is asked for, or there is no such vCPU.
pub fn specialise(template: &Policy, topology: &Topology, choices: &Choices, index: u32) -> Result<Policy, TopologyError> {
    if is_hybrid(template) {
        return Err(TopologyError::Hybrid);
    }
    let layout = Layout::new(template, topology)?;
    let place = layout.place(index)?;
    let mut policy = template.clone();
    choices.apply(&mut policy)?;
    if policy.vendor().is_amd_compatible() {
        amd(&mut policy, &layout, place)?;
    } else {
        intel(&mut policy, &layout, place)?;
    }
    if has_leaf_b(&policy) {
        levels(&mut policy, 0xb, place.id, &[(1, layout.core), (2, layout.package)])?;
    }
    Ok(policy)
}

/// Whether the policy is that of one core type of a hybrid machine: HYBRID, or heterogeneous cores in AMD's 8000_0026H.
pub fn is_hybrid(policy: &Policy) -> bool {
    let levels = policy.cpuid.leaf(0x8000_0026).iter().filter(|_| policy.vendor().is_amd_compatible());
    has(policy, Feature::HYBRID) || levels.into_iter().any(|level| value(policy, Field::TOPO26_HETEROGENEOUS, level.subleaf) != 0)
}

/// Makes the policy of one core type one of a machine that has no other: HYBRID is cleared, leaf 1AH dropped, and 8000_0026H says nothing
/// of kinds and rankings of cores. Caches, TLBs and performance counters stay those of this core type: for a VM that runs on several,
/// begin with a pool of all of them.
pub fn flatten_hybrid(policy: &mut Policy) {
    const TYPE_1A: u32 = 0x1a;
    if let Some(features) = policy.cpuid.get_mut(7, 0) {
        features.edx &= !Feature::HYBRID.mask();
    }
    policy.cpuid.retain(|entry| entry.leaf != TYPE_1A);
    if !policy.vendor().is_amd_compatible() {
        return;
    }
    for number in 0..8 {
        if let Some(level) = policy.cpuid.get_mut(0x8000_0026, number) {
            level.eax &= 0x1f;
            level.ebx &= 0xffff;
        }
    }
}

/// Gives a policy the caches of another one, mostly of a machine of the pool: a policy out of a pool describes none.
/// [`specialise`] then says which vCPUs share them.
///
/// # Errors
/// [`TopologyError::Full`] when they do not fit.
pub fn copy_caches(policy: &mut Policy, from: &Policy) -> Result<(), TopologyError> {
    policy.cpuid.retain(|entry| !CACHE_LEAVES.contains(&entry.leaf));
    for leaf in CACHE_LEAVES {
        for entry in from.cpuid.leaf(leaf).iter().filter(|entry| from.cpuid.in_range(leaf) && !entry.registers.is_zero()) {
            policy.cpuid.insert(leaf, entry.subleaf, entry.registers)?;
            reach(policy, leaf)?;
        }
    }
    Ok(())
}

fn value(policy: &Policy, field: Field, subleaf: u32) -> u64 {
    policy.field(FieldAt { field, subleaf }).unwrap_or(0)
}

/// Sets fields of leaves without subleaves; a number too large for its field becomes the largest.
fn set(policy: &mut Policy, fields: &[(Field, u32)]) -> Result<(), TopologyError> {
    for (field, number) in fields {
        set_in(policy, *field, 0, *number)?;
    }
    Ok(())
}

fn set_in(policy: &mut Policy, field: Field, subleaf: u32, number: u32) -> Result<(), TopologyError> {
    let most = u64::MAX >> (64 - field.row().width());
    Ok(policy.set_field(FieldAt { field, subleaf }, u64::from(number).min(most))?)
}

/// Ids in a span: its logical processors and the gaps between them.
const fn ids(span: Span) -> u32 {
    1 << span.shift
}

fn intel(policy: &mut Policy, layout: &Layout, place: Place) -> Result<(), TopologyError> {
    let package = ids(layout.package);
    set(policy, &[(Field::INITIAL_APIC_ID, place.id & 0xff), (Field::MAX_LOGICAL_IDS, package)])?;
    policy.set_feature(Feature::HTT, package > 1)?;
    for number in subleaves(policy, 4) {
        // Cores have their first caches to themselves, modules their second, and a die shares what is beyond.
        let span = match value(policy, Field::CACHE4_LEVEL, number) {
            2 if layout.topology.modules > 1 => layout.module,
            0..=2 => layout.core,
            _ => layout.die,
        };
        set_in(policy, Field::CACHE4_SHARING_IDS, number, ids(span) - 1)?;
        set_in(policy, Field::CACHE4_CORE_IDS, number, (package >> layout.core.shift) - 1)?;
    }
    let Topology { dies, modules, .. } = layout.topology;
    let known = policy.cpuid.in_range(0x1f) && policy.cpuid.get_or_zero(0x1f, 0).ebx != 0;
    let wanted = policy.vendor() == Vendor::Intel && (dies > 1 || modules > 1);
    if known || wanted {
        let all = [(1, layout.core, true), (2, layout.module, true), (3, layout.die, modules > 1), (5, layout.package, dies > 1)];
        let mut some = [(0, layout.core); 4];
        let present = all.into_iter().filter(|(.., present)| *present);
        let mut count = 0;
        for (to, (kind, span, _)) in some.iter_mut().zip(present) {
            *to = (kind, span);
            count += 1;
        }
        levels(policy, 0x1f, place.id, some.get(..count).unwrap_or(&[]))?;
    }
    Ok(())
}

fn amd(policy: &mut Policy, layout: &Layout, place: Place) -> Result<(), TopologyError> {
    let count = layout.package.count;
    set(policy, &[(Field::INITIAL_APIC_ID, place.id & 0xff), (Field::MAX_LOGICAL_IDS, count)])?;
    policy.set_feature(Feature::HTT, count > 1)?;
    policy.set_feature(Feature::CMP_LEGACY, count > 1)?;
    if policy.cpuid.in_range(0x8000_0008) {
        set(policy, &[(Field::NC, count - 1), (Field::APIC_ID_SIZE, layout.package.shift)])?;
    }
    if !has(policy, Feature::TOPOEXT) {
        return Ok(());
    }
    for number in subleaves(policy, 0x8000_001d) {
        // Only the last level is shared beyond a core.
        let span = if value(policy, Field::CACHE1D_LEVEL, number) < 3 { layout.core } else { layout.module };
        set_in(policy, Field::CACHE1D_NUM_SHARING, number, span.count - 1)?;
    }
    let fields = [
        (Field::EXTENDED_APIC_ID, place.id),
        (Field::COMPUTE_UNIT_ID, place.core & 0xff),
        (Field::THREADS_PER_COMPUTE_UNIT, layout.core.count - 1),
        (Field::NODE_ID, place.node),
        (Field::NODES_PER_PROCESSOR, layout.topology.dies - 1),
    ];
    set(policy, &fields)?;
    reach(policy, 0x8000_001e)?;
    if policy.cpuid.in_range(0x8000_0026) && policy.cpuid.get_or_zero(0x8000_0026, 0).ebx & 0xffff != 0 {
        let all = [(1, layout.core), (2, layout.module), (3, layout.die), (4, layout.package)];
        levels(policy, 0x8000_0026, place.id, &all)?;
    }
    Ok(())
}

/// The subleaves of a cache leaf that describe a cache, at most eight.
fn subleaves(policy: &Policy, leaf: u32) -> impl Iterator<Item = u32> + use<> {
    let in_range = policy.cpuid.in_range(leaf);
    let is_cache = |number: &u32| in_range && policy.cpuid.get_or_zero(leaf, *number).eax & 0x1f != 0;
    let mask = (0..8).filter(is_cache).fold(0_u32, |mask, number| mask | 1 << number);
    (0..8).filter(move |number| mask >> number & 1 == 1)
}

/// Rewrites a leaf of levels: (type, span) from the inside out, then the level of type 0 that ends the list.
fn levels(policy: &mut Policy, leaf: u32, id: u32, list: &[(u32, Span)]) -> Result<(), TopologyError> {
    policy.cpuid.retain(|entry| entry.leaf != leaf);
    let mut number = 0;
    for (kind, span) in list {
        policy.cpuid.insert(leaf, number, Registers::new(span.shift, span.count, kind << 8 | number, id))?;
        number += 1;
    }
    policy.cpuid.insert(leaf, number, Registers::new(0, 0, number, id))?;
    reach(policy, leaf)
}

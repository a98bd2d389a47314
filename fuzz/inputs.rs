//! From bytes to CPUs: any features and fields, also those that no real CPU has.

use arbitrary::{Result, Unstructured};
use cpu_caps::field_slots;
use cpuid_db::{Feature, FeatureSet, FieldAt, Policy, Registers, TableFull, Unrecorded, Vendor};

/// A CPU of this vendor with leaves 0, 1 and 8000_0000H, and with random features, fields and holes.
pub(crate) fn cpu(u: &mut Unstructured<'_>, vendor: Vendor) -> Result<Policy> {
    let stepping = u.int_in_range(0..=2)?;
    let mut policy = Policy::default();
    let filled = fill(u, &mut policy, vendor, stepping)?;
    filled.expect("the database has fewer leaves than a table has room");
    for _ in 0..u.int_in_range(0..=3)? {
        hole(u, &mut policy)?;
        // A source that speaks in names may know one bit of the place.
        policy.named.set(feature(u)?, u.arbitrary()?);
    }
    Ok(policy)
}

fn fill(u: &mut Unstructured<'_>, policy: &mut Policy, vendor: Vendor, stepping: u32) -> Result<core::result::Result<(), TableFull>> {
    let set = features(u)?;
    let fields = fields(u)?;
    Ok((|| {
        frame(policy, vendor, stepping)?;
        set.iter().try_for_each(|feature| policy.set_feature(feature, true))?;
        fields.iter().try_for_each(|(at, value)| policy.set_field(*at, *value))?;
        // Random fields may have overwritten what makes a pool possible at all: vendor, signature, line size, ranges of leaves.
        frame(policy, vendor, stepping)
    })())
}

fn frame(policy: &mut Policy, vendor: Vendor, stepping: u32) -> core::result::Result<(), TableFull> {
    let leaf_1 = policy.cpuid.get_or_zero(1, 0);
    let extended = policy.cpuid.get_or_zero(0x8000_0000, 0);
    policy.cpuid.insert(0, 0, vendor.leaf_0(0x29))?;
    policy.cpuid.insert(1, 0, Registers { eax: 0x5_0650 + stepping, ebx: 0x800, ..leaf_1 })?;
    policy.cpuid.insert(0x8000_0000, 0, Registers { eax: 0x8000_0026, ..extended })?;
    Ok(())
}

/// Nothing, everything or random words, and then some bits the other way round.
pub(crate) fn features(u: &mut Unstructured<'_>) -> Result<FeatureSet> {
    let mut set = match u.int_in_range(0..=2)? {
        0 => FeatureSet::EMPTY,
        1 => FeatureSet::ALL,
        _ => u.arbitrary()?,
    };
    for _ in 0..u.int_in_range(0..=40)? {
        let feature = feature(u)?;
        set.set(feature, !set.contains(feature));
    }
    Ok(set)
}

/// Any feature of the database.
pub(crate) fn feature(u: &mut Unstructured<'_>) -> Result<Feature> {
    let index = u.choose_index(Feature::COUNT)?;
    Ok(Feature::all().nth(index).expect("an index below the count"))
}

fn fields(u: &mut Unstructured<'_>) -> Result<Vec<(FieldAt, u64)>> {
    let slots: Vec<FieldAt> = field_slots().collect();
    (0..u.int_in_range(0..=24)?).map(|_| Ok((*u.choose(&slots)?, u.arbitrary()?))).collect()
}

/// A place that the dump does not know.
fn hole(u: &mut Unstructured<'_>, policy: &mut Policy) -> Result<()> {
    const PLACES: [Unrecorded; 7] = [
        Unrecorded::Cpuid { leaf: 7, subleaf: 1 },
        Unrecorded::Cpuid { leaf: 7, subleaf: 2 },
        Unrecorded::Cpuid { leaf: 0xd, subleaf: 1 },
        Unrecorded::Cpuid { leaf: 0xd, subleaf: 2 },
        Unrecorded::Cpuid { leaf: 0x14, subleaf: 0 },
        Unrecorded::Cpuid { leaf: 0x8000_0021, subleaf: 0 },
        Unrecorded::Msr { index: 0x10a },
    ];
    let place = *u.choose(&PLACES)?;
    if let Unrecorded::Cpuid { leaf, subleaf } = place {
        policy.cpuid.retain(|entry| (entry.leaf, entry.subleaf) != (leaf, subleaf));
    }
    policy.unrecorded.insert(place).expect("three places have room");
    Ok(())
}

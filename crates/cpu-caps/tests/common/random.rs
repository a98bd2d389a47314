//! Random machines for the laws.
use cpu_caps::field_slots;
use cpuid_db::{Feature, FieldAt, Policy, Registers, Unrecorded, Vendor};
use proptest::prelude::*;

/// Any machine at all: random features and fields, random holes, one of three vendors.
pub fn machine() -> impl Strategy<Value = Policy> {
    let bits = prop::collection::vec((0..Feature::COUNT, prop::bool::weighted(0.8)), 0..400);
    let fields = prop::collection::vec((0..cpu_caps_slots(), any::<u64>()), 0..40);
    let holes = prop::collection::vec(prop_oneof![Just((7, 1)), Just((7, 2)), Just((0xd, 1)), Just((0xd, 2)), Just((0x14, 0))], 0..3);
    let identity = (0_usize..2, 0_u32..3, any::<bool>());
    (bits, fields, holes, identity).prop_map(|(bits, fields, holes, (vendor, stepping, blind))| {
        let vendor = [Vendor::Intel, Vendor::Amd][vendor];
        let mut policy = Policy::default();
        let mut put = |leaf, registers| policy.cpuid.insert(leaf, 0, registers).unwrap();
        put(0, vendor.leaf_0(0x29));
        put(1, Registers::new(0x5_0650 + stepping, 0, 0, 0));
        put(0x8000_0000, Registers::new(0x8000_0026, 0, 0, 0));
        let all: Vec<Feature> = Feature::all().collect();
        for (at, on) in bits {
            policy.set_feature(all[at], on).unwrap();
        }
        let slots: Vec<FieldAt> = field_slots().collect();
        for (at, value) in fields {
            policy.set_field(slots[at], value).unwrap();
        }
        restore_identity(&mut policy, vendor, stepping);
        for (leaf, subleaf) in holes {
            let _ = policy.unrecorded.insert(Unrecorded::Cpuid { leaf, subleaf });
            policy.cpuid.retain(|entry| (entry.leaf, entry.subleaf) != (leaf, subleaf));
        }
        if blind {
            policy.unrecorded.insert(Unrecorded::Msr { index: 0x10a }).unwrap();
        }
        policy
    })
}

fn cpu_caps_slots() -> usize {
    field_slots().count()
}

/// Random fields may have overwritten what makes pools possible at all: vendor, line size.
fn restore_identity(policy: &mut Policy, vendor: Vendor, stepping: u32) {
    policy.cpuid.insert(0, 0, vendor.leaf_0(0x29)).unwrap();
    let leaf_1 = policy.cpuid.get_or_zero(1, 0);
    policy.cpuid.insert(1, 0, Registers { eax: 0x5_0650 + stepping, ebx: 0x800, ..leaf_1 }).unwrap();
    let extended = policy.cpuid.get_or_zero(0x8000_0000, 0);
    policy.cpuid.insert(0x8000_0000, 0, Registers { eax: 0x8000_0026, ..extended }).unwrap();
}

//! The containers: order, capacity, ranges, fields, control-register masks.

use cpuid_db::{
    CpuidTable, Feature, FeatureSet, Field, FieldAt, FieldPlace, MsrTable, Policy, Registers, Signature, Unrecorded, UnrecordedList,
    Vendor, flags, valid_cr4, valid_efer, valid_xcr0, valid_xss,
};
use proptest::prelude::*;

#[test]
fn a_table_stays_sorted_and_says_when_it_is_full() {
    let mut table = CpuidTable::new();
    for leaf in (0..CpuidTable::CAPACITY as u32).rev() {
        assert_eq!(table.insert(leaf, leaf & 1, Registers::new(leaf, 0, 0, 0)), Ok(None));
    }
    assert!(table.entries().is_sorted_by_key(|entry| (entry.leaf, entry.subleaf)));
    assert_eq!(table.insert(5, 1, Registers::ZERO), Ok(Some(Registers::new(5, 0, 0, 0))), "replacing needs no room");
    let before = table.clone();
    let full = table.insert(0xffff, 0, Registers::ZERO).unwrap_err();
    assert_eq!((full.capacity, full.to_string().as_str()), (256, "more than 256 entries"));
    assert_eq!(table, before, "nothing was lost");
    table.retain(|entry| entry.leaf % 2 == 0);
    assert_eq!(table.entries().len(), 128);
    assert_eq!(table.leaf(4).len(), 1);
}

#[test]
fn msrs_and_unrecorded_places_are_bounded_too() {
    let mut msrs = MsrTable::new();
    for index in 0..MsrTable::CAPACITY as u32 {
        assert_eq!(msrs.insert(index, 1), Ok(None));
    }
    assert!(msrs.insert(1000, 1).is_err());
    let mut list = UnrecordedList::new();
    for index in 0..UnrecordedList::CAPACITY as u32 {
        list.insert(Unrecorded::Msr { index }).unwrap();
    }
    assert!(list.insert(Unrecorded::Msr { index: 1000 }).is_err());
    assert!(list.insert(Unrecorded::Msr { index: 3 }).is_ok(), "known already");
}

#[test]
fn leaves_beyond_the_maximum_do_not_count() {
    // Intel answers an out-of-range leaf with the data of its highest basic leaf (SDM vol. 2A, CPUID).
    let mut policy = Policy::default();
    policy.cpuid.insert(0, 0, Vendor::Intel.leaf_0(4)).unwrap();
    policy.cpuid.insert(7, 0, Registers::new(0, u32::MAX, 0, 0)).unwrap();
    policy.cpuid.insert(0xc000_0000, 0, Registers::new(0x0007_0001, 0, 0, 0)).unwrap();
    policy.cpuid.insert(0xc000_0001, 0, Registers::new(0, 0, 0, u32::MAX)).unwrap();
    assert_eq!(policy.features(), FeatureSet::EMPTY);
    policy.cpuid.insert(0, 0, Vendor::Intel.leaf_0(7)).unwrap();
    assert!(policy.features().contains(Feature::FSGSBASE));
    assert_eq!(policy.cpuid.max_leaf(0xc000_0000), None);
}

#[test]
fn signatures_read_as_people_say_them() {
    for (eax, text) in
        [(0x0005_0657, "6-85-7"), (0x0083_0f10, "23-49-0"), (0x00a2_0f12, "25-33-2"), (0x0000_0f4a, "15-4-10"), (0x0000_0633, "6-3-3")]
    {
        assert_eq!(Signature(eax).to_string(), text, "{eax:#x}");
    }
}

#[test]
fn vendors_are_known_by_their_twelve_characters() {
    for (text, vendor) in [
        ("GenuineIntel", Vendor::Intel),
        ("AuthenticAMD", Vendor::Amd),
        ("HygonGenuine", Vendor::Hygon),
        ("  Shanghai  ", Vendor::Zhaoxin),
        ("CentaurHauls", Vendor::Centaur),
    ] {
        let bytes = text.as_bytes().try_into().unwrap();
        assert_eq!(Vendor::from_bytes(bytes), vendor);
        assert_eq!(vendor.to_string(), text);
        assert_eq!(Vendor::from_leaf_0(&vendor.leaf_0(1)), vendor);
    }
    assert_eq!(Vendor::from_bytes(*b"VIA VIA VIA ").to_string(), "VIA VIA VIA ");
}

fn guest(vendor: Vendor, features: &[Feature]) -> Policy {
    let mut policy = Policy::default();
    policy.cpuid.insert(0, 0, vendor.leaf_0(0x20)).unwrap();
    policy.cpuid.insert(0x8000_0000, 0, Registers::new(0x8000_0021, 0, 0, 0)).unwrap();
    for feature in features {
        policy.set_feature(*feature, true).unwrap();
    }
    policy
}

/// One CR4 bit at a time: reserved without its feature, legal with it (SDM vol. 3A 2.5, table of CR4 bits).
#[test]
fn control_bits_follow_features() {
    for (feature, bit) in [
        (Feature::PCID, 17),
        (Feature::XSAVE, 18),
        (Feature::SMEP, 20),
        (Feature::SMAP, 21),
        (Feature::PKU, 22),
        (Feature::CET_SS, 23),
        (Feature::CET_IBT, 23),
        (Feature::FSGSBASE, 16),
        (Feature::UMIP, 11),
        (Feature::LA57, 12),
        (Feature::VMX, 13),
        (Feature::SMX, 14),
        (Feature::PKS, 24),
        (Feature::UINTR, 25),
        (Feature::LASS, 27),
        (Feature::LAM, 28),
        (Feature::PAE, 5),
        (Feature::PGE, 7),
    ] {
        let with = guest(Vendor::Intel, &[feature]);
        assert_eq!(valid_cr4(&with) >> bit & 1, 1, "{feature} opens CR4[{bit}]");
        assert_eq!(valid_cr4(&guest(Vendor::Intel, &[])) >> bit & 1, 0, "CR4[{bit}] is reserved without {feature}");
    }
}

#[test]
fn efer_follows_features_and_vendor() {
    use Feature as F;
    let long = [F::LM, F::SYSCALL, F::NX];
    assert_eq!(valid_efer(&guest(Vendor::Intel, &long)), 1 | 1 << 8 | 1 << 10 | 1 << 11);
    let amd = valid_efer(&guest(Vendor::Amd, &[F::LM, F::SYSCALL, F::NX, F::SVM]));
    assert_eq!(amd, 1 | 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13, "AMD has SVME and LMSLE");
    let newer = valid_efer(&guest(Vendor::Amd, &[F::LM, F::EFER_LMSLE_MBZ]));
    assert_eq!(newer >> 13 & 1, 0, "LMSLE is gone where EFER_LMSLE_MBZ says so");
}

#[test]
fn extended_state_masks_need_xsave_and_xsaves() {
    use Feature as F;
    let avx = [F::XSAVE, F::XCR0_X87, F::XCR0_SSE, F::XCR0_AVX];
    assert_eq!(valid_xcr0(&guest(Vendor::Intel, &avx)), 7);
    assert_eq!(valid_xcr0(&guest(Vendor::Intel, &avx[1..])), 0);
    let cet = [F::XSAVE, F::XSAVES, F::XSS_CET_U, F::XSS_CET_S];
    assert_eq!(valid_xss(&guest(Vendor::Intel, &cet)), 0x1800);
    assert_eq!(valid_xss(&guest(Vendor::Intel, &[F::XSAVE, F::XSS_CET_U])), 0);
}

#[test]
fn flag_words_keep_unknown_bits() {
    let word = flags::Leaf7Ebx::from_bits_retain(u32::MAX);
    assert!(word.contains(flags::Leaf7Ebx::FSGSBASE | flags::Leaf7Ebx::AVX512F));
    let value = flags::ArchCapabilities::from_bits_truncate(1 << 60 | 1);
    assert_eq!(value.bits(), 1 << 60 | 1, "a bit without a name survives even truncation");
    assert!(value.contains(flags::ArchCapabilities::RDCL_NO));
    assert_eq!(flags::Leaf1Ecx::PDCM.bits(), 1 << 15);
}

/// A field's place, where it can be written alone.
fn any_field() -> impl Strategy<Value = FieldAt> {
    let all: Vec<Field> = Field::all().filter(|field| field.row().hypervisor.is_none()).collect();
    (0..all.len(), 0_u32..4).prop_map(move |(at, step)| {
        let field = all[at];
        let (first, last) = field.row().subleaves();
        FieldAt { field, subleaf: first.saturating_add(step).min(last) }
    })
}

fn any_set() -> impl Strategy<Value = FeatureSet> {
    prop::array::uniform::<_, { cpuid_db::WORD_COUNT }>(any::<u32>()).prop_map(FeatureSet::from_words)
}

proptest! {
    #[test]
    fn a_field_reads_back_what_fits_and_leaves_its_neighbours(at in any_field(), background in any::<u64>(), value in any::<u64>()) {
        let row = at.field.row();
        let word = row.put(background, value);
        prop_assert_eq!(row.get(word), value & (row.mask() >> row.low));
        prop_assert_eq!(word & !row.mask(), background & !row.mask());
        let mut policy = guest(Vendor::Amd, &[]);
        policy.cpuid.insert(0xc000_0000, 0, Registers::new(0xc000_0004, 0, 0, 0)).unwrap();
        policy.cpuid.insert(0x8086_0000, 0, Registers::new(0x8086_0007, 0, 0, 0)).unwrap();
        let is_maximum = matches!(row.place, FieldPlace::Cpuid { leaf: 0 | 0x8000_0000 | 0x8086_0000 | 0xc000_0000, .. });
        if !is_maximum {
            policy.set_field(at, value).unwrap();
            let inside = match row.place { FieldPlace::Cpuid { leaf, .. } => policy.cpuid.in_range(leaf), FieldPlace::Msr { .. } => true };
            prop_assert_eq!(policy.field(at), inside.then(|| value & (row.mask() >> row.low)));
        }
    }

    #[test]
    fn sets_obey_set_algebra(a in any_set(), b in any_set()) {
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a);
        prop_assert!(a.intersection(&b).is_subset(&a));
        prop_assert_eq!(a.iter().collect::<FeatureSet>(), a);
        prop_assert_eq!(a.iter().count(), a.len());
        for feature in a {
            prop_assert!(a.contains(feature) && !a.without(feature).contains(feature));
        }
    }
}

/// A source that speaks in names knows single bits of a place, not the place.
#[test]
fn named_features_are_known_in_an_unrecorded_place() {
    let mut policy = guest(Vendor::Intel, &[Feature::AVX]);
    policy.unrecorded.insert(Unrecorded::Cpuid { leaf: 1, subleaf: 0 }).unwrap();
    policy.named = FeatureSet::EMPTY.with(Feature::AVX).with(Feature::MOVBE);
    let unknown = policy.unrecorded_features();
    assert!(policy.features().contains(Feature::AVX) && !unknown.contains(Feature::AVX), "named as there");
    assert!(!policy.features().contains(Feature::MOVBE) && !unknown.contains(Feature::MOVBE), "named as not there");
    assert!(unknown.contains(Feature::SSE3), "not named");
    let clflush = Field::all().find(|field| field.name() == "CLFLUSH_SIZE").unwrap();
    assert_eq!(policy.field(FieldAt { field: clflush, subleaf: 0 }), None, "no name stands for a field");
}

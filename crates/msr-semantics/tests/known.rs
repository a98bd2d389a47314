//! The table has every MSR that stock KVM answers or refuses in a way of its own, as far as the architecture, Intel and the common code go.

use msr_semantics::{Reason, Refusal, entry, table};

/// First and last addresses that arch/x86/kvm of Linux 7.2 names: common code, VMX, the Intel counters, system calls.
const KNOWN: &[(u32, u32)] = &[
    (0x0, 0x1),
    (0x10, 0x10),
    (0x17, 0x17),
    (0x1b, 0x1b),
    (0x2a, 0x2a),
    (0x2c, 0x2c),
    (0x34, 0x34),
    (0x3a, 0x3b),
    (0x48, 0x49),
    (0x79, 0x79),
    (0x8b, 0x8f),
    (0x9e, 0x9e),
    (0xc1, 0xc8),
    (0xcd, 0xce),
    (0xe1, 0xe1),
    (0xe7, 0xe8),
    (0xfe, 0xfe),
    (0x10a, 0x10b),
    (0x11e, 0x11e),
    (0x122, 0x122),
    (0x140, 0x140),
    (0x174, 0x176),
    (0x179, 0x17b),
    (0x186, 0x18d),
    (0x198, 0x199),
    (0x1a0, 0x1a0),
    (0x1c4, 0x1c5),
    (0x1c8, 0x1c9),
    (0x1d9, 0x1d9),
    (0x1db, 0x1de),
    (0x1fc, 0x1fc),
    (0x200, 0x250),
    (0x258, 0x259),
    (0x268, 0x26f),
    (0x277, 0x277),
    (0x280, 0x29f),
    (0x2ff, 0x2ff),
    (0x309, 0x30b),
    (0x345, 0x345),
    (0x38d, 0x390),
    (0x3f1, 0x3f2),
    (0x3fc, 0x3fe),
    (0x400, 0x491),
    (0x4c1, 0x4c8),
    (0x4d0, 0x4d0),
    (0x560, 0x561),
    (0x570, 0x572),
    (0x580, 0x587),
    (0x600, 0x600),
    (0x606, 0x606),
    (0x611, 0x611),
    (0x619, 0x619),
    (0x639, 0x639),
    (0x641, 0x641),
    (0x660, 0x660),
    (0x680, 0x6a0),
    (0x6a2, 0x6a2),
    (0x6a4, 0x6a8),
    (0x6e0, 0x6e0),
    (0x802, 0x803),
    (0x808, 0x808),
    (0x80a, 0x80b),
    (0x80d, 0x828),
    (0x82f, 0x839),
    (0x83e, 0x83f),
    (0xd90, 0xd90),
    (0xda0, 0xda0),
    (0x4b564dff, 0x4b564dff),
    (0xc0000080, 0xc0000084),
    (0xc0000100, 0xc0000103),
];

#[test]
fn every_msr_that_kvm_knows_has_a_row() {
    let all = KNOWN.iter().flat_map(|(first, last)| *first..=*last);
    let missing: Vec<String> = all.filter(|address| entry(*address).is_none()).map(|address| format!("{address:#x}")).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}

#[test]
fn of_each_of_them_the_table_says_what_kvm_does() {
    let all = KNOWN.iter().flat_map(|(first, last)| *first..=*last).filter_map(entry);
    let unchecked = all.filter(|entry| entry.rows().any(|(msr, _)| msr.kvm.is_none())).map(|entry| format!("{:#x}", entry.address));
    let unchecked: Vec<String> = unchecked.collect();
    assert!(unchecked.is_empty(), "{unchecked:?}");
}

#[test]
fn every_bit_is_spoken_for_once() {
    for msr in table() {
        for bits in [Some(msr.bits), msr.kvm.as_ref().and_then(|kvm| kvm.bits)].into_iter().flatten() {
            let sum = bits.iter().fold(0_u128, |sum, bits| sum + u128::from(bits.mask()));
            assert_eq!(sum, u128::from(u64::MAX), "{:#x}", msr.address);
        }
    }
}

#[test]
fn reasons_read_as_sentences() {
    let reasons = [Reason::Locked, Reason::ReservedBits(4), Reason::Unsupported(8), Reason::Frozen, Reason::NoSuchMember];
    for reason in reasons {
        let text = Refusal::Fault(msr_semantics::Fault::invalid(reason)).to_string();
        assert!(text.len() > 10 && !text.ends_with('.'), "{text}");
    }
}

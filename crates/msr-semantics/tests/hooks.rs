//! Hooks as tables of values. Each names where its values come from.

use cpuid_db::{Feature, Policy, Registers, Vendor};
use msr_semantics::{Context, Effects, Initiator, MsrFile, Quirks, Reason, Refusal, Semantics, Settings};

use Initiator::{Guest, Host};
use Semantics::{Architectural, Kvm};

const CX: Context = Context { tsc: 0 };

fn file(features: &[Feature], msrs: &[(u32, u64)], settings: &Settings<'_>) -> Box<MsrFile> {
    let mut policy = Policy::default();
    policy.cpuid.insert(0, 0, Vendor::Intel.leaf_0(0x20)).unwrap();
    policy.cpuid.insert(1, 0, Registers::new(0x5_0654, 0, 0, 0)).unwrap();
    policy.cpuid.insert(0xa, 0, Registers::new(0x0730_0402, 0, 0, 0x603)).unwrap();
    policy.cpuid.insert(0x8000_0000, 0, Registers::new(0x8000_0008, 0, 0, 0)).unwrap();
    for feature in features {
        policy.set_feature(*feature, true).unwrap();
    }
    for (address, value) in msrs {
        policy.msrs.insert(*address, *value).unwrap();
    }
    Box::new(MsrFile::new(&policy, settings))
}

fn reason(outcome: Result<Effects, Refusal>) -> Option<Reason> {
    match outcome {
        Ok(_) => None,
        Err(Refusal::Fault(fault)) => Some(fault.reason),
        Err(Refusal::Unknown) => panic!("unknown"),
    }
}

/// Writes each value to a fresh file and compares what is read.
fn check(semantics: Semantics, features: &[Feature], address: u32, by: Initiator, table: &[(u64, Result<u64, Reason>)]) {
    for (written, expected) in table {
        let mut file = file(features, &[], &Settings { semantics, ..Settings::default() });
        let outcome = file.write(&CX, address, *written, by);
        match expected {
            Ok(value) => assert_eq!((reason(outcome), file.stored(address)), (None, *value), "{address:#x} {written:#x}"),
            Err(why) => assert_eq!(reason(outcome), Some(*why), "{address:#x} {written:#x}"),
        }
    }
}

/// SDM vol. 3B, general-purpose counters; kvm_msrs.tsv 0xc1: the host's value is taken as it is, masked to the width.
#[test]
fn counters_extend_the_sign_for_guests_only() {
    let guest = [(0x8000_0000, Ok(0xffff_8000_0000)), (0x7fff_ffff, Ok(0x7fff_ffff)), (0xdead_0000_0001, Ok(1))];
    check(Architectural, &[], 0xc1, Guest, &guest);
    check(Kvm, &[], 0xc1, Guest, &guest);
    check(Kvm, &[], 0xc1, Host, &[(0x8000_0000, Ok(0x8000_0000)), (u64::MAX, Ok(0xffff_ffff_ffff))]);
    check(Architectural, &[], 0xc1, Host, &[(1 << 48, Err(Reason::Unsupported(1 << 48)))]);
}

/// kvm_msrs.tsv 0x309: masked to the width; SDM vol. 3B: bits beyond the width are reserved.
#[test]
fn fixed_counters_have_a_width() {
    check(Architectural, &[], 0x309, Guest, &[(1 << 48, Err(Reason::ReservedBits(1 << 48))), (5, Ok(5))]);
    check(Kvm, &[], 0x309, Guest, &[(1 << 48 | 5, Ok(5))]);
}

/// kvm_msrs.tsv 0x400: 0, or all ones with bits 0 and 10 free.
#[test]
fn banks_are_on_or_off_in_kvm() {
    let table = [(0, Ok(0)), (u64::MAX, Ok(u64::MAX)), (!0x401, Ok(!0x401)), (!2, Err(Reason::BadEncoding)), (1, Err(Reason::BadEncoding))];
    check(Kvm, &[Feature::MCA], 0x400, Guest, &table);
}

/// kvm_msrs.tsv 0x1a0; kvm.md 6, MISC_ENABLE_NO_MWAIT.
#[test]
fn misc_enable_moves_cpuid_where_it_is_seen() {
    let mut quirky = file(&[Feature::SSE3], &[], &Settings { semantics: Kvm, ..Settings::default() });
    assert_eq!(quirky.write(&CX, 0x1a0, 0x4_1800, Guest), Ok(Effects::empty()));
    let quirks = Quirks::all() - Quirks::MISC_ENABLE_NO_MWAIT;
    let mut strict = file(&[Feature::SSE3], &[], &Settings { semantics: Kvm, quirks, ..Settings::default() });
    assert_eq!(strict.write(&CX, 0x1a0, 0x4_1800, Guest), Ok(Effects::CPUID));
    let mut real = file(&[Feature::MONITOR, Feature::NX], &[], &Settings::default());
    assert_eq!(real.write(&CX, 0x1a0, 0x1801, Guest), Ok(Effects::CPUID), "MONITOR was on");
    assert_eq!(real.write(&CX, 0x1a0, 0x1800, Guest), Ok(Effects::empty()), "fast strings are not in CPUID");
}

/// SDM vol. 3A, Local APIC State: CPUID.01H:EDX[9] follows the enable bit.
#[test]
fn switching_the_apic_off_changes_cpuid() {
    let mut file = file(&[Feature::APIC, Feature::X2APIC], &[], &Settings::default());
    assert_eq!(file.write(&CX, 0x1b, 0xfee0_0c00, Guest), Ok(Effects::empty()));
    assert_eq!(file.write(&CX, 0x1b, 0xfee0_0000, Guest), Ok(Effects::CPUID));
}

/// kvm.md 3.7: after the first KVM_RUN only the current value; UCODE_REV stays writable.
#[test]
fn the_model_freezes_with_the_first_run() {
    for semantics in [Architectural, Kvm] {
        let mut file = file(&[Feature::PDCM], &[(0x345, 0x2000)], &Settings { semantics, ..Settings::default() });
        assert!(file.write(&CX, 0x345, 0, Host).is_ok());
        file.run();
        assert_eq!(reason(file.write(&CX, 0x345, 0x2000, Host)), Some(Reason::Frozen));
        assert!(file.write(&CX, 0x345, 0, Host).is_ok());
        assert!(file.write(&CX, 0x8b, 1 << 32, Host).is_ok());
    }
}

/// SDM vol. 3B, Full-Width Writes: IA32_A_PMCx is the counter under another number.
#[test]
fn the_two_names_of_a_counter_are_one_counter() {
    let mut file = file(&[Feature::PDCM, Feature::FW_WRITE], &[], &Settings::default());
    file.write(&CX, 0x4c2, 0x8000_1234_5678, Guest).unwrap();
    assert_eq!(file.read(&CX, 0xc2, Guest), Ok(0x8000_1234_5678));
    file.write(&CX, 0xc2, 7, Guest).unwrap();
    assert_eq!(file.read(&CX, 0x4c2, Guest), Ok(7));
}

/// kvm.md 4.1: nothing of PERF_CAPABILITIES that the machine lacks; layouts as a unit and only on the same model.
#[test]
fn perf_capabilities_follow_the_destination() {
    let features = [Feature::PDCM, Feature::DS, Feature::DTES64];
    let host = [msr_semantics::HostMask { address: 0x345, mask: 0x24c5 }];
    for (value, same, taken) in [
        (0, false, true),
        (0x2000, false, true),
        (5, true, true),
        (5, false, false),
        (4, true, false),
        (0x4c0, true, true),
        (0x4c0, false, false),
        (0x440, true, false),
        (0xc0, true, true),
        (1 << 12, true, false),
    ] {
        let mut file = file(&features, &[(0x345, 0)], &Settings { host: &host, same_model: same, ..Settings::default() });
        assert_eq!(file.write(&CX, 0x345, value, Host).is_ok(), taken, "{value:#x} same model {same}");
    }
}

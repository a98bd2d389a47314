//! RDMSR and WRMSR by name. Sources: SDM vol. 4 for the architecture; for KVM the functions named in each test.

use cpuid_db::{Feature, Policy, Registers, Vendor};
use msr_semantics::{Class, Context, Effects, Initiator, MsrFile, Reason, Refusal, Semantics, Settings};

fn guest(vendor: Vendor, features: &[Feature]) -> Policy {
    let mut policy = Policy::default();
    policy.cpuid.insert(0, 0, vendor.leaf_0(0x20)).unwrap();
    policy.cpuid.insert(1, 0, Registers::new(0x5_0654, 0, 0, 0)).unwrap();
    policy.cpuid.insert(0x8000_0000, 0, Registers::new(0x8000_0021, 0, 0, 0)).unwrap();
    for feature in features {
        policy.set_feature(*feature, true).unwrap();
    }
    policy
}

fn file(policy: &Policy, semantics: Semantics) -> Box<MsrFile> {
    Box::new(MsrFile::new(policy, &Settings { semantics, ..Settings::default() }))
}

const CX: Context = Context { tsc: 1000 };
use Initiator::{Guest, Host};
use Semantics::{Architectural, Kvm};

fn reason(refusal: Refusal) -> (Reason, Class) {
    match refusal {
        Refusal::Fault(fault) => (fault.reason, fault.class),
        Refusal::Unknown => panic!("unknown"),
    }
}

#[test]
fn perf_capabilities_exists_only_with_pdcm() {
    for semantics in [Architectural, Kvm] {
        let without = file(&guest(Vendor::Intel, &[]), semantics);
        assert_eq!(reason(without.read(&CX, 0x345, Guest).unwrap_err()), (Reason::NotEnumerated, Class::Unknown));
        let mut policy = guest(Vendor::Intel, &[Feature::PDCM]);
        policy.msrs.insert(0x345, 0x2000).unwrap();
        assert_eq!(file(&policy, semantics).read(&CX, 0x345, Guest), Ok(0x2000));
        let amd = file(&guest(Vendor::Amd, &[Feature::PDCM]), semantics);
        assert_eq!(reason(amd.read(&CX, 0x345, Guest).unwrap_err()).0, Reason::OtherVendor, "however asked");
    }
    // KVM lists the MSR: the host reads zero and writes zero whatever the guest has (kvm_do_msr_access).
    let mut without = file(&guest(Vendor::Intel, &[]), Kvm);
    assert_eq!(without.read(&CX, 0x345, Host), Ok(0));
    assert_eq!(without.write(&CX, 0x345, 0, Host), Ok(Effects::empty()));
    assert!(without.write(&CX, 0x345, 0x2000, Host).is_err());
}

#[test]
fn tsc_aux_takes_what_the_vendor_takes() {
    let wide = 0x1_0000_0005;
    let mut intel = file(&guest(Vendor::Intel, &[Feature::RDPID]), Architectural);
    assert_eq!(reason(intel.write(&CX, 0xc000_0103, wide, Guest).unwrap_err()).0, Reason::ReservedBits(1 << 32));
    assert_eq!(intel.write(&CX, 0xc000_0103, 5, Guest), Ok(Effects::FORWARD));
    assert_eq!(intel.read(&CX, 0xc000_0103, Guest), Ok(5));
    let mut hygon = file(&guest(Vendor::Hygon, &[Feature::RDTSCP]), Architectural);
    assert_eq!(hygon.write(&CX, 0xc000_0103, wide, Guest), Ok(Effects::FORWARD));
    assert_eq!(hygon.read(&CX, 0xc000_0103, Guest), Ok(5));
    let none = file(&guest(Vendor::Intel, &[]), Architectural);
    assert!(none.read(&CX, 0xc000_0103, Guest).is_err());
}

#[test]
fn time_and_its_adjustment_move_together_for_the_guest() {
    let mut file = file(&guest(Vendor::Intel, &[Feature::TSC, Feature::TSC_ADJUST]), Architectural);
    assert_eq!(file.read(&CX, 0x10, Guest), Ok(1000));
    assert_eq!(file.write(&CX, 0x10, 5000, Guest), Ok(Effects::TSC | Effects::FORWARD));
    assert_eq!((file.read(&CX, 0x10, Guest), file.read(&CX, 0x3b, Guest)), (Ok(5000), Ok(4000)));
    file.write(&CX, 0x3b, 3000, Guest).unwrap();
    assert_eq!(file.read(&CX, 0x10, Guest), Ok(4000));
    file.write(&CX, 0x10, 9000, Host).unwrap();
    assert_eq!((file.read(&CX, 0x10, Guest), file.read(&CX, 0x3b, Guest)), (Ok(9000), Ok(3000)), "a restore sets each on its own");
}

#[test]
fn tsc_adjust_is_readable_in_kvm_without_the_feature() {
    let mut kvm = file(&guest(Vendor::Intel, &[]), Kvm);
    assert_eq!(kvm.read(&CX, 0x3b, Guest), Ok(0));
    assert_eq!(kvm.write(&CX, 0x3b, 5, Guest), Ok(Effects::empty()), "dropped");
    assert_eq!(kvm.read(&CX, 0x3b, Guest), Ok(0));
    assert!(file(&guest(Vendor::Intel, &[]), Architectural).read(&CX, 0x3b, Guest).is_err());
}

#[test]
fn addresses_without_a_row_are_unknown() {
    let file = file(&guest(Vendor::Intel, &[]), Architectural);
    let known: Vec<u32> = msr_semantics::addresses().collect();
    assert!(known.windows(2).all(|pair| pair[0] < pair[1]));
    for address in (0..0x3000).chain(0x4000_0000..0x4000_0200).chain(0x4b56_4cf0..0x4b56_4e10).chain(0xc000_0000..0xc001_2000) {
        let listed = known.binary_search(&address).is_ok();
        assert_eq!(file.read(&CX, address, Guest) != Err(Refusal::Unknown), listed, "{address:#x}");
        assert_eq!(msr_semantics::entry(address).is_some(), listed, "{address:#x}");
    }
}

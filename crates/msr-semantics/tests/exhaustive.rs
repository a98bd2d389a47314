//! Every row: each bit, gate open and closed, guest and host, both semantics, two vendors. The laws of the harness hold after each write,
//! and what the plain rows of the architecture do is compared with a second reading of the row, kept as simple as the words of the table.

use cpuid_db::{Feature, Policy, Registers, Vendor};
use msr_semantics::harness::{Step, run};
use msr_semantics::{
    Bits, Capabilities, Condition, Context, Initiator, Kind, Limit, Msr, MsrFile, Reason, Refusal, Semantics, Settings, Term, Within,
    addresses, entry, table,
};
use proptest::prelude::*;

fn features() -> Vec<Feature> {
    let of_bits = |bits: &'static [Bits]| bits.iter().map(|bits| bits.needs);
    let conditions = table().iter().flat_map(|msr| of_bits(msr.bits).chain([msr.present]));
    let kvm = table().iter().filter_map(|msr| msr.kvm.as_ref());
    let doors = kvm.flat_map(|kvm| [kvm.guest_read.when, kvm.guest_write.when]);
    let terms = conditions.chain(doors).flat_map(|condition| condition.0.iter().copied().flatten().copied());
    terms.filter_map(|term| if let Term::Feature(feature) = term { Some(feature) } else { None }).collect()
}

/// A guest that has everything the rows ask about, or nothing.
fn guest(vendor: Vendor, open: bool) -> Policy {
    let mut policy = Policy::default();
    policy.cpuid.insert(0, 0, vendor.leaf_0(0x24)).unwrap();
    policy.cpuid.insert(1, 0, Registers::new(0x5_0654, 0, 0, 0)).unwrap();
    policy.cpuid.insert(0x8000_0000, 0, Registers::new(0x8000_0022, 0, 0, 0)).unwrap();
    if open {
        // PEBS records need these two, which gate no MSR of their own.
        for feature in features().into_iter().chain([Feature::DS, Feature::DTES64]) {
            // Features of another hypervisor's leaf have no place in this guest.
            let _ = policy.set_feature(feature, true);
        }
        policy.cpuid.insert(0xa, 0, Registers::new(0x0730_0805, 0, 0, 0x604)).unwrap();
        policy.cpuid.insert(0x14, 1, Registers::new(4, 0, 0, 0)).unwrap();
        let lbr = policy.cpuid.get_or_zero(0x1c, 0);
        policy.cpuid.insert(0x1c, 0, Registers { eax: lbr.eax | 0xff, ..lbr }).unwrap();
        for (address, bits) in [(0x179, 32), (0x345, 0x405), (0xce, 1 << 31)] {
            let value = policy.msrs.get(address).unwrap_or(0);
            policy.msrs.insert(address, value | bits).unwrap();
        }
    }
    policy
}

fn file(policy: &Policy, semantics: Semantics) -> Box<MsrFile> {
    let settings = Settings { semantics, capabilities: Capabilities::all(), ..Settings::default() };
    Box::new(MsrFile::new(policy, &settings))
}

#[test]
fn the_laws_hold_for_every_bit_of_every_row() {
    let mut cases = 0_u64;
    for (vendor, open, semantics) in guests() {
        let mut file = file(&guest(vendor, open), semantics);
        for (address, host) in addresses().flat_map(|address| [(address, false), (address, true)]) {
            let value = file.stored(address);
            for bit in 0..64 {
                let step = Step::Write { address, value: value ^ 1 << bit, host };
                let outcome = run(&mut *file, &[step]);
                assert_eq!(outcome, Ok(()), "{vendor:?} open {open} {semantics:?}: {step}");
                file.put(address, value);
                cases += 1;
            }
            let reads = [Step::Read { address, host }, Step::Write { address, value, host }];
            assert_eq!(run(&mut *file, &reads), Ok(()), "{vendor:?} open {open} {semantics:?}");
        }
        let ends = [Step::SaveRestore, Step::Reset { init: true }, Step::Reset { init: false }, Step::SaveRestore];
        assert_eq!(run(&mut *file, &ends), Ok(()), "{vendor:?} open {open} {semantics:?}");
    }
    eprintln!("{cases} single-bit writes");
    assert!(cases > 55_000);
}

fn guests() -> impl Iterator<Item = (Vendor, bool, Semantics)> {
    let vendors = [Vendor::Intel, Vendor::Amd];
    let all = vendors.into_iter().flat_map(|vendor| [(vendor, false), (vendor, true)]);
    all.flat_map(|(vendor, open)| [Semantics::Architectural, Semantics::Kvm].map(|semantics| (vendor, open, semantics)))
}

/// The row of a vendor at an address.
fn row(address: u32, vendor: Vendor) -> Option<&'static Msr> {
    let mut rows = entry(address).unwrap().rows();
    rows.find(|(msr, _)| msr.vendors.is_empty() || msr.vendors.contains(vendor.set())).map(|(msr, _)| msr)
}

fn meets(policy: &Policy, condition: Condition, open: bool) -> bool {
    let features = policy.features();
    let amd = policy.vendor() == Vendor::Amd;
    let version = if amd {
        1 + u8::from(features.contains(Feature::PERFMON_V2))
    } else if open {
        5
    } else {
        0
    };
    let holds = |term: &Term| match term {
        Term::Feature(feature) => features.contains(*feature),
        Term::Without(feature) => !features.contains(*feature),
        Term::Pmu(least) => version >= *least,
        Term::Mcg(bit) => policy.msrs.get(0x179).unwrap_or(0) >> bit & 1 == 1,
        Term::LbrFormat | Term::PebsFormat | Term::CpuidFaulting => open,
        _ => false,
    };
    condition.0.iter().all(|any| any.iter().any(holds))
}

/// What the words of a plain row say about flipping one bit of it.
fn expected(msr: &Msr, bit: u8, policy: &Policy, open: bool) -> Option<Kind> {
    if !meets(policy, msr.present, open) || !msr.writable {
        return None;
    }
    let run = msr.bits.iter().find(|run| run.low <= bit && bit <= run.high).unwrap();
    Some(if meets(policy, run.needs, open) { run.kind } else { run.without })
}

#[test]
fn plain_rows_do_what_their_words_say() {
    let mut cases = 0_u64;
    for (vendor, open) in [Vendor::Intel, Vendor::Amd].into_iter().flat_map(|vendor| [(vendor, false), (vendor, true)]) {
        let policy = guest(vendor, open);
        let mut file = file(&policy, Semantics::Architectural);
        for address in addresses() {
            let Some(msr) = row(address, vendor) else {
                assert!(matches!(file.read(&Context::default(), address, Initiator::Guest), Err(Refusal::Fault(_))));
                continue;
            };
            if msr.hook.is_some() || msr.within != Within::All || msr.limit != Limit::All {
                continue;
            }
            for bit in 0..64 {
                flips(&mut file, msr, (address, bit), expected(msr, bit, &policy, open));
                cases += 1;
            }
        }
    }
    eprintln!("{cases} plain writes");
    assert!(cases > 10_000);
}

fn flips(file: &mut MsrFile, msr: &Msr, (address, bit): (u32, u8), expected: Option<Kind>) {
    let (old, mask) = (file.stored(address), 1 << bit);
    let outcome = file.write(&Context::default(), address, old ^ mask, Initiator::Guest);
    let new = file.stored(address);
    let place = format!("{address:#x} bit {bit}, {expected:?}: {outcome:?}");
    match (expected, outcome) {
        (None, Err(Refusal::Fault(fault))) => assert!(!matches!(fault.reason, Reason::ReservedBits(_)), "{place}"),
        (Some(Kind::Reserved), Err(Refusal::Fault(fault))) => assert_eq!(fault.reason, Reason::ReservedBits(mask), "{place}"),
        (Some(Kind::Stored), Ok(_)) => assert_eq!(new, old ^ mask, "{place}"),
        (Some(Kind::Ignored), Ok(_)) => assert_eq!(new, old, "{place}"),
        (Some(Kind::Clears), Ok(_)) => assert_eq!(new, old & !mask, "{place}"),
        (Some(_), Err(Refusal::Fault(fault))) if msr.check != msr_semantics::Check::Any => {
            assert!(matches!(fault.reason, Reason::NotCanonical | Reason::BadEncoding), "{place}");
        }
        _ => panic!("{place}"),
    }
    file.put(address, old);
}

proptest! {
    #[test]
    fn the_laws_hold_after_many_steps(
        picks in prop::collection::vec((0_usize..4096, any::<u64>(), 0_u8..64, any::<bool>(), 0_u8..12), 1..60),
        open in any::<bool>(), amd in any::<bool>(), kvm in any::<bool>(),
    ) {
        let known: Vec<u32> = addresses().collect();
        let semantics = if kvm { Semantics::Kvm } else { Semantics::Architectural };
        let mut file = file(&guest(if amd { Vendor::Amd } else { Vendor::Intel }, open), semantics);
        let steps: Vec<Step> = picks.iter().map(|(pick, value, bit, host, kind)| {
            let address = known.get(pick % (known.len() + 8)).copied().unwrap_or(0xdead_0000 + *pick as u32);
            match kind {
                0 => Step::Reset { init: *host },
                1 => Step::SaveRestore,
                2 | 3 => Step::Read { address, host: *host },
                4..=8 => Step::Write { address, value: file.stored(address) ^ 1 << bit, host: *host },
                _ => Step::Write { address, value: *value, host: *host },
            }
        }).collect();
        prop_assert_eq!(run(&mut *file, &steps), Ok(()));
    }
}

//! The MSR file under arbitrary guests and steps, and filters under arbitrary rules.

use arbitrary::{Result, Unstructured};
use cpuid_db::{Policy, Vendor};
use msr_semantics::harness::{Step, run};
use msr_semantics::{
    Capabilities, Direction, Filter, HostMask, MAX_MSRS, MAX_RANGES, MsrFile, Quirks, Rule, Semantics, Settings, SpecCtrl,
};

use crate::inputs;

/// Each step is followed by a look at all MSRs: long runs cost more than they find.
const MAX_STEPS: usize = 64;

/// The laws of the harness hold for any guest, any settings and any steps.
pub fn msr_file(bytes: &[u8]) {
    // Too few bytes for a case: nothing to check.
    let _ = steps(&mut Unstructured::new(bytes));
}

fn steps(u: &mut Unstructured<'_>) -> Result<()> {
    let policy = guest(u)?;
    let known: Vec<u32> = msr_semantics::addresses().collect();
    let host = (0..u.int_in_range(0..=3)?).map(|_| Ok(HostMask { address: *u.choose(&known)?, mask: u.arbitrary()? }));
    let host = host.collect::<Result<Vec<HostMask>>>()?;
    let settings = Settings {
        semantics: *u.choose(&[Semantics::Architectural, Semantics::Kvm])?,
        spec_ctrl: *u.choose(&[SpecCtrl::Exact, SpecCtrl::PassThrough])?,
        capabilities: Capabilities::from_bits_truncate(u.arbitrary()?),
        quirks: Quirks::from_bits_truncate(u.arbitrary()?),
        host: &host,
        ..Settings::default()
    };
    let mut file = Box::new(MsrFile::new(&policy, &settings));
    if u.arbitrary()? {
        file.run();
    }
    let mut done = Vec::new();
    while !u.is_empty() && done.len() < MAX_STEPS {
        let step = step(u, &known)?;
        done.push(step);
        if let Err(broken) = run(&mut *file, &[step]) {
            let steps: Vec<String> = done.iter().map(Step::to_string).collect();
            panic!("{broken}; {:?}, {:?}:\n{}", policy.vendor(), settings, steps.join(",\n"));
        }
    }
    Ok(())
}

/// Any CPU, with some values of feature MSRs.
fn guest(u: &mut Unstructured<'_>) -> Result<Policy> {
    let vendor = *u.choose(&[Vendor::Intel, Vendor::Amd, Vendor::Hygon, Vendor::Zhaoxin])?;
    let mut policy = inputs::cpu(u, vendor)?;
    for address in [0x10a, 0x179, 0x345, 0x480, 0xc001_0140] {
        if u.arbitrary()? {
            policy.msrs.insert(address, u.arbitrary()?).expect("five MSRs have room");
        }
    }
    Ok(policy)
}

/// Most steps are about MSRs that exist and change few bits.
fn step(u: &mut Unstructured<'_>, known: &[u32]) -> Result<Step> {
    let address = if u.ratio(15, 16)? { *u.choose(known)? } else { u.arbitrary()? };
    let host = u.arbitrary()?;
    Ok(match u.int_in_range(0..=15)? {
        0 if u.ratio(1, 8)? => Step::SaveRestore,
        0 | 1 => Step::Reset { init: host },
        2..=5 => Step::Read { address, host },
        6..=9 => Step::Write { address, value: u.arbitrary()?, host },
        10 => Step::Write { address, value: 0, host },
        _ => Step::Write { address, value: 1 << u.int_in_range(0..=63)?, host },
    })
}

/// The compiled filter answers as the list of rules does, within the limits of KVM.
pub fn msr_filter(bytes: &[u8]) {
    let _ = filter(&mut Unstructured::new(bytes));
}

fn filter(u: &mut Unstructured<'_>) -> Result<()> {
    let default_allow = u.arbitrary()?;
    let rules = (0..u.int_in_range(0..=20)?).map(|_| rule(u)).collect::<Result<Vec<Rule>>>()?;
    let filter = Filter { default_allow, rules: &rules };
    let compiled = match filter.compile() {
        Ok(compiled) => compiled,
        Err(conflict) => {
            assert!(!conflict.to_string().is_empty());
            return Ok(());
        }
    };
    assert!(compiled.ranges().len() <= MAX_RANGES);
    assert!(!compiled.default_deny || !compiled.ranges().is_empty(), "a denying default needs a range");
    for range in compiled.ranges() {
        assert!((1..=MAX_MSRS).contains(&range.count) && range.base.checked_add(range.count - 1).is_some(), "{range:?}");
        assert!(range.read || range.write, "{range:?}");
    }
    for address in places(&rules, u)? {
        for direction in [Direction::Read, Direction::Write] {
            assert_eq!(compiled.allows(address, direction), naive(&filter, address, direction), "{address:#x} {direction:?} {filter:?}");
        }
    }
    Ok(())
}

fn rule(u: &mut Unstructured<'_>) -> Result<Rule> {
    let base = *u.choose(&[0, 0x7f0, 0x8f0, 0x4000_0000, 0x4b56_4d00, 0xc000_0000, 0xc001_0000, 0xffff_ff00])?;
    let first = if u.ratio(7, 8)? { base + u32::from(u.arbitrary::<u8>()?) } else { u.arbitrary()? };
    let length = if u.ratio(3, 4)? { u.int_in_range(0..=7)? } else { u.int_in_range(0..=40_000)? };
    let last = if u.ratio(1, 32)? { u32::MAX } else { first.saturating_add(length) };
    Ok(Rule { first, last, read: u.arbitrary()?, write: u.arbitrary()?, allow: u.arbitrary()? })
}

/// The first rule that is about the access decides; the x2APIC is always let through (arch/x86/kvm/x86.c, kvm_msr_allowed).
fn naive(filter: &Filter<'_>, address: u32, direction: Direction) -> bool {
    let way = |rule: &Rule| if direction == Direction::Read { rule.read } else { rule.write };
    let about = filter.rules.iter().find(|rule| way(rule) && (rule.first..=rule.last).contains(&address));
    (0x800..=0x8ff).contains(&address) || about.map_or(filter.default_allow, |rule| rule.allow)
}

/// Around every edge, and a few addresses anywhere.
fn places(rules: &[Rule], u: &mut Unstructured<'_>) -> Result<Vec<u32>> {
    let edges = rules.iter().flat_map(|rule| [rule.first, rule.last, rule.first.wrapping_add(MAX_MSRS)]);
    let near = |at: u32| [at.wrapping_sub(1), at, at.wrapping_add(1), at.wrapping_add(63), at.wrapping_add(64)];
    let mut places: Vec<u32> = edges.chain([0, 0x800, 0x8ff, u32::MAX]).flat_map(near).collect();
    for _ in 0..8 {
        places.push(u.arbitrary()?);
    }
    Ok(places)
}

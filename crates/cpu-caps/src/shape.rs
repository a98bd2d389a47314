//! From decisions to registers: features, fields, static values, and everything that follows from the rest.

use cpuid_db::{Basis, Derive, Feature, FeatureSet, Field, FieldAt, FieldPlace, FieldRow, Merge, Policy, Register, Registers, TableFull};

use crate::decision::field_slots;
use crate::fields::brand_word;
use crate::finish::Work;
use crate::view::is_open;

/// Builds the guest's CPUID table and feature MSRs.
pub(crate) fn build<const W: usize>(work: &Work<'_, W>) -> Result<Policy, TableFull> {
    let mut policy = Policy { basis: Basis::Derived, ..Policy::default() };
    frame(work, &mut policy)?;
    for feature in &work.set {
        policy.set_feature(feature, true)?;
    }
    for at in field_slots() {
        let value = work.decisions.field(at).map_or(0, |decision| decision.value);
        if value != 0 {
            policy.set_field(at, value)?;
        }
    }
    for field in Field::all() {
        static_field(work, &mut policy, field)?;
    }
    feature_msrs(work, &mut policy)?;
    derive(&mut policy)?;
    Ok(policy)
}

/// What every policy has: leaves 0, 1 and 8000_0000H, and the name.
fn frame<const W: usize>(work: &Work<'_, W>, policy: &mut Policy) -> Result<(), TableFull> {
    let identity = &work.identity;
    policy.cpuid.insert(0, 0, identity.vendor.leaf_0(1))?;
    policy.cpuid.insert(1, 0, Registers::new(identity.signature.0, 0, 0, 0))?;
    policy.cpuid.insert(0x8000_0000, 0, Registers::new(0x8000_0000, 0, 0, 0))?;
    if identity.brand != [0; 48] {
        for leaf in 0x8000_0002..=0x8000_0004 {
            let [eax, ebx, ecx, edx] = Register::ALL.map(|register| brand_word(&identity.brand, leaf, register));
            policy.cpuid.insert(leaf, 0, Registers::new(eax, ebx, ecx, edx))?;
        }
    }
    Ok(())
}

/// KVM's signature in leaf 4000_0000H (arch/x86/include/uapi/asm/kvm_para.h).
pub(crate) const KVM_SIGNATURE: [u8; 12] = *b"KVMKVMKVM\0\0\0";

/// Fields with a static value: fixed, local, live.
fn static_field<const W: usize>(work: &Work<'_, W>, policy: &mut Policy, field: Field) -> Result<(), TableFull> {
    let row = field.row();
    // Bits of other hypervisors' leaves never get into the set.
    let has_kvm_leaves = || !work.set.intersection(&FeatureSet::HYPERVISOR_LEAVES).is_empty();
    let owned = row.hypervisor.is_none() || row.hypervisor == Some(KVM_SIGNATURE) && has_kvm_leaves();
    let is_static = matches!(row.merge, Merge::Fixed | Merge::Local | Merge::Live);
    let (first, last) = row.subleaves();
    let compacted =
        !matches!(row.place, FieldPlace::Cpuid { leaf: 0xd, first: 1, .. }) || work.set.contains_any(&[Feature::XSAVEC, Feature::XSAVES]);
    let defined = row.vendors.is_empty() || row.vendors.contains(work.identity.vendor.set());
    if !is_static || !owned || !defined || !compacted || row.value == 0 || first != last || !is_open(row, &work.set) {
        return Ok(());
    }
    policy.set_field(FieldAt { field, subleaf: first }, row.value)
}

/// A feature MSR that exists is in the policy, even if its value is zero.
fn feature_msrs<const W: usize>(work: &Work<'_, W>, policy: &mut Policy) -> Result<(), TableFull> {
    for leaf in cpuid_db::leaves() {
        let exists = leaf.leaf.is_none() && !leaf.requires.is_empty() && work.set.contains_any(leaf.requires);
        if exists && policy.msrs.get(leaf.msr).is_none() {
            policy.msrs.insert(leaf.msr, 0)?;
        }
    }
    Ok(())
}

/// Recomputes what follows from the rest: subleaf counts and sizes first, maximum leaves last.
fn derive(policy: &mut Policy) -> Result<(), TableFull> {
    let late = |row: &FieldRow| {
        matches!(row.derive, Some(Derive::MaxBasicLeaf | Derive::MaxExtendedLeaf | Derive::MaxCentaurLeaf | Derive::MaxHypervisorLeaf))
    };
    for pass in [false, true] {
        for field in Field::all().filter(|field| late(field.row()) == pass) {
            let row = field.row();
            let Some(value) = row.derive.and_then(|derive| derived(policy, row, derive)) else { continue };
            let at = FieldAt { field, subleaf: row.subleaves().0 };
            let old = policy.field(at).unwrap_or(0);
            if value != old {
                policy.set_field(at, value)?;
            }
        }
    }
    Ok(())
}

fn derived(policy: &Policy, row: &FieldRow, derive: Derive) -> Option<u64> {
    let FieldPlace::Cpuid { leaf, register, .. } = row.place else { return None };
    let highest = |from: u32, to: u32| {
        let leaves = policy.cpuid.entries().iter().filter(|entry| (from..=to).contains(&entry.leaf));
        leaves.filter(|entry| !entry.registers.is_zero()).map(|entry| u64::from(entry.leaf)).max()
    };
    match derive {
        Derive::MaxBasicLeaf => highest(0, 0x3fff_ffff),
        Derive::MaxExtendedLeaf => highest(0x8000_0000, 0xbfff_ffff),
        Derive::MaxCentaurLeaf => highest(0xc000_0001, 0xffff_ffff),
        Derive::MaxHypervisorLeaf => highest(0x4000_0000, 0x4000_00ff),
        Derive::MaxSubleaf => {
            let subleaves = policy.cpuid.leaf(leaf).iter().filter(|entry| !entry.registers.is_zero());
            subleaves.map(|entry| u64::from(entry.subleaf)).max()
        }
        Derive::XsaveSize => policy.cpuid.get(0xd, 0).map(|_| xsave_size(policy)),
        Derive::VendorCopy => {
            let copies = policy.vendor().is_amd_compatible();
            copies.then(|| u64::from(policy.cpuid.register(0, 0, register)))
        }
        Derive::SignatureCopy => {
            let copies = policy.vendor().is_amd_compatible() && policy.cpuid.get(0x8000_0001, 0).is_some();
            copies.then(|| row.get(u64::from(policy.signature().0)))
        }
        Derive::VmxDefault1 | Derive::VmxCr0Fixed1 | Derive::VmxCr4Fixed1 => None,
    }
}

/// The XSAVE area for every user component that the policy has: legacy area and header, then each component at its offset.
fn xsave_size(policy: &Policy) -> u64 {
    const LEGACY_AND_HEADER: u64 = 576;
    let enumerated = policy.cpuid.get_or_zero(0xd, 0);
    let mask = u64::from(enumerated.edx) << 32 | u64::from(enumerated.eax);
    let components = policy.cpuid.leaf(0xd).iter().filter(|entry| (2..63).contains(&entry.subleaf));
    let present = components.filter(|entry| mask >> entry.subleaf & 1 == 1);
    let ends = present.map(|entry| u64::from(entry.registers.eax) + u64::from(entry.registers.ebx));
    ends.max().unwrap_or(0).max(LEGACY_AND_HEADER)
}

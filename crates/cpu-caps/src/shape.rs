//! From decisions to registers: features, fields, static values, and everything that follows from the rest.

use cpuid_db::{
    Basis, CpuidTable, Derive, ENTRY_COUNT, Feature, FeatureSet, FieldAt, FieldPlace, FieldRow, Place, Policy, Register, Registers,
    TableFull,
};

use crate::fields::brand_word;
use crate::finish::Work;
use crate::view::is_open;

/// Fills in the guest's CPUID table and feature MSRs.
pub(crate) fn build<const W: usize>(work: &Work<'_, W>, policy: &mut Policy) -> Result<(), TableFull> {
    policy.basis = Basis::Derived;
    let mut sheet = Sheet::NEW;
    frame(work, &mut sheet);
    for ((row, entry), value) in cpuid_db::words().iter().zip(cpuid_db::word_entries()).zip(work.set.words()) {
        match (entry, row.place) {
            _ if *value == 0 => {}
            (Some(entry), Place::Cpuid { register, .. }) => sheet.change(*entry, register, |old| old | value),
            (_, place) => policy.set_word(place, *value)?,
        }
    }
    for ((at, entry), decision) in cpuid_db::slots().iter().zip(work.decisions.fields()) {
        let value = decision.map_or(0, |decision| decision.value);
        if value != 0 {
            put(policy, &mut sheet, *at, *entry, value)?;
        }
    }
    for (field, entry) in cpuid_db::static_fields() {
        let row = field.row();
        if is_static(work, row) {
            put(policy, &mut sheet, FieldAt { field: *field, subleaf: row.subleaves().0 }, *entry, row.value)?;
        }
    }
    sheet.write(&mut policy.cpuid, work.identity.brand != [0; 48])?;
    feature_msrs(work, policy)?;
    derive(policy)
}

/// Every register that a policy may have, by number of leaf and subleaf, so that none has to be searched for.
struct Sheet {
    registers: [Registers; ENTRY_COUNT],
}

impl Sheet {
    const NEW: Self = Self { registers: [Registers::ZERO; ENTRY_COUNT] };

    fn change(&mut self, entry: u16, register: Register, new: impl Fn(u32) -> u32) {
        if let Some(registers) = self.registers.get_mut(usize::from(entry)) {
            let word = registers.get_mut(register);
            *word = new(*word);
        }
    }

    fn set(&mut self, leaf: u32, registers: Registers) {
        let found = cpuid_db::entries().binary_search(&(leaf, 0)).ok();
        if let Some(place) = found.and_then(|at| self.registers.get_mut(at)) {
            *place = registers;
        }
    }

    /// Copies what is there. Leaf 1 and all leaves of the name are, whatever they hold.
    fn write(&self, table: &mut CpuidTable, has_name: bool) -> Result<(), TableFull> {
        for ((leaf, subleaf), registers) in cpuid_db::entries().iter().zip(&self.registers) {
            let is_framed = *leaf == 1 || has_name && matches!(leaf, 0x8000_0002..=0x8000_0004);
            if is_framed || !registers.is_zero() {
                table.insert(*leaf, *subleaf, *registers)?;
            }
        }
        Ok(())
    }
}

/// Stores a field's value in the sheet, or in its MSR.
fn put(policy: &mut Policy, sheet: &mut Sheet, at: FieldAt, entry: Option<u16>, value: u64) -> Result<(), TableFull> {
    let row = at.field.row();
    match (entry, row.place) {
        (Some(entry), FieldPlace::Cpuid { register, .. }) => {
            sheet.change(entry, register, |old| row.put(u64::from(old), value) as u32);
            Ok(())
        }
        _ => policy.set_field(at, value),
    }
}

/// What every policy has: leaves 0, 1 and 8000_0000H, and the name.
fn frame<const W: usize>(work: &Work<'_, W>, sheet: &mut Sheet) {
    let identity = &work.identity;
    sheet.set(0, identity.vendor.leaf_0(1));
    sheet.set(1, Registers::new(identity.signature.0, 0, 0, 0));
    sheet.set(0x8000_0000, Registers::new(0x8000_0000, 0, 0, 0));
    for leaf in 0x8000_0002..=0x8000_0004 {
        let [eax, ebx, ecx, edx] = Register::ALL.map(|register| brand_word(&identity.brand, leaf, register));
        sheet.set(leaf, Registers::new(eax, ebx, ecx, edx));
    }
}

/// KVM's signature in leaf 4000_0000H (arch/x86/include/uapi/asm/kvm_para.h).
const KVM_SIGNATURE: [u8; 12] = *b"KVMKVMKVM\0\0\0";

/// Whether the policy has the leaf of a field with a static value: fixed, local, live.
fn is_static<const W: usize>(work: &Work<'_, W>, row: &FieldRow) -> bool {
    // Bits of other hypervisors' leaves never get into the set.
    let has_kvm_leaves = || !work.set.intersection(&FeatureSet::HYPERVISOR_LEAVES).is_empty();
    let owned = row.hypervisor.is_none() || row.hypervisor == Some(KVM_SIGNATURE) && has_kvm_leaves();
    let compacted =
        !matches!(row.place, FieldPlace::Cpuid { leaf: 0xd, first: 1, .. }) || work.set.contains_any(&[Feature::XSAVEC, Feature::XSAVES]);
    let defined = row.vendors.is_empty() || row.vendors.contains(work.identity.vendor.set());
    owned && defined && compacted && is_open(row, &work.set)
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
    for field in cpuid_db::derived_fields() {
        let row = field.row();
        let Some(value) = row.derive.and_then(|derive| derived(policy, row, derive)) else { continue };
        let at = FieldAt { field: *field, subleaf: row.subleaves().0 };
        let old = policy.field(at).unwrap_or(0);
        if value != old {
            policy.set_field(at, value)?;
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

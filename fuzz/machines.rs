//! From bytes to machines: everything that the own format can say, and more than a real machine would.

use arbitrary::{Result, Unstructured};
use cpu_dumps::{CoreType, Cpu, Format, KvmView, Machine, Provenance};
use cpuid_db::{Basis, CpuidTable, MsrEntry, MsrTable, Policy, Vendor};

use crate::inputs;

/// One to three CPUs with odd leaves and MSRs, and perhaps what KVM answered.
pub(crate) fn machine(u: &mut Unstructured<'_>) -> Result<Machine> {
    let basis = *u.choose(&[Basis::Raw, Basis::Recorded, Basis::Derived])?;
    let count = u.int_in_range(1..=3)?;
    Ok(Machine {
        name: u.arbitrary()?,
        format: *u.choose(&Format::ALL)?,
        provenance: provenance(u)?,
        basis,
        cpus: (0..count).map(|rank| cpu(u, rank, basis)).collect::<Result<_>>()?,
        unknown_names: u.arbitrary()?,
        kvm: if u.arbitrary()? { Some(Box::new(kvm(u)?)) } else { None },
    })
}

fn provenance(u: &mut Unstructured<'_>) -> Result<Provenance> {
    let mut provenance = Provenance::default();
    let Provenance { tool, kernel, microcode, source } = &mut provenance;
    for text in [tool, kernel, microcode, source] {
        *text = u.arbitrary()?;
    }
    Ok(provenance)
}

/// A policy with leaves that no database knows, and sometimes without the leaf that every CPU has.
pub(crate) fn policy(u: &mut Unstructured<'_>, basis: Basis) -> Result<Policy> {
    let vendor = *u.choose(&[Vendor::Intel, Vendor::Amd, Vendor::Hygon, Vendor::Zhaoxin])?;
    let mut policy = Policy { basis, ..inputs::cpu(u, vendor)? };
    if u.ratio(1, 16)? {
        policy.cpuid = CpuidTable::new();
        policy.msrs = MsrTable::new();
    }
    for _ in 0..u.int_in_range(0..=6)? {
        let base: u32 = *u.choose(&[0, 0x4000_0000, 0x8000_0000, 0x8086_0000, 0xc000_0000])?;
        let leaf = base + u.int_in_range(0..=0x2f)?;
        let subleaf = if u.arbitrary()? { u.int_in_range(0..=0x3f)? } else { u.arbitrary()? };
        policy.cpuid.insert(leaf, subleaf, u.arbitrary()?).expect("six more answers have room");
    }
    if u.ratio(1, 16)? {
        policy.cpuid.retain(|entry| entry.leaf != 0);
    }
    Ok(policy)
}

fn cpu(u: &mut Unstructured<'_>, rank: u32, basis: Basis) -> Result<Cpu> {
    let kind = u.choose(&[None, Some(CoreType::Performance), Some(CoreType::Efficiency), Some(CoreType::LowPower)])?;
    let mut policy = policy(u, basis)?;
    let mut msrs: Vec<MsrEntry> = policy.msrs.entries().to_vec();
    for _ in 0..u.int_in_range(0..=4)? {
        let msr = MsrEntry { index: u.arbitrary()?, value: u.arbitrary()? };
        if let Err(at) = msrs.binary_search_by_key(&msr.index, |msr| msr.index) {
            msrs.insert(at, msr);
        }
    }
    for msr in msrs.iter().filter(|msr| is_feature_msr(msr.index)) {
        policy.msrs.insert(msr.index, msr.value).expect("the database has fewer MSRs than a table has room");
    }
    // Some old tools number every CPU 0.
    let number = if u.arbitrary()? { rank } else { u.arbitrary()? };
    Ok(Cpu { number, core_type: *kind, policy, msrs })
}

/// Whether the database has features or fields in this MSR.
pub(crate) fn is_feature_msr(index: u32) -> bool {
    cpuid_db::leaves().iter().any(|row| row.leaf.is_none() && row.msr == index)
}

fn kvm(u: &mut Unstructured<'_>) -> Result<KvmView> {
    let basis = *u.choose(&[Basis::Recorded, Basis::Derived])?;
    let supported = Policy { basis, ..inputs::cpu(u, Vendor::Amd)? };
    let emulated = if u.arbitrary()? { Some(inputs::cpu(u, Vendor::Amd)?.cpuid) } else { None };
    Ok(KvmView { supported, emulated })
}

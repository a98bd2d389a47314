//! The MSR file of any guest under any steps keeps the laws of `msr_semantics::harness`.

use arbitrary::Unstructured;
use cpuid_db::{FeatureSet, Policy, Vendor};
use msr_semantics::harness::{Step, run};
use msr_semantics::{MsrFile, Semantics, Settings, addresses};

/// Makes a guest and steps of the bytes, and does them.
///
/// # Panics
/// If a law does not hold.
pub fn msr_file(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let Ok((mut file, steps)) = case(&mut bytes) else { return };
    if let Err(broken) = run(&mut *file, &steps) {
        panic!("{broken}");
    }
}

fn case(bytes: &mut Unstructured<'_>) -> arbitrary::Result<(Box<MsrFile>, Vec<Step>)> {
    let vendor = *bytes.choose(&[Vendor::Intel, Vendor::Amd, Vendor::Hygon, Vendor::Zhaoxin])?;
    let semantics = *bytes.choose(&[Semantics::Architectural, Semantics::Kvm])?;
    let mut policy = Policy::default();
    let features: Vec<u16> = bytes.arbitrary()?;
    let _ = policy.cpuid.insert(0, 0, vendor.leaf_0(0x24));
    let known: Vec<_> = FeatureSet::ALL.iter().collect();
    for number in features.iter().take(64) {
        if let Some(feature) = known.get(usize::from(*number) % known.len().max(1)) {
            let _ = policy.set_feature(*feature, true);
        }
    }
    let file = MsrFile::new(&policy, &Settings { semantics, ..Settings::default() });
    let steps: Vec<Step> = bytes.arbitrary()?;
    Ok((Box::new(file), steps.into_iter().take(200).map(known_address).collect()))
}

/// Most numbers are no MSR: those beyond the table are taken as a place in it.
fn known_address(step: Step) -> Step {
    let known = |address: u32| match address % 8 {
        0 => address,
        _ => addresses().nth((address / 8) as usize % addresses().count().max(1)).unwrap_or(address),
    };
    match step {
        Step::Read { address, host } => Step::Read { address: known(address), host },
        Step::Write { address, value, host } => Step::Write { address: known(address), value, host },
        other => other,
    }
}

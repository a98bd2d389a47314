//! libvirt's `<cpu>` for a guest.

use std::fmt::Write;

use cpuid_db::{Feature, FeatureSet, Project, Vendor};

use super::guest::{differences, features, phys_bits};
use crate::Cpu;
use crate::models::{self, Wanted, nearest};
use crate::vocabulary::{sayable, vmx_features};

/// The element. `None` when there is no model to begin with.
pub(super) fn element(cpu: &Cpu) -> Option<String> {
    let policy = &cpu.policy;
    let features = features(policy);
    let vendor = policy.vendor();
    let signature = policy.signature().0;
    let words = sayable(Project::Libvirt);
    let wanted = Wanted { vendor, signature, features: &features, ignored: &FeatureSet::EMPTY, words: &words, keeps_signature: true };
    let model = nearest(Project::Libvirt, wanted)?;
    let mut spelt_out = model.varying;
    if features.contains(Feature::VMX) {
        // libvirt leaves it to QEMU what VMX can do, unless it is told.
        let qemu = models::model(Project::Qemu, &model.name);
        spelt_out = spelt_out.union(&qemu.map_or_else(vmx_features, |model| model.vmx));
    }
    let (plus, minus) = differences(Project::Libvirt, &features, &model.features, &spelt_out);
    let mut text = String::from("<cpu mode='custom' match='exact' check='full'>\n");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  <model fallback='forbid'>{}</model>", model.name);
    if let Some(name) = vendor_name(vendor) {
        let _ = writeln!(text, "  <vendor>{name}</vendor>");
    }
    if let Some(bits) = phys_bits(&policy.cpuid) {
        let _ = writeln!(text, "  <maxphysaddr mode='emulate' bits='{bits}'/>");
    }
    for (policy, names) in [("require", plus), ("disable", minus)] {
        for name in names {
            let _ = writeln!(text, "  <feature policy='{policy}' name='{name}'/>");
        }
    }
    text.push_str("</cpu>\n");
    Some(text)
}

/// The vendors that libvirt has words for; it refuses a `<cpu>` with another.
fn vendor_name(vendor: Vendor) -> Option<&'static str> {
    match vendor {
        Vendor::Intel => Some("Intel"),
        Vendor::Amd => Some("AMD"),
        Vendor::Hygon => Some("Hygon"),
        _ => None,
    }
}

//! QEMU's `-cpu`.

use std::fmt::Write;

use cpuid_db::{Feature, FeatureSet, Location, Policy, Project};

use super::guest::{differences, features, phys_bits};
use crate::Cpu;
use crate::models::{Model, Wanted, accelerator_features, nearest, parts_of};
use crate::vocabulary::{KVM, sayable};

/// The option's value, on one line. `None` when there is no model to begin with.
pub(super) fn option(cpu: &Cpu) -> Option<String> {
    let policy = &cpu.policy;
    let features = features(policy);
    let spelt_out = spelt_out(policy);
    let vendor = policy.vendor();
    let signature = policy.signature().0;
    // Every model has the first, and the others are said in any case.
    let ignored = spelt_out.with(Feature::HYPERVISOR);
    let wanted =
        Wanted { vendor, signature, features: &features, ignored: &ignored, words: &sayable(Project::Qemu), keeps_signature: false };
    let model = nearest(Project::Qemu, wanted)?;
    let mut text = model.name.clone();
    identity(&mut text, policy, model);
    if policy.hypervisor() != Some(KVM) {
        text.push_str(",kvm=off");
    }
    let vmx = if features.contains(Feature::VMX) { model.vmx } else { FeatureSet::EMPTY };
    let given = model.features.union(&vmx).with(Feature::HYPERVISOR);
    let (plus, minus) = differences(Project::Qemu, &features, &given, &spelt_out);
    for (sign, names) in [('+', plus), ('-', minus)] {
        for name in names {
            // Writing to a string cannot fail.
            let _ = write!(text, ",{sign}{name}");
        }
    }
    text.push('\n');
    Some(text)
}

/// Features that do not follow from the model's name alone, since an accelerator changes them.
fn spelt_out(policy: &Policy) -> FeatureSet {
    let is_of_cpu = |feature: &Feature| !matches!(feature.location(), Location::Cpuid { leaf: 0x4000_0001, .. });
    let has_kvm = policy.hypervisor() == Some(KVM);
    accelerator_features().iter().filter(|feature| has_kvm || is_of_cpu(feature)).collect()
}

/// The properties in which the guest differs from the model.
fn identity(text: &mut String, policy: &Policy, model: &Model) {
    let mut say = |key: &str, value: String| {
        let _ = write!(text, ",{key}={value}");
    };
    let vendor = policy.vendor();
    if model.vendor != Some(vendor)
        && let Ok(name) = str::from_utf8(&vendor.bytes())
        && vendor.bytes().iter().all(|byte| matches!(byte, b' '..=b'~'))
    {
        say("vendor", escaped(name));
    }
    let [old, new] = [model.signatures.first().copied().unwrap_or(0), policy.signature().0].map(parts_of);
    for ((key, old), new) in ["family", "model", "stepping"].into_iter().zip(old).zip(new) {
        if old != new {
            say(key, new.to_string());
        }
    }
    let levels = [("level", model.level, policy.cpuid.get(0, 0)), ("xlevel", model.xlevel, policy.cpuid.get(0x8000_0000, 0))];
    for (key, old, new) in levels {
        if let Some(registers) = new.filter(|registers| Some(registers.eax) != old && registers.eax != 0) {
            say(key, format!("{:#x}", registers.eax));
        }
    }
    if let Some(name) = brand(policy).filter(|name| Some(name) != model.model_id.as_ref()) {
        say("model-id", escaped(&name));
    }
    if let Some(bits) = phys_bits(&policy.cpuid).filter(|_| features(policy).contains(Feature::LM)) {
        say("phys-bits", bits.to_string());
    }
}

/// The processor's name, if QEMU can be told so.
fn brand(policy: &Policy) -> Option<String> {
    let bytes = policy.brand();
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or(&[]);
    name.iter().all(|byte| matches!(byte, b' '..=b'~')).then(|| String::from_utf8_lossy(name).into_owned())
}

/// QEMU takes two commas for one that is meant.
fn escaped(value: &str) -> String {
    value.replace(',', ",,")
}

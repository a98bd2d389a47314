//! From the words of a scenario to a guest and a machine.

use std::collections::BTreeMap;

use cpuid_db::{Feature, FeatureSet, Found, Location, Named, Policy, Register, Registers, Vendor, lookup};
use msr_semantics::{Capabilities, Controls, HostMask, Quirks};

use crate::raw::{self, Number};

/// The features that these words name, by any spelling.
pub(crate) fn features(words: &[String]) -> Result<FeatureSet, String> {
    words.iter().map(|word| feature(word)).collect()
}

fn feature(word: &str) -> Result<Feature, String> {
    match lookup(word) {
        Ok(Found::Named(Named::Feature(feature))) => Ok(feature),
        Ok(_) => Err(format!("`{word}` is not a feature")),
        Err(error) => Err(format!("`{word}`: {error}")),
    }
}

/// The guest's CPU: features as given, not closed.
pub(crate) fn build(raw: &raw::Scenario) -> Result<Policy, String> {
    let vendor = vendor(&raw.vendor)?;
    let features = features(&raw.features)?;
    let mut policy = Policy::default();
    let full = |error: cpuid_db::TableFull| error.to_string();
    let (basic, extended) = maxima(&features, vendor);
    policy.cpuid.insert(0, 0, vendor.leaf_0(basic)).map_err(full)?;
    let signature = raw.model.get("guest").map_or(Ok(0x5_0654), |text| signature(text))?;
    policy.cpuid.insert(1, 0, Registers::new(signature, 0, 0, 0)).map_err(full)?;
    policy.cpuid.insert(0x8000_0000, 0, Registers::new(extended, 0, 0, 0)).map_err(full)?;
    if let Some(bits) = raw.maxphyaddr {
        policy.cpuid.insert(0x8000_0008, 0, Registers::new(u32::from(bits), 0, 0, 0)).map_err(full)?;
    }
    for feature in &features {
        policy.set_feature(feature, true).map_err(full)?;
    }
    for (place, value) in &raw.cpuid {
        let (leaf, subleaf, register) = register(place)?;
        let mut registers = policy.cpuid.get_or_zero(leaf, subleaf);
        *registers.get_mut(register) = u32::try_from(value.value()?).map_err(|_| format!("{place} has 32 bits"))?;
        policy.cpuid.insert(leaf, subleaf, registers).map_err(full)?;
    }
    for (address, value) in &raw.msrs {
        policy.msrs.insert(Number::Text(address.clone()).address()?, value.value()?).map_err(full)?;
    }
    Ok(policy)
}

fn vendor(word: &str) -> Result<Vendor, String> {
    match word {
        "intel" => Ok(Vendor::Intel),
        "amd" => Ok(Vendor::Amd),
        "hygon" => Ok(Vendor::Hygon),
        "zhaoxin" => Ok(Vendor::Zhaoxin),
        other => Err(format!("vendor is `intel`, `amd`, `hygon` or `zhaoxin`, not `{other}`")),
    }
}

/// Leaf ranges that hold all of the features, and what every guest of the vendor has.
fn maxima(features: &FeatureSet, vendor: Vendor) -> (u32, u32) {
    let leaves = features.iter().filter_map(|feature| match feature.location() {
        Location::Cpuid { leaf, .. } => Some(leaf),
        Location::Msr { .. } => None,
    });
    let highest = |from: u32, to: u32, least: u32| leaves.clone().filter(|leaf| (from..to).contains(leaf)).fold(least, u32::max);
    let extended = if vendor.is_amd_compatible() { 0x8000_0022 } else { 0x8000_0008 };
    (highest(0, 0x4000_0000, 0x1f), highest(0x8000_0000, 0xc000_0000, extended))
}

/// `FAMILY-MODEL-STEPPING` as EAX of leaf 1.
fn signature(text: &str) -> Result<u32, String> {
    let parts: Vec<u32> = text.split('-').filter_map(|part| part.parse().ok()).collect();
    let [family, model, stepping] = parts.as_slice() else { return Err(format!("`{text}` is not FAMILY-MODEL-STEPPING")) };
    let (base, extended) = if *family < 0xf { (*family, 0) } else { (0xf, family - 0xf) };
    if extended > 0xff || *model > 0xff || *stepping > 0xf {
        return Err(format!("`{text}` is no CPU: a part is too large"));
    }
    Ok(extended << 20 | model >> 4 << 16 | base << 8 | (model & 0xf) << 4 | stepping)
}

/// `0x7.0`: leaf and subleaf.
pub(crate) fn place(text: &str) -> Result<(u32, u32), String> {
    let (leaf, subleaf) = text.split_once('.').unwrap_or((text, "0"));
    let part = |text: &str| Number::Text(text.to_owned()).address();
    Ok((part(leaf)?, part(subleaf)?))
}

/// `0xa.0.eax`: leaf, subleaf, register.
fn register(text: &str) -> Result<(u32, u32, Register), String> {
    let (place_text, name) = text.rsplit_once('.').ok_or_else(|| format!("`{text}` is not LEAF.SUBLEAF.REGISTER"))?;
    let (leaf, subleaf) = place(place_text)?;
    let register = Register::ALL.into_iter().find(|register| register.name() == name);
    Ok((leaf, subleaf, register.ok_or_else(|| format!("`{name}` is not eax, ebx, ecx or edx"))?))
}

/// What a machine holds in MSRs.
pub(crate) fn masks(raw: &BTreeMap<String, Number>) -> Result<Vec<HostMask>, String> {
    let mask =
        |(address, mask): (&String, &Number)| Ok(HostMask { address: Number::Text(address.clone()).address()?, mask: mask.value()? });
    raw.iter().map(mask).collect()
}

/// KVM's default quirks without these.
pub(crate) fn quirks(words: &[String]) -> Result<Quirks, String> {
    let mut on = Quirks::all();
    for word in words {
        let name = word.strip_prefix('-').unwrap_or(word).to_uppercase();
        let quirk = Quirks::from_name(&name).ok_or_else(|| format!("no quirk is called `{word}`"))?;
        on.set(quirk, !word.starts_with('-'));
    }
    Ok(on)
}

/// KVM's default capabilities with these.
pub(crate) fn capabilities(words: &[String]) -> Result<Capabilities, String> {
    let mut on = Capabilities::PLATFORM_INFO | Capabilities::LAPIC;
    for word in words {
        let name = word.strip_prefix('-').unwrap_or(word).to_uppercase();
        let capability = Capabilities::from_name(&name).ok_or_else(|| format!("no capability is called `{word}`"))?;
        on.set(capability, !word.starts_with('-'));
    }
    Ok(on)
}

/// Control registers before the first step.
pub(crate) fn controls(raw: &raw::Registers) -> Result<Option<Controls>, String> {
    let known = ["efer", "cr0", "cr4", "xcr0"];
    if let Some(other) = raw.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("state has {}, not `{other}`", known.join(", ")));
    }
    let value = |name: &str, default: u64| raw.get(name).map_or(Ok(default), Number::value);
    let reset = Controls::RESET;
    let controls = Controls { cr0: value("cr0", reset.cr0)?, cr4: value("cr4", reset.cr4)?, xcr0: value("xcr0", reset.xcr0)? };
    Ok((!raw.is_empty()).then_some(controls))
}

/// Expected registers under their masks; a register without a mask is expected whole, one that is not named is not looked at.
pub(crate) fn registers(raw: &raw::Registers) -> Result<[(u32, u32); 4], String> {
    let mut expected = [(0, 0); 4];
    for (name, value) in raw {
        let value = u32::try_from(value.value()?).map_err(|_| format!("{name} has 32 bits"))?;
        let (register_name, is_mask) = name.strip_suffix("_mask").map_or((name.as_str(), false), |register| (register, true));
        let at = Register::ALL.into_iter().position(|register| register.name() == register_name);
        let slot = at.and_then(|at| expected.get_mut(at)).ok_or_else(|| format!("`{name}` is no register"))?;
        let masked = raw.contains_key(&format!("{register_name}_mask"));
        match (is_mask, masked) {
            (true, _) => slot.1 = value,
            (false, true) => slot.0 = value,
            (false, false) => *slot = (value, u32::MAX),
        }
    }
    Ok(expected)
}

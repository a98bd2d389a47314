//! What follows QEMU's `-cpu`: `MODEL,+feature,-feature,key=value`, on one line.
//!
//! The features are those of the model, changed by the words; what VMX can do counts if the words turn it on. What a model gives under one
//! accelerator and not under another is unknown unless the words say it. Left out: properties that are about how QEMU computes.

use cpuid_db::{Basis, Feature, FeatureSet, Location, Project};

use crate::error::{Fault, Problem};
use crate::json::Value;
use crate::limits::MAX_NAMES;
use crate::lines::text_of;
use crate::machine::Found;
use crate::models::{accelerator_features, model};
use crate::qmp::{NO_FEATURES, Properties};

/// Whether a line is one: it begins with a model that QEMU knows, or with the option itself.
pub(crate) fn is_sign(line: &[u8]) -> bool {
    let Ok(line) = str::from_utf8(line) else { return false };
    let line = line.trim_start();
    let name = line.split(',').next().unwrap_or("").trim_end();
    line.starts_with("-cpu ") || model(Project::Qemu, name).is_some()
}

/// Reads the one CPU.
pub(crate) fn read(bytes: &[u8]) -> Result<Found, Fault> {
    let text = text_of(bytes)?;
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let (number, line) = lines.next().ok_or(Problem::Empty)?;
    if let Some((number, line)) = lines.next() {
        return Err(Problem::expected("the end of the file", line.as_bytes()).at_line(number));
    }
    option(line.trim_start()).map_err(|problem| problem.at_line(number))
}

fn option(line: &str) -> Result<Found, Problem> {
    let line = line.strip_prefix("-cpu").map_or(line, str::trim_start);
    let line = line.trim_end_matches(['\r', '\n']);
    let mut items = items(line)?.into_iter();
    let name = items.next().filter(|name| !name.is_empty()).ok_or(Problem::Missing { what: "model" })?;
    let known = model(Project::Qemu, &name);
    let mut properties = known.map_or_else(Properties::default, Properties::of_model);
    properties.names.open = accelerator_features();
    if known.is_none() {
        properties.names.unknown(&name)?;
    }
    let mut has_kvm = true;
    for item in items {
        match item.split_at_checked(1) {
            Some(("+", word)) => properties.set(word, &Value::Bool(true))?,
            Some(("-", word)) => properties.set(word, &Value::Bool(false))?,
            _ => has_kvm &= pair(&mut properties, &item)?,
        }
    }
    let names = &mut properties.names;
    // QEMU puts it into every model.
    names.model = names.model.with(Feature::HYPERVISOR);
    if let Some(model) = known.filter(|_| names.has(Feature::VMX)) {
        names.model = names.model.union(&model.vmx);
    }
    if !has_kvm {
        names.deny(&kvm_features());
    }
    properties.into_found(Basis::Raw, known.is_some())
}

/// A property with its value. Says whether KVM's own interface is still there.
fn pair(properties: &mut Properties, item: &str) -> Result<bool, Problem> {
    let (key, value) = item.split_once('=').unwrap_or((item, "on"));
    let key = key.replace('_', "-");
    let switch = match value {
        "on" | "yes" | "true" | "y" => Some(true),
        "off" | "no" | "false" | "n" => Some(false),
        _ => None,
    };
    if key == "kvm" {
        return Ok(switch != Some(false));
    }
    let is_text = matches!(key.as_str(), "vendor" | "model-id");
    match (switch, number(value)) {
        _ if is_text => properties.set(&key, &Value::Text(value))?,
        (Some(on), _) => properties.set(&key, &Value::Bool(on))?,
        (None, Some(number)) => properties.set(&key, &Value::Number(number))?,
        (None, None) if NO_FEATURES.contains(&key.as_str()) || key.starts_with("hv-") => {}
        (None, None) => properties.set(&key, &Value::Other)?,
    }
    Ok(true)
}

fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The parts between commas; two commas are one that is meant.
fn items(line: &str) -> Result<Vec<String>, Problem> {
    let mut items = Vec::new();
    let mut item = String::new();
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        if character != ',' || characters.next_if_eq(&',').is_some() {
            item.push(character);
            continue;
        }
        if items.len() >= MAX_NAMES {
            return Err(Problem::TooMany { what: "properties of one CPU", limit: MAX_NAMES });
        }
        items.push(std::mem::take(&mut item));
    }
    items.push(item);
    Ok(items)
}

/// The features of KVM's own interface.
fn kvm_features() -> FeatureSet {
    Feature::all().filter(|feature| matches!(feature.location(), Location::Cpuid { leaf: 0x4000_0001, .. })).collect()
}

//! Makes `data/models.toml`: the named CPU models of an installed libvirt and QEMU as facts, in the words of the database.
//!
//! ```sh
//! cargo run -p cpu-dumps --example models -- CPU_MAP REPLIES > crates/cpu-dumps/data/models.toml
//! ```
//!
//! `CPU_MAP` is the directory in which libvirt keeps its `x86_*.xml` (`share/libvirt/cpu_map`). `REPLIES` holds the replies of
//! `qemu-system-x86_64 -machine none -accel tcg -nodefaults -S -qmp stdio` to `query-cpu-definitions` and, for each model,
//! `query-cpu-model-expansion` of type `full` (with the model's name put in for `base` where QEMU does not give it back).

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use cpuid_db::{Feature, FeatureSet, Found, Named, Vendor, lookup};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A model in the making.
#[derive(Clone, Default)]
struct Model {
    name: String,
    aliases: Vec<String>,
    vendor: Option<&'static str>,
    signatures: Vec<String>,
    features: FeatureSet,
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(cpu_map), Some(replies)) = (args.next(), args.next()) else {
        return Err("usage: models CPU_MAP REPLIES".into());
    };
    println!("# The named CPU models of libvirt 9.0 (its cpu_map) and QEMU 7.2 (its machine protocol), as Debian 12 ships them.");
    println!("# Facts in the words of the database, made by `cargo run -p cpu-dumps --example models`, whose source says how.");
    println!("# `features` are those that the base does not have, `without` those that only the base has;");
    println!("# `signatures` are family-model-stepping, the stepping 0 where the source has none. Vendors as libvirt calls them.");
    print("libvirt", &libvirt(Path::new(&cpu_map))?);
    print("qemu", &qemu(&fs::read(&replies)?)?);
    Ok(())
}

/// Reads libvirt's models in the order of its index: bases come first.
fn libvirt(dir: &Path) -> Result<Vec<Model>> {
    let index = fs::read_to_string(dir.join("index.xml"))?;
    let files = index.split('\'').filter(|name| name.starts_with("x86_") && !name.contains("_vendors") && !name.contains("_features"));
    let mut models = Vec::new();
    for file in files {
        let text = fs::read_to_string(dir.join(file))?;
        let model = libvirt_model(&text, &models).map_err(|error| format!("{file}: {error}"))?;
        models.push(model);
    }
    Ok(models)
}

fn libvirt_model(text: &str, before: &[Model]) -> Result<Model> {
    let mut reader = Reader::from_str(text);
    let mut model = Model::default();
    loop {
        let event = reader.read_event()?;
        let (Event::Start(element) | Event::Empty(element)) = &event else {
            if event == Event::Eof {
                return Ok(model);
            }
            continue;
        };
        match element.name().as_ref() {
            "model" if model.name.is_empty() => model.name = attribute(element, "name")?,
            "model" => {
                let name = attribute(element, "name")?;
                let base = before.iter().find(|other| other.name == name).ok_or(format!("base {name} comes later"))?;
                model = Model { name: model.name, ..base.clone() };
            }
            "vendor" => model.vendor = vendor_name(&attribute(element, "name")?),
            "signature" => model.signatures.extend(signatures(element)?),
            "feature" if element.try_get_attribute("removed")?.is_none() => {
                let name = attribute(element, "name")?;
                match lookup(&format!("libvirt:{name}")) {
                    Ok(Found::Named(Named::Feature(feature))) => model.features.set(feature, true),
                    other => return Err(format!("{name}: {other:?}").into()),
                }
            }
            _ => {}
        }
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<String> {
    Ok(element.try_get_attribute(name)?.ok_or(format!("{name} is missing"))?.value.into_owned())
}

/// One signature per stepping of `a-b`, `a,b` or none.
fn signatures(element: &BytesStart<'_>) -> Result<Vec<String>> {
    let (family, model) = (attribute(element, "family")?, attribute(element, "model")?);
    let steppings = element.try_get_attribute("stepping")?.map_or("0".to_owned(), |attribute| attribute.value.into_owned());
    let mut all = Vec::new();
    for part in steppings.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        for stepping in first.parse::<u32>()?..=last.parse()? {
            all.push(format!("{family}-{model}-{stepping}"));
        }
    }
    Ok(all)
}

fn vendor_name(name: &str) -> Option<&'static str> {
    ["Intel", "AMD", "Hygon", "Zhaoxin", "Centaur"].into_iter().find(|known| *known == name)
}

/// Reads QEMU's models, but for those that describe the host.
fn qemu(replies: &[u8]) -> Result<Vec<Model>> {
    let machines = cpu_dumps::read("base", replies)?;
    let aliases = aliases(replies)?;
    let mut models = Vec::new();
    for machine in &machines {
        let is_alias = aliases.values().flatten().any(|alias| *alias == machine.name);
        let Some(cpu) = machine.cpus.first().filter(|_| !is_alias && !machine.name.starts_with("base")) else { continue };
        let vendor = match cpu.policy.vendor() {
            Vendor::Intel => Some("Intel"),
            Vendor::Amd => Some("AMD"),
            Vendor::Hygon => Some("Hygon"),
            _ => None,
        };
        models.push(Model {
            name: machine.name.clone(),
            aliases: aliases.get(&machine.name).cloned().unwrap_or_default(),
            vendor,
            signatures: vec![cpu.policy.signature().to_string()],
            features: own_features(&cpu.policy.features()),
        });
    }
    Ok(models)
}

/// Without what QEMU adds to every model, and without copies of other features: the readers put them in again.
fn own_features(features: &FeatureSet) -> FeatureSet {
    let is_own = |feature: &Feature| *feature != Feature::HYPERVISOR && feature.row().alias_of.is_none();
    features.iter().filter(is_own).fold(FeatureSet::EMPTY, FeatureSet::with)
}

/// The names that QEMU resolves to each versioned model.
fn aliases(replies: &[u8]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for reply in serde_json::Deserializer::from_slice(replies).into_iter::<serde_json::Value>() {
        let reply = reply?;
        for model in reply["return"].as_array().into_iter().flatten() {
            if let (Some(name), Some(of)) = (model["name"].as_str(), model["alias-of"].as_str()) {
                aliases.entry(of.to_owned()).or_default().push(name.to_owned());
            }
        }
    }
    Ok(aliases)
}

fn print(table: &str, models: &[Model]) {
    for (at, model) in models.iter().enumerate() {
        let cost = |other: &&Model| other.features.difference(&model.features).len() + model.features.difference(&other.features).len();
        let base = models[..at].iter().min_by_key(cost).filter(|base| cost(base) < model.features.len());
        let known = base.map_or(FeatureSet::EMPTY, |base| base.features);
        println!("\n[[{table}]]\nname = {:?}", model.name);
        list("aliases", &model.aliases);
        if let Some(vendor) = model.vendor {
            println!("vendor = {vendor:?}");
        }
        list("signatures", &model.signatures);
        if let Some(base) = base {
            println!("base = {:?}", base.name);
        }
        list("without", &names(&known.difference(&model.features)));
        list("features", &names(&model.features.difference(&known)));
    }
}

fn names(features: &FeatureSet) -> Vec<String> {
    features.iter().map(|feature| feature.name().to_owned()).collect()
}

/// A list in lines of up to 130 characters; nothing when it is empty.
fn list(key: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let one = format!("{key} = {items:?}");
    if one.len() <= 130 {
        println!("{one}");
        return;
    }
    println!("{key} = [");
    let mut line = String::from("  ");
    for item in items {
        let item = format!(" {item:?},");
        if line.len() + item.len() > 130 {
            println!("{line}");
            line = String::from("  ");
        }
        line.push_str(&item);
    }
    println!("{line}\n]");
}

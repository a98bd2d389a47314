//! Makes `data/models.toml`: the named CPU models of libvirt and QEMU as facts, in the words of the database.
//!
//! ```sh
//! cargo run -p cpu-dumps --example models -- OLD_MAP NEW_MAP TCG KVM NEWER > crates/cpu-dumps/data/models.toml
//! ```
//!
//! The maps are the directories in which an older and a newer libvirt keep their `x86_*.xml` (`share/libvirt/cpu_map`). The others hold
//! the replies of `qemu-system-x86_64 -machine none -accel tcg -nodefaults -S -qmp stdio` (and of the same with `-accel kvm`, and of a
//! newer QEMU under TCG) to `query-cpu-definitions` and, for each model, to `query-cpu-model-expansion` of type `full`, with the property
//! `vmx` put on: QEMU's models say what VMX can do, and show it only then.
//!
//! Neither accelerator shows a model as it is defined: TCG takes VME away, KVM its own list of features, and it adds others
//! (`ACCELERATORS` in `src/models.rs`). So VME is KVM's answer and everything else TCG's.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use cpuid_db::{Feature, FeatureSet, Found, Location, Named, Vendor, lookup};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A model in the making.
#[derive(Clone, Default)]
struct Model {
    name: String,
    aliases: Vec<String>,
    since: Option<&'static str>,
    vendor: Option<&'static str>,
    signatures: Vec<String>,
    level: Option<u32>,
    xlevel: Option<u32>,
    brand: Option<String>,
    features: FeatureSet,
    varying: FeatureSet,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [old_map, new_map, tcg, kvm, newer] = args.as_slice() else {
        return Err("usage: models OLD_MAP NEW_MAP TCG KVM NEWER".into());
    };
    println!(
        "# The named CPU models of libvirt (its cpu_map) and QEMU (its machine protocol): libvirt 9.0 and QEMU 7.2 as Debian 12 ships"
    );
    println!("# them; `since` marks those that are only in libvirt 11.3 or in QEMU 10.2, the latter by its table of models.");
    println!("# Facts in the words of the database, made by `cargo run -p cpu-dumps --example models`, whose source says how.");
    println!("# `features` are those that the base does not have, `without` those that only the base has;");
    println!("# `signatures` are family-model-stepping, the stepping 0 where the source has none. Vendors as libvirt calls them.");
    println!("# The bits of VMX's MSRs are what QEMU gives a guest of this model once it has VMX, which no model has by itself.");
    println!("# `varying` features are in the model or not depending on libvirt's version, which therefore always spells them out.");
    print("libvirt", &libvirt(&libvirt_map(old_map)?, libvirt_map(new_map)?));
    let kvm = qemu(&fs::read(kvm)?)?;
    let mut models = qemu(&fs::read(tcg)?)?;
    for model in &mut models {
        let has_vme = kvm.iter().any(|other| other.name == model.name && other.features.contains(Feature::VME));
        model.features.set(Feature::VME, has_vme);
    }
    for model in qemu(&fs::read(newer)?)? {
        match models.iter_mut().find(|known| known.name == model.name) {
            Some(known) => {
                let new: Vec<String> = model.aliases.into_iter().filter(|alias| !known.aliases.contains(alias)).collect();
                known.aliases.extend(new);
            }
            None => models.push(Model { since: Some("10.2"), ..model }),
        }
    }
    print("qemu", &models);
    Ok(())
}

/// The models of both versions: as the older one has them, since the newer one spells out what it took away.
fn libvirt(old: &[Model], new: Vec<Model>) -> Vec<Model> {
    let mut models: Vec<Model> = Vec::new();
    for new in new {
        let model = match old.iter().find(|model| model.name == new.name) {
            Some(old) => Model { varying: new.varying, ..old.clone() },
            None => Model { since: Some("11.3"), ..new },
        };
        let facts = |model: &Model| (model.vendor, model.signatures.clone(), model.features, model.varying);
        match models.iter_mut().find(|other| model.since.is_some() && facts(other) == facts(&model)) {
            Some(same) => same.aliases.push(model.name),
            None => models.push(model),
        }
    }
    models
}

/// Reads libvirt's models in the order of its index: bases come first.
fn libvirt_map(dir: &str) -> Result<Vec<Model>> {
    let dir = Path::new(dir);
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
                return Ok(without_closed_gates(model));
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
            "feature" => {
                let name = attribute(element, "name")?;
                let feature = match lookup(&format!("libvirt:{name}")) {
                    Ok(Found::Named(Named::Feature(feature))) => feature,
                    other => return Err(format!("{name}: {other:?}").into()),
                };
                let is_removed = element.try_get_attribute("removed")?.is_some();
                model.features.set(feature, !is_removed);
                if is_removed {
                    model.varying.set(feature, true);
                }
            }
            _ => {}
        }
    }
}

/// Newer maps list what QEMU gives a guest as soon as it has VMX; without VMX its capability MSRs do not exist.
fn without_closed_gates(mut model: Model) -> Model {
    let is_vmx = |feature: &Feature| matches!(feature.location(), Location::Msr { index: 0x480..=0x492, .. });
    if !model.features.contains(Feature::VMX) {
        model.features = model.features.iter().filter(|feature| !is_vmx(feature)).collect();
    }
    model
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
            Vendor::Centaur => Some("Centaur"),
            _ => None,
        };
        models.push(Model {
            name: machine.name.clone(),
            aliases: aliases.get(&machine.name).cloned().unwrap_or_default(),
            vendor,
            signatures: vec![cpu.policy.signature().to_string()],
            level: cpu.policy.cpuid.get(0, 0).map(|leaf| leaf.eax),
            xlevel: cpu.policy.cpuid.get(0x8000_0000, 0).map(|leaf| leaf.eax),
            brand: Some(String::from_utf8_lossy(&cpu.policy.brand()).trim_end_matches('\0').to_owned()),
            features: own_features(&cpu.policy.features()),
            ..Model::default()
        });
    }
    Ok(models)
}

/// Without what QEMU adds to every model, the VMX that was asked for, and copies of other features: the readers put them in again.
fn own_features(features: &FeatureSet) -> FeatureSet {
    let is_own = |feature: &Feature| !matches!(*feature, Feature::HYPERVISOR | Feature::VMX) && feature.row().alias_of.is_none();
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
        for (key, text) in [("since", model.since), ("vendor", model.vendor), ("model_id", model.brand.as_deref())] {
            if let Some(text) = text {
                println!("{key} = {text:?}");
            }
        }
        if let Some((level, xlevel)) = model.level.zip(model.xlevel) {
            println!("level = 0x{level:x}\nxlevel = 0x{xlevel:x}");
        }
        list("signatures", &model.signatures);
        if let Some(base) = base {
            println!("base = {:?}", base.name);
        }
        list("without", &names(&known.difference(&model.features)));
        list("features", &names(&model.features.difference(&known)));
        list("varying", &names(&model.varying));
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

//! The named CPU models of libvirt and QEMU, as data: who makes such a CPU, its signatures, and the features that its name stands for.
//!
//! `data/models.toml` holds them and says where they come from. libvirt and QEMU give the same names to slightly different models,
//! so each has its own table. `data/requests.toml` holds the names that are neither's: the levels of the psABI and generations of CPUs.
//! [`find_model`] knows all of them.

mod find;
mod nearest;

use std::sync::LazyLock;

use cpuid_db::{Feature, FeatureSet, Found, Named, Project, Vendor, lookup};
use serde::Deserialize;

use crate::vocabulary::vmx_features;

pub use find::{NamedModel, Origin, UnknownModel, find_model, model_words};
pub(crate) use nearest::{Wanted, nearest};

/// A model.
///
/// QEMU's models say nothing about the width of physical addresses: that is a choice of the virtual machine's, 40 by default.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Model {
    /// The model's name.
    pub name: String,
    /// Other names for the very same model.
    pub aliases: Vec<String>,
    /// The version of libvirt or QEMU in which the model was found, where the older of the two that were looked at does not have it.
    pub since: Option<String>,
    /// The maker; `None` for models that take the host's.
    pub vendor: Option<Vendor>,
    /// EAX of leaf 1 of the CPUs that are called so; the first is what guests see.
    pub signatures: Vec<u32>,
    /// The highest basic leaf, for QEMU's models.
    pub level: Option<u32>,
    /// The highest extended leaf, for QEMU's models.
    pub xlevel: Option<u32>,
    /// The processor's name, for QEMU's models.
    pub model_id: Option<String>,
    /// The model whose features this one was recorded as a difference to.
    pub base: Option<String>,
    /// The features; for QEMU's models as they are defined, before an accelerator changes them.
    pub features: FeatureSet,
    /// What VMX can do in QEMU's models, once somebody turns VMX on.
    pub vmx: FeatureSet,
    /// Features that one version of libvirt has in this model and another not: libvirt always spells them out.
    pub varying: FeatureSet,
}

/// The models that `project` knows, in the order of the data: libvirt or QEMU; others have none.
pub fn models(project: Project) -> &'static [Model] {
    let tables: &Tables = &TABLES;
    match project {
        Project::Libvirt => &tables.libvirt,
        Project::Qemu => &tables.qemu,
        _ => &[],
    }
}

/// The model that `project` calls so.
///
/// Where libvirt's table lacks a versioned name, QEMU's name for it is looked up, and then QEMU's own model:
/// libvirt took these names over.
pub fn model(project: Project, name: &str) -> Option<&'static Model> {
    let own = |name: &str| models(project).iter().find(|model| model.is_called(name));
    if let Some(model) = own(name) {
        return Some(model);
    }
    let of_qemu = models(Project::Qemu).iter().find(|model| model.is_called(name)).filter(|_| project == Project::Libvirt)?;
    of_qemu.aliases.iter().chain([&of_qemu.name]).find_map(|alias| own(alias)).or(Some(of_qemu))
}

impl Model {
    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }
}

/// What QEMU's accelerators change in every model that it starts: the features that follow the accelerator unless they are spelled out.
pub(crate) fn accelerator_features() -> FeatureSet {
    TABLES.accelerators
}

struct Tables {
    libvirt: Vec<Model>,
    qemu: Vec<Model>,
    psabi: Vec<Model>,
    generations: Vec<Generation>,
    accelerators: FeatureSet,
}

/// A name for a generation of CPUs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Generation {
    name: String,
    /// QEMU's model.
    model: String,
    because: String,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    // The tests read the very same text; a file that does not parse is a build of another project.
    let File { libvirt, qemu } = toml::from_str(include_str!("../data/models.toml")).unwrap_or_default();
    let Requests { psabi, generation, accelerator } = toml::from_str(include_str!("../data/requests.toml")).unwrap_or_default();
    let accelerators = accelerator.iter().flat_map(|row| row.on.iter().chain(&row.off)).filter_map(|name| feature(name)).collect();
    Tables { libvirt: resolve(libvirt), qemu: resolve(qemu), psabi: resolve(psabi), generations: generation, accelerators }
});

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Requests {
    psabi: Vec<Row>,
    generation: Vec<Generation>,
    accelerator: Vec<Accelerator>,
}

/// What an accelerator turns on and off in every model.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accelerator {
    #[cfg_attr(not(test), expect(dead_code, reason = "it says which accelerator to those who read the file"))]
    name: String,
    on: Vec<String>,
    off: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct File {
    libvirt: Vec<Row>,
    qemu: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    since: Option<String>,
    vendor: Option<String>,
    model_id: Option<String>,
    level: Option<u32>,
    xlevel: Option<u32>,
    #[serde(default)]
    signatures: Vec<String>,
    base: Option<String>,
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    varying: Vec<String>,
}

/// Puts the features of the bases in; a base stands before the models that name it.
fn resolve(rows: Vec<Row>) -> Vec<Model> {
    let mut models: Vec<Model> = Vec::with_capacity(rows.len());
    for row in rows {
        let base = models.iter().find(|model| Some(&model.name) == row.base.as_ref());
        let features = base.map_or(FeatureSet::EMPTY, |base| base.features).difference(&set(&row.without)).union(&set(&row.features));
        let signatures = row.signatures.iter().filter_map(|text| signature(text)).collect();
        let vendor = row.vendor.as_deref().and_then(vendor);
        let vmx = features.intersection(&vmx_features());
        let varying = set(&row.varying);
        let Row { name, aliases, since, model_id, level, xlevel, base, .. } = row;
        models.push(Model { name, aliases, since, vendor, signatures, level, xlevel, model_id, base, features, vmx, varying });
    }
    // Only now: bases hand on both.
    for model in &mut models {
        model.features = model.features.difference(&model.vmx);
    }
    models
}

fn set(names: &[String]) -> FeatureSet {
    names.iter().filter_map(|name| feature(name)).fold(FeatureSet::EMPTY, FeatureSet::with)
}

fn feature(name: &str) -> Option<Feature> {
    match lookup(name) {
        Ok(Found::Named(Named::Feature(feature))) if feature.name() == name => Some(feature),
        _ => None,
    }
}

/// The vendor that libvirt and the model data call so.
pub(crate) fn vendor(name: &str) -> Option<Vendor> {
    const NAMES: [(&str, Vendor); 5] = [
        ("Intel", Vendor::Intel),
        ("AMD", Vendor::Amd),
        ("Hygon", Vendor::Hygon),
        ("Zhaoxin", Vendor::Zhaoxin),
        ("Centaur", Vendor::Centaur),
    ];
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, vendor)| *vendor)
}

/// `FAMILY-MODEL-STEPPING` as EAX of leaf 1.
fn signature(text: &str) -> Option<u32> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse().ok());
    let mut next = || parts.next().flatten();
    signature_of(next()?, next()?, next()?)
}

/// EAX of leaf 1 for a family, model and stepping as people say them; `None` when there is no such CPU.
pub(crate) fn signature_of(family: u32, model: u32, stepping: u32) -> Option<u32> {
    let (base, extended) = if family < 0xf { (family, 0) } else { (0xf, family - 0xf) };
    let has_room = extended <= 0xff && stepping <= 0xf && model <= if base >= 6 { 0xff } else { 0xf };
    has_room.then_some(extended << 20 | model >> 4 << 16 | base << 8 | (model & 0xf) << 4 | stepping)
}

/// Family, model and stepping of EAX of leaf 1, as people say them.
pub(crate) fn parts_of(signature: u32) -> [u32; 3] {
    let base = signature >> 8 & 0xf;
    let family = if base == 0xf { base + (signature >> 20 & 0xff) } else { base };
    let high = if base >= 6 { signature >> 12 & 0xf0 } else { 0 };
    [family, high | signature >> 4 & 0xf, signature & 0xf]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_data_means_something() {
        let file: File = toml::from_str(include_str!("../data/models.toml")).unwrap();
        let requests: Requests = toml::from_str(include_str!("../data/requests.toml")).unwrap();
        for rows in [&file.libvirt, &file.qemu, &requests.psabi] {
            for (at, row) in rows.iter().enumerate() {
                let name = &row.name;
                let words = row.features.iter().chain(&row.without).chain(&row.varying);
                let unknown: Vec<&String> = words.filter(|word| feature(word).is_none()).collect();
                assert!(unknown.is_empty(), "{name}: {unknown:?}");
                assert!(row.signatures.iter().all(|text| signature(text).is_some()), "{name}: {:?}", row.signatures);
                assert!(row.vendor.as_deref().is_none_or(|text| vendor(text).is_some()), "{name}: {:?}", row.vendor);
                assert!(row.base.as_ref().is_none_or(|base| rows[..at].iter().any(|row| row.name == *base)), "{name}: {:?}", row.base);
                let all: Vec<&String> = rows.iter().flat_map(|row| row.aliases.iter().chain([&row.name])).collect();
                assert_eq!(all.iter().filter(|other| **other == name).count(), 1, "{name}");
            }
        }
        for row in &requests.accelerator {
            assert!(row.on.iter().chain(&row.off).all(|word| feature(word).is_some()), "{}", row.name);
        }
        for row in &requests.generation {
            assert!(model(Project::Qemu, &row.model).is_some(), "{}: {}", row.name, row.model);
            assert!(row.because.ends_with('.'), "{}", row.name);
        }
        assert_eq!(models(Project::Libvirt).len(), file.libvirt.len());
        assert_eq!(models(Project::Qemu).len(), file.qemu.len());
    }

    #[test]
    fn signatures_are_what_leaf_1_holds() {
        for (text, eax) in [("6-85-7", 0x50657), ("25-1-1", 0xa00f11), ("15-6-1", 0xf61), ("5-8-0", 0x580)] {
            assert_eq!(signature(text), Some(eax), "{text}");
            assert_eq!(cpuid_db::Signature(eax).to_string(), text);
            assert_eq!(parts_of(eax).map(|part| part.to_string()).join("-"), text);
        }
        assert_eq!(
            (signature_of(5, 16, 0), signature_of(6, 256, 0), signature_of(0x10f, 0, 0), signature_of(6, 0, 16)),
            (None, None, None, None)
        );
    }
}

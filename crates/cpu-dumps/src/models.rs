//! The named CPU models of libvirt and QEMU, as data: who makes such a CPU, its signatures, and the features that its name stands for.
//!
//! `data/models.toml` holds them and says where they come from. libvirt and QEMU give the same names to slightly different models,
//! so each has its own table.

use std::sync::LazyLock;

use cpuid_db::{Feature, FeatureSet, Found, Named, Project, Vendor, lookup};
use serde::Deserialize;

/// A model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Model {
    /// The model's name.
    pub name: String,
    /// Other names for the very same model.
    pub aliases: Vec<String>,
    /// The maker; `None` for models that take the host's.
    pub vendor: Option<Vendor>,
    /// EAX of leaf 1 of the CPUs that are called so; the first is what guests see.
    pub signatures: Vec<u32>,
    /// The model whose features this one was recorded as a difference to.
    pub base: Option<String>,
    /// The features.
    pub features: FeatureSet,
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

struct Tables {
    libvirt: Vec<Model>,
    qemu: Vec<Model>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    // The tests read the very same text; a file that does not parse is a build of another project.
    let File { libvirt, qemu } = toml::from_str(include_str!("../data/models.toml")).unwrap_or_default();
    Tables { libvirt: resolve(libvirt), qemu: resolve(qemu) }
});

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
    vendor: Option<String>,
    #[serde(default)]
    signatures: Vec<String>,
    base: Option<String>,
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    features: Vec<String>,
}

/// Puts the features of the bases in; a base stands before the models that name it.
fn resolve(rows: Vec<Row>) -> Vec<Model> {
    let mut models: Vec<Model> = Vec::with_capacity(rows.len());
    for row in rows {
        let base = models.iter().find(|model| Some(&model.name) == row.base.as_ref());
        let features = base.map_or(FeatureSet::EMPTY, |base| base.features).difference(&set(&row.without)).union(&set(&row.features));
        let signatures = row.signatures.iter().filter_map(|text| signature(text)).collect();
        let vendor = row.vendor.as_deref().and_then(vendor);
        let Row { name, aliases, base, .. } = row;
        models.push(Model { name, aliases, vendor, signatures, base, features });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_data_means_something() {
        let file: File = toml::from_str(include_str!("../data/models.toml")).unwrap();
        for rows in [&file.libvirt, &file.qemu] {
            for (at, row) in rows.iter().enumerate() {
                let name = &row.name;
                let words = row.features.iter().chain(&row.without);
                let unknown: Vec<&String> = words.filter(|word| feature(word).is_none()).collect();
                assert!(unknown.is_empty(), "{name}: {unknown:?}");
                assert!(row.signatures.iter().all(|text| signature(text).is_some()), "{name}: {:?}", row.signatures);
                assert!(row.vendor.as_deref().is_none_or(|text| vendor(text).is_some()), "{name}: {:?}", row.vendor);
                assert!(row.base.as_ref().is_none_or(|base| rows[..at].iter().any(|row| row.name == *base)), "{name}: {:?}", row.base);
                let all: Vec<&String> = rows.iter().flat_map(|row| row.aliases.iter().chain([&row.name])).collect();
                assert_eq!(all.iter().filter(|other| **other == name).count(), 1, "{name}");
            }
        }
        assert_eq!(models(Project::Libvirt).len(), file.libvirt.len());
        assert_eq!(models(Project::Qemu).len(), file.qemu.len());
    }

    #[test]
    fn signatures_are_what_leaf_1_holds() {
        for (text, eax) in [("6-85-7", 0x50657), ("25-1-1", 0xa00f11), ("15-6-1", 0xf61), ("5-8-0", 0x580)] {
            assert_eq!(signature(text), Some(eax), "{text}");
            assert_eq!(cpuid_db::Signature(eax).to_string(), text);
        }
        assert_eq!(
            (signature_of(5, 16, 0), signature_of(6, 256, 0), signature_of(0x10f, 0, 0), signature_of(6, 0, 16)),
            (None, None, None, None)
        );
    }
}

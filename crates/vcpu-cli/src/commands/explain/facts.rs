//! What there is to say about one subject, for people and programs alike.

use cpu_dumps::models;
use cpuid_db::{
    EdgeKind, Emulation, Feature, FeatureSet, FeatureText, Field, FieldPlace, Gate, Location, Merge, Named, OnConflict, Project, Vendors,
    ZeroMeans, leaves,
};
use serde_json::{Map, Value, json};

use super::kvm;
use crate::causes::{self, bits, sources};
use crate::words;

/// Everything about a feature, field, MSR or reserved bit.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) place: String,
    pub(super) title: String,
    pub(super) names: Vec<(Project, &'static str)>,
    pub(super) vendors: Vec<&'static str>,
    pub(super) merge: String,
    pub(super) why: String,
    pub(super) requires: Vec<Prerequisite>,
    pub(super) requires_all: Vec<&'static str>,
    pub(super) required_by: Vec<&'static str>,
    pub(super) gates: Vec<String>,
    /// The database's word for how KVM comes to report it.
    pub(super) kvm: String,
    pub(super) kvm_text: String,
    pub(super) cite: Vec<&'static str>,
    pub(super) remarks: Vec<String>,
    /// What happens to a guest that counts on it where it is not, or that was not told of it.
    pub(super) lacking: String,
    /// The models of QEMU that have it.
    pub(super) models: Vec<&'static str>,
    /// For MSRs: what its bits are called.
    pub(super) bits: Vec<(String, &'static str, &'static str)>,
}

/// What must be there, and why.
#[derive(Debug)]
pub(super) struct Prerequisite {
    /// Any of these.
    pub(super) any: Vec<&'static str>,
    pub(super) kind: &'static str,
    pub(super) because: &'static str,
}

impl Prerequisite {
    pub(super) fn name(&self) -> String {
        self.any.join("|")
    }
}

impl Facts {
    /// The `vcpu.explain/1` object.
    pub(super) fn json(&self) -> Value {
        let mut names = Map::new();
        for (project, word) in &self.names {
            names.entry(project.name()).or_insert_with(|| (*word).into());
        }
        let requires: Vec<String> = self.requires.iter().map(Prerequisite::name).collect();
        let details = self.requires.iter().map(|one| json!({ "any": one.any, "kind": one.kind, "because": one.because }));
        let spellings = self.names.iter().map(|(project, word)| json!({ "project": project.name(), "word": word }));
        let bits = self.bits.iter().map(|(place, name, title)| json!({ "location": place, "name": name, "title": title }));
        json!({
            "schema": "vcpu.explain/1",
            "kind": self.kind,
            "name": self.name,
            "location": self.place,
            "title": self.title,
            "names": names,
            "vendors": self.vendors,
            "merge": self.merge,
            "why": self.why,
            "requires": requires,
            "required_by": self.required_by,
            "gates": self.gates,
            "kvm": self.kvm,
            "cite": self.cite.join(", "),
            "requires_because": details.collect::<Vec<_>>(),
            "requires_all": self.requires_all,
            "kvm_text": self.kvm_text,
            "spellings": spellings.collect::<Vec<_>>(),
            "remarks": self.remarks,
            "consequence": self.lacking,
            "models": self.models,
            "documents": self.documents(),
            "bits": bits.collect::<Vec<_>>(),
        })
    }
}

impl Facts {
    /// The sources by title, each once.
    pub(super) fn documents(&self) -> Vec<String> {
        self.cite.iter().filter_map(|cite| sources::document(cite)).collect()
    }
}

/// QEMU's models with the feature; of a model with several versions, the name alone where all of them have it.
fn models_with(feature: Feature) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    let all = models::models(Project::Qemu);
    for model in all.iter().filter(|model| model.features.contains(feature)) {
        let stem = stem(&model.name);
        let everywhere = all.iter().filter(|other| self::stem(&other.name) == stem).all(|other| other.features.contains(feature));
        let name = if everywhere { stem } else { model.name.as_str() };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The name without its version.
fn stem(name: &str) -> &str {
    name.rsplit_once("-v").filter(|(_, version)| version.bytes().all(|byte| byte.is_ascii_digit())).map_or(name, |(stem, _)| stem)
}

/// Where a feature or field is.
pub(super) fn place_of(named: Named) -> String {
    match named {
        Named::Feature(feature) => feature.location().to_string(),
        Named::Field(field) => words::field_place(field, None),
    }
}

fn of_text(text: &FeatureText) -> Facts {
    Facts {
        name: text.name.to_owned(),
        title: text.title.to_owned(),
        names: text.names.to_vec(),
        why: text.because.to_owned(),
        cite: text.cite.to_vec(),
        ..Facts::default()
    }
}

/// Everything about a feature.
pub(super) fn of_feature(feature: Feature) -> Facts {
    let (row, text) = (feature.row(), feature.text());
    let edges = row.requires.iter().zip(text.requires.iter().chain(std::iter::repeat(&"")));
    let requires = edges.map(|(edge, because)| Prerequisite {
        any: names(edge.any),
        kind: if edge.kind == EdgeKind::Architectural { "architectural" } else { "policy" },
        because,
    });
    Facts {
        kind: "feature",
        place: feature.location().to_string(),
        vendors: vendors(row.vendors),
        merge: row.merge.name().to_owned(),
        requires: requires.collect(),
        requires_all: prerequisites(feature).without(feature).iter().map(Feature::name).collect(),
        required_by: dependants(feature),
        gates: row.gates.iter().map(gate).collect(),
        kvm: row.kvm.name().to_owned(),
        kvm_text: kvm::of_feature(feature),
        remarks: feature_remarks(feature),
        lacking: causes::if_not_as_told(feature).map(|one| one.text).unwrap_or_default(),
        models: models_with(feature),
        ..of_text(text)
    }
}

fn names(features: &[Feature]) -> Vec<&'static str> {
    features.iter().map(|feature| feature.name()).collect()
}

fn feature_remarks(feature: Feature) -> Vec<String> {
    let (row, text) = (feature.row(), feature.text());
    let mut remarks = Vec::new();
    if row.innate {
        remarks.push("Innate: it describes what the hardware does whatever CPUID says, so it is passed on truthfully.".to_owned());
    }
    match row.emulation {
        Emulation::None => {}
        Emulation::Always => remarks.push("KVM executes it on every host, slowly: given on request, not offered.".to_owned()),
        Emulation::With(other) => {
            remarks.push(format!("KVM executes it where it has {other}, slowly: given on request, not offered."));
        }
    }
    if !text.pinned.is_empty() {
        remarks.push(format!("Pinned: it ties a guest to one machine. {}", text.pinned));
    }
    if !text.live.is_empty() {
        remarks.push(format!("Live: follows {}; a policy holds {}.", text.live, u8::from(row.value)));
    }
    if let Some(original) = row.alias_of {
        remarks.push(format!("Repeats {original} on AMD and Hygon."));
    }
    remarks
}

/// Everything that must be there, over all steps. Of alternatives the first is followed.
fn prerequisites(feature: Feature) -> FeatureSet {
    let mut found = FeatureSet::EMPTY;
    let mut todo = vec![feature];
    while let Some(next) = todo.pop() {
        for edge in next.row().requires {
            let Some(parent) = edge.any.first().filter(|parent| !found.contains(**parent)) else { continue };
            found.set(*parent, true);
            todo.push(*parent);
        }
    }
    found
}

/// The features that name this one as a direct prerequisite.
fn dependants(feature: Feature) -> Vec<&'static str> {
    let needs = |other: &Feature| other.row().requires.iter().any(|edge| edge.any.contains(&feature));
    Feature::all().filter(needs).map(Feature::name).collect()
}

/// Everything about a field.
pub(super) fn of_field(field: Field) -> Facts {
    let row = field.row();
    let any = names(row.requires);
    let requires = (!any.is_empty()).then_some(Prerequisite { any, kind: "architectural", because: "its leaf or MSR exists only then" });
    Facts {
        kind: "field",
        place: words::field_place(field, None),
        vendors: vendors(row.vendors),
        merge: row.merge.name().to_owned(),
        requires: requires.into_iter().collect(),
        kvm: kvm::word_of_field(row.kvm),
        kvm_text: kvm::of_field(field),
        remarks: field_remarks(field),
        ..of_text(field.text())
    }
}

fn field_remarks(field: Field) -> Vec<String> {
    let row = field.row();
    let mut remarks = vec![words::plural(row.width() as usize, "bit") + "."];
    if row.merge == Merge::Equal {
        remarks.push(match row.on_conflict {
            OnConflict::Refuse => "Where machines differ, no guest can run on both: the pool is refused.".to_owned(),
            OnConflict::Withhold(feature) => format!("Where machines differ, {feature} is withheld."),
            OnConflict::WithholdComponent => "Where machines differ, the XSAVE component is withheld.".to_owned(),
            OnConflict::Chosen => "Where machines differ, a value is chosen and declared.".to_owned(),
        });
    }
    match row.zero_means {
        ZeroMeans::Zero => {}
        ZeroMeans::Absent => remarks.push("Zero: the machine does not have it, and does not count.".to_owned()),
        ZeroMeans::Number(number) => remarks.push(format!("Zero stands for {number}.")),
        ZeroMeans::SameAs(other) => remarks.push(format!("Zero stands for the value of {}.", other.name())),
    }
    if row.value != 0 {
        remarks.push(format!("A policy holds {:#x}.", row.value));
    }
    if let Some(default) = row.default {
        remarks.push(format!("Where a dump could not record it, {default:#x} is assumed."));
    }
    let live = field.text().live;
    if !live.is_empty() {
        remarks.push(format!("Live: follows {live}."));
    }
    remarks
}

/// What is known of a bit without a name.
pub(super) fn of_reserved(location: Location) -> Facts {
    let leaf = match location {
        Location::Cpuid { leaf, .. } => leaves().iter().find(|row| row.leaf == Some(leaf)),
        Location::Msr { index, .. } => leaves().iter().find(|row| row.leaf.is_none() && row.msr == index),
    };
    let remark = match leaf {
        Some(row) => format!("Reserved, as far as the database knows. Its neighbours: {}.", row.title),
        None => "The database does not describe this leaf or MSR.".to_owned(),
    };
    Facts {
        kind: "reserved",
        name: "reserved".to_owned(),
        place: location.to_string(),
        title: "A bit without a name".to_owned(),
        why: "A bit that nobody can name is withheld: nobody can say what it promises.".to_owned(),
        remarks: vec![remark],
        ..Facts::default()
    }
}

/// Who defines something; empty for all vendors.
fn vendors(vendors: Vendors) -> Vec<&'static str> {
    const NAMES: [(Vendors, &str); 7] = [
        (Vendors::INTEL, "Intel"),
        (Vendors::AMD, "AMD"),
        (Vendors::HYGON, "Hygon"),
        (Vendors::ZHAOXIN, "Zhaoxin"),
        (Vendors::CENTAUR, "Centaur"),
        (Vendors::TRANSMETA, "Transmeta"),
        (Vendors::OTHER, "others"),
    ];
    NAMES.iter().filter(|(vendor, _)| vendors.contains(*vendor)).map(|(_, name)| *name).collect()
}

/// A gate in the vocabulary of the data files.
fn gate(gate: &Gate) -> String {
    match *gate {
        Gate::Instruction(name) => format!("insn:{name}"),
        Gate::Cr4(bit) => format!("cr4:{}", bits::cr4(bit)),
        Gate::Efer(bit) => format!("efer:{}", bits::efer(bit)),
        Gate::Xcr0(bit) => format!("xcr0:{bit}"),
        Gate::Xss(bit) => format!("xss:{bit}"),
        Gate::Msr(index) => format!("msr:{index:#x}"),
        Gate::MsrBit(index, bit) => format!("msr:{index:#x}[{bit}]"),
    }
}

/// Where a field's register is a feature MSR: its address.
pub(super) fn msr_of(field: Field) -> Option<u32> {
    match field.row().place {
        FieldPlace::Msr { index } => Some(index),
        FieldPlace::Cpuid { .. } => None,
    }
}

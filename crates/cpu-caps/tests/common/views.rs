//! Recorded answers of KVM, the raw dumps that belong to them, and the differences that are known: testdata/known-differences/stock-kvm.toml.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cpu_caps::{FieldValue, StockKvm, View};
use cpuid_db::{Feature, Field, FieldAt, KernelVersion, KvmInputs, Merge, OnConflict, Policy};
use serde::Deserialize;

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Recorded answers.
    #[serde(rename = "view")]
    pub views: Vec<Recorded>,
    /// What the model is known to say differently.
    #[serde(rename = "difference")]
    pub differences: Vec<Difference>,
}

/// One recorded answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// A file of testdata/kvm-views, or of the corpus' originals.
    pub name: String,
    /// A file of testdata/hosts, or of the corpus' originals: the same machine, or another of its model.
    pub host: String,
    /// What the name means.
    pub from: Place,
    /// The kernel, where it is known.
    pub kernel: Option<String>,
    /// Whether values of fields are the hypervisor's own: a source of names has none.
    #[serde(default)]
    pub fields: bool,
}

/// Where the two files are.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the repository.
    Testdata,
    /// In the folder that `VCPU_CORPUS` names.
    Corpus,
}

/// A group of differences with one reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Features, or fields as NAME.SUBLEAF.
    pub what: Vec<String>,
    /// Names of views; a star at the end stands for all that begin so.
    pub views: Vec<String>,
    /// What the model says; anything if not given.
    pub derived: Option<String>,
    /// What was recorded; anything if not given.
    pub recorded: Option<String>,
    /// Why.
    pub reason: String,
}

/// View, and feature or field.
pub type At = (String, String);
/// Derived and recorded value.
pub type Values = (String, String);

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The corpus' original files, if there is a corpus.
pub fn originals() -> Option<PathBuf> {
    std::env::var_os("VCPU_CORPUS").map(|corpus| Path::new(&corpus).join("originals"))
}

/// The known differences.
pub fn known() -> Known {
    let text = std::fs::read_to_string(root().join("testdata/known-differences/stock-kvm.toml")).unwrap();
    toml::from_str(&text).unwrap_or_else(|error| panic!("stock-kvm.toml: {error}"))
}

/// The first CPU of the first machine of a file.
pub fn policy(path: &Path) -> Policy {
    let name = path.to_string_lossy();
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let machines = cpu_dumps::read(&name, &bytes).unwrap_or_else(|error| panic!("{error}"));
    machines.into_iter().next().and_then(|machine| machine.cpus.into_iter().next()).unwrap().policy
}

impl Recorded {
    /// Raw dump and recorded answer; none without the corpus.
    pub fn policies(&self) -> Option<(Policy, Policy)> {
        match self.from {
            Place::Testdata => {
                let file = |folder: &str, name: &str| policy(&root().join("testdata").join(folder).join(format!("{name}.json")));
                Some((file("hosts", &self.host), file("kvm-views", &self.name)))
            }
            Place::Corpus => originals().map(|folder| (policy(&folder.join(&self.host)), policy(&folder.join(&self.name)))),
        }
    }

    /// The model under the recorded kernel; whether nesting was on shows in the answer itself.
    pub fn model(&self, recorded: &View) -> StockKvm {
        let mut kvm = StockKvm::default();
        if let Some(kernel) = &self.kernel {
            kvm.kernel = KernelVersion::parse(kernel).unwrap_or_else(|| panic!("{}: kernel {kernel}", self.name));
        }
        let nested = recorded.features.contains(Feature::VMX) || recorded.features.contains(Feature::SVM);
        kvm.inputs.set(KvmInputs::NESTED, nested);
        kvm
    }

    /// Everything known to both on which model and recording differ.
    pub fn differences(&self) -> Option<Vec<(At, Values)>> {
        let (raw, recorded) = self.policies()?;
        let recorded = View::of(&recorded);
        let derived = self.model(&recorded).view(&raw, &View::of(&raw));
        let mut facts = Vec::new();
        let mut fact = |what: String, derived: String, recorded: String| facts.push(((self.name.clone(), what), (derived, recorded)));
        for feature in Feature::all().filter(|feature| !derived.unknown.contains(*feature) && !recorded.unknown.contains(*feature)) {
            let (ours, theirs) = (derived.features.contains(feature), recorded.features.contains(feature));
            if ours != theirs {
                fact(feature.to_string(), u8::from(ours).to_string(), u8::from(theirs).to_string());
            }
        }
        for at in Field::all().filter(|field| self.fields && is_reported(*field)).flat_map(places) {
            let (ours, theirs) = (derived.field(at), recorded.field(at));
            if let (Some(ours), Some(theirs)) = (number(ours), number(theirs))
                && ours != theirs
            {
                fact(format!("{}.{}", at.field.name(), at.subleaf), format!("{ours:#x}"), format!("{theirs:#x}"));
            }
        }
        Some(facts)
    }
}

fn places(field: Field) -> impl Iterator<Item = FieldAt> {
    let (first, last) = field.row().slot.map_or((1, 0), |_| field.row().subleaves());
    (first..=last).map(move |subleaf| FieldAt { field, subleaf })
}

/// What names a CPU is declared by whoever runs the VM.
fn is_reported(field: Field) -> bool {
    field.row().on_conflict != OnConflict::Chosen || field.row().merge != Merge::Equal
}

/// A leaf that is not there reads zero.
fn number(value: FieldValue) -> Option<u64> {
    match value {
        FieldValue::Known(value) => Some(value),
        FieldValue::Absent => Some(0),
        FieldValue::Unknown => None,
    }
}

impl Known {
    /// Every listed difference of these views, with its entry.
    pub fn listed(&self, views: &BTreeSet<String>) -> BTreeMap<At, &Difference> {
        let mut listed = BTreeMap::new();
        for entry in &self.differences {
            let is_meant = |view: &&String| {
                entry.views.iter().any(|name| name.strip_suffix('*').map_or(*view == name, |prefix| view.starts_with(prefix)))
            };
            for view in views.iter().filter(is_meant) {
                for what in &entry.what {
                    let twice = listed.insert((view.clone(), what.clone()), entry);
                    assert!(twice.is_none(), "{view}: {what} is listed twice");
                }
            }
        }
        listed
    }
}

impl Difference {
    /// Whether the values are those of the entry, as far as it gives them.
    pub fn is(&self, (derived, recorded): &Values) -> bool {
        self.derived.as_ref().is_none_or(|ours| ours == derived) && self.recorded.as_ref().is_none_or(|theirs| theirs == recorded)
    }
}

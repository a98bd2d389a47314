//! The data files as they are written, with the line of every row.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use crate::report::{FINGERPRINT_SEED, Problems, fingerprint, line_of};

/// One word or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Words {
    One(String),
    Many(Vec<String>),
}

impl Words {
    pub(crate) fn list(&self) -> Vec<&str> {
        match self {
            Self::One(word) => vec![word],
            Self::Many(words) => words.iter().map(String::as_str).collect(),
        }
    }
}

/// `true`, or the feature that it depends on.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Emulated {
    Always(bool),
    With(String),
}

/// When KVM reports a feature that raw CPUID lacks: where the host has all of these, or a list of rules.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum KvmFrom {
    Features(Vec<String>),
    Rules(Vec<RawRule>),
}

impl Default for KvmFrom {
    fn default() -> Self {
        Self::Rules(Vec::new())
    }
}

impl KvmFrom {
    /// All of it as rules.
    pub(crate) fn rules(&self) -> Vec<RawRule> {
        match self {
            Self::Features(all) => vec![RawRule { all: all.clone(), ..RawRule::default() }],
            Self::Rules(rules) => rules.clone(),
        }
    }
}

/// One rule as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawRule {
    pub(crate) all: Vec<String>,
    pub(crate) none: Vec<String>,
    pub(crate) vendors: Vec<String>,
    pub(crate) families: Option<String>,
    pub(crate) models: Vec<String>,
    pub(crate) since: Option<String>,
    pub(crate) before: Option<String>,
}

impl RawRule {
    /// First and last family.
    pub(crate) fn families(&self) -> Option<(u16, u16)> {
        self.families.as_deref().map_or(Some((0, u16::MAX)), parse_range)
    }

    /// Ranges of models.
    pub(crate) fn models(&self) -> Option<Vec<(u8, u8)>> {
        self.models.iter().map(|text| parse_range(text)).collect()
    }
}

/// `0x17`, or `0x0f-0x12`.
fn parse_range<T: TryFrom<u64> + PartialOrd>(text: &str) -> Option<(T, T)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text| parse_number(text).and_then(|number| T::try_from(number).ok());
    Some((number(first)?, number(last)?)).filter(|(first, last)| first <= last)
}

/// `6.12` as its two numbers.
pub(crate) fn parse_kernel(text: &str) -> Option<(u8, u8)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A number, or a word that stands for one.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Number {
    Int(u64),
    Bool(bool),
    Text(String),
}

impl Number {
    pub(crate) fn value(&self) -> Option<u64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Bool(value) => Some(u64::from(*value)),
            Self::Text(text) => parse_number(text),
        }
    }
}

/// Decimal, or hexadecimal with `0x`.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(&digits.replace('_', ""), 16).ok(),
        None => text.parse().ok(),
    }
}

/// A prerequisite as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEdge {
    pub(crate) feature: Option<String>,
    pub(crate) any: Option<Vec<String>>,
    pub(crate) kind: String,
    pub(crate) because: String,
}

/// A row as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRow {
    pub(crate) at: String,
    pub(crate) name: Option<String>,
    pub(crate) field: Option<String>,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) names: BTreeMap<String, Words>,
    pub(crate) vendors: Option<Vec<String>>,
    pub(crate) merge: Option<String>,
    pub(crate) because: Option<String>,
    #[serde(default)]
    pub(crate) innate: bool,
    pub(crate) zero_means: Option<Number>,
    pub(crate) on_conflict: Option<String>,
    pub(crate) value: Option<Number>,
    pub(crate) live: Option<String>,
    pub(crate) shown_if: Option<String>,
    pub(crate) derive: Option<String>,
    pub(crate) alias_of: Option<String>,
    pub(crate) context: Option<String>,
    pub(crate) default: Option<Number>,
    #[serde(default)]
    pub(crate) requires: Vec<RawEdge>,
    #[serde(default)]
    pub(crate) gates: Vec<String>,
    pub(crate) kvm: String,
    #[serde(default)]
    pub(crate) kvm_if: Vec<String>,
    #[serde(default)]
    pub(crate) kvm_not: Vec<String>,
    #[serde(default)]
    pub(crate) kvm_from: KvmFrom,
    #[serde(default)]
    pub(crate) kvm_needs: Vec<String>,
    pub(crate) kvm_since: Option<String>,
    #[serde(default)]
    pub(crate) only_in_64bit_mode: bool,
    #[serde(default)]
    pub(crate) intercepted: bool,
    pub(crate) emulated: Option<Emulated>,
    pub(crate) pinned: Option<String>,
    pub(crate) cite: Words,
}

/// A file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFile {
    pub(crate) leaf: Option<String>,
    pub(crate) msr: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) title: String,
    pub(crate) present: Option<String>,
    pub(crate) hypervisor: Option<String>,
    pub(crate) vendors: Option<Vec<String>>,
    pub(crate) requires: Option<Words>,
    /// The reason of rows that belong together and have none of their own.
    pub(crate) because: Option<String>,
    /// Which field holds the highest subleaf; the engine uses the field itself.
    pub(crate) max_subleaf: Option<String>,
    #[serde(default)]
    pub(crate) reserved: Vec<Spanned<String>>,
    #[serde(default, rename = "row")]
    pub(crate) rows: Vec<Spanned<RawRow>>,
}

/// A file with its name and text, for messages.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) raw: RawFile,
}

impl Source {
    pub(crate) fn line(&self, offset: usize) -> usize {
        line_of(&self.text, offset)
    }
}

/// Reads all data files in order of name; also returns the fingerprint of their bytes.
pub(crate) fn load(folder: &Path, problems: &mut Problems) -> Result<(Vec<Source>, u64), String> {
    let (files, hash) = load_all(folder, problems)?;
    Ok((files.into_iter().map(|(name, text, raw)| Source { name, text, raw }).collect(), hash))
}

/// A data file: its name, its text, and what it says.
type DataFile<T> = (String, String, T);

/// Reads the TOML files of a folder in order of name; also returns the fingerprint of their bytes.
pub(crate) fn load_all<T: DeserializeOwned>(folder: &Path, problems: &mut Problems) -> Result<(Vec<DataFile<T>>, u64), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut hash = FINGERPRINT_SEED;
    let mut files = Vec::new();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        hash = fingerprint(name.as_bytes(), fingerprint(text.as_bytes(), hash));
        match toml::from_str(&text) {
            Ok(raw) => files.push((name, text, raw)),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(&text, span.start));
                problems.add(&name, line, error.message(), "see data/README.md for the keys");
            }
        }
    }
    Ok((files, hash))
}

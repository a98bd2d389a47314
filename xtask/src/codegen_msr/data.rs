//! The MSR data files as they are written.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use crate::codegen::data::{Number, Words};
use crate::report::{FINGERPRINT_SEED, Problems, fingerprint, line_of};

/// A family of MSRs with a stride.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFamily {
    pub(super) first: String,
    pub(super) stride: u16,
    pub(super) count: u16,
    /// The number of the first member.
    #[serde(default)]
    pub(super) number: u16,
    pub(super) limit: Option<String>,
}

/// What stock KVM does, as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKvm {
    pub(super) guest: Option<String>,
    pub(super) guest_read: Option<String>,
    pub(super) guest_write: Option<String>,
    pub(super) host: Option<String>,
    pub(super) host_read: Option<String>,
    pub(super) host_write: Option<String>,
    pub(super) valid: Option<Number>,
    #[serde(default)]
    pub(super) bits: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) everywhere: bool,
    pub(super) dropped: Option<Number>,
    #[serde(default)]
    pub(super) unchecked: bool,
    #[serde(default)]
    pub(super) advertised: bool,
    pub(super) reset: Option<Number>,
    pub(super) note: Option<String>,
}

/// A row as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMsr {
    pub(super) address: Option<String>,
    pub(super) family: Option<RawFamily>,
    pub(super) name: String,
    pub(super) title: String,
    #[serde(default)]
    pub(super) vendors: Vec<String>,
    pub(super) present: Option<String>,
    pub(super) access: Option<String>,
    pub(super) bits: Vec<Spanned<String>>,
    pub(super) within: Option<String>,
    pub(super) beyond: Option<String>,
    pub(super) check: Option<String>,
    pub(super) hook: Option<String>,
    #[serde(default)]
    pub(super) frozen: bool,
    pub(super) reset: Option<Number>,
    pub(super) init: Option<String>,
    pub(super) scope: Option<String>,
    #[serde(default)]
    pub(super) effects: Vec<String>,
    pub(super) save: Option<String>,
    pub(super) phase: Option<String>,
    pub(super) home: Option<String>,
    pub(super) cite: Words,
    pub(super) kvm: Option<RawKvm>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    msr: Vec<Spanned<RawMsr>>,
}

/// A row with its place in the files.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) line: usize,
    /// The line of each run of bits.
    pub(super) lines: Vec<usize>,
    pub(super) raw: RawMsr,
}

/// Reads all data files in order of name; also returns the fingerprint of their bytes.
pub(super) fn load(folder: &Path, problems: &mut Problems) -> Result<(Vec<Source>, u64), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut hash = FINGERPRINT_SEED;
    let mut sources = Vec::new();
    for path in paths {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        hash = fingerprint(file.as_bytes(), fingerprint(text.as_bytes(), hash));
        match toml::from_str::<RawFile>(&text) {
            Ok(raw) => sources.extend(raw.msr.into_iter().map(|row| source(&file, &text, row))),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(&text, span.start));
                problems.add(&file, line, error.message(), "see data/README.md for the keys");
            }
        }
    }
    Ok((sources, hash))
}

fn source(file: &str, text: &str, row: Spanned<RawMsr>) -> Source {
    let line = line_of(text, row.span().start);
    let raw = row.into_inner();
    let lines = raw.bits.iter().map(|bits| line_of(text, bits.span().start)).collect();
    Source { file: file.to_owned(), line, lines, raw }
}

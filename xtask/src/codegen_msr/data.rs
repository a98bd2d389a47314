//! The MSR data files as they are written.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use crate::codegen::data::{Number, Words, load_all};
use crate::report::{Problems, line_of};

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
    let (files, hash) = load_all::<RawFile>(folder, problems)?;
    let rows = files.into_iter().flat_map(|(file, text, raw)| {
        let rows: Vec<Source> = raw.msr.into_iter().map(|row| source(&file, &text, row)).collect();
        rows
    });
    Ok((rows.collect(), hash))
}

fn source(file: &str, text: &str, row: Spanned<RawMsr>) -> Source {
    let line = line_of(text, row.span().start);
    let raw = row.into_inner();
    let lines = raw.bits.iter().map(|bits| line_of(text, bits.span().start)).collect();
    Source { file: file.to_owned(), line, lines, raw }
}

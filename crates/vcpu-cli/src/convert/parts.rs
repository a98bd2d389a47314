//! Where the parts of a result go: standard output, a file, or the files of a directory.

use std::fs;
use std::path::{Path, PathBuf};

use cpu_dumps::Target;

use super::Part;
use crate::answer::Failure;
use crate::{output, words};

/// A file name for a part of a machine that is not taken yet.
pub(super) fn name(machine: &str, extension: &str, taken: &[Part]) -> String {
    let usable = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '@') { c } else { '-' };
    let stem: String = machine.chars().map(usable).take(100).collect();
    let stem = stem.trim_matches(['.', '-']);
    let stem = if stem.is_empty() { "machine" } else { stem };
    let is_free = |name: &String| taken.iter().all(|part| part.name != *name);
    let plain = std::iter::once(format!("{stem}.{extension}"));
    let numbered = (2..).map(|number| format!("{stem}-{number}.{extension}"));
    plain.chain(numbered).find(is_free).unwrap_or_default()
}

/// Whether `-o` names a directory: one that is there, or a name that ends like one.
fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Writes the parts where they belong, and returns what is for standard output and which files were written.
///
/// # Errors
/// A failure when several parts have no directory to go to, or when a file cannot be written.
pub(crate) fn deliver(parts: &[Part], target: Target, to: Option<&Path>) -> Result<(String, Vec<PathBuf>), Failure> {
    let Some(path) = to else { return Ok((one(parts, target)?, Vec::new())) };
    if !is_folder(path) {
        output::replace(path, &one(parts, target)?)?;
        return Ok((String::new(), vec![path.to_owned()]));
    }
    fs::create_dir_all(path).map_err(|error| Failure::wrong(format!("{}: {error}", path.display())))?;
    let files: Vec<(PathBuf, &str)> = parts.iter().map(|part| (path.join(&part.name), part.text.as_str())).collect();
    output::replace_all(&files)?;
    Ok((String::new(), files.into_iter().map(|(path, _)| path).collect()))
}

/// All parts as one file: the own formats may have a machine on each line.
fn one(parts: &[Part], target: Target) -> Result<String, Failure> {
    if let [only] = parts {
        return Ok(only.text.clone());
    }
    if matches!(target, Target::Dump | Target::Policy) {
        return Ok(parts.iter().map(|part| one_line(&part.text)).collect());
    }
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    let list = words::some_of(&names, names.len(), 3);
    Err(Failure::wrong(format!("{target} needs {} files ({list}): name a directory with -o DIRECTORY/", names.len())))
}

/// A JSON document on one line. Strings have no line ends in them, so only the layout goes.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim_start).chain(["\n"]).collect()
}

//! Reading dumps: files by name, `-` for standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use cpu_dumps::limits::MAX_BYTES;
use cpu_dumps::{Machine, Problem, ReadError, Template};

use crate::answer::Failure;
use crate::words;

/// The machines of a file in any known format.
///
/// # Errors
/// A failure that names the file, and the line or member in it.
pub(crate) fn machines(path: &Path) -> Result<Vec<Machine>, Failure> {
    read(path)?.machines().map_err(|error| {
        let hint = if error.problem == Problem::OpenBits { "; vcpu convert --host HOST makes a machine of it" } else { "" };
        Failure::wrong(format!("{error}{hint}"))
    })
}

/// The one machine of a file.
///
/// # Errors
/// As [`machines`]; also when the file has several.
pub(crate) fn machine(path: &Path) -> Result<Machine, Failure> {
    let machines = machines(path)?;
    let several = |machines: Vec<Machine>| {
        let names: Vec<&str> = machines.iter().map(|machine| machine.name.as_str()).collect();
        let list = words::some_of(&names, names.len(), 4);
        let count = names.len();
        let name = name_of(path);
        Failure::wrong(format!("{name}: {count} machines ({list}) where one is wanted; vcpu convert --machine NAME takes one out"))
    };
    <[Machine; 1]>::try_from(machines).map(|[machine]| machine).map_err(several)
}

/// A file that is read but not understood yet.
#[derive(Debug)]
pub(crate) struct Input {
    /// What messages call it.
    pub(crate) name: String,
    bytes: Vec<u8>,
}

impl Input {
    /// The machines in it.
    pub(crate) fn machines(&self) -> Result<Vec<Machine>, ReadError> {
        cpu_dumps::read(&self.name, &self.bytes)
    }

    /// The template that it is.
    pub(crate) fn template(&self) -> Result<Template, ReadError> {
        cpu_dumps::read_template(&self.name, &self.bytes)
    }
}

/// Reads a file.
///
/// # Errors
/// A failure that names it.
pub(crate) fn read(path: &Path) -> Result<Input, Failure> {
    let name = name_of(path);
    let bytes = bytes(path).map_err(|error| Failure::wrong(format!("{name}: {error}")))?;
    Ok(Input { name, bytes })
}

/// Refuses a command line that names standard input more than once.
///
/// # Errors
/// A failure that says so.
pub(crate) fn stdin_once<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<(), Failure> {
    let count = paths.into_iter().filter(|path| is_stdin(path)).count();
    if count > 1 { Err(Failure::wrong("standard input (-) can be read only once")) } else { Ok(()) }
}

/// Whether this stands for standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What messages call an input.
fn name_of(path: &Path) -> String {
    if is_stdin(path) { "stdin".to_owned() } else { path.display().to_string() }
}

/// The content, or one byte more than readers accept, so that they can refuse it.
fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let limit = MAX_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    if is_stdin(path) {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

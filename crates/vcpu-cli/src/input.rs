//! Reading dumps: files by name, `-` for standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use cpu_dumps::Machine;
use cpu_dumps::limits::MAX_BYTES;

use crate::answer::Failure;

/// The machines of a file in any known format.
///
/// # Errors
/// A failure that names the file, and the line or member in it.
pub(crate) fn machines(path: &Path) -> Result<Vec<Machine>, Failure> {
    let name = name_of(path);
    let bytes = bytes(path).map_err(|error| Failure::wrong(format!("{name}: {error}")))?;
    cpu_dumps::read(&name, &bytes).map_err(|error| Failure::wrong(error.to_string()))
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

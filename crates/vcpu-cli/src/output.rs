//! Writing files so that nobody ever sees half of one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::answer::Failure;

/// Replaces `path` by `text` as one step. What is not a regular file, such as a terminal or `/dev/null`, is written to.
///
/// # Errors
/// A failure that names the file; the file is then as it was.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    replace_all(&[(path.to_owned(), text)])
}

/// Replaces several files. All are complete beside their targets before the first is replaced.
///
/// # Errors
/// A failure that names the file; if it could not be written, all files are as they were.
pub(crate) fn replace_all(files: &[(PathBuf, &str)]) -> Result<(), Failure> {
    let mut staged = Vec::new();
    for (path, text) in files {
        staged.push((path, stage(path, text).map_err(|error| failure(path, &error))?));
    }
    staged.into_iter().try_for_each(|(path, staged)| staged.finish().map_err(|error| failure(path, &error)))
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::wrong(format!("{}: {error}", path.display()))
}

/// A complete file beside the one that it is to replace; it is gone when it is dropped before.
struct Staged {
    beside: Option<PathBuf>,
    target: PathBuf,
    /// What is to be written to a target that is no regular file.
    text: String,
}

impl Staged {
    fn finish(mut self) -> io::Result<()> {
        let Some(beside) = &self.beside else {
            return OpenOptions::new().write(true).open(&self.target)?.write_all(self.text.as_bytes());
        };
        fs::rename(beside, &self.target)?;
        self.beside = None;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // There is an earlier error to report.
            let _ = fs::remove_file(beside);
        }
    }
}

fn stage(path: &Path, text: &str) -> io::Result<Staged> {
    // A link is followed: its target is replaced, not the link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file()) {
        return Ok(Staged { beside: None, target, text: text.to_owned() });
    }
    let (beside, mut file) = create_beside(&target)?;
    let staged = Staged { beside: Some(beside), target, text: String::new() };
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(staged)
}

/// A new file in the same directory.
fn create_beside(target: &Path) -> io::Result<(PathBuf, File)> {
    const ATTEMPTS: u32 = 100;
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for attempt in 0..ATTEMPTS {
        let beside = target.with_file_name(format!(".{name}.{}.{attempt}.tmp", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&beside) {
            Ok(file) => return Ok((beside, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

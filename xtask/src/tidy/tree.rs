//! The files that rules look at: what git knows or would add; without git, everything outside build directories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file.
#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the repository, with `/`.
    pub(crate) path: String,
    /// The whole content.
    pub(crate) text: String,
}

impl File {
    /// Whether the generator wrote it.
    pub(crate) fn is_generated(&self) -> bool {
        self.path.contains("/generated/") || self.path.starts_with("docs/reference/")
    }

    /// Whether it holds tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/")
    }
}

/// The text files of the project, sorted by path.
#[derive(Debug, Default)]
pub(crate) struct Tree(Vec<File>);

impl Tree {
    /// Reads all text files below `root`. Files that are not UTF-8 are no text.
    pub(crate) fn load(root: &Path) -> Result<Self, String> {
        let mut paths = match listed_by_git(root) {
            Some(paths) => paths,
            None => walk(root)?,
        };
        paths.sort();
        paths.dedup();
        let read = |path: String| {
            let text = String::from_utf8(fs::read(root.join(&path)).ok()?).ok()?;
            Some(File { path, text })
        };
        Ok(Self(paths.into_iter().filter_map(read).collect()))
    }

    /// A tree of these files, for tests of rules.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self(files.iter().map(file).collect())
    }

    /// All files.
    pub(crate) fn files(&self) -> &[File] {
        &self.0
    }

    /// The files whose path begins and ends like this.
    pub(crate) fn select<'a>(&'a self, prefix: &'a str, suffix: &'a str) -> impl Iterator<Item = &'a File> {
        self.0.iter().filter(move |file| file.path.starts_with(prefix) && file.path.ends_with(suffix))
    }

    /// All Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.select("", ".rs")
    }

    /// The file at exactly this path.
    pub(crate) fn get(&self, path: &str) -> Option<&File> {
        self.0.iter().find(|file| file.path == path)
    }
}

/// Tracked files and those that are neither tracked nor ignored; `None` outside a checkout.
fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
    let list = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(list.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

/// Directories that hold no source.
const SKIPPED: [&str; 5] = ["target", ".git", "artifacts", "corpus", "coverage"];

fn walk(root: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(folder) = pending.pop() {
        let at = root.join(&folder);
        let entries = fs::read_dir(&at).map_err(|error| format!("{}: {error}", at.display()))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let path = folder.join(&name);
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !SKIPPED.iter().any(|skipped| name == *skipped) => pending.push(path),
                Ok(kind) if kind.is_file() => found.push(path.to_string_lossy().replace('\\', "/")),
                _ => {}
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_selected_by_both_ends_of_their_path() {
        let tree = Tree::of(&[("a/src/lib.rs", ""), ("a/src/generated/x.rs", ""), ("a/tests/t.rs", ""), ("b/README.md", "")]);
        let paths = |prefix, suffix| tree.select(prefix, suffix).map(|file| file.path.as_str()).collect::<Vec<_>>();
        assert_eq!(paths("a/src/", ".rs"), ["a/src/lib.rs", "a/src/generated/x.rs"]);
        assert_eq!(paths("", ".md"), ["b/README.md"]);
        assert!(tree.get("a/src/generated/x.rs").is_some_and(File::is_generated));
        assert!(tree.get("a/tests/t.rs").is_some_and(File::is_test));
        assert!(tree.get("a/src").is_none());
    }

    #[test]
    fn a_walk_finds_this_file_and_no_build_output() {
        let found = walk(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_or_default();
        assert!(found.iter().any(|path| path == "src/tidy/tree.rs"), "{found:?}");
        assert!(found.iter().all(|path| !path.starts_with("target/")));
    }
}

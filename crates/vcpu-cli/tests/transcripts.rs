//! What the READMEs and pages show is what the command prints: every `$ vcpu ...` in a console block is run beside `testdata`.
//! A line with `...` alone stands for any lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Splits a command line at blanks and expands `*` in the last path component; enough for the READMEs.
fn arguments(root: &Path, line: &str) -> Vec<String> {
    line.split(' ').flat_map(|word| expand(root, word.trim_matches('\''))).collect()
}

fn expand(root: &Path, word: &str) -> Vec<String> {
    let Some((folder, pattern)) = word.rsplit_once('/').filter(|(_, pattern)| pattern.contains('*')) else {
        return vec![word.to_owned()];
    };
    let (start, end) = pattern.split_once('*').unwrap();
    let names = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(start) && name.ends_with(end)).collect();
    names.sort();
    names.into_iter().map(|name| format!("{folder}/{name}")).collect()
}

/// Whether `printed` is `shown`, where a line of dots stands for any lines.
fn matches(printed: &str, shown: &[&str]) -> bool {
    let mut rest = printed;
    for (at, part) in shown.split(|line| line.trim() == "...").enumerate() {
        let text: String = part.iter().flat_map(|line| [*line, "\n"]).collect();
        match rest.find(&text) {
            Some(0) => rest = &rest[text.len()..],
            Some(found) if at > 0 => rest = &rest[found + text.len()..],
            _ => return false,
        }
    }
    shown.last().is_some_and(|line| line.trim() == "...") || rest.is_empty()
}

/// A folder of its own for the files that a page's commands write, with the recorded machines in it.
struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Self {
        let desk = std::env::temp_dir().join(format!("vcpu-transcripts-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&desk);
        fs::create_dir(&desk).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        std::os::unix::fs::symlink(root.join("testdata"), desk.join("testdata")).unwrap();
        Self(desk)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the commands of a page one after the other, and returns how many there were.
fn check(name: &str, page: &str) -> usize {
    let desk = Desk::new(name);
    let mut checked = 0;
    for block in page.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for transcript in format!("\n{block}").split("\n$ vcpu ").skip(1) {
            let mut lines = transcript.lines();
            let command = lines.next().unwrap();
            let output = Command::new(env!("CARGO_BIN_EXE_vcpu"))
                .args(arguments(&desk.0, command))
                .current_dir(&desk.0)
                .env("COLUMNS", "80")
                .output()
                .unwrap();
            // A refusal is all on standard error; elsewhere that holds notes only.
            let printed = String::from_utf8(if output.stdout.is_empty() { output.stderr } else { output.stdout }).unwrap();
            let shown: Vec<&str> = lines.collect();
            assert!(matches(&printed, &shown), "{name}: $ vcpu {command}\nprints\n{printed}");
            checked += 1;
        }
    }
    checked
}

#[test]
fn the_readme_of_the_repository_is_true() {
    assert_eq!(check("readme", include_str!("../../../README.md")), 4);
}

#[test]
fn the_pages_about_bits_and_moves_are_true() {
    assert_eq!(check("bit", include_str!("../../../docs/how-a-bit-gets-into-a-guest.md")), 7);
    assert_eq!(check("move", include_str!("../../../docs/moving-a-vm.md")), 8);
}

#[test]
fn a_line_of_dots_stands_for_any_lines() {
    for (printed, shown, same) in [
        ("a\nb\n", &["a", "b"][..], true),
        ("a\nb\n", &["a"], false),
        ("a\nb\nc\n", &["a", "..."], true),
        ("a\nb\nc\n", &["...", "c"], true),
        ("a\nb\nc\n", &["a", "...", "c"], true),
        ("a\nb\nc\n", &["b", "..."], false),
        ("a\nb\nc\n", &["a", "...", "d"], false),
    ] {
        assert_eq!(matches(printed, shown), same, "{shown:?}");
    }
}

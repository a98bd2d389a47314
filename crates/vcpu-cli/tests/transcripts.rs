//! What the READMEs show is what the command prints: every `$ vcpu ...` in a console block is run in the repository.
//! A line with `...` alone stands for any lines.

use std::path::Path;
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
    let names = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
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

fn check(readme: &str) -> usize {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut checked = 0;
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let Some(command) = block.lines().next().and_then(|line| line.strip_prefix("$ vcpu ")) else { continue };
        let output = Command::new(env!("CARGO_BIN_EXE_vcpu"))
            .args(arguments(&root, command))
            .current_dir(&root)
            .env("COLUMNS", "80")
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let shown: Vec<&str> = block.lines().skip(1).collect();
        assert!(matches(&printed, &shown), "$ vcpu {command}\nprints\n{printed}");
        checked += 1;
    }
    checked
}

#[test]
fn the_readme_of_the_repository_is_true() {
    assert_eq!(check(include_str!("../../../README.md")), 4);
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

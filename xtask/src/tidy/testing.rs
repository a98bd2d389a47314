//! How rules are tried: on a few files in memory.

use super::Rule;
use super::tree::Tree;
use crate::report::Problems;

/// Asserts that a rule finds exactly problems at these places, in this order: `file:line`, optionally followed by `: what`.
#[track_caller]
pub(crate) fn check(rule: Rule, files: &[(&str, &str)], expected: &[&str]) {
    let mut problems = Problems::default();
    rule(&Tree::of(files), &mut problems);
    let text = problems.into_result().err().unwrap_or_default();
    let found: Vec<&str> = text.lines().filter(|line| !line.ends_with(" problem(s)")).collect();
    assert_eq!(found.len(), expected.len(), "{text}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(&format!("{expected}:")) || found.starts_with(&format!("{expected};")), "{found}\nexpected {expected}");
        assert!(found.contains("; "), "a fix: {found}");
    }
}

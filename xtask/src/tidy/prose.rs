//! Rules about Markdown: form, decisions, changelog.

use super::tree::Tree;
use crate::report::Problems;

/// Decisions are `docs/decisions/NNNN-title.md`, numbered from 0001 without gap.
pub(crate) fn decisions_numbered(tree: &Tree, problems: &mut Problems) {
    const FOLDER: &str = "docs/decisions/";
    let mut expected = 1;
    for file in tree.select(FOLDER, "").filter(|file| !file.path.ends_with("/README.md")) {
        let name = &file.path[FOLDER.len()..];
        match number(name) {
            Some(number) if number == expected => {}
            Some(number) => {
                let what = format!("decision {number:04} where {expected:04} is next");
                problems.add(&file.path, 1, &what, "number decisions one after the other, each number once");
            }
            None => problems.add(&file.path, 1, "not named NNNN-title.md", "rename it; drafts live elsewhere"),
        }
        expected = number(name).map_or(expected, |number| number + 1);
    }
}

fn number(name: &str) -> Option<u32> {
    let (digits, title) = name.strip_suffix(".md")?.split_once('-')?;
    let is_number = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number && !title.is_empty())
}

/// Markdown ends with one newline and has no trailing blanks.
pub(crate) fn markdown(tree: &Tree, problems: &mut Problems) {
    for file in tree.select("", ".md") {
        for (line, text) in (1..).zip(file.text.lines()) {
            if text.ends_with([' ', '\t']) {
                problems.add(&file.path, line, "trailing blanks", "delete them; a line break is a new paragraph or sentence");
            }
        }
        let lines = file.text.lines().count().max(1);
        if !file.text.ends_with('\n') {
            problems.add(&file.path, lines, "no newline at the end", "add one");
        } else if file.text.ends_with("\n\n") {
            problems.add(&file.path, lines, "empty line at the end", "delete it");
        }
    }
}

/// The changelog has an Unreleased section.
pub(crate) fn changelog(tree: &Tree, problems: &mut Problems) {
    const FIX: &str = "begin CHANGELOG.md with a section `## Unreleased`";
    let Some(file) = tree.get("CHANGELOG.md") else {
        problems.add("CHANGELOG.md", 1, "missing", FIX);
        return;
    };
    let unreleased = |line: &str| matches!(line.trim_end(), "## Unreleased" | "## [Unreleased]");
    if !file.text.lines().any(unreleased) {
        problems.add(&file.path, 1, "no section for what is not released yet", FIX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::check;

    #[test]
    fn decisions_are_numbered_without_gap() {
        let good = [("docs/decisions/0001-a.md", ""), ("docs/decisions/0002-b.md", ""), ("docs/decisions/README.md", "")];
        check(decisions_numbered, &good, &[]);
        let bad = [
            ("docs/decisions/0001-a.md", ""),
            ("docs/decisions/0003-b.md", ""),
            ("docs/decisions/0003-c.md", ""),
            ("docs/decisions/4-d.md", ""),
        ];
        check(decisions_numbered, &bad, &["docs/decisions/0003-b.md:1", "docs/decisions/0003-c.md:1", "docs/decisions/4-d.md:1"]);
    }

    #[test]
    fn markdown_ends_well() {
        let files = [("a.md", "x\n"), ("b.md", "x \ny\t\n"), ("c.md", "x\ny"), ("d.md", "x\n\n"), ("e.txt", "x ")];
        check(markdown, &files, &["b.md:1", "b.md:2", "c.md:2", "d.md:2"]);
    }

    #[test]
    fn the_changelog_has_a_place_for_news() {
        check(changelog, &[], &["CHANGELOG.md:1"]);
        check(changelog, &[("CHANGELOG.md", "# Changelog\n\n## 0.1.0\n")], &["CHANGELOG.md:1"]);
        check(changelog, &[("CHANGELOG.md", "# Changelog\n\n## Unreleased\n")], &[]);
    }
}

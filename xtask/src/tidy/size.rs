//! Sizes: a file is read in one sitting, a function on one screen.

use super::scan;
use super::tree::Tree;
use crate::report::Problems;

/// The most lines of a hand-written file.
const FILE_LINES: usize = 600;
/// The most lines of a function.
const FUNCTION_LINES: usize = 70;
/// What almost every function should stay within.
const FUNCTION_AIM: usize = 40;

/// Hand-written Rust files of at most 600 lines.
pub(crate) fn files(tree: &Tree, problems: &mut Problems) {
    for file in tree.rust().filter(|file| !file.is_generated()) {
        let lines = file.text.lines().count();
        if lines > FILE_LINES {
            let what = format!("{lines} lines, the most is {FILE_LINES} (100 to 500 is the aim)");
            problems.add(&file.path, 1, &what, "move what can be named on its own into a module");
        }
    }
}

/// Functions of at most 70 lines.
pub(crate) fn functions(tree: &Tree, problems: &mut Problems) {
    for file in tree.rust().filter(|file| !file.is_generated()) {
        for function in scan::functions(&file.text).iter().filter(|function| function.lines > FUNCTION_LINES) {
            let what = format!("`{}` has {} lines, the most is {FUNCTION_LINES}", function.name, function.lines);
            let fix = format!("split it; {FUNCTION_AIM} is the aim, and similar match arms want to be a table");
            problems.add(&file.path, function.line, &what, &fix);
        }
    }
}

/// How many functions there are, and how many are above the aim.
pub(crate) fn summary(tree: &Tree) -> String {
    let files = tree.rust().filter(|file| !file.is_generated());
    let lengths: Vec<usize> = files.flat_map(|file| scan::functions(&file.text)).map(|function| function.lines).collect();
    let long = lengths.iter().filter(|lines| **lines > FUNCTION_AIM).count();
    format!("{} functions, {long} above {FUNCTION_AIM} lines", lengths.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::check;

    #[test]
    fn long_files_are_found_unless_generated() {
        let long = "//! Doc.\n".repeat(601);
        let most = "//! Doc.\n".repeat(600);
        let tree = [("a/src/long.rs", long.as_str()), ("a/src/most.rs", &most), ("a/src/generated/t.rs", &long)];
        check(files, &tree, &["a/src/long.rs:1"]);
    }

    #[test]
    fn long_functions_are_found() {
        let body = |lines: usize| format!("//! Doc.\nfn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
        let (most, long, generated) = (body(70), body(71), body(71));
        let tree = [("a/most.rs", most.as_str()), ("a/long.rs", &long), ("a/src/generated/g.rs", &generated)];
        check(functions, &tree, &["a/long.rs:2"]);
        assert_eq!(summary(&Tree::of(&tree)), "2 functions, 2 above 40 lines");
    }
}

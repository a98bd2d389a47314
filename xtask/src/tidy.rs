//! `cargo xtask tidy`: the house rules that a machine can check. Each message names file, line and fix.
//!
//! A rule is a function from the files of the project to problems; [`RULES`] lists them. What the compiler, clippy or rustfmt can
//! check is left to them.

mod crates;
mod prose;
mod scan;
mod size;
mod source;
#[cfg(test)]
mod testing;
mod tree;

use std::path::Path;

use crate::report::Problems;
use tree::Tree;

/// A house rule.
type Rule = fn(&Tree, &mut Problems);

/// All rules, in the order in which problems are reported.
const RULES: [Rule; 15] = [
    crates::edges,
    crates::metadata,
    crates::decided,
    source::core_stays_core,
    source::kvm_stays_behind_its_backend,
    source::module_doc,
    source::generated_banner,
    source::forbidden_words,
    source::no_sleep_in_tests,
    source::no_machine_paths,
    size::files,
    size::functions,
    prose::decisions_numbered,
    prose::markdown,
    prose::changelog,
];

/// Checks every rule on the files below `root`.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let tree = Tree::load(root)?;
    let mut problems = Problems::default();
    for rule in RULES {
        rule(&tree, &mut problems);
    }
    println!("tidy: {} files, {} rules; {}", tree.files().len(), RULES.len(), size::summary(&tree));
    problems.into_result()
}

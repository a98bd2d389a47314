//! `cargo xtask ci`: everything that must hold, in one order, stopping at the first failure with the command that mends it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{cargo, codegen, probe, tidy};

/// One thing that must hold.
struct Step {
    name: String,
    action: Action,
    /// The command that mends it, or where to look.
    fix: String,
}

enum Action {
    /// Arguments of cargo, and flags for rustdoc.
    Cargo(Vec<String>, Option<&'static str>),
    /// A task of this program, and the arguments that it is called by.
    Task(&'static str, fn(&Path) -> Result<(), String>),
}

/// Runs all steps.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let started = Instant::now();
    let mut times = Vec::new();
    for step in steps(root)? {
        println!("==> {}: {}", step.name, step.action);
        let begun = Instant::now();
        let done = step.action.run(root);
        times.push((step.name.clone(), begun.elapsed()));
        if let Err(message) = done {
            print!("{}", summary(&times, started.elapsed()));
            return Err(format!("{message}\n\nfailed: {}\n  run: {}\n  fix: {}", step.name, step.action, step.fix));
        }
    }
    print!("{}", summary(&times, started.elapsed()));
    Ok(())
}

/// All steps, in order.
fn steps(root: &Path) -> Result<Vec<Step>, String> {
    let probe_format = format!("fmt --manifest-path {} --", probe::MANIFEST);
    let mut steps = vec![
        step("format", "fmt --all -- --check", "cargo fmt --all"),
        step("format of the probe", &format!("{probe_format} --check"), &format!("cargo {probe_format}")),
        step(
            "lints",
            "clippy --workspace --all-targets --all-features -- -D warnings",
            "cargo clippy --workspace --all-targets --all-features --fix --allow-dirty, and by hand what is left",
        ),
        task("codegen", "codegen --check", |root| codegen::run(root, &["--check"]), "cargo xtask codegen"),
        task("tidy", "tidy", tidy::run, "each message names it"),
        step("tests", "test --workspace --all-features", "cargo test -p CRATE NAME_OF_THE_TEST"),
    ];
    for name in published(root)? {
        let fix = "put behind its feature what needs it, or name the feature of the dependency in the manifest";
        steps.push(step(&format!("{name} alone"), &format!("check --package {name} --no-default-features"), fix));
    }
    let mut docs = step("docs", "doc --workspace --no-deps --all-features", "mend the link or the sentence that rustdoc names");
    docs.action = docs.action.with_rustdoc_flags("-D warnings");
    steps.push(docs);
    steps.push(task("no_std probe", "probe", probe::run, "core crates use core only: no std, no alloc, no panic on the way"));
    steps.push(step("fuzz targets", "build --package vcpu-fuzz --bins", "cargo build --package vcpu-fuzz --bins"));
    Ok(steps)
}

/// A step that is a cargo command; its arguments are separated by blanks, `-D warnings` included.
fn step(name: &str, arguments: &str, fix: &str) -> Step {
    let arguments = arguments.split(' ').map(str::to_owned).collect();
    Step { name: name.to_owned(), action: Action::Cargo(arguments, None), fix: fix.to_owned() }
}

fn task(name: &str, arguments: &'static str, run: fn(&Path) -> Result<(), String>, fix: &str) -> Step {
    Step { name: name.to_owned(), action: Action::Task(arguments, run), fix: fix.to_owned() }
}

/// The crates that are published: the folders of `crates/`, in order.
fn published(root: &Path) -> Result<Vec<String>, String> {
    let folder = root.join("crates");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let crates = entries.flatten().filter(|entry| entry.path().join("Cargo.toml").is_file());
    let mut names: Vec<String> = crates.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

impl Action {
    fn with_rustdoc_flags(self, flags: &'static str) -> Self {
        match self {
            Self::Cargo(arguments, _) => Self::Cargo(arguments, Some(flags)),
            task @ Self::Task(..) => task,
        }
    }

    fn run(&self, root: &Path) -> Result<(), String> {
        match self {
            Self::Task(_, run) => run(root),
            Self::Cargo(arguments, flags) => {
                let mut command = cargo::command();
                command.args(arguments).current_dir(root);
                if let Some(flags) = flags {
                    command.env("RUSTDOCFLAGS", flags);
                }
                finish(&mut command)
            }
        }
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Task(arguments, _) => write!(f, "cargo xtask {arguments}"),
            Self::Cargo(arguments, None) => write!(f, "cargo {}", arguments.join(" ")),
            Self::Cargo(arguments, Some(flags)) => write!(f, "RUSTDOCFLAGS=\"{flags}\" cargo {}", arguments.join(" ")),
        }
    }
}

fn finish(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(format!("{}: {error}", command.get_program().display())),
    }
}

/// How long each step took.
fn summary(times: &[(String, Duration)], total: Duration) -> String {
    let line = |(name, time): &(String, Duration)| format!("{name:<24} {:>7.1} s\n", time.as_secs_f64());
    let lines: String = times.iter().map(line).collect();
    format!("\n{lines}{}", line(&("together".to_owned(), total)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_they_can_be_typed() {
        let shown = |step: Step| step.action.to_string();
        assert_eq!(shown(step("lints", "clippy -- -D warnings", "")), "cargo clippy -- -D warnings");
        assert_eq!(shown(task("tidy", "tidy", |_| Ok(()), "")), "cargo xtask tidy");
        let action = step("docs", "doc", "").action.with_rustdoc_flags("-D warnings");
        assert_eq!(action.to_string(), "RUSTDOCFLAGS=\"-D warnings\" cargo doc");
    }

    #[test]
    fn a_summary_has_a_line_per_step_and_the_sum() {
        let times = [("tests".to_owned(), Duration::from_millis(1500))];
        let expected = format!("\n{:<24}     1.5 s\n{:<24}     2.0 s\n", "tests", "together");
        assert_eq!(summary(&times, Duration::from_secs(2)), expected);
    }

    #[test]
    fn every_crate_is_checked_alone() -> Result<(), String> {
        let root = crate::root();
        let steps = steps(&root)?;
        for name in published(&root)? {
            assert!(steps.iter().any(|step| step.name == format!("{name} alone")), "{name}");
        }
        Ok(())
    }
}

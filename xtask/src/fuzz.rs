//! `cargo xtask fuzz [--seconds N | --minutes N] [TARGET...]`: runs the targets of `fuzz/` under libFuzzer, one after the other, and
//! prints what it did.
//!
//! The growing corpus is kept in the build directory; seeds and regressions of the repository are read, never written.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use crate::cargo;

const USAGE: &str = "usage: cargo xtask fuzz [--seconds N | --minutes N] [TARGET...]";

/// What to run, and for how long.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    seconds: u32,
    targets: Vec<String>,
}

/// What libFuzzer says at the end of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    executions: u64,
    coverage: u64,
    /// User time of the fuzzer in hundredths of a second: on a busy machine much less than the time that passed.
    cpu_ticks: Option<u64>,
    /// New artifacts: inputs that crash, hang or eat memory.
    crashes: Vec<String>,
    finished: bool,
}

/// Runs the targets and fails if any input breaks a promise.
pub(crate) fn run(root: &Path, args: &[&str]) -> Result<(), String> {
    let options = parse(args, &targets(root)?)?;
    check_installed()?;
    println!("{:<30} {:>12} {:>10} {:>8} {:>8}", "target", "executions", "CPU s", "coverage", "crashes");
    let mut problems = Vec::new();
    for target in &options.targets {
        let outcome = fuzz(root, target, options.seconds)?;
        let Outcome { executions, coverage, cpu_ticks, crashes, finished } = &outcome;
        let cpu = cpu_ticks.map_or("-".to_owned(), |ticks| format!("{}.{:02}", ticks / 100, ticks % 100));
        println!("{target:<30} {executions:>12} {cpu:>10} {coverage:>8} {:>8}", crashes.len());
        if !finished || !crashes.is_empty() {
            problems.push(advice(root, target, crashes));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn advice(root: &Path, target: &str, crashes: &[String]) -> String {
    let log = log_path(root, target);
    let mut lines = vec![format!("{target}: stopped early, see {}", log.display())];
    for crash in crashes {
        lines.push(format!("  {crash}"));
        lines.push(format!("  replay:   cargo run -p vcpu-fuzz --bin {target} {crash}"));
        lines.push(format!("  minimise: RUSTC_BOOTSTRAP=1 cargo fuzz tmin --fuzz-dir fuzz --sanitizer none {target} {crash}"));
        lines.push(format!("  keep:     the minimised file in fuzz/regressions/{target}/"));
    }
    lines.join("\n")
}

/// The targets are the files of `fuzz/fuzz_targets`.
fn targets(root: &Path) -> Result<Vec<String>, String> {
    let folder = root.join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let stem = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| stem(entry.path())).collect();
    names.sort();
    Ok(names)
}

fn parse(args: &[&str], known: &[String]) -> Result<Options, String> {
    let mut options = Options { seconds: 60, targets: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let unit = match *arg {
            "--seconds" => Some(1),
            "--minutes" => Some(60),
            _ => None,
        };
        if let Some(unit) = unit {
            let count = args.next().and_then(|count| count.parse().ok()).and_then(|count: u32| count.checked_mul(unit));
            options.seconds = count.ok_or_else(|| format!("{arg} needs a number; {USAGE}"))?;
        } else if known.iter().any(|target| target == arg) {
            options.targets.push((*arg).to_owned());
        } else {
            return Err(format!("no target `{arg}`; known are {}; {USAGE}", known.join(", ")));
        }
    }
    if options.targets.is_empty() {
        options.targets = known.to_vec();
    }
    Ok(options)
}

fn check_installed() -> Result<(), String> {
    let version = cargo::command().args(["fuzz", "--version"]).output();
    match version {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err("cargo-fuzz is missing; install it with `cargo install cargo-fuzz`".to_owned()),
    }
}

fn log_path(root: &Path, target: &str) -> PathBuf {
    cargo::target_dir(root).join("fuzz-logs").join(format!("{target}.log"))
}

/// The user time of the processes that ended so far below this one, in hundredths of a second; only Linux tells.
fn cpu_ticks_of_children() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    cutime(&stat)
}

/// The 16th field of a line of `/proc/PID/stat`. The second, a program's name in parentheses, may hold blanks.
fn cutime(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(13)?.parse().ok()
}

/// Builds one target, so that the time of the compiler is not taken for the fuzzer's.
fn build(root: &Path, target: &str) -> Result<(), String> {
    let output = cargo_fuzz(root, "build", target).output().map_err(|error| format!("cargo fuzz: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Runs one target that is built. All of its output goes to a log.
fn fuzz(root: &Path, target: &str, seconds: u32) -> Result<Outcome, String> {
    let corpus = cargo::target_dir(root).join("fuzz-corpus").join(target);
    let log = log_path(root, target);
    for folder in [Some(corpus.as_path()), log.parent()].into_iter().flatten() {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    build(root, target)?;
    let started = SystemTime::now();
    let ticks = cpu_ticks_of_children();
    let mut child = command(root, target, &corpus, seconds)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cargo fuzz: {error}"))?;
    let mut text = String::new();
    let mut outcome = Outcome::default();
    for line in child.stderr.take().into_iter().flat_map(|pipe| BufReader::new(pipe).lines()).map_while(Result::ok) {
        note(&line, &mut outcome);
        text += &line;
        text.push('\n');
    }
    let status = child.wait().map_err(|error| format!("cargo fuzz: {error}"))?;
    fs::write(&log, text).map_err(|error| format!("{}: {error}", log.display()))?;
    outcome.finished = status.success();
    outcome.cpu_ticks = cpu_ticks_of_children().zip(ticks).map(|(after, before)| after.saturating_sub(before));
    outcome.crashes = artifacts(root, target, started);
    Ok(outcome)
}

/// `cargo fuzz` with this subcommand; further arguments may follow.
fn cargo_fuzz(root: &Path, subcommand: &str, target: &str) -> Command {
    let mut command = cargo::command();
    // The code under test forbids `unsafe`: no memory sanitizer is needed, which doubles the speed.
    command.current_dir(root).args(["fuzz", subcommand, "--fuzz-dir", "fuzz", "--sanitizer", "none", target]);
    // The instrumentation is behind an unstable flag. Link-time optimisation costs minutes and finds nothing.
    command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_PROFILE_RELEASE_LTO", "off");
    command
}

fn command(root: &Path, target: &str, corpus: &Path, seconds: u32) -> Command {
    let mut command = cargo_fuzz(root, "run", target);
    command.arg(corpus);
    for folder in ["seeds", "regressions"].map(|kind| format!("fuzz/{kind}/{target}")) {
        if root.join(&folder).is_dir() {
            command.arg(folder);
        }
    }
    command.arg("--").args(["-print_final_stats=1", "-timeout=10"]).arg(format!("-max_total_time={seconds}"));
    command
}

/// Takes the numbers out of a line of libFuzzer.
fn note(line: &str, outcome: &mut Outcome) {
    let number = |text: &str| text.split_whitespace().next().and_then(|word| word.parse().ok());
    if let Some(count) = line.strip_prefix("stat::number_of_executed_units:").and_then(number) {
        outcome.executions = count;
    } else if let Some(coverage) = line.split_once(" cov: ").and_then(|(_, rest)| number(rest)) {
        outcome.coverage = coverage;
    }
}

/// The artifacts that this run wrote.
fn artifacts(root: &Path, target: &str, since: SystemTime) -> Vec<String> {
    let folder = format!("fuzz/artifacts/{target}");
    let entries = fs::read_dir(root.join(&folder)).into_iter().flatten().flatten();
    let is_new = |entry: &fs::DirEntry| entry.metadata().and_then(|data| data.modified()).is_ok_and(|time| time >= since);
    let mut names: Vec<String> = entries.filter(is_new).map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy())).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_targets_and_time() {
        let known = ["a".to_owned(), "b".to_owned()];
        let options = |seconds, targets: &[&str]| Options { seconds, targets: targets.iter().map(|name| (*name).to_owned()).collect() };
        assert_eq!(parse(&[], &known), Ok(options(60, &["a", "b"])));
        assert_eq!(parse(&["--seconds", "5", "b"], &known), Ok(options(5, &["b"])));
        assert_eq!(parse(&["a", "--minutes", "10"], &known), Ok(options(600, &["a"])));
        for wrong in [&["c"][..], &["--seconds"], &["--seconds", "long"], &["--minutes", "4294967295"], &["--fast"]] {
            assert!(parse(wrong, &known).is_err_and(|message| message.contains(USAGE)), "{wrong:?}");
        }
    }

    #[test]
    fn the_time_of_children_is_found_behind_any_name() {
        let stat = "41 (a ) b) S 1 41 41 0 -1 4194560 9 8 7 6 11 12 1300 14 20 0 1 0 5000 0 0";
        assert_eq!(cutime(stat), Some(1300));
        assert_eq!(cutime("41 (cut"), None);
    }

    #[test]
    fn numbers_are_read_from_what_libfuzzer_prints() {
        let mut outcome = Outcome::default();
        let lines = [
            "INFO: Running with entropic power schedule",
            "#2585\tNEW    cov: 458 ft: 1144 corp: 173/1943b lim: 22 exec/s: 258",
            "#2600\tDONE   cov: 460 ft: 1144 corp: 173/1943b lim: 22 exec/s: 236 rss: 38Mb",
            "stat::number_of_executed_units: 2600",
        ];
        for line in lines {
            note(line, &mut outcome);
        }
        assert_eq!((outcome.executions, outcome.coverage), (2600, 460));
    }
}

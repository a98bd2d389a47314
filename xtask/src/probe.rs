//! `cargo xtask probe`: builds and runs `probes/no_std`, the program that links the core crates without std and allocator.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo;

/// The probe's manifest.
pub(crate) const MANIFEST: &str = "probes/no_std/Cargo.toml";
/// The one platform whose entry point and system calls the probe knows.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// No C runtime, no shared libraries, no relocation by a loader.
const LINK: [&str; 4] = ["-Clink-arg=-nostartfiles", "-Clink-arg=-static", "-Crelocation-model=static", "-Ctarget-feature=+crt-static"];

/// Builds the probe with and without names, runs it, and reports its size and which panics are linked in.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        println!("probe: skipped, it runs on x86-64 Linux only");
        return Ok(());
    }
    lint(root)?;
    for features in [&[][..], &["--features", "names"]] {
        let program = build(root, features)?;
        let status = Command::new(&program).status().map_err(|error| format!("{}: {error}", program.display()))?;
        match status.code() {
            Some(0) => println!("probe {}: {}", features.join(" "), report(&program)?),
            Some(1) => return Err("the probe ran and its answer is wrong".to_owned()),
            Some(2) => return Err("the probe panicked".to_owned()),
            _ => return Err(format!("the probe ended with {status}")),
        }
    }
    Ok(())
}

/// The probe is outside the workspace, and the one place with `unsafe`: each block says why it is sound.
fn lint(root: &Path) -> Result<(), String> {
    let mut command = cargo(root, "clippy");
    succeed(command.args(["--all-features", "--", "-D", "warnings"]), "mend what is named above; core crates use core only")
}

fn build(root: &Path, features: &[&str]) -> Result<PathBuf, String> {
    let mut command = cargo(root, "rustc");
    command.args(features).arg("--").args(LINK);
    succeed(&mut command, "a core crate needs more than core, or the linker is missing")?;
    Ok(target_dir(root).join(TARGET).join("release/no-std-probe"))
}

fn target_dir(root: &Path) -> PathBuf {
    cargo::target_dir(root).join("probes")
}

fn cargo(root: &Path, task: &str) -> Command {
    let mut command = cargo::command();
    command.current_dir(root).args([task, "--release", "--quiet", "--manifest-path", MANIFEST, "--target", TARGET]);
    command.arg("--target-dir").arg(target_dir(root));
    // Flags for tests and coverage do not fit a program without std.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

fn succeed(command: &mut Command, advice: &str) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{status}: {advice}")) }
}

fn report(program: &Path) -> Result<String, String> {
    let bytes = fs::read(program).map_err(|error| format!("{}: {error}", program.display()))?;
    let panics = panics(&bytes);
    let panics = if panics.is_empty() { "none".to_owned() } else { panics.join(", ") };
    Ok(format!("runs; {} KiB; panics linked in: {panics}", bytes.len() / 1024))
}

/// The functions of `core::panicking` that the program's symbols name: calls that the compiler could not rule out.
fn panics(bytes: &[u8]) -> Vec<String> {
    const MODULE: &[u8] = b"4core9panicking";
    let mut names: Vec<String> = Vec::new();
    for at in 0..bytes.len() {
        let Some(rest) = bytes[at..].strip_prefix(MODULE) else { continue };
        let digits: String = rest.iter().take(3).map(|byte| char::from(*byte)).take_while(char::is_ascii_digit).collect();
        let name = digits.parse().ok().and_then(|length: usize| rest.get(digits.len()..digits.len() + length));
        names.extend(name.map(|name| String::from_utf8_lossy(name).into_owned()));
    }
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_named_from_symbols() {
        let symbols = b"\0_ZN4core9panicking18panic_bounds_check17h0123E\0_ZN4core9panicking5panic17h0E\0_ZN4core9panicking5panic17h0E\0";
        assert_eq!(panics(symbols), ["panic", "panic_bounds_check"]);
        assert!(panics(b"_ZN4core9panicking").is_empty());
        assert!(panics(b"").is_empty());
    }
}

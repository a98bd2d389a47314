//! Seeds and regressions go through the oracles of all targets; targets, programs, folders and formats belong together.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cpu_dumps::{Format, Target};
use vcpu_fuzz::TARGETS;

/// The entries of a folder of this crate, in order; none if it does not exist.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be listed").path()).collect();
    paths.sort();
    paths
}

fn names(folder: &str) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().map(|name| name.to_string_lossy().into_owned());
    entries(Path::new(folder)).into_iter().filter_map(stem).filter(|name| name != "README").collect()
}

#[test]
fn every_seed_and_every_regression_holds_for_every_target() {
    let folders = ["seeds", "regressions"].into_iter().flat_map(|kind| entries(Path::new(kind)));
    for path in folders.filter(|folder| folder.is_dir()).flat_map(|folder| entries(&folder)) {
        let bytes = fs::read(&path).expect("a file can be read");
        for (target, oracle) in TARGETS {
            println!("{target}: {}", path.display());
            oracle(&bytes);
        }
    }
}

/// A seed that its own reader refuses is a bad start.
#[test]
fn every_format_has_a_seed_that_its_reader_takes() {
    for format in Format::ALL {
        let folder = Path::new("seeds").join(format!("read_{}", snake(&format!("{format:?}"))));
        let is_taken = |path: PathBuf| cpu_dumps::read("seed", &fs::read(path).expect("a file can be read")).is_ok();
        assert!(entries(&folder).into_iter().any(is_taken), "{format}");
    }
}

#[test]
fn every_format_has_its_targets() {
    let readers = Format::ALL.map(|format| format!("read_{}", snake(&format!("{format:?}"))));
    let writers = Target::ALL.map(|target| format!("write_{}", snake(&format!("{target:?}"))));
    for name in readers.iter().chain(&writers) {
        assert!(TARGETS.iter().any(|(target, _)| target == name), "{name} is missing");
    }
}

/// `LibcpuidRaw` as `libcpuid_raw`.
fn snake(name: &str) -> String {
    let mut words = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.push(character.to_ascii_lowercase());
    }
    words
}

#[test]
fn every_target_has_a_program_and_seeds() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("seeds"), targets);
    assert!(names("regressions").is_subset(&targets), "a regression without target");
    for target in &targets {
        assert!(!entries(&Path::new("seeds").join(target)).is_empty(), "{target} has no seed");
    }
}

#[test]
fn no_oracle_minds_short_or_dull_input() {
    let dull: [&[u8]; 5] = [b"", b"\0", b"\n", &[0; 4096], &[0xff; 4096]];
    for (target, oracle) in TARGETS {
        for bytes in dull {
            println!("{target}: {} bytes", bytes.len());
            oracle(bytes);
        }
    }
}

//! Seeds and regressions go through the oracles of their targets; targets, programs and folders belong together.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

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
fn every_seed_and_every_regression_holds() {
    for (target, oracle) in TARGETS {
        for folder in ["seeds", "regressions"] {
            for path in entries(&Path::new(folder).join(target)) {
                println!("{}", path.display());
                oracle(&fs::read(&path).expect("a file can be read"));
            }
        }
    }
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

//! The oracles of the fuzz targets: functions from bytes to nothing that panic when a promise is broken.
//!
//! `cargo xtask fuzz` runs them under libFuzzer; `tests/regressions.rs` replays seeds and regressions through the same functions.
//! A target is a file in `fuzz_targets/`, a line in [`TARGETS`], a `[[bin]]` in the manifest and a folder in `seeds/`.

mod fields;
mod inputs;
mod msrs;
mod pool;
mod readers;
mod rendered;
mod words;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use libfuzzer_sys;

pub use fields::policy_fields;
pub use msrs::msr_file;
pub use pool::pool_laws;
pub use readers::{read_any, read_each, template, write_read};
pub use rendered::read_rendered;
pub use words::lookup;

/// Checks one input and panics when a promise is broken.
pub type Oracle = fn(&[u8]);

/// Every target and its oracle.
pub const TARGETS: [(&str, Oracle); 9] = [
    ("lookup", lookup),
    ("msr_file", msr_file),
    ("policy_fields", policy_fields),
    ("pool_laws", pool_laws),
    ("read_any", read_any),
    ("read_each", read_each),
    ("read_rendered", read_rendered),
    ("template", template),
    ("write_read", write_read),
];

/// Makes a program of an oracle: a libFuzzer target, or one that replays the files named on its command line.
#[cfg(fuzzing)]
#[macro_export]
macro_rules! target {
    ($oracle:path) => {
        $crate::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $oracle(bytes));
    };
}

/// Makes a program of an oracle: a libFuzzer target, or one that replays the files named on its command line.
#[cfg(not(fuzzing))]
#[macro_export]
macro_rules! target {
    ($oracle:path) => {
        fn main() -> std::io::Result<()> {
            $crate::replay($oracle)
        }
    };
}

/// Runs an oracle on the files named on the command line.
///
/// # Errors
/// When a file cannot be read.
pub fn replay(oracle: Oracle) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        oracle(&std::fs::read(&path)?);
        println!("{}: fine", path.display());
    }
    Ok(())
}

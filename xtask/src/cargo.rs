//! How tasks call cargo.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The cargo that runs this task.
pub(crate) fn command() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Where build output goes.
pub(crate) fn target_dir(root: &Path) -> PathBuf {
    let chosen = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"].into_iter().find_map(env::var_os);
    chosen.map_or_else(|| root.join("target"), |folder| root.join(folder))
}

//! Generated tables; this file is written by hand, the submodules by `cargo xtask codegen`.

pub(crate) mod index;
pub(crate) mod table;
#[cfg(feature = "names")]
pub(crate) mod text;

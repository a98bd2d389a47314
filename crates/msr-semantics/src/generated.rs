//! Generated tables; this file is written by hand, the submodules by `cargo xtask codegen`.

#[rustfmt::skip]
pub(crate) mod index;
#[rustfmt::skip]
pub(crate) mod table;
#[cfg(feature = "names")]
#[rustfmt::skip]
pub(crate) mod text;

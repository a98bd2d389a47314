//! The tables. This file is written by hand; its submodules by `cargo xtask codegen`.

#[rustfmt::skip]
pub(crate) mod control;
#[rustfmt::skip]
pub(crate) mod features;
#[rustfmt::skip]
pub(crate) mod fields;
#[rustfmt::skip]
pub mod flags;
#[rustfmt::skip]
pub(crate) mod leaves;
#[rustfmt::skip]
pub(crate) mod live;
#[cfg(feature = "names")]
#[rustfmt::skip]
pub(crate) mod names;
#[rustfmt::skip]
pub(crate) mod places;
#[rustfmt::skip]
pub(crate) mod rules;
#[cfg(feature = "names")]
#[rustfmt::skip]
pub(crate) mod text;
#[rustfmt::skip]
pub(crate) mod words;

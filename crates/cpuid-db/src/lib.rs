#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
// Shifts and sums of widths checked by the generator; overflow is impossible, not merely unlikely.
#![allow(clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

// The derive of `Arbitrary` names `std`; nothing else does.
#[cfg(any(test, feature = "arbitrary"))]
extern crate std;

mod answer;
mod control;
mod feature;
mod generated;
mod kernel;
mod live;
#[cfg(feature = "names")]
mod lookup;
mod policy;
mod registers;
mod row;
mod table;
mod vendor;

pub use answer::{Answer, Origin};
pub use control::{valid_cr4, valid_efer, valid_xcr0, valid_xss};
pub use feature::{Feature, FeatureSet, Iter, Location};
pub use generated::flags;
pub use kernel::{KernelVersion, KvmInputs, KvmModules, KvmRule};
pub use live::{Live, LiveRow, LiveSource, Semantics, live_rows};
#[cfg(feature = "names")]
pub use lookup::{Found, LookupError, Named, lookup, nearest};
pub use policy::{Basis, FieldAt, Policy, Unrecorded, UnrecordedList};
pub use registers::{Register, Registers};
pub use row::{
    Context, Derive, Edge, EdgeKind, Emulation, FeatureRow, Field, FieldKvm, FieldPlace, FieldRow, Gate, Kvm, LeafRow, Merge, OnConflict,
    Place, Word, ZeroMeans,
};
#[cfg(feature = "names")]
pub use row::{FeatureText, Project};
pub use table::{CpuidEntry, CpuidTable, MsrEntry, MsrTable, TableFull};
pub use vendor::{Signature, Vendor, Vendors};

pub use generated::fields::FIELD_SLOTS;
pub use generated::places::ENTRY_COUNT;
pub use generated::words::WORD_COUNT;

/// The registers that hold features, in the order of [`FeatureSet::words`].
pub fn words() -> &'static [Word] {
    &generated::words::WORDS
}

/// Every leaf and feature MSR that the database describes, in order.
pub fn leaves() -> &'static [LeafRow] {
    generated::leaves::LEAVES
}

/// Every leaf and subleaf that the database can fill, in order: what [`WORD_COUNT`] words and [`FIELD_SLOTS`] slots refer to by number.
pub fn entries() -> &'static [(u32, u32); ENTRY_COUNT] {
    &generated::places::ENTRIES
}

/// For each word of a feature set its entry; none for halves of MSRs.
pub fn word_entries() -> &'static [Option<u16>; WORD_COUNT] {
    &generated::places::WORD_ENTRIES
}

/// All merged fields with their subleaves, in order of slot, and their entries; none for fields of MSRs.
pub fn slots() -> &'static [(FieldAt, Option<u16>); FIELD_SLOTS] {
    &generated::places::SLOTS
}

/// Fields that have a value other than zero in every policy that has their leaf, and their entries.
pub fn static_fields() -> &'static [(Field, Option<u16>)] {
    generated::places::STATIC_FIELDS
}

/// Fields that are recomputed from the rest, in an order in which that can be done: maximum leaves last.
pub fn derived_fields() -> &'static [Field] {
    generated::places::DERIVED_FIELDS
}

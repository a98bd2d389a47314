#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

#[cfg(any(test, feature = "arbitrary"))]
extern crate std;

mod access;
mod control;
mod effects;
mod facts;
mod file;
mod filter;
mod generated;
#[cfg(feature = "harness")]
pub mod harness;
mod hooks;
mod lookup;
pub mod osvw;
mod refusal;
mod reset;
mod row;
mod settings;
mod unhandled;

pub use access::{Context, Initiator, Written};
pub use control::{Control, Controls};
pub use cpuid_db::Semantics;
pub use effects::{Capabilities, Effects, Quirks};
pub use file::{Masks, MsrFile};
pub use filter::{Compiled, Conflict, Direction, Filter, MAX_MSRS, MAX_RANGES, Range, Rule};
pub use hooks::{Access, Hook};
pub use lookup::{Entry, addresses, entry};
pub use refusal::{Class, Fault, Reason, Refusal};
pub use reset::Reset;
#[cfg(feature = "names")]
pub use row::MsrText;
pub use row::{Bits, Check, Condition, Door, Home, Init, Initial, Kind, KvmRow, Limit, Msr, Otherwise, Phase, Save, Scope, Term, Within};
pub use settings::{HostMask, Settings, SpecCtrl};
pub use unhandled::{Action, Unhandled, UnhandledRule};

/// The rows of the table, in order of address.
pub fn table() -> &'static [Msr] {
    &generated::table::TABLE
}

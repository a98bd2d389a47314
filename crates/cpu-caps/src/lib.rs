#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// A refusal tells of every feature that was asked for in vain. It stands beside a baseline that is a hundred times larger.
#![allow(clippy::result_large_err)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

#[cfg(test)]
extern crate std;

mod accept;
mod check;
mod closure;
mod context;
mod decision;
mod facts;
mod fields;
mod finish;
mod identity;
mod immunity;
mod merge;
mod pool;
mod refusal;
mod request;
mod restore;
mod shape;
mod stock_kvm;
mod tally;
mod time;
mod topology;
mod view;

pub use accept::Accept;
pub use check::{Because, Gap, GapKind, Guest, Subject, Verdict, check};
pub use decision::{Cause, Decision, Decisions, FieldDecision, Outcome, field_slots};
pub use finish::{Attempt, Baseline, attempt, finish};
pub use identity::Identity;
pub use pool::{Core, Machine, Pool};
pub use refusal::Refusal;
pub use request::{Base, Request};
pub use stock_kvm::StockKvm;
pub use tally::Tally;
pub use topology::{
    Choice, Choices, Finding, FindingKind, Frequencies, HypervisorClock, Level, Topology, TopologyError, TscRatio, check_topology,
    copy_caches, flatten_hybrid, is_hybrid, specialise,
};
pub use view::{FieldValue, View};

/// How many witnesses a pool keeps per fact unless told otherwise.
pub const WITNESSES: usize = 8;

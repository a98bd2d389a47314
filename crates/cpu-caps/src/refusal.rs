//! Why there is no policy.

use core::fmt;

use cpuid_db::{Feature, FeatureSet, FieldAt, TableFull, Vendor};

use crate::{Cause, Decision};

/// Why there is no policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// A pool without machines.
    Empty,
    /// Machines of different vendors.
    Vendors(Vendor, Vendor),
    /// An identity of another vendor than the pool's was asked for.
    Identity {
        /// The pool's.
        pool: Vendor,
        /// The one that was asked for.
        asked: Vendor,
    },
    /// A field on which machines must agree.
    Field {
        /// The field.
        at: FieldAt,
        /// The smallest value and a machine that has it.
        low: (u64, Option<u32>),
        /// The largest value and a machine that has it.
        high: (u64, Option<u32>),
    },
    /// Features were asked for and cannot be given. [`attempt`](crate::attempt) tells the decision about each.
    Impossible {
        /// The first of them.
        feature: Feature,
        /// What became of it.
        decision: Decision,
        /// All of them.
        all: FeatureSet,
    },
    /// Features that describe what the hardware does cannot be hidden honestly.
    Innate {
        /// The first of them.
        feature: Feature,
        /// All of them.
        all: FeatureSet,
    },
    /// The policy has more leaves than a table holds.
    Full(TableFull),
}

impl From<TableFull> for Refusal {
    fn from(full: TableFull) -> Self {
        Self::Full(full)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a pool without machines has no baseline"),
            Self::Vendors(low, high) => write!(f, "the pool mixes {low} and {high}: their feature bits, errata and MSRs differ"),
            Self::Identity { pool, asked } => write!(f, "a CPU of {asked} was asked for, and the machines are {pool}"),
            Self::Field { at, low, high } => {
                #[cfg(feature = "names")]
                write!(f, "{} differs: {:#x} and {:#x}; no guest can run on both", at.field.name(), low.0, high.0)?;
                #[cfg(not(feature = "names"))]
                write!(f, "field {} differs: {:#x} and {:#x}; no guest can run on both", at.field.index(), low.0, high.0)?;
                Ok(())
            }
            Self::Impossible { feature, decision, all } => impossible(f, *feature, decision, all),
            Self::Innate { feature, all } => {
                write!(f, "{feature} describes what the hardware does and cannot be hidden honestly")?;
                others(f, all)?;
                f.write_str("; force it to do so all the same")
            }
            Self::Full(full) => write!(f, "the policy does not fit: {full}"),
        }
    }
}

fn impossible(f: &mut fmt::Formatter<'_>, feature: Feature, decision: &Decision, all: &FeatureSet) -> fmt::Result {
    write!(f, "{feature} was asked for and cannot be given: {}", decision.cause.name())?;
    if let Cause::Requires(parent) = decision.cause {
        write!(f, " {parent}")?;
    }
    others(f, all)
}

/// How many more there are beside the first.
fn others(f: &mut fmt::Formatter<'_>, all: &FeatureSet) -> fmt::Result {
    match all.len() {
        0 | 1 => Ok(()),
        len => write!(f, " (and {} more)", len - 1),
    }
}

impl core::error::Error for Refusal {}

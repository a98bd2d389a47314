//! Odd MSRs: two pure functions each, one file each. By the time they run, gates, reserved and ignored bits have been dealt with.

mod commands;
mod tsc;

pub(crate) use commands::{FLUSH_CMD, PRED_CMD};
pub(crate) use tsc::{TSC, TSC_ADJUST};

use crate::access::Written;
use crate::file::MsrFile;
use crate::row::Msr;
use crate::{Context, Fault, Initiator};

/// What the row does not say about an MSR.
#[derive(Debug)]
pub struct Hook {
    /// What is read.
    pub read: fn(&Access<'_>) -> Result<u64, Fault>,
    /// What a write of this value leaves behind; ignored bits are already as they were.
    pub write: fn(&Access<'_>, u64) -> Result<Written, Fault>,
}

/// One access, as a hook sees it.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The MSRs, to look at.
    pub file: &'a MsrFile,
    /// What the file does not hold.
    pub cx: Context,
    /// Who.
    pub initiator: Initiator,
    /// The row.
    pub row: &'static Msr,
    /// The member of the row's family.
    pub number: u16,
    /// What is stored now.
    pub stored: u64,
    /// What the machine holds.
    pub host: u64,
}

impl PartialEq for Hook {
    /// Hooks are statics: each is itself.
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

/// Reads what is stored.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
pub(crate) fn stored(access: &Access<'_>) -> Result<u64, Fault> {
    Ok(access.stored)
}

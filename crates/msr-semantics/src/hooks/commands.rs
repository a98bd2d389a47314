//! IA32_PRED_CMD and IA32_FLUSH_CMD: commands. Nothing is stored, and reading is a fault before it comes here.

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::{Effects, Fault};

pub(crate) static PRED_CMD: Hook = Hook { read: stored, write: predict };
pub(crate) static FLUSH_CMD: Hook = Hook { read: stored, write: flush };

/// Bits of a command and what they ask for.
fn command(value: u64, bits: &[(u64, Effects)]) -> Written {
    let asked = bits.iter().filter(|(bit, _)| value & bit != 0);
    let effects = asked.fold(Effects::empty(), |all, (_, effect)| all | *effect);
    Written { value: 0, effects, also: None, acts: !effects.is_empty() }
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn predict(_: &Access<'_>, value: u64) -> Result<Written, Fault> {
    Ok(command(value, &[(1, Effects::IBPB), (1 << 7, Effects::SBPB)]))
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn flush(_: &Access<'_>, value: u64) -> Result<Written, Fault> {
    Ok(command(value, &[(1, Effects::FLUSH_L1D)]))
}

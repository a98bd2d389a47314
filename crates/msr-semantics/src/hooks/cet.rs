//! IA32_U_CET and IA32_S_CET: two states of indirect-branch tracking exclude each other (SDM vol. 1, "Control-Flow Enforcement").

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::{Fault, Reason};

pub(crate) static CET: Hook = Hook { read: stored, write };

const SUPPRESS: u64 = 1 << 10;
const TRACKER: u64 = 1 << 11;

fn write(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    if value & SUPPRESS != 0 && value & TRACKER != 0 {
        return Err(Fault::invalid(Reason::Conflict));
    }
    if !access.is_kvm() && !access.file.facts.is_canonical(value) {
        return Err(Fault::invalid(Reason::NotCanonical));
    }
    Ok(Written::plain(value))
}

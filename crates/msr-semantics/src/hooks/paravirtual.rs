//! KVM's own MSRs: the clock has an old and a new address each (Documentation/virt/kvm/x86/msr.rst), an acknowledgement is a command.

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::{Effects, Fault};

pub(crate) static PV_TWIN: Hook = Hook { read: stored, write: write_clock };
pub(crate) static PV_ACK: Hook = Hook { read: stored, write: acknowledge };

/// The other address of the wall clock or of the system time.
const fn twin(address: u32) -> Option<u32> {
    match address {
        0x11 => Some(0x4b56_4d00),
        0x12 => Some(0x4b56_4d01),
        0x4b56_4d00 => Some(0x11),
        0x4b56_4d01 => Some(0x12),
        _ => None,
    }
}

/// Also writing the same address again asks for the structure to be written again.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn write_clock(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let also = twin(access.address()).map(|twin| (twin, value));
    Ok(Written { also, acts: true, ..Written::plain(value) })
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn acknowledge(_: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let acts = value & 1 != 0;
    Ok(Written { effects: if acts { Effects::PARAVIRTUAL } else { Effects::empty() }, acts, ..Written::plain(0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Semantics;
    use crate::hooks::tests::{bare, guest};

    #[test]
    fn both_addresses_are_one_register() {
        let file = bare(Semantics::Kvm);
        for (old, new) in [(0x11, 0x4b56_4d00), (0x12, 0x4b56_4d01)] {
            assert_eq!(write_clock(&guest(&file, old, 0), 0x1001).unwrap().also, Some((new, 0x1001)));
            assert_eq!(write_clock(&guest(&file, new, 0), 0x1001).unwrap().also, Some((old, 0x1001)));
        }
    }

    /// Documentation/virt/kvm/x86/msr.rst: writing 1 to bit 0 makes the host look for the next event.
    #[test]
    fn only_bit_0_acknowledges() {
        let file = bare(Semantics::Kvm);
        for (value, acts) in [(0, false), (1, true), (2, false), (u64::MAX, true)] {
            let written = acknowledge(&guest(&file, 0x4b56_4d07, 0), value).unwrap();
            assert_eq!((written.value, written.acts), (0, acts), "{value:#x}");
        }
    }
}

//! VM_CR and SVM_KEY (APM vol. 2, "SVM Related MSRs" and "SVM-Lock"): once LOCK is set, LOCK and SVMDIS keep what they are until the key
//! is written, or until RESET; SVM cannot be disabled while EFER.SVME uses it.

use super::{Access, Hook, stored};
use crate::access::Written;
use crate::{Fault, Initiator, Reason, Semantics};

const ADDRESS: u32 = 0xc001_0114;
const LOCK: u64 = 1 << 3;
const SVMDIS: u64 = 1 << 4;
const EFER: u32 = 0xc000_0080;
const SVME: u64 = 1 << 12;

pub(crate) static VM_CR: Hook = Hook { read: stored, write: write_vm_cr };
pub(crate) static SVM_KEY: Hook = Hook { read: nothing, write: write_key };

fn write_vm_cr(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let kvm = access.file.settings.semantics == Semantics::Kvm;
    if access.initiator == Initiator::Host && !kvm {
        return Ok(Written::plain(value));
    }
    let svme = access.file.stored(EFER) & SVME != 0;
    settle(access.stored, value, svme, kvm).map(Written::plain).ok_or(Fault::invalid(Reason::Conflict))
}

/// What the register holds then; nothing if SVM would be disabled under a hypervisor's feet.
const fn settle(old: u64, new: u64, svme: bool, kvm: bool) -> Option<u64> {
    // KVM lets SVMDIS lock both bits; in the architecture LOCK does.
    let locked = old & if kvm { SVMDIS } else { LOCK } != 0;
    let value = if locked { new & !(LOCK | SVMDIS) | old & (LOCK | SVMDIS) } else { new };
    if value & SVMDIS != 0 && svme { None } else { Some(value) }
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn nothing(access: &Access<'_>) -> Result<u64, Fault> {
    // Only a snapshot may see the key.
    Ok(if access.initiator == Initiator::Host { access.stored } else { 0 })
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a hook")]
fn write_key(access: &Access<'_>, value: u64) -> Result<Written, Fault> {
    let vm_cr = access.file.stored(ADDRESS);
    if access.initiator == Initiator::Host || vm_cr & LOCK == 0 {
        return Ok(Written::plain(value));
    }
    let opens = value != 0 && value == access.stored;
    Ok(Written { also: opens.then_some((ADDRESS, vm_cr & !LOCK)), ..Written::plain(access.stored) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::tests::{bare, guest};

    /// Old value, written value, EFER.SVME, KVM's rule, outcome: APM vol. 2, 15.30.1 and 15.31; for KVM svm.c, svm_set_vm_cr.
    #[test]
    fn what_vm_cr_takes() {
        let table = [
            (0, SVMDIS, false, false, Some(SVMDIS)),
            (SVMDIS, 0, false, false, Some(0)),
            (LOCK | SVMDIS, 0, false, false, Some(LOCK | SVMDIS)),
            (LOCK, SVMDIS | 1, false, false, Some(LOCK | 1)),
            (0, SVMDIS, true, false, None),
            (0, LOCK, true, false, Some(LOCK)),
            (SVMDIS, 0, false, true, Some(SVMDIS)),
            (LOCK, SVMDIS, false, true, Some(SVMDIS)),
            (0, SVMDIS, true, true, None),
        ];
        for (old, new, svme, kvm, expected) in table {
            assert_eq!(settle(old, new, svme, kvm), expected, "{old:#x} {new:#x} {svme} {kvm}");
        }
    }

    #[test]
    fn the_key_opens_the_lock() {
        let mut file = bare(Semantics::Architectural);
        file.put(ADDRESS, LOCK);
        let access = guest(&file, 0xc001_0118, 5);
        assert_eq!((SVM_KEY.write)(&access, 4), Ok(Written::plain(5)), "the wrong key");
        assert_eq!((SVM_KEY.write)(&access, 5), Ok(Written { also: Some((ADDRESS, 0)), ..Written::plain(5) }));
        assert_eq!((SVM_KEY.write)(&guest(&file, 0xc001_0118, 0), 0), Ok(Written::plain(0)), "zero is no key");
        assert_eq!((SVM_KEY.read)(&access), Ok(0));
    }
}

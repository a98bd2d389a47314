//! RESET and INIT, and what is stored.

use crate::file::{MsrFile, Slot};
use crate::generated::index::find;
use crate::row::{Init, Initial};
use crate::{Controls, Semantics};

/// Which of the two resets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reset {
    /// Power-on or RESET#.
    Reset,
    /// INIT#, which spares most MSRs.
    Init,
}

impl MsrFile {
    /// Resets every MSR and control register. The CPU model stays.
    pub fn reset(&mut self, kind: Reset) {
        let kvm = self.settings.semantics == Semantics::Kvm;
        for slot in &mut self.slots {
            let msr = slot.msr();
            if kind == Reset::Init && msr.init == Init::Keep {
                continue;
            }
            let given = msr.kvm.as_ref().filter(|_| kvm).and_then(|kvm| kvm.reset);
            match (given, msr.reset) {
                (Some(value), _) | (None, Initial::Value(value)) => slot.value = value & self.facts.mask(msr.within, slot.host),
                (None, Initial::Policy) => {}
            }
        }
        self.controls = Controls::RESET;
    }

    /// Puts a value in without judging it.
    pub(crate) fn put(&mut self, address: u32, value: u64) {
        if let Some(slot) = find(address).and_then(|at| self.slots.get_mut(at)) {
            slot.value = value;
        }
    }

    /// What is stored for an address, whoever may see it; zero for addresses without a row.
    pub(crate) fn stored(&self, address: u32) -> u64 {
        find(address).and_then(|at| self.slots.get(at)).map_or(0, |slot: &Slot| slot.value)
    }
}

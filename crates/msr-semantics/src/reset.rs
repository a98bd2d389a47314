//! RESET and INIT, and what is stored.

use crate::Controls;
use crate::file::{MsrFile, Slot};
use crate::generated::index::find;
use crate::row::{Init, Initial};

/// Which of the two resets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reset {
    /// Power-on or RESET#.
    Reset,
    /// INIT#, which spares most MSRs.
    Init,
}

/// CR0.CD and CR0.NW.
const CACHE_BITS: u64 = 0x6000_0000;

impl MsrFile {
    /// Resets every MSR and control register. The CPU model stays.
    pub fn reset(&mut self, kind: Reset) {
        for slot in &mut self.slots {
            let msr = slot.msr();
            let spared = kind == Reset::Init && msr.init == Init::Keep;
            if !spared && !matches!(msr.reset, Initial::Policy(_)) {
                slot.value = slot.reset;
            }
        }
        // INIT leaves the cache bits and XCR0 alone (SDM vol. 3A, "Processor State After Reset").
        let old = core::mem::replace(&mut self.controls, Controls::RESET);
        if kind == Reset::Init {
            self.controls.cr0 = Controls::RESET.cr0 & !CACHE_BITS | old.cr0 & CACHE_BITS;
            self.controls.xcr0 = old.xcr0;
        }
    }

    /// Puts a value in without judging it: the state in which a test or a restored guest begins.
    pub fn put(&mut self, address: u32, value: u64) {
        if let Some(slot) = find(address).and_then(|at| self.slots.get_mut(at)) {
            slot.value = value;
        }
    }

    /// What is stored for an address, whoever may see it; zero for addresses without a row.
    pub fn stored(&self, address: u32) -> u64 {
        find(address).and_then(|at| self.slots.get(at)).map_or(0, |slot: &Slot| slot.value)
    }
}

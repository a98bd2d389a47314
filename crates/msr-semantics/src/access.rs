//! RDMSR and WRMSR.

use crate::file::{Gate, MsrFile, Shut, Slot};
use crate::generated::index::find;
use crate::hooks::Access;
use crate::row::{Check, Msr, Save};
use crate::{Class, Effects, Fault, Reason, Refusal, Semantics};

/// Who executes the access.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Initiator {
    /// RDMSR or WRMSR of the guest.
    Guest,
    /// The VMM: a restore.
    Host,
}

/// What the file does not hold and some MSRs depend on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Context {
    /// The time-stamp counter as the guest would read it with offset 0.
    pub tsc: u64,
}

impl MsrFile {
    /// RDMSR, or KVM_GET_MSRS.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for addresses without a row; [`Refusal::Fault`] where the access faults.
    pub fn read(&self, cx: &Context, address: u32, initiator: Initiator) -> Result<u64, Refusal> {
        let at = find(address).ok_or(Refusal::Unknown)?;
        let slot = self.slots.get(at).ok_or(Refusal::Unknown)?;
        if slot.quick_read && initiator == Initiator::Guest {
            return Ok(slot.value);
        }
        // Most of what another vendor's guest is refused goes this way.
        if let (Gate::Shut(shut, class), Initiator::Guest) = (slot.read, initiator) {
            return Err(Fault { reason: shut.reason(), class }.into());
        }
        self.read_slowly(*cx, slot, initiator)
    }

    fn read_slowly(&self, cx: Context, slot: &Slot, initiator: Initiator) -> Result<u64, Refusal> {
        let gate = if initiator == Initiator::Guest { slot.read } else { slot.host_read };
        match gate {
            Gate::Open if slot.plain => Ok(slot.value),
            Gate::Open => self.read_by_hook(cx, slot, initiator),
            Gate::Constant => Ok(Self::constant(slot, initiator)),
            Gate::Nothing => Ok(0),
            Gate::Shut(shut, Class::Unknown) if self.is_forgiven(slot, shut, initiator) => Ok(0),
            Gate::Shut(shut, class) => Err(Fault { reason: shut.reason(), class }.into()),
        }
    }

    fn read_by_hook(&self, cx: Context, slot: &Slot, initiator: Initiator) -> Result<u64, Refusal> {
        let Some(hook) = slot.msr().hook else { return Ok(slot.value) };
        (hook.read)(&self.access(cx, slot, initiator)).map_err(Refusal::Fault)
    }

    fn constant(slot: &Slot, initiator: Initiator) -> u64 {
        let Some(kvm) = &slot.msr().kvm else { return 0 };
        let door = if initiator == Initiator::Guest { &kvm.guest_read } else { &kvm.host_read };
        door.constant.unwrap_or(0)
    }

    /// KVM lets the host read zero from, and write zero to, everything that it lists (`kvm_do_msr_access`, arch/x86/kvm/x86.c).
    fn is_forgiven(&self, slot: &Slot, shut: Shut, initiator: Initiator) -> bool {
        // The row is looked at last: most refusals need not fetch it.
        let host = initiator == Initiator::Host && self.settings.semantics == Semantics::Kvm;
        host && shut != Shut::OtherVendor && slot.msr().kvm.as_ref().is_some_and(|kvm| kvm.advertised)
    }

    pub(crate) fn access<'a>(&'a self, cx: Context, slot: &'a Slot, initiator: Initiator) -> Access<'a> {
        Access { file: self, cx, initiator, row: slot.msr(), number: slot.number, stored: slot.value, host: slot.host }
    }

    /// WRMSR, or KVM_SET_MSRS. A refused write changes nothing.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for addresses without a row; [`Refusal::Fault`] where the access faults, or the value cannot be restored.
    pub fn write(&mut self, cx: &Context, address: u32, value: u64, initiator: Initiator) -> Result<Effects, Refusal> {
        let at = find(address).ok_or(Refusal::Unknown)?;
        let slot = self.slots.get_mut(at).ok_or(Refusal::Unknown)?;
        let reserved = (slot.value ^ value) & !(slot.stored | slot.ignored);
        if slot.quick_write && reserved == 0 && initiator == Initiator::Guest {
            let old = slot.value;
            slot.value = old & !slot.stored | value & slot.stored;
            return Ok(if slot.value == old { Effects::empty() } else { slot.effects });
        }
        if let (Gate::Shut(shut, class), Initiator::Guest) = (slot.write, initiator) {
            return Err(Fault { reason: shut.reason(), class }.into());
        }
        self.write_slowly(*cx, at, value, initiator)
    }

    fn write_slowly(&mut self, cx: Context, at: usize, value: u64, initiator: Initiator) -> Result<Effects, Refusal> {
        let slot = self.slots.get(at).ok_or(Refusal::Unknown)?;
        let gate = if initiator == Initiator::Guest { slot.write } else { slot.host_write };
        match gate {
            Gate::Open => {}
            Gate::Constant | Gate::Nothing => return Ok(Effects::empty()),
            Gate::Shut(shut, Class::Unknown) if value == 0 && self.is_forgiven(slot, shut, initiator) => return Ok(Effects::empty()),
            Gate::Shut(shut, class) => return Err(Fault { reason: shut.reason(), class }.into()),
        }
        let written = self.judge(cx, slot, value, initiator)?;
        Ok(self.store(at, &written))
    }

    /// What the write would leave behind.
    fn judge(&self, cx: Context, slot: &Slot, value: u64, initiator: Initiator) -> Result<Written, Fault> {
        let msr = slot.msr();
        if msr.frozen && self.ran && initiator == Initiator::Host && value != slot.value {
            return Err(Fault::invalid(Reason::Frozen));
        }
        let reserved = (slot.value ^ value) & !(slot.stored | slot.ignored | slot.clears);
        let restores = self.settings.semantics == Semantics::Architectural && initiator == Initiator::Host;
        if restores && msr.save == Save::Model && value == slot.value {
            // The CPU model that the guest has: whatever the machine's own is, this one was accepted when the guest was made.
            return Ok(Written::plain(value));
        }
        let unchecked = self.is_unchecked(msr, initiator);
        if reserved != 0 && !unchecked {
            let reason = if restores { Reason::Unsupported(reserved) } else { Reason::ReservedBits(reserved) };
            return Err(Fault::invalid(reason));
        }
        if !unchecked {
            self.obeys(msr, value)?;
        }
        let kept = slot.value & !(slot.stored | slot.clears) | value & slot.stored | value & slot.value & slot.clears;
        match msr.hook {
            None => Ok(Written::plain(kept)),
            Some(hook) => (hook.write)(&self.access(cx, slot, initiator), kept),
        }
    }

    fn is_unchecked(&self, msr: &Msr, initiator: Initiator) -> bool {
        let free = initiator == Initiator::Host && self.settings.semantics == Semantics::Kvm;
        free && msr.kvm.as_ref().is_some_and(|kvm| kvm.unchecked)
    }

    /// The rule on the whole value.
    fn obeys(&self, msr: &Msr, value: u64) -> Result<(), Fault> {
        let of_memory = |byte: &u8| matches!(byte, 0 | 1 | 4 | 5 | 6);
        let bytes = value.to_le_bytes();
        let reason = match msr.check {
            Check::Any => return Ok(()),
            Check::Canonical if self.facts.is_canonical(value) => return Ok(()),
            Check::Canonical => Reason::NotCanonical,
            Check::Pat if bytes.iter().all(|byte| of_memory(byte) || *byte == 7) => return Ok(()),
            Check::MemoryTypes if bytes.iter().all(of_memory) => return Ok(()),
            Check::MemoryType if bytes.first().is_some_and(of_memory) => return Ok(()),
            Check::AllOrNothing if value == 0 || value == u64::MAX => return Ok(()),
            Check::Zero if value == 0 => return Ok(()),
            Check::Pat | Check::MemoryTypes | Check::MemoryType | Check::AllOrNothing | Check::Zero => Reason::BadEncoding,
        };
        Err(Fault::invalid(reason))
    }

    fn store(&mut self, at: usize, written: &Written) -> Effects {
        let mut effects = written.effects;
        if let Some(slot) = self.slots.get_mut(at) {
            if slot.value != written.value || written.acts {
                effects |= slot.effects;
            }
            slot.value = written.value;
        }
        if let Some((address, value)) = written.also
            && let Some(slot) = find(address).and_then(|at| self.slots.get_mut(at))
        {
            slot.value = value;
        }
        effects
    }
}

/// What a write leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// What the MSR holds then.
    pub value: u64,
    /// What the write asks for beside the row's effects.
    pub effects: Effects,
    /// Another MSR that changes with it.
    pub also: Option<(u32, u64)>,
    /// The write acts even if the value stays: a command.
    pub acts: bool,
}

impl Written {
    /// Just the value.
    pub const fn plain(value: u64) -> Self {
        Self { value, effects: Effects::empty(), also: None, acts: false }
    }
}

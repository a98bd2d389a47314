//! The MSRs of one virtual CPU.

use core::array::from_fn;

use cpuid_db::Policy;

use crate::facts::Facts;
use crate::generated::index::{INSTANCE_COUNT, INSTANCES, find};
use crate::generated::table::TABLE;
use crate::row::{Check, Door, Home, Initial, Kind, KvmRow, Msr, Otherwise, Within};
use crate::{Class, Controls, Effects, Quirks, Reason, Semantics, Settings, SpecCtrl};

/// One address of the table: the rows that describe it, by vendor.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) address: u32,
    /// Row, and number in the row's family.
    pub(crate) rows: &'static [(u16, u16)],
}

/// Who gets in, resolved for one guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gate {
    /// To what is stored.
    Open,
    /// A constant is read, a write is dropped.
    Constant,
    /// Zero is read, a write is dropped.
    Nothing,
    /// Refused.
    Shut(Shut, Class),
}

/// Why a gate is shut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shut {
    OtherVendor,
    NotEnumerated,
    NoSuchMember,
    WriteOnly,
    ReadOnly,
}

impl Shut {
    pub(crate) const fn reason(self) -> Reason {
        match self {
            Self::OtherVendor => Reason::OtherVendor,
            Self::NotEnumerated => Reason::NotEnumerated,
            Self::NoSuchMember => Reason::NoSuchMember,
            Self::WriteOnly => Reason::WriteOnly,
            Self::ReadOnly => Reason::ReadOnly,
        }
    }
}

/// One MSR of this guest.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Slot {
    pub(crate) value: u64,
    /// What RESET brings.
    pub(crate) reset: u64,
    /// Bits that a write changes.
    pub(crate) stored: u64,
    /// Bits that a write may have either way, and does not change.
    pub(crate) ignored: u64,
    /// Bits that a write can only clear.
    pub(crate) clears: u64,
    /// Bits that the machine holds.
    pub(crate) host: u64,
    pub(crate) row: u16,
    pub(crate) number: u16,
    pub(crate) read: Gate,
    pub(crate) write: Gate,
    pub(crate) host_read: Gate,
    pub(crate) host_write: Gate,
    /// Nothing but masks decides.
    pub(crate) plain: bool,
    /// The guest reads what is stored, and no rule is to be asked.
    pub(crate) quick_read: bool,
    /// The guest writes under the masks, and no rule is to be asked.
    pub(crate) quick_write: bool,
    /// What a change asks of the VMM.
    pub(crate) effects: Effects,
}

const ABSENT: Gate = Gate::Shut(Shut::OtherVendor, Class::Unknown);

impl Slot {
    const ABSENT: Self = Self {
        value: 0,
        reset: 0,
        stored: 0,
        ignored: 0,
        clears: 0,
        host: 0,
        row: 0,
        number: 0,
        read: ABSENT,
        write: ABSENT,
        host_read: ABSENT,
        host_write: ABSENT,
        plain: true,
        quick_read: false,
        quick_write: false,
        effects: Effects::empty(),
    };

    /// The row that describes it.
    pub(crate) fn msr(&self) -> &'static Msr {
        TABLE.get(usize::from(self.row)).unwrap_or(&TABLE[0])
    }
}

/// What a write may change in one MSR of one guest, before hooks and rules on the whole value narrow it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Masks {
    /// Bits that take what is written.
    pub stored: u64,
    /// Bits that are dropped.
    pub ignored: u64,
    /// Bits that a written zero clears.
    pub clears: u64,
}

/// The MSRs and control registers of one virtual CPU: what it holds, and what it would do.
#[derive(Clone, Debug)]
pub struct MsrFile {
    pub(crate) slots: [Slot; INSTANCE_COUNT],
    pub(crate) facts: Facts,
    pub(crate) settings: Settings<'static>,
    pub(crate) controls: Controls,
    /// The CPU model is frozen.
    pub(crate) ran: bool,
}

impl MsrFile {
    /// The MSRs of a CPU with this policy, after RESET. Every gate is resolved here, once.
    pub fn new(policy: &Policy, settings: &Settings<'_>) -> Self {
        let facts = Facts::new(policy, settings);
        let slots = from_fn(|at| INSTANCES.get(at).map_or(Slot::ABSENT, |instance| resolve(instance, &facts, policy, settings)));
        let settings = Settings { host: &[], ..*settings };
        Self { slots, facts, settings, controls: Controls::RESET, ran: false }
    }

    /// What a write to this address may change, for this guest; `None` without a row.
    pub fn masks(&self, address: u32) -> Option<Masks> {
        let slot = self.slots.get(find(address)?)?;
        Some(Masks { stored: slot.stored, ignored: slot.ignored, clears: slot.clears })
    }

    /// Tells that the CPU has run: its model does not change any more.
    pub fn run(&mut self) {
        self.ran = true;
    }
}

fn resolve(instance: &Instance, facts: &Facts, policy: &Policy, settings: &Settings<'_>) -> Slot {
    let vendor = facts.vendor.set();
    let rows = || instance.rows.iter().filter_map(|(at, number)| Some((at, number, TABLE.get(usize::from(*at))?)));
    let everywhere = |msr: &Msr| settings.semantics == Semantics::Kvm && msr.kvm.as_ref().is_some_and(|kvm| kvm.everywhere);
    let own = rows().find(|(.., msr)| msr.vendors.is_empty() || msr.vendors.contains(vendor));
    let Some((row, number, msr)) = own.or_else(|| rows().find(|(.., msr)| everywhere(msr))) else {
        return absent(instance);
    };
    let mut slot = Slot { row: *row, number: *number, plain: msr.hook.is_none(), ..Slot::ABSENT };
    let listed = settings.host.iter().find(|host| host.address == instance.address);
    slot.reset = initial(msr, instance.address, policy, facts, settings);
    slot.value = slot.reset;
    // A machine that does not say holds what the guest was told.
    let told = if matches!(msr.reset, Initial::Policy(_)) { slot.value } else { u64::MAX };
    slot.host = listed.map_or(told, |host| host.mask);
    masks(&mut slot, msr, facts, settings);
    doors(&mut slot, msr, facts, settings);
    slot.effects = if msr.home == Home::Hardware { msr.effects | Effects::FORWARD } else { msr.effects };
    slot.quick_read = slot.plain && slot.read == Gate::Open;
    slot.quick_write = slot.plain && slot.write == Gate::Open && slot.clears == 0 && msr.check == Check::Any;
    slot
}

/// Another vendor's MSR. The first row says what it would be.
fn absent(instance: &Instance) -> Slot {
    let (row, number) = instance.rows.first().copied().unwrap_or_default();
    Slot { row, number, ..Slot::ABSENT }
}

fn masks(slot: &mut Slot, msr: &Msr, facts: &Facts, settings: &Settings<'_>) {
    let kvm = msr.kvm.as_ref().filter(|_| settings.semantics == Semantics::Kvm);
    for bits in kvm.and_then(|kvm| kvm.bits).unwrap_or(msr.bits) {
        let kind = if facts.meets(bits.needs) { bits.kind } else { bits.without };
        match kind {
            Kind::Stored => slot.stored |= bits.mask(),
            Kind::Ignored => slot.ignored |= bits.mask(),
            Kind::Clears => slot.clears |= bits.mask(),
            Kind::Reserved => {}
        }
    }
    // KVM tries a value on the hardware, whatever the guest was told.
    let tried = msr.within == Within::Host && (kvm.is_some() || settings.spec_ctrl == SpecCtrl::PassThrough);
    match kvm {
        Some(KvmRow { valid: Some(valid), dropped, .. }) => {
            (slot.stored, slot.ignored, slot.clears) = (valid & !dropped, *dropped, 0);
        }
        _ if tried && slot.host != u64::MAX => slot.stored = slot.host,
        _ => {
            let within = facts.mask(msr.within, slot.host);
            if msr.beyond == Kind::Ignored {
                slot.ignored |= slot.stored & !within;
            }
            slot.stored &= within;
        }
    }
}

fn initial(msr: &Msr, address: u32, policy: &Policy, facts: &Facts, settings: &Settings<'_>) -> u64 {
    let kvm = msr.kvm.as_ref().filter(|_| settings.semantics == Semantics::Kvm);
    let given = kvm.and_then(|kvm| kvm.reset);
    let stuffed = kvm.is_none() || settings.quirks.contains(Quirks::STUFF_FEATURE_MSRS);
    match msr.reset {
        // A bit that this guest does not have is not set, either.
        Initial::Value(value) => given.unwrap_or(value & !closed(msr, facts)) & facts.mask(msr.within, u64::MAX),
        Initial::GpCounters => facts.mask(Within::GpCounters, 0),
        Initial::Policy(value) => policy.msrs.get(address).unwrap_or(if stuffed { given.unwrap_or(value) } else { 0 }),
    }
}

/// Bits whose condition does not hold.
fn closed(msr: &Msr, facts: &Facts) -> u64 {
    msr.bits.iter().filter(|bits| !facts.meets(bits.needs)).fold(0, |mask, bits| mask | bits.mask())
}

fn doors(slot: &mut Slot, msr: &Msr, facts: &Facts, settings: &Settings<'_>) {
    let member = slot.number < facts.limit(msr.limit);
    if let (Semantics::Kvm, Some(kvm)) = (settings.semantics, &msr.kvm) {
        let open = |door: &Door| if facts.meets(door.when) && member { passage(door) } else { refusal(door, member) };
        (slot.read, slot.write) = (open(&kvm.guest_read), open(&kvm.guest_write));
        (slot.host_read, slot.host_write) = (open(&kvm.host_read), open(&kvm.host_write));
        return;
    }
    let shut = match (facts.meets(msr.present), member) {
        (false, _) => Some(Shut::NotEnumerated),
        (true, false) => Some(Shut::NoSuchMember),
        (true, true) => None,
    };
    let gate = |allowed: bool, otherwise: Shut| match shut {
        Some(shut) => Gate::Shut(shut, Class::Unknown),
        None if allowed => Gate::Open,
        None => Gate::Shut(otherwise, Class::Invalid),
    };
    slot.read = gate(msr.readable, Shut::WriteOnly);
    slot.write = gate(msr.writable, Shut::ReadOnly);
    // The host sees what is stored even where the guest cannot; it restores what the guest could have stored.
    slot.host_read = gate(true, Shut::WriteOnly);
    slot.host_write = gate(true, Shut::ReadOnly);
}

fn passage(door: &Door) -> Gate {
    if door.constant.is_some() { Gate::Constant } else { Gate::Open }
}

fn refusal(door: &Door, member: bool) -> Gate {
    let shut = if member { Shut::NotEnumerated } else { Shut::NoSuchMember };
    match door.otherwise {
        Otherwise::Invalid => Gate::Shut(shut, Class::Invalid),
        Otherwise::Unknown => Gate::Shut(shut, Class::Unknown),
        Otherwise::Nothing => Gate::Nothing,
    }
}

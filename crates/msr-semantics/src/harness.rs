//! Steps and the laws that hold after each: what unit tests, property tests, fuzzing and other subjects share.
//!
//! A law says nothing about what a particular MSR does; that is the business of scenarios.

use core::fmt;

use crate::{Context, Effects, Initiator, Masks, MsrFile, Refusal, Reset, Semantics, addresses};

/// One thing that is done to a subject.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Step {
    /// RDMSR, or the host's read.
    Read {
        /// The MSR.
        address: u32,
        /// The host does it.
        host: bool,
    },
    /// WRMSR, or the host's write.
    Write {
        /// The MSR.
        address: u32,
        /// What is written.
        value: u64,
        /// The host does it.
        host: bool,
    },
    /// RESET, or INIT.
    Reset {
        /// INIT.
        init: bool,
    },
    /// The host reads everything and writes it back.
    SaveRestore,
}

/// As a line of a scenario.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = |host: bool| if host { ", by = \"host\"" } else { "" };
        match *self {
            Self::Read { address, host } => write!(f, "{{ rdmsr = \"{address:#x}\"{} }}", by(host)),
            Self::Write { address, value, host } => write!(f, "{{ wrmsr = \"{address:#x}\", value = \"{value:#x}\"{} }}", by(host)),
            Self::Reset { init } => write!(f, "{{ reset = \"{}\" }}", if init { "init" } else { "reset" }),
            Self::SaveRestore => f.write_str("{ save_restore = true }"),
        }
    }
}

/// Something that has MSRs.
pub trait Subject {
    /// RDMSR, or the host's read.
    ///
    /// # Errors
    /// As the subject says.
    fn read(&self, address: u32, initiator: Initiator) -> Result<u64, Refusal>;

    /// WRMSR, or the host's write.
    ///
    /// # Errors
    /// As the subject says.
    fn write(&mut self, address: u32, value: u64, initiator: Initiator) -> Result<Effects, Refusal>;

    /// RESET, or INIT.
    fn reset(&mut self, kind: Reset);

    /// What is stored, whoever may see it.
    fn stored(&self, address: u32) -> u64;

    /// What a write may change.
    fn masks(&self, address: u32) -> Option<Masks>;

    /// A number that differs if anything stored differs, as far as a number can.
    fn state(&self) -> u64;

    /// The host may write back whatever it reads.
    fn restores_all(&self) -> bool;
}

impl Subject for MsrFile {
    fn read(&self, address: u32, initiator: Initiator) -> Result<u64, Refusal> {
        Self::read(self, &Context::default(), address, initiator)
    }

    fn write(&mut self, address: u32, value: u64, initiator: Initiator) -> Result<Effects, Refusal> {
        Self::write(self, &Context::default(), address, value, initiator)
    }

    fn reset(&mut self, kind: Reset) {
        Self::reset(self, kind);
    }

    fn stored(&self, address: u32) -> u64 {
        Self::stored(self, address)
    }

    fn masks(&self, address: u32) -> Option<Masks> {
        Self::masks(self, address)
    }

    fn state(&self) -> u64 {
        self.slots.iter().fold(0, |sum: u64, slot| sum.wrapping_mul(0x0100_0000_01b3).wrapping_add(slot.value).rotate_left(7))
    }

    fn restores_all(&self) -> bool {
        self.settings.semantics == Semantics::Architectural
    }
}

/// What must hold after a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Law {
    /// A read changes nothing.
    ReadChanged,
    /// A refused access changes nothing.
    RefusedChanged,
    /// A write changes what its masks allow, and nothing else of its MSR.
    OutsideMasks,
    /// An MSR without a row is unknown, and only such an MSR.
    Unknown,
    /// What an accepted write leaves behind can be restored by the host.
    NotRestorable,
    /// Restoring what was saved changes nothing.
    RestoreChanged,
    /// Two resets are one.
    ResetTwice,
}

/// A law that did not hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Broken {
    /// The number of the step, from 0.
    pub at: usize,
    /// The step.
    pub step: Step,
    /// The law.
    pub law: Law,
    /// The MSR.
    pub address: u32,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:#x} after step {}: {}", self.law, self.address, self.at, self.step)
    }
}

impl core::error::Error for Broken {}

/// Does the steps and looks after each whether the laws hold.
///
/// # Errors
/// The first law that did not.
pub fn run(subject: &mut impl Subject, steps: &[Step]) -> Result<(), Broken> {
    for (at, step) in steps.iter().enumerate() {
        let outcome = match *step {
            Step::Read { address, host } => reads(subject, address, by(host)),
            Step::Write { address, value, host } => writes(subject, address, value, by(host)),
            Step::Reset { init } => resets(subject, if init { Reset::Init } else { Reset::Reset }),
            Step::SaveRestore => restores(subject),
        };
        outcome.map_err(|(law, address)| Broken { at, step: *step, law, address })?;
    }
    Ok(())
}

const fn by(host: bool) -> Initiator {
    if host { Initiator::Host } else { Initiator::Guest }
}

type Outcome = Result<(), (Law, u32)>;

fn holds(condition: bool, law: Law, address: u32) -> Outcome {
    if condition { Ok(()) } else { Err((law, address)) }
}

fn reads(subject: &impl Subject, address: u32, initiator: Initiator) -> Outcome {
    let before = subject.state();
    let unknown = subject.read(address, initiator) == Err(Refusal::Unknown);
    holds(unknown == subject.masks(address).is_none(), Law::Unknown, address)?;
    holds(subject.state() == before, Law::ReadChanged, address)
}

fn writes(subject: &mut impl Subject, address: u32, value: u64, initiator: Initiator) -> Outcome {
    let (before, old) = (subject.state(), subject.stored(address));
    let written = subject.write(address, value, initiator);
    holds((written == Err(Refusal::Unknown)) == subject.masks(address).is_none(), Law::Unknown, address)?;
    if written.is_err() {
        return holds(subject.state() == before, Law::RefusedChanged, address);
    }
    let masks = subject.masks(address).unwrap_or(Masks { stored: 0, ignored: 0, clears: 0 });
    let changed = old ^ subject.stored(address);
    let set = changed & subject.stored(address);
    holds(changed & !(masks.stored | masks.clears) == 0 && set & masks.clears == 0, Law::OutsideMasks, address)?;
    if subject.restores_all() { restores_one(subject, address) } else { Ok(()) }
}

fn restores_one(subject: &mut impl Subject, address: u32) -> Outcome {
    let before = subject.state();
    let Ok(saved) = subject.read(address, Initiator::Host) else { return Ok(()) };
    holds(subject.write(address, saved, Initiator::Host).is_ok(), Law::NotRestorable, address)?;
    holds(subject.state() == before, Law::RestoreChanged, address)
}

fn restores(subject: &mut impl Subject) -> Outcome {
    if !subject.restores_all() {
        return Ok(());
    }
    addresses().try_for_each(|address| restores_one(subject, address))
}

fn resets(subject: &mut impl Subject, kind: Reset) -> Outcome {
    subject.reset(kind);
    let once = subject.state();
    subject.reset(kind);
    holds(subject.state() == once, Law::ResetTwice, 0)
}

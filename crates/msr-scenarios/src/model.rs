//! The model of `msr-semantics` as an engine.

use msr_semantics::{Action, Class, Context, Control, Direction, Filter, Initiator, MsrFile, Refusal, Semantics, Settings, Unhandled};

use crate::{Engine, FilterSpec, Outcome, Scenario, StepKind, UnhandledSpec};

/// The time that scenarios see.
const CX: Context = Context { tsc: 0 };

const EFER: u32 = 0xc000_0080;
const IA32_XSS: u32 = 0xda0;

/// The model.
#[derive(Debug, Default)]
pub struct Model {
    guest: Option<Box<Guest>>,
}

#[derive(Debug)]
struct Guest {
    file: MsrFile,
    filter: Option<FilterSpec>,
    unhandled: UnhandledSpec,
    semantics: Semantics,
}

impl Engine for Model {
    fn begin(&mut self, scenario: &Scenario) -> Result<(), String> {
        let settings = Settings {
            semantics: scenario.semantics,
            spec_ctrl: scenario.spec_ctrl,
            capabilities: scenario.capabilities,
            quirks: scenario.quirks,
            same_model: scenario.same_model,
            host: &scenario.host_msrs,
        };
        let mut file = MsrFile::new(&scenario.guest, &settings);
        if let Some(efer) = scenario.efer {
            file.put(EFER, efer);
        }
        if let Some(controls) = scenario.state {
            file.set_controls(controls);
        }
        let (filter, unhandled) = (scenario.filter.clone(), scenario.unhandled.clone());
        self.guest = Some(Box::new(Guest { file, filter, unhandled, semantics: scenario.semantics }));
        Ok(())
    }

    fn step(&mut self, step: &StepKind) -> (Outcome, String) {
        let Some(guest) = self.guest.as_mut() else { return skipped("no scenario has begun") };
        match step {
            StepKind::Read { address, by, reply } => guest.read(*address, *by, *reply),
            StepKind::Write { address, value, by, reply } => guest.write(*address, *value, *by, *reply),
            StepKind::Control { register, value, by } => guest.control(register, *value, *by),
            StepKind::Reset(kind) => {
                guest.file.reset(*kind);
                (Outcome::Ok, String::new())
            }
            StepKind::Cpuid { .. } => skipped("the model of MSRs does not answer CPUID yet"),
            StepKind::Instruction(_) => skipped("the model of MSRs executes no other instructions yet"),
            StepKind::SaveRestore { .. } => skipped("the model of MSRs takes no snapshots yet"),
        }
    }
}

fn skipped(why: &str) -> (Outcome, String) {
    (Outcome::Skipped(why.to_owned()), why.to_owned())
}

impl Guest {
    fn is_filtered(&self, address: u32, direction: Direction, by: Initiator) -> bool {
        let filter = self.filter.as_ref().filter(|_| by == Initiator::Guest);
        filter.is_some_and(|filter| !Filter { default_allow: filter.default_allow, rules: &filter.rules }.allows(address, direction))
    }

    fn read(&self, address: u32, by: Initiator, reply: Option<Result<u64, ()>>) -> (Outcome, String) {
        if self.is_filtered(address, Direction::Read, by) {
            return self.deflect(address, Direction::Read, Class::Filter, reply);
        }
        match self.file.read(&CX, address, by) {
            Ok(value) => (Outcome::Value(value), String::new()),
            Err(refusal) => self.refused(address, Direction::Read, by, refusal, reply),
        }
    }

    fn write(&mut self, address: u32, value: u64, by: Initiator, reply: Option<Result<u64, ()>>) -> (Outcome, String) {
        if self.is_filtered(address, Direction::Write, by) {
            return self.deflect(address, Direction::Write, Class::Filter, reply);
        }
        match self.file.write(&CX, address, value, by) {
            Ok(_) => (Outcome::Ok, String::new()),
            Err(refusal) => self.refused(address, Direction::Write, by, refusal, reply),
        }
    }

    fn refused(&self, address: u32, way: Direction, by: Initiator, refusal: Refusal, reply: Option<Result<u64, ()>>) -> (Outcome, String) {
        let why = refusal.to_string();
        match refusal {
            _ if by == Initiator::Host => (Outcome::Refused, why),
            Refusal::Unknown => self.deflect(address, way, Class::Unknown, reply),
            Refusal::Fault(fault) if self.semantics == Semantics::Kvm => self.deflect(address, way, fault.class, reply),
            Refusal::Fault(_) => (Outcome::Gp, why),
        }
    }

    /// What the VMM does with an access that KVM does not answer. An exit that the scenario answers goes on as answered.
    fn deflect(&self, address: u32, way: Direction, class: Class, reply: Option<Result<u64, ()>>) -> (Outcome, String) {
        let unhandled = Unhandled { rules: &self.unhandled.rules, rest: Action::Fault };
        match (unhandled.action(address, way), way) {
            (Action::Fault, _) => (Outcome::Gp, "nobody answers, and the VMM chose #GP".to_owned()),
            (Action::Ignore, Direction::Read) => (Outcome::Value(0), "nobody answers, and the VMM chose to ignore".to_owned()),
            (Action::Ignore, Direction::Write) => (Outcome::Ok, "nobody answers, and the VMM chose to ignore".to_owned()),
            (Action::Exit, _) => (Outcome::Exit(class), format!("the VMM's handler answers {reply:?}")),
        }
    }

    fn control(&mut self, register: &str, value: u64, by: Initiator) -> (Outcome, String) {
        let outcome = match register {
            "cr0" => self.file.write_control(Control::Cr0, value, by),
            "cr4" => self.file.write_control(Control::Cr4, value, by),
            "xcr0" => self.file.write_control(Control::Xcr0, value, by),
            "efer" => self.file.write(&CX, EFER, value, by),
            _ => self.file.write(&CX, IA32_XSS, value, by),
        };
        match outcome {
            Ok(_) => (Outcome::Ok, String::new()),
            Err(refusal) if by == Initiator::Host => (Outcome::Refused, refusal.to_string()),
            Err(refusal) => (Outcome::Gp, refusal.to_string()),
        }
    }
}

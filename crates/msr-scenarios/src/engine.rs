//! What runs scenarios.

use msr_semantics::Class;

use crate::{Scenario, StepKind};

/// What came of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was done.
    Ok,
    /// This was read.
    Value(u64),
    /// #GP(0).
    Gp,
    /// #UD.
    Ud,
    /// User space was asked, for this reason.
    Exit(Class),
    /// The host was refused.
    Refused,
    /// EAX, EBX, ECX, EDX.
    Registers([u32; 4]),
    /// The engine cannot do this, for this reason.
    Skipped(String),
}

/// Something that can be a guest's CPU: a model, a simulation, a real one.
pub trait Engine {
    /// Becomes the guest of a scenario.
    ///
    /// # Errors
    /// Why this engine cannot: all steps are skipped with this reason.
    fn begin(&mut self, scenario: &Scenario) -> Result<(), String>;

    /// Does one step, and says why it came out so.
    fn step(&mut self, step: &StepKind) -> (Outcome, String);
}

//! Runs scenarios on an engine.

use crate::{Engine, Expect, Outcome, Scenario, StepKind};

/// Whether a step came out as expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Yes.
    Passed,
    /// No.
    Failed,
    /// It was not done.
    Skipped,
}

impl Verdict {
    /// The word used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One step and what came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Result {
    /// Line of the step in the file.
    pub line: usize,
    /// Number of the step, from 1.
    pub step: usize,
    /// What was expected.
    pub expected: Expect,
    /// What came.
    pub outcome: Outcome,
    /// Whether that is right.
    pub verdict: Verdict,
    /// Why it came out so, as the engine says.
    pub because: String,
}

/// Runs one scenario. After a step that came out wrong or was skipped, the rest is skipped: the guest is not where the file thinks.
pub fn run(scenario: &Scenario, engine: &mut dyn Engine) -> Vec<Result> {
    let mut stopped = engine.begin(scenario).err();
    let mut results = Vec::with_capacity(scenario.steps.len());
    for (at, step) in scenario.steps.iter().enumerate() {
        let (outcome, because) = match &stopped {
            Some(reason) => (Outcome::Skipped(reason.clone()), reason.clone()),
            None => engine.step(&step.kind),
        };
        let verdict = judge(&step.expect, &outcome);
        match verdict {
            Verdict::Failed => stopped = Some(format!("step {} came out wrong", at + 1)),
            Verdict::Skipped if stopped.is_none() && changes(&step.kind) => {
                stopped = Some(format!("step {} was skipped: {because}", at + 1));
            }
            _ => {}
        }
        results.push(Result { line: step.line, step: at + 1, expected: step.expect.clone(), outcome, verdict, because });
    }
    results
}

/// Whether later steps may depend on this one.
fn changes(kind: &StepKind) -> bool {
    !matches!(kind, StepKind::Read { .. } | StepKind::Cpuid { .. } | StepKind::Instruction(_))
}

fn judge(expect: &Expect, outcome: &Outcome) -> Verdict {
    let right = match (expect, outcome) {
        (_, Outcome::Skipped(_)) => return Verdict::Skipped,
        (Expect::Ok, Outcome::Ok)
        | (Expect::Gp, Outcome::Gp)
        | (Expect::Ud, Outcome::Ud)
        | (Expect::Refused, Outcome::Refused)
        | (Expect::Exit(None), Outcome::Exit(_)) => true,
        (Expect::Value(expected), Outcome::Value(value)) => expected == value,
        (Expect::Exit(Some(expected)), Outcome::Exit(class)) => expected == class,
        (Expect::Registers(expected), Outcome::Registers(registers)) => {
            expected.iter().zip(registers).all(|((value, mask), register)| register & mask == value & mask)
        }
        _ => false,
    };
    if right { Verdict::Passed } else { Verdict::Failed }
}

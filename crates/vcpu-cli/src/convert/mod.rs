//! Machines in the formats of other tools: which machines, what they become, and what gets lost on the way.

mod losses;
mod parts;
mod source;
mod template;

use cpu_dumps::{Machine, Target, write};

use crate::answer::{Failure, Status};
use crate::words;

pub(crate) use losses::{Loss, json, lines};
pub(crate) use parts::deliver;
pub(crate) use source::{Choice, machines};
pub(crate) use template::{difference, for_pool};

/// One file of the result.
#[derive(Debug)]
pub(crate) struct Part {
    /// A file name that fits it.
    pub(crate) name: String,
    /// Its content.
    pub(crate) text: String,
}

/// What became of the machines.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The files.
    pub(crate) parts: Vec<Part>,
    /// What is not in them.
    pub(crate) lost: Vec<Loss>,
}

/// Writes machines in another format.
///
/// # Errors
/// A failure that names the machine, and why the format cannot hold it.
pub(crate) fn all(machines: &[Machine], target: Target) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    for machine in machines {
        let refused = |error: cpu_dumps::WriteError| Failure::new(Status::Refused, format!("{}: {error}", words::clean(&machine.name)));
        let written = write(machine, target).map_err(refused)?;
        outcome.lost.extend(written.lost.iter().map(|lost| Loss::new(machine, *lost)));
        for part in written.parts {
            let name = parts::name(&machine.name, part.extension, &outcome.parts);
            outcome.parts.push(Part { name, text: part.text });
        }
    }
    Ok(outcome)
}

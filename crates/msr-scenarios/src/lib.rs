#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod engine;
mod error;
mod guest;
mod model;
mod raw;
mod run;
mod scenario;

pub use engine::{Engine, Outcome};
pub use error::Error;
pub use model::Model;
pub use run::{Result as StepResult, Verdict, run};
pub use scenario::{Expect, FilterSpec, Scenario, Step, StepKind, UnhandledSpec, read};

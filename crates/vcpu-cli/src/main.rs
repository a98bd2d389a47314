//! The command `vcpu`: what x86 CPUs promise, on paper and in a fleet.
//!
//! Each command is a function from its arguments to an [`Answer`](answer::Answer); nothing is printed before the answer is complete.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod answer;
mod baseline;
mod causes;
mod check;
mod cli;
mod commands;
mod convert;
mod diff;
mod input;
mod isa;
mod json;
mod options;
mod output;
mod page;
mod resolve;
mod unknown;
mod words;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let Cli { json, command } = Cli::parse();
    let answer = match command {
        Command::Probe(args) => commands::probe::run(&args, json),
        Command::Show(args) => commands::show::run(&args, json),
        Command::Explain(args) => commands::explain::run(&args, json),
        Command::Baseline(args) => commands::baseline::run(&args, json),
        Command::Resolve(args) => commands::resolve::run(&args, json),
        Command::Check(args) => commands::check::run(&args, json),
        Command::Diff(args) => commands::diff::run(&args, json),
        Command::Convert(args) => commands::convert::run(&args, json),
        Command::Export(args) => commands::export::run(&args, json),
        Command::Completions(args) => Ok(commands::completions::run(&args, json)),
    };
    answer.unwrap_or_else(|failure| failure.into_answer(json)).print()
}

//! `vcpu completions`: a script that teaches a shell to complete the command line.

use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;

use crate::answer::Answer;
use crate::cli::Cli;
use crate::json;

/// Arguments of `vcpu completions`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: vcpu completions bash > ~/.local/share/bash-completion/completions/vcpu")]
pub(crate) struct Args {
    /// The shell that will read the script.
    shell: Shell,
}

/// The script, or an object that holds it.
pub(crate) fn run(args: &Args, as_json: bool) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vcpu", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    if !as_json {
        return Answer::done(script);
    }
    let object = json!({ "schema": "vcpu.completions/1", "shell": args.shell.to_string(), "script": script });
    Answer::done(json::document(&object))
}

//! `vcpu diff`: the named differences between two machines or policies.

use std::path::PathBuf;

use crate::answer::{Answer, Failure, Status};
use crate::diff::{self, Comparison, Scope};
use crate::{input, json};

/// Arguments of `vcpu diff`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Each file holds one machine or policy, in any known format. - before a name: only A has it; +: only B has it; ~: another value.

What belongs to one CPU or follows run-time state (APIC id, topology, OSXSAVE) is compared only with --all. Places that one side does
not record are listed apart: unrecorded is neither 0 nor 1, and never a difference. Machines with several core types are compared
type by type. Where both record what KVM gives, that is compared, too.

The exit code is 0 whether there are differences or not, but for --exit-code.

Examples:
  vcpu diff old.json new.json
  vcpu diff host.json policy.json --json | jq -r '.only_a[].name'
  vcpu diff --exit-code golden.json <(vcpu probe) || echo changed
  vcpu convert --machine host07 fleet.jsonl | vcpu diff - host08.json")]
pub(crate) struct Args {
    /// The first machine or policy; - for standard input.
    a: PathBuf,

    /// The second.
    b: PathBuf,

    /// Compare every bit, also those of one CPU, of run-time state, and beyond the announced leaves.
    #[arg(long)]
    all: bool,

    /// End with exit code 1 if there are differences.
    #[arg(long)]
    exit_code: bool,
}

/// The differences.
pub(crate) fn run(args: &Args, as_json: bool) -> Result<Answer, Failure> {
    input::stdin_once([args.a.as_path(), args.b.as_path()])?;
    let (a, b) = (input::machine(&args.a)?, input::machine(&args.b)?);
    let scope = if args.all { Scope::All } else { Scope::Shared };
    let comparison = Comparison::new(&a, &b, scope);
    let status = if args.exit_code && !comparison.is_equal() { Status::Refused } else { Status::Done };
    let text = if as_json { json::document(&diff::document(&comparison)) } else { diff::text(&comparison) };
    Ok(Answer { text, notes: String::new(), status })
}

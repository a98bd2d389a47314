//! `vcpu check`: may this guest run there?

use std::path::PathBuf;

use cpu_caps::Verdict;
use cpuid_db::Basis;

use crate::answer::{Answer, Failure, Status};
use crate::baseline::name_apart;
use crate::check::{Case, GuestFile, document, report};
use crate::commands::baseline::hosts;
use crate::options::CeilingArgs;
use crate::page::{NOTICE, paint};
use crate::{input, json, words};

/// Arguments of `vcpu check`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
A machine accepts a guest if it can keep everything that the guest was promised, and if the guest was told of everything that the
machine is limited in. Each gap is named with its place, with what would happen to the guest, and with what can be done.
Values of MSRs in the guest's file are judged too. A machine with several kinds of core must accept the guest on all of them.

Exit codes: 0 compatible with every host; 1 incompatible with one of them, or unknown; 2 wrong usage or input.

Examples:
  vcpu check guest.json host42.json
  vcpu check guest.json rack2/*.json --quiet
  vcpu check guest.json host42.json --json | jq '.results[].gaps[] | .feature, .consequence'")]
pub(crate) struct Args {
    /// What the guest was told: a policy, or a dump that was taken in it. - for standard input.
    guest: PathBuf,

    /// Dumps of the machines; a file may hold several.
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<PathBuf>,

    #[command(flatten)]
    ceiling: CeilingArgs,

    /// Verdicts alone.
    #[arg(short, long)]
    quiet: bool,
}

/// The verdicts and their reasons.
pub(crate) fn run(args: &Args, as_json: bool) -> Result<Answer, Failure> {
    let ceiling = args.ceiling.ceiling()?;
    input::stdin_once(args.hosts.iter().chain([&args.guest]).map(PathBuf::as_path))?;
    let guest = GuestFile::new(&input::machine(&args.guest)?);
    let mut hosts = hosts(&args.hosts, ceiling)?;
    name_apart(&mut hosts);
    let case = Case::new(&guest, &hosts, ceiling);
    let text = if as_json { json::document(&document::document(&case)) } else { report::text(&case, args.quiet) };
    let status = if case.verdict() == Verdict::Compatible { Status::Done } else { Status::Refused };
    let notes = if guest.basis == Basis::Raw && !as_json { raw_note(&guest) } else { String::new() };
    Ok(Answer { text, notes, status })
}

/// A dump of hardware is a guest only if everything is passed through.
fn raw_note(guest: &GuestFile) -> String {
    let label = paint(NOTICE, "note");
    let name = words::clean(&guest.name);
    format!("{label}: {name} is raw hardware, taken for a guest as it stands; vcpu resolve --host tells what a guest gets there\n")
}

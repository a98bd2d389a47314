//! `vcpu resolve`: the guest policy for one machine.

use std::path::{Path, PathBuf};

use cpu_caps::{Request, attempt};
use serde_json::Value;

use crate::answer::{Answer, Failure, Status};
use crate::baseline::{Case, Fleet, Host, document, refusal, report};
use crate::options::{CeilingArgs, WishArgs};
use crate::page::{NOTICE, paint};
use crate::resolve::{Missing, Wish, wish};
use crate::{input, json, output, words};

/// Arguments of `vcpu resolve`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Without --model the guest gets all that the machine can promise. With --model it gets that model, with its vendor and signature, and
all of its features: a level of the x86-64 psABI (x86-64-v3), a generation (amd-zen3), or a model of QEMU or libvirt
(EPYC-Milan-v2, libvirt:Haswell-noTSX). What --without takes from a model takes along what needs it.

A wish that cannot be kept ends with exit code 1, every missing feature with its reason, and the command that comes nearest.

Examples:
  vcpu resolve --host host42.json
  vcpu resolve --host host42.json --migratable -o guest.json
  vcpu resolve --host host42.json --model Skylake-Server --without avx512f
  vcpu resolve --host host42.json --model EPYC-Milan --nearest --json")]
pub(crate) struct Args {
    /// The machine's dump; - for standard input.
    #[arg(long, value_name = "FILE")]
    host: PathBuf,

    /// A named model: nothing but its features, and all of them.
    #[arg(long, value_name = "MODEL", conflicts_with = "migratable")]
    model: Option<String>,

    #[command(flatten)]
    wishes: WishArgs,

    /// Leave out what ties a guest to one machine.
    #[arg(long)]
    migratable: bool,

    /// Take what comes nearest where the wish cannot be kept.
    #[arg(long)]
    nearest: bool,

    #[command(flatten)]
    ceiling: CeilingArgs,

    /// Hide even what the hardware does whatever CPUID says; the policy is then marked.
    #[arg(long)]
    force: bool,

    /// Also write the policy as JSON to a file, which is replaced as one step.
    #[arg(short, long, value_name = "POLICY")]
    output: Option<PathBuf>,
}

/// The policy and its reasons, or what is missing.
pub(crate) fn run(args: &Args, as_json: bool) -> Result<Answer, Failure> {
    let ceiling = args.ceiling.ceiling()?;
    let fleet = Fleet::new(vec![Host::new(&input::machine(&args.host)?, ceiling)]);
    let wish = wish(args, &fleet)?;
    let tried = attempt(&fleet.pool, &wish.request).map_err(|refused| refusal::failure(&fleet, &refused))?;
    // What was asked for and cannot be had is not part of what the policy is judged by.
    let request = Request {
        with: wish.request.with.difference(&tried.impossible),
        without: wish.request.without.difference(&tried.innate),
        ..wish.request
    };
    let case = Case { fleet: &fleet, request: &request, ceiling, baseline: &tried.baseline };
    if tried.refusal().is_none() {
        return told(args, &case, &wish, as_json, String::new());
    }
    let missing = Missing::new(&case, &wish, &tried, command(args));
    if !args.nearest {
        return Ok(missing.answer(as_json));
    }
    let note = format!("{}: {}\n", paint(NOTICE, "note"), words::clean(&missing.note()));
    told(args, &case, &wish, as_json, if as_json { String::new() } else { note })
}

fn wish(args: &Args, fleet: &Fleet) -> Result<Wish, Failure> {
    let (with, without) = args.wishes.sets()?;
    let mut wish = match &args.model {
        None => Wish::everything(args.migratable, &with, &without),
        Some(word) => {
            let found = wish::model(word)?;
            let first = fleet.hosts.first().and_then(|host| host.cores.first());
            let core = first.ok_or_else(|| Failure::wrong(format!("{}: no CPU", args.host.display())))?;
            Wish::model(found, &core.identity, &with, &without)
        }
    };
    wish.request.force = args.force;
    Ok(wish)
}

/// The command line without the wish, for suggestions.
fn command(args: &Args) -> String {
    let mut command = format!("vcpu resolve --host {}", words::clean(&args.host.display().to_string()));
    for option in args.ceiling.words() {
        command.extend([" ", &option]);
    }
    if args.migratable {
        command.push_str(" --migratable");
    }
    command
}

/// The policy in full: to a file, as JSON, or as a report.
fn told(args: &Args, case: &Case, wish: &Wish, as_json: bool, notes: String) -> Result<Answer, Failure> {
    let to_stdout = args.output.as_deref().is_some_and(input::is_stdin);
    let written = args.output.as_deref().filter(|_| !to_stdout);
    let policy = || json::document(&policy(case, wish));
    if let Some(path) = written {
        output::replace(path, &policy())?;
    }
    let text = if as_json || to_stdout { policy() } else { text(case, wish, written) };
    Ok(Answer { text, notes, status: Status::Done })
}

/// The `vcpu.policy/1` object with what was asked for.
fn policy(case: &Case, wish: &Wish) -> Value {
    let mut policy = document::document(case);
    if let Some(members) = policy.as_object_mut() {
        members.insert("request".to_owned(), wish.json());
    }
    policy
}

fn text(case: &Case, wish: &Wish, written: Option<&Path>) -> String {
    let mut remarks = Vec::new();
    if let Some(name) = wish.name() {
        remarks.push(("model", name));
    }
    if wish.migratable {
        remarks.push(("migratable", "without what ties a guest to one machine".to_owned()));
    }
    let title = format!("Guest on {}", words::some_of(&case.fleet.all_names(), case.fleet.hosts.len(), 1));
    report::text(case, &report::Head { title, remarks, written, keep: None })
}

//! `vcpu baseline`: the guest policy for a pool of machines.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use cpu_caps::{Base, Request, finish};
use serde_json::Value;

use crate::answer::{Answer, Failure};
use crate::baseline::keep::Keep;
use crate::baseline::{Case, Ceiling, Fleet, Host, costs, document, html, refusal, report};
use crate::options::{CeilingArgs, WishArgs, features};
use crate::{input, json, output, words};

/// Arguments of `vcpu baseline`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
The result is what a guest may see on every one of these machines. Features are kept if all machines have them and KVM gives them;
limitations are announced if any machine has them; where machines disagree the report says who costs what.

Where a dump records what KVM answered, that is the ceiling. Where it holds raw CPUID only, a model of stock KVM stands in
(basis \"derived\"); --kvm and --no-kvm tell the model how KVM is set up there.

Examples:
  vcpu baseline rack1/*.json
  vcpu baseline --without avx512f -o policy.json a.json b.json
  vcpu baseline --kvm nested --no-kvm pmu --json hosts.jsonl | jq '.decisions[] | select(.outcome == \"withheld\")'
  vcpu baseline --ceiling raw old.json new.json
  vcpu baseline --keep avx512f rack1/*.json
  vcpu baseline --report pool.html rack1/*.json")]
pub(crate) struct Args {
    /// Dumps of the machines; a file may hold several. - for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    wishes: WishArgs,

    #[command(flatten)]
    ceiling: CeilingArgs,

    /// Tell which hosts can keep these features together, and what their guests would have.
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    keep: Vec<String>,

    /// Leave out what ties a guest to one machine.
    #[arg(long)]
    migratable: bool,

    /// Mix machines of different vendors all the same.
    #[arg(long)]
    any_vendor: bool,

    /// Hide even what the hardware does whatever CPUID says; the policy is then marked.
    #[arg(long)]
    force: bool,

    /// Also write the policy as JSON to a file, which is replaced as one step.
    #[arg(short, long, value_name = "POLICY")]
    output: Option<PathBuf>,

    /// Also write a page for browsers: every host against every feature, with the cause of each decision.
    #[arg(long, value_name = "PAGE.html")]
    report: Option<PathBuf>,
}

/// The policy and its reasons.
pub(crate) fn run(args: &Args, as_json: bool) -> Result<Answer, Failure> {
    if args.report.as_deref().is_some_and(input::is_stdin) {
        return Err(Failure::wrong("--report writes a file for a browser; - is none"));
    }
    let request = request(args)?;
    let ceiling = args.ceiling.ceiling()?;
    let fleet = Fleet::new(hosts(&args.files, ceiling)?);
    let baseline = finish(&fleet.pool, &request).map_err(|refused| refusal::failure(&fleet, &refused))?;
    let case = Case { fleet: &fleet, request: &request, ceiling, baseline: &baseline };
    if let Some(path) = args.report.as_deref() {
        output::replace(path, &html::page(&case))?;
    }
    let keep = keep(args, &case)?;
    let to_stdout = args.output.as_deref().is_some_and(input::is_stdin);
    let written = args.output.as_deref().filter(|_| !to_stdout);
    let policy = || json::document(&policy(&case, keep.as_ref()));
    if let Some(path) = written {
        output::replace(path, &policy())?;
    }
    if as_json || to_stdout {
        return Ok(Answer::done(policy()));
    }
    let title = format!("Baseline of {}", words::plural(fleet.hosts.len(), "host"));
    let head = report::Head { title, remarks: Vec::new(), written, keep: keep.as_ref() };
    Ok(Answer::done(report::text(&case, &head)))
}

/// What the features cost that the operator does not want to lose.
fn keep<'a>(args: &Args, case: &Case<'a>) -> Result<Option<Keep<'a>>, Failure> {
    let wanted = features("--keep", &args.keep)?;
    Ok((!wanted.is_empty()).then(|| Keep::new(case.fleet, case.request, Some(case.baseline), &wanted)))
}

/// The `vcpu.policy/1` object with what each machine costs.
fn policy(case: &Case, keep: Option<&Keep>) -> Value {
    let mut policy = document::document(case);
    if let Some(members) = policy.as_object_mut() {
        let costs = costs::costs(case.fleet, case.request, case.baseline);
        members.insert("costs".to_owned(), costs::json(&costs));
        if let Some(keep) = keep {
            members.insert("keep".to_owned(), keep.json());
        }
    }
    policy
}

fn request(args: &Args) -> Result<Request, Failure> {
    let (with, without) = args.wishes.sets()?;
    let base = if args.migratable { Base::Migratable } else { Base::Everything };
    Ok(Request { base, with, without, any_vendor: args.any_vendor, force: args.force, identity: None })
}

/// Reads every machine of every file, and keeps of each only what the pool needs.
pub(crate) fn hosts(files: &[PathBuf], ceiling: Ceiling) -> Result<Vec<Host>, Failure> {
    input::stdin_once(files.iter().map(PathBuf::as_path))?;
    let mut hosts = Vec::new();
    for (at, path) in files.iter().enumerate() {
        progress(at, files.len());
        hosts.extend(input::machines(path)?.iter().map(|machine| Host::new(machine, ceiling)));
    }
    progress(files.len(), files.len());
    Ok(hosts)
}

/// Says on a terminal how far a long list is read.
fn progress(done: usize, of: usize) {
    const LONG: usize = 200;
    const STEP: usize = 50;
    let mut stderr = std::io::stderr();
    if of < LONG || !stderr.is_terminal() || !done.is_multiple_of(STEP) && done != of {
        return;
    }
    let text = if done == of { "\r\x1b[K".to_owned() } else { format!("\rreading {done} of {of} files") };
    // Nobody misses progress that cannot be shown.
    drop(stderr.write_all(text.as_bytes()));
}

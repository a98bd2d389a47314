//! `vcpu baseline`: the guest policy for a pool of machines.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use cpu_caps::{Request, StockKvm, finish};
use cpuid_db::{FeatureSet, Found, KvmInputs, Named, lookup};

use crate::answer::{Answer, Failure};
use crate::baseline::{Case, Ceiling, Fleet, Host, document, refusal, report};
use crate::commands::explain;
use crate::{input, json, output};

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
  vcpu baseline --ceiling raw old.json new.json")]
pub(crate) struct Args {
    /// Dumps of the machines; a file may hold several. - for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// A feature that the guest must have, by any spelling; refuse the pool if it cannot.
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    with: Vec<String>,

    /// A feature that the guest must not have.
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    without: Vec<String>,

    /// What limits a guest beside the hardware.
    #[arg(long, value_enum, default_value_t = Limit::Kvm)]
    ceiling: Limit,

    /// Options of KVM that are on, for machines whose dumps do not record KVM's answer.
    #[arg(long, value_enum, value_name = "OPTION", value_delimiter = ',')]
    kvm: Vec<KvmOption>,

    /// Options of KVM that are off, though they are on by default.
    #[arg(long, value_enum, value_name = "OPTION", value_delimiter = ',')]
    no_kvm: Vec<KvmOption>,

    /// Mix machines of different vendors all the same.
    #[arg(long)]
    any_vendor: bool,

    /// Hide even what the hardware does whatever CPUID says; the policy is then marked.
    #[arg(long)]
    force: bool,

    /// Also write the policy as JSON to a file, which is replaced as one step.
    #[arg(short, long, value_name = "POLICY")]
    output: Option<PathBuf>,
}

/// What limits a guest beside the hardware.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Limit {
    /// What KVM gives, recorded or derived.
    Kvm,
    /// Nothing.
    Raw,
}

/// An option of KVM, or hardware support that it uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum KvmOption {
    /// Two-dimensional paging: EPT or NPT (on by default).
    Tdp,
    /// Nested virtualization: kvm_intel.nested or kvm_amd.nested.
    Nested,
    /// Virtual PMU: kvm.enable_pmu (on by default).
    Pmu,
    /// Virtual PEBS.
    Pebs,
    /// Intel PT in the guest: kvm_intel.pt_mode=1.
    Pt,
    /// SGX virtualization: kvm_intel.sgx (on by default).
    Sgx,
    /// CET virtualization (on by default).
    Cet,
    /// SEV: kvm_amd.sev.
    Sev,
    /// Extended feature disable, which AMX needs (on by default).
    Xfd,
}

impl KvmOption {
    const fn inputs(self) -> KvmInputs {
        match self {
            Self::Tdp => KvmInputs::TDP,
            Self::Nested => KvmInputs::NESTED,
            Self::Pmu => KvmInputs::PMU,
            Self::Pebs => KvmInputs::PEBS,
            Self::Pt => KvmInputs::PT,
            Self::Sgx => KvmInputs::SGX,
            Self::Cet => KvmInputs::CET,
            Self::Sev => KvmInputs::SEV,
            Self::Xfd => KvmInputs::XFD,
        }
    }
}

/// The policy and its reasons.
pub(crate) fn run(args: &Args, as_json: bool) -> Result<Answer, Failure> {
    let request = request(args)?;
    let ceiling = ceiling(args)?;
    let fleet = Fleet::new(hosts(&args.files, ceiling)?);
    let baseline = finish(&fleet.pool, &request).map_err(|refused| refusal::failure(&fleet, &refused))?;
    let case = Case { fleet: &fleet, request: &request, ceiling, baseline: &baseline };
    let to_stdout = args.output.as_deref().is_some_and(input::is_stdin);
    let policy = || json::document(&document::document(&case));
    match args.output.as_deref().filter(|_| !to_stdout) {
        Some(path) => {
            let policy = policy();
            output::replace(path, &policy)?;
            let text = if as_json { policy } else { report::text(&case, Some(path)) };
            Ok(Answer::done(text))
        }
        None if as_json || to_stdout => Ok(Answer::done(policy())),
        None => Ok(Answer::done(report::text(&case, None))),
    }
}

fn request(args: &Args) -> Result<Request, Failure> {
    let with = features("--with", &args.with)?;
    let without = features("--without", &args.without)?;
    if let Some(both) = with.intersection(&without).iter().next() {
        return Err(Failure::wrong(format!("{both} is asked for by --with and refused by --without")));
    }
    Ok(Request { with, without, any_vendor: args.any_vendor, force: args.force, ..Request::default() })
}

/// The features that these words name.
fn features(option: &str, words: &[String]) -> Result<FeatureSet, Failure> {
    let mut set = FeatureSet::EMPTY;
    for word in words {
        match lookup(word) {
            Ok(Found::Named(Named::Feature(feature))) => set.set(feature, true),
            Ok(_) => return Err(Failure::wrong(format!("{option}: \"{word}\" is not a feature (a single bit)"))),
            Err(error) => {
                let failure = explain::failure(word, error);
                return Err(Failure { message: format!("{option}: {}", failure.message), ..failure });
            }
        }
    }
    Ok(set)
}

fn ceiling(args: &Args) -> Result<Ceiling, Failure> {
    let on: KvmInputs = args.kvm.iter().map(|option| option.inputs()).collect();
    let off: KvmInputs = args.no_kvm.iter().map(|option| option.inputs()).collect();
    if on.intersects(off) {
        return Err(Failure::wrong("the same option is named by --kvm and --no-kvm"));
    }
    match args.ceiling {
        Limit::Raw if !(on | off).is_empty() => Err(Failure::wrong("--kvm and --no-kvm describe KVM, which --ceiling raw leaves out")),
        Limit::Raw => Ok(Ceiling::Raw),
        Limit::Kvm => {
            let inputs = (StockKvm::default().inputs | on).difference(off);
            Ok(Ceiling::Kvm(StockKvm { inputs }))
        }
    }
}

/// Reads every machine of every file, and keeps of each only what the pool needs.
fn hosts(files: &[PathBuf], ceiling: Ceiling) -> Result<Vec<Host>, Failure> {
    if files.iter().filter(|path| input::is_stdin(path)).count() > 1 {
        return Err(Failure::wrong("standard input (-) can be read only once"));
    }
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

//! `vcpu convert`: a machine in another format, and what that format cannot hold.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use cpu_dumps::Target;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Failure, Status};
use crate::convert::{self, Choice, Outcome};
use crate::page::{ERROR, paint};
use crate::{input, json, words};

/// Arguments of `vcpu convert`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
The input may be in any known format and may hold several machines. What the target cannot hold is said on standard error, one line
per kind of loss; --json lists every single thing.

Several machines become one file with a machine on each line (dump, policy), or a file each in the directory that -o names.
Targets for one CPU get the first, and say how many they leave out; --cpu takes another. cloud-hypervisor is two files where the
machine has feature MSRs, so it needs a directory, too.

A template with open bits is no machine. With --host it is applied to that host, to what KVM gives there if the dump records it.

Examples:
  vcpu convert aida.txt -o host.json
  vcpu convert --to cpuid-r host.json
  vcpu convert --to policy template.json --host host.json
  vcpu convert policy.json --difference-to host.json -o template.json
  vcpu convert --to cloud-hypervisor fleet.jsonl -o profiles/
  vcpu convert --machine host07 fleet.jsonl | vcpu diff - host08.json")]
pub(crate) struct Args {
    /// A dump, policy or template; - for standard input.
    #[arg(value_name = "IN")]
    file: PathBuf,

    /// The format to write [default: dump, or firecracker with --difference-to].
    #[arg(long, value_enum, value_name = "TARGET")]
    to: Option<To>,

    /// Of several machines in the file, only the one with this name.
    #[arg(long, value_name = "NAME")]
    machine: Option<String>,

    /// Only this CPU, by its number in the file.
    #[arg(long, value_name = "N")]
    cpu: Option<u32>,

    /// The host that a template is applied to.
    #[arg(long, value_name = "FILE")]
    host: Option<PathBuf>,

    /// Write only the bits in which the machine differs from this host, as a Firecracker template.
    #[arg(long, value_name = "HOST")]
    difference_to: Option<PathBuf>,

    /// Write nothing, and end with exit code 1, if anything gets lost.
    #[arg(long)]
    strict: bool,

    /// Write to a file, which is replaced as one step, or to files in a directory.
    #[arg(short, long, value_name = "FILE|DIRECTORY/")]
    output: Option<PathBuf>,
}

/// A format that is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum To {
    /// vcpu.dump/1, which holds everything.
    Dump,
    /// vcpu.policy/1: one CPU as a guest policy. Nothing is decided; the basis stays what it is.
    Policy,
    /// The output of cpuid -r.
    CpuidR,
    /// libvirt's raw `<cpudata>`, with MSRs.
    LibvirtCpudata,
    /// A Firecracker CPU template that gives every bit.
    Firecracker,
    /// A CPUID profile of Propolis (TOML).
    Propolis,
    /// Cloud Hypervisor's CPU profile: NAME.cpuid.json and NAME.msr.json.
    CloudHypervisor,
}

impl To {
    const fn target(self) -> Target {
        match self {
            Self::Dump => Target::Dump,
            Self::Policy => Target::Policy,
            Self::CpuidR => Target::CpuidR,
            Self::LibvirtCpudata => Target::LibvirtCpudata,
            Self::Firecracker => Target::FirecrackerTemplate,
            Self::Propolis => Target::PropolisToml,
            Self::CloudHypervisor => Target::CloudHypervisorProfile,
        }
    }
}

/// The converted machines, or what was written where.
pub(crate) fn run(args: &Args, as_json: bool) -> Result<Answer, Failure> {
    let files = [Some(&args.file), args.host.as_ref(), args.difference_to.as_ref()];
    input::stdin_once(files.into_iter().flatten().map(PathBuf::as_path))?;
    let target = target(args)?;
    let choice = Choice { machine: args.machine.as_deref(), cpu: args.cpu, host: args.host.as_deref() };
    let machines = convert::machines(&args.file, choice)?;
    let outcome = match &args.difference_to {
        Some(host) => convert::difference(&machines, &input::machine(host)?)?,
        None => convert::all(&machines, target)?,
    };
    let notes = if as_json { String::new() } else { convert::lines(&outcome.lost, machines.len()) };
    if args.strict && !outcome.lost.is_empty() {
        return Ok(refused(&outcome, target, &notes, as_json));
    }
    let to = args.output.as_deref().filter(|path| !input::is_stdin(path));
    if as_json && to.is_none() {
        return Ok(Answer::done(json::document(&document(&outcome, target, &[]))));
    }
    let (text, written) = convert::deliver(&outcome.parts, target, to)?;
    let text = match (as_json, written.is_empty()) {
        (true, _) => json::document(&document(&outcome, target, &written)),
        (false, true) => text,
        (false, false) => summary(machines.len(), target, to),
    };
    Ok(Answer { text, notes, status: Status::Done })
}

fn target(args: &Args) -> Result<Target, Failure> {
    match (args.to, &args.difference_to) {
        (None, None) => Ok(Target::Dump),
        (Some(to), None) => Ok(to.target()),
        (None | Some(To::Firecracker), Some(_)) => Ok(Target::FirecrackerTemplate),
        (Some(_), Some(_)) => Err(Failure::wrong("--difference-to writes a Firecracker template: leave out --to, or say --to firecracker")),
    }
}

/// The answer of a strict run that would have lost something.
fn refused(outcome: &Outcome, target: Target, lost: &str, as_json: bool) -> Answer {
    let status = Status::Refused;
    if as_json {
        return Answer { text: json::document(&document(outcome, target, &[])), notes: String::new(), status };
    }
    let error = paint(ERROR, "error");
    let notes = format!("{lost}{error}: nothing is written: {target} cannot hold everything, and --strict was said\n");
    Answer { text: String::new(), notes, status }
}

fn summary(machines: usize, target: Target, to: Option<&Path>) -> String {
    let place = to.map(|path| words::clean(&path.display().to_string())).unwrap_or_default();
    format!("{} as {target} written to {place}\n", words::plural(machines, "machine"))
}

/// The `vcpu.convert/1` object.
fn document(outcome: &Outcome, target: Target, written: &[PathBuf]) -> Value {
    let part = |(at, part): (usize, &convert::Part)| {
        let mut object = Map::new();
        object.insert("name".to_owned(), part.name.as_str().into());
        // Several parts may be lines of one file.
        if let Some(path) = written.get(at).or(written.last()) {
            object.insert("file".to_owned(), path.display().to_string().into());
        }
        object.insert("text".to_owned(), part.text.as_str().into());
        Value::Object(object)
    };
    json!({
        "schema": "vcpu.convert/1",
        "target": target.name(),
        "parts": outcome.parts.iter().enumerate().map(part).collect::<Vec<_>>(),
        "lost": convert::json(&outcome.lost),
    })
}

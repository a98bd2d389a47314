//! `vcpu export`: a guest policy in the words of a hypervisor.

use std::path::PathBuf;

use clap::ValueEnum;
use cpu_dumps::{Machine, Target};
use cpuid_db::Basis;
use serde_json::json;

use crate::answer::{Answer, Failure, Status};
use crate::convert::{self, Outcome};
use crate::page::{NOTICE, paint};
use crate::{input, json, words};

/// Arguments of `vcpu export`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
What the target cannot hold is said on standard error, by name; --json lists every single thing.

qemu prints what follows -cpu, and libvirt a <cpu> element: the nearest of their models, and what differs from it. A Firecracker
template for --hosts names only places that all these hosts have, and only bits in which some host differs from the guest.
cloud-hypervisor is two files where the policy has feature MSRs: name a directory with -o DIRECTORY/.

Examples:
  qemu-system-x86_64 -accel kvm -cpu \"$(vcpu export guest.json --to qemu)\"
  vcpu export guest.json --to libvirt -o cpu.xml
  vcpu export guest.json --to firecracker --hosts rack1/*.json -o template.json")]
pub(crate) struct Args {
    /// A guest policy; - for standard input.
    #[arg(value_name = "POLICY")]
    file: PathBuf,

    /// Whose words.
    #[arg(long, value_enum, value_name = "TARGET")]
    to: To,

    /// The hosts that a Firecracker template is for; a file may hold several.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    hosts: Vec<PathBuf>,

    /// Write nothing, and end with exit code 1, if anything gets lost.
    #[arg(long)]
    strict: bool,

    /// Write to a file, which is replaced as one step, or to files in a directory.
    #[arg(short, long, value_name = "FILE|DIRECTORY/")]
    output: Option<PathBuf>,
}

/// A hypervisor, or a tool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum To {
    /// What follows QEMU's -cpu.
    Qemu,
    /// The cpu element of a libvirt guest.
    Libvirt,
    /// A Firecracker CPU template.
    Firecracker,
    /// Cloud Hypervisor's CPU profile: NAME.cpuid.json and NAME.msr.json.
    CloudHypervisor,
    /// A CPUID profile of Propolis (TOML).
    Propolis,
    /// The output of cpuid -r.
    CpuidR,
}

impl To {
    const fn target(self) -> Target {
        match self {
            Self::Qemu => Target::Qemu,
            Self::Libvirt => Target::LibvirtCpu,
            Self::Firecracker => Target::FirecrackerTemplate,
            Self::CloudHypervisor => Target::CloudHypervisorProfile,
            Self::Propolis => Target::PropolisToml,
            Self::CpuidR => Target::CpuidR,
        }
    }
}

/// The policy in other words, or what was written where.
pub(crate) fn run(args: &Args, as_json: bool) -> Result<Answer, Failure> {
    input::stdin_once(args.hosts.iter().chain([&args.file]).map(PathBuf::as_path))?;
    if !args.hosts.is_empty() && args.to != To::Firecracker {
        return Err(Failure::wrong("--hosts is for Firecracker, whose templates change what a host has"));
    }
    let guest = input::machine(&args.file)?;
    let target = args.to.target();
    let mut outcome = outcome(args, &guest)?;
    // No hypervisor asks where a guest's CPU comes from.
    outcome.lost.retain(|loss| !loss.is_provenance());
    let mut notes = if as_json { String::new() } else { convert::lines(&outcome.lost, 1) + &warning(args, &guest) };
    if args.strict && !outcome.lost.is_empty() {
        notes += "nothing is written: --strict was said\n";
        let text = if as_json { document(&outcome, target, &[]) } else { String::new() };
        return Ok(Answer { text, notes, status: Status::Refused });
    }
    let to = args.output.as_deref().filter(|path| !input::is_stdin(path));
    if as_json && to.is_none() {
        return Ok(Answer::done(document(&outcome, target, &[])));
    }
    let (mut text, written) = convert::deliver(&outcome.parts, target, to)?;
    if as_json {
        text = document(&outcome, target, &written);
    } else if let Some(path) = to {
        text = format!("{target} written to {}\n", words::clean(&path.display().to_string()));
    }
    Ok(Answer { text, notes, status: Status::Done })
}

fn outcome(args: &Args, guest: &Machine) -> Result<Outcome, Failure> {
    if args.hosts.is_empty() {
        return convert::all(std::slice::from_ref(guest), args.to.target());
    }
    let mut hosts = Vec::new();
    for path in &args.hosts {
        hosts.extend(input::machines(path)?);
    }
    convert::for_pool(guest, &hosts)
}

/// What is not wrong, but is seldom meant.
fn warning(args: &Args, guest: &Machine) -> String {
    let note = |text: &str| format!("{}: {text}\n", paint(NOTICE, "note"));
    let mut notes = String::new();
    if guest.basis == Basis::Raw {
        notes += &note("this is raw hardware, not a guest; vcpu resolve --host makes a guest policy of it");
    }
    if args.to == To::Firecracker && args.hosts.is_empty() {
        notes += &note(
            "the template names every leaf of the guest, and a host that lacks one refuses it; --hosts makes one that fits all hosts",
        );
    }
    notes
}

/// The `vcpu.export/1` object.
fn document(outcome: &Outcome, target: Target, written: &[PathBuf]) -> String {
    let parts = outcome.parts.iter().map(|part| json!({ "name": part.name, "text": part.text }));
    json::document(&json!({
        "schema": "vcpu.export/1",
        "target": target.name(),
        "parts": parts.collect::<Vec<_>>(),
        "written": written.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "lost": convert::json(&outcome.lost),
    }))
}

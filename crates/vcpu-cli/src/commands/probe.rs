//! `vcpu probe`: this machine as a dump.

use std::path::PathBuf;

use cpu_dumps::{CoreType, Cpu, Dump, Format, Machine, Provenance};
use cpuid_db::Basis;
use kvm_backend::probe::{ProbeError, RecordedCpu, Recording, record};
use serde_json::json;

use crate::answer::{Answer, Failure, Status};
use crate::page::{PLAIN, Page, sentence};
use crate::{input, json, output, words};

/// Arguments of `vcpu probe`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
The dump is a vcpu.dump/1 document. Feature MSRs are not part of CPUID: those that the CPU announces are listed as unrecorded.

Examples:
  vcpu probe -o $(hostname).json
  ssh host42 vcpu probe | vcpu show -")]
pub(crate) struct Args {
    /// Write the dump to a file, which is replaced as one step.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// What to call this machine in reports [default: its host name].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// The dump, or what was written where.
pub(crate) fn run(args: &Args, as_json: bool) -> Result<Answer, Failure> {
    let recording = record().map_err(|error| failure(&error))?;
    let machine = machine(recording, args.name.as_deref());
    let dump = Dump::new(&machine).to_string();
    let Some(path) = args.output.as_deref().filter(|path| !input::is_stdin(path)) else {
        return Ok(Answer::done(dump));
    };
    output::replace(path, &dump)?;
    let file = path.display().to_string();
    if as_json {
        let cpus: Vec<u32> = machine.cpus.iter().map(|cpu| cpu.number).collect();
        let object = json!({ "schema": "vcpu.probe/1", "file": file, "name": machine.name, "cpus": cpus });
        return Ok(Answer::done(json::document(&object)));
    }
    Ok(Answer::done(summary(&machine, &file)))
}

fn failure(error: &ProbeError) -> Failure {
    Failure::new(Status::Nothing, format!("this machine cannot be read: {error}"))
}

fn machine(recording: Recording, name: Option<&str>) -> Machine {
    let Recording { cpus, kernel, microcode, host_name } = recording;
    let name = name.map(str::to_owned).or(host_name).unwrap_or_else(|| "this-machine".to_owned());
    let tool = Some(format!("vcpu {}", env!("CARGO_PKG_VERSION")));
    Machine {
        name,
        format: Format::Dump,
        provenance: Provenance { tool, kernel, microcode, source: None },
        basis: Basis::Raw,
        cpus: cpus.into_iter().map(cpu).collect(),
        unknown_names: Vec::new(),
        kvm: None,
    }
}

fn cpu(RecordedCpu { number, policy }: RecordedCpu) -> Cpu {
    Cpu { number, core_type: CoreType::of(&policy.cpuid), policy, msrs: Vec::new() }
}

fn summary(machine: &Machine, file: &str) -> String {
    let mut page = Page::new();
    let kinds: Vec<String> = machine
        .cpus
        .iter()
        .map(|cpu| {
            let kind = cpu.core_type.map_or("", CoreType::name);
            let leaves = words::plural(cpu.policy.cpuid.entries().len(), "CPUID answer");
            format!("CPU {} {kind} ({leaves})", cpu.number)
        })
        .collect();
    let name = words::clean(&machine.name);
    page.words(0, sentence(PLAIN, &format!("{name}: {} written to {}", kinds.join(", "), words::clean(file))));
    page.into_text()
}

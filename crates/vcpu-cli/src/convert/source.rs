//! What is converted: machines of a file, or a template made a machine by a host.

use std::collections::BTreeSet;
use std::path::Path;

use cpu_dumps::{ApplyError, Cpu, Machine, Problem, Provenance, Template};
use cpuid_db::{Policy, Unrecorded};

use crate::answer::{Failure, Status};
use crate::{input, words};

/// Which of what the file holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice<'a> {
    /// Of several machines the one with this name.
    pub(crate) machine: Option<&'a str>,
    /// Only this CPU.
    pub(crate) cpu: Option<u32>,
    /// The host that a template is for.
    pub(crate) host: Option<&'a Path>,
}

/// The machines that are meant.
///
/// # Errors
/// A failure that names the file, and what is wrong with it or not in it.
pub(crate) fn machines(path: &Path, choice: Choice<'_>) -> Result<Vec<Machine>, Failure> {
    let all = match choice.host {
        Some(host) => vec![applied(path, host)?],
        None => input::read(path)?.machines().map_err(|error| {
            let hint = if error.problem == Problem::OpenBits { "; --host FILE applies it to a host" } else { "" };
            Failure::wrong(format!("{error}{hint}"))
        })?,
    };
    let mut chosen = match choice.machine {
        Some(name) => vec![by_name(all, name)?],
        None => all,
    };
    if let Some(number) = choice.cpu {
        chosen.iter_mut().try_for_each(|machine| keep_cpu(machine, number))?;
    }
    Ok(chosen)
}

fn by_name(mut machines: Vec<Machine>, name: &str) -> Result<Machine, Failure> {
    if let Some(at) = machines.iter().position(|machine| machine.name == name) {
        return Ok(machines.swap_remove(at));
    }
    let names: Vec<&str> = machines.iter().map(|machine| machine.name.as_str()).collect();
    let list = words::some_of(&names, names.len(), 8);
    Err(Failure::wrong(format!("no machine \"{}\" in the file, which has {list}", words::clean(name))))
}

/// Leaves one CPU. Where a tool gave one number to several CPUs, they count from 0 in the order of the file.
fn keep_cpu(machine: &mut Machine, number: u32) -> Result<(), Failure> {
    let numbers: BTreeSet<u32> = machine.cpus.iter().map(|cpu| cpu.number).collect();
    let are_unique = numbers.len() == machine.cpus.len();
    let mut ranks = 0..;
    machine.cpus.retain(|cpu| {
        let rank = ranks.next().unwrap_or(0);
        number == if are_unique { cpu.number } else { rank }
    });
    if !machine.cpus.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = if are_unique { numbers.iter().map(u32::to_string).collect() } else { Vec::new() };
    let known = if are_unique { words::some_of(&list, list.len(), 8) } else { format!("0 to {}", ranks.start.saturating_sub(1)) };
    Err(Failure::wrong(format!("{}: no CPU {number}; the file has CPU {known}", words::clean(&machine.name))))
}

/// The guest that a template makes of a host.
fn applied(path: &Path, host_path: &Path) -> Result<Machine, Failure> {
    let input = input::read(path)?;
    let template = input.template().map_err(|error| match error.problem {
        Problem::NoTemplate { .. } => Failure::wrong(format!("{error}; --host is for templates")),
        _ => Failure::wrong(error.to_string()),
    })?;
    let host = input::machine(host_path)?;
    let base = base(&host, &template).ok_or_else(|| Failure::wrong(format!("{}: no CPU", words::clean(&host.name))))?;
    let guest = template.apply(&base).map_err(|error| refused(&host, &base, error))?;
    let format = template.format;
    let source = format!("{format} {} applied to {}", input.name, host.name);
    let cpu = Cpu { number: 0, core_type: None, msrs: guest.msrs.entries().to_vec(), policy: guest };
    let name = Path::new(&input.name).file_stem().map_or_else(|| input.name.clone(), |stem| stem.to_string_lossy().into_owned());
    Ok(Machine {
        name,
        format,
        provenance: Provenance { source: Some(source), ..host.provenance },
        basis: base.basis,
        unknown_names: Vec::new(),
        cpus: vec![cpu],
        kvm: None,
    })
}

/// What a hypervisor starts from on this host: what KVM gives where that is recorded, else the raw CPU; with the other MSRs of the
/// dump that the template is about.
fn base(host: &Machine, template: &Template) -> Option<Policy> {
    let cpu = host.cpus.first()?;
    let mut base = super::template::ground(host)?.clone();
    for msr in &cpu.msrs {
        if template.msrs.iter().any(|rule| rule.index == msr.index) && base.msrs.get(msr.index).is_none() {
            // An MSR for which there is no room is reported as missing.
            let _ = base.msrs.insert(msr.index, msr.value);
        }
    }
    Some(base)
}

fn refused(host: &Machine, base: &Policy, error: ApplyError) -> Failure {
    let name = words::clean(&host.name);
    let place = match error {
        ApplyError::NoLeaf { leaf, subleaf } => Unrecorded::Cpuid { leaf, subleaf },
        ApplyError::NoMsr { index } => Unrecorded::Msr { index },
        _ => return Failure::wrong(format!("{name}: {error}")),
    };
    let verb = if base.unrecorded.contains(place) { "does not record" } else { "does not have" };
    Failure::new(Status::Refused, format!("{name} {verb} {}, which the template changes", words::unrecorded(place)))
}

//! Writing: the own format, and the formats of other tools, each with the list of what it cannot hold.

mod cloud_hypervisor;
mod difference;
mod firecracker;
mod guest;
mod libvirt_cpu;
mod lost;
mod own;
mod policy;
mod pool;
mod propolis;
mod qemu;
mod text;

use std::fmt;

use cpuid_db::{CpuidTable, Project, leaves};

use crate::error::Fault;
use crate::read::read_format;
use crate::{Cpu, Format, Machine};

pub use difference::{AbsentBits, Refused};
pub use guest::Reason;
pub use lost::Lost;
pub use own::Dump;

/// A format that this crate writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Target {
    /// The project's own dump; it holds everything.
    Dump,
    /// A guest policy of the project, `vcpu.policy/1`: one CPU, and no decisions.
    Policy,
    /// The output of `cpuid -r`.
    CpuidR,
    /// libvirt's `<cpudata arch='x86'>`.
    LibvirtCpudata,
    /// A custom CPU template of Firecracker without open bits. [`Template::difference`](crate::Template::difference) makes a smaller one.
    FirecrackerTemplate,
    /// A CPUID profile of Propolis' configuration.
    PropolisToml,
    /// A CPU profile of Cloud Hypervisor that keeps nothing of the host: one file for CPUID, one for the feature MSRs.
    CloudHypervisorProfile,
    /// What follows QEMU's `-cpu`: the nearest of its models, and what differs from it.
    Qemu,
    /// libvirt's `<cpu>` for a guest: the nearest of its models, and what differs from it.
    LibvirtCpu,
}

impl Target {
    /// All targets, in the order in which messages list them.
    pub const ALL: [Self; 9] = [
        Self::Dump,
        Self::Policy,
        Self::CpuidR,
        Self::LibvirtCpudata,
        Self::FirecrackerTemplate,
        Self::PropolisToml,
        Self::CloudHypervisorProfile,
        Self::Qemu,
        Self::LibvirtCpu,
    ];

    /// The word for a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dump => "dump",
            Self::Policy => "policy",
            Self::CpuidR => "cpuid-r",
            Self::LibvirtCpudata => "libvirt-cpudata",
            Self::FirecrackerTemplate => "firecracker",
            Self::PropolisToml => "propolis",
            Self::CloudHypervisorProfile => "cloud-hypervisor",
            Self::Qemu => "qemu",
            Self::LibvirtCpu => "libvirt",
        }
    }

    /// The target with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }

    /// The format that is written.
    pub const fn format(self) -> Format {
        match self {
            Self::Dump => Format::Dump,
            Self::Policy => Format::Policy,
            Self::CpuidR => Format::CpuidR,
            Self::LibvirtCpudata => Format::LibvirtCpudata,
            Self::FirecrackerTemplate => Format::FirecrackerTemplate,
            Self::PropolisToml => Format::PropolisToml,
            Self::CloudHypervisorProfile => Format::CloudHypervisorProfile,
            Self::Qemu => Format::QemuCpu,
            Self::LibvirtCpu => Format::LibvirtCpu,
        }
    }

    /// Whether the target holds registers. The others define a guest by a model and the names of features.
    pub const fn has_registers(self) -> bool {
        self.words().is_none()
    }

    /// Whose words the target speaks in, where it names features and has no registers.
    const fn words(self) -> Option<Project> {
        match self {
            Self::Qemu => Some(Project::Qemu),
            Self::LibvirtCpu => Some(Project::Libvirt),
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One file of what was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// What the format's tools want the file's name to end with.
    pub extension: &'static str,
    /// The content.
    pub text: String,
}

/// A machine in another format.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The files; one but for formats that want several.
    pub parts: Vec<Part>,
    /// What was known of the machine and is not in the files, or reads otherwise there.
    pub lost: Vec<Lost>,
}

/// Why a machine cannot be written in a format.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The machine has no CPU, or none with anything that the format can hold.
    #[error("{target} has no place for anything that is known of this machine")]
    Nothing {
        /// The target.
        target: Target,
    },
    /// A CPU without the leaf by which the format's readers find all others.
    #[error("CPU {number} has no leaf 00000000, which {target} needs")]
    NoLeaf0 {
        /// The CPU's number.
        number: u32,
        /// The target.
        target: Target,
    },
    /// A vendor for which the format has no word.
    #[error("{target} has no word for the vendor {found}")]
    Vendor {
        /// The vendor.
        found: String,
        /// The target.
        target: Target,
    },
    /// Every model of the target has features that the guest must not have and for which there is no word.
    #[error("{target} has no model from which this machine could be made")]
    NoModel {
        /// The target.
        target: Target,
    },
    /// What would be written could not be read again: too large for the limits, mostly.
    #[error("{target} cannot hold this machine: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
        /// The target.
        target: Target,
    },
}

/// Writes a machine in the format of a tool. Formats for one CPU get the first.
///
/// What is written is read again and compared with the machine: [`Written::lost`] is the outcome, so nothing is dropped in silence.
/// The machine's name is not compared; it belongs into the name of the file.
///
/// # Errors
/// When the format has no place for what makes up this machine.
pub fn write(machine: &Machine, target: Target) -> Result<Written, WriteError> {
    let first = machine.cpus.first().ok_or(WriteError::Nothing { target })?;
    let (parts, again) = match target {
        Target::Dump => {
            machine.cpus.iter().find(|cpu| !is_empty(cpu)).ok_or(WriteError::Nothing { target })?;
            one(target, "json", Dump::new(machine).to_string())?
        }
        Target::Policy => {
            let cpu = need_any(first, target)?;
            one(target, "json", policy::Policy { machine, cpu }.to_string())?
        }
        Target::CpuidR => {
            machine.cpus.iter().try_for_each(|cpu| need_leaf_0(cpu, target))?;
            one(target, "txt", text::cpuid_r(machine))?
        }
        Target::LibvirtCpudata => one(target, "xml", text::cpudata(&machine.name, need_any(first, target)?))?,
        Target::FirecrackerTemplate => one(target, "json", firecracker::dump(need_any(first, target)?).to_string())?,
        Target::PropolisToml => {
            need_leaf_0(first, target)?;
            let vendor = propolis::vendor(first).ok_or_else(|| no_vendor(first, target))?;
            one(target, "toml", propolis::toml(&machine.name, vendor, first))?
        }
        Target::CloudHypervisorProfile => cloud_hypervisor::write(need_any(first, target)?)?,
        Target::Qemu | Target::LibvirtCpu => {
            need_leaf_0(first, target)?;
            let (extension, text) =
                if target == Target::Qemu { ("args", qemu::option(first)) } else { ("xml", libvirt_cpu::element(first)) };
            one(target, extension, text.ok_or(WriteError::NoModel { target })?)?
        }
    };
    let lost = match target.words() {
        Some(project) => guest::compare(machine, &again, project),
        None => lost::compare(machine, &again).map_err(|reason| WriteError::Unreadable { reason, target })?,
    };
    Ok(Written { parts, lost })
}

fn no_vendor(cpu: &Cpu, target: Target) -> WriteError {
    WriteError::Vendor { found: cpu.policy.vendor().to_string(), target }
}

/// One file, and the machine that is read from it.
fn one(target: Target, extension: &'static str, text: String) -> Result<(Vec<Part>, Machine), WriteError> {
    let again = again(target, &text)?;
    Ok((vec![Part { extension, text }], again))
}

/// The one machine of a text just written.
fn again(target: Target, text: &str) -> Result<Machine, WriteError> {
    let unreadable = |fault: Fault| WriteError::Unreadable { reason: fault.problem.to_string(), target };
    let mut machines = read_format(target.format(), "again", text.as_bytes()).map_err(unreadable)?;
    machines.pop().ok_or(WriteError::Nothing { target })
}

fn need_leaf_0(cpu: &Cpu, target: Target) -> Result<(), WriteError> {
    let is_there = cpu.policy.cpuid.get(0, 0).is_some();
    if is_there { Ok(()) } else { Err(WriteError::NoLeaf0 { number: cpu.number, target }) }
}

fn need_any(cpu: &Cpu, target: Target) -> Result<&Cpu, WriteError> {
    if is_empty(cpu) { Err(WriteError::Nothing { target }) } else { Ok(cpu) }
}

fn is_empty(cpu: &Cpu) -> bool {
    cpu.policy.cpuid.entries().is_empty() && own::all_msrs(cpu).is_empty()
}

/// Whether a leaf answers according to ECX, as far as the database and the table tell.
fn counts_ecx(cpuid: &CpuidTable, leaf: u32) -> bool {
    let mut rows = leaves().iter().filter(|row| row.leaf == Some(leaf));
    rows.any(|row| row.subleaves.iter().any(|(_, last)| *last > 0)) || cpuid.leaf(leaf).iter().any(|entry| entry.subleaf > 0)
}

//! From bytes to machines: which reader a format has, and what they have in common.

use crate::error::{Fault, Problem, ReadError};
use crate::format::{detect, without_mark};
use crate::json::Documents;
use crate::limits::{MAX_BYTES, MAX_MACHINES};
use crate::machine::Found;
use crate::{
    Format, Machine, Template, aida, cloud_hypervisor, cpuid_r, firecracker, json, kcpuid, kvm_cpuid2, libcpuid_raw, libvirt, libvirt_cpu,
    lines, msr_csv, own, propolis, qemu_cpu, qmp,
};

/// Reads the machines of a file in any known format, which is found by its content.
///
/// `name` is what errors call the input, and, without directories and extension, the machine's name if the content has none;
/// where a file has several machines without names, a colon and a number from 1 follow.
///
/// # Errors
/// When the content is in no known format, damaged, contradicts itself, describes no CPU, or exceeds one of the
/// [`limits`](crate::limits).
pub fn read(name: &str, bytes: &[u8]) -> Result<Vec<Machine>, ReadError> {
    read_any(stem(name), bytes).map_err(|fault| fault.named(name))
}

/// Reads the machines of a file as if it were in this format, whatever it looks like.
///
/// # Errors
/// As [`read`].
pub fn read_as(format: Format, name: &str, bytes: &[u8]) -> Result<Vec<Machine>, ReadError> {
    read_format(format, stem(name), bytes).map_err(|fault| fault.named(name))
}

/// Reads a Firecracker template or a Cloud Hypervisor profile; the format is found by the content.
///
/// # Errors
/// When the content is neither, damaged, or exceeds one of the [`limits`](crate::limits).
pub fn read_template(name: &str, bytes: &[u8]) -> Result<Template, ReadError> {
    template(bytes).map_err(|fault| fault.named(name))
}

fn template(bytes: &[u8]) -> Result<Template, Fault> {
    let bytes = checked(bytes)?;
    let read = match detect(bytes).ok_or_else(|| unknown(bytes))? {
        Format::FirecrackerTemplate => firecracker::template,
        Format::CloudHypervisorProfile => cloud_hypervisor::template,
        format => return Err(Problem::NoTemplate { format }.into()),
    };
    let mut documents = Documents::new(bytes)?;
    let template = read(&mut documents)?.ok_or(Problem::Empty)?;
    if documents.is_over() { Ok(template) } else { Err(Problem::TooMany { what: "template in one file", limit: 1 }.into()) }
}

fn checked(bytes: &[u8]) -> Result<&[u8], Problem> {
    if bytes.len() > MAX_BYTES { Err(Problem::TooLarge { limit: MAX_BYTES }) } else { Ok(without_mark(bytes)) }
}

pub(crate) fn read_any(name: &str, bytes: &[u8]) -> Result<Vec<Machine>, Fault> {
    let bytes = checked(bytes)?;
    let format = detect(bytes).ok_or_else(|| unknown(bytes))?;
    read_format(format, name, bytes)
}

pub(crate) fn read_format(format: Format, name: &str, bytes: &[u8]) -> Result<Vec<Machine>, Fault> {
    let bytes = checked(bytes)?;
    let one = |found: Found| vec![found];
    let found = match format {
        Format::Dump | Format::Policy => return own::read(name, bytes),
        Format::Aida => one(Found::new(aida::read(bytes)?)),
        Format::LibcpuidRaw => one(libcpuid_raw::read(bytes)?),
        Format::CpuidR => one(Found::new(cpuid_r::read(bytes)?)),
        Format::Kcpuid => one(kcpuid::read(bytes)?),
        Format::KvmCpuid2 => one(kvm_cpuid2::read(bytes)?),
        Format::LibvirtCpudata => one(libvirt::read(bytes)?),
        Format::LibvirtCpu => libvirt_cpu::read(bytes)?,
        Format::FirecrackerMsrCsv => one(msr_csv::read(bytes)?),
        Format::PropolisToml => propolis::toml(bytes)?,
        Format::QemuCpu => one(qemu_cpu::read(bytes)?),
        Format::Qmp => qmp::read(&mut Documents::new(bytes)?)?,
        Format::FirecrackerFingerprint => each(bytes, firecracker::fingerprint)?,
        Format::FirecrackerTemplate => each(bytes, firecracker::dump)?,
        Format::PropolisJson => each(bytes, propolis::json)?,
        Format::CloudHypervisorProfile => each(bytes, cloud_hypervisor::dump)?,
    };
    Ok(named(found, name, format))
}

/// Reads one machine per document.
fn each(bytes: &[u8], read: fn(&mut Documents<'_>) -> Result<Option<Found>, Fault>) -> Result<Vec<Found>, Fault> {
    let mut documents = Documents::new(bytes)?;
    let mut all = Vec::new();
    while let Some(found) = read(&mut documents)? {
        if all.len() >= MAX_MACHINES {
            return Err(Problem::TooMany { what: "machines", limit: MAX_MACHINES }.into());
        }
        all.push(found);
    }
    if all.is_empty() { Err(Problem::Empty.into()) } else { Ok(all) }
}

fn named(found: Vec<Found>, name: &str, format: Format) -> Vec<Machine> {
    let is_only = found.len() == 1;
    let machine = |(number, found): (usize, Found)| {
        if is_only { found.into_machine(name, format) } else { found.into_machine(&format!("{name}:{number}"), format) }
    };
    (1..).zip(found).map(machine).collect()
}

/// Why a file is in no known format, as closely as can be told.
fn unknown(bytes: &[u8]) -> Fault {
    let first = bytes.trim_ascii_start().first();
    match (first, lines::first_control(bytes)) {
        (None, _) => Problem::Empty.into(),
        (_, Some((line, byte))) => Problem::NotText { byte }.at_line(line),
        (Some(b'{'), None) => json::detect(bytes).err().unwrap_or_else(|| Problem::UnknownFormat.into()),
        _ => Problem::UnknownFormat.into(),
    }
}

/// A file name without directories and extension.
pub(crate) fn stem(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    match file.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file,
    }
}

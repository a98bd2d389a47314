#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod aida;
mod cpuid_r;
mod digits;
mod draft;
mod error;
mod firecracker;
mod format;
mod json;
mod libcpuid_raw;
mod libvirt;
pub mod limits;
mod lines;
mod machine;
mod own;
mod stream;
mod unrecorded;
mod write;

use cpuid_db::Basis;

use error::Fault;

pub use error::{Place, Problem, ReadError};
pub use format::{Format, detect};
pub use machine::{CoreType, Cpu, KvmView, Machine, Provenance};
pub use stream::{Lines, lines};
pub use write::Dump;

/// Reads the machines of a file in any known format, which is found by its content.
///
/// `name` is what errors call the input, and, without directories and extension, the machine's name if the content has none.
/// All formats but the own ones hold one machine; a file of own documents may hold several.
///
/// # Errors
/// When the content is in no known format, damaged, contradicts itself, describes no CPU, or exceeds one of the [`limits`].
pub fn read(name: &str, bytes: &[u8]) -> Result<Vec<Machine>, ReadError> {
    read_any(stem(name), bytes).map_err(|fault| fault.named(name))
}

fn read_any(name: &str, bytes: &[u8]) -> Result<Vec<Machine>, Fault> {
    if bytes.len() > limits::MAX_BYTES {
        return Err(Problem::TooLarge { limit: limits::MAX_BYTES }.into());
    }
    let bytes = format::without_mark(bytes);
    let format = detect(bytes).ok_or_else(|| unknown(bytes))?;
    let plain = |cpus| (cpus, Provenance::default());
    let (cpus, provenance) = match format {
        Format::Dump | Format::Policy => return own::read(name, bytes),
        Format::Aida => plain(aida::read(bytes)?),
        Format::LibcpuidRaw => libcpuid_raw::read(bytes)?,
        Format::LibvirtCpudata => plain(libvirt::read(bytes)?),
        Format::CpuidR => plain(cpuid_r::read(bytes)?),
        Format::FirecrackerFingerprint => firecracker::read(bytes)?,
    };
    let basis = cpus.first().map_or(Basis::Raw, |cpu| cpu.policy.basis);
    Ok(vec![Machine { name: name.to_owned(), format, provenance, basis, unknown_names: Vec::new(), cpus, kvm: None }])
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
fn stem(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    match file.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file,
    }
}

//! Which format a file has, by its content.

use std::fmt;

use crate::{aida, cpuid_r, json, libcpuid_raw, libvirt, lines};

/// A format that this crate reads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Format {
    /// The project's own dump, `vcpu.dump/1`.
    Dump,
    /// The project's own guest policy, `vcpu.policy/1`.
    Policy,
    /// The text family of AIDA64 and InstLatx64, with any of its four headings; also in libcpuid's `.test` files.
    Aida,
    /// What `cpuid_tool --raw` of libcpuid writes, with its tables `basic_cpuid[..]` and so on.
    LibcpuidRaw,
    /// libvirt's `<cpudata arch='x86'>`.
    LibvirtCpudata,
    /// The output of `cpuid -r` or `cpuid -1 -r`.
    CpuidR,
    /// The fingerprint that Firecracker's `cpu-template-helper` takes.
    FirecrackerFingerprint,
}

impl Format {
    /// All formats, in the order in which messages list them.
    pub const ALL: [Self; 7] =
        [Self::Dump, Self::Policy, Self::Aida, Self::LibcpuidRaw, Self::LibvirtCpudata, Self::CpuidR, Self::FirecrackerFingerprint];

    /// The format's name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dump => "vcpu.dump/1",
            Self::Policy => "vcpu.policy/1",
            Self::Aida => "AIDA64 text",
            Self::LibcpuidRaw => "libcpuid raw",
            Self::LibvirtCpudata => "libvirt cpudata",
            Self::CpuidR => "cpuid -r",
            Self::FirecrackerFingerprint => "Firecracker fingerprint",
        }
    }

    /// All names in one line.
    pub(crate) fn list() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The format of a file, by its content alone. `None` when it looks like nothing that this crate reads.
///
/// The answer is about the first thing in the file that only one format has; [`read`](crate::read) may still find it damaged.
pub fn detect(bytes: &[u8]) -> Option<Format> {
    let bytes = without_mark(bytes);
    match bytes.trim_ascii_start().first()? {
        b'{' => json::detect(bytes).ok(),
        b'<' => libvirt::is_cpudata(bytes).then_some(Format::LibvirtCpudata),
        _ => detect_text(bytes),
    }
}

/// A file without the byte order mark that some editors put before UTF-8.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn detect_text(mut bytes: &[u8]) -> Option<Format> {
    type Sign = fn(&[u8]) -> bool;
    const SIGNS: [(Sign, Format); 3] =
        [(aida::is_sign, Format::Aida), (libcpuid_raw::is_sign, Format::LibcpuidRaw), (cpuid_r::is_sign, Format::CpuidR)];
    while !bytes.is_empty() {
        let (line, rest) = lines::split(bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some((_, format)) = SIGNS.iter().find(|(is_sign, _)| is_sign(line)) {
            return Some(*format);
        }
        bytes = rest;
    }
    None
}

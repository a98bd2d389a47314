//! Which format a file has, by its content.

use std::fmt;

use crate::{aida, cpuid_r, json, kcpuid, kvm_cpuid2, libcpuid_raw, libvirt, libvirt_cpu, lines, msr_csv, propolis, qemu_cpu};

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
    /// A custom CPU template of Firecracker. With open bits it is read by [`read_template`](crate::read_template), without by
    /// [`read`](crate::read): then it is a dump.
    FirecrackerTemplate,
    /// The MSRs that a guest of Firecracker can read, without CPUID.
    FirecrackerMsrCsv,
    /// The output of `kcpuid -r`.
    Kcpuid,
    /// libvirt's `<cpu>`, alone or in a domain or in capabilities.
    LibvirtCpu,
    /// Replies of QEMU's machine protocol about CPU models.
    Qmp,
    /// What follows QEMU's `-cpu`: a model, features to add and take away, and properties.
    QemuCpu,
    /// The CPUID profiles of Propolis' configuration.
    PropolisToml,
    /// The CPUID of Propolis' instance specification.
    PropolisJson,
    /// A CPU profile of Cloud Hypervisor, for CPUID or for MSRs. With open bits it is read by
    /// [`read_template`](crate::read_template), without by [`read`](crate::read).
    CloudHypervisorProfile,
    /// KVM's `struct kvm_cpuid2` in binary.
    KvmCpuid2,
}

impl Format {
    /// All formats, in the order in which messages list them.
    pub const ALL: [Self; 17] = [
        Self::Dump,
        Self::Policy,
        Self::Aida,
        Self::LibcpuidRaw,
        Self::LibvirtCpudata,
        Self::CpuidR,
        Self::FirecrackerFingerprint,
        Self::FirecrackerTemplate,
        Self::FirecrackerMsrCsv,
        Self::Kcpuid,
        Self::LibvirtCpu,
        Self::Qmp,
        Self::PropolisToml,
        Self::PropolisJson,
        Self::CloudHypervisorProfile,
        Self::KvmCpuid2,
        Self::QemuCpu,
    ];

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
            Self::FirecrackerTemplate => "Firecracker template",
            Self::FirecrackerMsrCsv => "Firecracker MSR list",
            Self::Kcpuid => "kcpuid -r",
            Self::LibvirtCpu => "libvirt CPU",
            Self::Qmp => "QMP replies",
            Self::QemuCpu => "QEMU -cpu",
            Self::PropolisToml => "Propolis TOML",
            Self::PropolisJson => "Propolis JSON",
            Self::CloudHypervisorProfile => "Cloud Hypervisor profile",
            Self::KvmCpuid2 => "kvm_cpuid2",
        }
    }

    /// Whether the format's documents are JSON objects, of which a file may hold several.
    pub const fn is_json(self) -> bool {
        matches!(
            self,
            Self::Dump
                | Self::Policy
                | Self::FirecrackerFingerprint
                | Self::FirecrackerTemplate
                | Self::Qmp
                | Self::PropolisJson
                | Self::CloudHypervisorProfile
        )
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
    if kvm_cpuid2::is_table(bytes) {
        return Some(Format::KvmCpuid2);
    }
    let bytes = without_mark(bytes);
    match bytes.trim_ascii_start().first()? {
        b'{' => json::detect(bytes).ok(),
        b'<' => detect_xml(bytes),
        _ => detect_text(bytes),
    }
}

/// A file without the byte order mark that some editors put before UTF-8.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn detect_xml(bytes: &[u8]) -> Option<Format> {
    match libvirt::root(bytes)?.as_str() {
        "cpudata" => Some(Format::LibvirtCpudata),
        root => libvirt_cpu::is_sign(root).then_some(Format::LibvirtCpu),
    }
}

fn detect_text(mut bytes: &[u8]) -> Option<Format> {
    type Sign = fn(&[u8]) -> bool;
    const SIGNS: [(Sign, Format); 7] = [
        (aida::is_sign, Format::Aida),
        (libcpuid_raw::is_sign, Format::LibcpuidRaw),
        (cpuid_r::is_sign, Format::CpuidR),
        (kcpuid::is_sign, Format::Kcpuid),
        (msr_csv::is_sign, Format::FirecrackerMsrCsv),
        (propolis::is_sign, Format::PropolisToml),
        (qemu_cpu::is_sign, Format::QemuCpu),
    ];
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

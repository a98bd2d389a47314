//! One small invented dump per format, all of the same CPU, for tests that treat all formats alike.

// Each test file uses its own part of this module.
#![allow(dead_code)]

use cpu_dumps::{Format, Machine, read};

/// The one machine of this text.
pub(crate) fn machine(text: &str) -> Machine {
    let mut machines = read("dir/name.ext", text.as_bytes()).unwrap();
    assert_eq!(machines.len(), 1);
    machines.remove(0)
}

/// Complains unless the text is refused with this message.
#[track_caller]
pub(crate) fn refused(text: &str, message: &str) {
    let error = read("a", text.as_bytes()).map(|machines| format!("{machines:?}")).unwrap_err();
    assert_eq!(error.to_string(), message);
}

/// All formats; an MSR 10AH where the format has room for MSRs.
pub(crate) const SAMPLES: [(Format, &str); 15] = [
    (Format::Aida, AIDA),
    (Format::LibcpuidRaw, LIBCPUID_RAW),
    (Format::LibvirtCpudata, LIBVIRT),
    (Format::CpuidR, CPUID_R),
    (Format::FirecrackerFingerprint, FIRECRACKER),
    (Format::Dump, DUMP),
    (Format::Policy, POLICY),
    (Format::Kcpuid, KCPUID),
    (Format::LibvirtCpu, LIBVIRT_CPU),
    (Format::FirecrackerTemplate, FIRECRACKER_DUMP),
    (Format::Qmp, QMP),
    (Format::PropolisToml, PROPOLIS_TOML),
    (Format::PropolisJson, PROPOLIS_JSON),
    (Format::CloudHypervisorProfile, CLOUD_HYPERVISOR),
    (Format::QemuCpu, QEMU_CPU),
];

pub(crate) const AIDA: &str = "\
------[ Logical CPU #0 ]------

CPUID 00000000: 00000007-756E6547-6C65746E-49656E69 [GenuineIntel]
CPUID 00000001: 000506E3-00100800-7FFAFBBF-BFEBFBFF
CPUID 00000007: 00000001-029C6FBF-00000000-BC000400 [SL 00]
CPUID 00000007: 00000010-00000000-00000000-00000000 [SL 01]
CPUID 80000000: 80000008-00000000-00000000-00000000

------[ MSR Registers ]------

MSR 0000010A: 0000-0000-0000-002B [comment]
";

pub(crate) const LIBCPUID_RAW: &str = "\
version=0.6.5

_________________ Logical CPU #0 _________________
basic_cpuid[0]=00000007 756e6547 6c65746e 49656e69
basic_cpuid[1]=000506e3 00100800 7ffafbbf bfebfbff
basic_cpuid[7]=00000001 029c6fbf 00000000 bc000400
basic_cpuid[8]=00000001 029c6fbf 00000000 bc000400
ext_cpuid[0]=80000008 00000000 00000000 00000000
";

pub(crate) const LIBVIRT: &str = "\
<!-- invented -->
<cpudata arch='x86'>
  <cpuid eax_in='0x00000000' ecx_in='0x00' eax='0x00000007' ebx='0x756e6547' ecx='0x6c65746e' edx='0x49656e69'/>
  <cpuid eax_in='0x00000001' ecx_in='0x00' eax='0x000506e3' ebx='0x00100800' ecx='0x7ffafbbf' edx='0xbfebfbff'/>
  <cpuid eax_in='0x00000007' ecx_in='0x01' eax='0x00000010' ebx='0x00000000' ecx='0x00000000' edx='0x00000000'/>
  <msr index='0x10a' edx='0x00000000' eax='0x0000002b'/>
</cpudata>
";

pub(crate) const CPUID_R: &str = "\
CPU 0:
   0x00000000 0x00: eax=0x00000007 ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69
   0x00000001 0x00: eax=0x000506e3 ebx=0x00100800 ecx=0x7ffafbbf edx=0xbfebfbff
   0x00000007 0x01: eax=0x00000010 ebx=0x00000000 ecx=0x00000000 edx=0x00000000
";

pub(crate) const FIRECRACKER: &str = r#"{
  "firecracker_version": "1.0.0",
  "kernel_version": "6.1",
  "microcode_version": "0x1",
  "guest_cpu_config": {
    "kvm_capabilities": [],
    "cpuid_modifiers": [
      {
        "leaf": "0x0", "subleaf": "0x0", "flags": 0,
        "modifiers": [
          {"register": "eax", "bitmap": "0b00000000000000000000000000000111"},
          {"register": "ebx", "bitmap": "0b01110101011011100110010101000111"},
          {"register": "ecx", "bitmap": "0b01101100011001010111010001101110"},
          {"register": "edx", "bitmap": "0b01001001011001010110111001101001"}
        ]
      }
    ],
    "msr_modifiers": [
      {"addr": "0x10a", "bitmap": "0b0000000000000000000000000000000000000000000000000000000000101011"}
    ]
  }
}
"#;

pub(crate) const DUMP: &str = r#"{
  "schema": "vcpu.dump/1",
  "name": "invented",
  "basis": "raw",
  "provenance": {
    "tool": "by hand",
    "source": "tests"
  },
  "cpus": [
    {
      "cpu": 0,
      "core_type": "performance",
      "leaves": [
        {"leaf": "0x00000000", "subleaf": "0x00", "eax": "0x00000007", "ebx": "0x756e6547", "ecx": "0x6c65746e", "edx": "0x49656e69"},
        {"leaf": "0x00000007", "subleaf": "0x01", "eax": "0x00000010", "ebx": "0x00000000", "ecx": "0x00000000", "edx": "0x00000000"}
      ],
      "msrs": [
        {"index": "0x0000010a", "value": "0x000000000000002b"}
      ],
      "unrecorded": [
        {"leaf": "0x0000000d", "subleaf": "0x01"},
        {"msr": "0x00000345"}
      ]
    }
  ],
  "kvm": {
    "supported": {
      "basis": "recorded",
      "leaves": [
        {"leaf": "0x00000000", "subleaf": "0x00", "eax": "0x00000007", "ebx": "0x756e6547", "ecx": "0x6c65746e", "edx": "0x49656e69"}
      ],
      "msrs": [
        {"index": "0x0000010a", "value": "0x000000000000000b"},
        {"index": "0xc0010015", "value": "0x0000000000000001"}
      ],
      "unrecorded": []
    },
    "emulated": {
      "leaves": [
        {"leaf": "0x00000001", "subleaf": "0x00", "eax": "0x00000000", "ebx": "0x00000000", "ecx": "0x00400000", "edx": "0x00000000"}
      ]
    }
  }
}
"#;

pub(crate) const POLICY: &str = r#"{
  "schema": "vcpu.policy/1",
  "basis": "derived",
  "hosts": {"count": 2, "names": ["a", "b"]},
  "leaves": [
    {"leaf": "0x00000000", "subleaf": "0x00", "eax": "0x00000007", "ebx": "0x756e6547", "ecx": "0x6c65746e", "edx": "0x49656e69"}
  ],
  "msrs": [{"index": "0x0000010a", "value": "0x0000000000000009"}],
  "features": [],
  "decisions": [{"feature": "FPU", "outcome": "granted"}]
}
"#;

pub(crate) const KCPUID: &str = "\
Basic Leafs :
================
0x00000000: EAX=0x00000007, EBX=0x756e6547, ECX=0x6c65746e, EDX=0x49656e69
0x00000001: EAX=0x000506e3, EBX=0x00100800, ECX=0x7ffafbbf, EDX=0xbfebfbff
0x00000007: subleafs:
  0: EAX=0x00000001, EBX=0x029c6fbf, ECX=0x00000000, EDX=0xbc000400
  1: EAX=0x00000010, EBX=0x00000000, ECX=0x00000000, EDX=0x00000000
Extended Leafs :
================
0x80000000: EAX=0x80000008, EBX=0x00000000, ECX=0x00000000, EDX=0x00000000
";

pub(crate) const LIBVIRT_CPU: &str = "\
<cpu>
  <arch>x86_64</arch>
  <model>Skylake-Client</model>
  <vendor>Intel</vendor>
  <signature family='6' model='94' stepping='3'/>
  <feature name='vmx'/>
  <feature policy='disable' name='rtm'/>
</cpu>
";

pub(crate) const FIRECRACKER_DUMP: &str = r#"{
  "cpuid_modifiers": [
    {"leaf": "0x0", "subleaf": "0x0", "flags": 0, "modifiers": [
      {"register": "eax", "bitmap": "0b00000000000000000000000000000111"},
      {"register": "ebx", "bitmap": "0b01110101011011100110010101000111"},
      {"register": "ecx", "bitmap": "0b01101100011001010111010001101110"},
      {"register": "edx", "bitmap": "0b01001001011001010110111001101001"}
    ]}
  ],
  "msr_modifiers": [
    {"addr": "0x10a", "bitmap": "0b0000000000000000000000000000000000000000000000000000000000101011"}
  ]
}
"#;

pub(crate) const FIRECRACKER_TEMPLATE: &str = r#"{
  "kvm_capabilities": ["!56"],
  "cpuid_modifiers": [
    {"leaf": "0x1", "subleaf": "0x0", "flags": 0, "modifiers": [
      {"register": "ecx", "bitmap": "0bxxxx_xxxx_xxxx_xxxx_xxxx_xxxx_xxxx_x01x"}
    ]},
    {"leaf": "0x7", "subleaf": "0b0", "flags": 1, "modifiers": [
      {"register": "ebx", "bitmap": "1x0"}
    ]}
  ],
  "msr_modifiers": [
    {"addr": "0x10a", "bitmap": "0bx1"}
  ]
}
"#;

pub(crate) const MSR_CSV: &str = "\
MSR_ADDR,VALUE
0x0,0x0
0x10a,0x2b
0xc0000080,0xd01
0x400000000,0x0
";

pub(crate) const QMP: &str = r#"{
  "return": {
    "model": {
      "name": "base",
      "props": {
        "vendor": "GenuineIntel",
        "family": 6,
        "model": 94,
        "stepping": 3,
        "level": 7,
        "xlevel": 2147483656,
        "model-id": "Invented",
        "phys-bits": 0,
        "fpu": true,
        "sse4.1": true,
        "sse4_1": true,
        "aes": false,
        "kvmclock": true,
        "invented": false,
        "l3-cache": true
      }
    }
  },
  "id": "model-expansion"
}
"#;

pub(crate) const PROPOLIS_TOML: &str = "\
[main]
name = \"invented\"
cpus = 4

[cpuid.invented]
vendor = \"intel\"
\"0\" = [0x7, 0x756e6547, 0x6c65746e, 0x49656e69]
\"7-0\" = [1, 0, 0, 0]
\"7-1\" = [0x10, 0, 0, 0]
";

pub(crate) const PROPOLIS_JSON: &str = r#"{
  "board": {
    "cpus": 4,
    "cpuid": {
      "entries": [
        {"leaf": 0, "subleaf": null, "eax": 7, "ebx": 1970169159, "ecx": 1818588270, "edx": 1231384169},
        {"leaf": 7, "subleaf": 1, "eax": 16, "ebx": 0, "ecx": 0, "edx": 0}
      ],
      "vendor": "intel"
    }
  },
  "components": {}
}
"#;

pub(crate) const CLOUD_HYPERVISOR: &str = r#"{
  "adjustments": [
    [{"leaf": "0x0", "sub_leaf": {"start": "0x0", "end": "0xffffffff"}, "register": "EAX"}, {"replacements": "0x7", "mask": "0x0"}],
    [{"leaf": "0x0", "sub_leaf": {"start": "0x0", "end": "0xffffffff"}, "register": "EBX"}, {"replacements": "0x756e6547", "mask": "0x0"}],
    [{"leaf": "0x0", "sub_leaf": {"start": "0x0", "end": "0xffffffff"}, "register": "ECX"}, {"replacements": "0x6c65746e", "mask": "0x0"}],
    [{"leaf": "0x0", "sub_leaf": {"start": "0x0", "end": "0xffffffff"}, "register": "EDX"}, {"replacements": "0x49656e69", "mask": "0x0"}]
  ]
}
"#;

pub(crate) const CLOUD_HYPERVISOR_MSRS: &str = r#"{
  "adjustments": [
    ["0x10a", {"replacements": "0x2b", "mask": "0x0"}]
  ],
  "required_msrs": ["0x10a"]
}
"#;

/// The binary table of KVM: the words of its head, and those of each entry.
pub(crate) fn kvm_cpuid2() -> Vec<u8> {
    let leaf_0 = [0, 0, 0, 7, 0x756e_6547, 0x6c65_746e, 0x4965_6e69, 0, 0, 0];
    let leaf_7 = [7, 1, 1, 0x10, 0, 0, 0, 0, 0, 0];
    [2, 0].into_iter().chain(leaf_0).chain(leaf_7).flat_map(u32::to_le_bytes).collect()
}

pub(crate) const QEMU_CPU: &str = "Skylake-Client-v1,stepping=3,level=0x7,+vmx,-rtm,phys-bits=39\n";

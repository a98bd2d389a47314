//! The oracles of the fuzz targets: functions from bytes to nothing that panic when a promise is broken.
//!
//! `cargo xtask fuzz` runs them under libFuzzer; `tests/regressions.rs` replays seeds and regressions through the same functions.
//! A target is a file in `fuzz_targets/`, a line in [`TARGETS`], a `[[bin]]` in the manifest and a folder in `seeds/`.
//! Each format that is read has a target `read_FORMAT`, each that is written a target `write_FORMAT`; what they check is the same for all.

mod fields;
mod guests;
mod inputs;
mod machines;
mod msr;
mod policies;
mod pool;
mod readers;
mod rendered;
mod words;
mod writers;

use cpu_dumps::{Format, Target};
use readers::read_one;
use writers::write_one;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use libfuzzer_sys;

pub use fields::policy_fields;
pub use guests::{check_guest, resolve};
pub use msr::{msr_file, msr_filter};
pub use policies::write_policy;
pub use pool::pool_laws;
pub use readers::{read_any, template};
pub use rendered::read_rendered;
pub use words::{lookup, model_words};

/// Checks one input and panics when a promise is broken.
pub type Oracle = fn(&[u8]);

/// Every target and its oracle.
pub const TARGETS: [(&str, Oracle); 37] = [
    ("check_guest", check_guest),
    ("lookup", lookup),
    ("model_words", model_words),
    ("msr_file", msr_file),
    ("msr_filter", msr_filter),
    ("policy_fields", policy_fields),
    ("pool_laws", pool_laws),
    ("read_aida", |bytes| read_one(Format::Aida, bytes)),
    ("read_any", read_any),
    ("read_cloud_hypervisor_profile", |bytes| read_one(Format::CloudHypervisorProfile, bytes)),
    ("read_cpuid_r", |bytes| read_one(Format::CpuidR, bytes)),
    ("read_dump", |bytes| read_one(Format::Dump, bytes)),
    ("read_firecracker_fingerprint", |bytes| read_one(Format::FirecrackerFingerprint, bytes)),
    ("read_firecracker_msr_csv", |bytes| read_one(Format::FirecrackerMsrCsv, bytes)),
    ("read_firecracker_template", |bytes| read_one(Format::FirecrackerTemplate, bytes)),
    ("read_kcpuid", |bytes| read_one(Format::Kcpuid, bytes)),
    ("read_kvm_cpuid2", |bytes| read_one(Format::KvmCpuid2, bytes)),
    ("read_libcpuid_raw", |bytes| read_one(Format::LibcpuidRaw, bytes)),
    ("read_libvirt_cpu", |bytes| read_one(Format::LibvirtCpu, bytes)),
    ("read_libvirt_cpudata", |bytes| read_one(Format::LibvirtCpudata, bytes)),
    ("read_policy", |bytes| read_one(Format::Policy, bytes)),
    ("read_propolis_json", |bytes| read_one(Format::PropolisJson, bytes)),
    ("read_propolis_toml", |bytes| read_one(Format::PropolisToml, bytes)),
    ("read_qemu_cpu", |bytes| read_one(Format::QemuCpu, bytes)),
    ("read_qmp", |bytes| read_one(Format::Qmp, bytes)),
    ("read_rendered", read_rendered),
    ("resolve", resolve),
    ("template", template),
    ("write_cloud_hypervisor_profile", |bytes| write_one(Target::CloudHypervisorProfile, bytes)),
    ("write_cpuid_r", |bytes| write_one(Target::CpuidR, bytes)),
    ("write_dump", |bytes| write_one(Target::Dump, bytes)),
    ("write_firecracker_template", |bytes| write_one(Target::FirecrackerTemplate, bytes)),
    ("write_libvirt_cpu", |bytes| write_one(Target::LibvirtCpu, bytes)),
    ("write_libvirt_cpudata", |bytes| write_one(Target::LibvirtCpudata, bytes)),
    ("write_policy", write_policy),
    ("write_propolis_toml", |bytes| write_one(Target::PropolisToml, bytes)),
    ("write_qemu", |bytes| write_one(Target::Qemu, bytes)),
];

/// The oracle of the target with this name.
pub fn oracle(name: &str) -> Oracle {
    let target = TARGETS.iter().find(|(target, _)| *target == name);
    target.expect("a program bears the name of its target").1
}

/// Makes the program of the target whose name it bears: for libFuzzer, or one that replays the files named on its command line.
#[cfg(fuzzing)]
#[macro_export]
macro_rules! target {
    () => {
        $crate::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $crate::oracle(env!("CARGO_BIN_NAME"))(bytes));
    };
}

/// Makes the program of the target whose name it bears: for libFuzzer, or one that replays the files named on its command line.
#[cfg(not(fuzzing))]
#[macro_export]
macro_rules! target {
    () => {
        fn main() -> std::io::Result<()> {
            $crate::replay($crate::oracle(env!("CARGO_BIN_NAME")))
        }
    };
}

/// Runs an oracle on the files named on the command line.
///
/// # Errors
/// When a file cannot be read.
pub fn replay(oracle: Oracle) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        oracle(&std::fs::read(&path)?);
        println!("{}: fine", path.display());
    }
    Ok(())
}

#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod aida;
mod cloud_hypervisor;
mod cpuid_r;
mod digits;
mod draft;
mod error;
mod firecracker;
mod format;
mod json;
mod kcpuid;
mod kvm_cpuid2;
mod libcpuid_raw;
mod libvirt;
mod libvirt_cpu;
pub mod limits;
mod lines;
mod machine;
pub mod models;
mod msr_csv;
mod named;
mod own;
mod propolis;
mod qemu_cpu;
mod qmp;
mod read;
mod stream;
mod template;
mod unrecorded;
mod vocabulary;
mod write;

pub use error::{Place, Problem, ReadError};
pub use format::{Format, detect};
pub use machine::{CoreType, Cpu, KvmView, Machine, Provenance};
pub use models::{NamedModel, Origin, UnknownModel, find_model};
pub use read::{read, read_as, read_template};
pub use stream::{Documents, Lines, documents, lines};
pub use template::{ApplyError, Bits, CpuidRule, MsrRule, Template};
pub use write::{AbsentBits, Dump, Lost, Part, Reason, Refused, Target, WriteError, Written, write};

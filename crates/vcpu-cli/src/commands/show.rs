//! `vcpu show`: what a dump says, by name.

use std::path::PathBuf;

use cpu_dumps::{Cpu, Machine};
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Failure};
use crate::page::Page;
use crate::unknown::{Unknown, UnknownPlace, unknown_bits};
use crate::{input, json};

pub(crate) mod report;

/// Arguments of `vcpu show`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Any known format is recognized by its content: vcpu.dump/1 and vcpu.policy/1, AIDA64 and InstLatx64 text, libcpuid raw,
cpuid -r, kcpuid -r, libvirt cpudata and CPU XML, QMP replies, Firecracker fingerprints and MSR lists, Propolis and Cloud Hypervisor
profiles, and KVM's tables.

Examples:
  vcpu show host42.json
  cpuid -1 -r | vcpu show -
  vcpu show --json host42.json | jq '.features[].name'")]
pub(crate) struct Args {
    /// A dump or policy; - for standard input.
    file: PathBuf,
}

/// Every machine of the file.
pub(crate) fn run(args: &Args, as_json: bool) -> Result<Answer, Failure> {
    let machines = input::machines(&args.file)?;
    if as_json {
        let documents: Vec<Value> = machines.iter().map(document).collect();
        let value = match <[Value; 1]>::try_from(documents) {
            Ok([only]) => only,
            Err(several) => Value::Array(several),
        };
        return Ok(Answer::done(json::document(&value)));
    }
    let mut page = Page::new();
    for machine in &machines {
        report::write(&mut page, machine);
    }
    Ok(Answer::done(page.into_text()))
}

/// The `vcpu.show/1` object of a machine. What is not said per CPU is about the first one.
fn document(machine: &Machine) -> Value {
    let mut object = Map::new();
    let mut member = |key: &str, value: Value| object.insert(key.to_owned(), value);
    member("schema", "vcpu.show/1".into());
    member("name", machine.name.as_str().into());
    member("basis", machine.basis.name().into());
    member("provenance", json::provenance(machine));
    let Some(first) = machine.cpus.first() else { return Value::Object(object) };
    let policy = &first.policy;
    member("identity", json::identity(policy));
    member("cpus", machine.cpus.iter().enumerate().map(|(at, one)| cpu(one, at == 0)).collect());
    member("features", json::features(&policy.features()));
    member("unknown_bits", unknown_bits(policy).iter().map(unknown).collect());
    member("unknown_names", machine.unknown_names.as_slice().into());
    member("unrecorded", json::unrecorded(policy.unrecorded.as_slice()));
    member("msrs", json::msrs(&first.msrs));
    if let Some(kvm) = &machine.kvm {
        let supported = &kvm.supported;
        let view = json!({
            "basis": supported.basis.name(),
            "leaves": json::leaves(&supported.cpuid),
            "features": json::features(&supported.features()),
            "msrs": json::msrs(supported.msrs.entries()),
            "emulated": kvm.emulated.as_ref().map(json::leaves),
        });
        member("kvm", view);
    }
    Value::Object(object)
}

fn cpu(cpu: &Cpu, is_first: bool) -> Value {
    let mut object = Map::new();
    object.insert("cpu".to_owned(), cpu.number.into());
    if let Some(kind) = cpu.core_type {
        object.insert("core_type".to_owned(), kind.name().into());
    }
    object.insert("leaves".to_owned(), json::leaves(&cpu.policy.cpuid));
    if !is_first && !cpu.msrs.is_empty() {
        object.insert("msrs".to_owned(), json::msrs(&cpu.msrs));
    }
    Value::Object(object)
}

fn unknown(unknown: &Unknown) -> Value {
    match unknown.place {
        UnknownPlace::Cpuid { leaf, subleaf, register } => json!({
            "leaf": json::hex32(leaf),
            "subleaf": json::hex_subleaf(subleaf),
            "register": register.name(),
            "mask": json::hex32(unknown.mask as u32),
        }),
        UnknownPlace::Msr { index } => {
            json!({ "msr": json::hex(u64::from(index)), "mask": format!("0x{:016x}", unknown.mask) })
        }
    }
}

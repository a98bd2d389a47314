//! The own policy format, written, and rendered from a known policy by code that knows nothing of the reader.

use arbitrary::{Result, Unstructured};
use cpu_dumps::{Cpu, Format, Machine, Provenance, Target, detect, read, read_as};
use cpuid_db::{Basis, CpuidEntry, MsrEntry, Policy, Registers, Unrecorded};

use crate::machines;
use crate::readers::check_round_trip;
use crate::writers::write_one;

/// A machine is written as a policy as in any format; and what other programs write as a policy is read as that policy, whatever they
/// say beside it.
pub fn write_policy(bytes: &[u8]) {
    write_one(Target::Policy, bytes);
    if let Ok((policy, text)) = case(&mut Unstructured::new(bytes)) {
        assert_eq!(detect(text.as_bytes()), Some(Format::Policy), "{text}");
        let machines = read_as(Format::Policy, "input", text.as_bytes());
        assert_eq!(machines, read("input", text.as_bytes()), "a policy by its content");
        let expected = Machine {
            name: "input".to_owned(),
            format: Format::Policy,
            provenance: Provenance::default(),
            basis: policy.basis,
            unknown_names: Vec::new(),
            cpus: vec![Cpu { number: 0, core_type: None, msrs: policy.msrs.entries().to_vec(), policy }],
            kvm: None,
        };
        check_round_trip(&expected);
        assert_eq!(machines, Ok(vec![expected]), "{text}");
    }
}

/// A policy and its text; what explains the policy may stand before or after the policy itself.
fn case(u: &mut Unstructured<'_>) -> Result<(Policy, String)> {
    const REASONS: &str = r#""decisions": [{"feature": "AES", "outcome": "granted", "because": {"hosts": {"count": 2, "names": ["a"]}}}]"#;
    const HOSTS: &str = r#""hosts": {"count": 2, "names": ["a", "b"]}, "features": ["AES"], "forced": []"#;
    let basis = *u.choose(&[Basis::Raw, Basis::Recorded, Basis::Derived])?;
    let mut policy = machines::policy(u, basis)?;
    // A policy knows its features by their registers, not by their names.
    policy.named = cpuid_db::FeatureSet::EMPTY;
    if policy.cpuid.entries().is_empty() && policy.msrs.entries().is_empty() {
        return Err(arbitrary::Error::IncorrectFormat);
    }
    let mut members = vec![r#""schema": "vcpu.policy/1""#.to_owned(), format!("\"basis\": \"{}\"", basis.name())];
    members.extend([REASONS, HOSTS].map(str::to_owned));
    members.push(list("leaves", policy.cpuid.entries(), leaf));
    members.push(list("msrs", policy.msrs.entries(), msr));
    members.push(list("unrecorded", policy.unrecorded.as_slice(), place));
    let first = u.choose_index(members.len())?;
    members.rotate_left(first);
    Ok((policy, format!("{{\n{}\n}}\n", members.join(",\n"))))
}

fn list<T>(key: &str, all: &[T], object: fn(&T) -> String) -> String {
    let objects: Vec<String> = all.iter().map(object).collect();
    format!("\"{key}\": [{}]", objects.join(", "))
}

fn leaf(entry: &CpuidEntry) -> String {
    let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = entry;
    let registers = format!(r#""eax": "{eax:#010x}", "ebx": "{ebx:#010x}", "ecx": "{ecx:#010x}", "edx": "{edx:#010x}""#);
    format!(r#"{{"leaf": "{leaf:#010x}", "subleaf": "{subleaf:#04x}", {registers}}}"#)
}

fn msr(entry: &MsrEntry) -> String {
    format!(r#"{{"index": "{:#010x}", "value": "{:#018x}"}}"#, entry.index, entry.value)
}

fn place(place: &Unrecorded) -> String {
    match place {
        Unrecorded::Cpuid { leaf, subleaf } => format!(r#"{{"leaf": "{leaf:#010x}", "subleaf": "{subleaf:#04x}"}}"#),
        Unrecorded::Msr { index } => format!(r#"{{"msr": "{index:#010x}"}}"#),
    }
}

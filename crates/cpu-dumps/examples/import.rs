//! One machine of a dump in any readable format, as a document of the project's own format on standard output; what somebody should
//! look at before it is kept goes to standard error. `cargo xtask import-machine` runs it.
//!
//! `import FILE NAME [SOURCE]`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use cpu_dumps::{Dump, Machine};
use cpuid_db::{Found, Policy, Register, Unrecorded, lookup};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.as_slice() {
        [file, name] => import(file, name, None),
        [file, name, source] => import(file, name, Some(source)),
        _ => Err("import FILE NAME [SOURCE]".to_owned()),
    };
    match outcome {
        Ok((document, review)) => {
            print!("{document}");
            eprint!("{review}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The document and what to review.
fn import(file: &str, name: &str, source: Option<&str>) -> Result<(String, String), String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    let machines = cpu_dumps::read(file, &bytes).map_err(|error| error.to_string())?;
    let [mut machine] = <[Machine; 1]>::try_from(machines).map_err(|all| format!("{file}: {} machines; give one at a time", all.len()))?;
    name.clone_into(&mut machine.name);
    if let Some(source) = source {
        machine.provenance.source = Some(source.to_owned());
    }
    if machine.provenance.source.is_none() {
        return Err(format!("{file} does not say where it comes from: add --source TEXT"));
    }
    let review = review(&machine);
    machine.cpus = machine.one_per_core_type().into_iter().cloned().collect();
    let document = Dump::new(&machine).to_string();
    let again = cpu_dumps::read(name, document.as_bytes()).map_err(|error| format!("what was written cannot be read: {error}"))?;
    if again.first().map(|again| &again.cpus) != Some(&machine.cpus) {
        return Err("what was written reads differently".to_owned());
    }
    Ok((document, review))
}

fn review(machine: &Machine) -> String {
    let kept = machine.one_per_core_type();
    let mut text = format!("{:?} file, basis {}, {} CPUs, {} kept\n", machine.format, machine.basis.name(), machine.cpus.len(), kept.len());
    lines(&mut text, "names that the database lacks", &machine.unknown_names);
    for cpu in kept {
        let kind = cpu.core_type.map_or("all", |kind| kind.name());
        let brand = String::from_utf8_lossy(&cpu.policy.brand()).trim_matches(['\0', ' ']).to_owned();
        let _ = writeln!(text, "CPU {} ({kind}): {:?} {}, {brand}", cpu.number, cpu.policy.vendor(), cpu.policy.signature());
        lines(&mut text, "set bits without a row", &unknown_bits(&cpu.policy));
        lines(&mut text, "not recorded", &cpu.policy.unrecorded.as_slice().iter().map(place).collect::<Vec<_>>());
    }
    text
}

fn lines(text: &mut String, heading: &str, list: &[String]) {
    let _ = writeln!(text, "  {heading}: {}", if list.is_empty() { "none".to_owned() } else { list.join(", ") });
}

fn place(place: &Unrecorded) -> String {
    match place {
        Unrecorded::Cpuid { leaf, subleaf } => format!("CPUID.{leaf:X}.{subleaf:X}"),
        Unrecorded::Msr { index } => format!("MSR.{index:X}"),
    }
}

/// Set bits in which no feature and no field has a part, by register.
fn unknown_bits(policy: &Policy) -> Vec<String> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut check = |word: String, value: u64| {
        for bit in (0..64).filter(|bit| value >> bit & 1 == 1) {
            if matches!(lookup(&format!("{word}[{bit}]")), Ok(Found::Reserved(_))) {
                found.entry(word.clone()).or_default().push(bit.to_string());
            }
        }
    };
    for entry in policy.cpuid.entries() {
        for register in Register::ALL {
            let value = entry.registers.get(register);
            check(format!("CPUID.{:X}.{:X}.{}", entry.leaf, entry.subleaf, register.name().to_uppercase()), u64::from(value));
        }
    }
    for msr in policy.msrs.entries() {
        check(format!("MSR.{:X}", msr.index), msr.value);
    }
    found.into_iter().map(|(word, bits)| format!("{word}[{}]", bits.join(" "))).collect()
}

//! Real dumps: every original of a corpus directory is read and compared with the same numbers in the corpus' own layout.
//!
//! The corpus is not part of this repository; `VCPU_CORPUS` says where it is. It holds `INDEX.tsv` (one row per machine),
//! `originals/` and `normalised/ID.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use cpu_dumps::{CoreType, Cpu, Dump, Format, Machine};
use serde_json::Value;

/// The formats of the index that this crate reads, and what it takes them for.
const FORMATS: [(&str, Format); 10] = [
    ("affmask", Format::Aida),
    ("aida-logical", Format::Aida),
    ("aida-old", Format::Aida),
    ("aida-registers", Format::Aida),
    ("libcpuid-raw", Format::LibcpuidRaw),
    ("libvirt-cpudata", Format::LibvirtCpudata),
    ("cpuid-r", Format::CpuidR),
    ("firecracker-fingerprint", Format::FirecrackerFingerprint),
    ("firecracker-msr-csv", Format::FirecrackerMsrCsv),
    ("kvm-cpuid2", Format::KvmCpuid2),
];

/// What the corpus calls the kinds of cores.
const CORE_TYPES: [(&str, CoreType); 5] = [
    ("core", CoreType::Performance),
    ("performance", CoreType::Performance),
    ("atom", CoreType::Efficiency),
    ("efficiency", CoreType::Efficiency),
    ("atom-noL3", CoreType::LowPower),
];

struct Row {
    id: String,
    format: (&'static str, Format),
    original: PathBuf,
}

#[test]
fn originals_read_as_the_corpus_says() -> Result<(), Box<dyn Error>> {
    let Some(corpus) = std::env::var_os("VCPU_CORPUS").map(PathBuf::from) else {
        eprintln!("skipped: VCPU_CORPUS is not set");
        return Ok(());
    };
    let mut read: BTreeMap<&str, usize> = BTreeMap::new();
    let mut differences = Vec::new();
    for row in rows(&corpus)? {
        let normal = fs::read(corpus.join("normalised").join(format!("{}.json", row.id)))?;
        let normal: Value = serde_json::from_slice(&normal)?;
        *read.entry(row.format.0).or_default() += 1;
        if let Err(difference) = compare(&row, &normal) {
            differences.push(format!("{}: {difference}", row.id));
        }
    }
    eprintln!("read: {read:?}");
    assert!(!read.is_empty(), "the index names no file that this crate reads");
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}

fn rows(corpus: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    let index = fs::read_to_string(corpus.join("INDEX.tsv"))?;
    let mut lines = index.lines();
    let header: Vec<&str> = lines.next().ok_or("the index is empty")?.split('\t').collect();
    let column = |name| header.iter().position(|column| *column == name).ok_or(format!("no column {name}"));
    let (id, format, originals) = (column("id")?, column("format")?, column("originals")?);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let format = FORMATS.into_iter().find(|(name, _)| *name == cells[format])?;
        let original = cells[originals].split(' ').next()?;
        Some(Row { id: cells[id].to_owned(), format, original: corpus.join("originals").join(original) })
    };
    Ok(lines.filter_map(row).collect())
}

fn compare(row: &Row, normal: &Value) -> Result<(), Box<dyn Error>> {
    let name = row.original.to_string_lossy();
    let machines = cpu_dumps::read(&name, &fs::read(&row.original)?)?;
    let [machine] = machines.as_slice() else { return Err("not one machine".into()) };
    same("format", &machine.format, &row.format.1)?;
    let cpus = normal["cpus"].as_array().ok_or("no list of CPUs")?;
    // A list of MSRs is about one CPU, of which nothing else is known.
    let is_list = normal["kind"] == "msr-list";
    same("CPUs", &(machine.cpus.len() as u64), &normal["cpus_total"].as_u64().map(|total| total.max(1)).ok_or("no count of CPUs")?)?;
    // The corpus leaves out CPUs of large machines.
    let kept: Vec<&Cpu> = if cpus.len() == machine.cpus.len() { machine.cpus.iter().collect() } else { machine.one_per_core_type() };
    same("CPUs kept", &kept.len(), &(cpus.len() + usize::from(is_list)))?;
    for (ours, theirs) in kept.iter().zip(cpus) {
        compare_cpu(ours, theirs).map_err(|difference| format!("cpu {}: {difference}", ours.number))?;
    }
    let msrs: Vec<Vec<u64>> = machine.cpus[0].msrs.iter().map(|msr| vec![u64::from(msr.index), msr.value]).collect();
    // The MSRs of the binary tables come from another file.
    if machine.format != Format::KvmCpuid2 {
        same("msrs", &msrs, &in_32_bits(table(&normal["msrs"], &["index", "value"])?))?;
    }
    round_trip(machine)
}

fn compare_cpu(ours: &Cpu, theirs: &Value) -> Result<(), Box<dyn Error>> {
    same("number", &u64::from(ours.number), &theirs["cpu"].as_u64().ok_or("no number")?)?;
    let kind = theirs["core_type"].as_str().map(|name| {
        let known = CORE_TYPES.into_iter().find(|(known, _)| *known == name);
        known.map(|(_, kind)| kind).ok_or(format!("core type {name}"))
    });
    same("core type", &ours.core_type, &kind.transpose()?)?;
    let entries = ours.policy.cpuid.entries().iter().map(|entry| {
        let registers = entry.registers;
        let numbers = [entry.leaf, entry.subleaf, registers.eax, registers.ebx, registers.ecx, registers.edx];
        numbers.map(u64::from).to_vec()
    });
    let entries: Vec<Vec<u64>> = entries.collect();
    let theirs = table(&theirs["leaves"], &["leaf", "subleaf", "eax", "ebx", "ecx", "edx"])?;
    for (ours, theirs) in entries.iter().zip(&theirs) {
        same("leaf", ours, theirs)?;
    }
    same("leaves", &entries.len(), &theirs.len())
}

fn table(list: &Value, keys: &[&str]) -> Result<Vec<Vec<u64>>, Box<dyn Error>> {
    let number = |value: &Value| -> Result<u64, Box<dyn Error>> {
        let text = value.as_str().and_then(|text| text.strip_prefix("0x")).ok_or("not a hex string")?;
        Ok(u64::from_str_radix(text, 16)?)
    };
    let Some(rows) = list.as_array() else { return Ok(Vec::new()) };
    rows.iter().map(|row| keys.iter().map(|key| number(&row[*key])).collect()).collect()
}

/// RDMSR takes the lower half of an address: what stands for a number above 32 bits is another MSR given again.
fn in_32_bits(rows: Vec<Vec<u64>>) -> Vec<Vec<u64>> {
    let low = |row: Vec<u64>| vec![u64::from(row[0] as u32), row[1]];
    rows.into_iter().map(low).collect::<BTreeSet<_>>().into_iter().collect()
}

fn round_trip(machine: &Machine) -> Result<(), Box<dyn Error>> {
    let expected = Machine { format: Format::Dump, ..machine.clone() };
    for text in [Dump::new(machine).to_string(), Dump::new(machine).one_line().to_string()] {
        let again = cpu_dumps::read("again.json", text.as_bytes())?;
        if again != [expected.clone()] {
            return Err("the own format does not keep everything".into());
        }
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, theirs: &T) -> Result<(), Box<dyn Error>> {
    if ours == theirs { Ok(()) } else { Err(format!("{what}: {ours:x?}, not {theirs:x?}").into()) }
}

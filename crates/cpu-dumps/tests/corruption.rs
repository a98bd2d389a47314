//! Damaged copies of real files: bits turned over, ends cut off, lines exchanged. Seeded, so that every run does the same.
//!
//! Nothing panics. A damaged copy that is still read may differ from the whole file only as far as no redundancy of its format
//! could tell, and that is stated here, format by format:
//!
//! - *One bit turned over* can make another digit of a digit: then one leaf or MSR has another value, or two have changed places
//!   (the number of a leaf or of a list was hit). Nothing else differs: no other leaf, no other CPU. Only where the format's reader cuts by
//!   the announced maximum (libcpuid raw) the leaves above a changed maximum may be gone. In formats of names, one word has another
//!   meaning, or none and is reported; a model that is no longer known takes all its features into the unknown.
//! - *An end cut off* is found out in XML, JSON, KVM's table and MSR lists. In line formats what is left is as it was; what was
//!   announced and is gone is unrecorded in `cpuid -r`, where the tool prints every leaf. AIDA64 text and libcpuid raw leave out leaves
//!   themselves, and do not end: a cut between two lines reads as a file of a smaller machine. QEMU's `-cpu` is one line of words that
//!   any other word may follow: cut, it is another CPU, and nothing is claimed.
//! - *Two lines exchanged* changes no value: every leaf that is read has registers that the whole file gives for that leaf.
//!   In JSON and TOML a register's line is not bound to its leaf, so there nothing is claimed.

mod samples;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use cpu_dumps::{Cpu, Dump, Format, Machine, read};
use cpuid_db::{CpuidEntry, Registers, Unrecorded};

/// Damages of each kind per file.
const ROUNDS: usize = 6;
/// Larger files are left out for time; all formats have smaller ones.
const MAX_SIZE: usize = 64 << 10;

/// A small generator of numbers (xorshift64), seeded by the file.
struct Numbers(u64);

impl Numbers {
    fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// A file that is read whole, and what is read.
struct Whole<'a> {
    name: &'a str,
    bytes: &'a [u8],
    machines: Vec<Machine>,
}

impl Whole<'_> {
    fn format(&self) -> Format {
        self.machines[0].format
    }

    /// The CPUs of a damaged copy, each with the one that stands at its place in the whole file.
    fn pairs<'b>(&'b self, damaged: &'b [Machine]) -> impl Iterator<Item = (&'b Cpu, &'b Cpu)> {
        cpus(&self.machines).zip(cpus(damaged))
    }
}

fn cpus(machines: &[Machine]) -> impl Iterator<Item = &Cpu> {
    machines.iter().flat_map(|machine| &machine.cpus)
}

/// Whether the CPU claims to know this leaf, also that it is not there.
fn is_known(cpu: &Cpu, leaf: u32, subleaf: u32) -> bool {
    !cpu.policy.unrecorded.contains(Unrecorded::Cpuid { leaf, subleaf })
}

/// The leaves in which a damaged CPU differs and claims to know better.
fn changed_leaves(whole: &Cpu, damaged: &Cpu) -> BTreeSet<u32> {
    let (before, after) = (&whole.policy.cpuid, &damaged.policy.cpuid);
    let entries = before.entries().iter().chain(after.entries());
    let differs = |entry: &&CpuidEntry| {
        let (leaf, subleaf) = (entry.leaf, entry.subleaf);
        before.get(leaf, subleaf) != after.get(leaf, subleaf) && is_known(damaged, leaf, subleaf)
    };
    entries.filter(differs).map(|entry| entry.leaf).collect()
}

fn changed_msrs(whole: &Cpu, damaged: &Cpu) -> BTreeSet<u32> {
    let only = |a: &Cpu, b: &Cpu| -> BTreeSet<u32> { a.msrs.iter().filter(|msr| !b.msrs.contains(msr)).map(|msr| msr.index).collect() };
    // An MSR of a file of names is known bit by bit.
    let is_known = |index: &u32| !damaged.policy.unrecorded.contains(Unrecorded::Msr { index: *index });
    only(whole, damaged).union(&only(damaged, whole)).copied().filter(is_known).collect()
}

/// The features that both know by name and see differently.
fn changed_names(whole: &Cpu, damaged: &Cpu) -> usize {
    let known = whole.policy.named.intersection(&damaged.policy.named);
    let (before, after) = (whole.policy.features().intersection(&known), damaged.policy.features().intersection(&known));
    before.difference(&after).union(&after.difference(&before)).len()
}

/// Whether the damaged copy is still read; so with the other damages.
fn turn_a_bit(whole: &Whole<'_>, numbers: &mut Numbers) -> bool {
    let mut bytes = whole.bytes.to_vec();
    let at = numbers.below(bytes.len());
    bytes[at] ^= 1 << numbers.below(8);
    let Ok(damaged) = read(whole.name, &bytes) else { return false };
    let context = format!("{}: byte {at} is {:?}", whole.name, char::from(bytes[at]));
    let (before, after) = (cpus(&whole.machines).count(), cpus(&damaged).count());
    if before != after {
        // A heading or a line of its own kind was hit: one CPU more or less.
        assert!(before.abs_diff(after) == 1, "{context}: {before} CPUs are {after}");
        return true;
    }
    assert_eq!(damaged[0].format, whole.format(), "{context}");
    if matches!(whole.format(), Format::Dump | Format::Policy) {
        assert_one_value(&whole.machines, &damaged, &context);
    }
    let mut hit = 0;
    for (old, new) in whole.pairs(&damaged) {
        let leaves = changed_leaves(old, new);
        let is_cut = whole.format() == Format::LibcpuidRaw && (leaves.contains(&0) || leaves.contains(&0x8000_0000));
        assert!(leaves.len() <= 2 || is_cut, "{context}: leaves {leaves:x?} differ");
        let msrs = changed_msrs(old, new);
        assert!(msrs.len() <= 2, "{context}: MSRs {msrs:x?} differ");
        let names = changed_names(old, new);
        // A word of QEMU can stand for two bits; AMD has copies of some.
        assert!(names <= 4, "{context}: {names} features differ");
        hit += usize::from(!leaves.is_empty() || !msrs.is_empty());
    }
    assert!(hit <= 1, "{context}: {hit} CPUs differ");
    true
}

/// That at most one line of the dumps of these machines is another: one leaf, one MSR, one place, one word.
fn assert_one_value(whole: &[Machine], damaged: &[Machine], context: &str) {
    let lines = |machines: &[Machine]| -> Vec<String> {
        let text: String = machines.iter().map(|machine| Dump::new(machine).to_string()).collect();
        text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect()
    };
    let (before, after) = (lines(whole), lines(damaged));
    let only = |these: &[String], those: &[String]| these.iter().filter(|line| !those.contains(line)).cloned().collect::<Vec<_>>();
    let (gone, new) = (only(&before, &after), only(&after, &before));
    assert!(gone.len() <= 1 && new.len() <= 1, "{context}: {gone:?} became {new:?}");
}

/// Formats that show where they end.
fn has_end(format: Format) -> bool {
    let xml = matches!(format, Format::LibvirtCpudata | Format::LibvirtCpu);
    xml || format.is_json() || matches!(format, Format::KvmCpuid2 | Format::FirecrackerMsrCsv)
}

fn cut_the_end(whole: &Whole<'_>, numbers: &mut Numbers) -> bool {
    let length = numbers.below(whole.bytes.len());
    let (kept, cut) = whole.bytes.split_at(length);
    let Ok(damaged) = read(whole.name, kept) else { return false };
    let context = format!("{} cut at {length}", whole.name);
    if has_end(whole.format()) && !cut.trim_ascii().is_empty() {
        // The first of several documents, or a list cut after a line.
        let is_list = whole.format() == Format::FirecrackerMsrCsv;
        assert!(is_list || damaged == whole.machines, "{context} is taken for whole");
    }
    for (old, new) in whole.pairs(&damaged) {
        for entry in new.policy.cpuid.entries() {
            let before = old.policy.cpuid.get(entry.leaf, entry.subleaf);
            assert_eq!(before, Some(entry.registers), "{context}: leaf {:x}.{:x}", entry.leaf, entry.subleaf);
        }
        assert!(new.msrs.iter().all(|msr| old.msrs.contains(msr)), "{context}: an MSR differs");
        if whole.format() != Format::CpuidR {
            continue;
        }
        for entry in old.policy.cpuid.entries() {
            let (leaf, subleaf) = (entry.leaf, entry.subleaf);
            let is_gone = new.policy.cpuid.get(leaf, subleaf).is_none() && new.policy.cpuid.in_range(leaf) && subleaf == 0;
            assert!(!is_gone || !is_known(new, leaf, subleaf) || !is_described(leaf), "{context}: leaf {leaf:x} is claimed to be zero");
        }
    }
    true
}

/// Whether the database describes the leaf, and no feature that is absent closes it.
fn is_described(leaf: u32) -> bool {
    cpuid_db::leaves().iter().any(|row| row.leaf == Some(leaf) && row.requires.is_empty())
}

fn exchange_lines(whole: &Whole<'_>, numbers: &mut Numbers) -> bool {
    let by_line = [Format::Aida, Format::LibcpuidRaw, Format::CpuidR, Format::Kcpuid, Format::LibvirtCpudata, Format::FirecrackerMsrCsv];
    let mut lines: Vec<&[u8]> = whole.bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let (a, b) = (numbers.below(lines.len()), numbers.below(lines.len()));
    lines.swap(a, b);
    let Ok(damaged) = read(whole.name, &lines.concat()) else { return false };
    if !by_line.contains(&whole.format()) {
        return true;
    }
    let context = format!("{}: lines {} and {} exchanged", whole.name, a + 1, b + 1);
    let answers: BTreeSet<(u32, [u32; 4])> = cpus(&whole.machines).flat_map(answers).collect();
    for cpu in cpus(&damaged) {
        for answer in self::answers(cpu) {
            assert!(answers.contains(&answer), "{context}: {answer:x?} is nowhere in the whole file");
        }
        let all = &whole.machines[0].cpus[0].msrs;
        assert!(cpu.msrs.iter().all(|msr| all.contains(msr)), "{context}: an MSR differs");
    }
    true
}

fn answers(cpu: &Cpu) -> impl Iterator<Item = (u32, [u32; 4])> {
    cpu.policy.cpuid.entries().iter().map(|entry| {
        let Registers { eax, ebx, ecx, edx } = entry.registers;
        (entry.leaf, [eax, ebx, ecx, edx])
    })
}

/// Damages one file in every way; how many damaged copies there were, and how many of them were still read.
fn damage(name: &str, bytes: &[u8], rounds: usize) -> (usize, usize) {
    let machines = read(name, bytes).unwrap_or_else(|error| panic!("{error}"));
    let whole = Whole { name, bytes, machines };
    let mut numbers = Numbers::of(bytes);
    let mut read = 0;
    for _ in 0..rounds {
        for way in [turn_a_bit, cut_the_end, exchange_lines] {
            read += usize::from(way(&whole, &mut numbers));
        }
    }
    (3 * rounds, read)
}

#[test]
fn damaged_samples_do_not_differ_in_silence() {
    for (_, text) in samples::SAMPLES.into_iter().filter(|(format, _)| *format != Format::QemuCpu) {
        damage("sample", text.as_bytes(), 2000);
    }
    damage("sample", samples::MSR_CSV.as_bytes(), 2000);
    damage("sample", samples::CLOUD_HYPERVISOR_MSRS.as_bytes(), 2000);
    damage("sample", &samples::kvm_cpuid2(), 2000);
}

#[test]
fn damaged_copies_of_the_hosts_of_the_repository_do_not_differ_in_silence() {
    let mut paths = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/hosts"), &mut paths).unwrap();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    for path in &paths {
        damage(&path.to_string_lossy(), &fs::read(path).unwrap(), ROUNDS);
    }
    assert!(!paths.is_empty());
}

/// The files below a directory.
fn files(dir: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { files(&path, found)? } else { found.push(path) }
    }
    Ok(())
}

#[test]
fn damaged_copies_of_real_files_do_not_differ_in_silence() -> Result<(), Box<dyn Error>> {
    let Some(corpus) = std::env::var_os("VCPU_CORPUS").map(PathBuf::from) else {
        eprintln!("skipped: VCPU_CORPUS is not set");
        return Ok(());
    };
    let mut paths = Vec::new();
    files(&corpus.join("originals"), &mut paths)?;
    paths.sort();
    let (mut originals, mut copies, mut still_read) = (0, 0, 0);
    for path in paths {
        let name = path.to_string_lossy();
        let bytes = fs::read(&path)?;
        if bytes.len() <= MAX_SIZE && read(&name, &bytes).is_ok() {
            originals += 1;
            let (damaged, read) = damage(&name, &bytes, ROUNDS);
            copies += damaged;
            still_read += read;
        }
    }
    eprintln!("{copies} damaged copies of {originals} files, of which {still_read} are still read");
    assert!(originals > 0);
    Ok(())
}

//! Files of machines: any bytes, in any format and in each.

use cpu_dumps::limits::{MAX_CPUS, MAX_MACHINES, MAX_MSRS, MAX_NAMES};
use cpu_dumps::{Cpu, Dump, Format, Lost, Machine, ReadError, Target, detect, lines, read, read_as, read_template};
use cpuid_db::{Policy, Unrecorded, Vendor};

use crate::machines::is_feature_msr;
use crate::writers;

/// What the readers are told that the input is called.
const NAME: &str = "dir/input.ext";

/// No bytes panic; errors are one line; what is read and written in the own format is read again as the same.
pub fn read_any(bytes: &[u8]) {
    for fleet in lines(NAME, bytes).take(100) {
        let _ = fleet.map_err(|error| check_message(&error));
    }
    match read(NAME, bytes) {
        Err(error) => check_message(&error),
        Ok(machines) => {
            assert_eq!(machines.first().map(|machine| machine.format), detect(bytes), "read as what it looks like");
            check_machines(&machines);
        }
    }
}

/// As [`read_any`], but with the reader of one format, whatever the bytes look like.
pub(crate) fn read_one(format: Format, bytes: &[u8]) {
    let machines = read_as(format, NAME, bytes);
    if detect(bytes) == Some(format) {
        assert_eq!(machines, read(NAME, bytes), "{format} by its content");
    }
    check_disguises(format, bytes, &machines);
    match machines {
        Err(error) => check_message(&error),
        Ok(machines) => {
            check_machines(&machines);
            for machine in &machines {
                assert!(machine.format == format || is_own(machine.format) && is_own(format), "{format} read as {}", machine.format);
                check_written_back(machine);
            }
        }
    }
}

/// The own dump and the own policy are two schemas of one reader.
fn is_own(format: Format) -> bool {
    matches!(format, Format::Dump | Format::Policy)
}

/// A byte order mark and the line ends of another system change nothing.
fn check_disguises(format: Format, bytes: &[u8], machines: &Result<Vec<Machine>, ReadError>) {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    if !bytes.starts_with(MARK) {
        assert_eq!(*machines, read_as(format, NAME, &[MARK, bytes].concat()), "{format} with a byte order mark");
    }
    if format != Format::KvmCpuid2 && !bytes.contains(&b'\r') {
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        let again = read_as(format, NAME, &lines.join(&b"\r\n"[..]));
        // Names and messages may quote the line ends, and where a string ends that has one is anybody's guess.
        assert_eq!(machines.as_deref().ok().map(cpus), again.as_deref().ok().map(cpus), "{format} with CR LF");
    }
}

fn cpus(machines: &[Machine]) -> Vec<&[Cpu]> {
    machines.iter().map(|machine| machine.cpus.as_slice()).collect()
}

/// What is read of a format that is written too is written again without loss, but for what only a careless tool writes: one number for
/// two CPUs, leaves that Propolis refuses, and state among the features of a profile. A vendor alone becomes a whole leaf 0.
fn check_written_back(machine: &Machine) {
    let Some(target) = Target::ALL.into_iter().find(|target| target.format() == machine.format) else { return };
    let is_expected = |lost: &Lost| match lost {
        Lost::CpuNumber { .. } => target == Target::CpuidR,
        Lost::Msr { index, .. } => target == Target::CloudHypervisorProfile && !is_feature_msr(*index),
        Lost::Leaf { leaf, .. } => target == Target::PropolisToml && !matches!(leaf >> 16, 0 | 0x8000),
        Lost::Unrecorded { place, .. } => target == Target::PropolisToml && *place == Unrecorded::Cpuid { leaf: 0, subleaf: 0 },
        _ => false,
    };
    let lost = writers::check(machine, target);
    if !target.has_registers() {
        // Words say less than registers; the writer's list was checked, and a name alone may be refused.
        return;
    }
    let may_refuse = matches!(target, Target::PropolisToml | Target::CloudHypervisorProfile);
    assert!(lost.is_some() || may_refuse, "{target} is read and not written");
    let lost: Vec<Lost> = lost.into_iter().flatten().filter(|lost| !is_expected(lost)).collect();
    assert_eq!(lost, [], "{target}");
}

/// A template is printed and read again as the same, and applies to a host or says why not.
pub fn template(bytes: &[u8]) {
    match read_template(NAME, bytes) {
        Err(error) => check_message(&error),
        Ok(template) => {
            let text = template.to_string();
            assert_eq!(read_template("again", text.as_bytes()).as_ref(), Ok(&template), "{text}");
            let mut host = Policy::default();
            host.cpuid.insert(0, 0, Vendor::Intel.leaf_0(1)).expect("an empty table has room");
            host.msrs.insert(0x10a, 0).expect("an empty table has room");
            if let Err(error) = template.apply(&host) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// A message is one line that begins with the input's name, of a length that a terminal stands.
fn check_message(error: &ReadError) {
    let message = error.to_string();
    let rest = message.strip_prefix(NAME).and_then(|rest| rest.strip_prefix(':'));
    assert!(rest.is_some() && !message.contains(char::is_control) && message.len() < 1000, "{message:?}");
}

fn check_machines(machines: &[Machine]) {
    assert!((1..=MAX_MACHINES).contains(&machines.len()), "{} machines", machines.len());
    let cpus: usize = machines.iter().map(|machine| machine.cpus.len()).sum();
    assert!(cpus <= MAX_CPUS, "{cpus} CPUs");
    for machine in machines {
        check_machine(machine);
        check_round_trip(machine);
    }
}

/// What the documentation of [`Machine`] and [`cpu_dumps::Cpu`] says of any.
fn check_machine(machine: &Machine) {
    assert!(!machine.cpus.is_empty(), "a machine without CPU");
    assert!(machine.unknown_names.len() <= MAX_NAMES, "{} unknown names", machine.unknown_names.len());
    assert!(machine.kvm.is_none() || is_own(machine.format), "only the own format says what KVM answered");
    for cpu in &machine.cpus {
        assert_eq!(cpu.policy.basis, machine.basis, "one basis for all CPUs");
        assert!(cpu.msrs.is_sorted_by(|a, b| a.index < b.index) && cpu.msrs.len() <= MAX_MSRS, "MSRs in order");
        let known: Vec<_> = cpu.msrs.iter().filter(|msr| is_feature_msr(msr.index)).copied().collect();
        assert_eq!(cpu.policy.msrs.entries(), known, "the feature MSRs among all MSRs");
        if !matches!(machine.format, Format::Dump | Format::Policy | Format::LibvirtCpu | Format::Qmp | Format::QemuCpu) {
            assert!(!cpu.policy.unrecorded.as_slice().iter().any(|place| is_recorded(&cpu.policy, *place)), "a value that is not recorded");
        }
    }
}

/// Whether a place that nobody knows has a value nevertheless. Leaf 0 may hold a vendor of which alone a profile speaks.
fn is_recorded(policy: &Policy, place: Unrecorded) -> bool {
    match place {
        Unrecorded::Cpuid { leaf: 0, .. } => false,
        Unrecorded::Cpuid { leaf, subleaf } => policy.cpuid.get(leaf, subleaf).is_some(),
        Unrecorded::Msr { index } => policy.msrs.get(index).is_some(),
    }
}

/// The own format says everything, on a page and on a line.
pub(crate) fn check_round_trip(machine: &Machine) {
    let expected = Machine { format: Format::Dump, ..machine.clone() };
    let page = Dump::new(machine).to_string();
    let again = read("again", page.as_bytes()).expect("what was written can be read");
    assert_eq!(again, std::slice::from_ref(&expected), "{page}");
    let line = Dump::new(machine).one_line().to_string();
    let again: Vec<Machine> = lines("again", line.as_bytes()).collect::<Result<_, _>>().expect("one machine in one line");
    assert_eq!(again, [expected], "{line}");
}

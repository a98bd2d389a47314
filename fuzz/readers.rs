//! Files of machines: any bytes, and everything that the own format can say.

use arbitrary::{Result, Unstructured};
use cpu_dumps::{
    CoreType, Cpu, Dump, Format, KvmView, Lost, Machine, Part, Provenance, Target, detect, lines, read, read_as, read_template, write,
};
use cpuid_db::{Basis, CpuidEntry, MsrEntry, Policy, Vendor};

use crate::inputs;

/// No bytes panic; errors are one line; what is read and written in the own format is read again as the same.
pub fn read_any(bytes: &[u8]) {
    for fleet in lines("input", bytes).take(100) {
        let _ = fleet.map_err(|error| check_message(&error.to_string()));
    }
    match read("input", bytes) {
        Err(error) => check_message(&error.to_string()),
        Ok(machines) => {
            assert_eq!(machines.first().map(|machine| machine.format), detect(bytes), "read as what it looks like");
            machines.iter().for_each(check_round_trip);
        }
    }
}

/// As [`read_any`], but the first byte says the format, so that each reader gets its share.
pub fn read_each(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let format = Format::ALL[usize::from(*first) % Format::ALL.len()];
    let machines = read_as(format, "input", bytes);
    if detect(bytes) == Some(format) {
        assert_eq!(machines, read("input", bytes), "{format} by its content");
    }
    match machines {
        Err(error) => check_message(&error.to_string()),
        Ok(machines) => machines.iter().for_each(check_round_trip),
    }
}

/// A template is printed and read again as the same, and applies to a host or says why not.
pub fn template(bytes: &[u8]) {
    match read_template("input", bytes) {
        Err(error) => check_message(&error.to_string()),
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

/// A machine in the own format is read as that machine, whatever it is; other formats list what they lose.
pub fn write_read(bytes: &[u8]) {
    if let Ok(machine) = machine(&mut Unstructured::new(bytes)) {
        check_round_trip(&machine);
        for target in Target::ALL {
            check_written(&machine, target);
        }
    }
}

/// Every answer of the first CPU is in the file or among the losses, and nothing is in the file that the CPU did not say.
fn check_written(machine: &Machine, target: Target) {
    let Ok(written) = write(machine, target) else { return };
    assert!(!written.parts.is_empty(), "{target}");
    let read =
        |part: &Part| read_as(target.format(), "part", part.text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{}", part.text));
    let parts: Vec<Machine> = written.parts.iter().flat_map(read).collect();
    let cpu = &machine.cpus[0];
    for entry in cpu.policy.cpuid.entries() {
        let CpuidEntry { leaf, subleaf, registers } = *entry;
        let told = parts.iter().any(|part| part.cpus[0].policy.cpuid.get(leaf, subleaf) == Some(registers));
        let lost = written.lost.contains(&Lost::Leaf { cpu: cpu.number, leaf, subleaf });
        assert!(told || lost, "{target}: {leaf:#x}.{subleaf:#x} is lost in silence");
    }
    for entry in parts.iter().flat_map(|part| part.cpus[0].policy.cpuid.entries()) {
        let said = cpu.policy.cpuid.get_or_zero(entry.leaf, entry.subleaf);
        assert_eq!(entry.registers, said, "{target}: {:#x}.{:#x}", entry.leaf, entry.subleaf);
    }
}

fn check_message(message: &str) {
    assert!(message.starts_with("input") && !message.contains(char::is_control), "{message:?}");
}

fn check_round_trip(machine: &Machine) {
    assert!(!machine.cpus.is_empty(), "a machine without CPU");
    let expected = Machine { format: Format::Dump, ..machine.clone() };
    let page = Dump::new(machine).to_string();
    let again = read("again", page.as_bytes()).expect("what was written can be read");
    assert_eq!(again, std::slice::from_ref(&expected), "{page}");
    let line = Dump::new(machine).one_line().to_string();
    let again: Vec<Machine> = lines("again", line.as_bytes()).collect::<core::result::Result<_, _>>().expect("one machine in one line");
    assert_eq!(again, [expected], "{line}");
}

fn machine(u: &mut Unstructured<'_>) -> Result<Machine> {
    let basis = *u.choose(&[Basis::Raw, Basis::Recorded, Basis::Derived])?;
    let count = u.int_in_range(1..=3)?;
    Ok(Machine {
        name: u.arbitrary()?,
        format: *u.choose(&Format::ALL)?,
        provenance: provenance(u)?,
        basis,
        cpus: (0..count).map(|_| cpu(u, basis)).collect::<Result<_>>()?,
        unknown_names: u.arbitrary()?,
        kvm: if u.arbitrary()? { Some(Box::new(kvm(u)?)) } else { None },
    })
}

fn provenance(u: &mut Unstructured<'_>) -> Result<Provenance> {
    let mut provenance = Provenance::default();
    let Provenance { tool, kernel, microcode, source } = &mut provenance;
    for text in [tool, kernel, microcode, source] {
        *text = u.arbitrary()?;
    }
    Ok(provenance)
}

fn cpu(u: &mut Unstructured<'_>, basis: Basis) -> Result<Cpu> {
    let kind = u.choose(&[None, Some(CoreType::Performance), Some(CoreType::Efficiency), Some(CoreType::LowPower)])?;
    let mut policy = Policy { basis, ..inputs::cpu(u, Vendor::Intel)? };
    let known: Vec<MsrEntry> = policy.msrs.entries().to_vec();
    let mut msrs = known;
    for _ in 0..u.int_in_range(0..=4)? {
        let msr = MsrEntry { index: u.arbitrary()?, value: u.arbitrary()? };
        if let Err(at) = msrs.binary_search_by_key(&msr.index, |msr| msr.index) {
            msrs.insert(at, msr);
        }
    }
    let is_feature_msr = |index| cpuid_db::leaves().iter().any(|row| row.leaf.is_none() && row.msr == index);
    for msr in msrs.iter().filter(|msr| is_feature_msr(msr.index)) {
        policy.msrs.insert(msr.index, msr.value).expect("the database has fewer MSRs than a table has room");
    }
    Ok(Cpu { number: u.arbitrary()?, core_type: *kind, policy, msrs })
}

fn kvm(u: &mut Unstructured<'_>) -> Result<KvmView> {
    let basis = *u.choose(&[Basis::Recorded, Basis::Derived])?;
    let supported = Policy { basis, ..inputs::cpu(u, Vendor::Amd)? };
    let emulated = if u.arbitrary()? { Some(inputs::cpu(u, Vendor::Amd)?.cpuid) } else { None };
    Ok(KvmView { supported, emulated })
}

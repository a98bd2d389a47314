//! One machine in every format that is read.

use cpu_dumps::{Format, Machine, Target, write};
use cpuid_db::{CpuidEntry, CpuidTable, MsrEntry, Policy, Project, Registers};

/// The machine in each format. What a format has no room for is left out: most have no MSRs, some have no CPUID, some know names only.
///
/// # Panics
/// When a writer refuses the machine.
pub fn files(machine: &Machine) -> Vec<(Format, Vec<u8>)> {
    Format::ALL.into_iter().map(|format| (format, file(machine, format))).collect()
}

fn file(machine: &Machine, format: Format) -> Vec<u8> {
    let policy = &machine.cpus[0].policy;
    let table = &policy.cpuid;
    match format {
        Format::Aida => lines(table, "------[ Logical CPU #0 ]------", aida),
        Format::LibcpuidRaw => lines(table, "_________________ Logical CPU #0 _________________", libcpuid),
        Format::FirecrackerFingerprint => fingerprint(machine),
        Format::FirecrackerMsrCsv => csv(policy).into_bytes(),
        Format::Kcpuid => kcpuid(table).into_bytes(),
        Format::LibvirtCpu => libvirt_cpu(policy).into_bytes(),
        Format::Qmp => qmp(policy).into_bytes(),
        Format::PropolisJson => propolis_json(table).into_bytes(),
        Format::KvmCpuid2 => kvm_cpuid2(table),
        written => {
            self::written(machine, Target::ALL.into_iter().find(|target| target.format() == written).expect("a format that is written"))
        }
    }
}

fn written(machine: &Machine, target: Target) -> Vec<u8> {
    let mut written = write(machine, target).expect("a whole machine can be written");
    written.parts.swap_remove(0).text.into_bytes()
}

fn lines(table: &CpuidTable, head: &str, line: fn(&CpuidEntry) -> String) -> Vec<u8> {
    let body: String = table.entries().iter().map(line).collect();
    format!("{head}\n{body}").into_bytes()
}

fn aida(entry: &CpuidEntry) -> String {
    let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = entry;
    format!("CPUID {leaf:08X}: {eax:08X}-{ebx:08X}-{ecx:08X}-{edx:08X} [SL {subleaf:02X}]\n")
}

/// The format has tables of fixed length; subleaves have a place in a few of them only.
fn libcpuid(entry: &CpuidEntry) -> String {
    let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = entry;
    let (table, index) = match (leaf, subleaf) {
        (4, _) => ("intel_fn4", *subleaf),
        (0xb, _) => ("intel_fn11", *subleaf),
        (0x12, _) => ("intel_fn12h", *subleaf),
        (0x14, _) => ("intel_fn14h", *subleaf),
        (0..=0x20, 0) => ("basic_cpuid", *leaf),
        (0x8000_0000..=0x8000_001f, 0) => ("ext_cpuid", leaf & 0x1f),
        _ => return String::new(),
    };
    format!("{table}[{index}]={eax:08x} {ebx:08x} {ecx:08x} {edx:08x}\n")
}

/// A template without open bits, in the frame that the tool's fingerprints have.
fn fingerprint(machine: &Machine) -> Vec<u8> {
    let config = String::from_utf8(written(machine, Target::FirecrackerTemplate)).expect("JSON is UTF-8");
    let head = r#"{"firecracker_version": "1", "kernel_version": "6", "microcode_version": "0x1", "guest_cpu_config": "#;
    format!("{head}{config}}}\n").into_bytes()
}

fn csv(policy: &Policy) -> String {
    let row = |msr: &MsrEntry| format!("{:#x},{:#x}\n", msr.index, msr.value);
    let rows: String = policy.msrs.entries().iter().map(row).collect();
    format!("MSR_ADDR,VALUE\n{rows}")
}

/// The ranges of leaves 0 and 8000_0000H; a leaf with several subleaves is a list.
fn kcpuid(table: &CpuidTable) -> String {
    let range = |base: u32| -> String {
        let of_range = table.entries().chunk_by(|a, b| a.leaf == b.leaf).filter(|list| list[0].leaf >> 16 == base >> 16);
        of_range.map(kcpuid_leaf).collect()
    };
    let rule = "================";
    format!("Basic Leafs :\n{rule}\n{}Extended Leafs :\n{rule}\n{}", range(0), range(0x8000_0000))
}

fn kcpuid_leaf(list: &[CpuidEntry]) -> String {
    let text = |registers: Registers| {
        let Registers { eax, ebx, ecx, edx } = registers;
        format!("EAX={eax:#010x}, EBX={ebx:#010x}, ECX={ecx:#010x}, EDX={edx:#010x}\n")
    };
    let leaf = list[0].leaf;
    match list {
        [entry] if entry.subleaf == 0 => format!("{leaf:#010x}: {}", text(entry.registers)),
        list => {
            let row = |entry: &CpuidEntry| format!("{:3}: {}", entry.subleaf, text(entry.registers));
            let rows: String = list.iter().map(row).collect();
            // Lists begin with subleaf 0, even where it says nothing.
            let first = if list[0].subleaf == 0 { String::new() } else { format!("  0: {}", text(Registers::ZERO)) };
            format!("{leaf:#010x}: subleafs:\n{first}{rows}")
        }
    }
}

/// The project's words for the features that a policy has, in the order of the database.
fn words(policy: &Policy, project: Project) -> Vec<&'static str> {
    let word = |feature: cpuid_db::Feature| feature.text().names.iter().find(|(of, _)| *of == project).map(|(_, word)| *word);
    policy.features().iter().filter_map(word).collect()
}

fn libvirt_cpu(policy: &Policy) -> String {
    let feature = |word: &str| format!("  <feature policy='require' name='{word}'/>\n");
    let features: String = words(policy, Project::Libvirt).into_iter().map(feature).collect();
    format!(
        "<cpu mode='custom' match='exact'>\n  <model fallback='forbid'>Skylake-Server</model>\n  <vendor>Intel</vendor>\n{features}</cpu>\n"
    )
}

fn qmp(policy: &Policy) -> String {
    let property = |word: &str| format!(", \"{word}\": true");
    let properties: String = words(policy, Project::Qemu).into_iter().map(property).collect();
    let head = r#""vendor": "GenuineIntel", "family": 6, "model": 85, "stepping": 4, "level": 32, "xlevel": 2147483656"#;
    format!("{{\"return\": {{\"model\": {{\"name\": \"base\", \"props\": {{{head}{properties}}}}}}}}}\n")
}

fn propolis_json(table: &CpuidTable) -> String {
    let entry = |entry: &CpuidEntry| {
        let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = entry;
        format!(r#"{{"leaf": {leaf}, "subleaf": {subleaf}, "eax": {eax}, "ebx": {ebx}, "ecx": {ecx}, "edx": {edx}}}"#)
    };
    let entries: Vec<String> = table.entries().iter().map(entry).collect();
    format!("{{\"board\": {{\"cpus\": 2, \"cpuid\": {{\"vendor\": \"intel\", \"entries\": [\n{}\n]}}}}}}\n", entries.join(",\n"))
}

fn kvm_cpuid2(table: &CpuidTable) -> Vec<u8> {
    let entry = |entry: &CpuidEntry| {
        let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = *entry;
        [leaf, subleaf, u32::from(subleaf > 0), eax, ebx, ecx, edx, 0, 0, 0]
    };
    let head = [table.entries().len() as u32, 0];
    head.into_iter().chain(table.entries().iter().flat_map(entry)).flat_map(u32::to_le_bytes).collect()
}

//! Foreign formats, rendered from a known table by code that knows nothing of the readers.

use std::fmt::Write as _;

use arbitrary::{Result, Unstructured};
use cpu_dumps::{Format, read};
use cpuid_db::{CpuidEntry, CpuidTable, Register, Registers, Vendor};

/// Each reader gives back the table that its file was rendered from.
pub fn read_rendered(bytes: &[u8]) {
    if let Ok((table, format)) = table(&mut Unstructured::new(bytes)) {
        let (file, expected) = render(&table, format);
        let text = String::from_utf8_lossy(&file);
        let machines = read("rendered.txt", &file).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(machines.len(), 1, "{text}");
        assert_eq!((machines[0].format, machines[0].name.as_str(), machines[0].cpus.len()), (format, "rendered", 1), "{text}");
        assert_eq!(machines[0].cpus[0].policy.cpuid, expected, "{text}");
    }
}

const FORMATS: [Format; 8] = [
    Format::Aida,
    Format::LibcpuidRaw,
    Format::LibvirtCpudata,
    Format::CpuidR,
    Format::FirecrackerFingerprint,
    Format::Kcpuid,
    Format::PropolisJson,
    Format::KvmCpuid2,
];

/// A table with leaf 0 and up to twenty more answers, and a format to render it in.
fn table(u: &mut Unstructured<'_>) -> Result<(CpuidTable, Format)> {
    let format = *u.choose(&FORMATS)?;
    let mut table = CpuidTable::new();
    let mut put = |leaf, subleaf, registers| table.insert(leaf, subleaf, registers).expect("twenty answers have room");
    put(0, 0, Vendor::Intel.leaf_0(u.int_in_range(0..=0x29)?));
    put(0x8000_0000, 0, Registers::new(0x8000_0000 + u.int_in_range(0..=0x26)?, 0, 0, 0));
    for _ in 0..u.int_in_range(0..=20)? {
        let base = *u.choose(&[0, 0x4000_0000, 0x8000_0000, 0xc000_0000])?;
        // Not the leaves that announce a range.
        let leaf = base + u.int_in_range(1..=0x2f)?;
        put(leaf, u.int_in_range(0..=0x3f)?, u.arbitrary()?);
    }
    Ok((table, format))
}

/// The file, and what is to be read from it.
fn render(table: &CpuidTable, format: Format) -> (Vec<u8>, CpuidTable) {
    let (line, head, tail): (fn(&CpuidEntry) -> String, &str, &str) = match format {
        Format::Aida => (aida, "------[ Logical CPU #0 ]------\n\n", ""),
        Format::LibcpuidRaw => (libcpuid, "version=0.7.0\n_________________ Logical CPU #0 _________________\n", ""),
        Format::LibvirtCpudata => (libvirt, "<cpudata arch='x86'>\n", "</cpudata>\n"),
        Format::CpuidR => (cpuid_r, "CPU 0:\n", ""),
        Format::Kcpuid => return kcpuid(table),
        Format::PropolisJson => return (propolis(table).into_bytes(), table.clone()),
        Format::KvmCpuid2 => return (kvm_cpuid2(table), table.clone()),
        _ => return (firecracker(table).into_bytes(), table.clone()),
    };
    let body: String = table.entries().iter().map(line).collect();
    let mut expected = table.clone();
    if format == Format::LibcpuidRaw {
        let announced = table.clone();
        expected.retain(|entry| !libcpuid(entry).is_empty() && announced.in_range(entry.leaf));
    }
    (format!("{head}{body}{tail}").into_bytes(), expected)
}

fn aida(entry: &CpuidEntry) -> String {
    let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = entry;
    format!("CPUID {leaf:08X}: {eax:08X}-{ebx:08X}-{ecx:08X}-{edx:08X} [SL {subleaf:02X}]\n")
}

/// The two tables without subleaves, up to where others of the format begin to speak for a leaf.
fn libcpuid(entry: &CpuidEntry) -> String {
    let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = entry;
    let table = match leaf {
        0..=3 | 5..=0xa => "basic_cpuid",
        0x8000_0000..=0x8000_001c => "ext_cpuid",
        _ => return String::new(),
    };
    if *subleaf > 0 {
        return String::new();
    }
    format!("{table}[{}]={eax:08x} {ebx:08x} {ecx:08x} {edx:08x}\n", leaf & 0xff)
}

fn libvirt(entry: &CpuidEntry) -> String {
    let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = entry;
    format!(
        "  <cpuid eax_in='0x{leaf:08x}' ecx_in='0x{subleaf:02x}' eax='0x{eax:08x}' ebx='0x{ebx:08x}' ecx='0x{ecx:08x}' edx='0x{edx:08x}'/>\n"
    )
}

fn cpuid_r(entry: &CpuidEntry) -> String {
    let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = entry;
    format!("   0x{leaf:08x} 0x{subleaf:02x}: eax=0x{eax:08x} ebx=0x{ebx:08x} ecx=0x{ecx:08x} edx=0x{edx:08x}\n")
}

fn firecracker(table: &CpuidTable) -> String {
    let mut leaves = Vec::new();
    for CpuidEntry { leaf, subleaf, registers } in table.entries() {
        let mut leaf = format!("{{\"leaf\": \"{leaf:#x}\", \"subleaf\": \"{subleaf:#x}\", \"flags\": 0, \"modifiers\": [");
        for register in Register::ALL {
            let comma = if register == Register::Eax { "" } else { ", " };
            let value = registers.get(register);
            write!(leaf, "{comma}{{\"register\": \"{register}\", \"bitmap\": \"0b{value:032b}\"}}").expect("a string takes everything");
        }
        leaves.push(leaf + "]}");
    }
    format!("{{\"guest_cpu_config\": {{\"cpuid_modifiers\": [{}], \"msr_modifiers\": []}}}}\n", leaves.join(",\n"))
}

/// The ranges that the tool prints. A leaf with subleaves is a list, which begins with subleaf 0 even where that says nothing.
fn kcpuid(table: &CpuidTable) -> (Vec<u8>, CpuidTable) {
    let mut expected = table.clone();
    expected.retain(|entry| matches!(entry.leaf >> 16, 0 | 0x8000));
    let lists: Vec<u32> = expected.entries().iter().filter(|entry| entry.subleaf > 0).map(|entry| entry.leaf).collect();
    for leaf in &lists {
        let first = expected.get_or_zero(*leaf, 0);
        expected.insert(*leaf, 0, first).expect("twenty answers and as many zeros have room");
    }
    let mut text = "Basic Leafs :\n================\n".to_owned();
    let mut last = None;
    for CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } in expected.entries() {
        if *leaf == 0x8000_0000 {
            text += "Extended Leafs :\n================\n";
        }
        let place = match (lists.contains(leaf), last == Some(*leaf)) {
            (false, _) => format!("{leaf:#010x}"),
            (true, false) => format!("{leaf:#010x}: subleafs:\n {subleaf:2}"),
            (true, true) => format!(" {subleaf:2}"),
        };
        writeln!(text, "{place}: EAX={eax:#010x}, EBX={ebx:#010x}, ECX={ecx:#010x}, EDX={edx:#010x}").expect("a string takes everything");
        last = Some(*leaf);
    }
    (text.into_bytes(), expected)
}

/// Every entry with its subleaf: one without answers every ECX.
fn propolis(table: &CpuidTable) -> String {
    let entry = |entry: &CpuidEntry| {
        let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = entry;
        format!(r#"{{"leaf": {leaf}, "subleaf": {subleaf}, "eax": {eax}, "ebx": {ebx}, "ecx": {ecx}, "edx": {edx}}}"#)
    };
    let entries: Vec<String> = table.entries().iter().map(entry).collect();
    format!("{{\"board\": {{\"cpuid\": {{\"entries\": [{}], \"vendor\": \"intel\"}}}}}}\n", entries.join(", "))
}

fn kvm_cpuid2(table: &CpuidTable) -> Vec<u8> {
    let entry = |entry: &CpuidEntry| {
        let CpuidEntry { leaf, subleaf, registers: Registers { eax, ebx, ecx, edx } } = *entry;
        [leaf, subleaf, u32::from(subleaf > 0), eax, ebx, ecx, edx, 0, 0, 0]
    };
    let head = [table.entries().len() as u32, 0];
    head.into_iter().chain(table.entries().iter().flat_map(entry)).flat_map(u32::to_le_bytes).collect()
}

//! A dump for people.

use cpu_dumps::{Cpu, Format, Machine};
use cpuid_db::{Basis, Feature, FeatureSet, Field, FieldAt, Merge, Policy};

use crate::isa::Level;
use crate::page::{HEADING, HOST, LOST, NOTICE, PLAIN, Page, QUIET, Word, list, sentence};
use crate::unknown::{UnknownPlace, unknown_bits};
use crate::words::{self, clean, plural};

/// Where words begin beside the labels of the head.
const HEAD: usize = 14;
/// Where words begin beside the names of registers.
const REGISTERS: usize = 24;

/// Writes everything about one machine.
pub(crate) fn write(page: &mut Page, machine: &Machine) {
    let Some(first) = machine.cpus.first() else { return };
    page.blank();
    head(page, machine, first);
    core_types(page, machine);
    page.heading(&title(&first.policy.features()));
    features(page, &first.policy.features());
    differences(page, machine);
    numbers(page, first);
    unknown(page, &first.policy);
    unknown_names(page, machine);
    unrecorded(page, &first.policy);
    kvm(page, machine, &first.policy);
}

fn head(page: &mut Page, machine: &Machine, first: &Cpu) {
    let policy = &first.policy;
    let mut title = sentence(HOST, &clean(&machine.name));
    title.extend(sentence(HEADING, &words::brand(&policy.brand())));
    page.words(0, title);
    let signature = policy.signature();
    let numbers = format!("family {}, model {}, stepping {}", signature.family(), signature.model(), signature.stepping());
    let vendor = words::vendor(policy.vendor());
    page.entry("CPU", HEAD, sentence(PLAIN, &format!("{vendor} {signature} ({numbers}, leaf 1 EAX 0x{:08x})", signature.0)));
    page.entry("basis", HEAD, basis(machine));
    let provenance = &machine.provenance;
    let parts = [
        ("", Some(machine.format.name().to_owned())),
        ("by ", provenance.tool.clone()),
        ("kernel ", provenance.kernel.clone()),
        ("microcode ", provenance.microcode.clone()),
        ("from ", provenance.source.clone()),
    ];
    let known = parts.into_iter().filter_map(|(word, part)| Some(format!("{word}{}", clean(&part?))));
    page.entry("recorded", HEAD, list(PLAIN, known));
    page.entry("CPUs", HEAD, sentence(PLAIN, &format!("{} in the file", machine.cpus.len())));
    if let Some(signature) = policy.hypervisor().filter(|_| policy.features().contains(Feature::HYPERVISOR)) {
        let name: String = signature.iter().filter(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
        let note = format!("{}: this is what it lets a guest see, not the hardware", clean(&name));
        page.entry("hypervisor", HEAD, sentence(NOTICE, &note));
    }
    let level = Level::of(&policy.features());
    let mut words = sentence(PLAIN, &level.name());
    words.extend(sentence(QUIET, &next_level(&level)));
    page.entry("level", HEAD, words);
}

fn next_level(level: &Level) -> String {
    let next = level.next();
    if next.is_empty() { next } else { format!("({next})") }
}

fn basis(machine: &Machine) -> Vec<Word> {
    let text = match (machine.basis, machine.format) {
        (Basis::Raw, _) => "raw: what CPUID says, whatever a hypervisor makes of it",
        (Basis::Derived, _) => "derived: from the model of stock KVM",
        (Basis::Recorded, Format::FirecrackerFingerprint) => "recorded: what a guest saw under KVM",
        (Basis::Recorded, _) => "recorded: KVM answered",
    };
    sentence(PLAIN, text)
}

/// How many CPUs of which kind, on hybrid machines.
fn core_types(page: &mut Page, machine: &Machine) {
    if !machine.is_hybrid() {
        return;
    }
    let kinds = machine.one_per_core_type().into_iter().map(|first| {
        let count = machine.cpus.iter().filter(|cpu| cpu.core_type == first.core_type).count();
        format!("{} ({}, first CPU {})", kind(first), plural(count, "CPU"), first.number)
    });
    page.entry("core types", HEAD, list(PLAIN, kinds));
}

fn kind(cpu: &Cpu) -> &'static str {
    cpu.core_type.map_or("unnamed", cpu_dumps::CoreType::name)
}

fn title(set: &FeatureSet) -> String {
    plural(set.len(), "feature")
}

/// Features grouped by the register that holds them.
pub(crate) fn features(page: &mut Page, set: &FeatureSet) {
    let features: Vec<Feature> = set.iter().collect();
    for group in features.chunk_by(|a, b| a.word() == b.word()) {
        let Some(first) = group.first() else { continue };
        page.entry(&words::home(*first), REGISTERS, list(PLAIN, group.iter().map(|feature| feature.name())));
    }
}

/// Features that say something about the CPU, not about its state or place.
fn comparable(policy: &Policy) -> FeatureSet {
    policy.features().iter().filter(|feature| !matches!(feature.row().merge, Merge::Live | Merge::Local)).collect()
}

/// What CPUs of the file have or lack against the first.
fn differences(page: &mut Page, machine: &Machine) {
    let Some(first) = machine.cpus.first() else { return };
    let reference = comparable(&first.policy);
    let mut groups: Vec<(String, FeatureSet, usize)> = Vec::new();
    for cpu in machine.cpus.iter().skip(1) {
        let set = comparable(&cpu.policy);
        if set == reference {
            continue;
        }
        let label = if machine.is_hybrid() { kind(cpu).to_owned() } else { format!("CPU {}", cpu.number) };
        match groups.iter_mut().find(|(other, known, _)| *known == set && (*other == label || !machine.is_hybrid())) {
            Some((_, _, count)) => *count += 1,
            None => groups.push((label, set, 1)),
        }
    }
    if groups.is_empty() {
        return;
    }
    page.heading(&format!("Differences from CPU {}", first.number));
    for (label, set, count) in groups {
        let mut words = sentence(QUIET, &format!("({}) without:", plural(count, "CPU")));
        words.extend(difference(&reference, &set, LOST));
        words.extend(sentence(QUIET, "with:"));
        words.extend(difference(&set, &reference, PLAIN));
        page.entry(&label, HEAD, words);
    }
}

fn difference(more: &FeatureSet, less: &FeatureSet, style: anstyle::Style) -> Vec<Word> {
    let difference = more.difference(less);
    if difference.is_empty() { sentence(QUIET, "nothing") } else { list(style, difference.iter().map(Feature::name)) }
}

/// Fields that people ask for.
const NUMBERS: [(Field, &str); 30] = [
    (Field::PHYS_ADDR_BITS, "bits"),
    (Field::VIRT_ADDR_BITS, "bits"),
    (Field::GUEST_PHYS_ADDR_BITS, "bits"),
    (Field::PHYS_ADDR_REDUCTION, "bits"),
    (Field::CLFLUSH_SIZE, "x 8 bytes"),
    (Field::XSAVE_SIZE_MAX, "bytes"),
    (Field::PMU_VERSION, ""),
    (Field::PMU_NUM_GP, ""),
    (Field::PMU_GP_WIDTH, "bits"),
    (Field::PMU_NUM_FIXED, ""),
    (Field::NUM_PERFCTR_CORE, ""),
    (Field::NUM_PERFCTR_NB, ""),
    (Field::AVX10_VERSION, ""),
    (Field::AMX_MAX_PALETTE, ""),
    (Field::PT_NUM_RANGES, ""),
    (Field::TSC_DENOMINATOR, ""),
    (Field::TSC_NUMERATOR, ""),
    (Field::CRYSTAL_HZ, ""),
    (Field::CPU_BASE_MHZ, ""),
    (Field::CPU_MAX_MHZ, ""),
    (Field::HYP_TSC_KHZ, ""),
    (Field::SVM_REVISION, ""),
    (Field::NASID, ""),
    (Field::C_BIT_POSITION, ""),
    (Field::NUM_ENCRYPTED_GUESTS, ""),
    (Field::NUM_VMPL, ""),
    (Field::MCG_COUNT, ""),
    (Field::LBR_FMT, ""),
    (Field::PEBS_FMT, ""),
    (Field::VMX_VMCS_REVISION_ID, ""),
];

/// The unit in which people read a field; empty where it has none.
pub(crate) fn unit(field: Field) -> &'static str {
    NUMBERS.iter().find(|(known, _)| *known == field).map_or("", |(_, unit)| unit)
}

fn numbers(page: &mut Page, cpu: &Cpu) {
    let policy = &cpu.policy;
    page.heading("Numbers");
    let maxima = [(0, "basic"), (0x4000_0000, "hypervisor"), (0x8000_0000, "extended"), (0xc000_0000, "Centaur")];
    let known = maxima.into_iter().filter_map(|(base, class)| Some(format!("{class} {:X}H", policy.cpuid.max_leaf(base)?)));
    page.entry("highest leaf", HEAD + 4, list(PLAIN, known));
    let values = NUMBERS.iter().filter_map(|(field, unit)| {
        let value = policy.field(FieldAt { field: *field, subleaf: 0 }).filter(|value| *value != 0)?;
        Some(format!("{} {value} {unit}", field.name()))
    });
    page.entry("fields", HEAD + 4, list(PLAIN, values));
    page.entry("caches", HEAD + 4, list(PLAIN, caches(policy)));
    let msrs = policy.msrs.entries().iter().map(|msr| format!("{} {:#x}", words::msr(msr.index), msr.value));
    page.entry("feature MSRs", HEAD + 4, list(PLAIN, msrs));
    let others = cpu.msrs.iter().filter(|msr| policy.msrs.get(msr.index).is_none()).count();
    if others > 0 {
        page.entry("other MSRs", HEAD + 4, sentence(QUIET, &format!("{others} recorded, see --json")));
    }
}

/// The caches of leaf 4 or 8000_001DH.
fn caches(policy: &Policy) -> Vec<String> {
    let lists = [
        (
            4,
            [
                Field::CACHE4_TYPE,
                Field::CACHE4_LEVEL,
                Field::CACHE4_WAYS,
                Field::CACHE4_PARTITIONS,
                Field::CACHE4_LINE_SIZE,
                Field::CACHE4_SETS,
            ],
        ),
        (
            0x8000_001d,
            [
                Field::CACHE1D_TYPE,
                Field::CACHE1D_LEVEL,
                Field::CACHE1D_WAYS,
                Field::CACHE1D_PARTITIONS,
                Field::CACHE1D_LINE_SIZE,
                Field::CACHE1D_SETS,
            ],
        ),
    ];
    for (leaf, fields) in lists {
        let subleaves = policy.cpuid.leaf(leaf).iter().map(|entry| entry.subleaf);
        let found: Vec<String> = subleaves.filter_map(|subleaf| cache(policy, fields, subleaf)).collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn cache(policy: &Policy, fields: [Field; 6], subleaf: u32) -> Option<String> {
    let values = fields.map(|field| policy.field(FieldAt { field, subleaf }).unwrap_or(0));
    let [kind, level, factors @ ..] = values;
    let kind = match kind {
        0 => return None,
        1 => "d",
        2 => "i",
        _ => "",
    };
    let bytes = factors.iter().fold(1u64, |product, factor| product.saturating_mul(factor + 1));
    let size = if bytes >= 1 << 20 && bytes % (1 << 20) == 0 { format!("{} MB", bytes >> 20) } else { format!("{} KB", bytes >> 10) };
    Some(format!("L{level}{kind} {size}"))
}

/// Bits that the database does not name.
fn unknown(page: &mut Page, policy: &Policy) {
    let unknown = unknown_bits(policy);
    if unknown.is_empty() {
        return;
    }
    page.heading("Unknown bits");
    for unknown in unknown {
        let (place, digits) = match unknown.place {
            UnknownPlace::Cpuid { leaf, subleaf, register } => (words::register(leaf, subleaf, register), 8),
            UnknownPlace::Msr { index } => (format!("MSR.{index:X}"), 16),
        };
        let mut words = sentence(NOTICE, &format!("0x{:0digits$x}", unknown.mask));
        if !unknown.is_described {
            words.extend(sentence(QUIET, "(nothing is known of this leaf or subleaf)"));
        }
        page.entry(&place, REGISTERS, words);
    }
}

/// Words of a foreign file that the database does not know.
fn unknown_names(page: &mut Page, machine: &Machine) {
    if machine.unknown_names.is_empty() {
        return;
    }
    page.heading("Unknown names");
    page.remark(2, "These words of the file stand for no feature or model that is known; what they say is missing above.");
    page.words(2, list(NOTICE, machine.unknown_names.iter().map(|name| clean(name))));
}

/// Places of which the dump does not tell.
fn unrecorded(page: &mut Page, policy: &Policy) {
    let places = policy.unrecorded.as_slice();
    if places.is_empty() {
        return;
    }
    page.heading("Unrecorded");
    page.remark(2, "The format or tool could not tell these; nobody knows whether they are zero.");
    page.words(2, list(NOTICE, places.iter().map(|place| words::unrecorded(*place))));
}

/// What KVM gives and withholds, where it was asked.
fn kvm(page: &mut Page, machine: &Machine, raw: &Policy) {
    let Some(kvm) = &machine.kvm else { return };
    let (given, raw) = (kvm.supported.features(), comparable(raw));
    page.heading("KVM");
    page.entry("gives", HEAD, sentence(PLAIN, &plural(given.len(), "feature")));
    page.entry("withholds", HEAD, difference(&raw, &given, LOST));
    page.entry("adds", HEAD, difference(&given, &raw, PLAIN));
}

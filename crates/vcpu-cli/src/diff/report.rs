//! Differences for people: `-` what only the first has, `+` what only the second has, `~` what has another value.

use anstyle::Style;
use cpu_dumps::{Cpu, Machine};
use cpuid_db::{Field, FieldPlace, Location, Register, leaves};

use super::compare::{BitsOf, FieldOf, MsrOf};
use super::{Comparison, Differences, Side};

use crate::commands::show::report::unit;
use crate::page::{GAINED, HEADING, HOST, LOST, NOTICE, PLAIN, Page, QUIET, Word, list, sentence};
use crate::unknown::UnknownPlace;
use crate::words::{self, clean, plural};

/// Where words begin beside names.
const NAMES: usize = 26;
/// Where words begin beside the labels of the head and the end.
const HEAD: usize = 14;
/// How many places a list of remarks has.
const MOST: usize = 12;

/// A register, or an MSR as a whole, and a bit in it: the order of the report.
type Key = (Home, Option<Register>, u8);

/// What a group of lines is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Home {
    Leaf(u32, u32),
    Msr(u32),
}

/// One line in the making.
struct Line {
    key: Key,
    mark: Mark,
    label: String,
    words: Vec<Word>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Only(Side),
    Changed,
}

impl Mark {
    const fn sign(self) -> (&'static str, Style) {
        match self {
            Self::Only(Side::A) => ("-", LOST),
            Self::Only(Side::B) => ("+", GAINED),
            Self::Changed => ("~", NOTICE),
        }
    }
}

/// The whole report.
pub(crate) fn text(comparison: &Comparison<'_>) -> String {
    let Comparison { a, b, pairs, unpaired, kvm, others } = comparison;
    let mut page = Page::new();
    for (machine, side) in [(a, Side::A), (b, Side::B)] {
        head(&mut page, machine, side);
    }
    for (side, kind) in unpaired {
        let (sign, style) = Mark::Only(*side).sign();
        page.styled_entry(style, &format!("{sign} core type"), HEAD, sentence(PLAIN, &format!("{}: only here", kind.name())));
    }
    if comparison.is_equal() {
        page.blank();
        page.words(0, sentence(HEADING, "No differences in what both record."));
    }
    for pair in pairs {
        let of = pair.core_type.map_or(String::new(), |kind| format!(" of {} cores", kind.name()));
        differences(&mut page, &pair.differences, &of);
    }
    if let Some(kvm) = kvm {
        differences(&mut page, kvm, " in what KVM gives");
    }
    let mut told: Vec<&Differences> = Vec::new();
    for differences in comparison.all() {
        if !told.iter().any(|other| other.has_same_gaps(differences)) {
            not_compared(&mut page, differences);
        }
        told.push(differences);
    }
    remarks(&mut page, [a, b], others);
    page.into_text()
}

fn head(page: &mut Page, machine: &Machine, side: Side) {
    let (sign, style) = Mark::Only(side).sign();
    let mut words = sentence(HOST, &clean(&machine.name));
    let identity =
        |cpu: &Cpu| format!("{} {} {}", words::vendor(cpu.policy.vendor()), cpu.policy.signature(), words::brand(&cpu.policy.brand()));
    words.extend(sentence(PLAIN, &machine.cpus.first().map(identity).unwrap_or_default()));
    words.extend(sentence(QUIET, &format!("({}, {})", machine.basis.name(), machine.format)));
    page.styled_entry(style, sign, 5, words);
}

/// All that differs between two CPUs, in the order of the leaves.
fn differences(page: &mut Page, differences: &Differences, of: &str) {
    if differences.is_empty() {
        return;
    }
    page.heading(&format!("{}{of}", counts(differences)));
    let mut lines = lines(differences);
    lines.sort_by_key(|line| line.key);
    for group in lines.chunk_by(|a, b| a.key.0 == b.key.0) {
        if let Some(first) = group.first() {
            page.words(2, title(first.key.0));
        }
        for Line { mark, label, words, .. } in group {
            let (sign, style) = mark.sign();
            page.styled_entry(style, &format!("  {sign} {label}"), NAMES, words.clone());
        }
    }
}

/// `3 features only in the first (-), 5 changed values (~)`.
fn counts(differences: &Differences) -> String {
    let Differences { features: [only_a, only_b], fields, bits, leaves, msrs, .. } = differences;
    let counts = [
        (only_a.len(), "feature", " only in the first (-)"),
        (only_b.len(), "feature", " only in the second (+)"),
        (fields.iter().filter(|one| !is_brand(one)).count() + usize::from(differences.brands.is_some()), "changed value", " (~)"),
        (bits.len(), "register", " with changed unnamed bits"),
        (leaves.len(), "leaf or subleaf", " on one side only"),
        (msrs.iter().filter(|msr| !msr.is_decoded).count(), "other MSR", " with other values"),
    ];
    let parts = counts.into_iter().filter(|(count, _, _)| *count > 0).map(|(count, thing, rest)| {
        let thing = if thing.ends_with("subleaf") && count > 1 { format!("{count} leaves or subleaves") } else { plural(count, thing) };
        thing + rest
    });
    let parts: Vec<String> = parts.collect();
    // An MSR of zeros that only one side has is all there is.
    if parts.is_empty() { "MSRs on one side only".to_owned() } else { parts.join(", ") }
}

fn title(home: Home) -> Vec<Word> {
    let (name, row) = match home {
        Home::Leaf(leaf, subleaf) => {
            let mut rows = leaves().iter().filter(|row| row.leaf == Some(leaf));
            let name = if subleaf == 0 { format!("CPUID leaf {leaf:X}H") } else { format!("CPUID leaf {leaf:X}H subleaf {subleaf:X}H") };
            (name, rows.find(|row| row.subleaves.iter().any(|(first, last)| (*first..=*last).contains(&subleaf))))
        }
        Home::Msr(index) => (words::msr(index), leaves().iter().find(|row| row.leaf.is_none() && row.msr == index)),
    };
    let mut words = sentence(HEADING, &name);
    words.extend(sentence(QUIET, row.map_or("", |row| row.title)));
    words
}

fn lines(differences: &Differences) -> Vec<Line> {
    let Differences { features, fields, bits, leaves, msrs, .. } = differences;
    let features = [Side::A, Side::B].into_iter().zip(features).flat_map(|(side, list)| list.iter().map(move |one| feature(side, *one)));
    let leaves = leaves.iter().map(|(side, leaf, subleaf)| Line {
        key: (Home::Leaf(*leaf, *subleaf), None, 0),
        mark: Mark::Only(*side),
        label: "leaf".to_owned(),
        words: sentence(QUIET, "only here"),
    });
    let fields = fields.iter().filter(|one| !is_brand(one)).map(field).chain(differences.brands.iter().map(brand));
    features.chain(leaves).chain(fields).chain(bits.iter().flat_map(unnamed)).chain(msrs.iter().map(msr)).collect()
}

fn feature(side: Side, feature: cpuid_db::Feature) -> Line {
    let (key, place) = match feature.location() {
        Location::Cpuid { leaf, subleaf, register, bit } => {
            ((Home::Leaf(leaf, subleaf), Some(register), bit), of_register(register, bit, bit))
        }
        Location::Msr { index, bit } => ((Home::Msr(index), None, bit), words::bits(bit, bit)),
    };
    let mut words = sentence(QUIET, &place);
    words.extend(sentence(PLAIN, feature.text().title));
    Line { key, mark: Mark::Only(side), label: feature.name().to_owned(), words }
}

/// `EBX[15:8]`.
fn of_register(register: Register, high: u8, low: u8) -> String {
    register.name().to_ascii_uppercase() + &words::bits(high, low)
}

fn field(one: &FieldOf) -> Line {
    let (field, row) = (one.at.field, one.at.field.row());
    let (key, place) = match row.place {
        FieldPlace::Cpuid { leaf, register, .. } => {
            ((Home::Leaf(leaf, one.at.subleaf), Some(register), row.low), of_register(register, row.high, row.low))
        }
        FieldPlace::Msr { index } => ((Home::Msr(index), None, row.low), words::bits(row.high, row.low)),
    };
    let is_large = one.values.iter().flatten().any(|value| *value >= 10_000);
    let [a, b] = one.values.map(|value| value.map_or("none".to_owned(), |value| spell(field, value, is_large)));
    let mut words = sentence(QUIET, &place);
    words.extend(sentence(LOST, &a));
    words.extend(sentence(QUIET, "->"));
    words.extend(sentence(GAINED, &b));
    words.extend(sentence(PLAIN, unit(field)));
    words.extend(sentence(QUIET, &format!("({})", field.text().title)));
    Line { key, mark: Mark::Changed, label: field.name().to_owned(), words }
}

/// A number as people read it: text where the field holds text, decimal where it has a unit or both values are small.
fn spell(field: Field, value: u64, is_large: bool) -> String {
    let bytes = (value as u32).to_le_bytes();
    let is_text = ["VENDOR", "STRING", "SIGNATURE"].iter().any(|word| field.name().contains(word));
    if is_text && field.row().width() == 32 && bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return format!("\"{}\"", bytes.map(char::from).iter().collect::<String>());
    }
    if is_large && unit(field).is_empty() { format!("{value:#x}") } else { value.to_string() }
}

/// Whether this is a piece of the processor name, which is shown as a whole.
fn is_brand(one: &FieldOf) -> bool {
    matches!(one.at.field.row().place, FieldPlace::Cpuid { leaf: 0x8000_0002..=0x8000_0004, .. })
}

fn brand([a, b]: &[String; 2]) -> Line {
    let mut words = sentence(LOST, &format!("\"{a}\""));
    words.extend(sentence(QUIET, "->"));
    words.extend(sentence(GAINED, &format!("\"{b}\"")));
    Line { key: (Home::Leaf(0x8000_0002, 0), None, 0), mark: Mark::Changed, label: "processor name".to_owned(), words }
}

/// One line for the bits of each side.
fn unnamed(one: &BitsOf) -> Vec<Line> {
    let (key, name): (Key, String) = match one.place {
        UnknownPlace::Cpuid { leaf, subleaf, register } => {
            ((Home::Leaf(leaf, subleaf), Some(register), 64), register.name().to_ascii_uppercase())
        }
        UnknownPlace::Msr { index } => ((Home::Msr(index), None, 64), "bits".to_owned()),
    };
    let sides = [Side::A, Side::B].into_iter().zip(one.bits).filter(|(_, bits)| *bits != 0);
    let line = |(side, bits)| {
        let mut words = sentence(NOTICE, &format!("{bits:#010x}"));
        words.extend(sentence(QUIET, "bits without a name"));
        Line { key, mark: Mark::Only(side), label: name.clone(), words }
    };
    sides.map(line).collect()
}

fn msr(one: &MsrOf) -> Line {
    let [a, b] = one.values.map(|value| value.map_or("none".to_owned(), |value| format!("{value:#x}")));
    let mut words = sentence(LOST, &a);
    words.extend(sentence(QUIET, "->"));
    words.extend(sentence(GAINED, &b));
    // Before the bits of the MSR, which have registers of no name.
    Line { key: (Home::Msr(one.index), None, 0), mark: Mark::Changed, label: "value".to_owned(), words }
}

/// What one side does not record. It is not zero there: nobody knows.
fn not_compared(page: &mut Page, differences: &Differences) {
    let Differences { unrecorded: [in_a, in_b], undecided, unshared_msrs, .. } = differences;
    let only = |these: &[cpuid_db::Unrecorded], those: &[cpuid_db::Unrecorded]| -> Vec<String> {
        these.iter().filter(|place| !those.contains(place)).map(|place| words::unrecorded(*place)).collect()
    };
    let lists = [only(in_a, in_b), only(in_b, in_a)];
    let both = in_a.iter().filter(|place| in_b.contains(place)).count();
    if lists.iter().all(Vec::is_empty) && both == 0 && unshared_msrs.iter().all(Vec::is_empty) {
        return;
    }
    page.heading("Not compared: unrecorded is neither 0 nor 1");
    for (at, side) in [Side::A, Side::B].into_iter().enumerate() {
        let (sign, style) = Mark::Only(side).sign();
        let (Some(places), Some(other)) = (lists.get(at), undecided.get(1 - at)) else { continue };
        page.styled_entry(style, &format!("{sign} lacks"), HEAD, cut(places));
        let features: Vec<String> = other.iter().map(|feature| feature.name().to_owned()).collect();
        let mut words = cut(&features);
        words.extend(sentence(QUIET, "of the other side").into_iter().filter(|_| !features.is_empty()));
        page.styled_entry(style, &format!("{sign} may have"), HEAD, words);
        let msrs: Vec<String> = unshared_msrs.get(at).into_iter().flatten().map(|index| words::msr(*index)).collect();
        page.styled_entry(style, &format!("{sign} records"), HEAD, cut(&msrs));
    }
    if both > 0 {
        page.entry("both lack", HEAD, sentence(PLAIN, &plural(both, "place")));
    }
}

/// The beginning of a list, and how much more there is.
fn cut(items: &[String]) -> Vec<Word> {
    let mut words = list(NOTICE, items.iter().take(MOST).cloned());
    if items.len() > MOST {
        words.extend(sentence(QUIET, &format!("and {} more (--json)", items.len() - MOST)));
    }
    words
}

/// What else a reader should know.
fn remarks(page: &mut Page, machines: [&Machine; 2], others: &[(Side, u32)]) {
    for (machine, side) in machines.into_iter().zip([Side::A, Side::B]) {
        let (sign, style) = Mark::Only(side).sign();
        let names: Vec<String> = machine.unknown_names.iter().map(|name| clean(name)).collect();
        if !names.is_empty() {
            page.heading(&format!("Names that stand for nothing known in {}", clean(&machine.name)));
            page.styled_entry(style, sign, 5, cut(&names));
        }
        let numbers: Vec<String> = others.iter().filter(|(of, _)| *of == side).map(|(_, number)| number.to_string()).collect();
        if !numbers.is_empty() {
            let (name, list) = (clean(&machine.name), words::some_of(&numbers, numbers.len(), MOST));
            page.blank();
            page.remark(0, &format!("CPU {list} of {name} differ from the CPU that was compared; vcpu show tells how."));
        }
    }
    if let [Some(_), None] | [None, Some(_)] = machines.map(|machine| machine.kvm.as_ref()) {
        page.blank();
        page.remark(0, "What KVM gives is recorded on one side only, and not compared.");
    }
}

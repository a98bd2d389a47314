//! The database after reading: positions parsed, words checked, references still by name.

use std::collections::{BTreeMap, HashMap};

use super::data::{Emulated, RawEdge, RawRow, Source, Words, parse_number};
use crate::report::Problems;

/// Names of the registers, in order.
pub(crate) const REGISTERS: [&str; 4] = ["eax", "ebx", "ecx", "edx"];

/// A range of bits in a register of a range of subleaves, or in an MSR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) register: usize,
    pub(crate) low: u8,
    pub(crate) high: u8,
}

/// Subleaf `*`: every subleaf.
pub(crate) const ANY_SUBLEAF: (u32, u32) = (0, u32::MAX);

/// One leaf or MSR.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) file: String,
    pub(crate) leaf: Option<u32>,
    pub(crate) msr: Option<u32>,
    pub(crate) hypervisor: Option<String>,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) requires: Vec<String>,
    pub(crate) because: Option<String>,
    pub(crate) subleaves: Vec<(u32, u32)>,
    /// Whether CPUID looks at ECX.
    pub(crate) indexed: bool,
}

/// A feature or field with its place.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) unit: usize,
    pub(crate) line: usize,
    pub(crate) span: Span,
    pub(crate) name: String,
    pub(crate) is_feature: bool,
    pub(crate) merge: String,
    pub(crate) vendors: Vec<String>,
    pub(crate) requires: Vec<RawEdge>,
    pub(crate) raw: RawRow,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) units: Vec<Unit>,
    pub(crate) features: Vec<Row>,
    pub(crate) fields: Vec<Row>,
    pub(crate) by_name: HashMap<String, (bool, usize)>,
    pub(crate) hash: u64,
}

impl Model {
    pub(crate) fn unit(&self, row: &Row) -> &Unit {
        &self.units[row.unit]
    }

    /// The feature with this name.
    pub(crate) fn feature(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).filter(|(is_feature, _)| *is_feature).map(|(_, at)| *at)
    }

    /// `CPUID.7.0.EBX[13]` or `MSR.10A[2]`.
    pub(crate) fn location(&self, row: &Row) -> String {
        let Span { first, last, register, low, high } = row.span;
        let bits = if low == high { format!("[{low}]") } else { format!("[{high}:{low}]") };
        let unit = self.unit(row);
        let Some(leaf) = unit.leaf else { return format!("MSR.{:X}{bits}", unit.msr.unwrap_or(0)) };
        let subleaf = match (first, last) {
            ANY_SUBLEAF => "*".to_owned(),
            (first, last) if first == last => format!("{first:X}"),
            (first, last) => format!("{first:X}-{last:X}"),
        };
        format!("CPUID.{leaf:X}.{subleaf}.{}{bits}", REGISTERS[register].to_uppercase())
    }
}

/// Builds the model; complaints go to `problems`.
pub(crate) fn build(sources: &[Source], hash: u64, problems: &mut Problems) -> Model {
    let mut units = Vec::new();
    let mut features = Vec::new();
    let mut fields = Vec::new();
    for source in sources {
        let unit = units.len();
        let rows = rows_of(source, unit, problems);
        units.push(unit_of(source, &rows, problems));
        super::check::coverage(source, &rows, problems);
        for row in rows {
            if row.is_feature { features.push(row) } else { fields.push(row) }
        }
    }
    let key = |row: &Row| {
        let unit: &Unit = &units[row.unit];
        (unit.leaf.is_none(), unit.leaf.or(unit.msr), row.span, unit.hypervisor.clone())
    };
    features.sort_by_key(key);
    features.sort_by_key(|row| {
        let (is_msr, index, span, hypervisor) = key(row);
        (is_msr, index, span.first, span.register, span.low / 32, hypervisor, span.low)
    });
    fields.sort_by_key(key);
    let mut by_name = HashMap::new();
    for (is_feature, list) in [(true, &features), (false, &fields)] {
        for (at, row) in list.iter().enumerate() {
            if by_name.insert(row.name.clone(), (is_feature, at)).is_some() {
                problems.add(&units[row.unit].file, row.line, &format!("`{}` is named twice", row.name), "names are unique: rename one");
            }
        }
    }
    Model { units, features, fields, by_name, hash }
}

fn unit_of(source: &Source, rows: &[Row], problems: &mut Problems) -> Unit {
    let raw = &source.raw;
    let number = |text: &Option<String>| text.as_deref().and_then(parse_number).and_then(|n| u32::try_from(n).ok());
    let (leaf, msr) = (number(&raw.leaf), number(&raw.msr));
    if leaf.is_some() == msr.is_some() {
        problems.add(&source.name, 1, "a file is about one leaf or one MSR", "write `leaf = \"0x00000007\"` or `msr = \"0x0000010a\"`");
    }
    if msr.is_some() && raw.name.is_none() {
        problems.add(&source.name, 1, "an MSR needs its name", "add `name = \"IA32_...\"`");
    }
    let mut subleaves: Vec<(u32, u32)> = rows.iter().map(|row| (row.span.first, row.span.last)).collect();
    let spots = raw.reserved.iter().filter_map(|text| parse_span(text.get_ref(), msr.is_some()));
    subleaves.extend(spots.map(|span| (span.first, span.last)));
    subleaves.sort_unstable();
    subleaves.dedup();
    let mut requires: Vec<String> = raw.requires.as_ref().map(Words::list).unwrap_or_default().into_iter().map(str::to_owned).collect();
    requires.extend(raw.present.clone().filter(|name| !name.is_empty()));
    let indexed = leaf.is_some() && (raw.max_subleaf.is_some() || subleaves.iter().any(|range| *range != (0, 0)));
    Unit {
        file: source.name.clone(),
        leaf,
        msr,
        hypervisor: raw.hypervisor.clone(),
        name: raw.name.clone().unwrap_or_default(),
        title: raw.title.clone(),
        requires,
        because: raw.because.clone(),
        subleaves,
        indexed,
    }
}

fn rows_of(source: &Source, unit: usize, problems: &mut Problems) -> Vec<Row> {
    let mut rows = Vec::new();
    for spanned in &source.raw.rows {
        let line = source.line(spanned.span().start);
        let raw = spanned.get_ref();
        let Some(span) = parse_span(&raw.at, source.raw.msr.is_some()) else {
            problems.add(
                &source.name,
                line,
                &format!("`{}` is not a place", raw.at),
                "write `0.ebx[10]`, `*.eax[4:0]` or, for an MSR, `[5]`",
            );
            continue;
        };
        let (name, is_feature) = match (&raw.name, &raw.field) {
            (Some(name), None) => (name.clone(), true),
            (None, Some(field)) => (field.clone(), false),
            _ => {
                problems.add(&source.name, line, "a row is a feature or a field", "give it either `name` or `field`");
                continue;
            }
        };
        let merge = raw.merge.clone().unwrap_or_else(|| if is_feature { "and".into() } else { String::new() });
        let vendors = raw.vendors.clone().or_else(|| source.raw.vendors.clone()).unwrap_or_default();
        let mut raw = raw.clone();
        if merge != "and" {
            raw.because = raw.because.or_else(|| source.raw.because.clone());
        }
        let row = Row { unit, line, span, name, is_feature, merge, vendors, requires: raw.requires.clone(), raw };
        super::check::row(source, &row, problems);
        rows.push(row);
    }
    rows
}

/// Parses `0.ebx[10]`, `2-62.eax[31:0]`, `*.eax[4:0]`, or `[5]` for an MSR.
pub(crate) fn parse_span(text: &str, msr: bool) -> Option<Span> {
    let (place, bits) = text.strip_suffix(']')?.split_once('[')?;
    let (high, low) = bits.split_once(':').unwrap_or((bits, bits));
    let (high, low): (u8, u8) = (high.parse().ok()?, low.parse().ok()?);
    if low > high || high >= if msr { 64 } else { 32 } {
        return None;
    }
    if msr {
        return place.is_empty().then_some(Span { first: 0, last: 0, register: 0, low, high });
    }
    let (subleaf, register) = place.split_once('.')?;
    let register = REGISTERS.iter().position(|name| *name == register)?;
    let (first, last) = match subleaf.split_once('-') {
        _ if subleaf == "*" => ANY_SUBLEAF,
        Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
        None => (subleaf.parse().ok()?, subleaf.parse().ok()?),
    };
    (first <= last).then_some(Span { first, last, register, low, high })
}

/// How often each thing occurs.
pub(crate) fn count<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

impl Row {
    /// The feature on which KVM's software emulation depends, if it depends on one.
    pub(crate) fn emulated_with(&self) -> Option<&str> {
        match &self.raw.emulated {
            Some(Emulated::With(name)) => Some(name),
            _ => None,
        }
    }
}

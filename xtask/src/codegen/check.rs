//! What the generator insists on. Every message names file and line and says what to do.

use std::collections::{BTreeMap, HashSet};

use super::data::{Source, parse_kernel};
use super::model::{ANY_SUBLEAF, Model, REGISTERS, Row, Span, parse_span};
use crate::report::Problems;

const FEATURE_RULES: [&str; 7] = ["and", "or", "fixed", "live", "local", "derived", "context"];
const FIELD_RULES: [&str; 10] = ["and", "or", "min", "max", "equal", "equal-or-zero", "fixed", "live", "local", "derived"];
const KVM_KINDS: [&str; 11] =
    ["native", "x86_64", "scattered", "passthrough", "synthesized", "emulated", "aliased", "vendor", "runtime", "fixed", "never"];
const INPUTS: [&str; 9] = ["tdp", "nested", "pmu", "pebs", "pt", "sgx", "cet", "sev", "xfd"];
/// Vendors that rows can name.
pub(crate) const VENDORS: [&str; 6] = ["intel", "amd", "hygon", "zhaoxin", "centaur", "transmeta"];
const CONTEXTS: [&str; 6] = ["rsba", "rrsba", "rtm", "rtm-always-abort", "invariant-tsc", "pebs-group"];
const DERIVATIONS: [&str; 11] = [
    "max-basic-leaf",
    "max-extended-leaf",
    "max-centaur-leaf",
    "max-hypervisor-leaf",
    "max-subleaf",
    "xsave-size",
    "vendor-copy",
    "signature-copy",
    "vmx-default1",
    "vmx-cr0-fixed1",
    "vmx-cr4-fixed1",
];
const LIVE: [&str; 6] = ["cr4.osxsave", "cr4.pke", "cr4.kl", "apic_base.en", "xcr0", "xcr0|xss"];
const SHOWN_IF: [&str; 4] = ["monitor-fsm", "tsx", "xd-enabled", "hv-tsc-control"];
const PROJECTS: [&str; 6] = ["linux", "cpuinfo", "qemu", "libvirt", "xen", "kcpuid"];

/// Checks one row by itself.
pub(crate) fn row(source: &Source, row: &Row, problems: &mut Problems) {
    let mut complain = |what: String, fix: &str| problems.add(&source.name, row.line, &format!("{}: {what}", row.name), fix);
    let raw = &row.raw;
    if !row.name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') || row.name.is_empty() {
        complain("not a name".into(), "use A-Z, 0-9 and _");
    }
    let Span { first, last, low, high, .. } = row.span;
    if row.is_feature && (low != high || first != last) {
        complain(format!("`{}` is more than one bit", raw.at), "write `field` instead of `name`");
    }
    let rules: &[&str] = if row.is_feature { &FEATURE_RULES } else { &FIELD_RULES };
    if !rules.contains(&row.merge.as_str()) {
        complain(format!("`merge = {:?}`", row.merge), &format!("use one of {}", rules.join(", ")));
    }
    if row.merge != "and" && raw.because.as_deref().unwrap_or("").is_empty() {
        complain(format!("merge `{}` without a reason", row.merge), "say why in `because`");
    }
    if row.is_feature {
        if !KVM_KINDS.contains(&raw.kvm.as_str()) {
            complain(format!("`kvm = {:?}`", raw.kvm), &format!("use one of {}", KVM_KINDS.join(", ")));
        }
    } else if super::emit::field_kvm(&raw.kvm).is_none() {
        complain(format!("`kvm = {:?}`", raw.kvm), "use host, zero, derived, min:N, max:N, mask:N or const:N");
    }
    companions(row, &mut complain);
    words(row, &mut complain);
}

/// Keys that go with a rule.
fn companions(row: &Row, complain: &mut impl FnMut(String, &str)) {
    let raw = &row.raw;
    let pairs = [("live", raw.live.is_some(), "live"), ("context", raw.context.is_some(), "context")];
    for (rule, present, key) in pairs {
        if (row.merge == rule) != present {
            complain(format!("`{key}` and `merge = \"{rule}\"` go together"), "add or remove one of them");
        }
    }
    if raw.shown_if.is_some() && (!row.is_feature || row.merge == "live") {
        complain("`shown_if` hides a capability".into(), "a live row says what it follows in `live`; a field cannot be hidden");
    }
    if row.merge == "derived" && raw.derive.is_none() && raw.alias_of.is_none() {
        complain("derived from what?".into(), "add `derive` or `alias_of`");
    }
    if row.merge == "equal" && raw.on_conflict.is_none() {
        complain("what if hosts disagree?".into(), "add `on_conflict`");
    }
    if row.merge == "fixed" && !row.is_feature && raw.value.is_none() {
        complain("fixed at which value?".into(), "add `value`");
    }
    if raw.pinned.as_ref().is_some_and(|why| !row.is_feature || !why.ends_with('.')) {
        complain("`pinned` is the reason why a feature ties a guest to one machine".into(), "write a sentence, on a feature");
    }
    for edge in &raw.requires {
        if edge.feature.is_some() == edge.any.is_some() {
            complain("an edge names one `feature` or `any` of several".into(), "give exactly one of them");
        }
        if !["architectural", "policy"].contains(&edge.kind.as_str()) || edge.because.is_empty() {
            complain("an edge has a kind and a reason".into(), "kind is architectural or policy; say why in `because`");
        }
    }
}

/// Words from closed lists.
fn words(row: &Row, complain: &mut impl FnMut(String, &str)) {
    let raw = &row.raw;
    let mut closed = |words: &mut dyn Iterator<Item = &String>, known: &[&str], what: &str| {
        for word in words.filter(|word| !known.contains(&word.as_str())) {
            complain(format!("{what} `{word}`"), &format!("known: {}", known.join(", ")));
        }
    };
    closed(&mut row.vendors.iter(), &VENDORS, "vendor");
    closed(&mut raw.kvm_if.iter(), &INPUTS, "KVM input");
    closed(&mut raw.kvm_not.iter(), &["vmx", "svm"], "KVM module");
    closed(&mut raw.kvm_from.rules().iter().flat_map(|rule| &rule.vendors), &VENDORS, "vendor");
    closed(&mut raw.context.iter(), &CONTEXTS, "context function");
    closed(&mut raw.derive.iter(), &DERIVATIONS, "derivation");
    closed(&mut raw.live.iter(), &LIVE, "live source");
    closed(&mut raw.shown_if.iter(), &SHOWN_IF, "condition");
    closed(&mut raw.names.keys(), &PROJECTS, "project");
    kernels(row, complain);
    for gate in raw.gates.iter().filter(|gate| super::emit::gate(gate).is_none()) {
        complain(format!("gate `{gate}`"), "write insn:NAME, cr4:BIT, efer:BIT, xcr0:N, xss:N, msr:0xN or msr:0xN[bit]");
    }
}

/// Kernel versions, and the numbers of rules.
fn kernels(row: &Row, complain: &mut impl FnMut(String, &str)) {
    let rules = row.raw.kvm_from.rules();
    let versions = rules.iter().flat_map(|rule| rule.since.iter().chain(&rule.before)).chain(&row.raw.kvm_since);
    for version in versions.filter(|version| parse_kernel(version).is_none()) {
        complain(format!("kernel `{version}`"), "write \"6.12\"");
    }
    for rule in &rules {
        if rule.families().is_none() || rule.models().is_none() {
            complain("a rule of `kvm_from` with an odd range".into(), "write families = \"0x0f-0x12\", models = [\"0x30-0xff\"]");
        }
        if rule.all.is_empty() && rule.none.is_empty() && rule.families.is_none() && rule.vendors.is_empty() {
            complain("a rule of `kvm_from` that says nothing".into(), "name features, vendors or families");
        }
    }
}

/// Who claims bits: where, on which line, under which name.
type Claim = (Span, usize, String);

/// Every bit of every register of every mentioned subleaf is spoken for once.
pub(crate) fn coverage(source: &Source, rows: &[Row], problems: &mut Problems) {
    let msr = source.raw.msr.is_some();
    let mut claims: BTreeMap<(u32, u32), Vec<Claim>> = BTreeMap::new();
    for row in rows {
        claims.entry((row.span.first, row.span.last)).or_default().push((row.span, row.line, row.name.clone()));
    }
    for spanned in &source.raw.reserved {
        let line = source.line(spanned.span().start);
        match parse_span(spanned.get_ref(), msr) {
            Some(span) => claims.entry((span.first, span.last)).or_default().push((span, line, "reserved".into())),
            None => problems.add(&source.name, line, &format!("`{}` is not a place", spanned.get_ref()), "write `0.ebx[22]`"),
        }
    }
    let registers = if msr { 1 } else { 4 };
    for (subleaves, mut list) in claims {
        list.sort_by_key(|(span, ..)| (span.register, span.low));
        for register in 0..registers {
            cover(source, subleaves, register, &list, problems);
        }
    }
}

fn cover(source: &Source, subleaves: (u32, u32), register: usize, list: &[Claim], problems: &mut Problems) {
    let width: u8 = if source.raw.msr.is_some() { 64 } else { 32 };
    let place = match subleaves {
        _ if width == 64 => String::new(),
        ANY_SUBLEAF => format!("*.{}", REGISTERS[register]),
        (first, last) if first == last => format!("{first}.{}", REGISTERS[register]),
        (first, last) => format!("{first}-{last}.{}", REGISTERS[register]),
    };
    let (mut next, mut line) = (0, 1);
    for (span, here, name) in list.iter().filter(|(span, ..)| span.register == register) {
        if span.low > next {
            problems.add(
                &source.name,
                *here,
                &format!("{place}[{}:{next}] is not accounted for", span.low - 1),
                "name it or list it in `reserved`",
            );
        } else if span.low < next {
            problems.add(&source.name, *here, &format!("{name} overlaps the row below it in {place}"), "every bit belongs to one row");
        }
        (next, line) = (span.high + 1, *here);
    }
    if next < width {
        problems.add(
            &source.name,
            line,
            &format!("{place}[{}:{next}] is not accounted for", width - 1),
            "name it or list it in `reserved`",
        );
    }
}

/// References between rows, and citations.
pub(crate) fn references(model: &Model, handles: &HashSet<String>, problems: &mut Problems) {
    let known = |name: &str| model.feature(name).is_some();
    for unit in &model.units {
        for name in unit.requires.iter().filter(|name| !known(name)) {
            problems.add(&unit.file, 1, &format!("`{name}` is not a feature"), "spell it as the row that defines it");
        }
    }
    for row in model.features.iter().chain(&model.fields) {
        let file = &model.unit(row).file;
        let raw = &row.raw;
        let edges = row.requires.iter().flat_map(|edge| edge.feature.iter().chain(edge.any.iter().flatten()));
        let withheld = raw.on_conflict.iter().filter_map(|word| word.strip_prefix("withhold:"));
        let withheld = withheld.filter(|name| *name != "XSTATE_COMPONENT");
        let emulated = row.emulated_with();
        let rules = raw.kvm_from.rules();
        let sources = rules.iter().flat_map(|rule| rule.all.iter().chain(&rule.none));
        let names = edges.chain(sources).chain(&raw.kvm_needs).chain(&raw.alias_of).map(String::as_str).chain(withheld).chain(emulated);
        for name in names.filter(|name| !known(name)) {
            problems.add(file, row.line, &format!("{}: `{name}` is not a feature", row.name), "spell it as the row that defines it");
        }
        for cite in raw.cite.list() {
            let handle = cite.split(' ').next().unwrap_or("");
            if handle != "uncited" && !handles.contains(handle) {
                problems.add(
                    file,
                    row.line,
                    &format!("{}: citation `{handle}`", row.name),
                    "add it to docs/manuals.toml or write `uncited`",
                );
            }
        }
    }
    cycles(model, problems);
}

/// Architectural edges must not go in circles, except inside a bundle: features that need each other directly.
fn cycles(model: &Model, problems: &mut Problems) {
    let parents: Vec<Vec<usize>> = model
        .features
        .iter()
        .map(|row| {
            let hard = row.requires.iter().filter(|edge| edge.kind == "architectural");
            hard.filter_map(|edge| edge.feature.as_deref().and_then(|name| model.feature(name))).collect()
        })
        .collect();
    let mutual = |a: usize, b: usize| parents[a].contains(&b) && parents[b].contains(&a);
    for start in 0..parents.len() {
        let mut seen = HashSet::new();
        let mut stack: Vec<usize> = parents[start].iter().copied().filter(|next| !mutual(start, *next)).collect();
        while let Some(at) = stack.pop() {
            if at == start {
                let row = &model.features[start];
                problems.add(
                    &model.unit(row).file,
                    row.line,
                    &format!("{} needs itself by way of others", row.name),
                    "cut the circle, or make the members need each other directly",
                );
                break;
            }
            if seen.insert(at) {
                stack.extend(parents[at].iter().copied().filter(|next| !mutual(at, *next)));
            }
        }
    }
}

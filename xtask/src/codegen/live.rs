//! `live.rs`: the bits and fields whose answer depends on run-time state.

use std::fmt::Write as _;

use super::data::Number;
use super::emit::register;
use super::model::{Model, Row};

/// What a word of `live` or `shown_if` is called in Rust.
const SOURCES: [(&str, &str); 10] = [
    ("cr4.osxsave", "Cr4Osxsave"),
    ("cr4.pke", "Cr4Pke"),
    ("cr4.kl", "Cr4Kl"),
    ("apic_base.en", "ApicBaseEn"),
    ("xcr0", "Xcr0"),
    ("xcr0|xss", "Xcr0Xss"),
    ("monitor-fsm", "MonitorFsm"),
    ("tsx", "Tsx"),
    ("xd-enabled", "XdEnabled"),
    ("hv-tsc-control", "HvTscControl"),
];

/// What the row follows: its own word, that of the bit that it repeats, or the mode of the program that asks.
fn source(model: &Model, row: &Row) -> Option<(&'static str, bool)> {
    let original = row.raw.alias_of.as_deref().and_then(|name| model.feature(name)).map(|at| &model.features[at]);
    let raw = original.map_or(&row.raw, |original| &original.raw);
    let word = raw.live.as_ref().or(raw.shown_if.as_ref());
    let source = word.and_then(|word| SOURCES.iter().find(|(known, _)| known == word)).map(|(_, source)| *source);
    // A live bit that is 1 in a policy can be hidden; one that is 0 there is nothing but what it follows.
    let hides = raw.live.is_none() || raw.value.as_ref().and_then(Number::value) == Some(1);
    source.map(|source| (source, hides)).or_else(|| raw.only_in_64bit_mode.then_some(("Mode64", true)))
}

/// `live.rs`.
pub(crate) fn live(model: &Model) -> String {
    let mut text = String::from(
        "//! What depends on run-time state.\n//@BANNER\nuse crate::{LiveRow, LiveSource, Register};\n\npub(crate) static LIVE: &[LiveRow] = &[\n",
    );
    let mut rows: Vec<(u32, &Row, (&str, bool))> = Vec::new();
    for row in model.features.iter().chain(&model.fields) {
        if let (Some(leaf), Some(source)) = (model.unit(row).leaf, source(model, row)) {
            rows.push((leaf, row, source));
        }
    }
    rows.sort_by_key(|(leaf, row, _)| (*leaf, row.span));
    for (leaf, row, (source, hides)) in rows {
        let _ = writeln!(
            text,
            "    LiveRow {{ leaf: {leaf:#010x}, subleaf: {}, register: Register::{}, high: {}, low: {}, source: LiveSource::{source}, hides: {hides}, copy: {} }}, // {}",
            row.span.first,
            register(row.span.register),
            row.span.high,
            row.span.low,
            row.raw.alias_of.is_some(),
            row.name
        );
    }
    text.push_str("];\n");
    text
}

//! Places in a policy: every leaf and subleaf that the engine may write, numbered, and who lives there.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::emit::{constant, is_merged};
use super::model::{Model, Row};

/// Where the fields of one row are: leaf and each subleaf; nothing for MSRs.
fn places(model: &Model, row: &Row) -> Vec<(u32, u32)> {
    let leaf = model.unit(row).leaf;
    leaf.map_or_else(Vec::new, |leaf| (row.span.first..=row.span.last).map(|subleaf| (leaf, subleaf)).collect())
}

/// Fields that hold the same value in every policy which has their leaf.
fn is_static(row: &Row) -> bool {
    let value = row.raw.value.as_ref().and_then(super::data::Number::value).unwrap_or(0);
    ["fixed", "local", "live"].contains(&row.merge.as_str()) && row.span.first == row.span.last && value != 0
}

/// The last pass: maximum leaves follow from everything else.
fn is_late(row: &Row) -> bool {
    row.raw.derive.as_deref().is_some_and(|word| word.starts_with("max-") && word != "max-subleaf")
}

/// `places.rs`.
pub(crate) fn tables(model: &Model) -> String {
    let merged: Vec<&Row> = model.fields.iter().filter(|row| is_merged(row)).collect();
    let fixed: Vec<&Row> = model.fields.iter().filter(|row| is_static(row)).collect();
    let rows = model.features.iter().chain(merged.iter().chain(&fixed).copied());
    let mut all: BTreeSet<(u32, u32)> = rows.flat_map(|row| places(model, row)).collect();
    all.extend([(0, 0), (1, 0), (0x8000_0000, 0), (0x8000_0002, 0), (0x8000_0003, 0), (0x8000_0004, 0)]);
    let all: Vec<(u32, u32)> = all.into_iter().collect();
    let number = |place: &(u32, u32)| all.binary_search(place).map_or("None".to_owned(), |at| format!("Some({at})"));
    let mut text = String::from(
        "//! Every leaf and subleaf that a policy can be given, and which words and fields are there.\n//@BANNER\nuse crate::{FIELD_SLOTS, Field, FieldAt, WORD_COUNT};\n\n",
    );
    let _ = writeln!(text, "/// How many leaves and subleaves the database can fill.\npub const ENTRY_COUNT: usize = {};\n", all.len());
    text.push_str("pub(crate) static ENTRIES: [(u32, u32); ENTRY_COUNT] = [\n");
    for (leaf, subleaf) in &all {
        let _ = writeln!(text, "    ({leaf:#010x}, {subleaf}),");
    }
    text.push_str("];\n\npub(crate) static WORD_ENTRIES: [Option<u16>; WORD_COUNT] = [\n");
    let (words, spots) = super::emit::word_table(model);
    for at in 0..words.len() {
        let first = model.features.iter().zip(&spots).find(|(_, (word, _))| *word == at);
        let place = first.and_then(|(row, _)| places(model, row).first().copied());
        let _ = writeln!(text, "    {},", place.map_or("None".to_owned(), |place| number(&place)));
    }
    field_tables(model, &mut text, &merged, &fixed, number);
    text
}

/// Slots, static fields and derived fields; `number` is the number of a leaf and subleaf.
fn field_tables(model: &Model, text: &mut String, merged: &[&Row], fixed: &[&Row], number: impl Fn(&(u32, u32)) -> String) {
    text.push_str("];\n\npub(crate) static SLOTS: [(FieldAt, Option<u16>); FIELD_SLOTS] = [\n");
    for row in merged {
        for subleaf in row.span.first..=row.span.last {
            let place = model.unit(row).leaf.map_or("None".to_owned(), |leaf| number(&(leaf, subleaf)));
            let _ = writeln!(text, "    (FieldAt {{ field: Field::{}, subleaf: {subleaf} }}, {place}),", constant(&row.name));
        }
    }
    text.push_str("];\n\npub(crate) static STATIC_FIELDS: &[(Field, Option<u16>)] = &[\n");
    for row in fixed {
        let place = places(model, row).first().map_or("None".to_owned(), &number);
        let _ = writeln!(text, "    (Field::{}, {place}),", constant(&row.name));
    }
    text.push_str("];\n\npub(crate) static DERIVED_FIELDS: &[Field] = &[\n");
    for late in [false, true] {
        for row in model.fields.iter().filter(|row| row.raw.derive.is_some() && is_late(row) == late) {
            let _ = writeln!(text, "    Field::{},", constant(&row.name));
        }
    }
    text.push_str("];\n");
}

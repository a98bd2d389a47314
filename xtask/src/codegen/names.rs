//! Words: texts of rows, and the index from spellings to rows.

use std::fmt::Write as _;

use super::emit::{constant, edges};
use super::model::{Model, Row};

fn project(name: &str) -> String {
    format!("Project::{}{}", name[..1].to_uppercase(), &name[1..])
}

fn strings<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    format!("&[{}]", words.into_iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", "))
}

fn entry(model: &Model, row: &Row) -> String {
    let raw = &row.raw;
    let names = raw.names.iter().flat_map(|(who, words)| words.list().into_iter().map(move |word| (who, word)));
    let names: Vec<String> = names.map(|(who, word)| format!("({}, {word:?})", project(who))).collect();
    let edges = if row.is_feature { edges(model, row) } else { Vec::new() };
    format!(
        "FeatureText {{ name: {:?}, title: {:?}, because: {:?}, live: {:?}, pinned: {:?}, requires: {}, names: &[{}], cite: {} }}",
        row.name,
        raw.title,
        raw.because.as_deref().unwrap_or(""),
        raw.live.as_deref().unwrap_or(""),
        raw.pinned.as_deref().unwrap_or(""),
        strings(edges.iter().map(|(_, _, because)| because.as_str())),
        names.join(", "),
        strings(raw.cite.list()),
    )
}

/// `text.rs`.
pub(crate) fn text(model: &Model) -> String {
    let mut text =
        String::from("//! Names, titles, reasons and sources.\n//@BANNER\nuse crate::{Feature, FeatureText, Field, Project};\n\n");
    for (table, kind, rows) in [("FEATURE_TEXT", "Feature", &model.features), ("FIELD_TEXT", "Field", &model.fields)] {
        let _ = writeln!(text, "pub(crate) static {table}: [FeatureText; {kind}::COUNT] = [");
        for row in rows {
            let _ = writeln!(text, "    {},", entry(model, row));
        }
        text.push_str("];\n\n");
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// What two spellings are compared by; must be what `lookup.rs` does.
fn folded(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' ')).collect::<String>().to_ascii_lowercase()
}

/// `names.rs`.
pub(crate) fn spellings(model: &Model) -> String {
    let mut list = Vec::new();
    for row in model.features.iter().chain(&model.fields) {
        let kind = if row.is_feature { "Feature" } else { "Field" };
        let named = format!("Named::{kind}({kind}::{})", constant(&row.name));
        list.push((folded(&row.name), row.name.clone(), "None".to_owned(), named.clone()));
        for (who, words) in &row.raw.names {
            for word in words.list() {
                list.push((folded(word), word.to_owned(), format!("Some({})", project(who)), named.clone()));
            }
        }
    }
    list.sort();
    list.dedup();
    let mut text = String::from(
        "//! Every spelling, in folded order.\n//@BANNER\nuse crate::lookup::{Named, Spelling};\nuse crate::{Feature, Field, Project};\n\npub(crate) static SPELLINGS: &[Spelling] = &[\n",
    );
    for (_, word, who, named) in list {
        let _ = writeln!(text, "    Spelling {{ word: {word:?}, project: {who}, named: {named} }},");
    }
    text.push_str("];\n");
    text
}

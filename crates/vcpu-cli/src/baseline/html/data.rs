//! The data of the page's script: rows, columns and groups as JSON.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::super::{Case, document};
use super::columns::{Cell, Column, columns, has_static, letters, values};
use super::rows::{Row, Rows, Subject};
use crate::words;

/// Pools of this many hosts begin with what differs.
const BIG: usize = 8;

/// The whole object.
pub(super) fn data(case: &Case, rows: &Rows) -> Value {
    let columns = columns(case.fleet);
    let unknown = document::unknown_by_place(case);
    let groups: Vec<Value> = rows.groups.iter().map(|group| json!([group.label, group.title])).collect();
    let list: Vec<Value> = rows.rows.iter().map(|row| row_object(row, &columns, &unknown)).collect();
    json!({
        "schema": "vcpu.report/1",
        "big": case.fleet.hosts.len() >= BIG,
        "groups": groups,
        "columns": columns.iter().map(column_object).collect::<Vec<_>>(),
        "rows": list,
    })
}

fn column_object(column: &Column) -> Value {
    let names: Vec<&str> = column.hosts.iter().map(|host| host.name.as_str()).collect();
    let Some(host) = column.host() else { return Value::Null };
    json!({ "hosts": names, "cpus": cpus(host), "basis": host.basis.name(), "unknown": host.unknown_bits.len() })
}

/// What each kind of core of a machine calls itself.
pub(super) fn cpus(host: &super::super::Host) -> Vec<String> {
    let mut cpus: Vec<String> = Vec::new();
    for core in &host.cores {
        let identity = &core.identity;
        let cpu = format!("{} {} {}", words::vendor(identity.vendor), identity.signature, words::brand(&identity.brand));
        let cpu = cpu.trim_end().to_owned();
        if !cpus.contains(&cpu) {
            cpus.push(cpu);
        }
    }
    cpus
}

fn row_object(row: &Row, columns: &[Column], unknown: &[(String, Vec<&str>)]) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("name", row.name().into());
    put("group", row.group.into());
    put("place", row.place.as_str().into());
    if let Some(text) = row.text() {
        put("title", text.title.into());
        let spellings = spellings(row.name(), text.names.iter().map(|(_, word)| *word));
        if !spellings.is_empty() {
            put("spelled", spellings.into());
        }
    }
    for key in ["subleaf", "outcome", "value", "rule"] {
        if let Some(value) = row.decision.get(key) {
            put(key, value.clone());
        }
    }
    if row.decision.get("value").is_some() {
        put("shown", row.shown_value().into());
    }
    if let Some(because) = row.decision.get("because") {
        for (key, path) in [("kind", "/kind"), ("needs", "/feature"), ("count", "/hosts/count"), ("cause", "/text")] {
            if let Some(value) = because.pointer(path) {
                put(key, value.clone());
            }
        }
    }
    cells(row, columns, unknown, &mut object);
    Value::Object(object)
}

/// Other spellings of the name, each once.
fn spellings(name: &str, words: impl Iterator<Item = &'static str>) -> String {
    let mut spellings: Vec<&str> = words.filter(|word| !word.eq_ignore_ascii_case(name)).collect();
    spellings.sort_unstable();
    spellings.dedup();
    spellings.join(" ")
}

/// What each column says, and how to read it.
fn cells(row: &Row, columns: &[Column], unknown: &[(String, Vec<&str>)], object: &mut Map<String, Value>) {
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    match &row.subject {
        Subject::Feature(feature) => {
            put("cells", letters(columns, |host| Cell::of(host, *feature)).into());
        }
        Subject::Field(at) => {
            let (table, cells) = values(columns, *at);
            put("values", table.into());
            put("cells", cells);
        }
        Subject::Static(field) => {
            put("type", "static".into());
            put("cells", letters(columns, |host| Cell::set(has_static(host, *field))).into());
        }
        Subject::Unknown => {
            let names: HashSet<&str> =
                unknown.iter().filter(|(place, _)| place == row.name()).flat_map(|(_, names)| names).copied().collect();
            put("type", "unknown".into());
            put("cells", letters(columns, |host| Cell::set(names.contains(host.name.as_str()))).into());
        }
    }
}

//! The columns of the matrix: machines that are alike share one, and each knows what its machines say about a row.

use cpu_caps::{FieldValue, View};
use cpuid_db::{Feature, Field, FieldAt};
use serde_json::{Value, json};

use super::super::hosts::CoreViews;
use super::super::{Fleet, Host};
use crate::words::number;

/// What a machine says about a bit. The letters are the encoding of the page; its script explains them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cell {
    Has,
    Lacks,
    /// The hardware has it, the hypervisor does not give it.
    Denied,
    Unrecorded,
    /// The hypervisor gives it without hardware.
    Emulated,
    /// Its kinds of core differ.
    Mixed,
}

impl Cell {
    /// One letter per machine keeps a page of many machines small.
    pub(super) const fn letter(self) -> char {
        match self {
            Self::Has => '1',
            Self::Lacks => '0',
            Self::Denied => 'k',
            Self::Unrecorded => '?',
            Self::Emulated => 'e',
            Self::Mixed => 'm',
        }
    }

    fn of_core(core: &CoreViews, feature: Feature) -> Self {
        let within = |view: &View| (view.features.contains(feature), view.unknown.contains(feature));
        match (within(&core.ceiling), within(&core.raw)) {
            ((_, true), _) | ((false, _), (_, true)) => Self::Unrecorded,
            ((true, _), (false, false)) => Self::Emulated,
            ((true, _), _) => Self::Has,
            ((false, _), (true, _)) => Self::Denied,
            ((false, _), (false, _)) => Self::Lacks,
        }
    }

    /// Over all kinds of core.
    pub(super) fn of(host: &Host, feature: Feature) -> Self {
        let mut cells = host.cores.iter().map(|core| Self::of_core(core, feature));
        let Some(first) = cells.next() else { return Self::Unrecorded };
        if cells.all(|cell| cell == first) { first } else { Self::Mixed }
    }

    /// Whether a bit that nobody knows, or a number that no rule merges, is there.
    pub(super) const fn set(is_set: bool) -> Self {
        if is_set { Self::Has } else { Self::Lacks }
    }
}

/// Machines that differ in nothing that the page shows.
#[derive(Debug)]
pub(super) struct Column<'a> {
    pub(super) hosts: Vec<&'a Host>,
}

impl Column<'_> {
    /// What stands for all of them.
    pub(super) fn host(&self) -> Option<&Host> {
        self.hosts.first().copied()
    }
}

/// The columns in order of the first machine of each.
pub(super) fn columns(fleet: &Fleet) -> Vec<Column<'_>> {
    let mut columns: Vec<Column> = Vec::new();
    for host in &fleet.hosts {
        match columns.iter_mut().find(|column| column.host().is_some_and(|first| is_alike(first, host))) {
            Some(column) => column.hosts.push(host),
            None => columns.push(Column { hosts: vec![host] }),
        }
    }
    columns
}

fn is_alike(a: &Host, b: &Host) -> bool {
    a.basis == b.basis && a.unknown_bits == b.unknown_bits && a.static_fields == b.static_fields && a.cores == b.cores
}

/// The cells of a row of bits, one letter each, or one for all when they agree.
pub(super) fn letters(columns: &[Column], cell: impl Fn(&Host) -> Cell) -> String {
    let letters: String = columns.iter().filter_map(Column::host).map(|host| cell(host).letter()).collect();
    shortened(&letters).to_owned()
}

fn shortened(letters: &str) -> &str {
    let mut chars = letters.chars();
    match chars.next() {
        Some(first) if chars.all(|c| c == first) => letters.get(..first.len_utf8()).unwrap_or(letters),
        _ => letters,
    }
}

/// Whether the machine has a value in a field that no rule merges; the value itself is the machine's own business.
pub(super) fn has_static(host: &Host, field: Field) -> bool {
    host.static_fields.binary_search(&field).is_ok()
}

/// The cells of a field: the different values, and for each column which it is.
pub(super) fn values(columns: &[Column], at: FieldAt) -> (Vec<Value>, Value) {
    let mut table: Vec<Value> = Vec::new();
    let mut which: Vec<usize> = Vec::new();
    for host in columns.iter().filter_map(Column::host) {
        let value = value(host, at);
        let known = table.iter().position(|one| *one == value);
        which.push(known.unwrap_or_else(|| {
            table.push(value);
            table.len() - 1
        }));
    }
    let cells = encoded(&which).map_or_else(|| json!(which), Value::from);
    (table, cells)
}

/// One digit per column where the digits suffice.
fn encoded(which: &[usize]) -> Option<String> {
    const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let digits: Option<String> = which.iter().map(|at| DIGITS.get(*at).copied().map(char::from)).collect();
    digits.map(|digits| shortened(&digits).to_owned())
}

/// The value under the ceiling; where the hardware says something else, both.
fn value(host: &Host, at: FieldAt) -> Value {
    let ceiling = distinct(host.cores.iter().map(|core| core.ceiling.field(at)));
    let raw = distinct(host.cores.iter().map(|core| core.raw.field(at)));
    let is_same = ceiling == raw || raw == spell(FieldValue::Absent);
    if is_same { ceiling.into() } else { json!([ceiling, raw]) }
}

/// The values of several kinds of core, each once.
fn distinct(values: impl Iterator<Item = FieldValue>) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in values.map(spell) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" / ")
}

fn spell(value: FieldValue) -> String {
    match value {
        FieldValue::Known(value) => number(value),
        FieldValue::Absent => "\u{2013}".to_owned(),
        FieldValue::Unknown => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_agree_take_one_letter() {
        for (letters, short) in [("", ""), ("1", "1"), ("111", "1"), ("110", "110")] {
            assert_eq!(shortened(letters), short);
        }
    }

    #[test]
    fn many_values_are_numbers() {
        assert_eq!(encoded(&[0, 61, 10]).unwrap(), "0Za");
        assert_eq!(encoded(&[1, 1]).unwrap(), "1");
        assert_eq!(encoded(&[62]), None);
    }
}

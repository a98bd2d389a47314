//! The data files, asked by place, by spelling and by prerequisite.

use std::collections::{HashMap, HashSet};

use super::claim::{Place, Spelling, Word};
use crate::codegen::emit::edges;
use crate::codegen::model::{Model, Row};

/// How strongly one feature needs another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    None,
    Policy,
    Architectural,
}

/// A direct prerequisite: what is needed and whether a real CPU may lack it.
type Parent = (usize, Need);

pub(crate) struct Database<'m> {
    pub(crate) model: &'m Model,
    /// Rows by leaf or MSR.
    rows: HashMap<(bool, u32), Vec<&'m Row>>,
    /// Rows by project and word.
    spellings: HashMap<&'m str, HashMap<&'m str, Vec<&'m Row>>>,
    parents: Vec<Vec<Parent>>,
}

/// What two loosely equal spellings have in common.
pub(crate) fn folded(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' ')).collect::<String>().to_ascii_lowercase()
}

impl<'m> Database<'m> {
    pub(crate) fn new(model: &'m Model) -> Self {
        let mut rows: HashMap<_, Vec<&Row>> = HashMap::new();
        let mut spellings: HashMap<&str, HashMap<&str, Vec<&Row>>> = HashMap::new();
        for row in model.features.iter().chain(&model.fields) {
            let unit = model.unit(row);
            rows.entry((unit.leaf.is_none(), unit.leaf.or(unit.msr).unwrap_or(0))).or_default().push(row);
            for (who, words) in &row.raw.names {
                for word in words.list() {
                    spellings.entry(who.as_str()).or_default().entry(word).or_default().push(row);
                }
            }
        }
        let parents = model.features.iter().map(|row| {
            let list = edges(model, row).into_iter().flat_map(|(any, kind, _)| {
                let need = if kind == "architectural" { Need::Architectural } else { Need::Policy };
                any.into_iter().filter_map(move |name| model.feature(&name).map(|parent| (parent, need))).collect::<Vec<_>>()
            });
            list.collect()
        });
        Self { model, rows, spellings, parents: parents.collect() }
    }

    /// Rows in a word.
    pub(crate) fn in_word(&self, word: Word) -> impl Iterator<Item = &'m Row> {
        let key = match word {
            Word::Cpuid { leaf, .. } => (false, leaf),
            Word::Msr(index) => (true, index),
        };
        let here = move |row: &&Row| match word {
            Word::Cpuid { subleaf, register, .. } => (row.span.first..=row.span.last).contains(&subleaf) && row.span.register == register,
            Word::Msr(_) => true,
        };
        self.rows.get(&key).into_iter().flatten().copied().filter(here)
    }

    /// Rows that have bits of a place, and whether they have all of them.
    pub(crate) fn at(&self, place: Place) -> (Vec<&'m Row>, bool) {
        let rows: Vec<&Row> = self.in_word(place.word).filter(|row| row.span.low <= place.high && place.low <= row.span.high).collect();
        let all = (place.low..=place.high).all(|bit| rows.iter().any(|row| (row.span.low..=row.span.high).contains(&bit)));
        (rows, all)
    }

    /// Rows with exactly this spelling.
    pub(crate) fn spelled(&self, spelling: &Spelling) -> &[&'m Row] {
        self.spellings.get(spelling.0).and_then(|words| words.get(spelling.1.as_str())).map_or(&[], Vec::as_slice)
    }

    /// Rows with a spelling of the project that differs at most in separators and case.
    pub(crate) fn loosely(&self, spelling: &Spelling) -> Vec<&'m Row> {
        let word = folded(&spelling.1);
        let words = self.spellings.get(spelling.0).into_iter().flatten();
        words.filter(|(known, _)| folded(known) == word).flat_map(|(_, rows)| rows.iter().copied()).collect()
    }

    /// The number of a feature's row.
    pub(crate) fn index(&self, row: &Row) -> Option<usize> {
        self.model.feature(&row.name)
    }

    pub(crate) fn parents(&self, child: usize) -> &[Parent] {
        &self.parents[child]
    }

    /// How `child` needs `parent`, directly or by way of others.
    pub(crate) fn need(&self, child: usize, parent: usize) -> Need {
        [Need::Architectural, Need::Policy].into_iter().find(|least| self.reaches(child, parent, *least)).unwrap_or(Need::None)
    }

    fn reaches(&self, child: usize, parent: usize, least: Need) -> bool {
        let mut seen = HashSet::new();
        let mut stack = vec![child];
        while let Some(at) = stack.pop() {
            if at == parent && at != child {
                return true;
            }
            if seen.insert(at) {
                stack.extend(self.parents[at].iter().filter(|(_, need)| *need >= least).map(|(next, _)| *next));
            }
        }
        false
    }
}

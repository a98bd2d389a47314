//! Where a source and the database disagree.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::claim::{At, Claim, Claims, Edge, End, Spelling, Word};
use super::database::{Database, Need};
use crate::codegen::model::Row;

/// What a disagreement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// A bit or name that no row has.
    Missing,
    /// A spelling that we have at another place.
    Position,
    /// A spelling that we do not have for that bit.
    Name,
    /// How KVM comes to report a bit.
    Kvm,
    /// How hosts merge.
    Merge,
    /// A prerequisite that we do not have.
    Edge,
}

impl Topic {
    pub(crate) const ALL: [Self; 6] = [Self::Missing, Self::Position, Self::Name, Self::Kvm, Self::Merge, Self::Edge];

    /// Its key in the list of exceptions.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Position => "position",
            Self::Name => "name",
            Self::Kvm => "kvm",
            Self::Merge => "merge",
            Self::Edge => "edge",
        }
    }

    /// Whether the tables are wrong or incomplete, rather than of another opinion.
    pub(crate) fn is_fatal(self) -> bool {
        matches!(self, Self::Missing | Self::Position)
    }
}

/// One disagreement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) topic: Topic,
    /// A place, a pinned spelling, or `CHILD -> PARENT`: what an exception names.
    pub(crate) bit: String,
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// What a comparison gives.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Things that the source names.
    pub(crate) named: usize,
    pub(crate) findings: Vec<Finding>,
    /// Features of ours in words that the source names bits of.
    pub(crate) they_lack: Vec<String>,
    /// Edges of theirs by our kind of edge: none, policy, architectural.
    pub(crate) edges: [usize; 3],
    /// Edges of ours between features with edges of theirs.
    pub(crate) only_ours: Vec<String>,
    /// Bits with a disposition, for KVM.
    pub(crate) dispositions: usize,
}

impl Outcome {
    fn add(&mut self, topic: Topic, bit: String, line: usize, text: String) {
        self.findings.push(Finding { topic, bit, line, text });
    }

    pub(crate) fn count(&self, topic: Topic) -> usize {
        self.findings.iter().filter(|finding| finding.topic == topic).count()
    }
}

/// The topics about which a source says something.
pub(crate) fn topics(claims: &Claims) -> Vec<Topic> {
    let said = |topic: &Topic| match topic {
        Topic::Missing | Topic::Position | Topic::Name => !claims.bits.is_empty(),
        Topic::Kvm => !claims.kvm_words.is_empty(),
        Topic::Merge => claims.bits.iter().any(|claim| claim.or_merge.is_some()),
        Topic::Edge => !claims.edges.is_empty(),
    };
    Topic::ALL.into_iter().filter(said).collect()
}

/// Compares everything that a source says.
pub(crate) fn compare(db: &Database<'_>, claims: &Claims) -> Outcome {
    let mut outcome = Outcome::default();
    let mut claimed: HashSet<&str> = HashSet::new();
    let mut words: BTreeSet<Word> = BTreeSet::new();
    for claim in &claims.bits {
        if let At::Place(place) = claim.at {
            words.insert(place.word);
        }
        let rows = bit(db, claim, &mut outcome);
        for row in &rows {
            opinions(db, claim, row, &mut outcome);
        }
        claimed.extend(rows.iter().map(|row| row.name.as_str()));
    }
    outcome.named = named(claims);
    for word in words {
        let features = db.in_word(word).filter(|row| row.is_feature && !claimed.contains(row.name.as_str()));
        outcome.they_lack.extend(features.map(|row| format!("{} {}", db.model.location(row), row.name)));
    }
    unlisted(db, claims, &claimed, &mut outcome);
    dependencies(db, &claims.edges, &mut outcome);
    outcome.findings.sort();
    outcome.findings.dedup_by(|a, b| (a.topic, &a.bit, &a.text) == (b.topic, &b.bit, &b.text));
    outcome
}

/// How many things a source names: places with their names, and names that it has without a place only.
fn named(claims: &Claims) -> usize {
    let placed: BTreeSet<(String, &Spelling)> = claims
        .bits
        .iter()
        .filter_map(|claim| match claim.at {
            At::Place(place) => Some((place.to_string(), &claim.spellings[0])),
            At::Word(_) | At::Nowhere => None,
        })
        .collect();
    let known: HashSet<&Spelling> = placed.iter().map(|(_, spelling)| *spelling).collect();
    let unplaced = claims.bits.iter().filter(|claim| !known.contains(&claim.spellings[0]));
    let unplaced: HashSet<_> = unplaced.map(|claim| (format!("{:?}", claim.at), &claim.spellings[0])).collect();
    placed.len() + unplaced.len()
}

fn pinned(spelling: &Spelling) -> String {
    format!("{}:{}", spelling.0, spelling.1)
}

/// The rows that a claim is about; complains about their absence, place and spellings.
fn bit<'m>(db: &Database<'m>, claim: &Claim, outcome: &mut Outcome) -> Vec<&'m Row> {
    let first = &claim.spellings[0];
    let At::Place(place) = claim.at else {
        let rows = match claim.at {
            At::Word(word) => {
                let is = |name: &str| name == first.1 || db.spelled(first).iter().any(|other| other.name == name);
                db.in_word(word).filter(|row| is(&row.name) || row.raw.alias_of.as_deref().is_some_and(is)).collect()
            }
            _ if first.0 == "qemu" => db.loosely(first),
            _ => db.spelled(first).to_vec(),
        };
        if rows.is_empty() {
            let place = if let At::Word(word) = claim.at { format!(" in {word}") } else { String::new() };
            outcome.add(Topic::Missing, pinned(first), claim.line, format!("no row of this name{place}"));
        }
        return rows;
    };
    let (rows, all) = db.at(place);
    let mut conflict = false;
    for (rank, spelling) in claim.spellings.iter().enumerate() {
        // A source's own word is what its files are written with; an alias only has to be understood.
        let ours = if rank == 0 { db.spelled(spelling).to_vec() } else { db.loosely(spelling) };
        if ours.iter().any(|row| rows.iter().any(|here| here.name == row.name)) {
            continue;
        }
        if let Some(elsewhere) = ours.first() {
            conflict = true;
            let text = format!("{} is {} of ours at {}", pinned(spelling), elsewhere.name, db.model.location(elsewhere));
            outcome.add(Topic::Position, place.to_string(), claim.line, text);
        } else if all {
            let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            outcome.add(Topic::Name, place.to_string(), claim.line, format!("{} is {}", pinned(spelling), names.join(", ")));
        }
    }
    if !all && !conflict {
        outcome.add(Topic::Missing, place.to_string(), claim.line, format!("{} has no row", pinned(first)));
    }
    rows
}

/// Dispositions and merge rules.
fn opinions(db: &Database<'_>, claim: &Claim, row: &Row, outcome: &mut Outcome) {
    if let Some(kvm) = claim.kvm {
        outcome.dispositions += 1;
        if !kvm.contains(&row.raw.kvm.as_str()) {
            let text = format!("{}: ours {}, theirs {}", row.name, row.raw.kvm, kvm.join(" or "));
            outcome.add(Topic::Kvm, db.model.location(row), claim.line, text);
        }
    }
    if claim.or_merge.is_some_and(|or| or != (row.merge == "or")) {
        let theirs = if claim.or_merge == Some(true) { "or" } else { "and, or decided elsewhere" };
        outcome.add(Topic::Merge, db.model.location(row), claim.line, format!("{}: ours {}, theirs {theirs}", row.name, row.merge));
    }
}

/// Features that KVM reports according to us, in words of which the source lists all.
fn unlisted(db: &Database<'_>, claims: &Claims, claimed: &HashSet<&str>, outcome: &mut Outcome) {
    for word in &claims.kvm_words {
        let reported = |row: &&Row| row.is_feature && claims.kvm_listed.contains(&row.raw.kvm.as_str());
        for row in db.in_word(*word).filter(reported).filter(|row| !claimed.contains(row.name.as_str())) {
            let text = format!("{}: ours {}, not in their list", row.name, row.raw.kvm);
            outcome.add(Topic::Kvm, db.model.location(row), 0, text);
        }
    }
}

/// The features at an end of an edge.
fn end(db: &Database<'_>, end: &End) -> Result<Vec<usize>, String> {
    let feature = |row: &&Row| db.index(row);
    match end {
        End::Bits(places) => Ok(places.iter().flat_map(|place| db.at(*place).0).filter_map(|row| db.index(row)).collect()),
        End::Named(spelling) => {
            let list: Vec<usize> = db.spelled(spelling).iter().filter_map(feature).collect();
            if list.is_empty() { Err(pinned(spelling)) } else { Ok(list) }
        }
        End::WordOf(spelling) => {
            let first = db.spelled(spelling).first().ok_or_else(|| pinned(spelling))?;
            let same = |row: &&Row| row.unit == first.unit && row.span.register == first.span.register;
            Ok(db.model.features.iter().filter(same).filter_map(|row| db.index(row)).collect())
        }
    }
}

fn dependencies(db: &Database<'_>, edges: &[Edge], outcome: &mut Outcome) {
    let name = |index: usize| db.model.features[index].name.as_str();
    let mut theirs: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for edge in edges {
        let (parents, children) = match (end(db, &edge.parent), end(db, &edge.child)) {
            (Ok(parents), Ok(children)) => (parents, children),
            (parents, children) => {
                for unknown in [parents.err(), children.err()].into_iter().flatten() {
                    outcome.add(Topic::Missing, unknown, edge.line, "no row of this name".into());
                }
                continue;
            }
        };
        for child in children.into_iter().filter(|child| !parents.contains(child)) {
            let need = parents.iter().map(|parent| db.need(child, *parent)).max().unwrap_or(Need::None);
            outcome.edges[need as usize] += 1;
            if need == Need::None {
                let list: Vec<&str> = parents.iter().map(|parent| name(*parent)).collect();
                outcome.add(Topic::Edge, format!("{} -> {}", name(child), list.join(" or ")), edge.line, "not an edge of ours".into());
            }
            theirs.entry(child).or_default().extend(&parents);
        }
    }
    only_ours(db, &theirs, outcome);
}

/// Edges of ours that do not follow from theirs, between features of which they say something.
fn only_ours(db: &Database<'_>, theirs: &BTreeMap<usize, BTreeSet<usize>>, outcome: &mut Outcome) {
    let known: BTreeSet<usize> = theirs.iter().flat_map(|(child, parents)| parents.iter().chain([child])).copied().collect();
    for child in &known {
        for (parent, need) in db.parents(*child).iter().filter(|(parent, _)| known.contains(parent)) {
            if !follows(theirs, *child, *parent) {
                let [child, parent] = [child, parent].map(|index| db.model.features[*index].name.as_str());
                outcome.only_ours.push(format!("{child} -> {parent} ({need:?})"));
            }
        }
    }
}

fn follows(theirs: &BTreeMap<usize, BTreeSet<usize>>, child: usize, parent: usize) -> bool {
    let mut seen = HashSet::new();
    let mut stack = vec![child];
    while let Some(at) = stack.pop() {
        if seen.insert(at) {
            stack.extend(theirs.get(&at).into_iter().flatten());
        }
    }
    seen.contains(&parent)
}

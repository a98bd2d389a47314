//! A subject for people.

use super::facts::{Facts, Prerequisite};
use crate::page::{HEADING, PLAIN, Page, QUIET, Word, list, sentence};

/// Where words begin beside their labels.
const COLUMN: usize = 15;
/// Beside the places of an MSR's bits.
const BITS: usize = 12;

/// The whole page.
pub(super) fn write(facts: &Facts) -> String {
    let mut page = Page::new();
    let mut title = sentence(HEADING, &facts.name);
    if facts.place != facts.name {
        title.extend(sentence(QUIET, &facts.place));
    }
    page.words(0, title);
    page.words(2, sentence(PLAIN, &facts.title));
    page.blank();
    page.entry("spelled", COLUMN, spellings(facts));
    page.entry("vendors", COLUMN, vendors(facts));
    page.entry("merge", COLUMN, merge(facts));
    for (at, one) in facts.requires.iter().enumerate() {
        page.entry(if at == 0 { "needs" } else { "" }, COLUMN, prerequisite(one));
    }
    let direct: Vec<&str> = facts.requires.iter().filter_map(|one| one.any.first().copied()).collect();
    let indirect = facts.requires_all.iter().filter(|name| !direct.contains(name)).copied();
    page.entry("and so", COLUMN, list(PLAIN, indirect));
    page.entry("needed by", COLUMN, list(PLAIN, facts.required_by.iter().copied()));
    page.entry("opens", COLUMN, list(PLAIN, facts.gates.iter().map(|gate| gate.strip_prefix("insn:").unwrap_or(gate))));
    page.entry("KVM", COLUMN, sentence(PLAIN, &facts.kvm_text));
    for (at, remark) in facts.remarks.iter().enumerate() {
        page.entry(if at == 0 { "remarks" } else { "" }, COLUMN, sentence(PLAIN, remark));
    }
    let label = if facts.merge == "or" || facts.merge == "context" { "if untold" } else { "if missing" };
    page.entry(label, COLUMN, sentence(PLAIN, &facts.lacking));
    page.entry("models", COLUMN, some(&facts.models));
    page.entry("source", COLUMN, list(QUIET, facts.cite.iter().copied()));
    bits(&mut page, facts);
    page.into_text()
}

/// The first and the last of a long list: models stand in order of age.
fn some(names: &[&str]) -> Vec<Word> {
    const FIRST: usize = 3;
    const LAST: usize = 3;
    let (Some(first), Some(last)) = (names.get(..FIRST), names.len().checked_sub(LAST).and_then(|at| names.get(at..))) else {
        return list(PLAIN, names.iter().copied());
    };
    if names.len() <= FIRST + LAST + 1 {
        return list(PLAIN, names.iter().copied());
    }
    let left = format!("{} more", names.len() - FIRST - LAST);
    list(PLAIN, first.iter().copied().chain([left.as_str()]).chain(last.iter().copied()))
}

/// Each spelling with the projects that use it.
fn spellings(facts: &Facts) -> Vec<Word> {
    let mut spellings: Vec<(&str, Vec<&str>)> = Vec::new();
    for (project, word) in &facts.names {
        match spellings.iter_mut().find(|(known, _)| known == word) {
            Some((_, projects)) => projects.push(project.name()),
            None => spellings.push((word, vec![project.name()])),
        }
    }
    list(PLAIN, spellings.into_iter().map(|(word, projects)| format!("{word} ({})", projects.join(", "))))
}

fn vendors(facts: &Facts) -> Vec<Word> {
    match facts.kind {
        "msr" | "reserved" => Vec::new(),
        _ if facts.vendors.is_empty() => sentence(PLAIN, "all"),
        _ => list(PLAIN, facts.vendors.iter().copied()),
    }
}

/// The rule in a sentence, and the reason.
fn merge(facts: &Facts) -> Vec<Word> {
    let rule = match facts.merge.as_str() {
        "" => "",
        "and" => "and: given if all hosts have it.",
        "or" => "or: announced if any host has it.",
        "min" => "min: the smallest value of the pool.",
        "max" => "max: the largest value of the pool.",
        "equal" => "equal: hosts must agree.",
        "equal-or-zero" => "equal-or-zero: the common value, else zero.",
        "fixed" => "fixed: the hypervisor gives it on every host.",
        "live" => "live: follows run-time state and is never compared.",
        "local" => "local: belongs to one VM, one vCPU or one machine.",
        "derived" => "derived: recomputed from the rest of the policy.",
        _ => "context: decided by the rest of the policy.",
    };
    let mut words = sentence(PLAIN, rule);
    words.extend(sentence(QUIET, &facts.why));
    words
}

fn prerequisite(one: &Prerequisite) -> Vec<Word> {
    let kind = if one.kind == "policy" { " (by policy)" } else { "" };
    let mut words = sentence(PLAIN, &format!("{}{kind}:", one.any.join(" or ")));
    words.extend(sentence(QUIET, one.because));
    words
}

fn bits(page: &mut Page, facts: &Facts) {
    if facts.bits.is_empty() {
        return;
    }
    page.heading("Bits");
    for (place, name, title) in &facts.bits {
        let place = place.find('[').and_then(|at| place.get(at..)).unwrap_or(place);
        let mut words = sentence(PLAIN, name);
        words.extend(sentence(QUIET, title));
        page.entry(place, BITS, words);
    }
}

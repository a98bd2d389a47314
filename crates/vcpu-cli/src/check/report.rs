//! A check for people: verdicts first, then what would happen, grouped by the kind of harm, then what helps.

use std::collections::BTreeMap;

use anstyle::Style;
use cpu_caps::{Because, Subject, Verdict};
use cpuid_db::Basis;

use super::words::{name, place, values};
use super::{Case, Found, Judged};
use crate::causes::{Consequence, Effect, fix, of_gap};
use crate::page::{GAINED, HEADING, HOST, LOST, NOTICE, PLAIN, Page, QUIET, Word, clauses, list, sentence};
use crate::words::{plural, some_of};

/// How many names of machines a line shows.
const NAMES: usize = 6;

/// The whole report; with `quiet` the verdicts alone.
pub(crate) fn text(case: &Case, quiet: bool) -> String {
    let mut page = Page::new();
    let groups = groups(case);
    if case.results.len() > 1 {
        summary(&mut page, case);
    }
    for (at, group) in groups.iter().enumerate() {
        if at > 0 && !quiet || at == 0 && case.results.len() > 1 {
            page.blank();
        }
        verdict(&mut page, group);
        if !quiet {
            one(&mut page, case, group);
        }
    }
    page.into_text()
}

/// Machines with the very same answer stand together; the order is that of the first of each group.
fn groups<'a, 'b>(case: &'b Case<'a>) -> Vec<Vec<&'b Judged<'a>>> {
    let mut groups: Vec<Vec<&Judged>> = Vec::new();
    for judged in &case.results {
        match groups.iter_mut().find(|group| group.first().is_some_and(|first| first.is_like(judged))) {
            Some(group) => group.push(judged),
            None => groups.push(vec![judged]),
        }
    }
    groups
}

fn summary(page: &mut Page, case: &Case) {
    let parts = [Verdict::Compatible, Verdict::Unknown, Verdict::Incompatible].map(|verdict| {
        let count = case.count(verdict);
        let words = sentence(style(verdict), &format!("{count} {}", verdict.name()));
        if count == 0 { Vec::new() } else { words }
    });
    let mut words = sentence(HEADING, &format!("{}:", plural(case.results.len(), "host")));
    words.extend(commas(parts));
    page.words(0, words);
}

/// Lists of words with commas between them.
fn commas(parts: impl IntoIterator<Item = Vec<Word>>) -> Vec<Word> {
    clauses(parts)
}

const fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Compatible => GAINED,
        Verdict::Unknown => NOTICE,
        Verdict::Incompatible => LOST,
    }
}

fn verdict(page: &mut Page, group: &[&Judged]) {
    let Some(first) = group.first() else { return };
    let names: Vec<&str> = group.iter().map(|judged| judged.host.name.as_str()).collect();
    let mut words = sentence(HOST, &format!("{}:", some_of(&names, names.len(), NAMES)));
    words.extend(sentence(style(first.verdict), first.verdict.name()));
    let basis = match first.host.basis {
        Basis::Recorded => "with KVM as recorded",
        Basis::Derived => "with KVM as derived",
        Basis::Raw => "by the hardware alone",
    };
    let count = if first.gaps.is_empty() { String::new() } else { format!("{} ", plural(first.gaps.len(), "gap")) };
    words.extend(sentence(QUIET, &format!("({count}{basis})")));
    page.words(0, words);
}

/// Gaps that do the same to the guest.
type Groups<'a> = BTreeMap<(Effect, String), Vec<(&'a Found, Consequence)>>;

fn one(page: &mut Page, case: &Case, group: &[&Judged]) {
    let Some(judged) = group.first().filter(|judged| !judged.gaps.is_empty()) else { return };
    let mut groups = Groups::new();
    for found in &judged.gaps {
        let consequence = of_gap(&found.gap);
        groups.entry((consequence.effect, consequence.short.clone())).or_default().push((found, consequence));
    }
    let mut last = None;
    for ((effect, short), items) in &groups {
        if last.replace(*effect) != Some(*effect) {
            page.words(2, sentence(HEADING, effect.heading()));
        }
        page.words(4, sentence(PLAIN, short));
        page.words(8, list_of(case, judged, items));
    }
    let fixes: Vec<fix::Fix> = judged.gaps.iter().map(|found| fix::of_gap(&found.gap, case.ceiling)).collect();
    page.words(2, sentence(HEADING, "What helps"));
    let there = if group.len() > 1 { "these hosts" } else { judged.host.name.as_str() };
    for text in fix::sentences(&fixes, there) {
        page.words(4, sentence(PLAIN, &text));
    }
}

fn list_of(case: &Case, judged: &Judged, items: &[(&Found, Consequence)]) -> Vec<Word> {
    let mut words = Vec::new();
    for (at, (found, _)) in items.iter().enumerate() {
        let comma = if at + 1 < items.len() { "," } else { "" };
        words.extend(item(case, judged, found, comma));
    }
    words
}

/// `SMAP CPUID.7.0.EBX[20]`, with values and cores where they tell something.
fn item(case: &Case, judged: &Judged, found: &Found, comma: &str) -> Vec<Word> {
    let gap = &found.gap;
    let mut remarks = Vec::new();
    let values = values(gap, case.guest.vendor(), judged.host.vendor());
    if !values.is_empty() {
        remarks.push(values);
    }
    match (gap.because, gap.subject) {
        (Because::Hypervisor, _) => remarks.push("the hardware has it, KVM does not give it".to_owned()),
        (Because::Kernel, Subject::Feature(_) | Subject::Field(_)) => remarks.push("same CPU model".to_owned()),
        _ => {}
    }
    for (names, what) in [(&found.cores, "on"), (&found.vcpus, "for")] {
        if !names.is_empty() {
            remarks.push(format!("{what} {}", some_of(names, names.len(), NAMES)));
        }
    }
    let remark = if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join("; ")) };
    let mut words = list(NOTICE, [name(gap.subject)]);
    words.extend(sentence(QUIET, &format!("{}{remark}{comma}", place(gap.subject))));
    words
}

//! A baseline for the person who runs the fleet: what guests get, which machine costs what, and what can be done.

use std::collections::BTreeMap;
use std::path::Path;

use cpu_caps::{Cause, Outcome, field_slots};
use cpuid_db::{Basis, Feature, FeatureSet, Unrecorded};

use super::costs::{Cost, costs};
use super::document::{forced, unknown_by_place};
use super::keep::Keep;
use super::reasons::{self, is_identity};
use super::{Case, Ceiling, gains, input_words};
use crate::commands::show;
use crate::isa::Level;
use crate::page::{HEADING, HOST, LOST, NOTICE, PLAIN, Page, QUIET, Word, clauses, list, sentence};
use crate::words::{self, plural, some_of};

/// Where words begin beside their labels.
const COLUMN: usize = 14;
/// Beside names of features, fields and places.
const WIDE: usize = 24;
/// How many machines or groups a section tells about one by one.
const MOST: usize = 12;
/// How many names of machines a list shows.
const NAMES: usize = 4;

/// How a report begins.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    /// The first line.
    pub(crate) title: String,
    /// What was asked for, each with its label.
    pub(crate) remarks: Vec<(&'static str, String)>,
    /// Where the policy went.
    pub(crate) written: Option<&'a Path>,
    /// Which machines keep what is not to be lost.
    pub(crate) keep: Option<&'a Keep<'a>>,
}

/// The whole report.
pub(crate) fn text(case: &Case, start: &Head) -> String {
    let mut page = Page::new();
    head(&mut page, case, start);
    let given = gains(&case.baseline.features);
    page.heading(&format!("What a guest gets: {}", plural(given.len(), "feature")));
    show::report::features(&mut page, &given);
    let costs = costs(case.fleet, case.request, case.baseline);
    if let Some(keep) = start.keep {
        keep.report(&mut page);
    }
    what_hosts_cost(&mut page, &costs);
    lost_to_several(&mut page, case, &costs);
    withheld_by_kvm(&mut page, case);
    follows(&mut page, case);
    limitations(&mut page, case);
    numbers(&mut page, case);
    one_by_one(&mut page, "Other decisions", case, PLAIN, |feature, outcome, cause| match cause {
        Cause::Context | Cause::Foreign | Cause::Pinned | Cause::Conflict => outcome == Outcome::Withheld,
        // A model leaves out so much that telling it one by one tells nothing.
        Cause::Request => outcome != Outcome::Withheld || case.request.without.contains(feature),
        Cause::Emulated => true,
        _ => false,
    });
    unrecorded(&mut page, case);
    unknown(&mut page, case);
    page.into_text()
}

fn head(page: &mut Page, case: &Case, start: &Head) {
    let fleet = case.fleet;
    page.words(0, sentence(HEADING, &start.title));
    let names = fleet.all_names();
    page.entry(if names.len() == 1 { "host" } else { "hosts" }, COLUMN, sentence(HOST, &some_of(&names, names.len(), MOST)));
    for (label, text) in &start.remarks {
        page.entry(label, COLUMN, sentence(PLAIN, text));
    }
    let identity = &case.baseline.identity;
    let mut cpu = sentence(PLAIN, &format!("{} {}", words::vendor(identity.vendor), identity.signature));
    cpu.extend(sentence(PLAIN, &words::brand(&identity.brand)));
    if case.baseline.identity_chosen {
        cpu.extend(sentence(QUIET, "(chosen: hosts differ, the oldest model speaks for all)"));
    }
    page.entry("guest CPU", COLUMN, cpu);
    let level = Level::of(&case.baseline.features);
    let mut words = sentence(PLAIN, &level.name());
    let next = level.next();
    if !next.is_empty() {
        words.extend(sentence(QUIET, &format!("({next})")));
    }
    page.entry("level", COLUMN, words);
    page.entry("ceiling", COLUMN, ceiling(case));
    let forced = forced(case);
    if !forced.is_empty() {
        page.entry("forced", COLUMN, sentence(LOST, &format!("hides what the hardware does: {}", forced.join(", "))));
    }
    if let Some(path) = start.written {
        page.entry("written to", COLUMN, sentence(PLAIN, &words::clean(&path.display().to_string())));
    }
}

fn ceiling(case: &Case) -> Vec<Word> {
    let Ceiling::Kvm(stock) = case.ceiling else {
        return sentence(NOTICE, "raw: the hardware alone; KVM may give less");
    };
    let hosts = &case.fleet.hosts;
    let recorded = hosts.iter().filter(|host| host.basis == Basis::Recorded).count();
    if recorded == hosts.len() {
        return sentence(PLAIN, "KVM, recorded");
    }
    let newest = stock.kernel == cpuid_db::KernelVersion::NEWEST;
    let of = if newest { String::new() } else { format!(" of Linux {}", stock.kernel) };
    let mut words = sentence(PLAIN, &format!("KVM, derived: the model of stock KVM{of} with"));
    words.extend(list(PLAIN, input_words(stock.inputs)));
    if recorded > 0 {
        words.extend(sentence(QUIET, &format!("(recorded on {recorded} of {})", plural(hosts.len(), "host"))));
    }
    words
}

/// What every guest is told because some machine, or all of them, are limited so.
fn limitations(page: &mut Page, case: &Case) {
    const TITLE: &str = "Limitations announced";
    let decided = |feature: &Feature, outcome: Outcome| {
        let decision = case.baseline.decisions.feature(*feature);
        decision.outcome == outcome && decision.cause == Cause::Limitation
    };
    one_by_one(page, TITLE, case, NOTICE, |_, outcome, cause| outcome == Outcome::Raised && cause == Cause::Limitation);
    let everywhere: Vec<Feature> = Feature::all().filter(|feature| decided(feature, Outcome::Granted)).collect();
    if everywhere.is_empty() {
        return;
    }
    if !Feature::all().any(|feature| decided(&feature, Outcome::Raised)) {
        page.heading(TITLE);
    }
    page.entry("limited on all hosts", WIDE, list(NOTICE, everywhere.iter().map(|feature| feature.name())));
}

/// The machines that alone hold the pool back.
fn what_hosts_cost(page: &mut Page, costs: &[Cost]) {
    if costs.is_empty() {
        return;
    }
    page.heading("What hosts cost");
    page.remark(2, "Each line: what all others would have without this host (or these, which are alike).");
    for cost in costs.iter().take(MOST) {
        page.entry(&some_of(&cost.names, cost.names.len(), 2), COLUMN, gained_without(cost));
    }
    if costs.len() > MOST {
        page.remark(2, &format!("and {} more that cost less", costs.len() - MOST));
    }
}

/// What the others would have: features, then limitations that would go unsaid, then numbers.
fn gained_without(cost: &Cost) -> Vec<Word> {
    let features = list(PLAIN, cost.gained.iter().map(Feature::name));
    let freed = list(PLAIN, cost.freed.iter().map(Feature::name));
    let grown =
        cost.grown.iter().map(|(at, now, then)| format!("{} {} instead of {}", at.field.name(), words::number(*then), words::number(*now)));
    let parts = [
        (sentence(LOST, &format!("{}:", plural(cost.gained.len(), "feature"))), features),
        (sentence(NOTICE, "limitations gone:"), freed),
        (sentence(NOTICE, "larger numbers:"), list(PLAIN, grown)),
    ];
    clauses(parts.into_iter().filter(|(_, items)| !items.is_empty()).map(|(label, items)| [label, items].concat()))
}

/// Features that no single kind of machine holds back.
fn lost_to_several(page: &mut Page, case: &Case, costs: &[Cost]) {
    let told = costs.iter().fold(FeatureSet::EMPTY, |told, cost| told.union(&cost.gained));
    let lost = gains(&case.fleet.seen).difference(&told);
    let mut groups: BTreeMap<(u32, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for feature in &lost {
        let decision = case.baseline.decisions.feature(feature);
        if decision.outcome == Outcome::Withheld && decision.cause == Cause::MissingOnHost {
            let missing = case.fleet.pool.missing(feature);
            let names = case.fleet.names(missing.ids());
            groups.entry((missing.count(), names)).or_default().push(feature.name());
        }
    }
    if groups.is_empty() {
        return;
    }
    page.heading("Missing on several hosts, or for several reasons");
    for ((count, names), features) in groups.iter().take(MOST) {
        let label = format!("missing on {count} of {}", case.fleet.hosts.len());
        let mut words = sentence(HOST, &format!("{}:", some_of(names, *count as usize, NAMES)));
        words.extend(list(PLAIN, features.iter().copied()));
        page.entry(&label, WIDE, words);
    }
    if groups.len() > MOST {
        let left: usize = groups.values().skip(MOST).map(Vec::len).sum();
        page.remark(2, &format!("and {} in other combinations of hosts, see --json", plural(left, "feature")));
    }
}

/// What the hardware has and KVM does not give, by reason.
fn withheld_by_kvm(page: &mut Page, case: &Case) {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for feature in case.features() {
        let decision = case.baseline.decisions.feature(feature);
        if decision.outcome == Outcome::Withheld && decision.cause == Cause::NotInKvm {
            groups.entry(reasons::denial(case, feature).0).or_default().push(feature.name());
        }
    }
    grouped(page, "Withheld by KVM", groups);
}

/// Features that went because others went.
fn follows(page: &mut Page, case: &Case) {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for feature in &gains(&case.fleet.seen) {
        if let Cause::Requires(parent) = case.baseline.decisions.feature(feature).cause {
            groups.entry(format!("without {parent}")).or_default().push(feature.name());
        }
    }
    grouped(page, "Follows from other losses", groups);
}

fn grouped(page: &mut Page, heading: &str, groups: BTreeMap<String, Vec<&str>>) {
    if groups.is_empty() {
        return;
    }
    page.heading(heading);
    for (label, features) in groups {
        page.entry(&label, WIDE, list(PLAIN, features));
    }
}

/// Decisions that deserve a sentence each.
fn one_by_one(page: &mut Page, heading: &str, case: &Case, style: anstyle::Style, is_told: impl Fn(Feature, Outcome, Cause) -> bool) {
    let mut is_first = true;
    for feature in case.features() {
        let decision = case.baseline.decisions.feature(feature);
        if !is_told(feature, decision.outcome, decision.cause) {
            continue;
        }
        if std::mem::take(&mut is_first) {
            page.heading(heading);
        }
        let text = reasons::of_feature(case, feature).text;
        let clause = text.split_once(": ").map_or(text.as_str(), |(_, clause)| clause);
        page.entry(feature.name(), WIDE, sentence(style, clause));
    }
}

/// Fields on which machines differ.
fn numbers(page: &mut Page, case: &Case) {
    let mut is_first = true;
    for at in field_slots() {
        let Some(decision) = case.baseline.decisions.field(at) else { continue };
        let agreed = matches!(decision.outcome, Outcome::Granted | Outcome::Withheld);
        if agreed || decision.cause == Cause::Unrecorded || is_identity(at.field) {
            continue;
        }
        if std::mem::take(&mut is_first) {
            page.heading("Numbers on which hosts differ");
        }
        let text = reasons::of_field(case, at, decision).text;
        let clause = text.split_once(": ").map_or(text.as_str(), |(_, clause)| clause);
        let (first, last) = at.field.row().subleaves();
        let label = if first == last { at.field.name().to_owned() } else { format!("{} {:X}", at.field.name(), at.subleaf) };
        page.entry(&label, WIDE, sentence(PLAIN, clause));
    }
}

/// A place that was not recorded, the first few machines on which, and on how many.
type Gap<'a> = (Unrecorded, Vec<&'a str>, usize);

/// What has to be recorded on which machines, and the features that wait for it.
pub(crate) fn gaps<'a>(case: &Case<'a>) -> BTreeMap<Gap<'a>, FeatureSet> {
    let mut groups: BTreeMap<Gap, FeatureSet> = BTreeMap::new();
    for feature in case.features().filter(|feature| matters(case, *feature)) {
        if case.baseline.decisions.feature(feature).cause == Cause::Unrecorded {
            let (place, hosts) = reasons::waits_for(case, feature);
            groups.entry((place, hosts.names, hosts.count)).or_default().set(feature, true);
        }
    }
    groups
}

/// What has to be recorded before more can be promised.
fn unrecorded(page: &mut Page, case: &Case) {
    let groups = gaps(case);
    if groups.is_empty() {
        return;
    }
    page.heading("Undecided: not recorded");
    page.remark(2, "Record these places on these hosts. Until then capabilities are withheld and limitations unsaid.");
    for ((place, names, count), features) in groups {
        let mut words = sentence(PLAIN, &words::unrecorded(place));
        words.extend(sentence(QUIET, "on"));
        words.extend(sentence(HOST, &hosts(case, &names, count)));
        page.words(2, words);
        page.words(6, list(NOTICE, features.iter().map(Feature::name)));
    }
}

/// Whether what the feature needs is there, so that recording it would decide something.
fn matters(case: &Case, feature: Feature) -> bool {
    feature.row().requires.iter().all(|edge| {
        let undecided = |other: &Feature| case.baseline.decisions.feature(*other).cause == Cause::Unrecorded;
        case.baseline.features.contains_any(edge.any) || edge.any.iter().any(undecided)
    })
}

/// The machines of a list, or all of them.
pub(crate) fn hosts(case: &Case, names: &[&str], count: usize) -> String {
    let all = case.fleet.hosts.len();
    if count == all && all > 1 { format!("all {all} hosts") } else { some_of(names, count, NAMES) }
}

/// Bits that are newer than the database.
fn unknown(page: &mut Page, case: &Case) {
    let unknown = unknown_by_place(case);
    if unknown.is_empty() {
        return;
    }
    page.heading("Unknown bits withheld");
    let mut groups: BTreeMap<Vec<&str>, Vec<String>> = BTreeMap::new();
    for (place, names) in unknown {
        groups.entry(names).or_default().push(place);
    }
    for (names, places) in groups {
        let mut words = list(PLAIN, places);
        words.extend(sentence(HOST, &format!("(set on {})", hosts(case, &names, names.len()))));
        page.words(2, words);
    }
}

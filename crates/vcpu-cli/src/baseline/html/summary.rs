//! What the pool comes to, above the matrix: the verdict, the guest's CPU, who costs what, what is not recorded, and the hosts.

use std::collections::BTreeMap;
use std::fmt::Write;

use cpuid_db::{Basis, Feature, FeatureSet, KvmInputs};

use super::super::costs::{self, Cost};
use super::super::document::{forced, unknown_by_place};
use super::super::{Case, Ceiling, gains, input_words, report};
use super::causes::{outcomes, tag};
use super::columns::columns;
use super::data::cpus;
use super::escape::{host, html};
use super::rows::Rows;
use crate::isa::Level;
use crate::words::{self, number, plural};

/// How many lines a list shows before the rest is folded away.
const MOST: usize = 6;

/// The verdict in a sentence, facts, and how the decisions went.
pub(super) fn head(case: &Case, rows: &Rows) -> String {
    let level = Level::of(&case.baseline.features);
    let given = gains(&case.baseline.features).len();
    let hosts = case.fleet.hosts.len();
    let pool = if hosts == 1 { "this host".to_owned() } else { format!("all {hosts} hosts") };
    let promise = match level.name().as_str() {
        "none" => plural(given, "feature"),
        name => format!("{name}, {}", plural(given, "feature")),
    };
    let mut out = format!("<h1>One guest CPU for {pool}</h1>\n<p class=\"verdict\">{}</p>\n", html(&verdict(case, &promise)));
    out.push_str("<dl class=\"facts\">\n");
    for (label, value) in facts(case, &level) {
        let _ = writeln!(out, "<div><dt>{label}</dt><dd>{value}</dd></div>");
    }
    out.push_str("</dl>\n");
    out.push_str(&balance(rows));
    out
}

/// What can be relied on, and how far.
fn verdict(case: &Case, promise: &str) -> String {
    let basis = match case.basis() {
        Basis::Recorded => "KVM was asked on every host.",
        Basis::Raw => "Only the hardware was considered; KVM may give less.",
        Basis::Derived => "What KVM gives was derived from a model of stock KVM where no host recorded it.",
    };
    let open = open(case);
    let open = if open == 0 { String::new() } else { format!(" {} not be decided, because dumps did not record enough.", could(open)) };
    let place = if case.fleet.hosts.len() == 1 { "here" } else { "on any of them, and move between them" };
    format!("A guest that is shown this CPU may run {place}: {promise}. {basis}{open}")
}

fn could(count: usize) -> String {
    format!("{} could", plural(count, "feature"))
}

/// How many features wait for better dumps.
fn open(case: &Case) -> usize {
    report::gaps(case).values().fold(FeatureSet::EMPTY, |all, some| all.union(some)).len()
}

fn facts(case: &Case, level: &Level) -> Vec<(&'static str, String)> {
    let identity = &case.baseline.identity;
    let mut cpu = format!("<strong>{} {}</strong>", html(&words::vendor(identity.vendor)), identity.signature);
    let _ = write!(cpu, " <span>{}</span>", html(&words::brand(&identity.brand)));
    if case.baseline.identity_chosen {
        cpu.push_str("<small>Chosen: hosts differ, and the oldest model speaks for all.</small>");
    }
    let mut facts = vec![
        ("Pool", pool(case)),
        ("Guest CPU", cpu),
        ("Instruction set", format!("<strong>{}</strong><small>{}</small>", html(&level.name()), html(&level.next()))),
        ("Ceiling", ceiling(case)),
    ];
    let asked = asked(case);
    if !asked.is_empty() {
        facts.push(("Asked for", asked));
    }
    let forced = forced(case);
    if !forced.is_empty() {
        facts.push((
            "Forced",
            format!("<strong class=\"warning\">Hides what the hardware does</strong><small>{}</small>", forced.join(", ")),
        ));
    }
    facts
}

/// How many machines, and of how many kinds.
fn pool(case: &Case) -> String {
    let (hosts, kinds) = (case.fleet.hosts.len(), columns(case.fleet).len());
    let alike = match kinds {
        _ if hosts == 1 => String::new(),
        1 => "all alike".to_owned(),
        kinds if kinds == hosts => "no two alike".to_owned(),
        kinds => format!("{} among them", plural(kinds, "different kind")),
    };
    format!("<strong>{}</strong><small>{alike}</small>", plural(hosts, "host"))
}

/// What limits the guest beside the hardware, and how that is known.
fn ceiling(case: &Case) -> String {
    let Ceiling::Kvm(stock) = case.ceiling else {
        return "<strong>Hardware alone</strong><small>basis raw</small>".to_owned();
    };
    let hosts = &case.fleet.hosts;
    let recorded = hosts.iter().filter(|host| host.basis == Basis::Recorded).count();
    if recorded == hosts.len() {
        return "<strong>KVM, as recorded</strong><small>basis recorded</small>".to_owned();
    }
    let on = input_words(stock.inputs).join(", ");
    let off = input_words(KvmInputs::all().difference(stock.inputs)).join(", ");
    let on = if on.is_empty() { "nothing".to_owned() } else { on };
    let off = if off.is_empty() { "nothing".to_owned() } else { off };
    let mut text = format!("<strong>Stock KVM</strong><small>basis {}; on: {on}; off: {off}", case.basis().name());
    if recorded > 0 {
        let _ = write!(text, "; recorded on {recorded} of {}", plural(hosts.len(), "host"));
    }
    text + "</small>"
}

/// What the operator asked for.
fn asked(case: &Case) -> String {
    let list = |set: &FeatureSet| set.iter().map(Feature::name).collect::<Vec<_>>().join(", ");
    let parts = [("with", &case.request.with), ("without", &case.request.without)];
    let mut parts: Vec<String> =
        parts.iter().filter(|(_, set)| !set.is_empty()).map(|(word, set)| format!("{word} {}", list(set))).collect();
    if case.request.any_vendor {
        parts.push("any vendor".to_owned());
    }
    html(&parts.join("; "))
}

/// How many decisions went which way, as a bar and in words.
fn balance(rows: &Rows) -> String {
    let counts = outcomes().map(|outcome| (outcome, rows.rows.iter().filter(|row| row.outcome() == outcome).count()));
    let counts: Vec<(&str, usize)> = counts.filter(|(_, count)| *count > 0).collect();
    let mut out = "<div class=\"balance\"><div class=\"bar\" aria-hidden=\"true\">".to_owned();
    for (outcome, count) in &counts {
        let _ = write!(out, "<i class=\"{outcome}\" style=\"flex-grow:{count}\"></i>");
    }
    let _ = write!(out, "</div>\n<p><strong>{}</strong> ", plural(rows.rows.len(), "decision"));
    for (outcome, count) in &counts {
        let _ = write!(out, "{} ", tag(outcome, &format!(" {count}")));
    }
    out + "</p></div>\n"
}

/// A section with a list, of which all but the first lines are folded away.
fn section(id: &str, heading: &str, remark: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let (first, rest) = lines.split_at(lines.len().min(if lines.len() <= MOST + 2 { MOST + 2 } else { MOST }));
    let mut out = format!("<section class=\"panel\" id=\"{id}\"><h2>{heading}</h2><p class=\"remark\">{remark}</p>\n");
    let _ = writeln!(out, "<ul>\n{}</ul>", first.concat());
    if !rest.is_empty() {
        let _ = writeln!(out, "<details><summary>{} more</summary><ul>\n{}</ul></details>", rest.len(), rest.concat());
    }
    out + "</section>\n"
}

/// What the others would have without each machine.
pub(super) fn costs(case: &Case) -> String {
    let costs = costs::costs(case.fleet, case.request, case.baseline);
    let most = costs.iter().map(weight).max().unwrap_or(1).max(1);
    let lines: Vec<String> = costs.iter().map(|cost| cost_line(cost, most)).collect();
    let remark = "What all others would have without this host, or without these that are alike.";
    if lines.is_empty() && case.fleet.hosts.len() > 1 {
        let none = "No single host, nor any set of hosts that are alike, costs the others anything.";
        return section("costs", "What hosts cost", none, &["<li class=\"quiet\">Nothing to gain by leaving one out.</li>\n".to_owned()]);
    }
    section("costs", "What hosts cost", remark, &lines)
}

/// What the gauge shows, and what costs are first sorted by.
fn weight(cost: &Cost) -> usize {
    cost.gained.len()
}

fn cost_line(cost: &Cost, most: usize) -> String {
    let names: Vec<String> = cost.names.iter().take(3).map(|name| host(name)).collect();
    let more = cost.names.len() - names.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let list = |set: &FeatureSet| set.iter().map(Feature::name).collect::<Vec<_>>().join(", ");
    let grown = cost.grown.iter().map(|(at, now, then)| format!("{} {} instead of {}", at.field.name(), number(*then), number(*now)));
    let parts = [
        (plural(cost.gained.len(), "feature"), list(&cost.gained)),
        (format!("{} gone", plural(cost.freed.len(), "limitation")), list(&cost.freed)),
        (plural(cost.grown.len(), "larger number"), grown.collect::<Vec<_>>().join(", ")),
    ];
    let mut out = format!("<li><div class=\"who\"><strong>{}{more}</strong>", names.join(", "));
    let share = 100 * weight(cost) / most;
    if share > 0 {
        let _ = write!(out, "<i class=\"gauge\" aria-hidden=\"true\"><b style=\"width:{share}%\"></b></i>");
    }
    out.push_str("</div>");
    for (label, items) in parts.iter().filter(|(_, items)| !items.is_empty()) {
        let _ = write!(out, "<p><em>{label}</em> {}</p>", html(items));
    }
    out + "</li>\n"
}

/// What has to be recorded before more can be promised, and what nobody knows.
pub(super) fn gaps(case: &Case) -> String {
    let gaps = report::gaps(case);
    let gaps: Vec<String> = gaps
        .iter()
        .map(|((place, names, count), features)| {
            let who = html(&report::hosts(case, names, *count));
            let features: Vec<&str> = features.iter().map(Feature::name).collect();
            let place = html(&words::unrecorded(*place));
            format!("<li><strong>{place}</strong> on {who}<p><em>waiting</em> {}</p></li>\n", features.join(", "))
        })
        .collect();
    let remark = "Record these places on these hosts. Until then capabilities are withheld and limitations unsaid.";
    let newer = "Set on a host and named by no row of the database: withheld, since nobody can tell what they promise.";
    let panels = section("gaps", "Not recorded", remark, &gaps) + &section("unknown", "Unknown bits", newer, &unknown(case));
    if panels.is_empty() { panels } else { format!("<div class=\"stack\">\n{panels}</div>\n") }
}

/// Bits that nobody knows, by the machines that have them.
fn unknown(case: &Case) -> Vec<String> {
    let mut groups: BTreeMap<Vec<&str>, Vec<String>> = BTreeMap::new();
    for (place, names) in unknown_by_place(case) {
        groups.entry(names).or_default().push(place);
    }
    let line = |(names, places): (Vec<&str>, Vec<String>)| {
        let who = html(&report::hosts(case, &names, names.len()));
        format!("<li>{}<p><em>set on</em> {who}</p></li>\n", html(&places.join(", ")))
    };
    groups.into_iter().map(line).collect()
}

/// The machines, folded away.
pub(super) fn hosts(case: &Case) -> String {
    let mut out = String::new();
    for one in &case.fleet.hosts {
        let cpus: Vec<String> = cpus(one).iter().map(|cpu| html(cpu)).collect();
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td><bdi>{}</bdi></td><td>{}</td></tr>",
            host(&one.name),
            cpus.join("<br>"),
            one.basis.name()
        );
    }
    out
}

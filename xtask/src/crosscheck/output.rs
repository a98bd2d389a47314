//! The report, for people and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::compare::{Finding, Outcome, Topic};
use super::find::Source;

/// One compared source.
pub(crate) struct Compared {
    pub(crate) source: Source,
    pub(crate) outcome: Outcome,
    /// Disagreements that an exception covers; they are not among the outcome's findings any more.
    pub(crate) excepted: usize,
}

fn heading(topic: Topic) -> &'static str {
    match topic {
        Topic::Missing => "bits and names that we lack",
        Topic::Position => "position conflicts",
        Topic::Name => "names that we do not have for the bit",
        Topic::Kvm => "KVM dispositions that differ",
        Topic::Merge => "merge rules that differ",
        Topic::Edge => "prerequisites that we do not have",
    }
}

/// `label: 361 named, 2 missing, ...`.
pub(crate) fn summary(compared: &Compared) -> String {
    let Compared { source, outcome, excepted } = compared;
    let mut parts = Vec::new();
    if outcome.named > 0 {
        parts.push(format!("{} named", outcome.named));
        parts.push(format!("{} they lack", outcome.they_lack.len()));
    }
    parts.push(format!("{} missing", outcome.count(Topic::Missing)));
    parts.push(format!("{} conflicts", outcome.count(Topic::Position)));
    if outcome.named > 0 {
        parts.push(format!("{} name differences", outcome.count(Topic::Name)));
    }
    if outcome.dispositions > 0 {
        parts.push(format!("{} KVM dispositions ({} differ)", outcome.dispositions, outcome.count(Topic::Kvm)));
    }
    if outcome.count(Topic::Merge) > 0 {
        parts.push(format!("{} merge rules differ", outcome.count(Topic::Merge)));
    }
    let [none, policy, architectural] = outcome.edges;
    if none + policy + architectural > 0 {
        let only = outcome.only_ours.len();
        parts.push(format!("edges: {architectural} architectural, {policy} policy, {none} not ours, {only} only ours"));
    }
    if source.claims.synthetic > 0 {
        parts.push(format!("{} synthetic", source.claims.synthetic));
    }
    parts.push(format!("{excepted} exceptions"));
    format!("{} ({}): {}", source.kind.label, source.path.display(), parts.join(", "))
}

fn list(out: &mut String, heading: &str, lines: impl ExactSizeIterator<Item = String>) {
    if lines.len() > 0 {
        let _ = writeln!(out, "  {heading}: {}", lines.len());
        for line in lines {
            let _ = writeln!(out, "    {line}");
        }
    }
}

/// Everything about one source.
pub(crate) fn details(compared: &Compared, verbose: bool) -> String {
    let mut out = summary(compared) + "\n";
    let path = compared.source.path.display();
    for topic in Topic::ALL {
        let about: Vec<&Finding> = compared.outcome.findings.iter().filter(|finding| finding.topic == topic).collect();
        list(
            &mut out,
            heading(topic),
            about.into_iter().map(|finding| match finding.line {
                0 => format!("{}: {}", finding.bit, finding.text),
                line => format!("{path}:{line}: {}: {}", finding.bit, finding.text),
            }),
        );
    }
    if verbose {
        list(&mut out, "bits that they lack", compared.outcome.they_lack.iter().cloned());
        list(&mut out, "prerequisites that they do not have", compared.outcome.only_ours.iter().cloned());
    }
    out
}

/// The whole result for people: details of each source, then one line for each.
pub(crate) fn text(all: &[Compared], verbose: bool) -> String {
    let details: String = all.iter().map(|compared| details(compared, verbose)).collect();
    let lines: Vec<String> = all.iter().map(summary).collect();
    format!("{details}\nsummary\n{}", lines.join("\n"))
}

/// The whole result for programs.
pub(crate) fn json(all: &[Compared], stale: &[String]) -> String {
    let finding =
        |finding: &Finding| json!({ "kind": finding.topic.key(), "bit": finding.bit, "line": finding.line, "text": finding.text });
    let source = |compared: &Compared| {
        let [none, policy, architectural] = compared.outcome.edges;
        json!({
            "source": compared.source.kind.family,
            "label": compared.source.kind.label,
            "path": compared.source.path.display().to_string(),
            "named": compared.outcome.named,
            "synthetic": compared.source.claims.synthetic,
            "excepted": compared.excepted,
            "dispositions": compared.outcome.dispositions,
            "edges": { "architectural": architectural, "policy": policy, "not-ours": none },
            "findings": compared.outcome.findings.iter().map(finding).collect::<Vec<Value>>(),
            "they-lack": compared.outcome.they_lack,
            "only-our-edges": compared.outcome.only_ours,
        })
    };
    let value = json!({ "sources": all.iter().map(source).collect::<Vec<Value>>(), "stale-exceptions": stale });
    format!("{value:#}")
}

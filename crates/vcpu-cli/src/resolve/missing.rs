//! A wish that cannot be kept: every feature with its reason, and what comes nearest.

use std::collections::BTreeMap;

use cpu_caps::Attempt;
use cpuid_db::{Feature, FeatureSet};
use serde_json::{Value, json};

use super::Wish;
use super::nearest::Nearest;
use crate::answer::{Answer, Failure, Status};
use crate::baseline::{Case, input_words, reasons};
use crate::page::{LOST, PLAIN, Page, QUIET, Word, list, sentence};
use crate::{json, words};

/// Where words begin beside their labels.
const COLUMN: usize = 14;

/// Everything that is missing.
#[derive(Debug)]
pub(crate) struct Missing<'a> {
    case: &'a Case<'a>,
    wish: &'a Wish,
    tried: &'a Attempt,
    nearest: Nearest,
    /// The command line up to the options that would change.
    command: String,
}

impl<'a> Missing<'a> {
    /// `command` is the command line without the wish.
    pub(crate) fn new(case: &'a Case<'a>, wish: &'a Wish, tried: &'a Attempt, command: String) -> Self {
        let nearest = Nearest::of(case.fleet, wish, tried, case.ceiling);
        Self { case, wish, tried, nearest, command }
    }

    /// The refusal.
    pub(crate) fn answer(&self, as_json: bool) -> Answer {
        let status = Status::Refused;
        if as_json {
            return Answer { text: json::document(&self.json()), notes: String::new(), status };
        }
        Failure::new(status, self.message()).with_details(self.details()).into_answer(false)
    }

    /// One line for those who accept the nearest answer.
    pub(crate) fn note(&self) -> String {
        let names = list_of(&self.tried.impossible.union(&self.tried.innate));
        format!("{}; taken all the same without {names}", self.message())
    }

    fn message(&self) -> String {
        let host = words::some_of(&self.case.fleet.all_names(), self.case.fleet.hosts.len(), 4);
        let count = self.tried.impossible.len();
        let what = match &self.wish.model {
            Some(found) => found.name.to_owned(),
            None => "the guest".to_owned(),
        };
        match count {
            0 => format!("{what} cannot be had on {host}: {} cannot be hidden", list_of(&self.tried.innate)),
            _ => format!(
                "{what} cannot be had on {host}: {} missing",
                if count == 1 { "a feature is".to_owned() } else { format!("{count} features are") }
            ),
        }
    }

    /// Each feature under its reason, then what helps.
    fn details(&self) -> String {
        let mut page = Page::new();
        let mut groups: BTreeMap<String, Vec<Feature>> = BTreeMap::new();
        for feature in &self.tried.impossible {
            groups.entry(self.reason(feature).1).or_default().push(feature);
        }
        for (reason, features) in groups {
            page.words(2, sentence(PLAIN, &format!("{reason}:")));
            page.words(6, places(&features));
        }
        for feature in &self.tried.innate {
            let text = format!("{feature} describes what the hardware does: --force hides it all the same, and the policy is then marked");
            page.words(2, sentence(PLAIN, &text));
        }
        for (at, command) in self.commands().iter().enumerate() {
            page.entry(if at == 0 { "nearest" } else { "or" }, COLUMN, sentence(PLAIN, command));
        }
        page.entry("or", COLUMN, sentence(QUIET, "--nearest takes what can be had of it"));
        page.into_text()
    }

    /// The word of the cause, and the clause after the feature's name.
    fn reason(&self, feature: Feature) -> (&'static str, String) {
        let reason = reasons::of_feature(self.case, feature);
        let clause = reason.text.split_once(": ").map_or(reason.text.as_str(), |(_, clause)| clause).to_owned();
        (reason.kind, clause)
    }

    /// Command lines that would be answered.
    fn commands(&self) -> Vec<String> {
        let Nearest { without, with, options, model } = &self.nearest;
        let mut commands = Vec::new();
        let asked = self.wish.model.map(|found| format!(" --model {}", found.name)).unwrap_or_default();
        let kept = self.wish.by_name.difference(&with.iter().copied().collect());
        let gone = self.wish.request.without.difference(&self.tried.innate).union(&without.iter().copied().collect());
        let option = |name: &str, set: &FeatureSet| {
            if set.is_empty() { String::new() } else { format!(" {name} {}", list_of(set).replace(", ", ",")) }
        };
        commands.push(format!("{}{asked}{}{}", self.command, option("--with", &kept), option("--without", &gone)));
        if !options.is_empty() {
            commands.push(format!("turn on in KVM what is off there, and say --kvm {}", input_words(*options).join(",")));
        }
        if let Some(found) = model {
            let (with, without) = (&self.wish.by_name, &self.wish.request.without);
            commands.push(format!("{} --model {}{}{}", self.command, found.name, option("--with", with), option("--without", without)));
        }
        commands
    }

    fn json(&self) -> Value {
        let missing = self.tried.impossible.iter().map(|feature| {
            let (kind, text) = self.reason(feature);
            let location = feature.location().to_string();
            json!({ "feature": feature.name(), "location": location, "because": { "kind": kind, "text": text } })
        });
        let names = |features: &[Feature]| features.iter().map(|feature| feature.name()).collect::<Vec<_>>();
        json!({
            "schema": "vcpu.error/1",
            "error": self.message(),
            "candidates": [],
            "request": self.wish.json(),
            "missing": missing.collect::<Vec<_>>(),
            "innate": self.tried.innate.iter().map(Feature::name).collect::<Vec<_>>(),
            "nearest": {
                "without": names(&self.nearest.without),
                "with": names(&self.nearest.with),
                "kvm": input_words(self.nearest.options),
                "model": self.nearest.model.map(|found| found.name),
                "commands": self.commands(),
            },
        })
    }
}

fn list_of(set: &FeatureSet) -> String {
    let names: Vec<&str> = set.iter().map(Feature::name).collect();
    names.join(", ")
}

/// `AVX512F CPUID.7.0.EBX[16], ...`.
fn places(features: &[Feature]) -> Vec<Word> {
    let mut words = Vec::new();
    for (at, feature) in features.iter().enumerate() {
        let comma = if at + 1 < features.len() { "," } else { "" };
        words.extend(list(LOST, [feature.name()]));
        words.extend(sentence(QUIET, &format!("{}{comma}", feature.location())));
    }
    words
}

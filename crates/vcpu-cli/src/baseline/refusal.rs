//! Why there is no baseline, with the machines that stand against each other and what can be done.

use std::collections::BTreeMap;

use cpu_caps::{Cause, Decision, Refusal, Tally, WITNESSES};
use cpuid_db::{Feature, FieldAt};

use super::Fleet;
use super::reasons::place_name;
use super::values::Values;
use crate::answer::{Failure, Status};
use crate::page::Page;
use crate::words;

/// How many names a sentence lists.
const MOST: usize = 4;

/// The refusal for people.
pub(crate) fn failure(fleet: &Fleet, refusal: &Refusal) -> Failure {
    let (message, advice) = match refusal {
        Refusal::Vendors(..) => (
            format!("the pool mixes vendors, whose feature bits, errata and MSRs differ: {}", vendors(fleet)),
            "Leave all but one vendor's hosts out, or mix them all the same with --any-vendor.",
        ),
        Refusal::Field { at, .. } => (
            format!("hosts differ in {}, and no guest can run on both: {}", place_name(*at), values(fleet, *at)),
            "Leave the hosts of all but one value out.",
        ),
        Refusal::Identity { asked, .. } => (
            format!("a CPU of {} was asked for, and the machines are {}", words::vendor(*asked), vendors(fleet)),
            "Name a model of the same maker; no instruction set makes up for another maker's errata and MSRs.",
        ),
        Refusal::Impossible { feature, decision, .. } => (
            format!("--with {feature}: it cannot be given: {}", impossible(fleet, *feature, *decision)),
            "Leave the feature or those hosts out.",
        ),
        Refusal::Innate { feature, .. } => (
            format!(
                "--without {feature}: it describes what the hardware does on {}, and cannot be hidden honestly",
                having(fleet, *feature)
            ),
            "Hide it all the same with --force; the policy is then marked.",
        ),
        other => (other.to_string(), ""),
    };
    let mut page = Page::new();
    if !advice.is_empty() {
        page.remark(2, advice);
    }
    Failure::new(Status::Refused, message).with_details(page.into_text())
}

/// `Intel (a, b), AMD (c)`.
fn vendors(fleet: &Fleet) -> String {
    let mut vendors: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for host in &fleet.hosts {
        for core in &host.cores {
            let names = vendors.entry(words::vendor(core.identity.vendor)).or_default();
            if names.last() != Some(&host.name.as_str()) {
                names.push(&host.name);
            }
        }
    }
    let parts: Vec<String> =
        vendors.iter().map(|(vendor, names)| format!("{vendor} ({})", words::some_of(names, names.len(), MOST))).collect();
    parts.join(", ")
}

fn values(fleet: &Fleet, at: FieldAt) -> String {
    Values::of(fleet, at).text()
}

fn having(fleet: &Fleet, feature: Feature) -> String {
    let having = fleet.pool.having(feature);
    words::some_of(&fleet.names(having.ids()), having.count() as usize, MOST)
}

fn impossible(fleet: &Fleet, feature: Feature, decision: Decision) -> String {
    let pool = &fleet.pool;
    let some = |tally: &Tally<WITNESSES>| words::some_of(&fleet.names(tally.ids()), tally.count() as usize, MOST);
    match decision.cause {
        Cause::MissingOnHost => format!("missing on {}", some(pool.missing(feature))),
        Cause::NotInKvm => format!("KVM does not give it on {}", some(pool.denied(feature))),
        Cause::Unrecorded => format!("not recorded on {}", some(pool.unknown(feature))),
        Cause::Requires(parent) => format!("it needs {parent}, which is not given"),
        Cause::Foreign => "it belongs to another vendor's CPUs".to_owned(),
        Cause::Derived => "it follows from the rest of the policy".to_owned(),
        Cause::Live => "it follows run-time state".to_owned(),
        Cause::Local => "it belongs to one VM, vCPU or machine".to_owned(),
        Cause::Conflict => "hosts differ in what it depends on".to_owned(),
        _ => "the rest of the policy decides it".to_owned(),
    }
}

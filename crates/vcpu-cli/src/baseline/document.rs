//! The `vcpu.policy/1` object: the guest's CPU, and every decision that led to it.

use std::collections::BTreeMap;

use cpu_caps::{Outcome, WITNESSES, field_slots};
use cpuid_db::{Feature, Field, FieldAt, Merge};
use serde_json::{Map, Value, json};

use super::reasons::{self, Reason, Witnesses};
use super::{Case, Ceiling, input_words};
use crate::causes::fix;
use crate::json;
use crate::unknown::{Unknown, UnknownPlace};
use crate::words;

/// The whole object.
pub(crate) fn document(case: &Case) -> Value {
    let policy = &case.baseline.policy;
    json!({
        "schema": "vcpu.policy/1",
        "basis": case.basis().name(),
        "hosts": { "count": case.fleet.hosts.len(), "names": case.fleet.all_names() },
        "identity": json::identity(policy),
        "ceiling": ceiling(case.ceiling),
        "forced": forced(case),
        "leaves": json::leaves(&policy.cpuid),
        "msrs": json::msrs(policy.msrs.entries()),
        "unrecorded": json::unrecorded(policy.unrecorded.as_slice()),
        "features": json::features(&case.baseline.features),
        "decisions": decisions(case),
    })
}

fn ceiling(ceiling: Ceiling) -> Value {
    match ceiling {
        Ceiling::Raw => json!({ "kind": "raw" }),
        Ceiling::Kvm(stock) => json!({ "kind": "kvm", "kernel": stock.kernel.to_string(), "inputs": input_words(stock.inputs) }),
    }
}

/// Features that the hardware has whatever CPUID says, hidden by force: the guest believes what is not so.
pub(crate) fn forced(case: &Case) -> Vec<&'static str> {
    let hidden = case.request.without.intersection(&case.fleet.seen);
    hidden.iter().filter(|feature| feature.row().innate).map(Feature::name).collect()
}

/// Every decision, features first.
pub(crate) fn decisions(case: &Case) -> Vec<Value> {
    let features = case.features().map(|feature| of_feature(case, feature));
    let fields = field_slots().filter_map(|at| of_field(case, at));
    features.chain(fields).chain(static_fields(case)).chain(unknown_bits(case)).collect()
}

fn of_feature(case: &Case, feature: Feature) -> Value {
    let decision = case.baseline.decisions.feature(feature);
    let value = case.baseline.features.contains(feature);
    let value = (decision.outcome == Outcome::Chosen).then(|| json::hex(u64::from(value)));
    let head = [("feature", feature.name().into())];
    let mut object = one(&head, decision.outcome.name(), value, decision.rule, &reasons::of_feature(case, feature));
    let fix = fix::of_decision(case, feature);
    if let Some(because) = object.get_mut("because").and_then(Value::as_object_mut).filter(|_| !fix.is_empty()) {
        because.insert("fix".to_owned(), fix.into());
    }
    object
}

fn of_field(case: &Case, at: FieldAt) -> Option<Value> {
    let decision = case.baseline.decisions.field(at).filter(|decision| decision.value != 0 || case.fleet.has_field(at))?;
    let value = (decision.outcome != Outcome::Withheld).then(|| json::hex(decision.value));
    let (first, last) = at.field.row().subleaves();
    let mut head = vec![("field", at.field.name().into())];
    if first != last {
        head.push(("subleaf", json::hex_subleaf(at.subleaf)));
    }
    Some(one(&head, decision.outcome.name(), value, decision.rule, &reasons::of_field(case, at, decision)))
}

fn one(head: &[(&str, Value)], outcome: &str, value: Option<Value>, rule: Merge, reason: &Reason) -> Value {
    let mut object: Map<String, Value> = head.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    object.insert("outcome".to_owned(), outcome.into());
    if let Some(value) = value {
        object.insert("value".to_owned(), value);
    }
    object.insert("rule".to_owned(), rule.name().into());
    object.insert("because".to_owned(), reason.json());
    Value::Object(object)
}

/// Fields that no rule merges, of any input or of the policy.
fn static_fields<'a>(case: &'a Case) -> impl Iterator<Item = Value> + 'a {
    let value_of = |field: Field| {
        let (first, last) = field.row().subleaves();
        case.baseline.policy.field(FieldAt { field, subleaf: first }).filter(|_| first == last)
    };
    let told = move |field: &Field| {
        let in_input = || case.fleet.hosts.iter().any(|host| host.static_fields.binary_search(field).is_ok());
        field.row().slot.is_none() && (value_of(*field).is_some_and(|value| value != 0) || in_input())
    };
    Field::all().filter(told).map(move |field| {
        let rule = field.row().merge;
        let outcome = if matches!(rule, Merge::Live | Merge::Local) { "chosen" } else { "granted" };
        one(&[("field", field.name().into())], outcome, value_of(field).map(json::hex), rule, &reasons::of_static(field))
    })
}

/// Bits that no database row names: withheld, whoever has them.
fn unknown_bits<'a>(case: &'a Case) -> impl Iterator<Item = Value> + 'a {
    unknown_by_place(case).into_iter().map(|(place, names)| {
        let count = names.len();
        let list = words::some_of(&names, count, 3);
        let hosts = Witnesses { count, names: names.into_iter().take(WITNESSES).collect() };
        let text = format!("{place}: set on {list}, and nobody knows what it means");
        let reason = Reason { kind: "unknown-bit", feature: None, hosts, text };
        one(&[("field", place.into())], Outcome::Withheld.name(), None, Merge::And, &reason)
    })
}

/// The machines that have each unknown bit; of leaves that nobody describes, each register.
pub(crate) fn unknown_by_place<'a>(case: &Case<'a>) -> Vec<(String, Vec<&'a str>)> {
    let mut found: BTreeMap<(UnknownPlace, u8), Vec<&str>> = BTreeMap::new();
    for host in &case.fleet.hosts {
        for unknown in &host.unknown_bits {
            for bit in bits_of(unknown) {
                let names = found.entry((unknown.place, bit)).or_default();
                if names.last() != Some(&host.name.as_str()) {
                    names.push(&host.name);
                }
            }
        }
    }
    found.into_iter().map(|((place, bit), names)| (spell(place, bit), names)).collect()
}

/// Stands for a register as a whole.
const WHOLE: u8 = u8::MAX;

fn bits_of(unknown: &Unknown) -> Vec<u8> {
    if unknown.is_described { (0..64).filter(|bit| unknown.mask >> bit & 1 == 1).collect() } else { vec![WHOLE] }
}

fn spell(place: UnknownPlace, bit: u8) -> String {
    let bits = if bit == WHOLE { words::bits(31, 0) } else { words::bits(bit, bit) };
    match place {
        UnknownPlace::Cpuid { leaf, subleaf, register } => words::register(leaf, subleaf, register) + &bits,
        UnknownPlace::Msr { index } => format!("MSR.{index:X}{bits}"),
    }
}

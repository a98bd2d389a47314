//! The `vcpu.diff/1` object. Lists are about all pairs; where there are several, each item says its core type.

use cpu_dumps::{CoreType, Machine};
use cpuid_db::{Feature, FieldPlace, Unrecorded};
use serde_json::{Map, Value, json};

use super::compare::{BitsOf, FieldOf, MsrOf};
use super::{Comparison, Differences, Side};
use crate::causes;
use crate::json::{self, hex, hex_subleaf, hex32};
use crate::unknown::UnknownPlace;

/// The whole object.
pub(crate) fn document(comparison: &Comparison<'_>) -> Value {
    let Comparison { a, b, pairs, unpaired, kvm, others } = comparison;
    let mut object = Map::new();
    object.insert("schema".to_owned(), "vcpu.diff/1".into());
    object.insert("equal".to_owned(), comparison.is_equal().into());
    object.insert("a".to_owned(), machine(a, Side::A, others));
    object.insert("b".to_owned(), machine(b, Side::B, others));
    for pair in pairs {
        add(&mut object, &pair.differences, pair.core_type);
    }
    let kinds = unpaired.iter().map(|(side, kind)| json!({ "core_type": kind.name(), "only_in": side.name() }));
    object.insert("core_types".to_owned(), kinds.collect());
    if let Some(kvm) = kvm {
        let mut view = Map::new();
        add(&mut view, kvm, None);
        object.insert("kvm".to_owned(), Value::Object(view));
    }
    Value::Object(object)
}

fn machine(machine: &Machine, side: Side, others: &[(Side, u32)]) -> Value {
    let identity = machine.cpus.first().map(|cpu| json::identity(&cpu.policy));
    let numbers: Vec<u32> = others.iter().filter(|(of, _)| *of == side).map(|(_, number)| *number).collect();
    json!({
        "name": machine.name,
        "basis": machine.basis.name(),
        "format": machine.format.name(),
        "identity": identity,
        "has_kvm": machine.kvm.is_some(),
        "unknown_names": machine.unknown_names,
        "cpus_that_differ": numbers,
    })
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// Adds the differences of one pair to the lists.
fn add(object: &mut Map<String, Value>, differences: &Differences, core_type: Option<CoreType>) {
    let Differences { features, fields, bits, leaves, msrs, unrecorded, undecided, unshared_msrs, .. } = differences;
    let mut list = |key: &str, items: Vec<Value>| {
        let slot = object.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        let tagged = items.into_iter().map(|mut item| {
            if let (Some(kind), Value::Object(members)) = (core_type, &mut item) {
                members.insert("core_type".to_owned(), kind.name().into());
            }
            item
        });
        if let Value::Array(all) = slot {
            all.extend(tagged);
        }
    };
    list("only_a", features[0].iter().copied().map(feature).collect());
    list("only_b", features[1].iter().copied().map(feature).collect());
    list("fields", fields.iter().map(field).collect());
    list("unknown_bits", bits.iter().map(bits_of).collect());
    let leaf = |(side, leaf, subleaf): &(Side, u32, u32)| json!({ "leaf": hex32(*leaf), "subleaf": hex_subleaf(*subleaf), "only_in": side.name() });
    list("leaves", leaves.iter().map(leaf).collect());
    list("msrs", msrs.iter().map(msr).collect());
    list("unrecorded", places(unrecorded));
    list("undecided_a", undecided[0].iter().copied().map(json::feature).collect());
    list("undecided_b", undecided[1].iter().copied().map(json::feature).collect());
    let sides = [Side::A, Side::B].into_iter().zip(unshared_msrs);
    let unshared =
        sides.flat_map(|(side, indexes)| indexes.iter().map(move |index| json!({ "msr": hex32(*index), "recorded_in": side.name() })));
    list("msrs_recorded_once", unshared.collect());
}

/// A feature that one side has, and what happens to a guest that comes from one side to the other.
fn feature(feature: Feature) -> Value {
    let mut object = json::feature(feature);
    if let (Some(members), Some(consequence)) = (object.as_object_mut(), causes::if_not_as_told(feature)) {
        members.insert("consequence".to_owned(), consequence.text.into());
    }
    object
}

fn field(one: &FieldOf) -> Value {
    let row = one.at.field.row();
    let [a, b] = one.values.map(|value| value.map(hex));
    match row.place {
        FieldPlace::Cpuid { leaf, register, .. } => json!({
            "name": one.at.field.name(), "leaf": hex32(leaf), "subleaf": hex_subleaf(one.at.subleaf), "register": register.name(),
            "high": row.high, "low": row.low, "a": a, "b": b,
        }),
        FieldPlace::Msr { index } => {
            json!({ "name": one.at.field.name(), "msr": hex(u64::from(index)), "high": row.high, "low": row.low, "a": a, "b": b })
        }
    }
}

/// The masks of the bits that only one side has.
fn bits_of(one: &BitsOf) -> Value {
    let [a, b] = one.bits;
    match one.place {
        UnknownPlace::Cpuid { leaf, subleaf, register } => json!({
            "leaf": hex32(leaf), "subleaf": hex_subleaf(subleaf), "register": register.name(), "only_a": hex32(a as u32), "only_b": hex32(b as u32),
        }),
        UnknownPlace::Msr { index } => {
            json!({ "msr": hex(u64::from(index)), "only_a": format!("0x{a:016x}"), "only_b": format!("0x{b:016x}") })
        }
    }
}

fn msr(one: &MsrOf) -> Value {
    let [a, b] = one.values.map(|value| value.map(|value| format!("0x{value:016x}")));
    json!({ "index": hex32(one.index), "a": a, "b": b })
}

/// Each place with the sides that do not record it.
fn places([a, b]: &[Vec<Unrecorded>; 2]) -> Vec<Value> {
    let in_one = a.iter().chain(b.iter().filter(|place| !a.contains(place)));
    let place = |place: &Unrecorded| {
        let side = match (a.contains(place), b.contains(place)) {
            (true, true) => "both",
            (true, false) => "a",
            _ => "b",
        };
        match *place {
            Unrecorded::Cpuid { leaf, subleaf } => json!({ "leaf": hex32(leaf), "subleaf": hex_subleaf(subleaf), "not_in": side }),
            Unrecorded::Msr { index } => json!({ "msr": hex32(index), "not_in": side }),
        }
    };
    in_one.map(place).collect()
}

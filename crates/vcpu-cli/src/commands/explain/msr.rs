//! Pages about MSRs: feature MSRs with their bits, and others that features open.

use cpuid_db::{Feature, Field, Gate, LeafRow, Location, leaves};

use super::facts::{Facts, Prerequisite, msr_of};
use crate::words;

/// Everything about an MSR; `None` when the database has no word for it.
pub(super) fn facts(index: u32) -> Option<Facts> {
    let row = leaves().iter().find(|row| row.leaf.is_none() && row.msr == index);
    let (openers, bits) = (openers(index), bits(index));
    if row.is_none() && openers.is_empty() && bits.is_empty() {
        return None;
    }
    let name = row.map_or_else(|| format!("MSR.{index:X}"), |row| row.name.to_owned());
    Some(Facts {
        kind: "msr",
        name,
        place: format!("MSR.{index:X}"),
        title: row.map_or("An MSR that features open", |row| row.title).to_owned(),
        requires: prerequisite(row, openers).into_iter().collect(),
        required_by: Vec::new(),
        remarks: row.map(|_| "A feature MSR: its bits are features and fields like those of CPUID.".to_owned()).into_iter().collect(),
        bits,
        ..Facts::default()
    })
}

/// The features that open the MSR or a bit of it; with any of them it exists.
fn openers(index: u32) -> Vec<&'static str> {
    let is_here = |gate: &Gate| matches!(gate, Gate::Msr(here) | Gate::MsrBit(here, _) if *here == index);
    let opens = |feature: &Feature| feature.row().gates.iter().any(is_here);
    Feature::all().filter(opens).map(Feature::name).collect()
}

fn prerequisite(row: Option<&LeafRow>, openers: Vec<&'static str>) -> Option<Prerequisite> {
    let any = match row.map(|row| row.requires).unwrap_or_default() {
        [] => openers,
        requires => requires.iter().map(|feature| feature.name()).collect(),
    };
    (!any.is_empty()).then_some(Prerequisite { any, kind: "architectural", because: "the MSR exists only then" })
}

/// The MSR's bits with a name, and those that features of other registers open; from bit 0 on.
fn bits(index: u32) -> Vec<(String, &'static str, &'static str)> {
    let mut bits: Vec<(u8, String, &'static str, &'static str)> = Vec::new();
    for feature in Feature::all() {
        if let Location::Msr { index: own, bit } = feature.location()
            && own == index
        {
            bits.push((bit, feature.location().to_string(), feature.name(), feature.text().title));
        }
        for gate in feature.row().gates {
            if let Gate::MsrBit(own, bit) = gate
                && *own == index
            {
                bits.push((*bit, format!("MSR.{index:X}[{bit}]"), feature.name(), "legal with this feature"));
            }
        }
    }
    for field in Field::all().filter(|field| msr_of(*field) == Some(index)) {
        bits.push((field.row().low, words::field_place(field, None), field.name(), field.text().title));
    }
    bits.sort();
    bits.into_iter().map(|(_, place, name, title)| (place, name, title)).collect()
}

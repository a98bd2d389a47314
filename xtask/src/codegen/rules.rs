//! What the rows say, as masks over all features: the engine decides whole registers with them.

use std::fmt::Write as _;

use super::check::VENDORS;
use super::emit::{edges, word_table};
use super::model::{Model, Row};

/// A constant: its name, what it holds, and which rows.
type Mask = (&'static str, &'static str, fn(&Model, &Row) -> bool);

const MASKS: &[Mask] = &[
    ("LIMITATIONS", "Announced if any machine has them (rule `or`)", |_, row| row.merge == "or"),
    ("FIXED", "Given by the hypervisor on every host (rule `fixed`)", |_, row| row.merge == "fixed"),
    ("LIVE", "Follow run-time state (rule `live`)", |_, row| row.merge == "live"),
    ("LOCAL", "Belong to one VM, one vCPU or one machine (rule `local`)", |_, row| row.merge == "local"),
    ("DERIVED", "Recomputed from the rest of the policy (rule `derived`)", |_, row| row.merge == "derived"),
    ("CONTEXT", "Decided by a named function of the engine (rule `context`)", |_, row| row.merge == "context"),
    ("EMULATED", "Given by stock KVM on hosts that lack them (disposition `emulated` or `fixed`)", |_, row| {
        ["emulated", "fixed"].contains(&row.raw.kvm.as_str())
    }),
    ("UNMEETABLE", "Limitations that stock KVM keeps from guests: it always intercepts what they are about", |_, row| {
        row.merge == "or" && row.raw.kvm == "never" && row.raw.intercepted
    }),
    ("OPENING", "Limitations that also open an MSR or a bit of one: a promise beside the warning", |_, row| {
        row.merge == "or" && row.raw.gates.iter().any(|gate| gate.starts_with("msr:"))
    }),
    ("SET", "Live and local bits that are set in a policy", |_, row| {
        let value = row.raw.value.as_ref().and_then(super::data::Number::value);
        ["live", "local"].contains(&row.merge.as_str()) && value == Some(1)
    }),
    ("ALIASES", "Repeat a bit of leaf 1", |_, row| row.raw.alias_of.is_some()),
    ("INNATE", "Describe what the hardware does, whatever CPUID says", |_, row| row.raw.innate),
    ("PINNED", "Tie a guest to one machine", |_, row| row.raw.pinned.is_some()),
    ("COMPONENTS", "XSAVE state components, as leaf 0DH enumerates them", |model, row| {
        let gates = row.raw.gates.iter().any(|gate| gate.starts_with("xcr0:") || gate.starts_with("xss:"));
        model.unit(row).leaf == Some(0xd) && gates
    }),
    ("OTHER_HYPERVISORS", "Bits of leaves that belong to another hypervisor than KVM", |model, row| {
        model.unit(row).hypervisor.as_deref().is_some_and(|owner| owner != "KVMKVMKVM")
    }),
    ("PARENTS", "Needed by another feature", |model, row| {
        model.features.iter().any(|other| edges(model, other).iter().any(|(any, ..)| any.contains(&row.name)))
    }),
    ("HYPERVISOR_LEAVES", "Bits of a hypervisor's own leaves", |model, row| model.unit(row).hypervisor.is_some()),
];

/// The bits of some rows as register words.
fn words_of(model: &Model, holds: impl Fn(&Row) -> bool) -> Vec<u32> {
    let (words, spots) = word_table(model);
    let mut mask = vec![0_u32; words.len()];
    for (row, (word, bit)) in model.features.iter().zip(&spots) {
        mask[*word] |= u32::from(holds(row)) << bit;
    }
    mask
}

fn set(mask: &[u32]) -> String {
    let mut text = String::from("FeatureSet::of_words(&[");
    for (at, word) in mask.iter().enumerate() {
        text.push_str(if at % 16 == 0 { "\n        " } else { " " });
        let _ = if *word == 0 { write!(text, "0,") } else { write!(text, "{word:#010x},") };
    }
    text + "\n    ])"
}

/// `rules.rs`.
pub(crate) fn rules(model: &Model) -> String {
    let mut text = String::from(
        "//! Rules as masks over all features, and who needs whom.\n//@BANNER\nuse crate::{Feature, FeatureSet, Vendors};\n\nimpl FeatureSet {\n",
    );
    for (name, what, holds) in MASKS {
        let mask = words_of(model, |row| holds(model, row));
        let _ = writeln!(text, "    /// {what}.\n    pub const {name}: Self = {};\n", set(&mask));
    }
    text.truncate(text.trim_end().len());
    text.push_str(
        "\n}\n\n/// What each vendor's CPUs define, beside what all define.\npub(crate) static VENDORS: &[(Vendors, FeatureSet)] = &[\n",
    );
    for vendor in VENDORS {
        let mask = words_of(model, |row| row.vendors.iter().any(|word| word == vendor));
        let _ = writeln!(text, "    (Vendors::{}, {}),", vendor.to_uppercase(), set(&mask));
    }
    let common = words_of(model, |row| row.vendors.is_empty());
    let _ = writeln!(text, "];\n\n/// What every vendor's CPUs define alike.\npub(crate) static COMMON: FeatureSet = {};\n", set(&common));
    text.push_str("/// By rank: the features that name it as a prerequisite, as register words.\n");
    text.push_str("pub(crate) static DEPENDANTS: [&[(u8, u32)]; Feature::COUNT] = [\n");
    for parent in &model.features {
        let needs = |row: &Row| edges(model, row).iter().any(|(any, ..)| any.contains(&parent.name));
        let mask = words_of(model, needs);
        let words = mask.iter().enumerate().filter(|(_, word)| **word != 0);
        let words: Vec<String> = words.map(|(at, word)| format!("({at}, {word:#x})")).collect();
        let _ = writeln!(text, "    &[{}], // {}", words.join(", "), parent.name);
    }
    text + "];\n"
}

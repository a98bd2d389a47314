//! What the rows say, as masks over all features: the engine decides whole registers with them.

use std::fmt::Write as _;

use super::emit::word_table;
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
    ("INNATE", "Describe what the hardware does, whatever CPUID says", |_, row| row.raw.innate),
    ("PINNED", "Tie a guest to one machine", |_, row| row.raw.pinned.is_some()),
    ("COMPONENTS", "XSAVE state components, as leaf 0DH enumerates them", |model, row| {
        let gates = row.raw.gates.iter().any(|gate| gate.starts_with("xcr0:") || gate.starts_with("xss:"));
        model.unit(row).leaf == Some(0xd) && gates
    }),
    ("HYPERVISOR_LEAVES", "Bits of a hypervisor's own leaves", |model, row| model.unit(row).hypervisor.is_some()),
];

/// `rules.rs`.
pub(crate) fn rules(model: &Model) -> String {
    let (words, spots) = word_table(model);
    let mut text = String::from("//! Rules as masks over all features.\n//@BANNER\nuse crate::FeatureSet;\n\nimpl FeatureSet {\n");
    for (name, what, holds) in MASKS {
        let mut mask = vec![0_u32; words.len()];
        for (row, (word, bit)) in model.features.iter().zip(&spots) {
            mask[*word] |= u32::from(holds(model, row)) << bit;
        }
        let _ = write!(text, "    /// {what}.\n    pub const {name}: Self = Self::of_words(&[");
        for (at, word) in mask.iter().enumerate() {
            text.push_str(if at % 16 == 0 { "\n        " } else { " " });
            let _ = write!(text, "{}", if *word == 0 { "0,".to_owned() } else { format!("{word:#010x},") });
        }
        text.push_str("\n    ]);\n\n");
    }
    text.truncate(text.trim_end().len());
    text + "\n}\n"
}

//! What happens to a guest that was promised another number than the machine has.

use cpu_caps::GapKind;
use cpuid_db::{Field, FieldAt, FieldPlace, Merge};

use super::{Consequence, Effect, Origin};

/// What goes wrong, by field. Others speak through the reason of their merge rule.
const TABLE: [(Field, Effect, &str); 15] = [
    (
        Field::PHYS_ADDR_BITS,
        Effect::Fault,
        "page tables of the guest use address bits that are reserved there: #PF with the reserved bit set",
    ),
    (Field::GUEST_PHYS_ADDR_BITS, Effect::Fault, "guest memory above the machine's width cannot be mapped"),
    (Field::VIRT_ADDR_BITS, Effect::Fault, "pointers that are canonical for the guest raise #GP there"),
    (Field::XSTATE_SIZE, Effect::Restore, "the component has another size: XRSTOR of the migrated area reads other components"),
    (Field::XSTATE_OFFSET, Effect::Restore, "the component lies elsewhere: XRSTOR of the migrated area reads other components"),
    (Field::XSTATE_SUPERVISOR, Effect::Restore, "the component is user state on one side and supervisor state on the other"),
    (Field::XSTATE_ALIGN64, Effect::Restore, "the compacted area is laid out otherwise: XRSTORS reads other components"),
    (Field::CLFLUSH_SIZE, Effect::Silent, "loops over CLFLUSH step over lines that stay in the cache"),
    (Field::VENDOR_STRING_0, Effect::Silent, "the guest chose instructions, errata and MSRs by the vendor when it started"),
    (Field::PMU_VERSION, Effect::Fault, "#GP on access to counter MSRs of the newer version"),
    (Field::PMU_NUM_GP, Effect::Restore, "#GP on access to counters that do not exist; their values cannot be restored"),
    (Field::PMU_NUM_FIXED, Effect::Restore, "#GP on access to fixed counters that do not exist; their values cannot be restored"),
    (Field::PMU_GP_WIDTH, Effect::Silent, "counters wrap earlier than the guest expects"),
    (Field::PMU_EVENT_MASK_LEN, Effect::Gone, "the guest counts events that the machine does not enumerate, and that may not count"),
    (Field::PMU_FIXED_WIDTH, Effect::Silent, "fixed counters wrap earlier than the guest expects"),
];

/// What happens.
pub(crate) fn of_field(at: FieldAt, kind: GapKind) -> Consequence {
    if let Some((_, effect, text)) = TABLE.iter().find(|(known, ..)| *known == at.field) {
        return Consequence::new(*effect, *text);
    }
    let (row, text) = (at.field.row(), at.field.text());
    match row.merge {
        Merge::Local | Merge::Live | Merge::Derived | Merge::Fixed => {
            Consequence::new(Effect::Harmless, "it is filled in for each VM; it promises nothing of the machine")
        }
        Merge::And => Consequence::new(Effect::Gone, format!("the guest uses what these bits announce: {}", text.title)),
        _ if text.because.is_empty() => {
            let text = format!("the guest counts on another value: {}", text.title);
            Consequence { origin: Origin::Fallback, ..Consequence::new(Effect::Gone, text) }
        }
        _ => Consequence::new(effect(at.field, kind), text.because),
    }
}

/// What kind of harm a reason speaks of.
fn effect(field: Field, kind: GapKind) -> Effect {
    match field.row().place {
        FieldPlace::Cpuid { leaf: 0xd, .. } => Effect::Restore,
        FieldPlace::Msr { index: 0x480..=0x492 } | FieldPlace::Cpuid { leaf: 0x8000_000a, .. } => Effect::Nested,
        _ if kind == GapKind::TooSmall => Effect::Number,
        _ => Effect::Silent,
    }
}

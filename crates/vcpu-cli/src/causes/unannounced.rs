//! What happens to a guest that was not told of a limitation of the machine.

use cpuid_db::Feature;

use super::{Consequence, Effect, Origin};

/// What goes wrong, by limitation. Others speak through the reason of their merge rule.
const TABLE: [(Feature, Effect, &str); 16] = [
    (Feature::MD_CLEAR, Effect::Exposed, "the guest does not run VERW against microarchitectural data sampling"),
    (Feature::FB_CLEAR, Effect::Exposed, "the guest does not run VERW against MMIO stale data: the fill buffers leak"),
    (Feature::RFDS_CLEAR, Effect::Exposed, "the guest does not run VERW against register file data sampling"),
    (Feature::VERW_CLEAR, Effect::Exposed, "the guest does not run VERW against transient scheduler attacks"),
    (Feature::DOITM, Effect::Exposed, "the guest does not ask for data-independent timing: its cryptography leaks by time"),
    (Feature::RSBA, Effect::Exposed, "the guest trusts retpolines: RET takes predictions from elsewhere when the return stack runs empty"),
    (Feature::RRSBA, Effect::Exposed, "the guest trusts retpolines: RET takes predictions from elsewhere when the return stack runs empty"),
    (Feature::ZERO_FCS_FDS, Effect::Silent, "FSAVE and its kin write 0 for the x87 selectors, which the guest may still read"),
    (
        Feature::FDP_EXCPTN_ONLY,
        Effect::Silent,
        "the x87 data pointer is not kept for instructions without an exception, which the guest may still read",
    ),
    (Feature::WRMSR_XX_BASE_NS, Effect::Silent, "writes to FS, GS and kernel GS base no longer serialize, and the guest adds no fence"),
    (Feature::NO_NESTED_DATA_BP, Effect::Silent, "a nested data breakpoint raises no #DB, and a debugger waits for it"),
    (Feature::EFER_LMSLE_MBZ, Effect::Restore, "#GP when the guest sets EFER.LMSLE; with it set KVM_SET_SREGS fails on restore"),
    (Feature::NO_SMM_CTL_MSR, Effect::Fault, "#GP on access to MSR C0010116H"),
    (Feature::INVD_DISABLE_POST_BIOS_DONE, Effect::Fault, "INVD raises #GP"),
    (Feature::RSM_IN_CPL0_ONLY, Effect::Fault, "RSM raises an exception at other privilege levels than 0"),
    (Feature::ANYTHREAD_DEPRECATED, Effect::Restore, "values with an AnyThread bit are refused by the counter controls"),
];

/// What happens.
pub(crate) fn of_feature(feature: Feature) -> Consequence {
    if let Some((_, effect, text)) = TABLE.iter().find(|(known, ..)| *known == feature) {
        return Consequence::new(*effect, *text);
    }
    let text = feature.text();
    if let Some(event) = text.title.strip_prefix("Event missing: ") {
        return Consequence::new(Effect::Gone, format!("the guest counts an event that does not count there: {event}"));
    }
    if text.because.is_empty() {
        let text = format!("the guest was not told of it: {}", text.title);
        return Consequence { origin: Origin::Fallback, ..Consequence::new(Effect::Silent, text) };
    }
    Consequence::new(Effect::Silent, format!("the guest was not told: {}", text.because))
}

/// A machine that leaks and cannot scrub, under a guest that scrubs.
pub(crate) fn of_unprotected(scrub: Feature) -> Consequence {
    let leak = match scrub {
        Feature::FB_CLEAR => "MMIO stale data",
        Feature::RFDS_CLEAR => "register file data sampling",
        Feature::VERW_CLEAR => "transient scheduler attacks",
        _ => "microarchitectural data sampling",
    };
    let text = format!("the guest relies on VERW, which clears nothing there, and the CPU is not known to be immune to {leak}");
    Consequence::new(Effect::Exposed, text)
}

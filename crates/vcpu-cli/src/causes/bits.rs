//! Bits of control registers and MSRs by the manuals' names, and who opens them.

use cpuid_db::{Feature, Gate};

/// Bits of CR4.
const CR4: [(u8, &str); 28] = [
    (0, "VME"),
    (1, "PVI"),
    (2, "TSD"),
    (3, "DE"),
    (4, "PSE"),
    (5, "PAE"),
    (6, "MCE"),
    (7, "PGE"),
    (8, "PCE"),
    (9, "OSFXSR"),
    (10, "OSXMMEXCPT"),
    (11, "UMIP"),
    (12, "LA57"),
    (13, "VMXE"),
    (14, "SMXE"),
    (16, "FSGSBASE"),
    (17, "PCIDE"),
    (18, "OSXSAVE"),
    (19, "KL"),
    (20, "SMEP"),
    (21, "SMAP"),
    (22, "PKE"),
    (23, "CET"),
    (24, "PKS"),
    (25, "UINTR"),
    (27, "LASS"),
    (28, "LAM_SUP"),
    (32, "FRED"),
];

/// Bits of EFER.
const EFER: [(u8, &str); 12] = [
    (0, "SCE"),
    (8, "LME"),
    (10, "LMA"),
    (11, "NXE"),
    (12, "SVME"),
    (13, "LMSLE"),
    (14, "FFXSR"),
    (15, "TCE"),
    (17, "MCOMMIT"),
    (18, "INTWB"),
    (20, "UAIE"),
    (21, "AIBRSE"),
];

fn named(table: &[(u8, &str)], bit: u8) -> String {
    table.iter().find(|(known, _)| *known == bit).map_or_else(|| bit.to_string(), |(_, name)| (*name).to_owned())
}

/// A bit of CR4: `SMAP`, or its number.
pub(crate) fn cr4(bit: u8) -> String {
    named(&CR4, bit)
}

/// A bit of EFER: `NXE`, or its number.
pub(crate) fn efer(bit: u8) -> String {
    named(&EFER, bit)
}

/// The features that open any of these bits of an MSR.
pub(crate) fn openers(index: u32, bits: u64) -> Vec<&'static str> {
    let opens = |gate: &Gate| matches!(*gate, Gate::MsrBit(msr, bit) if msr == index && bits >> (bit & 63) & 1 == 1);
    Feature::all().filter(|feature| feature.row().gates.iter().any(opens)).map(Feature::name).collect()
}

/// The feature that enumerates an XSAVE component.
pub(crate) fn component(number: u32) -> Option<Feature> {
    let is_it = |gate: &Gate| matches!(*gate, Gate::Xcr0(bit) | Gate::Xss(bit) if u32::from(bit) == number);
    Feature::all().find(|feature| feature.row().gates.iter().any(is_it))
}

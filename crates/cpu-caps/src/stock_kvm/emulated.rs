//! The answer of `KVM_GET_EMULATED_CPUID` (`__do_cpuid_func_emulated`, arch/x86/kvm/cpuid.c).

use cpuid_db::{CpuidTable, Emulation, Feature, FeatureRow, Kvm, Location, Registers};

use crate::view::View;

/// Leaves 0, 1 and 7, always; their bits are those of the rows that KVM executes without hardware.
pub(super) fn answer(view: &View) -> CpuidTable {
    let mut table = CpuidTable::default();
    let mut highest = 0;
    for feature in Feature::all().filter(|feature| feature.row().emulation != Emulation::None) {
        let Location::Cpuid { leaf, subleaf, register, bit } = feature.location() else { continue };
        let mut registers = table.get_or_zero(leaf, subleaf);
        if listed(feature.row(), view) {
            *registers.get_mut(register) |= 1 << bit;
        }
        highest = leaf.max(highest);
        // Three entries fit into any table.
        let _ = table.insert(leaf, subleaf, registers);
    }
    let _ = table.insert(0, 0, Registers::new(highest, 0, 0, 0));
    table
}

/// What KVM drives per vCPU it neither reports as supported nor as emulated, although a guest may be given it.
fn listed(row: &FeatureRow, view: &View) -> bool {
    row.kvm != Kvm::Runtime
        && match row.emulation {
            Emulation::None => false,
            Emulation::Always => true,
            Emulation::With(other) => view.features.contains(other),
        }
}

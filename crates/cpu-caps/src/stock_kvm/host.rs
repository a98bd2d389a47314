//! The raw CPU under one kernel and its options, as the rules of one feature or field see it.

use cpuid_db::{
    Feature, Field, FieldAt, FieldKvm, FieldPlace, FieldRow, KernelVersion, Kvm, KvmInputs, KvmModules, KvmRule, Location, Policy,
    Signature, Vendor, Vendors,
};

use super::StockKvm;
use crate::view::{FieldValue, View, components, is_open};

const NO: FieldValue = FieldValue::Known(0);
const YES: FieldValue = FieldValue::Known(1);

/// perf reports PEBS as safe under EPT on Ice Lake servers by model (intel_pmu_init, arch/x86/events/intel/core.c), ...
const PEBS_BY_MODEL: KvmRule = KvmRule {
    vendors: Vendors::INTEL,
    families: (6, 6),
    models: &[(0x6a, 0x6a), (0x6c, 0x6c)],
    since: KernelVersion::new(6, 0),
    ..KvmRule::PLAIN
};
/// ... and on everything with this PEBS record format or a later one (intel_ds_init, arch/x86/events/intel/ds.c).
const PEBS_BY_FORMAT: u64 = 5;
/// Nested page tables of four levels reach this far.
const FOUR_LEVELS: u64 = 48;

pub(super) struct Host<'a> {
    raw: &'a View,
    vendor: Vendor,
    signature: Signature,
    module: KvmModules,
    inputs: KvmInputs,
    kernel: KernelVersion,
    max_basic: u32,
    max_extended: u32,
}

impl<'a> Host<'a> {
    pub(super) fn new(kvm: StockKvm, policy: &Policy, raw: &'a View) -> Self {
        let vendor = policy.vendor();
        let mut host = Self {
            raw,
            vendor,
            signature: policy.signature(),
            module: if vendor.is_amd_compatible() { KvmModules::SVM } else { KvmModules::VMX },
            inputs: kvm.inputs,
            kernel: kvm.kernel,
            max_basic: policy.cpuid.max_leaf(0).unwrap_or(0),
            max_extended: policy.cpuid.max_leaf(0x8000_0000).unwrap_or(0),
        };
        if !host.has_pmu() {
            host.inputs.remove(KvmInputs::PMU | KvmInputs::PEBS);
        }
        if !host.has_pebs() {
            host.inputs.remove(KvmInputs::PEBS);
        }
        host
    }

    /// KVM turns its PMU off on hybrid CPUs, whose cores count differently, and on Intel CPUs without an architectural PMU
    /// (kvm_init_pmu_capability, arch/x86/kvm/pmu.h).
    fn has_pmu(&self) -> bool {
        let version = self.raw.field(FieldAt { field: Field::PMU_VERSION, subleaf: 0 });
        let none = self.module == KvmModules::VMX && matches!(version, NO | FieldValue::Absent);
        !none && !self.raw.features.contains(Feature::HYBRID)
    }

    fn has_pebs(&self) -> bool {
        let format = self.raw.field(FieldAt { field: Field::PEBS_FMT, subleaf: 0 }).known();
        PEBS_BY_MODEL.applies(self.vendor, self.signature, self.kernel) || format.is_some_and(|format| format >= PEBS_BY_FORMAT)
    }

    fn raw_bit(&self, feature: Feature) -> FieldValue {
        if self.raw.unknown.contains(feature) {
            FieldValue::Unknown
        } else {
            FieldValue::Known(u64::from(self.raw.features.contains(feature)))
        }
    }

    /// What KVM reports.
    pub(super) fn feature(&self, feature: Feature) -> FieldValue {
        let row = feature.row();
        if self.kernel < row.kvm_since || !self.inputs.contains(row.kvm_if) || row.kvm_not.intersects(self.module) {
            return NO;
        }
        let given = match row.kvm {
            Kvm::Never | Kvm::Runtime => NO,
            Kvm::Fixed if !self.defines(row.vendors) => NO,
            Kvm::Emulated | Kvm::Fixed => FieldValue::Known(u64::from(self.reaches(feature))),
            Kvm::Aliased if !self.vendor.is_amd_compatible() => NO,
            _ if row.kvm_from.is_empty() || !self.reaches(feature) => self.raw_bit(feature),
            _ => row.kvm_from.iter().fold(self.raw_bit(feature), |given, rule| or(given, self.rule(rule))),
        };
        row.kvm_needs.iter().fold(given, |given, needed| and(given, self.needed(*needed)))
    }

    /// Constants of leaves that one vendor's CPUs have are reported on those only.
    fn defines(&self, vendors: Vendors) -> bool {
        vendors.is_empty() || vendors.contains(self.vendor.set())
    }

    /// KVM's constants stand in every capability word, but a leaf beyond the CPU's maximum is not reported.
    /// Leaf 8000_0021H is: KVM lifts the maximum of CPUs that reach 8000_001DH when it has something to say there.
    /// Leaf 0AH is all zero where there is no PMU.
    fn reaches(&self, feature: Feature) -> bool {
        match feature.location() {
            Location::Cpuid { leaf: 0x8000_0021, .. } if self.max_extended >= 0x8000_001d => self.vendor.is_amd_compatible(),
            Location::Cpuid { leaf: leaf @ 0x8000_0000.., .. } => leaf <= self.max_extended,
            Location::Cpuid { leaf: 0xa, .. } => self.module == KvmModules::VMX && self.inputs.contains(KvmInputs::PMU),
            Location::Cpuid { leaf: leaf @ ..0x4000_0000, .. } => leaf <= self.max_basic,
            _ => true,
        }
    }

    /// Whether a rule of `kvm_from` holds here.
    fn rule(&self, rule: &KvmRule) -> FieldValue {
        if !rule.applies(self.vendor, self.signature, self.kernel) {
            return NO;
        }
        let all = rule.all.iter().fold(YES, |held, feature| and(held, self.raw_bit(*feature)));
        rule.none.iter().fold(all, |held, feature| and(held, not(self.raw_bit(*feature))))
    }

    /// Whether the host has what another feature cannot do without. A VMX control counts only where the VMX capabilities are
    /// recorded: CPUs with the instruction have its control, and a dump without VMX was taken where somebody had turned VMX off.
    fn needed(&self, feature: Feature) -> FieldValue {
        match (feature.location(), self.raw_bit(feature)) {
            (Location::Msr { .. }, NO) if !self.raw.features.contains(Feature::VMX) => YES,
            (Location::Msr { .. }, FieldValue::Unknown) => YES,
            (_, held) => held,
        }
    }

    /// Puts what KVM reports in the field into the view.
    pub(super) fn field(&self, field: Field, view: &mut View) {
        let row = field.row();
        let Some(slot) = row.slot else { return };
        let (first, last) = row.subleaves();
        let slots = usize::from(slot)..=usize::from(slot) + (last - first) as usize;
        let Some(values) = self.raw.fields.get(slots) else { return };
        for (subleaf, value) in (first..=last).zip(values) {
            let at = FieldAt { field, subleaf };
            view.put(at, self.field_value(at, *value, view));
        }
    }

    fn field_value(&self, at: FieldAt, raw: FieldValue, view: &View) -> FieldValue {
        let row = at.field.row();
        if !self.inputs.contains(row.kvm_if) || !is_open(row, &view.features) || !permitted(row, at.subleaf, view) {
            return FieldValue::Absent;
        }
        if self.kernel < row.kvm_since {
            return NO;
        }
        if raw == FieldValue::Absent {
            return raw;
        }
        let map = |f: &dyn Fn(u64) -> u64| match raw {
            FieldValue::Known(value) => FieldValue::Known(f(value)),
            other => other,
        };
        match row.kvm {
            FieldKvm::Derived if at.field == Field::GUEST_PHYS_ADDR_BITS => self.guest_phys_addr_bits(),
            FieldKvm::Host | FieldKvm::Derived => raw,
            FieldKvm::Zero => NO,
            FieldKvm::Const(value) => FieldValue::Known(value),
            FieldKvm::AtMost(most) => map(&|value| value.min(most)),
            FieldKvm::AtLeast(least) => map(&|value| value.max(least)),
            FieldKvm::Mask(mask) => map(&|value| value & mask),
        }
    }

    /// With two-dimensional paging, what nested page tables reach: the physical width, or 48 bits with four levels. A host that
    /// has 57-bit linear addresses runs five levels, for guests too.
    fn guest_phys_addr_bits(&self) -> FieldValue {
        if !self.inputs.contains(KvmInputs::TDP) {
            return NO;
        }
        match self.raw.field(FieldAt { field: Field::PHYS_ADDR_BITS, subleaf: 0 }) {
            FieldValue::Known(bits) if bits > FOUR_LEVELS => match self.raw_bit(Feature::LA57) {
                FieldValue::Known(0) | FieldValue::Absent => FieldValue::Known(FOUR_LEVELS),
                FieldValue::Known(_) => FieldValue::Known(bits),
                FieldValue::Unknown => FieldValue::Unknown,
            },
            other => other,
        }
    }
}

/// KVM reports an XSAVE component only where it permits it.
fn permitted(row: &FieldRow, subleaf: u32, view: &View) -> bool {
    match row.place {
        FieldPlace::Cpuid { leaf: 0xd, .. } if subleaf >= 2 => {
            components(subleaf).any(|feature| view.features.contains(feature) || view.unknown.contains(feature))
        }
        _ => true,
    }
}

/// Holds if one holds, whatever is known of the other.
const fn or(a: FieldValue, b: FieldValue) -> FieldValue {
    match (a, b) {
        (YES, _) | (_, YES) => YES,
        (FieldValue::Unknown, _) | (_, FieldValue::Unknown) => FieldValue::Unknown,
        _ => NO,
    }
}

/// Fails if one fails, whatever is known of the other.
const fn and(a: FieldValue, b: FieldValue) -> FieldValue {
    match (a, b) {
        (NO, _) | (_, NO) => NO,
        (FieldValue::Unknown, _) | (_, FieldValue::Unknown) => FieldValue::Unknown,
        _ => YES,
    }
}

const fn not(a: FieldValue) -> FieldValue {
    match a {
        NO => YES,
        YES => NO,
        other => other,
    }
}

//! What stock KVM would report on a machine of which only raw CPUID is known.
//!
//! The model follows `kvm_set_cpu_caps` (arch/x86/kvm/cpuid.c): each feature's disposition is data, and the inputs that
//! KVM itself looks at (module options, vendor module) are named. What depends on the kernel's own knowledge of the CPU
//! is left as raw CPUID says, but for the two cases in `synthesized`.

use cpuid_db::{Feature, FeatureSet, Field, FieldAt, FieldKvm, FieldRow, Kvm, KvmInputs, KvmModules, Location, Policy, Vendor, Vendors};

use crate::view::{FieldValue, View};

/// Named inputs of the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StockKvm {
    /// Module options and hardware support that are on.
    pub inputs: KvmInputs,
}

impl Default for StockKvm {
    /// Two-dimensional paging and PMU on, nested virtualization off; no PEBS, no PT in the guest, no SEV.
    fn default() -> Self {
        let inputs = KvmInputs::TDP | KvmInputs::PMU | KvmInputs::SGX | KvmInputs::CET | KvmInputs::XFD;
        Self { inputs }
    }
}

const NO: FieldValue = FieldValue::Known(0);
const YES: FieldValue = FieldValue::Known(1);

/// The raw CPU, as the rules of one feature see it.
struct Host<'a> {
    raw: &'a View,
    vendor: Vendor,
    family: u32,
    model: u32,
    module: KvmModules,
    inputs: KvmInputs,
    max_basic: u32,
    max_extended: u32,
}

impl StockKvm {
    /// The view that stock KVM gives on this machine.
    pub fn view(&self, policy: &Policy, raw: &View) -> View {
        let vendor = policy.vendor();
        let module = if vendor.is_amd_compatible() { KvmModules::SVM } else { KvmModules::VMX };
        let signature = policy.signature();
        let host = Host {
            raw,
            vendor,
            family: signature.family(),
            model: signature.model(),
            module,
            inputs: self.inputs,
            max_basic: policy.cpuid.max_leaf(0).unwrap_or(0),
            max_extended: policy.cpuid.max_leaf(0x8000_0000).unwrap_or(0),
        };
        let mut view = View::EMPTY;
        for feature in Feature::all() {
            match host.feature(feature) {
                FieldValue::Known(0) | FieldValue::Absent => {}
                FieldValue::Known(_) => view.features.set(feature, true),
                FieldValue::Unknown => view.unknown.set(feature, true),
            }
        }
        for field in Field::all() {
            host.field(field, &mut view);
        }
        view
    }
}

impl Host<'_> {
    fn raw_bit(&self, feature: Feature) -> FieldValue {
        if self.raw.unknown.contains(feature) {
            FieldValue::Unknown
        } else {
            FieldValue::Known(u64::from(self.raw.features.contains(feature)))
        }
    }

    fn feature(&self, feature: Feature) -> FieldValue {
        let row = feature.row();
        if !self.inputs.contains(row.kvm_if) || row.kvm_not.intersects(self.module) {
            return NO;
        }
        let crossed = !row.kvm_from.is_empty() && row.kvm_from.iter().all(|from| self.raw.features.contains(*from));
        match row.kvm {
            Kvm::Never | Kvm::Runtime => NO,
            Kvm::Fixed if !self.defines(row.vendors) => NO,
            Kvm::Emulated | Kvm::Fixed => {
                if self.reaches(feature) {
                    YES
                } else {
                    NO
                }
            }
            Kvm::Synthesized if self.synthesized(feature) => YES,
            Kvm::Native | Kvm::Synthesized if crossed || self.synthesized(feature) => YES,
            Kvm::Aliased if !self.vendor.is_amd_compatible() => NO,
            _ => self.raw_bit(feature),
        }
    }

    /// Constants of leaves that one vendor's CPUs have are reported on those only.
    fn defines(&self, vendors: Vendors) -> bool {
        vendors.is_empty() || vendors.contains(self.vendor.set())
    }

    /// KVM's constants stand in every capability word, but a leaf beyond the CPU's maximum is not reported.
    /// Leaf 8000_0021H is: KVM lifts the maximum of CPUs that reach 8000_001DH when it has something to say there.
    fn reaches(&self, feature: Feature) -> bool {
        match feature.location() {
            Location::Cpuid { leaf: 0x8000_0021, .. } if self.max_extended >= 0x8000_001d => self.vendor.is_amd_compatible(),
            Location::Cpuid { leaf: leaf @ 0x8000_0000.., .. } => leaf <= self.max_extended,
            Location::Cpuid { leaf: leaf @ ..0x4000_0000, .. } => leaf <= self.max_basic,
            _ => true,
        }
    }

    /// Bits that the kernel adds from its own knowledge of AMD CPUs.
    fn synthesized(&self, feature: Feature) -> bool {
        if !self.vendor.is_amd_compatible() {
            return false;
        }
        match feature {
            // DE_CFG makes LFENCE serializing from family 10H on (init_amd, arch/x86/kernel/cpu/amd.c).
            Feature::LFENCE_RDTSC => self.family >= 0x10 && self.reaches(feature),
            // Zen 2 and later clear the base on a null selector load; Zen 2 does so without the bit
            // (check_null_seg_clears_base, arch/x86/kernel/cpu/common.c).
            Feature::NULL_SEL_CLR_BASE => (self.family >= 0x19 || self.family == 0x17 && self.model >= 0x30) && self.reaches(feature),
            _ => false,
        }
    }

    fn field(&self, field: Field, view: &mut View) {
        let row = field.row();
        let Some(slot) = row.slot else { return };
        let (first, last) = row.subleaves();
        let slots = usize::from(slot)..=usize::from(slot) + (last - first) as usize;
        let Some(values) = self.raw.fields.get(slots) else { return };
        for (subleaf, value) in (first..=last).zip(values) {
            view.put(FieldAt { field, subleaf }, self.field_value(row, *value, &view.features));
        }
    }

    fn field_value(&self, row: &FieldRow, raw: FieldValue, features: &FeatureSet) -> FieldValue {
        if !self.inputs.contains(row.kvm_if) || !crate::view::is_open(row, features) {
            return FieldValue::Absent;
        }
        if raw == FieldValue::Absent {
            return raw;
        }
        let map = |f: &dyn Fn(u64) -> u64| match raw {
            FieldValue::Known(value) => FieldValue::Known(f(value)),
            other => other,
        };
        match row.kvm {
            FieldKvm::Host | FieldKvm::Derived => raw,
            FieldKvm::Zero => FieldValue::Known(0),
            FieldKvm::Const(value) => FieldValue::Known(value),
            FieldKvm::AtMost(most) => map(&|value| value.min(most)),
            FieldKvm::AtLeast(least) => map(&|value| value.max(least)),
            FieldKvm::Mask(mask) => map(&|value| value & mask),
        }
    }
}

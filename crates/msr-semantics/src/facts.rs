//! What the rows ask about a guest, read once from its policy.

use cpuid_db::{Feature, FeatureSet, Field, FieldAt, Policy, Vendor, valid_cr4, valid_efer, valid_xcr0, valid_xss};

use crate::row::{Condition, Limit, Term, Within};
use crate::{Capabilities, Semantics, Settings};

/// A guest as the rows see it.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) features: FeatureSet,
    pub(crate) vendor: Vendor,
    pub(crate) capabilities: Capabilities,
    pub(crate) hyperv: bool,
    pub(crate) pmu_version: u8,
    pub(crate) gp_counters: u8,
    pub(crate) fixed_counters: u8,
    pub(crate) gp_width: u8,
    pub(crate) fixed_width: u8,
    pub(crate) mcg_cap: u64,
    pub(crate) pt_ranges: u8,
    pub(crate) lbr_entries: u8,
    pub(crate) mtrr_ranges: u8,
    pub(crate) lbr_depths: u8,
    pub(crate) cpuid_faulting: bool,
    /// IA32_PERF_CAPABILITIES, and what it says about records.
    pub(crate) perf_capabilities: u64,
    /// Bits of a physical address that the guest may set.
    pub(crate) physical: u64,
    pub(crate) linear_bits: u8,
    pub(crate) cr4: u64,
    pub(crate) efer: u64,
    pub(crate) xcr0: u64,
    pub(crate) xss: u64,
}

/// `Hv#1`, by which KVM tells that the guest wants Hyper-V, whatever leaf 4000_0000H says (arch/x86/kvm/hyperv.c).
const HYPERV_INTERFACE: u32 = 0x3123_7648;

/// Physical-address bits of a CPU that does not say (SDM vol. 2A, CPUID leaf 8000_0008H; KVM assumes the same).
const DEFAULT_PHYSICAL_BITS: u64 = 36;

impl Facts {
    pub(crate) fn new(policy: &Policy, settings: &Settings<'_>) -> Self {
        let features = policy.features();
        let field = |field| policy.field(FieldAt { field, subleaf: 0 }).unwrap_or(0);
        let kvm = settings.semantics == Semantics::Kvm;
        let amd = policy.vendor().is_amd_compatible();
        let physical_bits = match field(Field::PHYS_ADDR_BITS) {
            0 => DEFAULT_PHYSICAL_BITS,
            bits => bits.min(52),
        };
        Self {
            vendor: policy.vendor(),
            capabilities: settings.capabilities,
            hyperv: policy.cpuid.get_or_zero(0x4000_0001, 0).eax == HYPERV_INTERFACE,
            pmu_version: if amd { 1 + u8::from(features.contains(Feature::PERFMON_V2)) } else { field(Field::PMU_VERSION) as u8 },
            gp_counters: if amd { amd_counters(policy, &features) } else { field(Field::PMU_NUM_GP) as u8 },
            fixed_counters: if amd { 0 } else { field(Field::PMU_NUM_FIXED) as u8 },
            gp_width: if amd { 48 } else { field(Field::PMU_GP_WIDTH) as u8 },
            fixed_width: field(Field::PMU_FIXED_WIDTH) as u8,
            // KVM starts with 32 banks.
            mcg_cap: policy.msrs.get(0x179).unwrap_or(if kvm { 32 } else { 0 }),
            mtrr_ranges: policy.msrs.get(0xfe).unwrap_or(DEFAULT_MTRRCAP) as u8,
            lbr_depths: policy.cpuid.get_or_zero(0x1c, 0).eax as u8,
            cpuid_faulting: policy.msrs.get(0xce).map_or(kvm, |info| info >> 31 & 1 == 1),
            perf_capabilities: policy.msrs.get(0x345).unwrap_or(0),
            pt_ranges: (policy.cpuid.get_or_zero(0x14, 1).eax & 7) as u8,
            lbr_entries: lbr_entries(field(Field::AMD_LBR_STACK_SIZE) as u8, &features),
            physical: (1 << physical_bits) - 1,
            linear_bits: if features.contains(Feature::LA57) { 57 } else { 48 },
            cr4: valid_cr4(policy),
            efer: valid_efer(policy),
            xcr0: valid_xcr0(policy),
            xss: valid_xss(policy),
            features,
        }
    }

    /// Whether the condition holds for this guest.
    pub(crate) fn meets(&self, condition: Condition) -> bool {
        condition.0.iter().all(|any| any.iter().any(|term| self.holds(*term)))
    }

    fn holds(&self, term: Term) -> bool {
        let enforced = |capability| self.capabilities.contains(capability);
        match term {
            Term::Feature(feature) => self.features.contains(feature),
            Term::Without(feature) => !self.features.contains(feature),
            Term::Pmu(version) => self.pmu_version >= version,
            Term::Mcg(bit) => self.mcg_cap >> (bit & 63) & 1 == 1,
            Term::CpuidFaulting => self.cpuid_faulting,
            Term::LbrFormat => self.perf_capabilities & LBR_FORMAT != 0,
            Term::PebsFormat => self.perf_capabilities & PEBS_FORMAT != 0,
            Term::Paravirtual(feature) => !enforced(Capabilities::ENFORCE_PV) || self.features.contains(feature),
            Term::HyperV(feature) => {
                let free = !enforced(Capabilities::ENFORCE_HYPERV);
                self.hyperv && feature.is_none_or(|feature| free || self.features.contains(feature))
            }
            Term::Capability(capability) => self.capabilities.contains(capability),
        }
    }

    /// The bits that a guest-dependent mask leaves. `host` is what the machine holds.
    pub(crate) fn mask(&self, within: Within, host: u64) -> u64 {
        match within {
            Within::All => u64::MAX,
            Within::Physical => self.physical,
            Within::Xss => self.xss,
            Within::Efer => self.efer,
            Within::Xfd => self.xcr0 & XFD_COMPONENTS,
            Within::Counters => HIGH_BITS | low_bits(self.gp_counters.min(32)) | low_bits(self.fixed_counters.min(16)) << 32,
            Within::FixedControl => self.fixed_control(),
            Within::GpCounters => low_bits(self.gp_counters),
            Within::GpWidth => low_bits(self.gp_width),
            Within::FixedWidth => low_bits(self.fixed_width),
            Within::Host => host,
        }
    }

    /// Enable and interrupt of each fixed-function counter; AnyThread with version 3, unless it is deprecated (SDM vol. 3B, 20.2.3).
    fn fixed_control(&self) -> u64 {
        let any_thread = self.pmu_version >= 3 && !self.features.contains(Feature::ANYTHREAD_DEPRECATED);
        let field: u64 = if any_thread { 0xf } else { 0xb };
        let metrics = u64::from(self.features.contains(Feature::RDPMC_METRICS_CLEAR)) << 14;
        (0..self.fixed_counters.min(8)).fold(metrics, |mask, counter| mask | field << (4 * counter))
    }

    /// Whether this is a linear address that the guest's CPU can hold.
    pub(crate) fn is_canonical(&self, address: u64) -> bool {
        self.canonical(address) == address
    }

    /// The address with the sign of its highest implemented bit extended.
    pub(crate) fn canonical(&self, address: u64) -> u64 {
        let unused = 64 - u32::from(self.linear_bits);
        ((address << unused).cast_signed() >> unused).cast_unsigned()
    }

    /// How many members of a family this guest has.
    pub(crate) fn limit(&self, limit: Limit) -> u16 {
        match limit {
            Limit::All => u16::MAX,
            Limit::McBanks => (self.mcg_cap & 0xff) as u16,
            Limit::GpCounters => u16::from(self.gp_counters),
            Limit::FixedCounters => u16::from(self.fixed_counters),
            Limit::PtRanges => 2 * u16::from(self.pt_ranges),
            Limit::LbrStack => 2 * u16::from(self.lbr_entries),
            Limit::MtrrRanges => u16::from(self.mtrr_ranges),
            // Bit n stands for a depth of 8(n+1).
            Limit::LbrRecords => 8 * (8 - self.lbr_depths.leading_zeros() as u16),
        }
    }
}

/// What of a global counter register is not a counter.
const HIGH_BITS: u64 = 0xffff << 48;

/// Eight ranges, fixed ranges and write combining: what KVM and most CPUs have.
const DEFAULT_MTRRCAP: u64 = 0x508;

/// IA32_PERF_CAPABILITIES: layouts of last-branch records and of PEBS records.
const LBR_FORMAT: u64 = 0x3f;
const PEBS_FORMAT: u64 = 0xf00;

/// AMD CPUs have four counters, six with the extension; version 2 says how many (APM vol. 3, Fn8000_0022_EBX).
fn amd_counters(policy: &Policy, features: &FeatureSet) -> u8 {
    let told = (policy.cpuid.get_or_zero(0x8000_0022, 0).ebx & 0xf) as u8;
    match (features.contains(Feature::PERFMON_V2), features.contains(Feature::PERFCTR_CORE)) {
        (true, _) if told != 0 => told,
        (_, true) => 6,
        _ => 4,
    }
}

/// Branch sampling, the forerunner, has sixteen entries and no field that says so (arch/x86/events/amd/brs.c).
fn lbr_entries(told: u8, features: &FeatureSet) -> u8 {
    if features.contains(Feature::AMD_LBR_V2) { told } else { 16 }
}

/// Components whose use can be made to fault: AMX tile data (SDM vol. 1, 13.14).
const XFD_COMPONENTS: u64 = 1 << 18;

const fn low_bits(count: u8) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

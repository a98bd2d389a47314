//! The state of a running CPU that CPUID reads back, and the places where it shows.

use crate::generated::live::LIVE;
use crate::{CpuidTable, Feature, Policy, Register};

/// Whose rules hold where the manuals and a hypervisor differ.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Semantics {
    /// What SDM and APM say that a CPU with this CPUID does.
    #[default]
    Architectural,
    /// What stock KVM answers (arch/x86/kvm/cpuid.c of Linux 7.2).
    Kvm,
}

/// Run-time state of one vCPU at the moment when it executes CPUID, as raw register values: a VMM fills in what it has.
/// The defaults are the state after reset ([`Live::RESET`]), in which an architectural CPU in real mode shows no SYSCALL.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one moment, not states of one machine")]
pub struct Live {
    /// Whose rules hold. Default: the architecture's.
    pub semantics: Semantics,
    /// CPL of the program. Default 0.
    pub cpl: u8,
    /// Whether the CPU is in system management mode, where CPUID never faults. Default false.
    pub in_smm: bool,
    /// Whether the program is 64-bit code (EFER.LMA and CS.L). Default false.
    pub in_64bit_mode: bool,
    /// CR4: OSXSAVE, PKE and KL show. Default 0.
    pub cr4: u64,
    /// XCR0. Default 1: x87 state.
    pub xcr0: u64,
    /// `IA32_XSS`. Default 0.
    pub xss: u64,
    /// `IA32_APIC_BASE`: bit 11 shows. Default FEE0_0900H: enabled, boot processor.
    pub apic_base: u64,
    /// `IA32_MISC_ENABLE`: bits 18 (MONITOR FSM) and 34 (XD disable) show on CPUs that are not AMD-compatible.
    /// Default 4_1800H: MONITOR usable as firmware leaves it, no BTS, no PEBS. KVM's own reset value is 1800H.
    pub misc_enable: u64,
    /// `MISC_FEATURES_ENABLES`: bit 0 makes CPUID fault above CPL 0. Default 0.
    pub misc_features_enables: u64,
    /// HWCR of AMD: bit 9 (`MonMwaitDis`) hides MONITOR, bit 35 (`CpuidUserDis`) makes CPUID fault above CPL 0. Default 0.
    pub hwcr: u64,
    /// `IA32_TSX_CTRL`: bit 1 hides HLE and RTM. Default 0.
    pub tsx_ctrl: u64,
    /// `HV_X64_MSR_TSC_INVARIANT_CONTROL`: while bit 0 is clear, a guest that is offered this MSR sees no invariant TSC. Default 0.
    pub hv_tsc_invariant_control: u64,
    /// Whether firmware has activated Key Locker, without which CR4.KL does not show as AESKLE. Default false.
    pub key_locker_active: bool,
    /// KVM only: whether `KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT` is left on, so that MISC_ENABLE\[18\] does not reach CPUID. Default true.
    pub mwait_quirk: bool,
}

impl Live {
    /// The state after reset.
    pub const RESET: Self = Self {
        semantics: Semantics::Architectural,
        cpl: 0,
        in_smm: false,
        in_64bit_mode: false,
        cr4: 0,
        xcr0: 1,
        xss: 0,
        apic_base: 0xfee0_0900,
        misc_enable: 0x4_1800,
        misc_features_enables: 0,
        hwcr: 0,
        tsx_ctrl: 0,
        hv_tsc_invariant_control: 0,
        key_locker_active: false,
        mwait_quirk: true,
    };

    /// The state in which KVM creates a vCPU, with KVM's rules and all its quirks on.
    pub const KVM_RESET: Self = Self { semantics: Semantics::Kvm, misc_enable: 0x1800, ..Self::RESET };

    /// Whether CPUID raises #GP(0) instead of answering.
    ///
    /// Intel: `MISC_FEATURES_ENABLES`\[0\] (SDM vol. 4, 140H). AMD: HWCR\[35\] (APM, Fn8000_0021 EAX\[17\]).
    /// A CPU has one of the two registers; KVM looks at both on every CPU (`cpuid_fault_enabled`, arch/x86/kvm/cpuid.h).
    pub(crate) const fn faults(&self, amd: bool) -> bool {
        let (intel_way, amd_way) = (self.misc_features_enables & 1 == 1, self.hwcr >> 35 & 1 == 1);
        let enabled = match self.semantics {
            Semantics::Kvm => intel_way || amd_way,
            Semantics::Architectural if amd => amd_way,
            Semantics::Architectural => intel_way,
        };
        enabled && self.cpl > 0 && !self.in_smm
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::RESET
    }
}

/// What a live place follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LiveSource {
    /// CR4.OSXSAVE.
    Cr4Osxsave,
    /// CR4.PKE.
    Cr4Pke,
    /// CR4.KL, once Key Locker is active.
    Cr4Kl,
    /// `IA32_APIC_BASE`\[11\].
    ApicBaseEn,
    /// The size of the standard XSAVE area for XCR0.
    Xcr0,
    /// The size of the compacted XSAVE area for XCR0 and `IA32_XSS`.
    Xcr0Xss,
    /// `IA32_MISC_ENABLE`\[18\], or not HWCR\[9\] on AMD.
    MonitorFsm,
    /// Not `IA32_TSX_CTRL`\[1\].
    Tsx,
    /// Not `IA32_MISC_ENABLE`\[34\].
    XdEnabled,
    /// 64-bit code asks.
    Mode64,
    /// Hyper-V's control of the invariant TSC is not offered, or set.
    HvTscControl,
}

/// A bit or field whose answer depends on run-time state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LiveRow {
    /// EAX on input.
    pub leaf: u32,
    /// ECX on input.
    pub subleaf: u32,
    /// Output register.
    pub register: Register,
    /// Highest bit.
    pub high: u8,
    /// Lowest bit.
    pub low: u8,
    /// What it follows.
    pub source: LiveSource,
    /// Whether the state can only hide what the policy has; otherwise the place is nothing but the state.
    pub hides: bool,
    /// Whether it repeats the bit of another leaf.
    pub copy: bool,
}

impl LiveRow {
    /// The place in its register.
    pub const fn mask(&self) -> u32 {
        u32::MAX >> (31 - (self.high - self.low)) << self.low
    }
}

/// Every place that depends on run-time state, in order.
pub fn live_rows() -> &'static [LiveRow] {
    LIVE
}

/// The register with what `row` says about it.
pub(crate) fn patch(policy: &Policy, row: &LiveRow, stored: u32, live: &Live) -> u32 {
    let shown = match row.source {
        LiveSource::Xcr0 => return standard_size(&policy.cpuid, stored, live),
        LiveSource::Xcr0Xss => return compacted_size(&policy.cpuid, stored, live),
        source => match live.semantics {
            Semantics::Architectural => architectural(policy, source, live),
            Semantics::Kvm => kvm(policy, row, live),
        },
    };
    match shown {
        Shown::As(on) if !row.hides || live.semantics == Semantics::Kvm && drives(row.source) => {
            if on {
                stored | row.mask()
            } else {
                stored & !row.mask()
            }
        }
        Shown::As(true) | Shown::AsStored => stored,
        Shown::As(false) => stored & !row.mask(),
    }
}

/// What the state does to a bit.
enum Shown {
    /// Nothing.
    AsStored,
    /// Lets it show, or not.
    As(bool),
}

/// KVM writes these bits from the state, whatever the stored entry had (`kvm_update_cpuid_runtime`).
const fn drives(source: LiveSource) -> bool {
    matches!(source, LiveSource::Cr4Osxsave | LiveSource::Cr4Pke | LiveSource::ApicBaseEn | LiveSource::MonitorFsm)
}

const fn bit(register: u64, bit: u32) -> bool {
    register >> bit & 1 == 1
}

/// AMD-compatible CPUs have no `IA32_MISC_ENABLE`, and their SYSCALL works in every mode; the other way round, only they have HWCR
/// and repeat bits of leaf 1.
fn architectural(policy: &Policy, source: LiveSource, live: &Live) -> Shown {
    let amd = policy.vendor().is_amd_compatible();
    Shown::As(match source {
        LiveSource::Cr4Osxsave => bit(live.cr4, 18),
        LiveSource::Cr4Pke => bit(live.cr4, 22),
        LiveSource::Cr4Kl => bit(live.cr4, 19) && live.key_locker_active,
        LiveSource::ApicBaseEn => bit(live.apic_base, 11),
        LiveSource::MonitorFsm => {
            if amd {
                !bit(live.hwcr, 9)
            } else {
                bit(live.misc_enable, 18)
            }
        }
        LiveSource::Tsx => !bit(live.tsx_ctrl, 1),
        LiveSource::XdEnabled => amd || !bit(live.misc_enable, 34),
        LiveSource::Mode64 => amd || live.in_64bit_mode,
        LiveSource::HvTscControl => hv_tsc_shows(policy, live),
        LiveSource::Xcr0 | LiveSource::Xcr0Xss => return Shown::AsStored,
    })
}

/// The bits that KVM keeps in step, and no others (cpuid.c, `kvm_update_cpuid_runtime` and `kvm_cpuid`).
fn kvm(policy: &Policy, row: &LiveRow, live: &Live) -> Shown {
    let kept = match row.source {
        LiveSource::ApicBaseEn => !row.copy,
        LiveSource::MonitorFsm => !live.mwait_quirk,
        LiveSource::Cr4Osxsave | LiveSource::Cr4Pke | LiveSource::Tsx | LiveSource::HvTscControl => true,
        _ => false,
    };
    match row.source {
        _ if !kept => Shown::AsStored,
        // KVM's MISC_ENABLE is the same on every vendor's CPU, and its HWCR has no bit 9.
        LiveSource::MonitorFsm => Shown::As(bit(live.misc_enable, 18)),
        source => architectural(policy, source, live),
    }
}

/// Hyper-V's interface signature in 4000_0001H.EAX.
const HV_INTERFACE: u32 = u32::from_le_bytes(*b"Hv#1");

/// A guest that may set `HV_X64_MSR_TSC_INVARIANT_CONTROL` sees the invariant TSC once it has done so
/// (TLFS, 4000_0003H EAX\[15\]; `kvm_hv_invtsc_suppressed`, arch/x86/kvm/hyperv.h).
fn hv_tsc_shows(policy: &Policy, live: &Live) -> bool {
    let table = &policy.cpuid;
    let hyperv = table.register(0x4000_0001, 0, Register::Eax) == HV_INTERFACE;
    let offered = hyperv && table.register(0x4000_0003, 0, Register::Eax) & Feature::HV_ACCESS_TSC_INVARIANT_CONTROLS.mask() != 0;
    !offered || bit(live.hv_tsc_invariant_control, 0)
}

/// The legacy area and the header, which every XSAVE area has.
const LEGACY_AND_HEADER: u32 = 576;

/// The state components of `mask` beyond x87 and SSE that the table describes: (number, size, offset, whether aligned).
fn components(table: &CpuidTable, mask: u64) -> impl Iterator<Item = (u32, u32, bool)> {
    let entries = table.leaf(0xd).iter().filter(move |entry| (2..63).contains(&entry.subleaf) && mask >> entry.subleaf & 1 == 1);
    entries.map(|entry| (entry.registers.eax, entry.registers.ebx, entry.registers.ecx >> 1 & 1 == 1))
}

/// Whether a size of leaf 0DH cannot be told: the state enables a component that the policy enumerates and does not describe,
/// as in dumps that have no subleaves of 0DH.
pub(crate) fn is_size_unknown(table: &CpuidTable, leaf: u32, subleaf: u32, live: &Live) -> bool {
    let words = |subleaf, low, high| {
        let registers = table.get_or_zero(0xd, subleaf);
        u64::from(registers.get(high)) << 32 | u64::from(registers.get(low))
    };
    let user = words(0, Register::Eax, Register::Edx) & live.xcr0;
    let mask = match (leaf, subleaf) {
        (0xd, 0) => user,
        (0xd, 1) => user | words(1, Register::Ecx, Register::Edx) & live.xss,
        _ => return false,
    };
    (2..63).any(|number| mask >> number & 1 == 1 && table.get_or_zero(0xd, number).is_zero())
}

/// 0DH.0.EBX: the end of the last component that XCR0 enables (SDM vol. 1, 13.4; APM vol. 4, Fn0000_000D).
/// A CPU without XSAVE keeps its zero; KVM writes the size into any entry there is.
fn standard_size(table: &CpuidTable, stored: u32, live: &Live) -> u32 {
    let leaf = table.get_or_zero(0xd, 0);
    if live.semantics == Semantics::Architectural && leaf.eax | leaf.edx == 0 {
        return stored;
    }
    let ends = components(table, live.xcr0).map(|(size, offset, _)| offset.saturating_add(size));
    ends.fold(LEGACY_AND_HEADER, u32::max)
}

/// 0DH.1.EBX: the components of XCR0 and IA32_XSS one after the other, some of them aligned to 64 bytes (SDM vol. 1, 13.4.3).
/// Without XSAVES there is no IA32_XSS to count; without XSAVEC as well the manual says zero, and KVM leaves what was stored.
fn compacted_size(table: &CpuidTable, stored: u32, live: &Live) -> u32 {
    let features = table.register(0xd, 1, Register::Eax);
    let has = |feature: Feature| features & feature.mask() != 0;
    let (xsavec, xsaves) = (has(Feature::XSAVEC), has(Feature::XSAVES));
    let xss = if xsaves || live.semantics == Semantics::Kvm { live.xss } else { 0 };
    if !xsavec && !xsaves {
        return if live.semantics == Semantics::Kvm { stored } else { 0 };
    }
    components(table, live.xcr0 | xss).fold(LEGACY_AND_HEADER, |end, (size, _, aligned)| {
        let start = if aligned { end.saturating_add(63) & !63 } else { end };
        start.saturating_add(size)
    })
}

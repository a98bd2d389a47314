//! What a row of the database can say. The vocabulary is explained in `data/README.md`.

use crate::{Feature, KernelVersion, KvmInputs, KvmModules, KvmRule, Register, Vendors};

/// A register that holds features.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// A CPUID output register.
    Cpuid {
        /// EAX on input.
        leaf: u32,
        /// ECX on input.
        subleaf: u32,
        /// Output register.
        register: Register,
    },
    /// Half of a feature MSR.
    Msr {
        /// Address of the MSR.
        index: u32,
        /// Whether this is bits 63:32.
        high: bool,
    },
}

/// One register of the dense feature array.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// Where the register is found.
    pub place: Place,
    /// The bits that have a name.
    pub named: u32,
    /// Rank of its first feature among all features.
    pub first: u16,
    /// Any of these features enumerates the register's leaf or MSR; empty: always there.
    pub requires: &'static [Feature],
    /// Whose leaf this is, for leaves 4000_0000H and up; `None` for all others.
    pub hypervisor: Option<[u8; 12]>,
}

/// How two machines of a pool merge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Merge {
    /// Only what all hosts have.
    And,
    /// Announced if any host has it: a limitation, or a mitigation that may be needed.
    Or,
    /// The smallest value is safe everywhere.
    Min,
    /// The largest value is safe everywhere.
    Max,
    /// All hosts must agree; see [`OnConflict`].
    Equal,
    /// The common value, or zero.
    EqualOrZero,
    /// The hypervisor gives this value on every host.
    Fixed,
    /// Follows run-time state; has a static value in a policy.
    Live,
    /// Belongs to one VM or one vCPU, or describes one machine.
    Local,
    /// Recomputed from the rest of the policy.
    Derived,
    /// Decided by a named function of the engine.
    Context,
}

impl Merge {
    /// The rule's name in data files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::And => "and",
            Self::Or => "or",
            Self::Min => "min",
            Self::Max => "max",
            Self::Equal => "equal",
            Self::EqualOrZero => "equal-or-zero",
            Self::Fixed => "fixed",
            Self::Live => "live",
            Self::Local => "local",
            Self::Derived => "derived",
            Self::Context => "context",
        }
    }
}

/// What happens when hosts disagree on an [`Merge::Equal`] field that survives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OnConflict {
    /// No guest can run on both: the pool is refused.
    Refuse,
    /// The named feature is withheld, and the field with it.
    Withhold(Feature),
    /// The XSAVE component of the field's subleaf is withheld.
    WithholdComponent,
    /// A canonical value is chosen and declared.
    Chosen,
}

/// What zero means in a field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ZeroMeans {
    /// The number zero.
    Zero,
    /// The machine does not have what the field describes: its value does not count.
    Absent,
    /// This number.
    Number(u64),
    /// The same as this other field.
    SameAs(Field),
}

/// How stock KVM comes to report a feature (arch/x86/kvm/cpuid.c, `kvm_set_cpu_caps`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kvm {
    /// In KVM's list, in the kernel's capability word and in raw CPUID.
    Native,
    /// As native, on 64-bit kernels.
    X86_64,
    /// As native, translated from a scattered kernel word.
    Scattered,
    /// Raw CPUID alone decides.
    Passthrough,
    /// Kernel knowledge decides; raw CPUID need not have it.
    Synthesized,
    /// KVM provides it on every host.
    Emulated,
    /// AMD's copy of a leaf 1 bit.
    Aliased,
    /// The VMX or SVM module sets it.
    Vendor,
    /// Driven per vCPU, never reported.
    Runtime,
    /// A constant 1.
    Fixed,
    /// Never reported.
    Never,
}

impl Kvm {
    /// The word used in data files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::X86_64 => "x86_64",
            Self::Scattered => "scattered",
            Self::Passthrough => "passthrough",
            Self::Synthesized => "synthesized",
            Self::Emulated => "emulated",
            Self::Aliased => "aliased",
            Self::Vendor => "vendor",
            Self::Runtime => "runtime",
            Self::Fixed => "fixed",
            Self::Never => "never",
        }
    }
}

/// What stock KVM reports in a field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FieldKvm {
    /// The raw value.
    Host,
    /// Zero.
    Zero,
    /// The raw value, at most this.
    AtMost(u64),
    /// The raw value, at least this.
    AtLeast(u64),
    /// These bits of the raw value.
    Mask(u64),
    /// This value.
    Const(u64),
    /// Computed from other parts of the answer.
    Derived,
}

/// Whether KVM executes the feature's instructions without hardware support (`__do_cpuid_func_emulated`, arch/x86/kvm/cpuid.c).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Emulation {
    /// No.
    None,
    /// On every host.
    Always,
    /// On hosts where KVM has this feature.
    With(Feature),
}

/// Whether an edge binds real machines or only what we offer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EdgeKind {
    /// No real CPU may violate it.
    Architectural,
    /// A default for new guests.
    Policy,
}

/// A direct prerequisite: at least one of `any` must be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    /// Alternatives; mostly one.
    pub any: &'static [Feature],
    /// How strictly it binds.
    pub kind: EdgeKind,
}

/// What a feature opens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Gate {
    /// An instruction, by mnemonic.
    Instruction(&'static str),
    /// A CR4 bit.
    Cr4(u8),
    /// An EFER bit.
    Efer(u8),
    /// An XCR0 bit.
    Xcr0(u8),
    /// An IA32_XSS bit.
    Xss(u8),
    /// An MSR exists.
    Msr(u32),
    /// A bit of an MSR becomes legal.
    MsrBit(u32, u8),
}

/// Named functions of the engine that decide features which depend on the rest of the policy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Context {
    /// RSBA: return-stack underflow uses other predictors, and the guest does not see enhanced IBRS.
    Rsba,
    /// RRSBA: the same with enhanced IBRS visible.
    Rrsba,
    /// RTM: kept where aborting everywhere is the worst that can happen.
    Rtm,
    /// RTM_ALWAYS_ABORT.
    RtmAlwaysAbort,
    /// Invariant TSC: needs one frequency or scaling.
    InvariantTsc,
    /// The PEBS bits of PERF_CAPABILITIES: KVM takes all of them with the format, or none.
    PebsGroup,
}

/// Named functions of the engine that recompute a field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Derive {
    /// 0.EAX.
    MaxBasicLeaf,
    /// 8000_0000H.EAX.
    MaxExtendedLeaf,
    /// C000_0000H.EAX.
    MaxCentaurLeaf,
    /// 4000_0000H.EAX.
    MaxHypervisorLeaf,
    /// The highest subleaf of this leaf.
    MaxSubleaf,
    /// The XSAVE area for everything in XCR0.
    XsaveSize,
    /// AMD's copy of the vendor string.
    VendorCopy,
    /// AMD's copy of leaf 1 EAX.
    SignatureCopy,
    /// VMX controls with the default-1 class forced on.
    VmxDefault1,
    /// CR0 bits allowed in VMX operation.
    VmxCr0Fixed1,
    /// CR4 bits allowed in VMX operation.
    VmxCr4Fixed1,
}

/// What the database says about one feature.
#[derive(Clone, Copy, Debug)]
pub struct FeatureRow {
    /// How two machines merge.
    pub merge: Merge,
    /// Who defines the bit; all vendors if empty.
    pub vendors: Vendors,
    /// How stock KVM comes to report it.
    pub kvm: Kvm,
    /// Only with all of these.
    pub kvm_if: KvmInputs,
    /// Taken away by these modules.
    pub kvm_not: KvmModules,
    /// Also reported where one of these rules holds.
    pub kvm_from: &'static [KvmRule],
    /// Not reported where raw CPUID or the VMX capabilities lack one of these.
    pub kvm_needs: &'static [Feature],
    /// Not reported by kernels before this one.
    pub kvm_since: KernelVersion,
    /// Whether KVM executes it without hardware.
    pub emulation: Emulation,
    /// Describes what the hardware does, whatever CPUID says.
    pub innate: bool,
    /// KVM always intercepts what the bit is about, so the hardware's behaviour never reaches a guest.
    pub intercepted: bool,
    /// Static value of a live, local or fixed bit.
    pub value: bool,
    /// The leaf 1 bit that this one repeats.
    pub alias_of: Option<Feature>,
    /// Which engine function decides it, for [`Merge::Context`].
    pub context: Option<Context>,
    /// Direct prerequisites; all must be met.
    pub requires: &'static [Edge],
    /// What it opens.
    pub gates: &'static [Gate],
}

impl FeatureRow {
    /// The defaults: a bit that only all hosts together give, unknown to KVM, with no prerequisites.
    pub const PLAIN: Self = Self {
        merge: Merge::And,
        vendors: Vendors::empty(),
        kvm: Kvm::Never,
        kvm_if: KvmInputs::empty(),
        kvm_not: KvmModules::empty(),
        kvm_from: &[],
        kvm_needs: &[],
        kvm_since: KernelVersion::ALWAYS,
        emulation: Emulation::None,
        innate: false,
        intercepted: false,
        value: false,
        alias_of: None,
        context: None,
        requires: &[],
        gates: &[],
    };
}

/// A multi-bit field, or a bit that repeats in a range of subleaves. An index into the table of fields.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Field(pub(crate) u16);

impl Field {
    /// What the database says about it.
    pub fn row(self) -> &'static FieldRow {
        crate::generated::fields::FIELDS.get(usize::from(self.0)).unwrap_or(&FieldRow::PLAIN)
    }

    /// Rank among all fields, from 0 to [`Field::COUNT`] - 1.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All fields, in order of place.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT as u16).map(Self)
    }
}

#[cfg(feature = "names")]
impl Field {
    /// The canonical name.
    pub fn name(self) -> &'static str {
        self.text().name
    }

    /// Names, titles, reasons and sources.
    pub fn text(self) -> &'static FeatureText {
        const NONE: FeatureText = FeatureText::NONE;
        crate::generated::text::FIELD_TEXT.get(usize::from(self.0)).unwrap_or(&NONE)
    }
}

/// Where a field is found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FieldPlace {
    /// Bits of a CPUID register in one or several subleaves.
    Cpuid {
        /// EAX on input.
        leaf: u32,
        /// First subleaf.
        first: u32,
        /// Last subleaf.
        last: u32,
        /// Output register.
        register: Register,
    },
    /// Bits of a feature MSR.
    Msr {
        /// Address of the MSR.
        index: u32,
    },
}

/// What the database says about one field.
#[derive(Clone, Copy, Debug)]
pub struct FieldRow {
    /// Register or MSR.
    pub place: FieldPlace,
    /// Highest bit.
    pub high: u8,
    /// Lowest bit.
    pub low: u8,
    /// How two machines merge.
    pub merge: Merge,
    /// For [`Merge::Equal`]: what happens when hosts disagree.
    pub on_conflict: OnConflict,
    /// What zero means.
    pub zero_means: ZeroMeans,
    /// Static value of a live, local or fixed field.
    pub value: u64,
    /// The value where a dump could not record it.
    pub default: Option<u64>,
    /// What stock KVM reports.
    pub kvm: FieldKvm,
    /// Only with all of these; else zero.
    pub kvm_if: KvmInputs,
    /// Zero under kernels before this one.
    pub kvm_since: KernelVersion,
    /// How it is recomputed, for [`Merge::Derived`].
    pub derive: Option<Derive>,
    /// Any of these features must be there for the field to have a meaning; empty: always.
    pub requires: &'static [Feature],
    /// Who defines the field; all vendors if empty.
    pub vendors: Vendors,
    /// Whose leaf this is, for leaves 4000_0000H and up.
    pub hypervisor: Option<[u8; 12]>,
    /// The field's first place in per-instance arrays of [`FIELD_SLOTS`](crate::FIELD_SLOTS); `None` when nothing is to be merged.
    pub slot: Option<u16>,
}

impl FieldRow {
    pub(crate) const PLAIN: Self = Self {
        place: FieldPlace::Msr { index: 0 },
        high: 0,
        low: 0,
        merge: Merge::Local,
        on_conflict: OnConflict::Chosen,
        zero_means: ZeroMeans::Zero,
        value: 0,
        default: None,
        kvm: FieldKvm::Zero,
        kvm_if: KvmInputs::empty(),
        kvm_since: KernelVersion::ALWAYS,
        derive: None,
        requires: &[],
        vendors: Vendors::empty(),
        hypervisor: None,
        slot: None,
    };

    /// How many bits the field has.
    pub const fn width(&self) -> u32 {
        (self.high - self.low) as u32 + 1
    }

    /// The field's bits in its register or MSR.
    pub const fn mask(&self) -> u64 {
        (u64::MAX >> (64 - self.width())) << self.low
    }

    /// Takes the field out of a register or MSR value.
    pub const fn get(&self, word: u64) -> u64 {
        (word & self.mask()) >> self.low
    }

    /// Puts `value` into a register or MSR value; bits that do not fit are dropped.
    pub const fn put(&self, word: u64, value: u64) -> u64 {
        word & !self.mask() | value << self.low & self.mask()
    }

    /// The field's subleaves that exist as separate slots: (first, last).
    pub const fn subleaves(&self) -> (u32, u32) {
        match self.place {
            FieldPlace::Cpuid { first, last, .. } => (first, last),
            FieldPlace::Msr { .. } => (0, 0),
        }
    }
}

/// One leaf or feature MSR as a whole.
#[derive(Clone, Copy, Debug)]
pub struct LeafRow {
    /// The leaf, or `None` for an MSR.
    pub leaf: Option<u32>,
    /// The MSR's address; 0 for leaves.
    pub msr: u32,
    /// Any of these must be there for the leaf or MSR to have a meaning; empty: always.
    pub requires: &'static [Feature],
    /// Whose leaf this is, for leaves 4000_0000H and up.
    pub hypervisor: Option<[u8; 12]>,
    /// The subleaves that the database describes, as (first, last) ranges.
    pub subleaves: &'static [(u32, u32)],
    /// Whether CPUID looks at ECX here; otherwise every ECX gets the same answer.
    pub indexed: bool,
    /// The MSR's name; empty for leaves.
    pub name: &'static str,
    /// What the leaf is for.
    pub title: &'static str,
}

/// Who uses a spelling.
#[cfg(feature = "names")]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Project {
    /// `X86_FEATURE_*` and other macros of the Linux kernel.
    Linux,
    /// The flags line of /proc/cpuinfo.
    Cpuinfo,
    /// QEMU's `-cpu` flags.
    Qemu,
    /// libvirt's cpu_map.
    Libvirt,
    /// Xen's cpufeatureset.h and its command line names.
    Xen,
    /// kcpuid's cpuid.csv.
    Kcpuid,
}

#[cfg(feature = "names")]
impl Project {
    /// All projects, in the order in which reports list them.
    pub const ALL: [Self; 6] = [Self::Linux, Self::Cpuinfo, Self::Qemu, Self::Libvirt, Self::Xen, Self::Kcpuid];

    /// The word that pins the project: `xen:IBRS`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Cpuinfo => "cpuinfo",
            Self::Qemu => "qemu",
            Self::Libvirt => "libvirt",
            Self::Xen => "xen",
            Self::Kcpuid => "kcpuid",
        }
    }
}

/// Names, titles, reasons and sources of one feature or field.
#[cfg(feature = "names")]
#[derive(Clone, Copy, Debug)]
pub struct FeatureText {
    /// Canonical name.
    pub name: &'static str,
    /// Meaning, in a few words.
    pub title: &'static str,
    /// Why it does not merge by plain AND; empty if it does.
    pub because: &'static str,
    /// The state that a live bit follows; empty for others.
    pub live: &'static str,
    /// Why it ties a guest to one machine; empty for others.
    pub pinned: &'static str,
    /// Why each edge of `requires` holds, in the same order.
    pub requires: &'static [&'static str],
    /// Spellings of other projects.
    pub names: &'static [(Project, &'static str)],
    /// Handles of docs/manuals.toml; `uncited` when no place was opened.
    pub cite: &'static [&'static str],
}

#[cfg(feature = "names")]
impl FeatureText {
    pub(crate) const NONE: Self = Self { name: "?", title: "", because: "", live: "", pinned: "", requires: &[], names: &[], cite: &[] };
}

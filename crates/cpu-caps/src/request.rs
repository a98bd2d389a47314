//! What the operator asks for.

use cpuid_db::{Feature, FeatureSet};

use crate::Identity;

/// What a guest gets before features are added and dropped by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(clippy::large_enum_variant, reason = "the core does not allocate, and a request is made once")]
pub enum Base {
    /// All that can be promised on every machine of the pool.
    #[default]
    Everything,
    /// The same without what ties a guest to one machine ([`FeatureSet::PINNED`]).
    Migratable,
    /// A named model: of plain features only these. What does not belong to a model follows its own rules all the same
    /// ([`Base::BEYOND_MODELS`]). A feature of the model that cannot be given is left out; put the model into
    /// [`Request::with`] too where it must be whole.
    Only(FeatureSet),
}

impl Base {
    /// What a CPU model has no say in.
    ///
    /// Limitations and what the hardware does anyway: a guest must learn of them under any name. Live, local and derived bits: no model
    /// has a value for them. State components of XSAVE: models are written in instructions, and a component goes with its instructions
    /// by the edges of its row. RSBA, RRSBA and RTM_ALWAYS_ABORT are decided by the rest of the policy; the other context rules guard
    /// promises (RTM, invariant TSC, PEBS), which a model makes or does not make.
    ///
    /// The hypervisor's own: its leaves, HYPERVISOR, X2APIC, and the two machine-check capabilities that every virtual CPU has.
    /// QEMU is the precedent: `x86_cpu_load_model` sets HYPERVISOR in every model, `kvm_default_props` turns on x2apic and KVM's leaves,
    /// `MCE_CAP_DEF` holds MCG_CTL_P and MCG_SER_P. TSC_DEADLINE, TSC_ADJUST and ARAT are emulated on every host just so, but
    /// QEMU's models and libvirt's have or lack them one by one, and so they are the model's.
    pub const BEYOND_MODELS: FeatureSet = FeatureSet::LIMITATIONS
        .union(&FeatureSet::INNATE)
        .union(&FeatureSet::LIVE)
        .union(&FeatureSet::LOCAL)
        .union(&FeatureSet::DERIVED)
        .union(&FeatureSet::COMPONENTS)
        .union(&FeatureSet::HYPERVISOR_LEAVES)
        .with(Feature::RSBA)
        .with(Feature::RRSBA)
        .with(Feature::RTM_ALWAYS_ABORT)
        .with(Feature::HYPERVISOR)
        .with(Feature::X2APIC)
        .with(Feature::MCG_CTL_P)
        .with(Feature::MCG_SER_P);

    /// Everything that this base leaves out.
    pub fn left_out(&self) -> FeatureSet {
        match self {
            Self::Everything => FeatureSet::EMPTY,
            Self::Migratable => FeatureSet::PINNED,
            Self::Only(model) => FeatureSet::ALL.difference(model).difference(&Self::BEYOND_MODELS),
        }
    }
}

/// What the operator asks for beside the default, "everything that can be promised".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// What the guest gets before anything is asked for by name.
    pub base: Base,
    /// Features that the guest must have, whatever the base.
    pub with: FeatureSet,
    /// Features that the guest must not have.
    pub without: FeatureSet,
    /// Who the guest's CPU says it is; `None` leaves it to the pool. The vendor must be the pool's, unless [`Request::any_vendor`].
    pub identity: Option<Identity>,
    /// Mix vendors all the same.
    pub any_vendor: bool,
    /// Obey even where that makes the guest believe what the hardware does not do (hiding an innate bit).
    pub force: bool,
}

//! What the VMM chooses.

use cpuid_db::Semantics;

use crate::{Capabilities, Quirks};

/// How IA32_SPEC_CTRL is given to the guest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum SpecCtrl {
    /// The guest writes the CPU's register: what the hardware takes is taken.
    PassThrough,
    /// Every write is judged by what the guest was told.
    #[default]
    Exact,
}

/// What the VMM chooses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings<'a> {
    /// Whose behaviour. For the architecture a host access is a restore: what the guest could have stored is taken.
    pub semantics: Semantics,
    /// IA32_SPEC_CTRL.
    pub spec_ctrl: SpecCtrl,
    /// What the VMM has switched on in KVM.
    pub capabilities: Capabilities,
    /// KVM's quirks that are left on.
    pub quirks: Quirks,
    /// Guest and machine are the same family, model and stepping.
    pub same_model: bool,
    /// What the machine holds in each MSR; one that is not listed holds what the guest was told of.
    pub host: &'a [HostMask],
}

/// What the machine can hold in one MSR: a feature MSR's supported value, or the mask of bits that its hardware accepts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HostMask {
    /// The MSR.
    pub address: u32,
    /// Its bits.
    pub mask: u64,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self {
            semantics: Semantics::default(),
            spec_ctrl: SpecCtrl::default(),
            capabilities: Capabilities::PLATFORM_INFO | Capabilities::LAPIC,
            quirks: Quirks::all(),
            same_model: true,
            host: &[],
        }
    }
}

//! What stock KVM would report on a machine of which only raw CPUID is known.
//!
//! The model follows `kvm_set_cpu_caps` and `__do_cpuid_func` (arch/x86/kvm/cpuid.c) and the adjustments of the two vendor modules.
//! Which bit is reported how, where else, and since which kernel is data on the bit's row; what KVM itself looks at beside CPUID
//! (kernel, module options, vendor module) is named here. What depends on the kernel's list of affected CPUs and on microcode is
//! left as the hardware says, but for the rules in `kvm_from`.

mod emulated;
mod host;

use cpuid_db::{CpuidTable, Feature, Field, KernelVersion, KvmInputs, Policy};

use crate::view::{FieldValue, View};
use host::Host;

/// Named inputs of the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StockKvm {
    /// Module options and hardware support that are on.
    pub inputs: KvmInputs,
    /// The kernel. Distributions carry newer code in older kernels; the number means the kernel of that name as released.
    pub kernel: KernelVersion,
}

impl Default for StockKvm {
    /// The newest kernel known, with its defaults: two-dimensional paging, PMU and PEBS where the CPU allows them, CET, SGX, and
    /// permission for AMX; no nested virtualization, no PT in the guest, no SEV.
    fn default() -> Self {
        let inputs = KvmInputs::TDP | KvmInputs::PMU | KvmInputs::PEBS | KvmInputs::SGX | KvmInputs::CET | KvmInputs::XFD;
        Self { inputs, kernel: KernelVersion::NEWEST }
    }
}

impl StockKvm {
    /// The view that stock KVM gives on this machine.
    pub fn view(&self, policy: &Policy, raw: &View) -> View {
        let host = Host::new(*self, policy, raw);
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

    /// What `KVM_GET_EMULATED_CPUID` answers there: the instructions that KVM executes where the hardware does not, given the view
    /// of [`view`](Self::view) or a recorded one. What KVM emulates for a guest that has it, but does not list (MWAIT), is left out.
    pub fn emulated(view: &View) -> CpuidTable {
        emulated::answer(view)
    }
}

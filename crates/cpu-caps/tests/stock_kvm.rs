//! The model of stock KVM, rule by rule. Recorded answers are compared in known_views.rs.

mod common;

use common::views::{policy, root};
use common::{amd, cpu, feature, intel};
use cpu_caps::{FieldValue, StockKvm, View};
use cpuid_db::{Field, FieldAt, KernelVersion, KvmInputs, Policy, Registers};

fn under(kernel: (u8, u8), inputs: KvmInputs, policy: &Policy) -> View {
    StockKvm { kernel: KernelVersion::new(kernel.0, kernel.1), inputs }.view(policy, &View::of(policy))
}

fn newest(policy: &Policy) -> View {
    StockKvm::default().view(policy, &View::of(policy))
}

fn host(name: &str) -> Policy {
    policy(&root().join(format!("testdata/hosts/{name}.json")))
}

#[test]
fn a_bit_is_reported_from_its_kernel_on() {
    let inputs = StockKvm::default().inputs;
    let host = intel(&["FLUSH_L1D", "CET_SS", "CET_IBT", "XSAVE", "XSAVES", "XSS_CET_U", "XSS_CET_S", "LAM"]);
    for (word, before, since) in [("FLUSH_L1D", (6, 3), (6, 4)), ("LAM", (6, 7), (6, 8)), ("CET_IBT", (6, 17), (6, 18))] {
        assert!(!under(before, inputs, &host).features.contains(feature(word)), "{word}");
        assert!(under(since, inputs, &host).features.contains(feature(word)), "{word}");
    }
}

#[test]
fn intel_spelling_on_amd_needs_more_since_6_13() {
    let inputs = StockKvm::default().inputs;
    let spec_ctrl = feature("SPEC_CTRL");
    let old = amd(&["AMD_IBPB", "AMD_IBRS"]);
    assert!(under((6, 12), inputs, &old).features.contains(spec_ctrl));
    assert!(!under((6, 13), inputs, &old).features.contains(spec_ctrl));
    assert!(under((6, 13), inputs, &amd(&["AMD_IBPB", "AMD_IBRS", "AMD_IBPB_RET"])).features.contains(spec_ctrl));
}

#[test]
fn ibpb_clears_returns_where_enhanced_ibrs_has_no_hole() {
    let ret = feature("AMD_IBPB_RET");
    let reports = |features: &[&str]| newest(&intel(features)).features.contains(ret);
    assert!(reports(&["SPEC_CTRL"]), "no enhanced IBRS, nothing to go wrong");
    assert!(!reports(&["SPEC_CTRL", "ARCH_CAPABILITIES", "IBRS_ALL"]));
    assert!(reports(&["SPEC_CTRL", "ARCH_CAPABILITIES", "IBRS_ALL", "PBRSB_NO"]));
    let mut unknown = intel(&["SPEC_CTRL", "ARCH_CAPABILITIES"]);
    unknown.unrecorded.insert(cpuid_db::Unrecorded::Msr { index: 0x10a }).unwrap();
    assert!(newest(&unknown).unknown.contains(ret), "neither is known, so neither is this");
}

#[test]
fn umip_is_emulated_on_intel_since_nehalem() {
    let umip = feature("UMIP");
    assert!(newest(&intel(&["VMX", "SSE4_2"])).features.contains(umip));
    assert!(!newest(&host("intel-core2-e5462")).features.contains(umip), "a Penryn has no descriptor-table exiting");
    assert!(!newest(&amd(&["SVM", "SSE4_2"])).features.contains(umip), "kvm_amd emulates none");
}

#[test]
fn a_vmx_control_that_is_recorded_as_absent_takes_its_instruction_away() {
    let with = intel(&["VMX", "VMX_SECONDARY_CTLS", "VMX_ENABLE_RDTSCP", "INVPCID", "RDTSCP"]);
    let view = newest(&with);
    assert!(view.features.contains(feature("RDTSCP")) && !view.features.contains(feature("INVPCID")));
    assert!(newest(&intel(&["INVPCID"])).features.contains(feature("INVPCID")), "VMX was off when the dump was taken");
}

#[test]
fn kernel_knowledge_of_amd_cpus() {
    let zen1 = cpu("AuthenticAMD", 0x0080_0f11, &["AMD_IBPB"]);
    let view = newest(&zen1);
    for word in ["VIRT_SSBD", "TSA_SQ_NO", "TSA_L1_NO", "IBPB_BRTYPE"] {
        assert!(view.features.contains(feature(word)), "{word}");
    }
    assert!(!view.features.contains(feature("NULL_SEL_CLR_BASE")), "Zen 1 keeps the base");
    assert!(newest(&amd(&[])).features.contains(feature("NULL_SEL_CLR_BASE")), "Zen 2 clears it without saying so");
    let zen3 = newest(&cpu("AuthenticAMD", 0x00a0_0f11, &["AMD_IBPB"]));
    assert!(!zen3.features.contains(feature("TSA_SQ_NO")) && !zen3.features.contains(feature("VIRT_SSBD")));
    let k10 = newest(&host("amd-k10-2378"));
    assert!(k10.features.contains(feature("AMD_SSB_NO")), "family 10H does not bypass stores");
}

#[test]
fn the_pmu_goes_on_hybrid_cpus_and_pebs_comes_with_ept_friendly_hardware() {
    assert!(!newest(&host("intel-alderlake-12900h")).features.contains(feature("PDCM")));
    let pebs = |name: &str| newest(&host(name)).features.contains(feature("DS"));
    assert!(pebs("intel-icelake-8351n") && !pebs("intel-cascadelake-8268"));
    assert!(!under((5, 19), StockKvm::default().inputs, &host("intel-icelake-8351n")).features.contains(feature("DS")));
}

#[test]
fn guest_physical_width() {
    let bits = |view: &View| view.field(FieldAt { field: Field::GUEST_PHYS_ADDR_BITS, subleaf: 0 });
    let wide = |words: &[&str]| {
        let mut policy = intel(words);
        policy.cpuid.insert(0x8000_0008, 0, Registers::new(0x3934, 0, 0, 0)).unwrap();
        policy
    };
    let inputs = StockKvm::default().inputs;
    assert_eq!(bits(&newest(&wide(&["LA57"]))), FieldValue::Known(52));
    assert_eq!(bits(&newest(&wide(&[]))), FieldValue::Known(48), "four levels end there");
    assert_eq!(bits(&under((6, 9), inputs, &wide(&["LA57"]))), FieldValue::Known(0), "Linux 6.10 began to say it");
    assert_eq!(bits(&under((7, 2), inputs - KvmInputs::TDP, &wide(&["LA57"]))), FieldValue::Known(0));
}

#[test]
fn amx_state_needs_permission() {
    let amx = intel(&["XSAVE", "XFD", "AMX_TILE", "XCR0_TILECFG", "XCR0_TILEDATA"]);
    let inputs = StockKvm::default().inputs;
    assert!(newest(&amx).features.contains(feature("XCR0_TILEDATA")));
    assert!(!under((7, 2), inputs - KvmInputs::XFD, &amx).features.contains(feature("XCR0_TILEDATA")));
}

#[test]
fn the_emulated_answer_comes_from_the_rows() {
    let answer = |features: &[&str]| StockKvm::emulated(&newest(&intel(features)));
    let with = answer(&["RDTSCP"]);
    assert_eq!(with.get(0, 0), Some(Registers::new(7, 0, 0, 0)));
    assert_eq!(with.get(1, 0), Some(Registers::new(0, 0, 1 << 22, 0)), "MOVBE, and not MONITOR");
    assert_eq!(with.get(7, 0), Some(Registers::new(0, 0, 1 << 22, 0)), "RDPID");
    assert_eq!(answer(&[]).get(7, 0), Some(Registers::default()), "no RDPID without RDTSCP");
    assert_eq!(with.entries().len(), 3);
}

//! Features whose loss no gate tells: what the guest does with them, one by one and by leaf.

use cpuid_db::Feature;

use super::Effect;

const UD: &str = "#UD: SIGILL in user space";
const SLOW_COPY: &str = "no exception: copying and filling by string instructions is slower";
const PROBE: &str = "the guest's profiler counts on it, and programs what does not answer";

/// What happens without the feature.
pub(super) fn of_feature(feature: Feature) -> Option<(Effect, &'static str)> {
    let tables: [&[(Feature, Effect, &str)]; 6] = [&VECTORS, &PROTECTION, &SPEED, &KERNEL, &MACHINE, &PERFMON];
    let mut rows = tables.into_iter().flatten();
    rows.find(|(known, ..)| *known == feature).map(|(_, effect, text)| (*effect, *text))
}

/// Instruction sets too large to be listed by mnemonic.
const VECTORS: [(Feature, Effect, &str); 23] = [
    (Feature::FPU, Effect::Fault, UD),
    (Feature::FMA, Effect::Fault, UD),
    (Feature::SSE4_1, Effect::Fault, UD),
    (Feature::AVX, Effect::Fault, UD),
    (Feature::AVX2, Effect::Fault, UD),
    (Feature::AVX512F, Effect::Fault, UD),
    (Feature::AVX512DQ, Effect::Fault, UD),
    (Feature::AVX512BW, Effect::Fault, UD),
    (Feature::AVX512VL, Effect::Fault, UD),
    (Feature::AVX512_FP16, Effect::Fault, UD),
    (Feature::VAES, Effect::Fault, UD),
    (Feature::VPCLMULQDQ, Effect::Fault, UD),
    (Feature::AVX10, Effect::Fault, UD),
    (Feature::AVX10_128, Effect::Fault, UD),
    (Feature::AVX10_256, Effect::Fault, UD),
    (Feature::AVX10_512, Effect::Fault, UD),
    (Feature::AVX10_VNNI_INT, Effect::Fault, UD),
    (Feature::CVT16, Effect::Fault, UD),
    (Feature::APX_F, Effect::Fault, "#UD for every instruction with a REX2 or extended EVEX prefix: SIGILL in user space"),
    (Feature::MISALIGNSSE, Effect::Fault, "#GP when the guest sets MXCSR.MM, and on FXRSTOR of a saved area that has it"),
    (Feature::XGETBV1, Effect::Fault, "#GP on XGETBV with ECX = 1: kernels use it on every context switch"),
    (Feature::MSR_IMM, Effect::Fault, "#UD in the guest's kernel on RDMSR and WRMSRNS with an immediate address"),
    (Feature::UIRET_UIF, Effect::Silent, "UIRET leaves the user interrupt flag set, whatever the stack says"),
];

/// Claims and barriers that mitigations are chosen by.
const PROTECTION: [(Feature, Effect, &str); 19] = [
    (
        Feature::IBRS_ALL,
        Effect::Exposed,
        "the guest sets IBRS once and relies on it; there it protects only when it is written on each entry",
    ),
    (
        Feature::SKIP_L1DFL_VMENTRY,
        Effect::Exposed,
        "a hypervisor in the guest does not flush the L1 data cache before it enters its own guests",
    ),
    (
        Feature::PSCHANGE_MC_NO,
        Effect::Exposed,
        "a hypervisor in the guest maps large executable pages: a machine check may stop the machine",
    ),
    (Feature::MCDT_NO, Effect::Exposed, "the guest believes that timing does not depend on MXCSR: its cryptography may leak by time"),
    (Feature::MONITOR_MITG_NO, Effect::Silent, "the guest relies on MONITOR alone: wake-ups may be lost when the monitor table overflows"),
    (Feature::IBRS_ALWAYS_ON, Effect::Exposed, "the guest sets IBRS once and leaves it on; there it must be written on each entry"),
    (Feature::AMD_STIBP_ALWAYS_ON, Effect::Slower, "the guest leaves STIBP on all the time, which costs more there"),
    (Feature::IBRS_PREFERRED, Effect::Slower, "the guest chooses IBRS, which costs more than software mitigations there"),
    (Feature::AMD_IBRS_SAME_MODE, Effect::Exposed, "the guest relies on IBRS within one privilege level, where it does not protect"),
    (
        Feature::AMD_IBPB_RET,
        Effect::Exposed,
        "the guest's IBPB leaves return predictions in place, and the guest does not clear them itself",
    ),
    (Feature::IBPB_BRTYPE, Effect::Exposed, "the guest's IBPB leaves branch type predictions in place"),
    (Feature::SRSO_USER_KERNEL_NO, Effect::Exposed, "the guest leaves the user to kernel mitigation of SRSO off"),
    (Feature::ERAPS, Effect::Exposed, "the guest does not overwrite the return address predictor, which is not flushed for it there"),
    (Feature::BTB_CTX_ISOLATION, Effect::Exposed, "the guest relies on contexts being apart in the branch target buffer"),
    (Feature::EPSF, Effect::Gone, "the guest disables predictive store forwarding in SPEC_CTRL, and it is not there to be disabled"),
    (Feature::COHERENCY_SFW_NO, Effect::Silent, "a guest that changes page states does not flush caches: stale lines may be written back"),
    (
        Feature::SME_COHERENT,
        Effect::Silent,
        "the guest does not flush caches when a page changes its encryption: stale lines may be written back",
    ),
    (
        Feature::LFENCE_RDTSC,
        Effect::Silent,
        "LFENCE need not be dispatch serializing: code behind it may run ahead (MSR C0011029H[1] decides)",
    ),
    (
        Feature::NULL_SEL_CLR_BASE,
        Effect::Exposed,
        "loading a null selector keeps the old FS or GS base, and the guest does not clear it itself",
    ),
];

/// What only speeds things up.
const SPEED: [(Feature, Effect, &str); 13] = [
    (Feature::ERMS, Effect::Slower, SLOW_COPY),
    (Feature::FSRM, Effect::Slower, SLOW_COPY),
    (Feature::FZRM, Effect::Slower, SLOW_COPY),
    (Feature::FSRS, Effect::Slower, SLOW_COPY),
    (Feature::FSRC, Effect::Slower, SLOW_COPY),
    (Feature::AMD_FSRS, Effect::Slower, SLOW_COPY),
    (Feature::AMD_FSRC, Effect::Slower, SLOW_COPY),
    (Feature::FSRSC, Effect::Slower, SLOW_COPY),
    (Feature::AMD_ERMSB, Effect::Slower, SLOW_COPY),
    (Feature::FP512_DOWNGRADE, Effect::Slower, "no exception: 512-bit arithmetic is not split in two there"),
    (Feature::TURBO_BOOST_MAX_3, Effect::Slower, "no exception: no core is faster than the others there"),
    (Feature::SS, Effect::Silent, "aliases of one page with different memory types are not coherent, and the guest flushes no caches"),
    (Feature::ARAT, Effect::Silent, "the APIC timer stops in deep sleep states, and the guest sets up no other timer"),
];

/// Paging, faults and privileged state.
const KERNEL: [(Feature, Effect, &str); 14] = [
    (Feature::PSE36, Effect::Fault, "#PF: address bits of 4-MByte pages are reserved there"),
    (Feature::PAGE1GB, Effect::Fault, "#PF: the bit for 1-GByte pages is reserved in page tables there"),
    (Feature::ALT_MOV_CR8, Effect::Fault, "#UD in the guest's kernel on LOCK MOV CR0"),
    (Feature::ADDR_MASK_EXT, Effect::Gone, "breakpoints over large ranges match fewer addresses"),
    (Feature::NMI_SRC, Effect::Gone, "the guest's kernel waits for NMI sources that are not reported"),
    (Feature::CET_SSS, Effect::Gone, "supervisor shadow stacks may be left unusable by a VM exit at the wrong moment"),
    (Feature::RTM_ALWAYS_ABORT, Effect::Fault, "XBEGIN: #UD, SIGILL in user space"),
    (Feature::XSAVEERPTR, Effect::Exposed, "x87 error pointers of another program may be seen: the guest does not clear them"),
    (Feature::INVLPGB_NESTED_PAGES, Effect::Nested, "INVLPGB of a hypervisor in the guest does not flush nested translations: #GP"),
    (Feature::OPCODE_RECLAIM, Effect::Gone, "encodings of 0F 01 /7 that the guest counts on as reserved are not"),
    (Feature::INVARIANT_TSC, Effect::Silent, "time may run at changing rates: the guest takes the time-stamp counter for a clock"),
    (Feature::HYPERVISOR, Effect::Silent, "the guest takes the machine for hardware and touches what a hypervisor does not serve"),
    (Feature::TOPOEXT, Effect::Gone, "leaves 8000001DH and 8000001EH are not there: the guest misreads cores, threads and caches"),
    (Feature::EXTAPIC, Effect::Gone, "the APIC registers from 400H on are not there"),
];

/// Errors, sensors and parts of the board.
const MACHINE: [(Feature, Effect, &str); 15] = [
    (Feature::PSN, Effect::Gone, "leaf 3 has no serial number"),
    (Feature::TM, Effect::Gone, "the guest waits for thermal events that do not come"),
    (Feature::DTS, Effect::Gone, "the guest reads a temperature that is not there"),
    (Feature::IA64, Effect::Gone, "the machine is no IA-64 processor"),
    (Feature::MP, Effect::Harmless, "a word of the product's approval; nothing depends on it"),
    (Feature::SGX_KEYS, Effect::Gone, "enclaves cannot be attested"),
    (Feature::SLSM, Effect::Gone, "cores cannot be paired for lockstep"),
    (Feature::OVERFLOW_RECOV, Effect::Silent, "the guest takes an overflowed error bank for survivable, and it is not"),
    (Feature::SUCCOR, Effect::Silent, "the guest trusts that uncorrectable errors are contained, and they are not"),
    (Feature::MCG_SER_P, Effect::Silent, "the guest takes uncorrected errors for recoverable by software, and they are not"),
    (Feature::MCG_EMC_P, Effect::Gone, "machine checks are not signalled in the enhanced way"),
    (Feature::MCG_TES_P, Effect::Gone, "error status has no threshold bits"),
    (Feature::MCG_ELOG_P, Effect::Gone, "firmware adds no extended error logs"),
    (Feature::UC_STORE_THROTTLING_SUPPORTED, Effect::Gone, "uncacheable stores cannot be throttled"),
    (Feature::RAR_SUPPORTED, Effect::Gone, "TLB shootdown by remote action requests is not served"),
];

/// Counters and records.
const PERFMON: [(Feature, Effect, &str); 8] = [
    (Feature::DTES64, Effect::Silent, "records of the debug store have another layout"),
    (Feature::DS_CPL, Effect::Gone, "branch messages are not filtered by privilege level: #GP on the filter bits"),
    (Feature::ARCH_PERFMON_EXT, Effect::Gone, "leaf 23H, by which the guest's profiler finds its counters, is not there"),
    (Feature::ACNT2, Effect::Gone, PROBE),
    (Feature::STREAM_PERFMON, Effect::Gone, PROBE),
    (Feature::LBREXTN, Effect::Gone, PROBE),
    (Feature::PMC2_PRECISE_RETIRE, Effect::Gone, PROBE),
    (Feature::LWSMI, Effect::Gone, "nobody says in public what it promises"),
];

/// What a whole leaf or MSR is about.
pub(super) struct Leaf {
    /// Whether the numbers are addresses of MSRs.
    pub(super) is_msr: bool,
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) effect: Effect,
    pub(super) text: &'static str,
}

const fn leaf(number: u32, effect: Effect, text: &'static str) -> Leaf {
    Leaf { is_msr: false, first: number, last: number, effect, text }
}

/// What the loss of a feature of this leaf means, where neither its gates nor a table tell.
pub(super) const LEAVES: [Leaf; 28] = [
    leaf(0x6, Effect::Gone, "power and thermal control that the guest counts on is not there"),
    leaf(0xa, Effect::Gone, PROBE),
    leaf(0xf, Effect::Gone, "resource monitoring that the guest sets up does not count"),
    leaf(0x10, Effect::Gone, "resource limits that the guest sets up do not hold"),
    leaf(0x12, Effect::Gone, "enclave functions fail and enclaves with it cannot be made"),
    leaf(0x14, Effect::Fault, "#GP when the guest asks for it in the controls of its processor trace"),
    leaf(0x19, Effect::Fault, "#GP: LOADIWKEY and key handles of the guest ask for it"),
    leaf(0x1c, Effect::Fault, "#GP when the guest asks for it in the controls of its last branch records"),
    leaf(0x1e, Effect::Fault, "#UD: SIGILL in user space for tile arithmetic"),
    leaf(0x23, Effect::Gone, PROBE),
    leaf(0x29, Effect::Fault, UD),
    Leaf {
        is_msr: false,
        first: 0x4000_0000,
        last: 0x4000_00ff,
        effect: Effect::Gone,
        text: "a paravirtual service that the guest uses is not served",
    },
    leaf(0x8000_0007, Effect::Gone, "power management or error reporting that the guest counts on is not there"),
    leaf(0x8000_000a, Effect::Nested, "a hypervisor in the guest sets it in its VMCBs, and VMRUN refuses or ignores it"),
    leaf(0x8000_001a, Effect::Slower, "no exception: the guest chooses instructions that are slower there"),
    leaf(0x8000_001b, Effect::Gone, "the guest's profiler asks the instruction sampler for it in vain"),
    leaf(0x8000_001c, Effect::Gone, "LLWPCB refuses control blocks that ask for it, or records come without it"),
    leaf(0x8000_001f, Effect::Gone, "encrypted guests, or the hypervisor in the guest that runs them, count on it"),
    leaf(0x8000_0020, Effect::Gone, "resource limits and monitoring that the guest sets up do not work"),
    leaf(0x8000_0021, Effect::Gone, "the guest's kernel counts on it"),
    leaf(0x8000_0022, Effect::Gone, PROBE),
    leaf(0x8000_0023, Effect::Gone, "page tables of the guest ask for encryption keys that are not there"),
    Leaf {
        is_msr: false,
        first: 0x8086_0000,
        last: 0x8086_ffff,
        effect: Effect::Gone,
        text: "the code morphing software does not offer it",
    },
    Leaf {
        is_msr: false,
        first: 0xc000_0000,
        last: 0xc000_ffff,
        effect: Effect::Fault,
        text: "#UD: SIGILL in user space, or a control without effect",
    },
    Leaf { is_msr: true, first: 0xcf, last: 0xcf, effect: Effect::Gone, text: "a model-specific control of the core is not there" },
    Leaf {
        is_msr: true,
        first: 0x345,
        last: 0x345,
        effect: Effect::Silent,
        text: "records of the performance monitor have another layout",
    },
    Leaf {
        is_msr: true,
        first: 0x480,
        last: 0x492,
        effect: Effect::Nested,
        text: "a hypervisor in the guest uses it, and VM entry refuses or ignores it",
    },
    leaf(0x8000_0025, Effect::Gone, "a hypervisor in the guest lays its reverse map table out by it"),
];

//! How long does it take to make sense of one CPUID table: here, and with the crate raw-cpuid?

use std::fmt::{self, Write};
use std::hint::black_box;

use cpuid_db::{CpuidTable, Feature, Field, FieldAt, FieldPlace, Policy};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use raw_cpuid::{CpuId, CpuIdReader, CpuIdResult};

/// The same table for both.
#[derive(Clone)]
struct Table<'a>(&'a CpuidTable);

impl CpuIdReader for Table<'_> {
    fn cpuid2(&self, leaf: u32, subleaf: u32) -> CpuIdResult {
        let registers = self.0.get_or_zero(leaf, subleaf);
        CpuIdResult { eax: registers.eax, ebx: registers.ebx, ecx: registers.ecx, edx: registers.edx }
    }
}

/// Counts the predicates that hold, leaf by leaf.
macro_rules! count {
    ($cpu:expr; $($leaf:ident: $($getter:ident),+;)+) => {
        0 $(+ $cpu.$leaf().map_or(0, |leaf| 0_usize $(+ usize::from(leaf.$getter()))+))+
    };
}

/// All predicates that raw-cpuid has for the leaves of an Intel CPU.
fn predicates<R: CpuIdReader>(cpu: &CpuId<R>) -> usize {
    count! { cpu;
        get_feature_info: has_sse3, has_pclmulqdq, has_ds_area, has_monitor_mwait, has_cpl, has_vmx, has_smx, has_eist, has_tm2,
    has_ssse3, has_cnxtid, has_fma, has_cmpxchg16b, has_pdcm, has_pcid, has_dca, has_sse41, has_sse42, has_x2apic,
    has_movbe, has_popcnt, has_tsc_deadline, has_aesni, has_xsave, has_oxsave, has_avx, has_f16c, has_rdrand,
    has_hypervisor, has_fpu, has_vme, has_de, has_pse, has_tsc, has_msr, has_pae, has_mce, has_cmpxchg8b,
    has_apic, has_sysenter_sysexit, has_mtrr, has_pge, has_mca, has_cmov, has_pat, has_pse36, has_psn,
    has_clflush, has_ds, has_acpi, has_mmx, has_fxsave_fxstor, has_sse, has_sse2, has_ss, has_htt, has_tm, has_pbe;
        get_monitor_mwait_info: extensions_supported, interrupts_as_break_event;
        get_thermal_power_info: has_dts, has_turbo_boost, has_arat, has_pln, has_ecmd, has_ptm, has_hwp, has_hwp_notification,
    has_hwp_activity_window, has_hwp_energy_performance_preference, has_hwp_package_level_request, has_hdc,
    has_turbo_boost3, has_hwp_capabilities, has_hwp_peci_override, has_flexible_hwp, has_hwp_fast_access_mode,
    has_ignore_idle_processor_hwp_request, has_hw_coord_feedback, has_energy_bias_pref;
        get_extended_feature_info: has_fsgsbase, has_tsc_adjust_msr, has_bmi1, has_hle, has_avx2, has_fdp, has_smep, has_bmi2,
    has_rep_movsb_stosb, has_invpcid, has_rtm, has_rdtm, has_fpu_cs_ds_deprecated, has_mpx, has_rdta, has_rdseed,
    has_adx, has_smap, has_clflushopt, has_processor_trace, has_sha, has_sgx, has_avx512f, has_avx512dq,
    has_avx512_ifma, has_avx512pf, has_avx512er, has_avx512cd, has_avx512bw, has_avx512vl, has_clwb,
    has_prefetchwt1, has_avx512vbmi, has_umip, has_pku, has_ospke, has_waitpkg, has_avx512vbmi2,
    has_cet_ss, has_gfni, has_vaes, has_vpclmulqdq, has_avx512vnni, has_avx512bitalg, has_tme_en,
    has_avx512vpopcntdq, has_la57, has_rdpid, has_sgx_lc, has_avx512_4vnniw, has_avx512_4fmaps,
    has_avx512_vp2intersect, has_amx_bf16, has_avx512_fp16, has_amx_tile, has_amx_int8, has_avx_vnni,
    has_avx512_bf16, has_fzrm, has_fsrs, has_fsrcrs, has_hreset, has_avx_ifma, has_lam, has_msrlist,
    has_invd_disable_post_bios_done, has_avx_vnni_int8, has_avx_ne_convert, has_avx_vnni_int16, has_prefetchi,
    has_uiret_uif, has_cet_sss, has_avx10;
        get_performance_monitoring_info: has_any_thread_deprecation, is_core_cyc_ev_unavailable, is_inst_ret_ev_unavailable,
    is_ref_cycle_ev_unavailable, is_cache_ref_ev_unavailable, is_ll_cache_miss_ev_unavailable,
    is_branch_inst_ret_ev_unavailable, is_branch_midpred_ev_unavailable;
        get_extended_state_info: xcr0_supports_legacy_x87, xcr0_supports_sse_128, xcr0_supports_avx_256, xcr0_supports_mpx_bndregs,
    xcr0_supports_mpx_bndcsr, xcr0_supports_avx512_opmask, xcr0_supports_avx512_zmm_hi256,
    xcr0_supports_avx512_zmm_hi16, xcr0_supports_pkru, ia32_xss_supports_pt, ia32_xss_supports_hdc, has_xsaveopt,
    has_xsavec, has_xgetbv, has_xsaves_xrstors;
        get_rdt_monitoring_info: has_l3_monitoring;
        get_rdt_allocation_info: has_l3_cat, has_l2_cat, has_memory_bandwidth_allocation;
        get_sgx_info: has_sgx1, has_sgx2, has_enclv_leaves_einvirtchild_edecvirtchild_esetcontext,
    has_encls_leaves_etrackc_erdinfo_eldbc_elduc;
        get_processor_trace_info: has_rtit_cr3_match, has_configurable_psb_and_cycle_accurate_mode, has_ip_tracestop_filtering,
    has_mtc_timing_packet_coefi_suppression, has_ptwrite, has_power_event_trace, has_topa,
    has_topa_maximum_entries, has_single_range_output_scheme, has_trace_transport_subsystem, has_lip_with_cs_base;
        get_extended_processor_and_feature_identifiers: has_lahf_sahf, has_cmp_legacy, has_svm, has_ext_apic_space, has_alt_mov_cr8, has_lzcnt, has_sse4a,
    has_misaligned_sse_mode, has_prefetchw, has_osvw, has_ibs, has_xop, has_skinit, has_wdt, has_lwp, has_fma4,
    has_tbm, has_topology_extensions, has_perf_cntr_extensions, has_nb_perf_cntr_extensions,
    has_data_access_bkpt_extension, has_perf_tsc, has_perf_cntr_llc_extensions, has_monitorx_mwaitx,
    has_addr_mask_extension, has_syscall_sysret, has_execute_disable, has_mmx_extensions, has_fast_fxsave_fxstor,
    has_1gib_pages, has_rdtscp, has_64bit_mode, has_amd_3dnow_extensions, has_3dnow;
        get_advanced_power_mgmt_info: has_mca_overflow_recovery, has_succor, has_hwa, has_ts, has_freq_id_ctrl, has_volt_id_ctrl, has_thermtrip,
    has_tm, has_100mhz_steps, has_hw_pstate, has_invariant_tsc, has_cpb, has_ro_effective_freq_iface,
    has_feedback_iface, has_power_reporting_iface;
        get_processor_capacity_feature_info: has_cl_zero, has_inst_ret_cntr_msr, has_restore_fp_error_ptrs, has_invlpgb, has_rdpru, has_mcommit,
    has_wbnoinvd, has_int_wbinvd, has_unsupported_efer_lmsle, has_invlpgb_nested;
        }
}

fn features(c: &mut Criterion) {
    let policy = vcpu_benches::machine(0);
    let mut group = c.benchmark_group("features of one table");
    group.throughput(Throughput::Elements(1));
    group.bench_function(format!("Policy::features, {} bits", Feature::COUNT), |b| b.iter(|| black_box(&policy).features().len()));
    group.bench_function("raw-cpuid, 254 predicates", |b| {
        b.iter(|| predicates(&CpuId::with_cpuid_reader(Table(black_box(&policy.cpuid)))));
    });
    group.finish();
}

/// A place for text that only counts it, so that memory is not measured.
struct Sink(usize);

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Names of all features that are there, and names and values of all fields of all subleaves that are there.
fn say(policy: &Policy, out: &mut Sink) -> fmt::Result {
    for feature in &policy.features() {
        writeln!(out, "{feature}")?;
    }
    for field in Field::all() {
        match field.row().place {
            FieldPlace::Cpuid { leaf, first, last, .. } => {
                for entry in policy.cpuid.leaf(leaf).iter().filter(|entry| (first..=last).contains(&entry.subleaf)) {
                    say_field(policy, FieldAt { field, subleaf: entry.subleaf }, out)?;
                }
            }
            FieldPlace::Msr { .. } => say_field(policy, FieldAt { field, subleaf: 0 }, out)?,
        }
    }
    Ok(())
}

fn say_field(policy: &Policy, at: FieldAt, out: &mut Sink) -> fmt::Result {
    policy.field(at).map_or(Ok(()), |value| writeln!(out, "{}[{}] = {value:#x}", at.field.name(), at.subleaf))
}

/// The length of what is said, here.
fn here(policy: &Policy) -> usize {
    let mut out = Sink(0);
    say(policy, &mut out).map_or(0, |()| out.0)
}

/// The length of what is said by raw-cpuid.
fn there(policy: &Policy) -> usize {
    let mut out = Sink(0);
    write!(out, "{:?}", CpuId::with_cpuid_reader(Table(&policy.cpuid))).map_or(0, |()| out.0)
}

fn everything(c: &mut Criterion) {
    let policy = vcpu_benches::machine(0);
    let mut group = c.benchmark_group("everything in one table, as text");
    group.throughput(Throughput::Elements(1));
    let [ours, theirs] = [here(&policy), there(&policy)];
    group.bench_function(format!("features and fields, {ours} bytes"), |b| b.iter(|| here(black_box(&policy))));
    group.bench_function(format!("raw-cpuid, Debug of CpuId, {theirs} bytes"), |b| b.iter(|| there(black_box(&policy))));
    group.finish();
}

criterion_group!(benches, features, everything);
criterion_main!(benches);

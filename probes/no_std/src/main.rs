//! Links the core crates into a program without std, allocator or C library, and runs them.
//!
//! Two machines are folded into a pool and resolved; the exit code is 0 if the answer is right, 1 if it is wrong, 2 after a panic.
//! `cargo xtask ci` builds it for x86-64 Linux; a crate that began to need `std` or `alloc` would not link.
#![no_std]
#![no_main]

mod platform;

use cpu_caps::{
    Accept, Baseline, Choices, Core, Guest, Identity, Machine, Pool, Request, StockKvm, Topology, Verdict, View, check, check_topology,
    finish, specialise,
};
use cpuid_db::{Feature, FeatureSet, Live, Policy, Register, Registers, TableFull, Vendor};
use msr_semantics::{Context, Filter, Initiator, MsrFile, Refusal, Settings};

/// What the program does, and its exit code.
fn run() -> i32 {
    let [Ok(old), Ok(new)] = [machine(false), machine(true)] else { return 1 };
    let right = resolve(&old, &new)
        .is_some_and(|baseline| is_right(&baseline) && vcpus_are_right(&baseline.policy) && msrs_are_right(&baseline.policy));
    let right = right && moves_are_right(&old, &new);
    i32::from(!(right && names_are_found()))
}

/// An Intel machine with AVX2, or with AVX-512 on top.
fn machine(new: bool) -> Result<Policy, TableFull> {
    let mut policy = Policy::default();
    policy.cpuid.insert(0, 0, Vendor::Intel.leaf_0(0x16))?;
    policy.cpuid.insert(1, 0, Registers::new(0x5_0654, 0x800, 0, 0))?;
    policy.cpuid.insert(0x8000_0000, 0, Registers::new(0x8000_0008, 0, 0, 0))?;
    policy.cpuid.insert(0xd, 2, Registers::new(256, 576, 0, 0))?;
    for feature in core::hint::black_box(OLD).into_iter().chain(NEW.into_iter().filter(|_| new)) {
        policy.set_feature(feature, true)?;
    }
    Ok(policy)
}

const OLD: [Feature; 10] = [
    Feature::FPU,
    Feature::FXSR,
    Feature::SSE,
    Feature::SSE2,
    Feature::XSAVE,
    Feature::AVX,
    Feature::AVX2,
    Feature::XCR0_X87,
    Feature::XCR0_SSE,
    Feature::XCR0_AVX,
];
const NEW: [Feature; 1] = [Feature::AVX512F];

fn resolve(old: &Policy, new: &Policy) -> Option<Baseline> {
    let mut pool: Pool = Pool::new();
    for (id, policy) in [(0, old), (1, new)] {
        let raw = View::of(policy);
        let ceiling = StockKvm::default().view(policy, &raw);
        let cores = [Core { identity: Identity::of(policy), raw: &raw, ceiling: &ceiling }];
        pool.add(&Machine { id, cores: &cores });
    }
    finish(&pool, &Request::default()).ok()
}

/// A guest with AVX-512 cannot move to a machine without; the other way round it can.
fn moves_are_right(old: &Policy, new: &Policy) -> bool {
    let verdict = |guest: &Policy, host: &Policy| {
        let (view, raw) = (View::of(guest), View::of(host));
        let core = Core { identity: Identity::of(host), raw: &raw, ceiling: &raw };
        check(&Guest { identity: Identity::of(guest), view: &view, msrs: &[] }, &Accept::of(core), |_| {})
    };
    verdict(new, old) == Verdict::Incompatible && verdict(old, new) == Verdict::Compatible
}

/// A guest without PDCM has no IA32_PERF_CAPABILITIES, nobody knows DEADH, and everything can be trapped.
fn msrs_are_right(guest: &Policy) -> bool {
    let file = MsrFile::new(guest, &Settings::default());
    let read = |address| file.read(&Context::default(), address, Initiator::Guest);
    matches!(read(0x345), Err(Refusal::Fault(_))) && read(0xdead) == Err(Refusal::Unknown) && Filter::TRAP_ALL.compile().is_ok()
}

fn is_right(baseline: &Baseline) -> bool {
    let wanted = FeatureSet::EMPTY.with(Feature::AVX2).with(Feature::XSAVE);
    wanted.is_subset(&baseline.policy.features())
        && !baseline.features.contains(Feature::AVX512F)
        && baseline.policy.vendor() == Vendor::Intel
}

/// Two vCPUs of the guest answer CPUID and agree on where they are.
fn vcpus_are_right(template: &Policy) -> bool {
    let topology = Topology::new(core::hint::black_box(2), 1, 1, 1);
    let vcpu = |index| specialise(template, &topology, &Choices::default(), index);
    let (Ok(first), Ok(second)) = (vcpu(0), vcpu(1)) else { return false };
    let live = Live { cr4: core::hint::black_box(1 << 18), ..Live::RESET };
    let osxsave = second.answer(1, 0, &live).registers().is_some_and(|registers| registers.ecx >> 27 & 1 == 1);
    let mut agree = true;
    check_topology(&[&first, &second], &mut |_| agree = false);
    osxsave && agree && second.cpuid.register(1, 0, Register::Ebx) >> 24 == 1
}

#[cfg(feature = "names")]
fn names_are_found() -> bool {
    use cpuid_db::{Found, Named, lookup};
    lookup(core::hint::black_box("avx2")) == Ok(Found::Named(Named::Feature(Feature::AVX2)))
}

#[cfg(not(feature = "names"))]
fn names_are_found() -> bool {
    true
}

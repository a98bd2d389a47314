//! Synthetic machines and short ways to ask about results.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]
#![allow(clippy::result_large_err, reason = "a refusal stands beside a much larger baseline")]

pub mod oracle;
pub mod random;
pub mod views;

use cpu_caps::{
    Accept, Baseline, Core, Gap, Guest, Identity, Machine, Outcome, Pool, Refusal, Request, StockKvm, Verdict, View, check, finish,
};
use cpuid_db::{Feature, Field, FieldAt, Found, MsrEntry, Named, Policy, Registers, Vendor, lookup};

/// A feature by any spelling.
pub fn feature(word: &str) -> Feature {
    match lookup(word) {
        Ok(Found::Named(Named::Feature(feature))) => feature,
        other => panic!("{word}: {other:?}"),
    }
}

/// A CPU of this vendor, family-model-stepping in leaf 1 form, with these features and high maximum leaves.
pub fn cpu(vendor: &str, signature: u32, features: &[&str]) -> Policy {
    let mut policy = Policy::default();
    policy.cpuid.insert(0, 0, Vendor::from_bytes(vendor.as_bytes().try_into().unwrap()).leaf_0(0x20)).unwrap();
    policy.cpuid.insert(1, 0, Registers::new(signature, 0x0800, 0, 0)).unwrap();
    let max = if vendor == "GenuineIntel" { 0x8000_0008 } else { 0x8000_0021 };
    policy.cpuid.insert(0x8000_0000, 0, Registers::new(max, 0, 0, 0)).unwrap();
    policy.cpuid.insert(0x8000_0008, 0, Registers::new(0x302e, 0, 0, 0)).unwrap();
    for name in features {
        policy.set_feature(feature(name), true).unwrap();
    }
    policy
}

/// An Intel server CPU.
pub fn intel(features: &[&str]) -> Policy {
    cpu("GenuineIntel", 0x5_0654, features)
}

/// An AMD server CPU (Zen 2).
pub fn amd(features: &[&str]) -> Policy {
    cpu("AuthenticAMD", 0x0083_0f10, features)
}

/// Adds XSAVE state components in the standard layout: (number, size, offset).
pub fn components(policy: &mut Policy, list: &[(u32, u32, u32)]) {
    for (number, size, offset) in list {
        policy.cpuid.insert(0xd, *number, Registers::new(*size, *offset, 0, 0)).unwrap();
    }
}

/// Which ceiling a test uses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ceiling {
    /// Hardware alone.
    Raw,
    /// The model of stock KVM.
    Kvm,
}

/// Adds one CPU to a pool under this identifier.
pub fn add(pool: &mut Pool, id: u32, policy: &Policy, ceiling: Ceiling) {
    let raw = View::of(policy);
    let kvm = StockKvm::default().view(policy, &raw);
    let ceiling = if ceiling == Ceiling::Raw { &raw } else { &kvm };
    let cores = [Core { identity: Identity::of(policy), raw: &raw, ceiling }];
    pool.add(&Machine { id, cores: &cores });
}

/// A pool of these CPUs, numbered in order.
pub fn pool(policies: &[&Policy], ceiling: Ceiling) -> Box<Pool> {
    let mut pool = Box::new(Pool::new());
    for (id, policy) in policies.iter().enumerate() {
        add(&mut pool, id as u32, policy, ceiling);
    }
    pool
}

/// The baseline of these CPUs with the default request.
pub fn baseline(policies: &[&Policy], ceiling: Ceiling) -> Result<Baseline, Refusal> {
    finish(&pool(policies, ceiling), &Request::default())
}

/// Whether the guest has the feature.
pub fn has(baseline: &Baseline, word: &str) -> bool {
    let found = baseline.features.contains(feature(word));
    assert_eq!(found, baseline.policy.features().contains(feature(word)), "{word}: the policy's registers and its feature set agree");
    found
}

/// Outcome, cause and number of witnesses of a feature's decision.
pub fn why(baseline: &Baseline, word: &str) -> (Outcome, &'static str, u32) {
    let decision = baseline.decisions.feature(feature(word));
    (decision.outcome, decision.cause.name(), decision.count)
}

/// A field's value in the guest policy.
pub fn value(baseline: &Baseline, field: Field) -> u64 {
    baseline.policy.field(FieldAt { field, subleaf: field.row().subleaves().0 }).unwrap_or(0)
}

/// The verdict on a guest with these MSR values on a machine, and every gap.
pub fn checked(guest: &Policy, msrs: &[MsrEntry], host: &Policy, ceiling: Ceiling) -> (Verdict, Vec<Gap>) {
    let (view, raw) = (View::of(guest), View::of(host));
    let kvm = StockKvm::default().view(host, &raw);
    let core = Core { identity: Identity::of(host), raw: &raw, ceiling: if ceiling == Ceiling::Raw { &raw } else { &kvm } };
    let mut gaps = Vec::new();
    let guest = Guest { identity: Identity::of(guest), view: &view, msrs };
    let verdict = check(&guest, &Accept::of(core), |gap| gaps.push(gap));
    (verdict, gaps)
}

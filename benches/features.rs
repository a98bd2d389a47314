//! How fast are questions about features: membership, names, the features of a policy?

use std::hint::black_box;

use cpuid_db::{Feature, lookup, nearest};
use criterion::{Criterion, criterion_group, criterion_main};

fn membership(c: &mut Criterion) {
    let set = vcpu_benches::machine(0).features();
    c.bench_function("FeatureSet::contains", |b| b.iter(|| black_box(&set).contains(black_box(Feature::AVX2))));
    let all: Vec<Feature> = Feature::all().collect();
    c.bench_function("FeatureSet::contains, each feature", |b| {
        b.iter(|| all.iter().filter(|feature| black_box(&set).contains(**feature)).count());
    });
}

fn names(c: &mut Criterion) {
    for word in ["AVX512_VBMI", "avx512-vbmi", "xen:IBRS", "CPUID.7.0.EBX[13]", "no_such_feature"] {
        c.bench_function(&format!("lookup {word}"), |b| b.iter(|| lookup(black_box(word)).is_ok()));
    }
    c.bench_function("nearest", |b| b.iter(|| nearest(black_box("avx512_vbnm"))));
}

fn policies(c: &mut Criterion) {
    let policy = vcpu_benches::machine(0);
    c.bench_function("Policy::features", |b| b.iter(|| black_box(&policy).features()));
    c.bench_function("valid_cr4", |b| b.iter(|| cpuid_db::valid_cr4(black_box(&policy))));
}

criterion_group!(benches, membership, names, policies);
criterion_main!(benches);

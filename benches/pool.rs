//! What does a baseline cost: views, folding a pool, finishing it?

use std::hint::black_box;

use cpu_caps::{Accept, Baseline, Core, Guest, Identity, Machine, Pool, Request, StockKvm, View, check, finish};
use cpuid_db::{FeatureSet, Policy};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const MACHINES: u32 = 100;

/// A machine as the engine takes it.
struct Member {
    identity: Identity,
    raw: View,
    ceiling: View,
}

fn member(policy: &Policy) -> Member {
    let raw = View::of(policy);
    let ceiling = StockKvm::default().view(policy, &raw);
    Member { identity: Identity::of(policy), raw, ceiling }
}

fn fold<const W: usize>(pool: &mut Pool<W>, fleet: &[Member]) {
    for (id, Member { identity, raw, ceiling }) in (0..).zip(fleet) {
        let cores = [Core { identity: *identity, raw, ceiling }];
        pool.add(&Machine { id, cores: &cores });
    }
}

/// Looks at every bit and field that a fold has to look at: what memory alone costs.
fn read(member: &Member) -> u64 {
    let views = [&member.raw, &member.ceiling];
    let words = views.iter().flat_map(|view| [&view.features, &view.unknown]).flat_map(FeatureSet::words);
    let fields = views.iter().flat_map(|view| &view.fields).filter_map(|value| value.known());
    words.map(|word| u64::from(*word)).chain(fields).fold(0, u64::wrapping_add)
}

fn views(c: &mut Criterion) {
    let policy = vcpu_benches::machine(0);
    let raw = View::of(&policy);
    c.bench_function("View::of", |b| b.iter(|| View::of(black_box(&policy))));
    c.bench_function("StockKvm::view", |b| b.iter(|| StockKvm::default().view(black_box(&policy), black_box(&raw))));
}

fn pools(c: &mut Criterion) {
    let fleet: Vec<Member> = (0..MACHINES).map(|number| member(&vcpu_benches::machine(number))).collect();
    let mut group = c.benchmark_group("fold 100 machines");
    group.throughput(Throughput::Elements(u64::from(MACHINES)));
    let mut pool: Box<Pool> = Box::default();
    group.bench_function("8 witnesses", |b| b.iter(|| fold(&mut pool, black_box(&fleet))));
    let mut bare: Box<Pool<0>> = Box::default();
    group.bench_function("no witnesses", |b| b.iter(|| fold(&mut bare, black_box(&fleet))));
    group.bench_function("reading the same views", |b| b.iter(|| black_box(&fleet).iter().map(read).fold(0, u64::wrapping_add)));
    group.finish();
    let other = pool.clone();
    c.bench_function("Pool::merge", |b| b.iter(|| pool.merge(black_box(&other))));
}

fn baselines(c: &mut Criterion) {
    let fleet: Vec<Member> = (0..MACHINES).map(|number| member(&vcpu_benches::machine(number))).collect();
    let mut pool: Box<Pool> = Box::default();
    fold(&mut pool, &fleet);
    c.bench_function("finish 100 machines", |b| b.iter(|| finish(black_box(&pool), &Request::default()).is_ok()));
    let policy = vcpu_benches::machine(0);
    let mut one: Box<Pool> = Box::default();
    c.bench_function("resolve one guest from its policy", |b| {
        b.iter(|| {
            let member = member(black_box(&policy));
            *one = Pool::new();
            fold(&mut one, std::slice::from_ref(&member));
            finish(&one, &Request::default()).is_ok()
        });
    });
    one_guest(c, &member(&policy));
}

/// One guest on one machine whose views are there already: what a VMM does for each VM that it starts.
fn one_guest(c: &mut Criterion, member: &Member) {
    let mut pool: Box<Pool<1>> = Box::default();
    let mut guest = Box::new(Baseline::new());
    let alone = std::slice::from_ref(member);
    fold(&mut pool, alone);
    c.bench_function("resolve one guest", |b| {
        b.iter(|| {
            pool.clear();
            fold(&mut pool, black_box(alone));
            guest.resolve(&pool, &Request::default()).is_ok()
        });
    });
    c.bench_function("Baseline::resolve of one machine", |b| b.iter(|| guest.resolve(black_box(&pool), &Request::default()).is_ok()));
    c.bench_function("finish one machine", |b| b.iter(|| finish(black_box(&pool), &Request::default()).is_ok()));
}

/// May this guest run there? Against what a machine accepts, which is known once per machine.
fn checks(c: &mut Criterion) {
    let (here, there) = (member(&vcpu_benches::machine(0)), member(&vcpu_benches::machine(1)));
    let guest = Guest { identity: here.identity, view: &here.ceiling, msrs: &[] };
    let accept = Accept::of(Core { identity: there.identity, raw: &there.raw, ceiling: &there.ceiling });
    c.bench_function("Accept::of", |b| {
        b.iter(|| Accept::of(black_box(Core { identity: there.identity, raw: &there.raw, ceiling: &there.ceiling })).may.len());
    });
    let gaps = |accept: &Accept<'_>| {
        let mut gaps = 0;
        let verdict = check(black_box(&guest), accept, |_| gaps += 1);
        (verdict, gaps)
    };
    c.bench_function("check of another machine's guest", |b| b.iter(|| gaps(black_box(&accept))));
}

criterion_group!(benches, views, pools, baselines, checks);
criterion_main!(benches);

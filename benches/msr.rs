//! How fast are accesses to the MSR file, beside two designs written by hand for the same addresses?
//!
//! The mix: every address of the table in random order and one access in ten to an address that is not there; each a write, then a read.

use std::hint::black_box;

use cpuid_db::{Feature, Policy, Registers, Vendor};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use msr_semantics::{Context, Filter, Initiator, MsrFile, Rule, Settings};
use vcpu_benches::designs::{ByMatch, ByTree, Cell};

const CX: Context = Context { tsc: 1 };
const ROUNDS: usize = 4;

/// An AMD guest under Hyper-V's signature with every feature that AMD may have: most rows are open.
fn guest() -> Policy {
    let mut policy = Policy::default();
    let mut leaf = |leaf, registers| policy.cpuid.insert(leaf, 0, registers).expect("few leaves");
    leaf(0, Vendor::Amd.leaf_0(0x20));
    leaf(0x8000_0000, Registers::new(0x8000_0026, 0, 0, 0));
    leaf(0x4000_0000, Registers::new(0x4000_000c, 0x7263_694d, 0x666f_736f, 0x7648_2074));
    leaf(0x4000_0001, Registers::new(0x3123_7648, 0, 0, 0));
    leaf(0x8000_0022, Registers::new(0, 0x106, 0, 0));
    leaf(0x8000_0008, Registers::new(48, 0, 0, 0));
    for feature in Feature::all().filter(|feature| feature.row().vendors.is_empty() || feature.row().vendors.contains(Vendor::Amd.set())) {
        policy.set_feature(feature, true).expect("few leaves");
    }
    policy.msrs.insert(0x179, 0x20).expect("one MSR");
    policy
}

/// Numbers that are the same in every run (xorshift).
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Addresses and values that are accepted, if any are.
fn mix(file: &mut MsrFile, known: &[u32], unknown_too: bool) -> Vec<(u32, u64)> {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let mut mix = Vec::new();
    for _ in 0..ROUNDS * known.len() {
        let unknown = unknown_too && random(&mut state).is_multiple_of(10);
        let address = known[random(&mut state) as usize % known.len()];
        let now = file.read(&CX, address, Initiator::Host).unwrap_or(0);
        let wanted = random(&mut state) & 0xffff_ffff;
        let value = if file.write(&CX, address, wanted, Initiator::Guest).is_ok() { wanted } else { now };
        mix.push(if unknown { (address ^ 0x2000_0000, value) } else { (address, value) });
    }
    mix
}

/// The bits of an MSR that the guest may change, found by trying.
fn cell(file: &mut MsrFile, address: u32) -> Cell {
    let value = file.read(&CX, address, Initiator::Host).unwrap_or(0);
    let mut try_bit = |bit: u64| file.write(&CX, address, value ^ bit, Initiator::Guest).is_ok();
    let mask = (0..64).map(|bit| 1 << bit).filter(|bit| try_bit(*bit)).fold(0, |mask, bit| mask | bit);
    Cell { value, mask }
}

fn access(file: &mut MsrFile, (address, value): (u32, u64)) -> u64 {
    let written = file.write(&CX, address, value, Initiator::Guest).is_ok();
    file.read(&CX, address, Initiator::Guest).unwrap_or(0) ^ u64::from(written)
}

/// Does all accesses of a mix, in one design or another.
type Accesses<'a> = &'a mut dyn FnMut(&[(u32, u64)]) -> u64;

fn accesses(c: &mut Criterion) {
    let settings = Settings::default();
    let fresh = || Box::new(MsrFile::new(&guest(), &settings));
    let all: Vec<u32> = msr_semantics::addresses().collect();
    let shared: Vec<u32> = all.iter().copied().filter(|address| ByMatch::knows(*address)).collect();
    let mut group = c.benchmark_group("msr");
    let mut run = |name: &str, mix: &[(u32, u64)], access: Accesses<'_>| {
        group.throughput(Throughput::Elements(2 * mix.len() as u64));
        group.bench_function(name, |b| b.iter(|| access(black_box(mix))));
    };
    let (mut file, mut scratch) = (fresh(), fresh());
    let whole = mix(&mut scratch, &all, true);
    run("the mix, MsrFile", &whole, &mut |mix| mix.iter().fold(0, |sum, step| sum ^ access(&mut file, *step)));
    let hits = mix(&mut scratch, &all, false);
    run("hits", &hits, &mut |mix| mix.iter().fold(0, |sum, step| sum ^ access(&mut file, *step)));
    let misses: Vec<(u32, u64)> = whole.iter().map(|(address, value)| (address ^ 0x2000_0000, *value)).collect();
    run("unknown addresses", &misses, &mut |mix| mix.iter().fold(0, |sum, step| sum ^ access(&mut file, *step)));
    let hooked: Vec<u32> = all.iter().copied().filter(|address| has_hook(*address)).collect();
    let hooked = mix(&mut scratch, &hooked, false);
    run("hooks", &hooked, &mut |mix| mix.iter().fold(0, |sum, step| sum ^ access(&mut file, *step)));
    let common = mix(&mut fresh(), &shared, true);
    run("addresses of the match, MsrFile", &common, &mut |mix| mix.iter().fold(0, |sum, step| sum ^ access(&mut file, *step)));
    let cells: Vec<(u32, Cell)> = shared.iter().map(|address| (*address, cell(&mut scratch, *address))).collect();
    let mut by_match = ByMatch::new(&cells);
    run("addresses of the match, match", &common, &mut |mix| mix.iter().fold(0, |sum, step| sum ^ by_match.access(*step)));
    let mut by_tree = ByTree::new(&cells);
    run("addresses of the match, BTreeMap of handlers", &common, &mut |mix| mix.iter().fold(0, |sum, step| sum ^ by_tree.access(*step)));
}

fn has_hook(address: u32) -> bool {
    msr_semantics::entry(address).is_some_and(|entry| entry.rows().any(|(row, _)| row.hook.is_some()))
}

fn construction(c: &mut Criterion) {
    let policy = guest();
    let settings = Settings::default();
    let new = |policy: &Policy| Box::new(MsrFile::new(policy, &settings));
    c.bench_function("MsrFile::new", |b| b.iter_batched(|| (), |()| new(black_box(&policy)), BatchSize::SmallInput));
    let rule = |at: u32| Rule { first: at, last: at, read: true, write: true, allow: true };
    let rules: Vec<Rule> = msr_semantics::addresses().map(rule).collect();
    let filter = Filter { default_allow: false, rules: &rules };
    c.bench_function("Filter::compile, a rule for each address", |b| b.iter(|| black_box(&filter).compile().is_ok()));
    let few = Filter { default_allow: false, rules: &rules[..rules.len().min(8)] };
    c.bench_function("Filter::compile, eight rules", |b| b.iter(|| black_box(&few).compile().is_ok()));
}

criterion_group!(benches, accesses, construction);
criterion_main!(benches);

//! How many bytes and machines a second does each reader take?

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn readers(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    for (format, text) in vcpu_benches::files() {
        group.throughput(Throughput::BytesDecimal(text.len() as u64));
        group.bench_function(format.name(), |b| b.iter(|| cpu_dumps::read("bench", black_box(text.as_bytes())).is_ok()));
    }
    group.finish();
}

/// JSON lines: one machine in each, as fleets are kept.
fn fleet(c: &mut Criterion) {
    const MACHINES: usize = 100;
    let (_, text) = vcpu_benches::files().swap_remove(0);
    let machine = cpu_dumps::read("bench", text.as_bytes()).ok().and_then(|mut machines| machines.pop());
    let line = machine.map(|machine| cpu_dumps::Dump::new(&machine).one_line().to_string()).unwrap_or_default();
    let fleet = line.repeat(MACHINES);
    let mut group = c.benchmark_group("fleet");
    group.throughput(Throughput::Elements(MACHINES as u64));
    group.bench_function("JSON lines", |b| b.iter(|| cpu_dumps::lines("bench", black_box(fleet.as_bytes())).flatten().count()));
    group.finish();
}

criterion_group!(benches, readers, fleet);
criterion_main!(benches);

//! How many bytes and machines a second does each reader take, and each writer give?

use std::hint::black_box;

use cpu_dumps::{Dump, Target, lines, read, write};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// One machine of so many bytes.
fn one(bytes: usize) -> Throughput {
    Throughput::ElementsAndBytes { elements: 1, bytes: bytes as u64 }
}

fn readers(c: &mut Criterion) {
    let mut group = c.benchmark_group("read");
    for (format, text) in vcpu_benches::files(&vcpu_benches::dump()) {
        group.throughput(one(text.len()));
        group.bench_function(format.name(), |b| b.iter(|| read("bench", black_box(&text)).is_ok()));
    }
    group.finish();
}

/// What is written is read again and compared with the machine: that is a part of each.
fn writers(c: &mut Criterion) {
    let machine = vcpu_benches::dump();
    let mut group = c.benchmark_group("write");
    for target in Target::ALL {
        let written = write(&machine, target).expect("a whole machine can be written");
        group.throughput(one(written.parts.iter().map(|part| part.text.len()).sum()));
        group.bench_function(target.format().name(), |b| b.iter(|| write(black_box(&machine), target).is_ok()));
    }
    group.throughput(one(Dump::new(&machine).to_string().len()));
    group.bench_function("vcpu.dump/1, text alone", |b| b.iter(|| Dump::new(black_box(&machine)).to_string()));
    group.finish();
}

/// JSON lines: one machine in each, as fleets are kept.
fn fleet(c: &mut Criterion) {
    const MACHINES: usize = 100;
    let line = Dump::new(&vcpu_benches::dump()).one_line().to_string();
    let fleet = line.repeat(MACHINES);
    let mut group = c.benchmark_group("fleet");
    group.throughput(Throughput::ElementsAndBytes { elements: MACHINES as u64, bytes: fleet.len() as u64 });
    group.bench_function("JSON lines", |b| b.iter(|| lines("bench", black_box(fleet.as_bytes())).flatten().count()));
    group.finish();
}

criterion_group!(benches, readers, writers, fleet);
criterion_main!(benches);

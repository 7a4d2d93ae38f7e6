//! A message from one thread to the next, in batches and one at a time, beside crossbeam's channel.
//!
//! What travels is 48 bytes: a topic and a payload, both shared. `rust/flux-bus/examples/hop.rs`
//! looks at more ways and more peers.

mod fixture;

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use fixture::Outcome;
use flux_bus::{Doorbell, channel};

type Message = [u64; 6];

const CAPACITY: usize = 1024;
const BATCH: u64 = 256;
const MESSAGE: Message = [7; 6];

/// Sends `batches` of `batch` and takes up to `max` at a time.
fn ours(batches: u64, batch: u64, max: usize) -> Duration {
    let Ok((sender, mut receiver)) = channel(CAPACITY, Doorbell::new()) else {
        return Duration::ZERO;
    };
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut items = Vec::with_capacity(batch as usize);
            for _ in 0..batches {
                if batch == 1 {
                    let _ = sender.send(MESSAGE, None);
                } else {
                    items.resize(batch as usize, MESSAGE);
                    let _ = sender.send_batch(&mut items, None);
                }
            }
        });
        let mut got = Vec::with_capacity(max);
        let mut left = batches * batch;
        while left > 0 {
            left -= receiver.recv_batch(&mut got, max, None).map_or(left, |taken| taken as u64);
            black_box(&got);
            got.clear();
        }
    });
    begun.elapsed()
}

fn crossbeam(messages: u64) -> Duration {
    let (sender, receiver) = crossbeam_channel::bounded(CAPACITY);
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..messages {
                let _ = sender.send(MESSAGE);
            }
        });
        for message in receiver {
            black_box(message);
        }
    });
    begun.elapsed()
}

fn hopping(criterion: &mut Criterion) -> Outcome {
    let mut group = criterion.benchmark_group("ring_hop");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("channel, batches of 256", |bencher| {
        bencher.iter_custom(|rounds| ours(rounds, BATCH, BATCH as usize));
    });
    group.bench_function("channel, sent one at a time, taken in batches", |bencher| {
        bencher.iter_custom(|rounds| ours(rounds * BATCH, 1, BATCH as usize));
    });
    group.bench_function("channel, one at a time", |bencher| {
        bencher.iter_custom(|rounds| ours(rounds * BATCH, 1, 1));
    });
    group.bench_function("crossbeam-channel, one at a time", |bencher| {
        bencher.iter_custom(|rounds| crossbeam(rounds * BATCH));
    });
    group.finish();
    Ok(())
}

fn main() {
    fixture::run(&[hopping]);
}

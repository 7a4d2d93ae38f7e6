//! What one hop from thread to thread costs, beside crossbeam-channel and flume in the same run.
//!
//! `cargo run -p flux-bus --release --example hop [messages]`
//!
//! Each line is the median of nine rounds, in nanoseconds per message of 48 bytes (a topic and a
//! payload), capacity 1024. "park" means that a consumer with nothing to do sleeps; senders wait
//! for room. A batch is 256 messages.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flux_bus::{Bus, Doorbell, Event, Overflow, Ring, channel};
use flux_types::{Topic, TopicFilter};

type Message = [u64; 6];

const CAPACITY: usize = 1024;
const BATCH: usize = 256;
const ROUNDS: usize = 9;
const MESSAGE: Message = [7; 6];

fn median(name: &str, messages: usize, mut round: impl FnMut(usize) -> Duration) {
    let mut times: Vec<f64> =
        (0..ROUNDS).map(|_| round(messages).as_nanos() as f64 / messages as f64).collect();
    times.sort_by(f64::total_cmp);
    println!("{name:<58} {:>7.1} ns  (best {:.1})", times[ROUNDS / 2], times[0]);
}

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

/// Runs `produce` on each of `producers` threads and `consume` here.
fn race(producers: usize, produce: impl Fn() + Sync, consume: impl FnOnce()) -> Duration {
    timed(|| {
        thread::scope(|scope| {
            for _ in 0..producers {
                scope.spawn(&produce);
            }
            consume();
        });
    })
}

fn one_thread(messages: usize) {
    println!("-- one thread, in and out again");
    let ring = Ring::new(CAPACITY).unwrap_or_else(|_| unreachable!());
    median("Ring, one at a time", messages, |messages| {
        timed(|| {
            for _ in 0..messages {
                let _ = ring.try_push(MESSAGE);
                black_box(ring.pop());
            }
        })
    });
    let (mut batch, mut got) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    median("Ring, batches", messages, |messages| {
        timed(|| {
            for _ in 0..messages / BATCH {
                batch.resize(BATCH, MESSAGE);
                let _ = ring.push_batch(&mut batch);
                ring.pop_batch(&mut got, BATCH);
                black_box(&got);
                got.clear();
            }
        })
    });
    let (sender, receiver) = crossbeam_channel::bounded(CAPACITY);
    median("crossbeam-channel, one at a time", messages, |messages| {
        timed(|| {
            for _ in 0..messages {
                let _ = sender.try_send(MESSAGE);
                let _ = black_box(receiver.try_recv());
            }
        })
    });
    let (sender, receiver) = flume::bounded(CAPACITY);
    median("flume, one at a time", messages, |messages| {
        timed(|| {
            for _ in 0..messages {
                let _ = sender.try_send(MESSAGE);
                let _ = black_box(receiver.try_recv());
            }
        })
    });
}

fn ours(producers: usize, batch: usize, max: usize, messages: usize) -> Duration {
    let Ok((sender, mut receiver)) = channel(CAPACITY, Doorbell::new()) else { unreachable!() };
    let each = messages / producers;
    race(
        producers,
        || {
            if batch == 1 {
                for _ in 0..each {
                    let _ = sender.send(MESSAGE, None);
                }
                return;
            }
            let mut items = Vec::with_capacity(batch);
            for _ in 0..each / batch {
                items.resize(batch, MESSAGE);
                let _ = sender.send_batch(&mut items, None);
            }
        },
        || {
            let mut got = Vec::with_capacity(max);
            let mut left = each / batch * batch * producers;
            while left > 0 {
                left -= receiver.recv_batch(&mut got, max, None).unwrap_or(left);
                black_box(&got);
                got.clear();
            }
        },
    )
}

/// The bare ring: both sides yield when they cannot go on.
fn spinning(producers: usize, messages: usize) -> Duration {
    let Ok(ring) = Ring::new(CAPACITY) else { unreachable!() };
    let rounds = messages / producers / BATCH;
    race(
        producers,
        || {
            let mut items = Vec::with_capacity(BATCH);
            for _ in 0..rounds {
                items.resize(BATCH, MESSAGE);
                while !items.is_empty() {
                    if ring.push_batch(&mut items) == Ok(0) {
                        thread::yield_now();
                    }
                }
            }
        },
        || {
            let mut got = Vec::with_capacity(BATCH);
            let mut left = rounds * BATCH * producers;
            while left > 0 {
                let taken = ring.pop_batch(&mut got, BATCH);
                if taken == 0 {
                    thread::yield_now();
                }
                left -= taken;
                black_box(&got);
                got.clear();
            }
        },
    )
}

fn across(producers: usize, messages: usize) {
    println!("-- {producers} producer(s), one consumer, each on its thread");
    median("Ring, batches, spin", messages, |m| spinning(producers, m));
    for (name, batch, max) in [
        ("channel, batches, park", BATCH, BATCH),
        ("channel, sent one at a time, taken in batches, park", 1, BATCH),
        ("channel, one at a time, park", 1, 1),
    ] {
        median(name, messages, |messages| ours(producers, batch, max, messages));
    }
    let each = messages / producers;
    median("crossbeam-channel, one at a time, park", messages, |_| {
        let (sender, receiver) = crossbeam_channel::bounded(CAPACITY);
        race(
            producers,
            || (0..each).for_each(|_| sender.send(MESSAGE).unwrap_or_default()),
            || {
                (0..each * producers).for_each(|_| {
                    black_box(receiver.recv().unwrap_or_default());
                })
            },
        )
    });
    median("flume, one at a time, park", messages, |_| {
        let (sender, receiver) = flume::bounded(CAPACITY);
        race(
            producers,
            || (0..each).for_each(|_| sender.send(MESSAGE).unwrap_or_default()),
            || {
                (0..each * producers).for_each(|_| {
                    black_box(receiver.recv().unwrap_or_default());
                })
            },
        )
    });
    median("flume, received by drain(), park", messages, |_| {
        let (sender, receiver) = flume::bounded(CAPACITY);
        race(
            producers,
            || (0..each).for_each(|_| sender.send(MESSAGE).unwrap_or_default()),
            || {
                let mut left = each * producers;
                while left > 0 {
                    left -= black_box(receiver.drain().count());
                    if left > 0 && receiver.recv().is_ok() {
                        left -= 1;
                    }
                }
            },
        )
    });
}

fn bus(messages: usize, others: usize) {
    println!("-- Bus, one thread: publish to 1 tap among {others} others, and receive");
    let (Ok(bus), Ok(topic)) = (Bus::<Bytes>::new(CAPACITY), Topic::new("plant/3/temperature"))
    else {
        unreachable!()
    };
    let filter = |text: &str| TopicFilter::new(text).unwrap_or_else(|_| (&topic).into());
    let idle: Vec<_> = (0..others)
        .map(|other| {
            bus.subscribe(&filter(&format!("plant/{other}/pressure")), Overflow::DropNewest)
        })
        .collect();
    let Ok(mut tap) = bus.subscribe(&filter("plant/+/temperature"), Overflow::DropOldest) else {
        unreachable!()
    };
    let payload = Bytes::from(vec![b'x'; 64]);
    let mut got = Vec::with_capacity(BATCH);
    median("publish, one at a time", messages, |messages| {
        timed(|| {
            for _ in 0..messages / BATCH {
                for _ in 0..BATCH {
                    let _ = bus.publish(topic.clone(), payload.clone());
                }
                let _ = tap.try_recv_batch(&mut got, BATCH);
                got.clear();
            }
        })
    });
    median("publish_batch", messages, |messages| {
        timed(|| {
            for _ in 0..messages / BATCH {
                let event = || Event { topic: topic.clone(), payload: payload.clone() };
                let _ = bus.publish_batch((0..BATCH).map(|_| event()));
                let _ = tap.try_recv_batch(&mut got, BATCH);
                got.clear();
            }
        })
    });
    drop((idle, tap));
    median("publish, nobody listening", messages, |messages| {
        timed(|| {
            for _ in 0..messages {
                let _ = bus.publish(topic.clone(), payload.clone());
            }
        })
    });
}

/// Why the bus keeps its routes behind `ArcSwap`.
fn routes(readers: usize, messages: usize) {
    println!("-- looking at the routes, {readers} thread(s)");
    let each = messages / readers;
    let swap = arc_swap::ArcSwap::from_pointee(7u64);
    median("ArcSwap::load", messages, |_| {
        race(readers, || (0..each).for_each(|_| _ = black_box(**swap.load())), || ())
    });
    let lock = std::sync::RwLock::new(7u64);
    median("RwLock::read", messages, |_| {
        let look = || _ = black_box(lock.read().map(|guard| *guard).unwrap_or_default());
        race(readers, || (0..each).for_each(|_| look()), || ())
    });
}

fn main() {
    let messages = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1 << 21);
    one_thread(messages);
    across(1, messages);
    across(2, messages);
    routes(1, messages);
    routes(2, messages);
    bus(messages, 0);
    bus(messages, 100);
}

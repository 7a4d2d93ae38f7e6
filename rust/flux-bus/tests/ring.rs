//! The ring against a plain queue, and under real threads.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)] // tests: `clippy.toml` exempts test functions only, not what they call

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use flux_bus::{BusError, Closed, Evicting, PushError, RING_CAPACITY_MAX, Ring};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Push,
    PushBatch(usize),
    Evict(usize),
    Pop,
    PopBatch(usize),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Push),
        4 => (0..12usize).prop_map(Step::PushBatch),
        4 => (0..12usize).prop_map(Step::Evict),
        3 => Just(Step::Pop),
        4 => (0..12usize).prop_map(Step::PopBatch),
        1 => Just(Step::Close),
    ]
}

/// What a ring should do, said with a queue.
struct Model {
    queue: VecDeque<u64>,
    capacity: usize,
    closed: bool,
}

impl Model {
    fn push(&mut self, item: u64) -> Result<(), PushError<u64>> {
        if self.closed {
            Err(PushError::Closed(item))
        } else if self.queue.len() == self.capacity {
            Err(PushError::Full(item))
        } else {
            self.queue.push_back(item);
            Ok(())
        }
    }

    fn evicting(&mut self, items: &[u64], done: &mut Evicting) {
        for item in items {
            if self.queue.len() == self.capacity {
                self.queue.pop_front();
                done.evicted += 1;
            }
            self.queue.push_back(*item);
            done.accepted += 1;
        }
    }
}

proptest! {
    #[test]
    fn ring_does_what_a_bounded_queue_does(
        capacity in prop_oneof![Just(1usize), Just(2), Just(3), 1..20usize],
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let ring = Ring::new(capacity).unwrap();
        let mut model = Model { queue: VecDeque::new(), capacity, closed: false };
        let mut next = 0u64;
        let mut fresh = |count: usize| -> Vec<u64> {
            next += count as u64;
            (next - count as u64..next).collect()
        };
        for step in steps {
            match step {
                Step::Push => {
                    let item = fresh(1)[0];
                    prop_assert_eq!(ring.try_push(item), model.push(item));
                }
                Step::PushBatch(count) => {
                    let items = fresh(count);
                    let expected = items.iter().take_while(|item| model.push(**item).is_ok()).count();
                    let mut batch: VecDeque<u64> = items.clone().into();
                    let outcome = ring.push_batch(&mut batch);
                    if model.closed && count > 0 {
                        prop_assert_eq!(outcome, Err(Closed));
                    } else {
                        prop_assert_eq!(outcome, Ok(expected));
                    }
                    prop_assert_eq!(batch, &items[expected..]);
                }
                Step::Evict(count) => {
                    let mut items = fresh(count);
                    let (mut done, mut expected) = (Evicting::default(), Evicting::default());
                    if !model.closed {
                        model.evicting(&items, &mut expected);
                    }
                    let outcome = ring.push_evicting(&mut items, &mut done);
                    prop_assert_eq!(outcome.is_err(), model.closed && count > 0);
                    prop_assert_eq!(items.len() + done.accepted, count);
                    prop_assert_eq!(done, expected);
                }
                Step::Pop => prop_assert_eq!(ring.pop(), model.queue.pop_front()),
                Step::PopBatch(max) => {
                    let mut got = vec![u64::MAX];
                    let count = max.min(model.queue.len());
                    prop_assert_eq!(ring.pop_batch(&mut got, max), count);
                    let mut expected = vec![u64::MAX];
                    expected.extend(model.queue.drain(..count));
                    prop_assert_eq!(got, expected);
                }
                Step::Close => {
                    prop_assert_eq!(ring.close(), !model.closed);
                    model.closed = true;
                }
            }
            prop_assert_eq!(ring.len(), model.queue.len());
            prop_assert_eq!(ring.is_closed(), model.closed);
            prop_assert_eq!(ring.is_finished(), model.closed && model.queue.is_empty());
            prop_assert_eq!(ring.pushed_total() - ring.taken_total(), ring.len() as u64);
        }
    }
}

#[test]
fn every_capacity_is_held_to_the_message() {
    for capacity in [1, 2, 3, 5, 7, 8, 1000, 1024] {
        let ring = Ring::new(capacity).unwrap();
        for lap in 0..3 {
            let mut items: Vec<usize> = (0..capacity + 1).collect();
            assert_eq!(ring.push_batch(&mut items), Ok(capacity), "lap {lap}");
            assert_eq!(items, [capacity]);
            assert_eq!(ring.try_push(0), Err(PushError::Full(0)));
            assert_eq!(ring.len(), ring.capacity());
            let mut got = Vec::new();
            assert_eq!(ring.pop_batch(&mut got, usize::MAX), capacity);
            assert!(got.into_iter().eq(0..capacity));
        }
    }
}

#[test]
fn capacities_out_of_range_are_refused() {
    for given in [0, RING_CAPACITY_MAX + 1, usize::MAX] {
        assert_eq!(Ring::<u8>::new(given).unwrap_err(), BusError::Capacity { given });
    }
}

/// Counts how many of it live.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(live))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn each_message_is_dropped_exactly_once() {
    let live = Arc::new(AtomicUsize::new(0));
    let ring = Ring::new(5).unwrap();
    for _ in 0..3 {
        assert!(ring.try_push(Counted::new(&live)).is_ok());
    }
    drop(ring.pop());
    let mut more: Vec<_> = (0..7).map(|_| Counted::new(&live)).collect();
    let mut done = Evicting::default();
    ring.push_evicting(&mut more, &mut done).unwrap();
    assert_eq!(done, Evicting { accepted: 7, evicted: 4 });
    assert_eq!(live.load(Ordering::Relaxed), 5);
    drop(ring);
    assert_eq!(live.load(Ordering::Relaxed), 0);
}

/// Panics when dropped, if told to.
struct Touchy(Option<u8>);

impl Drop for Touchy {
    fn drop(&mut self) {
        assert!(self.0.is_none(), "touchy");
    }
}

#[test]
fn a_destructor_that_panics_amid_an_eviction_leaks_no_slot() {
    let ring = Ring::new(3).unwrap();
    assert_eq!(ring.push_batch(&mut vec![Touchy(None), Touchy(Some(1)), Touchy(None)]), Ok(3));
    let pushed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut items: Vec<Touchy> = (0..3).map(|_| Touchy(None)).collect();
        let _ = ring.push_evicting(&mut items, &mut Evicting::default());
    }));
    assert!(pushed.is_err());
    assert!(ring.is_empty());
    // all three slots serve again, twice over
    for _ in 0..2 {
        assert_eq!(ring.push_batch(&mut vec![Touchy(None), Touchy(None), Touchy(None)]), Ok(3));
        assert_eq!(ring.pop_batch(&mut Vec::new(), 3), 3);
    }
}

/// Two producers of numbered messages, in batches of changing size, into two consumers.
fn hand_over(capacity: usize, each: u64) {
    let ring = Arc::new(Ring::<(usize, u64)>::new(capacity).unwrap());
    let producers: Vec<_> = (0..2)
        .map(|producer| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                let mut batch = VecDeque::new();
                let mut next = 0;
                while next < each || !batch.is_empty() {
                    while next < each && batch.len() < 1 + (next % 7) as usize {
                        batch.push_back((producer, next));
                        next += 1;
                    }
                    if ring.push_batch(&mut batch) == Ok(0) {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let consumers: Vec<_> = (0..2)
        .map(|consumer| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                let mut got = Vec::new();
                while !ring.is_finished() {
                    assert!(ring.len() <= ring.capacity());
                    if ring.pop_batch(&mut got, 1 + 4 * consumer) == 0 {
                        thread::yield_now();
                    }
                }
                got
            })
        })
        .collect();
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    ring.close();
    let mut seen = [vec![], vec![]];
    for consumer in consumers {
        let mut last = [None; 2];
        for (producer, number) in consumer.join().unwrap() {
            assert!(last[producer] < Some(number), "order of one producer");
            last[producer] = Some(number);
            seen[producer].push(number);
        }
    }
    for mut numbers in seen {
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..each), "each message once");
    }
}

#[test]
fn threads_hand_over_every_message_once_and_in_order() {
    for capacity in [1, 2, 3, 64, 1000] {
        hand_over(capacity, 20_000);
    }
}

#[test]
fn evicting_threads_and_a_consumer_account_for_every_message() {
    const EACH: u64 = 20_000;
    for capacity in [1, 3, 64] {
        let ring = Arc::new(Ring::<(usize, u64)>::new(capacity).unwrap());
        let producers: Vec<_> = (0..2)
            .map(|producer| {
                let ring = Arc::clone(&ring);
                thread::spawn(move || {
                    let mut done = Evicting::default();
                    let mut given_up = 0;
                    for first in (0..EACH).step_by(5) {
                        let mut batch: Vec<_> = (first..first + 5).map(|n| (producer, n)).collect();
                        ring.push_evicting(&mut batch, &mut done).unwrap();
                        given_up += batch.len();
                    }
                    assert_eq!((done.accepted + given_up) as u64, EACH);
                    done
                })
            })
            .collect();
        let consumer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                let mut got = Vec::new();
                while !ring.is_finished() {
                    assert!(ring.len() <= ring.capacity());
                    ring.pop_batch(&mut got, 8);
                }
                got
            })
        };
        let mut done = Evicting::default();
        for producer in producers {
            let part = producer.join().unwrap();
            done.accepted += part.accepted;
            done.evicted += part.evicted;
        }
        ring.close();
        let got = consumer.join().unwrap();
        assert_eq!(got.len() + done.evicted, done.accepted);
        let mut last = [None; 2];
        for (producer, number) in got {
            assert!(last[producer] < Some(number), "order of one producer");
            last[producer] = Some(number);
        }
    }
}

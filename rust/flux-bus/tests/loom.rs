//! Every interleaving of small histories, checked by loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p flux-bus --release --test loom`.
#![cfg(loom)]
#![allow(clippy::unwrap_used)] // tests: `clippy.toml` exempts test functions only, not what they call

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flux_bus::{Closed, Doorbell, Evicting, Notify, PushError, Ring, channel};
use loom::thread;

/// Histories are explored with at most this many forced switches: more find nothing new in minutes.
const PREEMPTIONS_MAX: usize = 3;

fn explore(history: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    if model.preemption_bound.is_none() {
        model.preemption_bound = Some(PREEMPTIONS_MAX);
    }
    model.check(history);
}

fn ring<T>(capacity: usize) -> Arc<Ring<T>> {
    Arc::new(Ring::new(capacity).unwrap())
}

fn drain<T>(ring: &Ring<T>) -> Vec<T> {
    let mut rest = Vec::new();
    ring.pop_batch(&mut rest, 64);
    rest
}

/// Of each producer (the tens digit) the numbers came in order.
fn ordered_by_producer(got: &[usize]) -> bool {
    got.iter()
        .enumerate()
        .all(|(at, item)| got[..at].iter().all(|before| before / 10 != item / 10 || before < item))
}

#[test]
fn two_producers_lose_and_double_nothing_and_keep_their_order() {
    explore(|| {
        let ring = ring(4);
        let producers: Vec<_> = [10, 20]
            .map(|first| {
                let ring = Arc::clone(&ring);
                thread::spawn(move || {
                    let mut batch = vec![first, first + 1];
                    assert_eq!(ring.push_batch(&mut batch), Ok(2));
                })
            })
            .into();
        let mut got = Vec::new();
        ring.pop_batch(&mut got, 4);
        assert!(ring.len() <= 4);
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        got.extend(drain(&ring));
        assert!(ordered_by_producer(&got), "{got:?}");
        got.sort_unstable();
        assert_eq!(got, [10, 11, 20, 21]);
    });
}

#[test]
fn a_ring_of_one_hands_over_one_at_a_time() {
    explore(|| {
        let ring = ring(1);
        let producer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || (1..=2).filter(|item| ring.try_push(*item).is_ok()).collect())
        };
        let mut got = Vec::new();
        for _ in 0..2 {
            assert!(ring.len() <= 1);
            got.extend(ring.pop());
        }
        let pushed: Vec<i32> = producer.join().unwrap();
        got.extend(drain(&ring));
        assert_eq!(got, pushed);
    });
}

#[test]
fn two_consumers_share_a_ring_of_odd_capacity() {
    explore(|| {
        let ring = ring(3);
        assert_eq!(ring.push_batch(&mut vec![1, 2, 3, 4]), Ok(3));
        let consumer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                let mut got = Vec::new();
                ring.pop_batch(&mut got, 2);
                got
            })
        };
        let mut got: Vec<i32> = ring.pop().into_iter().collect();
        let again = ring.try_push(5).is_ok();
        let theirs = consumer.join().unwrap();
        assert!(theirs.is_sorted());
        got.extend(theirs);
        got.extend(drain(&ring));
        got.sort_unstable();
        assert_eq!(got, if again { vec![1, 2, 3, 5] } else { vec![1, 2, 3] });
    });
}

#[test]
fn eviction_and_consumption_share_out_every_message() {
    explore(|| {
        let ring = ring(2);
        assert_eq!(ring.push_batch(&mut vec![1, 2]), Ok(2));
        let producer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                let mut done = Evicting::default();
                let mut items = vec![3, 4];
                ring.push_evicting(&mut items, &mut done).unwrap();
                (done, items)
            })
        };
        let mut got: Vec<i32> = ring.pop().into_iter().collect();
        assert!(ring.len() <= 2);
        let (done, given_up) = producer.join().unwrap();
        got.extend(drain(&ring));
        assert!(got.is_sorted(), "{got:?}");
        assert_eq!(done.accepted + given_up.len(), 2);
        assert_eq!(got.len() + done.evicted, 2 + done.accepted);
        // never more evicted than room was missing
        assert!(done.evicted <= done.accepted.max(1));
        if given_up.is_empty() {
            assert!(got.ends_with(&[3, 4]));
        }
    });
}

#[test]
fn nothing_is_evicted_once_the_consumer_made_room() {
    explore(|| {
        let ring = ring(2);
        assert_eq!(ring.push_batch(&mut vec![1, 2]), Ok(2));
        let producer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                let mut done = Evicting::default();
                ring.push_evicting(&mut Some(3), &mut done).unwrap();
                done
            })
        };
        let first = ring.pop();
        let done = producer.join().unwrap();
        // the first message consumed means that there was room from then on
        assert_eq!(done.evicted, usize::from(first != Some(1)), "{first:?}");
    });
}

#[test]
fn two_evicting_producers_account_for_every_message() {
    explore(|| {
        let ring = ring(1);
        let producers: Vec<_> = [10, 20]
            .map(|item| {
                let ring = Arc::clone(&ring);
                thread::spawn(move || {
                    let mut done = Evicting::default();
                    ring.push_evicting(&mut Some(item), &mut done).unwrap();
                    done
                })
            })
            .into();
        let mut got: Vec<usize> = ring.pop().into_iter().collect();
        let mut accepted = 0;
        let mut evicted = 0;
        for producer in producers {
            let done = producer.join().unwrap();
            accepted += done.accepted;
            evicted += done.evicted;
        }
        got.extend(drain(&ring));
        assert!(ordered_by_producer(&got));
        assert_eq!(got.len() + evicted, accepted);
    });
}

#[test]
fn what_was_pushed_before_the_close_comes_out_and_nothing_after() {
    explore(|| {
        let ring = ring(2);
        let producer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || match ring.try_push(1) {
                Ok(()) => true,
                Err(PushError::Closed(1)) => false,
                Err(other) => panic!("{other:?}"),
            })
        };
        ring.close();
        let mut early = ring.pop();
        let finished = ring.is_finished();
        let pushed = producer.join().unwrap();
        if early.is_none() {
            early = ring.pop();
            assert!(!(finished && early.is_some()), "finished, and yet a message came");
        }
        assert_eq!(early.is_some(), pushed);
        assert!(ring.is_finished());
        assert_eq!(ring.try_push(2), Err(PushError::Closed(2)));
    });
}

#[test]
fn no_ring_of_the_bell_is_lost_on_a_consumer_that_parks() {
    explore(|| {
        // loom reports a deadlock if the consumer sleeps on
        let bell = Doorbell::new();
        let (sender, mut receiver) = channel(2, bell).unwrap();
        let other = sender.clone();
        let first = thread::spawn(move || sender.try_send(1).unwrap());
        let second = thread::spawn(move || other.try_send(2).unwrap());
        let mut got = Vec::new();
        while let Ok(count) = receiver.recv_batch(&mut got, 2, None) {
            assert!(count > 0);
        }
        first.join().unwrap();
        second.join().unwrap();
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
        // both senders gone: closed, and the close woke the consumer too
        assert_eq!(receiver.try_recv_batch(&mut got, 1), Err(Closed));
    });
}

#[test]
fn a_producer_that_waits_for_room_is_woken() {
    explore(|| {
        let (sender, mut receiver) = channel(1, Doorbell::new()).unwrap();
        let producer = thread::spawn(move || {
            sender.send_batch(&mut vec![1, 2], None).unwrap();
        });
        let mut got = Vec::new();
        while receiver.recv_batch(&mut got, 1, None).is_ok() {}
        producer.join().unwrap();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn a_producer_that_waits_for_room_is_released_by_the_receiver_leaving() {
    explore(|| {
        let (sender, receiver) = channel(1, Doorbell::new()).unwrap();
        sender.try_send(1).unwrap();
        let producer = thread::spawn(move || sender.send(2, None));
        drop(receiver);
        assert_eq!(producer.join().unwrap(), Err(PushError::Closed(2)));
    });
}

#[test]
fn a_listener_is_told_of_room_or_finds_it() {
    explore(|| {
        let told = Arc::new(AtomicUsize::new(0));
        let listener: Arc<dyn Notify> = {
            let told = Arc::clone(&told);
            Arc::new(move || {
                told.fetch_add(1, Ordering::SeqCst);
            })
        };
        let (sender, mut receiver) = channel(1, Doorbell::new()).unwrap();
        sender.try_send(1).unwrap();
        let producer = thread::spawn(move || {
            sender.on_space(&listener);
            let sent = sender.try_send(2).is_ok();
            // the sender stays: its leaving would close the channel and tell the listener too
            (sent, sender)
        });
        let mut got = Vec::new();
        assert_eq!(receiver.try_recv_batch(&mut got, 1), Ok(1));
        let (sent, _sender) = producer.join().unwrap();
        assert!(sent || told.load(Ordering::SeqCst) == 1);
    });
}

#[test]
fn a_listener_at_the_bell_is_called_again_after_each_answer() {
    explore(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let bell = {
            let calls = Arc::clone(&calls);
            Doorbell::with_listener(Arc::new(move || {
                calls.fetch_add(1, Ordering::SeqCst);
            }))
        };
        let ring = ring(2);
        let producers: Vec<_> = [1, 2]
            .map(|item| {
                let (ring, bell) = (Arc::clone(&ring), bell.clone());
                thread::spawn(move || {
                    ring.try_push(item).unwrap();
                    bell.ring();
                })
            })
            .into();
        // an event loop's turn: answer, then look
        let answered = usize::from(bell.answer());
        let mut got = drain(&ring);
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        if got.len() < 2 {
            assert!(bell.is_rung(), "a message waits that nobody was told of");
        }
        got.extend(drain(&ring));
        assert_eq!(got.len(), 2);
        assert_eq!(calls.load(Ordering::SeqCst), answered + usize::from(bell.is_rung()));
    });
}

#[test]
fn two_listeners_at_one_bell_are_both_woken_by_two_rings() {
    explore(|| {
        let bell = Doorbell::new();
        let ring = ring(2);
        let other = {
            let (bell, ring) = (bell.clone(), Arc::clone(&ring));
            thread::spawn(move || {
                while ring.pop().is_none() {
                    bell.wait(None);
                }
                // what the one answered may have meant the other
                bell.ring();
            })
        };
        ring.try_push(1).unwrap();
        bell.ring();
        ring.try_push(2).unwrap();
        bell.ring();
        while ring.pop().is_none() {
            bell.wait(None);
        }
        bell.ring();
        other.join().unwrap();
        assert!(ring.is_empty());
    });
}

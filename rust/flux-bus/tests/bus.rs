//! The bus: who hears what, what the slow lose, and that it is all counted.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)] // tests: `clippy.toml` exempts test functions only, not what they call

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use flux_bus::{
    Bus, BusError, BusLimits, Closed, Doorbell, Dropped, Event, Overflow, Tap, TapOptions,
};
use flux_types::{Coded, ErrorKind, TenantId, Topic, TopicFilter};
use proptest::prelude::*;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(5);

fn topic(text: &str) -> Topic {
    Topic::new(text).unwrap()
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

fn received<P>(tap: &mut Tap<P>) -> Vec<P> {
    let mut events = Vec::new();
    while let Ok(1..) = tap.try_recv_batch(&mut events, 100) {}
    events.into_iter().map(|event| event.payload).collect()
}

fn events(numbers: std::ops::Range<u64>) -> impl Iterator<Item = Event<u64>> {
    let topic = topic("n");
    numbers.map(move |payload| Event { topic: topic.clone(), payload })
}

#[test]
fn each_tap_hears_what_its_filter_matches() {
    let bus = Bus::<Bytes>::new(16).unwrap();
    let mut line = bus.subscribe(&filter("plant/+/temp"), Overflow::DropOldest).unwrap();
    let mut all = bus.subscribe(&filter("#"), Overflow::DropNewest).unwrap();
    let mut twin = bus.subscribe(&filter("plant/+/temp"), Overflow::Block).unwrap();
    assert_eq!(bus.publish(topic("plant/3/temp"), Bytes::from_static(b"1")), Ok(3));
    assert_eq!(bus.publish(topic("plant/3/hum"), Bytes::from_static(b"2")), Ok(1));
    // [MQTT-4.7.2-1]: a leading wildcard passes over topics that begin with `$`
    assert_eq!(bus.publish(topic("$SYS/uptime"), Bytes::from_static(b"3")), Ok(0));
    let mut got = Vec::new();
    assert_eq!(line.recv_batch(&mut got, 9, LONG), Ok(1));
    assert_eq!(got, [Event { topic: topic("plant/3/temp"), payload: Bytes::from_static(b"1") }]);
    assert_eq!(received(&mut all), ["1", "2"]);
    assert_eq!(received(&mut twin), ["1"]);
    let stats = bus.stats();
    assert_eq!((stats.published, stats.unmatched, stats.taps), (3, 1, 3));
    assert_eq!((stats.accepted, stats.received, stats.dropped.total()), (4, 4, 0));
}

#[test]
fn tenants_do_not_hear_one_another() {
    let bus = Bus::new(4).unwrap();
    let other = TenantId(2);
    let options = TapOptions { tenant: other, ..TapOptions::default() };
    let mut theirs = bus.subscribe_with(&filter("#"), options).unwrap();
    let mut ours = bus.subscribe(&filter("#"), Overflow::DropOldest).unwrap();
    assert_eq!(bus.publish(topic("a"), 1), Ok(1));
    assert_eq!(bus.publish_in(other, topic("a"), 2), Ok(1));
    assert_eq!(bus.publish_in(TenantId(3), topic("a"), 3), Ok(0));
    let event = Event { topic: topic("a"), payload: 4 };
    assert_eq!(bus.publish_batch_in(other, [event]), Ok(1));
    assert_eq!((received(&mut ours), received(&mut theirs)), (vec![1], vec![2, 4]));
}

#[test]
fn a_batch_reaches_each_tap_in_order_whatever_its_length() {
    let bus = Bus::new(2000).unwrap();
    let mut taps: Vec<_> = [Overflow::DropOldest, Overflow::DropNewest, Overflow::Block]
        .map(|overflow| bus.subscribe(&filter("n"), overflow).unwrap())
        .into();
    for length in [0, 1, 255, 256, 257, 700] {
        assert_eq!(bus.publish_batch(events(0..length)), Ok(length as usize));
        for tap in &mut taps {
            assert!(received(tap).into_iter().eq(0..length));
        }
    }
    let elsewhere = Event { topic: topic("elsewhere"), payload: 0 };
    assert_eq!(bus.publish_batch([elsewhere]), Ok(1));
    assert_eq!(bus.stats().unmatched, 1);
    assert_eq!(bus.stats().published, 1 + 255 + 256 + 257 + 700 + 1);
}

proptest! {
    #[test]
    fn a_batch_is_heard_as_its_messages_one_by_one(
        topics in prop::collection::vec(prop::sample::select(vec!["a", "a/b", "b", "c/d/e"]), 0..40),
        filters in prop::collection::vec(prop::sample::select(vec!["a", "a/#", "+", "#", "x"]), 0..6),
    ) {
        let bus = Bus::new(64).unwrap();
        let mut taps: Vec<_> = filters
            .iter()
            .map(|text| bus.subscribe(&filter(text), Overflow::DropNewest).unwrap())
            .collect();
        let events: Vec<_> =
            topics.iter().enumerate().map(|(n, text)| Event { topic: topic(text), payload: n }).collect();
        prop_assert_eq!(bus.publish_batch(events.iter().cloned()), Ok(events.len()));
        let in_batch: Vec<_> = taps.iter_mut().map(received).collect();
        for Event { topic, payload } in events {
            bus.publish(topic, payload).unwrap();
        }
        let one_by_one: Vec<_> = taps.iter_mut().map(received).collect();
        prop_assert_eq!(in_batch, one_by_one);
        prop_assert_eq!(bus.stats().unmatched % 2, 0);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Publish,
    Batch(u64),
    Receive(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Publish),
        2 => (0..12u64).prop_map(Step::Batch),
        3 => (0..12usize).prop_map(Step::Receive),
    ]
}

proptest! {
    #[test]
    fn each_policy_loses_what_it_names_and_no_more(
        overflow in prop_oneof![
            Just(Overflow::DropOldest), Just(Overflow::DropNewest), Just(Overflow::Block)
        ],
        capacity in prop_oneof![Just(1usize), 1..10usize],
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let bus = Bus::new(3).unwrap();
        let options = TapOptions {
            overflow,
            capacity: Some(capacity),
            // the consumer is this thread: what would block is given up at once
            block_timeout: Some(Duration::ZERO),
            ..TapOptions::default()
        };
        let mut tap = bus.subscribe_with(&filter("n"), options).unwrap();
        let mut model = VecDeque::new();
        let mut dropped = Dropped::default();
        let (mut next, mut accepted, mut taken) = (0, 0, 0);
        for step in steps {
            let count = match step {
                Step::Publish => 1,
                Step::Batch(count) => count,
                Step::Receive(max) => {
                    let mut got = Vec::new();
                    let count = max.min(model.len());
                    prop_assert_eq!(tap.try_recv_batch(&mut got, max), Ok(count));
                    taken += count as u64;
                    prop_assert!(got.into_iter().map(|event| event.payload).eq(model.drain(..count)));
                    continue;
                }
            };
            if matches!(step, Step::Publish) {
                prop_assert_eq!(bus.publish(topic("n"), next), Ok(1));
            } else {
                prop_assert_eq!(bus.publish_batch(events(next..next + count)), Ok(count as usize));
            }
            for number in next..next + count {
                if model.len() < capacity {
                    model.push_back(number);
                    accepted += 1;
                    continue;
                }
                match overflow {
                    Overflow::DropOldest => {
                        model.pop_front();
                        model.push_back(number);
                        dropped.oldest += 1;
                        accepted += 1;
                    }
                    Overflow::DropNewest => dropped.newest += 1,
                    Overflow::Block => dropped.timed_out += 1,
                }
            }
            next += count;
        }
        let stats = tap.stats();
        prop_assert_eq!(stats.dropped, dropped);
        prop_assert_eq!((stats.accepted, stats.received), (accepted, taken));
        prop_assert_eq!((stats.queued, stats.capacity), (model.len(), capacity));
        drop(tap);
        let stats = bus.stats();
        prop_assert_eq!((stats.accepted, stats.received, stats.taps), (accepted, taken, 0));
        prop_assert_eq!((stats.dropped, stats.published), (dropped, next));
    }
}

#[test]
fn publishers_keep_their_order_at_every_tap() {
    const EACH: u64 = 10_000;
    let bus = Bus::<(usize, u64)>::new(64).unwrap();
    let taps: Vec<_> = [Overflow::Block, Overflow::DropOldest, Overflow::DropNewest]
        .map(|overflow| {
            let options =
                TapOptions { overflow, block_timeout: Some(LONG), ..TapOptions::default() };
            bus.subscribe_with(&filter("p/+"), options).unwrap()
        })
        .into();
    let consumers: Vec<_> = taps
        .into_iter()
        .map(|mut tap| {
            thread::spawn(move || {
                let mut next = [0; 2];
                let mut got = Vec::new();
                while let Ok(count) = tap.recv_batch(&mut got, 100, LONG) {
                    assert!(count > 0, "a wake-up was lost");
                    for Event { payload: (publisher, number), .. } in got.drain(..) {
                        assert!(number >= next[publisher], "order of one publisher");
                        next[publisher] = number + 1;
                    }
                }
                (tap.overflow(), tap.stats(), next)
            })
        })
        .collect();
    let publishers: Vec<_> = (0..2)
        .map(|publisher| {
            let bus = bus.clone();
            thread::spawn(move || {
                let topic = topic(&format!("p/{publisher}"));
                let event = |number| Event { topic: topic.clone(), payload: (publisher, number) };
                for first in (0..EACH).step_by(20) {
                    bus.publish(topic.clone(), (publisher, first)).unwrap();
                    bus.publish_batch((first + 1..first + 20).map(event)).unwrap();
                }
            })
        })
        .collect();
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    bus.close();
    for consumer in consumers {
        let (overflow, stats, next) = consumer.join().unwrap();
        assert_eq!(stats.accepted, stats.received + stats.dropped.oldest);
        assert_eq!(stats.received + stats.dropped.total(), 2 * EACH, "{overflow}: {stats:?}");
        match overflow {
            Overflow::Block => assert_eq!((stats.received, next), (2 * EACH, [EACH; 2])),
            Overflow::DropOldest => assert_eq!(stats.dropped.newest, 0),
            Overflow::DropNewest => assert_eq!(stats.dropped.oldest, 0),
        }
    }
    assert_eq!(bus.stats().published, 2 * EACH);
}

/// A publisher that waits at a full `block` tap, until `release`; the tap's counts of loss.
fn released(release: impl FnOnce(&Bus<u64>, Tap<u64>)) -> Dropped {
    let bus = Bus::new(1).unwrap();
    let options =
        TapOptions { overflow: Overflow::Block, block_timeout: None, ..TapOptions::default() };
    let tap = bus.subscribe_with(&filter("n"), options).unwrap();
    let publisher = {
        let bus = bus.clone();
        thread::spawn(move || bus.publish_batch(events(0..3)))
    };
    let filled = Doorbell::clone(tap.bell());
    assert!(filled.wait(LONG));
    release(&bus, tap);
    assert_eq!(publisher.join().unwrap(), Ok(3));
    bus.stats().dropped
}

#[test]
fn a_publisher_that_waits_is_released_by_close_and_by_the_tap_leaving() {
    let two_lost = Dropped { closed: 2, ..Dropped::default() };
    let mut kept = None;
    let dropped = released(|bus, tap| {
        bus.close();
        kept = Some(tap);
    });
    assert_eq!(dropped, two_lost);
    assert_eq!(received(kept.as_mut().unwrap()), [0], "what was in stays to be taken");

    assert_eq!(released(|_, tap| drop(tap)), two_lost);
    assert_eq!(released(|_, tap| tap.control().close()), two_lost);
    let dropped = released(|_, mut tap| {
        let mut got = Vec::new();
        while got.len() < 3 {
            assert!(tap.recv_batch(&mut got, 1, LONG).unwrap() > 0, "a wake-up was lost");
        }
    });
    assert_eq!(dropped, Dropped::default());
}

#[test]
fn a_publisher_gives_up_after_the_time_and_it_is_counted() {
    let bus = Bus::new(1).unwrap();
    let options = TapOptions {
        overflow: Overflow::Block,
        block_timeout: Some(SHORT),
        ..TapOptions::default()
    };
    let mut tap = bus.subscribe_with(&filter("n"), options).unwrap();
    assert_eq!(bus.publish_batch(events(0..3)), Ok(3));
    assert_eq!(bus.publish(topic("n"), 3), Ok(1));
    assert_eq!(tap.stats().dropped, Dropped { timed_out: 3, ..Dropped::default() });
    assert_eq!(received(&mut tap), [0]);
}

#[test]
fn a_closed_bus_refuses_and_its_taps_end() {
    let bus = Bus::new(4).unwrap();
    let mut tap = bus.subscribe(&filter("n"), Overflow::DropOldest).unwrap();
    bus.publish(topic("n"), 1).unwrap();
    bus.close();
    bus.close();
    assert!(bus.is_closed());
    assert_eq!(bus.publish(topic("n"), 2), Err(BusError::Closed));
    assert_eq!(bus.publish_batch(events(0..2)), Err(BusError::Closed));
    let refused = bus.subscribe(&filter("n"), Overflow::DropOldest).unwrap_err();
    assert_eq!((refused.code(), refused.kind()), ("bus.closed", ErrorKind::Unavailable));
    let mut got = Vec::new();
    assert_eq!(tap.recv_batch(&mut got, 9, None), Ok(1));
    assert_eq!(tap.recv_batch(&mut got, 9, None), Err(Closed));
    assert_eq!((bus.stats().published, bus.stats().received), (1, 1));
}

#[test]
fn the_last_handle_of_a_bus_closes_it() {
    let bus = Bus::<u8>::new(4).unwrap();
    let mut tap = bus.subscribe(&filter("n"), Overflow::DropOldest).unwrap();
    let consumer = thread::spawn(move || tap.recv_batch(&mut Vec::new(), 1, LONG));
    drop(bus.clone());
    drop(bus);
    assert_eq!(consumer.join().unwrap(), Err(Closed));
}

#[test]
fn a_tap_that_is_dropped_unsubscribes_and_frees_what_it_held() {
    let bus = Bus::new(4).unwrap();
    let held = Arc::new(());
    for round in 1..=3u64 {
        let tap = bus.subscribe(&filter("n"), Overflow::DropOldest).unwrap();
        let control = tap.control();
        assert_eq!(bus.publish(topic("n"), Arc::clone(&held)), Ok(1));
        drop(tap);
        assert!(control.is_closed());
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(bus.publish(topic("n"), Arc::clone(&held)), Ok(0));
        let stats = bus.stats();
        assert_eq!((stats.taps, stats.accepted, stats.unmatched), (0, round, round));
    }
}

#[test]
fn taps_can_share_a_bell() {
    let bus = Bus::new(4).unwrap();
    let bell = Doorbell::new();
    let mut taps: Vec<_> = ["a", "b"]
        .map(|text| {
            let options = TapOptions { doorbell: Some(bell.clone()), ..TapOptions::default() };
            bus.subscribe_with(&filter(text), options).unwrap()
        })
        .into();
    bus.publish(topic("b"), 1).unwrap();
    bus.publish(topic("a"), 2).unwrap();
    assert!(bell.wait(LONG));
    assert_eq!(taps.iter_mut().map(received).collect::<Vec<_>>(), [[2], [1]]);
    assert!(!bell.answer());
}

#[test]
fn limits_are_held_and_say_their_names() {
    let limits = BusLimits { capacity: 1, taps_max: 1, block_allowed: false };
    let bus = Bus::<u8>::with_limits(limits).unwrap();
    let denied = bus.subscribe(&filter("#"), Overflow::Block).unwrap_err();
    assert_eq!((denied.code(), denied.kind()), ("bus.block_denied", ErrorKind::Denied));
    let first = bus.subscribe(&filter("#"), Overflow::DropNewest).unwrap();
    let refused = bus.subscribe(&filter("#"), Overflow::DropNewest).unwrap_err();
    assert_eq!(refused, BusError::TooManyTaps { taps_max: 1 });
    drop(first);
    let options = TapOptions { capacity: Some(0), ..TapOptions::default() };
    let refused = bus.subscribe_with(&filter("#"), options).unwrap_err();
    assert_eq!(refused, BusError::Capacity { given: 0 });
    assert_eq!(Bus::<u8>::new(0).unwrap_err().code(), "bus.capacity");
    assert!(bus.subscribe(&filter("#"), Overflow::DropNewest).is_ok());
}

#[test]
fn policies_go_by_their_names() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest, Overflow::Block] {
        assert_eq!(overflow.to_string().parse(), Ok(overflow));
    }
    let error = "newest".parse::<Overflow>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`newest` is no overflow policy: give `drop_oldest`, `drop_newest` or `block`"
    );
    assert_eq!((error.code(), error.kind()), ("bus.overflow", ErrorKind::Invalid));
    let long = "é".repeat(1000).parse::<Overflow>().unwrap_err();
    assert_eq!(long, BusError::Overflow { given: "é".repeat(64) });
    let wrong: BusError = Topic::new("a/+").unwrap_err().into();
    assert_eq!((wrong.code(), wrong.kind()), ("bus.topic", ErrorKind::Invalid));
}

//! Once its buffers have grown, the bus asks the allocator for nothing.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)] // tests: `clippy.toml` exempts test functions only, not what they call

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use flux_bus::{Bus, Event, Overflow};
use flux_types::{Topic, TopicFilter};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches a
// thread-local without destructor and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract, and `block` came from `System`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn publishing_and_receiving_allocate_nothing_once_warm() {
    let bus = Bus::new(512).unwrap();
    let mut taps: Vec<_> = [Overflow::DropOldest, Overflow::DropNewest, Overflow::Block]
        .map(|overflow| bus.subscribe(&TopicFilter::new("plant/#").unwrap(), overflow).unwrap())
        .into();
    let topic = Topic::new("plant/3/temperature").unwrap();
    let payload = Bytes::from(vec![1; 64]);
    let mut got = Vec::new();
    let mut round = || {
        for _ in 0..50 {
            bus.publish(topic.clone(), payload.clone()).unwrap();
        }
        let event = Event { topic: topic.clone(), payload: payload.clone() };
        bus.publish_batch(std::iter::repeat_n(event, 400)).unwrap();
        for tap in &mut taps {
            assert_eq!(tap.recv_batch(&mut got, 512, None), Ok(450));
            got.clear();
        }
    };
    round();
    let before = ALLOCATIONS.with(Cell::get);
    assert!(before > 0, "the count counts");
    for _ in 0..20 {
        round();
    }
    assert_eq!(ALLOCATIONS.with(Cell::get), before);
}

//! What is counted of one plugin's calls.
//!
//! Owns the counters and the buckets. A lease counts for itself and hands in the sum when it ends,
//! so that workers do not fight over a cache line with every call.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::FailureReason;

/// Upper bounds of the buckets of call durations, in nanoseconds; one more bucket is beyond.
pub const DURATION_BUCKETS_NS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// Buckets, the one beyond included.
const BUCKETS: usize = DURATION_BUCKETS_NS.len() + 1;

/// How many calls share one measured duration: reading a clock twice costs as much as a call.
pub(crate) const TIMED_EVERY: u64 = 16;

/// What one lease has counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) items: u64,
    pub(crate) messages: u64,
    pub(crate) values_dropped: u64,
    pub(crate) failures: [u64; FailureReason::ALL.len()],
    /// Calls since the last measured one, that one included, and what it took.
    pub(crate) group: u64,
    pub(crate) group_ns: u64,
    duration_ns: u64,
    buckets: [u64; BUCKETS],
    /// Ticks that went by inside calls.
    pub(crate) busy_ms: u64,
}

impl Tally {
    pub(crate) fn fail(&mut self, reason: FailureReason) {
        self.failures[reason as usize] += 1;
    }

    /// Gives the calls of the last group the duration that was measured of one of them.
    pub(crate) fn close_group(&mut self) {
        self.observe(self.group_ns, self.group);
        self.group = 0;
    }

    /// So many calls took so long each.
    pub(crate) fn observe(&mut self, ns: u64, calls: u64) {
        let bucket = DURATION_BUCKETS_NS.partition_point(|bound| *bound < ns);
        self.buckets[bucket] += calls;
        self.duration_ns = self.duration_ns.saturating_add(ns.saturating_mul(calls));
    }
}

/// The sum of all leases of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    calls: AtomicU64,
    items: AtomicU64,
    messages: AtomicU64,
    values_dropped: AtomicU64,
    failures: [AtomicU64; FailureReason::ALL.len()],
    duration_ns: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    /// Instances thrown away after a failure.
    pub(crate) discarded: AtomicU64,
    /// Instances replaced because of `instance_calls_max` or `instance_growth_bytes_max`.
    pub(crate) recycled: AtomicU64,
}

fn add(counter: &AtomicU64, amount: u64) {
    if amount > 0 {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}

impl Counters {
    /// Adds what a lease counted.
    pub(crate) fn take_in(&self, tally: &mut Tally) {
        tally.close_group();
        add(&self.calls, tally.calls);
        add(&self.items, tally.items);
        add(&self.messages, tally.messages);
        add(&self.values_dropped, tally.values_dropped);
        add(&self.duration_ns, tally.duration_ns);
        for (sum, part) in self.failures.iter().zip(tally.failures) {
            add(sum, part);
        }
        for (sum, part) in self.buckets.iter().zip(tally.buckets) {
            add(sum, part);
        }
        *tally = Tally::default();
    }

    /// A call that was not made.
    pub(crate) fn refuse(&self) {
        add(&self.failures[FailureReason::Refused as usize], 1);
    }

    /// Calls of all leases that have handed in.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn read(&self) -> CallStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CallStats {
            calls: read(&self.calls),
            items: read(&self.items),
            messages: read(&self.messages),
            values_dropped: read(&self.values_dropped),
            failures: self.failures.each_ref().map(read),
            duration_ns: read(&self.duration_ns),
            duration_buckets: self.buckets.iter().map(read).collect(),
            discarded: read(&self.discarded),
            recycled: read(&self.recycled),
        }
    }
}

/// What was counted of one plugin's calls since it was first loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CallStats {
    /// Calls into guests; a batch is one.
    pub calls: u64,
    /// Inputs handed to them.
    pub items: u64,
    /// Messages they made.
    pub messages: u64,
    /// Values left out because they are no finite number.
    pub values_dropped: u64,
    /// Failed calls and inputs, by [`FailureReason::ALL`].
    pub failures: [u64; FailureReason::ALL.len()],
    /// Time of all calls in nanoseconds, estimated from one in sixteen.
    pub duration_ns: u64,
    /// Calls by duration; bounds are [`DURATION_BUCKETS_NS`], the last bucket is beyond them.
    pub duration_buckets: Vec<u64>,
    /// Instances thrown away after a failure.
    pub discarded: u64,
    /// Instances replaced by age or growth.
    pub recycled: u64,
}

impl CallStats {
    /// All failures.
    #[must_use]
    pub fn failures_total(&self) -> u64 {
        self.failures.iter().sum()
    }
}

/// The state of one plugin's pool of instances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PoolStats {
    /// Instances that wait for work.
    pub available: usize,
    /// Instances at work.
    pub busy: usize,
    /// How many are kept: `pool_size`.
    pub max_size: usize,
    /// Times an instance was there.
    pub hits: u64,
    /// Times one had to be made.
    pub misses: u64,
}

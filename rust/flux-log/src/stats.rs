//! Figures about the log, for metrics.
//!
//! Owns counters that only grow while the log is open. Must never be what a decision rests on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the sync time buckets, µs; a last bucket without bound follows.
pub const SYNC_BUCKETS_US: [u64; 14] = [
    50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000,
];

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The counters, shared by the log's threads.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
            pub(crate) sync_buckets: [AtomicU64; SYNC_BUCKETS_US.len() + 1],
        }

        /// The log's figures at one moment.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            /// Syncs by duration: one count per bound of [`SYNC_BUCKETS_US`], not cumulated, and
            /// one for what took longer.
            pub sync_buckets: [u64; SYNC_BUCKETS_US.len() + 1],
            /// Bytes appended and not yet committed.
            pub inflight_bytes: u64,
            /// Bytes of all segments on disk.
            pub disk_bytes: u64,
            /// Segments on disk.
            pub segments: u64,
            /// Prepared segments at hand.
            pub spare_segments: u64,
            /// The log has stopped for good after a failed write or sync.
            pub stopped: bool,
            /// No space could be reserved at the last attempt.
            pub full: bool,
            /// The disk is not waited for: `Durability::None`.
            pub not_durable: bool,
        }

        impl Counters {
            pub(crate) fn read(&self) -> Stats {
                Stats {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    sync_buckets: std::array::from_fn(|i| {
                        self.sync_buckets.get(i).map_or(0, |b| b.load(Ordering::Relaxed))
                    }),
                    ..Stats::default()
                }
            }
        }
    };
}

counters! {
    /// Records committed.
    records,
    /// Bytes of record bodies and headers committed.
    record_bytes,
    /// Bytes written to segments, headers and padding included.
    written_bytes,
    /// Commits.
    commits,
    /// Syncs of segments by the commit thread.
    syncs,
    /// Time spent in them, µs.
    sync_us,
    /// Commit marks written while idle.
    marks,
    /// Segments begun.
    rollovers,
    /// Appends turned away because too much waited.
    busy,
    /// Appends turned away for want of space.
    full_rejections,
    /// Torn tails cut off when opening: never acknowledged, no fault.
    torn_tails,
    /// Whole frames dropped with them.
    torn_frames,
    /// Ranges of damaged acknowledged records met, when opening or reading.
    damaged_ranges,
    /// Records within them.
    damaged_records,
    /// Segments removed by retention.
    retired_segments,
    /// Bytes removed by retention.
    retired_bytes,
    /// Retired segments used again without writing zeros anew.
    recycled_segments,
    /// Evictable views that lost records to their budget.
    evictions,
    /// Batches readers took from memory.
    hot_reads,
    /// Batches readers took from files.
    file_reads,
    /// Snapshots saved.
    snapshots,
    /// Snapshots that had to be loaded from the generation before.
    snapshot_fallbacks,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn synced(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Self::add(&self.syncs, 1);
        Self::add(&self.sync_us, us);
        let bucket = SYNC_BUCKETS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.sync_buckets.get(bucket) {
            Self::add(bucket, 1);
        }
    }
}

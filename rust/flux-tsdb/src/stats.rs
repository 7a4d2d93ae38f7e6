//! Figures about the store, for metrics.
//!
//! Owns counters that only grow while the store is open. Must never be what a decision rests on.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The counters, shared by all threads.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        /// The store's figures at one moment.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            /// Series there are.
            pub series: u64,
            /// Devices that have any.
            pub devices: u64,
            /// Memory of points not yet in a block, bytes.
            pub head_bytes: u64,
            /// Memory of the blocks' indices, bytes.
            pub index_bytes: u64,
            /// Blocks that are read.
            pub blocks: u64,
            /// Their length on disk, bytes.
            pub disk_bytes: u64,
            /// Points in them, those that are to be erased included.
            pub block_points: u64,
            /// Files set aside as damaged, in the directory now.
            pub damaged_blocks: u64,
            /// Flushes that no block holds and retention did not remove.
            pub missing_blocks: u64,
            /// Deleted devices whose data is still on disk.
            pub deletions: u64,
        }

        impl Counters {
            pub(crate) fn read(&self) -> Stats {
                Stats {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    ..Stats::default()
                }
            }
        }
    };
}

counters! {
    /// Points taken.
    points,
    /// Of them, those whose series had a later one already.
    late_points,
    /// Values not taken: too large, of an unnameable time, or of a series beyond a limit.
    refused_values,
    /// Points not taken because they were deleted with their device.
    deleted_points,
    /// Blocks written by flushes.
    flushes,
    /// Flushes that failed; what they were to write stayed in memory.
    flush_failures,
    /// Flushes of points beyond what every writer had applied, for want of room.
    early_flushes,
    /// Time spent flushing, µs.
    flush_us,
    /// Blocks made by merging others.
    merges,
    /// Merges that failed.
    merge_failures,
    /// Bytes written, merging included.
    written_bytes,
    /// Blocks removed by retention.
    expired_blocks,
    /// Chunks found damaged when they were read.
    damaged_chunks,
    /// Queries answered.
    queries,
    /// Points read for them.
    scanned_points,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

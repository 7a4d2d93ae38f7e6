//! How late things happened, as a histogram anybody may read while it grows.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The upper bounds of the buckets, ms; what is later falls into one more.
pub const LATENESS_BUCKETS_MS: [u64; 12] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 30_000];

/// Counts of lateness.
#[derive(Debug, Default)]
pub struct Lateness {
    buckets: [AtomicU64; LATENESS_BUCKETS_MS.len() + 1],
    sum_ms: AtomicU64,
}

impl Lateness {
    /// Counts one.
    pub fn record(&self, late_ms: u64) {
        let place = LATENESS_BUCKETS_MS.partition_point(|bound| *bound < late_ms);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_ms.fetch_add(late_ms, Relaxed);
    }

    /// The count of each bucket, the one without a bound last.
    #[must_use]
    pub fn buckets(&self) -> [u64; LATENESS_BUCKETS_MS.len() + 1] {
        std::array::from_fn(|place| self.buckets.get(place).map_or(0, |count| count.load(Relaxed)))
    }

    /// The sum of all, ms.
    #[must_use]
    pub fn sum_ms(&self) -> u64 {
        self.sum_ms.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let lateness = Lateness::default();
        for late_ms in [0, 1, 2, 3, 30_000, 30_001] {
            lateness.record(late_ms);
        }
        let buckets = lateness.buckets();
        assert_eq!((buckets[0], buckets[1], buckets[2], buckets[11], buckets[12]), (2, 1, 1, 1, 1));
        assert_eq!(lateness.sum_ms(), 60_007);
    }
}

//! How the store is set up: every limit of the crate with its default.
//!
//! Owns [`StoreOptions`] and its checks. Must never be read behind the caller's back: there is no
//! environment and no file here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flux_log::disk::{Disk, RealDisk};
use flux_log::{LogClock, SystemClock};
use flux_types::Position;

use crate::error::TsdbError;

/// How long points stay.
///
/// Whole blocks go, the oldest first. The newest block always stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Oldest blocks go once all of them are larger than this, bytes.
    pub bytes_max: u64,
    /// Blocks go once the newest of their points was *stored* longer ago than this; a device whose
    /// clock is wrong neither loses points by it nor keeps them for ever.
    pub age_max: Option<Duration>,
    /// Time during which the machine was off counts towards age by the wall clock, and only up to
    /// this: a longer gap is taken for a clock that jumped and counts as nothing. While it runs,
    /// time is monotonic. Points may so stay longer than `age_max`, never shorter.
    pub downtime_max: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { bytes_max: 16 << 30, age_max: None, downtime_max: Duration::from_secs(24 * 3600) }
    }
}

/// What the log has, as it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSpan {
    /// Its oldest record, if it has any (`Log::oldest`).
    pub oldest: Option<Position>,
    /// Its watermark (`Log::committed`). Where the store covers more, as after a power cut with a
    /// log that does not sync, or with a log begun anew, replaying goes on from here.
    pub committed: Position,
}

/// What a query may ask for and take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryLimits {
    /// Samples, or buckets, of one answer; the rest is had with the answer's cursor. Default
    /// 100 000.
    pub points_max: usize,
    /// Series of one query. Default 1000.
    pub series_max: usize,
    /// Points read for one answer. Where buckets are complete by then the answer ends, with a
    /// cursor; where not even one is, the query is refused. Default 50 million.
    pub scan_points_max: u64,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { points_max: 100_000, series_max: 1000, scan_points_max: 50_000_000 }
    }
}

/// Everything the store is opened with.
#[derive(Clone)]
#[non_exhaustive]
pub struct StoreOptions {
    /// Where the files are; made if it is not there.
    pub dir: PathBuf,
    /// The disk. Default: the machine's.
    pub disk: Arc<dyn Disk>,
    /// The clocks by which blocks age. Default: the machine's.
    pub clock: Arc<dyn LogClock>,
    /// What the log can tell. Damaged and missing blocks are made anew from there: the store then
    /// asks for an earlier replay. `None`: not known; only what follows the last block is asked for.
    pub log: Option<LogSpan>,
    /// Memory of all points not yet in a block, bytes. At half of it a flush is due; at all of it
    /// whoever appends flushes first. Default 64 MiB.
    pub head_bytes_max: usize,
    /// How long points wait in memory until a flush is due. It bounds what is replayed after a
    /// crash, and how much of the log is held back. Default 5 minutes.
    pub flush_interval: Duration,
    /// Largest text, byte string or JSON value, bytes; larger values are refused, counted. Default
    /// 64 KiB.
    pub value_bytes_max: usize,
    /// Series altogether, about half a kilobyte of memory each; beyond it new ones are refused,
    /// counted. Default 250 000.
    pub series_len_max: usize,
    /// Series of one device; beyond it new ones are refused, counted. Default 1000.
    pub series_per_device_max: usize,
    /// Blocks of one level that are merged into one of the next. Default 8.
    pub merge_len: usize,
    /// Blocks are not merged beyond this, bytes. Default 256 MiB.
    pub block_bytes_max: u64,
    /// Deleted devices whose data is still on disk; beyond it deleting more is refused. Default
    /// 10 000.
    pub deletions_len_max: usize,
    /// How long points stay.
    pub retention: Retention,
    /// What queries may take.
    pub query: QueryLimits,
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreOptions")
            .field("dir", &self.dir)
            .field("log", &self.log)
            .field("head_bytes_max", &self.head_bytes_max)
            .field("flush_interval", &self.flush_interval)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}

impl StoreOptions {
    /// The defaults for a directory.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            disk: Arc::new(RealDisk),
            clock: Arc::new(SystemClock::new()),
            log: None,
            head_bytes_max: 64 << 20,
            flush_interval: Duration::from_secs(300),
            value_bytes_max: 64 << 10,
            series_len_max: 250_000,
            series_per_device_max: 1000,
            merge_len: 8,
            block_bytes_max: 256 << 20,
            deletions_len_max: 10_000,
            retention: Retention::default(),
            query: QueryLimits::default(),
        }
    }

    /// Checks every option against its range.
    ///
    /// # Errors
    /// [`TsdbError::Options`] for the first that does not do.
    pub fn check(&self) -> Result<(), TsdbError> {
        let least = |name, value: u64, least: u64| {
            let problem = format!("{value} is less than {least}");
            if value < least { Err(TsdbError::Options { name, problem }) } else { Ok(()) }
        };
        least("head_bytes_max", self.head_bytes_max as u64, 64 << 10)?;
        least("value_bytes_max", self.value_bytes_max as u64, 1)?;
        least("series_len_max", self.series_len_max as u64, 1)?;
        least("series_per_device_max", self.series_per_device_max as u64, 1)?;
        least("merge_len", self.merge_len as u64, 2)?;
        least("block_bytes_max", self.block_bytes_max, 64 << 10)?;
        least("query.points_max", self.query.points_max as u64, 1)?;
        least("query.series_max", self.query.series_max as u64, 1)?;
        least("query.scan_points_max", self.query.scan_points_max, 1)?;
        if self.value_bytes_max > self.head_bytes_max / 4 {
            let problem = format!(
                "{} is more than a quarter of head_bytes_max ({})",
                self.value_bytes_max, self.head_bytes_max
            );
            return Err(TsdbError::Options { name: "value_bytes_max", problem });
        }
        Ok(())
    }

    /// Blocks are final beyond half of this: a merged one must be small beside all that may stay,
    /// or retention takes too much at a time.
    pub(crate) fn merged_bytes_max(&self) -> u64 {
        self.block_bytes_max.min(self.retention.bytes_max / 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_range_are_named() {
        let broken = |change: fn(&mut StoreOptions)| {
            let mut options = StoreOptions::new("x");
            change(&mut options);
            match options.check() {
                Err(TsdbError::Options { name, .. }) => name,
                other => panic!("{other:?}"),
            }
        };
        assert!(StoreOptions::new("x").check().is_ok());
        assert_eq!(broken(|o| o.head_bytes_max = 1), "head_bytes_max");
        assert_eq!(broken(|o| o.merge_len = 1), "merge_len");
        assert_eq!(broken(|o| o.value_bytes_max = 32 << 20), "value_bytes_max");
        assert_eq!(broken(|o| o.query.points_max = 0), "query.points_max");
    }
}

//! How the log is set up: every limit of the crate with its default.
//!
//! Owns [`LogOptions`] and its checks. Must never be read behind the caller's back: there is no
//! environment and no file here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{LogClock, SystemClock};
use crate::disk::{Disk, RealDisk};
use crate::error::LogError;
use crate::format::{
    FRAME_ALIGN, FRAME_HEADER_BYTES, FRAME_TARGET_BYTES, HEADER_BYTES, RECORD_HEADER_BYTES,
};
use crate::view::View;

/// When a record counts as committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Once `fdatasync` has returned. Survives a power cut.
    #[default]
    Sync,
    /// Once it was given to the operating system. Survives `kill -9`; a power cut may lose what
    /// came since the last background sync (at rollover, when idle, and on closing).
    None,
}

/// How much of the log is read and checked before it opens. The last segment always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// Only the last segment and the chain of headers.
    Tail,
    /// And every segment that a view has not yet covered: what will be replayed.
    #[default]
    Replayed,
    /// Everything.
    All,
}

/// How long records stay when no view needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Oldest segments go once the log is larger than this, bytes.
    pub bytes_max: u64,
    /// Oldest segments go once there are more: each opening begins one, however few its records.
    pub segments_max: usize,
    /// Segments go once their newest record is older than this.
    pub age_max: Option<Duration>,
    /// Time between two boots of the machine counts towards age by the wall clock, and only up to
    /// this: a longer gap is taken for a clock that jumped and counts as nothing. Everything else
    /// is measured by monotonic time. Records may so stay longer than `age_max`, never shorter.
    pub downtime_max: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            bytes_max: 1 << 30,
            segments_max: 4096,
            age_max: None,
            downtime_max: Duration::from_secs(24 * 3600),
        }
    }
}

/// Everything the log is opened with.
#[derive(Clone)]
#[non_exhaustive]
pub struct LogOptions {
    /// Where the files are; made if it is not there.
    pub dir: PathBuf,
    /// The disk. Default: the machine's.
    pub disk: Arc<dyn Disk>,
    /// The clocks by which segments age. Default: the machine's.
    pub clock: Arc<dyn LogClock>,
    /// Size of a segment file, bytes. Default 32 MiB.
    pub segment_bytes: u64,
    /// Segments prepared ahead. Default 1.
    pub spare_segments: usize,
    /// Largest body of a record, bytes. Default 1 MiB.
    pub record_bytes_max: usize,
    /// Largest batch, record headers (28 bytes each) included, bytes. Default 4 MiB.
    pub batch_bytes_max: usize,
    /// Most bytes appended and not yet committed; beyond it appending answers
    /// [`LogError::Busy`]. Default 8 MiB.
    pub inflight_bytes_max: usize,
    /// Most bytes of committed records kept in memory for readers. Default 8 MiB.
    pub hot_bytes_max: usize,
    /// Bytes a reader takes from a file at a time. Default 128 KiB.
    pub read_bytes: usize,
    /// How long the commit thread waits for more before it writes, µs. Default 0: what came while
    /// the last sync ran makes up the next commit.
    pub commit_linger_us: u64,
    /// When a record counts as committed.
    pub durability: Durability,
    /// Each commit begins at a multiple of this, bytes: 64 to 4096, a power of two. With 4096, the
    /// default, no write ever touches a sector or page that holds acknowledged records; 64 packs
    /// small commits densely and trusts the device not to spoil a sector it rewrites.
    pub commit_align_bytes: u64,
    /// After this long without appends a commit mark is written, ms, so that even the last commit
    /// can be told from a torn tail. Default 1000.
    pub mark_idle_ms: u64,
    /// Largest snapshot, bytes. Default 1 GiB.
    pub snapshot_bytes_max: u64,
    /// Most views, registered or found on disk. Default 64.
    pub views_max: usize,
    /// Views that hold records back from the first moment.
    pub views: Vec<View>,
    /// How long records stay.
    pub retention: Retention,
    /// How often retention looks at the clock and asks again for space that was missing, ms.
    /// Default 1000.
    pub upkeep_interval_ms: u64,
    /// How much is checked before opening.
    pub verify: Verify,
    /// Open although acknowledged records are damaged: readers will be told of each range and go
    /// on after it; files that cannot be read are set aside as `*.damaged`.
    pub repair: bool,
}

impl std::fmt::Debug for LogOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogOptions")
            .field("dir", &self.dir)
            .field("segment_bytes", &self.segment_bytes)
            .field("inflight_bytes_max", &self.inflight_bytes_max)
            .field("durability", &self.durability)
            .field("retention", &self.retention)
            .field("repair", &self.repair)
            .finish_non_exhaustive()
    }
}

const SEGMENT_BYTES_LEAST: u64 = 64 * 1024;
const SEGMENT_BYTES_MOST: u64 = 4 << 30;

impl LogOptions {
    /// The defaults for a directory.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            disk: Arc::new(RealDisk),
            clock: Arc::new(SystemClock::new()),
            segment_bytes: 32 << 20,
            spare_segments: 1,
            record_bytes_max: 1 << 20,
            batch_bytes_max: 4 << 20,
            inflight_bytes_max: 8 << 20,
            hot_bytes_max: 8 << 20,
            read_bytes: 128 << 10,
            commit_linger_us: 0,
            durability: Durability::Sync,
            commit_align_bytes: 4096,
            mark_idle_ms: 1000,
            snapshot_bytes_max: 1 << 30,
            views_max: 64,
            views: Vec::new(),
            retention: Retention::default(),
            upkeep_interval_ms: 1000,
            verify: Verify::default(),
            repair: false,
        }
    }

    /// Checks every option against its range and against the others.
    ///
    /// # Errors
    /// [`LogError::Options`] for the first that does not do.
    pub fn check(&self) -> Result<(), LogError> {
        let bad = |name, problem: String| Err(LogError::Options { name, problem });
        if !(SEGMENT_BYTES_LEAST..=SEGMENT_BYTES_MOST).contains(&self.segment_bytes)
            || !self.segment_bytes.is_multiple_of(4096)
        {
            return bad(
                "segment_bytes",
                format!("{} is not a multiple of 4096 from 64 KiB to 4 GiB", self.segment_bytes),
            );
        }
        if !self.commit_align_bytes.is_power_of_two()
            || !(FRAME_ALIGN as u64..=4096).contains(&self.commit_align_bytes)
        {
            let problem = format!("{} is not a power of two, 64 to 4096", self.commit_align_bytes);
            return bad("commit_align_bytes", problem);
        }
        let room = self.segment_bytes - HEADER_BYTES as u64 - 4096;
        if self.batch_bytes_max as u64 > room || self.batch_bytes_max < RECORD_HEADER_BYTES {
            let problem = format!("{} does not fit a segment ({room})", self.batch_bytes_max);
            return bad("batch_bytes_max", problem);
        }
        if self.record_bytes_max + RECORD_HEADER_BYTES > self.batch_bytes_max {
            let problem = format!("{} and 28 more do not fit a batch", self.record_bytes_max);
            return bad("record_bytes_max", problem);
        }
        if self.inflight_bytes_max < self.batch_bytes_max || self.inflight_bytes_max > 1 << 30 {
            let problem = "must be at least batch_bytes_max and at most 1 GiB".to_owned();
            return bad("inflight_bytes_max", problem);
        }
        if !(1..=64).contains(&self.spare_segments) {
            return bad("spare_segments", format!("{} is not 1 to 64", self.spare_segments));
        }
        let least = FRAME_TARGET_BYTES + FRAME_HEADER_BYTES;
        if self.read_bytes < least {
            return bad("read_bytes", format!("{} is less than {least}", self.read_bytes));
        }
        if self.views.len() > self.views_max {
            return Err(LogError::TooManyViews { views_max: self.views_max });
        }
        Ok(())
    }
}

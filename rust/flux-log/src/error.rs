//! What can go wrong in the log, and what was found damaged.
//!
//! Owns the crate's one error enum. Must never hide which of "try later", "stopped for good" and
//! "your input" it was: callers decide on that.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flux_types::{Coded, ErrorKind, Position};

/// Why the log stopped accepting: the first write or sync that failed.
///
/// After a failed `fsync` the kernel may have dropped the pages it could not write, so trying
/// again could report success for data that is gone (LWN 752063, "PostgreSQL's fsync() surprise").
/// The log therefore never tries again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopCause {
    /// What was being done: `write`, `sync`, `rename`, …
    pub operation: &'static str,
    /// The file it was done to.
    pub path: PathBuf,
    /// What the operating system said.
    pub message: String,
    /// Its error number, where it gave one.
    pub os_error: Option<i32>,
}

impl fmt::Display for StopCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}: {}", self.operation, self.path.display(), self.message)
    }
}

/// What was found wrong with a stretch of acknowledged records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageCause {
    /// The bytes on disk do not match their checksum, or are not there.
    Checksum,
    /// A segment file that later ones build on is missing.
    MissingSegment,
    /// A segment's header cannot be read.
    SegmentHeader,
    /// The log ends before the position of a durable snapshot.
    EndsBeforeSnapshot,
}

impl fmt::Display for DamageCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "checksum does not match",
            Self::MissingSegment => "segment file is missing",
            Self::SegmentHeader => "segment header cannot be read",
            Self::EndsBeforeSnapshot => "log ends before a durable snapshot",
        })
    }
}

/// A range of acknowledged records that cannot be read. Both ends belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// First position of the range.
    pub from: Position,
    /// Last position of the range.
    pub to: Position,
    /// What was found.
    pub cause: DamageCause,
    /// The file it was found in, or would have been found in.
    pub path: PathBuf,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={} in {}: {}", self.from, self.to, self.path.display(), self.cause)
    }
}

/// All damage found while opening.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DamageReport {
    /// Each range, in order of position. At most [`DamageReport::RANGES_MAX`] are kept.
    pub ranges: Vec<Damage>,
    /// How many further ranges were found and not kept.
    pub more: u64,
}

impl DamageReport {
    /// How many ranges a report keeps.
    pub const RANGES_MAX: usize = 256;

    pub(crate) fn push(&mut self, damage: Damage) {
        if self.ranges.len() < Self::RANGES_MAX {
            self.ranges.push(damage);
        } else {
            self.more += 1;
        }
    }

    /// Nothing was found damaged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl fmt::Display for DamageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.ranges.iter().take(4).enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            range.fmt(f)?;
        }
        let rest = self.more + self.ranges.len().saturating_sub(4) as u64;
        if rest > 0 {
            write!(f, "; and {rest} more")?;
        }
        Ok(())
    }
}

/// Everything the log can answer instead of doing what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Too much waits to be committed. Wait for room (`Log::on_room`, `Log::wait_room`), then try
    /// again; nothing of the batch was taken.
    #[error(
        "the log is busy: {inflight_bytes} bytes wait to be committed, limit {inflight_bytes_max}"
    )]
    Busy {
        /// Bytes appended and not yet committed.
        inflight_bytes: usize,
        /// The limit, `inflight_bytes_max`.
        inflight_bytes_max: usize,
    },
    /// No space could be reserved on the disk. Nothing of the batch was taken; when space returns
    /// the log goes on by itself.
    #[error("the disk has no room for further records: {cause}")]
    Full {
        /// What the operating system said when space was last asked for.
        cause: Arc<str>,
    },
    /// A write or sync failed and the log accepts nothing more until it is opened again.
    #[error("the log stopped after a failed {cause}")]
    Stopped {
        /// The failure.
        cause: Arc<StopCause>,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// A batch without records was given.
    #[error("a batch needs at least one record")]
    EmptyBatch,
    /// A record's body is over the limit.
    #[error("record {index} of the batch has {bytes} bytes, limit {record_bytes_max}")]
    RecordTooLarge {
        /// Which record of the batch, from 0.
        index: usize,
        /// Its body, bytes.
        bytes: usize,
        /// The limit.
        record_bytes_max: usize,
    },
    /// A batch is over the limit.
    #[error("the batch has {bytes} bytes, limit {batch_bytes_max}")]
    BatchTooLarge {
        /// Bytes with record headers.
        bytes: usize,
        /// The limit.
        batch_bytes_max: usize,
    },
    /// An option is out of its range.
    #[error("option {name}: {problem}")]
    Options {
        /// The option.
        name: &'static str,
        /// What is wrong with it and what would do.
        problem: String,
    },
    /// Another process or another `Log` of this process has the directory.
    #[error("{} is in use by {}", path.display(), holder(*pid))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, where it says so.
        pid: Option<u32>,
    },
    /// A file with one of our names was not written by this log.
    #[error("{} is not a file of this log: {what}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What tells.
        what: &'static str,
    },
    /// A file was written by a newer version of the program.
    #[error("{} has format version {found}, this program reads up to {supported}", path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest we know.
        supported: u32,
    },
    /// Acknowledged records cannot be read; the log was not opened. Opening with `repair` goes on
    /// without them.
    #[error("acknowledged records are damaged: {0}")]
    Damaged(Box<DamageReport>),
    /// A reader came upon acknowledged records it cannot read. Reading on continues after them.
    #[error("acknowledged records are damaged: {0}")]
    DamagedRange(Box<Damage>),
    /// A reader asked for records that retention has removed. Reading on continues after them.
    #[error("records {from}..={to} have been retired")]
    Retired {
        /// First position asked for.
        from: Position,
        /// Last position that has been removed.
        to: Position,
    },
    /// An operation on a file failed, other than one that stops the log.
    #[error("{operation} of {} failed", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A snapshot's or view's name cannot be used.
    #[error("name {name:?} cannot be used: 1 to 64 of a-z, 0-9, '_', '.', '-'")]
    SnapshotName {
        /// The name.
        name: String,
    },
    /// A snapshot is over the limit.
    #[error("snapshot {name} has {bytes} bytes, limit {snapshot_bytes_max}")]
    SnapshotTooLarge {
        /// Its name.
        name: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        snapshot_bytes_max: u64,
    },
    /// A snapshot would hold what is not committed yet. Wait for its position first.
    #[error("snapshot {name} at {position} is ahead of what is committed, {committed}")]
    SnapshotAhead {
        /// Its name.
        name: String,
        /// Its position.
        position: Position,
        /// The watermark.
        committed: Position,
    },
    /// A snapshot's position is before that of the one already durable.
    #[error("snapshot {name} at {position} is behind the durable one at {durable}")]
    SnapshotBehind {
        /// Its name.
        name: String,
        /// Its position.
        position: Position,
        /// The position already durable.
        durable: Position,
    },
    /// No kept generation of a snapshot can be read.
    #[error("snapshot {name} is damaged in all {generations} kept generations")]
    SnapshotDamaged {
        /// Its name.
        name: String,
        /// How many were tried.
        generations: usize,
    },
    /// No view has that name.
    #[error("there is no view {name:?}")]
    UnknownView {
        /// The name.
        name: String,
    },
    /// More views than the limit.
    #[error("{views_max} views are registered, which is the limit")]
    TooManyViews {
        /// The limit.
        views_max: usize,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl LogError {
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }
}

impl Coded for LogError {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "log.busy",
            Self::Full { .. } => "log.full",
            Self::Stopped { .. } => "log.stopped",
            Self::Closed => "log.closed",
            Self::EmptyBatch => "log.empty_batch",
            Self::RecordTooLarge { .. } => "log.record_too_large",
            Self::BatchTooLarge { .. } => "log.batch_too_large",
            Self::Options { .. } => "log.options",
            Self::Locked { .. } => "log.locked",
            Self::Foreign { .. } => "log.foreign_file",
            Self::NewerVersion { .. } => "log.newer_version",
            Self::Damaged(_) | Self::DamagedRange(_) => "log.damaged",
            Self::Retired { .. } => "log.retired",
            Self::Io { .. } => "log.io",
            Self::SnapshotName { .. } => "log.snapshot_name",
            Self::SnapshotTooLarge { .. } => "log.snapshot_too_large",
            Self::SnapshotAhead { .. } => "log.snapshot_ahead",
            Self::SnapshotBehind { .. } => "log.snapshot_behind",
            Self::SnapshotDamaged { .. } => "log.snapshot_damaged",
            Self::UnknownView { .. } => "log.unknown_view",
            Self::TooManyViews { .. } => "log.too_many_views",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Busy { .. } | Self::Full { .. } | Self::Stopped { .. } | Self::Closed => {
                ErrorKind::Unavailable
            }
            Self::EmptyBatch
            | Self::RecordTooLarge { .. }
            | Self::BatchTooLarge { .. }
            | Self::Options { .. }
            | Self::Foreign { .. }
            | Self::NewerVersion { .. }
            | Self::SnapshotName { .. }
            | Self::SnapshotTooLarge { .. }
            | Self::SnapshotAhead { .. }
            | Self::SnapshotBehind { .. }
            | Self::TooManyViews { .. } => ErrorKind::Invalid,
            Self::Locked { .. } => ErrorKind::Conflict,
            Self::Retired { .. } | Self::UnknownView { .. } => ErrorKind::NotFound,
            Self::Damaged(_)
            | Self::DamagedRange(_)
            | Self::Io { .. }
            | Self::SnapshotDamaged { .. } => ErrorKind::Internal,
        }
    }
}

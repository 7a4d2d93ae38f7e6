//! What can go wrong in the store.
//!
//! Owns the crate's one error enum. Must never hide which of "try later", "damage" and "your input"
//! it was: callers decide on that.

use std::io;
use std::path::{Path, PathBuf};

use flux_types::{Coded, ErrorKind};

use crate::series::SeriesId;

/// Everything the store can answer instead of doing what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TsdbError {
    /// An option is out of its range.
    #[error("option {name}: {problem}")]
    Options {
        /// The option.
        name: &'static str,
        /// What is wrong with it and what would do.
        problem: String,
    },
    /// Another process or another store of this process has the directory.
    #[error("{} is in use by {}", path.display(), holder(*pid))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, where it says so.
        pid: Option<u32>,
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
    /// An operation on a file failed. Nothing is lost by it: what was to be written is still in
    /// memory and in the log.
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
    /// The heads are full and could not be written to a block. Nothing was taken: tell the sample
    /// again once the cause is mended, and do not pass its position before.
    #[error("heads hold {head_bytes} bytes, limit {head_bytes_max}, and cannot be written")]
    HeadsFull {
        /// Bytes in the heads.
        head_bytes: usize,
        /// The limit.
        head_bytes_max: usize,
        /// Why the flush failed.
        #[source]
        cause: Box<TsdbError>,
    },
    /// More series than the limit.
    #[error("there are {len} series{}, which is the limit ({limit})", of_device(limit))]
    TooManySeries {
        /// How many there are.
        len: usize,
        /// The limit's name.
        limit: &'static str,
    },
    /// More deleted devices wait for their data to be overwritten than the limit.
    #[error("the data of {len} deleted devices is still to be erased, which is the limit")]
    TooManyDeletions {
        /// The limit, `deletions_len_max`.
        len: usize,
    },
    /// The number names no series: its device's data was deleted, or the last of it has expired.
    #[error("there is no series {0}")]
    UnknownSeries(SeriesId),
    /// A query cannot be answered as it was put.
    #[error("{name}: {problem}")]
    Query {
        /// The part of the query.
        name: &'static str,
        /// What is wrong with it and what would do.
        problem: String,
    },
    /// The query would read more points than the limit before it could answer anything.
    #[error(
        "one bucket has more than {scan_points_max} points to read; take a smaller step or a \
         shorter range"
    )]
    TooMuchToScan {
        /// The limit.
        scan_points_max: u64,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

fn of_device(limit: &str) -> &'static str {
    if limit == "series_per_device_max" { " of the device" } else { "" }
}

impl TsdbError {
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }

    pub(crate) fn query(name: &'static str, problem: impl Into<String>) -> Self {
        Self::Query { name, problem: problem.into() }
    }
}

impl Coded for TsdbError {
    fn code(&self) -> &'static str {
        match self {
            Self::Options { .. } => "series.options",
            Self::Locked { .. } => "series.locked",
            Self::NewerVersion { .. } => "series.newer_version",
            Self::Io { .. } => "series.io",
            Self::HeadsFull { .. } => "series.heads_full",
            Self::TooManySeries { .. } => "series.too_many",
            Self::TooManyDeletions { .. } => "series.too_many_deletions",
            Self::UnknownSeries(_) => "series.unknown",
            Self::Query { .. } => "series.query",
            Self::TooMuchToScan { .. } => "series.too_much_to_scan",
            Self::Closed => "series.closed",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Options { .. }
            | Self::NewerVersion { .. }
            | Self::Query { .. }
            | Self::TooMuchToScan { .. } => ErrorKind::Invalid,
            Self::Locked { .. } => ErrorKind::Conflict,
            Self::HeadsFull { .. }
            | Self::TooManySeries { .. }
            | Self::TooManyDeletions { .. }
            | Self::Closed => ErrorKind::Unavailable,
            Self::UnknownSeries(_) => ErrorKind::NotFound,
            Self::Io { .. } => ErrorKind::Internal,
        }
    }
}

//! The write-ahead log: append, group commit, snapshots, cursors, retention.
//!
//! Owns the log's files and the promise that a committed record survives a power cut. Must never
//! look into a record's body, know a protocol, or acknowledge anything itself: others do that once
//! [`Log::committed`] has passed a record's position.
//!
//! ```no_run
//! use flux_log::{Append, Log, LogOptions};
//! use flux_types::TenantId;
//! # fn main() -> Result<(), flux_log::LogError> {
//! let log = Log::open(LogOptions::new("./data/log"))?;
//! let appended = log.append_batch(&[Append::new(1, TenantId(1), b"21.5")])?;
//! log.wait_committed(appended.last, std::time::Duration::from_secs(1))?;
//! let mut reader = log.reader(appended.first);
//! while let Some(batch) = reader.next_batch()? {
//!     for record in &batch {
//!         println!("{} {:?}", record.position, record.body);
//!     }
//! }
//! # log.close() }
//! ```
//!
//! - **Positions.** The epoch counts openings of the log, the offset counts records from 1 on
//!   through all epochs. A batch's records have consecutive offsets. No position is handed out
//!   twice: one that was lost in a crash has an epoch that ended with it.
//! - **Commits.** Appending copies into memory. One thread writes what came while the last sync
//!   ran, syncs, and moves the watermark; listeners hear of it.
//! - **Failure.** No room: [`LogError::Full`], and on when there is room. Too fast:
//!   [`LogError::Busy`]. A failed write or sync: [`LogError::Stopped`] for good.
//! - **Reading.** [`Log::reader`] follows the tail from memory and falls back to files.
//! - **Views.** What is computed from the log is a view: a snapshot and a cursor. Retention holds
//!   back what [`View`]s still need.

#![forbid(unsafe_code)]

mod active;
mod clock;
mod commit;
pub mod disk;
mod error;
mod format;
mod hot;
mod inspect;
mod listen;
mod log;
mod log_views;
mod options;
mod reader;
mod record;
mod recover;
mod scan;
mod segment;
mod shared;
mod snapshot;
mod stats;
mod upkeep;
mod view;

#[cfg(feature = "sim")]
pub use clock::ManualClock;
pub use clock::{LogClock, Stamp, SystemClock};
pub use error::{Damage, DamageCause, DamageReport, LogError, StopCause};
pub use listen::Subscription;
pub use log::Log;
pub use options::{Durability, LogOptions, Retention, Verify};
pub use reader::Reader;
pub use record::{Append, Appended, Batch, Record, Records};
pub use recover::OpenReport;
pub use snapshot::Snapshot;
pub use stats::{SYNC_BUCKETS_US, Stats};
pub use view::{View, ViewClass, ViewEvent, ViewStatus};

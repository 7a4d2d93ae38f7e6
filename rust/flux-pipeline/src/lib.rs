//! The journey of a message: into the log, to its shard, through decode and rules, to what follows.
//!
//! Owns the order of things. What carries a promise is decided once it is on disk, and acted on
//! once the decision is too; views, firings and cursors are written so that a crash at any byte
//! neither loses nor repeats them. Must never know a protocol's packets, a socket or Python.
//!
//! - [`Ingest`] is the way in, one for each network worker.
//! - Shards (`shard/`) read the log, decode, keep last values, evaluate rules and write firings.
//! - The outbox (`outbox/`) carries firings out: commands, alarms, webhooks.
//! - [`refusals`] are what went wrong at the door, for people to look at.
//! - [`views`] are what people look at; recovery rebuilds them.
//! - [`journal`] is how all of it stands in the log.

#![forbid(unsafe_code)]

mod counters;
pub mod decode;
mod error;
pub mod firing;
mod ingest;
pub mod journal;
mod live;
mod outbox;
mod pipeline;
pub mod ports;
mod recorder;
mod recovery;
pub mod refusals;
mod settings;
mod shard;
mod snapshotter;
pub mod views;

pub use counters::{CounterValues, Counters};
pub use error::PipelineError;
pub use ingest::{Incoming, Ingest, Progress, Refusal};
pub use live::{Live, LiveEvent, LiveTap};
pub use outbox::{AlarmDesk, AlarmError, CommandError, WebhookDesk};
pub use pipeline::{Pipeline, PipelineHealth, PipelineParts};
pub use recorder::{RecordError, Recorder};
pub use recovery::{SERIES_NAME, SNAPSHOT_NAME as VIEWS_NAME};
pub use refusals::Refusals;
pub use settings::PipelineSettings;

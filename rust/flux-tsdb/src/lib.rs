//! The time-series store: what devices reported, by series and time.
//!
//! Owns heads in memory, immutable checksummed blocks on disk, and questions to both. It is a view
//! of the log: its caller appends what the log has committed, and after a crash replays the log
//! from [`Store::durable_position`]. Must never know how a message is decoded, nor lose a point it
//! has called durable.
//!
//! ```no_run
//! use flux_tsdb::{RangeQuery, Store, StoreOptions, Upkeep};
//! # fn told() -> Vec<(flux_types::Position, flux_types::Telemetry)> { Vec::new() }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::open(StoreOptions::new("./data/series"))?;
//! let upkeep = Upkeep::start(&store)?;
//! let mut writer = store.writer();
//! for (position, sample) in told() {
//!     writer.append(&sample, position)?;
//!     writer.applied(position);
//!     if let Some(series) = store.find(sample.tenant, sample.device, "temperature") {
//!         let minute = RangeQuery::of(series, sample.ts_ns - 60_000_000_000, sample.ts_ns);
//!         println!("{:?}", store.range(&minute)?);
//!     }
//! }
//! drop(upkeep);
//! store.close()?;
//! # Ok(()) }
//! ```
//!
//! - **Points** are keyed by series, time and position: of several of one time the latest position
//!   wins, so the same message told again changes nothing. They may come in any order.
//! - **Series** are tenant, device and value name. A number stands for them while the store is
//!   open.
//! - **Values** of every kind are kept as they were told, to the last bit; JSON as its text. The
//!   kind may change from point to point.
//! - **Durability.** A flush writes what every writer has applied into a block; then
//!   [`Store::durable_position`] moves, and the log may let go of what lies before. The store pins
//!   the log: within `flush_interval` and `head_bytes_max` a flush is due.
//! - **Damage** is found by checksums, set aside (`*.damaged`) and counted; the rest is served. What
//!   the log still has is made anew by its replay.
//! - **Failure.** A flush that fails leaves its points in memory and is tried again; only when
//!   there is no more room for them appending answers [`TsdbError::HeadsFull`].

#![forbid(unsafe_code)]

mod age;
mod arena;
mod block;
mod chunk;
mod codec;
mod compact;
mod error;
mod flush;
mod head;
mod merge;
mod open;
mod options;
mod point;
mod query;
mod retain;
mod run;
mod series;
mod set;
mod sink;
mod state;
mod stats;
mod store;
mod upkeep;
mod writer;

pub use error::TsdbError;
pub use merge::Order;
pub use open::OpenReport;
pub use options::{LogSpan, QueryLimits, Retention, StoreOptions};
pub use query::{
    AggregatePage, AggregateQuery, Aggregation, Bucket, Buckets, Cursor, Fill, RangePage,
    RangeQuery, Sample, Samples, SeriesBuckets, SeriesSamples,
};
pub use series::{SeriesId, SeriesInfo, SeriesKey};
pub use stats::Stats;
pub use store::Store;
pub use upkeep::Upkeep;
pub use writer::{Appended, Point, Writer};

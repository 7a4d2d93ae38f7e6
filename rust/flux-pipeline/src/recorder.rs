//! The pen: appends drafts to the log and knows what to do when it does not take them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flux_log::{Append, Appended, Log, LogError};
use flux_types::{Instants, Position, Received, TenantId};
use serde::Serialize;

use crate::journal::{Draft, DraftError, RecordKind};

/// How long to wait for room before it is asked again whether we are stopping.
const RETRY: Duration = Duration::from_millis(20);

/// How long people wait for room before they are told that there is none.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What the log adds to each body when it counts a batch, at most.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// Writes to the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder {
    log: Log,
    clock: Instants,
    stopping: Arc<AtomicBool>,
    /// A consequence was not recorded: it is left to recovery.
    left: Arc<AtomicBool>,
}

/// Something could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The log did not take it.
    #[error("the log did not take the record")]
    Log(#[from] LogError),
    /// It has no form in the log.
    #[error("the record has no form in the log")]
    Draft(#[from] DraftError),
    /// The engine stops; recovery will decide again.
    #[error("the engine is stopping")]
    Stopping,
}

impl Recorder {
    /// A pen for a log. Once `stopping` is set, waiting for room is given up.
    #[must_use]
    pub fn new(log: Log, clock: Instants, stopping: Arc<AtomicBool>) -> Self {
        Self { log, clock, stopping, left: Arc::default() }
    }

    /// The log itself.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Whether a consequence could not be recorded. The views may have passed it: they must not be
    /// written down any more, or recovery would not look at it again.
    pub(crate) fn left_something(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// Both clocks.
    #[must_use]
    pub fn now(&self) -> Received {
        self.clock.now()
    }

    /// Milliseconds since 1970 by the wall clock.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.clock.now().wall_ns / 1_000_000
    }

    /// Appends a draft, waiting while the log is busy or the disk is full: for consequences of
    /// what is already acknowledged, which must not be lost for want of room. Gives each record's
    /// position.
    ///
    /// One batch, whole or not at all; a draft over the log's limit becomes several, in order, each
    /// whole. (A crash between them leaves firings without the cursor behind them: recovery knows
    /// them by their ids.)
    ///
    /// # Errors
    /// The log stopped, or the engine is stopping.
    pub fn record(&self, draft: &Draft) -> Result<Vec<Position>, RecordError> {
        let appends = draft.appends();
        let mut positions = Vec::with_capacity(appends.len());
        let mut rest = appends.as_slice();
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(fitting(rest, self.log.batch_bytes_max()));
            positions.extend(self.append(batch)?.positions());
            rest = after;
        }
        Ok(positions)
    }

    fn append(&self, batch: &[Append<'_>]) -> Result<Appended, RecordError> {
        self.until_room(None, || Ok(self.log.append_batch(batch)?))
    }

    /// Makes an attempt that appends, again and again while the log is busy or the disk is full.
    /// Locks belong inside the attempt: whoever looks at a view must not wait for the disk.
    ///
    /// # Errors
    /// That of the attempt; with `patience`, want of room too once that is over.
    pub(crate) fn until_room<T>(
        &self,
        patience: Option<Duration>,
        mut attempt: impl FnMut() -> Result<T, RecordError>,
    ) -> Result<T, RecordError> {
        let until = patience.map(|patience| Instant::now() + patience);
        let outcome = loop {
            let error = match attempt() {
                Err(RecordError::Log(error @ (LogError::Busy { .. } | LogError::Full { .. }))) => {
                    error
                }
                done => break done,
            };
            if self.stopping.load(Ordering::Relaxed) {
                break Err(RecordError::Stopping);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                break Err(error.into());
            }
            let _ = self.log.wait_room(RETRY); // whether or not, it is asked again
        };
        let lost = matches!(outcome, Err(RecordError::Log(_) | RecordError::Stopping));
        if lost && patience.is_none() {
            self.left.store(true, Ordering::Release);
        }
        outcome
    }

    /// Appends one event if there is room: for attempts under a lock.
    ///
    /// # Errors
    /// The log did not take it, be it for now.
    pub(crate) fn append_event(
        &self,
        kind: RecordKind,
        tenant: TenantId,
        event: &impl Serialize,
    ) -> Result<Position, RecordError> {
        let mut draft = Draft::default();
        draft.event(kind, tenant, self.clock.now().wall_ns, event)?;
        Ok(self.log.append_batch(&draft.appends())?.last)
    }

    /// Appends one event, as [`Recorder::record`].
    ///
    /// # Errors
    /// As [`Recorder::record`].
    pub fn record_event(
        &self,
        kind: RecordKind,
        tenant: TenantId,
        event: &impl Serialize,
    ) -> Result<Position, RecordError> {
        self.until_room(None, || self.append_event(kind, tenant, event))
    }
}

/// How many records from the front fit one batch; at least one.
fn fitting(appends: &[Append<'_>], batch_bytes_max: usize) -> usize {
    let mut bytes = 0;
    let fits = |append: &&Append<'_>| {
        bytes += append.body.len() + append.body_rest.len() + RECORD_OVERHEAD_BYTES;
        bytes <= batch_bytes_max
    };
    appends.iter().take_while(fits).count().max(1)
}

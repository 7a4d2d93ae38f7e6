//! The pen: appends drafts to the log and knows what to do when it does not take them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flux_log::{Appended, Log, LogError};
use flux_types::{Instants, Received, TenantId};
use serde::Serialize;

use crate::journal::{Draft, JournalError, RecordKind};

/// How long to wait before a log without room is asked again.
const RETRY: Duration = Duration::from_millis(20);

/// Writes to the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder {
    log: Log,
    clock: Instants,
    stopping: Arc<AtomicBool>,
}

/// Something could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The log did not take it.
    #[error("the log did not take the record")]
    Log(#[from] LogError),
    /// It has no form in the log.
    #[error("the record has no form in the log")]
    Journal(#[from] JournalError),
    /// The engine stops; recovery will decide again.
    #[error("the engine is stopping")]
    Stopping,
}

impl Recorder {
    /// A pen for a log. Once `stopping` is set, waiting for room is given up.
    #[must_use]
    pub fn new(log: Log, clock: Instants, stopping: Arc<AtomicBool>) -> Self {
        Self { log, clock, stopping }
    }

    /// The log itself.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
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
    /// what is already acknowledged, which must not be lost for want of room.
    ///
    /// # Errors
    /// The log stopped, or the engine is stopping.
    pub fn record(&self, draft: &Draft) -> Result<Appended, RecordError> {
        loop {
            match self.log.append_batch(&draft.appends()) {
                Ok(appended) => return Ok(appended),
                Err(LogError::Busy { .. } | LogError::Full { .. }) => {
                    if self.stopping.load(Ordering::Relaxed) {
                        return Err(RecordError::Stopping);
                    }
                    std::thread::sleep(RETRY);
                }
                Err(error) => return Err(error.into()),
            }
        }
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
    ) -> Result<flux_types::Position, RecordError> {
        let mut draft = Draft::default();
        draft.event(kind, tenant, self.clock.now().wall_ns, event)?;
        Ok(self.record(&draft)?.last)
    }
}

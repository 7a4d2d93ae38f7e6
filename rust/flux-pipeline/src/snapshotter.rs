//! Writes the views down from time to time, so that recovery has little to replay and the log
//! may let go of what is old.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flux_log::{Log, LogError};
use flux_tsdb::Store;
use flux_types::Position;
use parking_lot::{Condvar, Mutex};

use crate::counters::{Counters, count};
use crate::ingest::Progress;
use crate::journal::Cursor;
use crate::outbox::OutboxHandle;
use crate::recorder::Recorder;
use crate::recovery::{SERIES_NAME, SNAPSHOT_NAME};
use crate::settings::PipelineSettings;
use crate::views::{Snapshot, Views};

pub(crate) struct Snapshotter {
    log: Log,
    recorder: Recorder,
    views: Views,
    progress: Arc<Progress>,
    outbox: OutboxHandle,
    counters: Arc<Counters>,
    series: Option<Store>,
    interval: Duration,
    records: u64,
    barrier_timeout: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stop: Option<Stop>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The shards and the outbox ended in order: what the views hold is all there is.
    Clean,
    /// Something was left: what is on disk is better than what we have.
    Unclean,
}

/// How often the number of new records is looked at; more often where snapshots are.
const POLL: Duration = Duration::from_millis(500);

impl Snapshotter {
    pub(crate) fn new(
        recorder: Recorder,
        views: Views,
        progress: Arc<Progress>,
        outbox: OutboxHandle,
        counters: Arc<Counters>,
        series: Option<Store>,
        settings: &PipelineSettings,
    ) -> Self {
        Self {
            log: recorder.log().clone(),
            recorder,
            views,
            progress,
            outbox,
            counters,
            series,
            interval: settings.snapshot_interval,
            records: settings.snapshot_records,
            barrier_timeout: settings.stop_timeout,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Ends the thread; after a clean end of the others with a last snapshot.
    pub(crate) fn stop(&self, clean: bool) {
        self.state.lock().stop.get_or_insert(if clean { Stop::Clean } else { Stop::Unclean });
        self.changed.notify_all();
    }

    pub(crate) fn run(&self) {
        let mut last = (Instant::now(), Position::START);
        let mut let_go = Position::START;
        loop {
            self.let_go(&mut let_go);
            let stop = {
                let mut state = self.state.lock();
                if state.stop.is_none() {
                    self.changed.wait_for(&mut state, POLL.min(self.interval));
                }
                state.stop
            };
            match stop {
                Some(Stop::Clean) => {
                    self.write(self.progress.cursors(), &mut last.1);
                    return;
                }
                Some(Stop::Unclean) => return,
                None => {}
            }
            let new_records = self.log.committed().offset.saturating_sub(last.1.offset);
            if last.0.elapsed() >= self.interval || new_records >= self.records {
                last.0 = Instant::now();
                // first how far the shards are, then whether all that follows from it is done: in
                // the other order a firing could slip between, and never be replayed
                let cursors = self.progress.cursors();
                if self.outbox.barrier(self.barrier_timeout) {
                    self.write(cursors, &mut last.1);
                }
            }
        }
    }

    /// Tells the log up to where the time-series store needs nothing told again.
    fn let_go(&self, last: &mut Position) {
        let Some(series) = &self.series else { return };
        let durable = series.durable_position();
        if durable <= *last {
            return;
        }
        match self.log.save_snapshot(SERIES_NAME, durable, &[]) {
            Ok(()) | Err(LogError::SnapshotBehind { .. }) => *last = durable,
            Err(error) => tracing::error!(error = ?error, "the log was not told what is kept"),
        }
    }

    fn write(&self, cursors: Vec<Cursor>, last: &mut Position) {
        let Some(position) = cursors.iter().map(|cursor| cursor.up_to).min() else { return };
        if position <= *last {
            return;
        }
        let snapshot = Snapshot::take(&self.views, cursors);
        if self.recorder.left_something() {
            return;
        }
        let newest = snapshot.newest().max(self.views.webhooks.lock().last_end());
        match self.log.wait_committed(newest, self.barrier_timeout) {
            Ok(true) => {}
            Ok(false) => return, // the disk is slow or full: the next time will do
            Err(error) => {
                count(&self.counters.snapshots_failed);
                tracing::error!(error = ?error, "the views were not written down");
                return;
            }
        }
        let outcome = snapshot.to_bytes().map_err(|error| error.to_string()).and_then(|bytes| {
            match self.log.save_snapshot(SNAPSHOT_NAME, position, &bytes) {
                // the one on disk is of the run before and as new: nothing has happened since
                Err(LogError::SnapshotBehind { .. }) | Ok(()) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        });
        match outcome {
            Ok(()) => {
                *last = position;
                count(&self.counters.snapshots_written);
            }
            Err(error) => {
                count(&self.counters.snapshots_failed);
                tracing::error!(error, "the views were not written down");
            }
        }
    }
}

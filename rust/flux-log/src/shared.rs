//! What the log's handles and threads share.
//!
//! Owns the locks and their order: `active` is never held while another is taken. Must never be
//! reachable from outside the crate.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use flux_types::Position;
use parking_lot::{Condvar, Mutex, RwLock};

use crate::active::Active;
use crate::disk::DiskFile;
use crate::error::{LogError, StopCause};
use crate::hot::Hot;
use crate::listen::Listeners;
use crate::options::LogOptions;
use crate::segment::SegmentList;
use crate::snapshot::SnapshotStore;
use crate::stats::Counters;
use crate::view::{ViewEvent, ViewState};

/// A segment file that waits to be used.
pub(crate) struct Spare {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) path: PathBuf,
}

pub(crate) struct Shared {
    pub(crate) options: LogOptions,
    pub(crate) log_id: u128,
    pub(crate) epoch: u32,
    /// The last record of earlier epochs: what is committed before this epoch's first commit.
    pub(crate) previous_end: Position,

    pub(crate) active: Mutex<Active>,
    /// With `active`: something was appended, or the log closes.
    pub(crate) work: Condvar,
    /// With `active`: there may be room again.
    pub(crate) room: Condvar,

    /// Offset of the last committed record of this epoch; 0 while there is none.
    pub(crate) committed: AtomicU64,
    pub(crate) waiters: AtomicUsize,
    pub(crate) commit_lock: Mutex<()>,
    pub(crate) commit_done: Condvar,
    pub(crate) stopped: OnceLock<Arc<StopCause>>,

    pub(crate) on_commit: Listeners<Position>,
    pub(crate) on_room: Listeners<()>,
    pub(crate) on_stop: Listeners<StopCause>,
    pub(crate) on_view: Listeners<ViewEvent>,

    pub(crate) segments: RwLock<SegmentList>,
    pub(crate) hot: Mutex<Hot>,
    pub(crate) spares: Mutex<VecDeque<Spare>>,
    /// Whole segments of no further use, to be made spares.
    pub(crate) worn: Mutex<Vec<PathBuf>>,
    /// Numbers the files of prepared segments.
    pub(crate) spare_number: AtomicU64,
    pub(crate) snapshots: SnapshotStore,
    pub(crate) views: Mutex<BTreeMap<String, ViewState>>,

    pub(crate) upkeep_wanted: Mutex<bool>,
    pub(crate) upkeep: Condvar,
    pub(crate) closing: AtomicBool,
    pub(crate) counters: Counters,
}

impl Shared {
    pub(crate) fn committed(&self) -> Position {
        match self.committed.load(Ordering::Acquire) {
            0 => self.previous_end,
            offset => Position { epoch: self.epoch, offset },
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// The log accepts nothing more, and whoever waits is told.
    pub(crate) fn stop(&self, operation: &'static str, path: &Path, error: &std::io::Error) {
        let cause = StopCause {
            operation,
            path: path.to_owned(),
            message: error.to_string(),
            os_error: error.raw_os_error(),
        };
        if self.stopped.set(Arc::new(cause.clone())).is_err() {
            return;
        }
        tracing::error!(%cause, "the log stopped: nothing more is accepted until it is reopened");
        {
            let mut active = self.active.lock();
            active.stopped = true;
            active.starved = false;
        }
        self.work.notify_all();
        self.room.notify_all();
        drop(self.commit_lock.lock());
        self.commit_done.notify_all();
        self.on_stop.tell(&cause);
        self.on_room.tell(&());
    }

    pub(crate) fn stop_error(&self) -> Option<LogError> {
        self.stopped.get().map(|cause| LogError::Stopped { cause: Arc::clone(cause) })
    }

    /// Asks the upkeep thread to look now.
    pub(crate) fn want_upkeep(&self) {
        *self.upkeep_wanted.lock() = true;
        self.upkeep.notify_all();
    }

    /// Tells those who were turned away that there is room.
    pub(crate) fn tell_room(&self) {
        self.room.notify_all();
        self.on_room.tell(&());
    }
}

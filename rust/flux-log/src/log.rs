//! The handle everybody appends, waits and reads through.
//!
//! Owns the threads' lifetime. Must never wait for the disk in [`Log::append_batch`].

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flux_types::Position;
use parking_lot::Mutex;

use crate::commit::Committer;
use crate::disk::DirLock;
use crate::error::{LogError, StopCause};
use crate::format::{FRAME_HEADER_BYTES, RECORD_HEADER_BYTES};
use crate::listen::Subscription;
use crate::options::{Durability, LogOptions};
use crate::reader::Reader;
use crate::record::{Append, Appended};
use crate::recover::{self, OpenReport, Opened};
use crate::shared::Shared;
use crate::stats::{Counters, Stats};
use crate::upkeep;

/// The write-ahead log. Cheap to clone; all clones are the same log. The last clone dropped
/// commits what is left and closes it.
#[derive(Clone)]
pub struct Log {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    report: OpenReport,
    running: Mutex<Running>,
}

struct Running {
    commit: Option<JoinHandle<()>>,
    upkeep: Option<JoinHandle<()>>,
    /// In place of the threads when the log is stepped by hand.
    committer: Option<Committer>,
    lock: Option<DirLock>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("dir", &self.handle.shared.options.dir)
            .field("committed", &self.committed())
            .finish_non_exhaustive()
    }
}

impl Log {
    /// Opens the log in a directory and starts its two threads, `log-commit` and `log-upkeep`.
    ///
    /// Every opening begins a new epoch. A torn tail, never acknowledged, is cut off quietly (see
    /// [`Log::open_report`]).
    ///
    /// # Errors
    /// [`LogError::Locked`] when somebody has the directory, [`LogError::Damaged`] when
    /// acknowledged records cannot be read and `repair` is not set, [`LogError::Foreign`] and
    /// [`LogError::NewerVersion`] for files that are not this program's, [`LogError::Full`] when
    /// there is no room for a segment, [`LogError::Options`], [`LogError::Io`].
    pub fn open(options: LogOptions) -> Result<Self, LogError> {
        let Opened { shared, committer, report, lock } = recover::open(options)?;
        let dir = shared.options.dir.clone();
        let for_commit = Arc::clone(&shared);
        let run_guarded = move |committer: Committer| {
            let run = std::panic::AssertUnwindSafe(|| committer.run());
            if std::panic::catch_unwind(run).is_err() {
                // Without this everybody would wait for a watermark that never moves.
                let error = std::io::Error::other("the commit thread panicked");
                for_commit.stop("commit", for_commit.dir(), &error);
            }
        };
        let commit = std::thread::Builder::new()
            .name("log-commit".to_owned())
            .spawn(move || run_guarded(committer))
            .map_err(LogError::io("start the commit thread of", &dir))?;
        let for_upkeep = Arc::clone(&shared);
        let upkeep = std::thread::Builder::new()
            .name("log-upkeep".to_owned())
            .spawn(move || upkeep::run(&for_upkeep))
            .map_err(LogError::io("start the upkeep thread of", &dir))?;
        let running = Running {
            commit: Some(commit),
            upkeep: Some(upkeep),
            committer: None,
            lock: Some(lock),
        };
        Ok(Self { handle: Arc::new(Handle { shared, report, running: Mutex::new(running) }) })
    }

    /// Opens the log without threads: nothing is committed and no segment prepared but by
    /// [`Log::step_commit`] and [`Log::step_upkeep`]. For tests that must come out the same each
    /// time.
    ///
    /// # Errors
    /// As [`Log::open`].
    #[cfg(feature = "sim")]
    pub fn open_stepped(options: LogOptions) -> Result<Self, LogError> {
        let Opened { shared, committer, report, lock } = recover::open(options)?;
        let running =
            Running { commit: None, upkeep: None, committer: Some(committer), lock: Some(lock) };
        Ok(Self { handle: Arc::new(Handle { shared, report, running: Mutex::new(running) }) })
    }

    /// Commits once what has been appended, or writes a commit mark if nothing has.
    #[cfg(feature = "sim")]
    pub fn step_commit(&self) {
        if let Some(committer) = &mut self.handle.running.lock().committer {
            committer.step();
        }
    }

    /// One round of upkeep: prepares segments, retires segments.
    #[cfg(feature = "sim")]
    pub fn step_upkeep(&self) {
        upkeep::step(&self.handle.shared);
    }

    /// Leaves the log as a crash would: nothing is committed or closed.
    #[cfg(feature = "sim")]
    pub fn abandon(&self) {
        self.handle.running.lock().committer = None;
        self.handle.shared.active.lock().closed = true;
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// What opening found.
    #[must_use]
    pub fn open_report(&self) -> &OpenReport {
        &self.handle.report
    }

    /// Appends records, all or none of them, also across a crash. Returns at once with their
    /// positions; they are promised to nobody before [`Log::committed`] has reached the last.
    ///
    /// Consecutive batches have ascending positions, in the order in which calls took the lock.
    ///
    /// # Errors
    /// [`LogError::Busy`] and [`LogError::Full`]: later; nothing was taken. [`LogError::Stopped`]
    /// and [`LogError::Closed`]: never again. [`LogError::EmptyBatch`],
    /// [`LogError::RecordTooLarge`], [`LogError::BatchTooLarge`]: not so.
    pub fn append_batch(&self, batch: &[Append<'_>]) -> Result<Appended, LogError> {
        let shared = &*self.handle.shared;
        let bytes = check_batch(&shared.options, batch)?;
        let mut active = shared.active.lock();
        if active.stopped {
            drop(active);
            return Err(shared.stop_error().unwrap_or(LogError::Closed));
        }
        if active.closed {
            return Err(LogError::Closed);
        }
        let inflight_bytes = active.inflight_bytes();
        let inflight_bytes_max = shared.options.inflight_bytes_max;
        // what laying the batch out and ending the commit after it may add
        let overhead_bytes = FRAME_HEADER_BYTES + shared.options.commit_align_bytes as usize;
        if inflight_bytes > 0 && inflight_bytes + bytes + overhead_bytes > inflight_bytes_max {
            active.starved = true;
            drop(active);
            Counters::add(&shared.counters.busy, 1);
            return Err(LogError::Busy { inflight_bytes, inflight_bytes_max });
        }
        let was_empty = active.is_empty();
        let Ok((first, last)) = active.append(batch, bytes) else {
            active.starved = true;
            let fault = active.space_fault.clone();
            drop(active);
            shared.want_upkeep();
            let Some(cause) = fault else {
                // The next segment is being prepared.
                Counters::add(&shared.counters.busy, 1);
                return Err(LogError::Busy { inflight_bytes, inflight_bytes_max });
            };
            Counters::add(&shared.counters.full_rejections, 1);
            return Err(LogError::Full { cause });
        };
        drop(active);
        if was_empty {
            shared.work.notify_one();
        }
        let epoch = shared.epoch;
        Ok(Appended {
            first: Position { epoch, offset: first },
            last: Position { epoch, offset: last },
        })
    }

    /// The watermark: every record up to this position is committed. START while there is none.
    #[must_use]
    pub fn committed(&self) -> Position {
        self.handle.shared.committed()
    }

    /// The largest batch [`Log::append_batch`] takes, bytes with record headers.
    #[must_use]
    pub fn batch_bytes_max(&self) -> usize {
        self.handle.shared.options.batch_bytes_max
    }

    /// The epoch of the positions handed out since opening.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.handle.shared.epoch
    }

    /// The oldest record still there, if there is any.
    #[must_use]
    pub fn oldest(&self) -> Option<Position> {
        let segments = self.handle.shared.segments.read();
        segments.list.iter().find(|s| s.last() >= s.first()).map(|s| s.first())
    }

    /// Waits until `position` is committed, at most `timeout`; whether it is.
    ///
    /// # Errors
    /// [`LogError::Stopped`] when it will not be.
    pub fn wait_committed(&self, position: Position, timeout: Duration) -> Result<bool, LogError> {
        wait_committed(&self.handle.shared, position, timeout)
    }

    /// Calls `listener` on the commit thread each time the watermark has moved, with the
    /// watermark. It must be quick, and must neither wait for the log nor close it; one that owns a
    /// clone of the log keeps it open until [`Log::close`].
    pub fn on_commit(&self, listener: impl Fn(Position) + Send + Sync + 'static) -> Subscription {
        self.handle.shared.on_commit.add(move |position| listener(*position))
    }

    /// Calls `listener` when there is room again after [`LogError::Busy`] or [`LogError::Full`],
    /// and when the log stops. Which append was turned away is not remembered: everybody who was
    /// should try again.
    pub fn on_room(&self, listener: impl Fn() + Send + Sync + 'static) -> Subscription {
        self.handle.shared.on_room.add(move |()| listener())
    }

    /// Waits until there may be room again after [`LogError::Busy`] or [`LogError::Full`], at most
    /// `timeout`; whether there is.
    pub fn wait_room(&self, timeout: Duration) -> bool {
        let shared = &self.handle.shared;
        let deadline = Instant::now() + timeout;
        let mut active = shared.active.lock();
        while active.starved {
            if shared.room.wait_until(&mut active, deadline).timed_out() {
                return !active.starved;
            }
        }
        true
    }

    /// Calls `listener` once if the log stops after a failed write or sync.
    pub fn on_stop(&self, listener: impl Fn(&StopCause) + Send + Sync + 'static) -> Subscription {
        self.handle.shared.on_stop.add(listener)
    }

    /// Why the log stopped, if it did.
    #[must_use]
    pub fn stopped(&self) -> Option<Arc<StopCause>> {
        self.handle.shared.stopped.get().cloned()
    }

    /// Reads committed records from `from` on, that position included; it need not exist. Starting
    /// at [`Position::START`] reads everything there ever was, and so is told what was retired;
    /// [`Log::oldest`] is where what is left begins.
    #[must_use]
    pub fn reader(&self, from: Position) -> Reader {
        Reader::new(Arc::clone(&self.handle.shared), from)
    }

    /// Reads committed records after `position`: what a view does from its cursor.
    #[must_use]
    pub fn reader_after(&self, position: Position) -> Reader {
        self.reader(Position { offset: position.offset.saturating_add(1), ..position })
    }

    /// Figures for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &self.handle.shared;
        let (inflight_bytes, full) = {
            let active = shared.active.lock();
            (active.inflight_bytes() as u64, active.space_fault.is_some())
        };
        let (disk_bytes, segments) = {
            let segments = shared.segments.read();
            (segments.bytes(), segments.list.len() as u64)
        };
        Stats {
            inflight_bytes,
            disk_bytes,
            segments,
            spare_segments: shared.spares.lock().len() as u64,
            stopped: shared.stopped.get().is_some(),
            full,
            not_durable: shared.options.durability == Durability::None,
            ..shared.counters.read()
        }
    }

    /// Commits what was appended, marks it, ends the threads and lets go of the directory. Appends
    /// after this answer [`LogError::Closed`]; reading still works. Closing twice does nothing.
    ///
    /// # Errors
    /// [`LogError::Stopped`] when not everything could be committed.
    pub fn close(&self) -> Result<(), LogError> {
        self.handle.close();
        self.handle.shared.stop_error().map_or(Ok(()), Err)
    }
}

impl Handle {
    fn close(&self) {
        let shared = &self.shared;
        shared.active.lock().closed = true;
        shared.work.notify_all();
        {
            let mut running = self.running.lock();
            join(running.commit.take());
            if let Some(mut committer) = running.committer.take() {
                committer.finish();
            }
            shared.closing.store(true, Ordering::Release);
            shared.want_upkeep();
            join(running.upkeep.take());
            running.lock = None;
        }
        drop(shared.commit_lock.lock());
        shared.commit_done.notify_all();
        shared.on_commit.clear();
        shared.on_room.clear();
        shared.on_stop.clear();
        shared.on_view.clear();
    }
}

/// Joins, except when the last handle is dropped by the thread itself in a listener.
fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread.filter(|t| t.thread().id() != std::thread::current().id())
        && thread.join().is_err()
    {
        tracing::error!("a thread of the log panicked");
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

/// Bytes of the batch with record headers, if it is within the limits.
fn check_batch(options: &LogOptions, batch: &[Append<'_>]) -> Result<usize, LogError> {
    if batch.is_empty() {
        return Err(LogError::EmptyBatch);
    }
    let mut bytes = 0_usize;
    for (index, record) in batch.iter().enumerate() {
        let body = record.body_bytes();
        if body > options.record_bytes_max {
            let record_bytes_max = options.record_bytes_max;
            return Err(LogError::RecordTooLarge { index, bytes: body, record_bytes_max });
        }
        bytes += RECORD_HEADER_BYTES + body;
    }
    if bytes > options.batch_bytes_max {
        let batch_bytes_max = options.batch_bytes_max;
        return Err(LogError::BatchTooLarge { bytes, batch_bytes_max });
    }
    Ok(bytes)
}

/// Whether `position` is committed, waiting for it at most `timeout`.
pub(crate) fn wait_committed(
    shared: &Shared,
    position: Position,
    timeout: Duration,
) -> Result<bool, LogError> {
    if shared.committed() >= position {
        return Ok(true);
    }
    let deadline = Instant::now() + timeout;
    let mut guard = shared.commit_lock.lock();
    // Counted before looking again: the commit thread looks at the count after moving on.
    shared.waiters.fetch_add(1, Ordering::SeqCst);
    let result = loop {
        if shared.committed() >= position {
            break Ok(true);
        }
        if let Some(stopped) = shared.stop_error() {
            break Err(stopped);
        }
        if shared.commit_done.wait_until(&mut guard, deadline).timed_out() {
            break Ok(shared.committed() >= position);
        }
    };
    shared.waiters.fetch_sub(1, Ordering::SeqCst);
    result
}

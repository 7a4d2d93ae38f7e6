//! The commit thread: everything appended becomes durable here, and only here.
//!
//! Owns the segment that is being written and the watermark. Must never move the watermark past
//! what is synced (unless told to), nor try again after a failed write or sync.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flux_types::Position;

use crate::active::{Frame, Run, Taken};
use crate::clock::Stamp;
use crate::disk::DiskFile;
use crate::format::{
    FRAME_HEADER_BYTES, FrameHeader, HEADER_BYTES, SegmentHeader, SegmentKey, segment_name,
};
use crate::options::Durability;
use crate::segment::Segment;
use crate::shared::{Shared, Spare};
use crate::stats::Counters;

/// A failure that stops the log.
pub(crate) struct Failure {
    operation: &'static str,
    path: PathBuf,
    error: std::io::Error,
}

pub(crate) struct Committer {
    shared: Arc<Shared>,
    segment: Arc<Segment>,
    file: Arc<dyn DiskFile>,
    seed: u32,
    /// Offset of the last record known synced.
    synced: u64,
    /// Offset up to which a commit mark on disk says so.
    marked: u64,
    /// Something was written to the segment since its last sync.
    unsynced: bool,
    empty: Taken,
}

/// What a commit did to a segment, told to readers once it is committed.
struct Extended {
    segment: Arc<Segment>,
    new: bool,
    last: u64,
    used: u64,
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        segment: Arc<Segment>,
        file: Arc<dyn DiskFile>,
        synced: u64,
    ) -> Self {
        let seed = segment.header.seed();
        let empty = Taken::default();
        Self { shared, segment, file, seed, synced, marked: synced, unsynced: false, empty }
    }

    /// Works until the log closes or stops.
    pub(crate) fn run(mut self) {
        while self.wait() {
            if !self.step() {
                return;
            }
        }
        self.finish();
    }

    /// Waits for something to commit or, when idle long enough, to mark. False: closing and done.
    fn wait(&self) -> bool {
        let options = &self.shared.options;
        let mut active = self.shared.active.lock();
        while active.is_empty() {
            if active.closed || active.stopped {
                return false;
            }
            if self.unmarked() {
                let idle = Duration::from_millis(options.mark_idle_ms);
                if self.shared.work.wait_for(&mut active, idle).timed_out() {
                    return true;
                }
            } else {
                self.shared.work.wait(&mut active);
            }
        }
        if options.commit_linger_us > 0 && !active.closed && !active.stopped {
            let linger = Duration::from_micros(options.commit_linger_us);
            self.shared.work.wait_for(&mut active, linger);
        }
        !active.stopped
    }

    /// Commits what has come, or marks when nothing has. False: the log stopped.
    pub(crate) fn step(&mut self) -> bool {
        if self.shared.stopped.get().is_some() {
            return false;
        }
        let done = match self.commit() {
            Ok(true) => Ok(()),
            Ok(false) => self.mark(),
            Err(failure) => Err(failure),
        };
        match done {
            Ok(()) => true,
            Err(Failure { operation, path, error }) => {
                self.shared.stop(operation, &path, &error);
                false
            }
        }
    }

    /// What is left on closing: everything appended, and the last mark.
    pub(crate) fn finish(&mut self) {
        while !self.shared.active.lock().is_empty() {
            if !self.step() {
                return;
            }
        }
        self.step();
    }

    /// There are committed records that no mark on disk covers.
    fn unmarked(&self) -> bool {
        self.marked < self.shared.committed.load(Ordering::Relaxed)
    }

    fn commit(&mut self) -> Result<bool, Failure> {
        let taken = {
            let mut active = self.shared.active.lock();
            if active.is_empty() {
                return Ok(false);
            }
            active.take(std::mem::take(&mut self.empty))
        };
        let Taken { mut buf, mut runs, mut frames } = taken;
        let stamp = self.shared.options.clock.now();
        let mut extended = Vec::with_capacity(runs.len());
        for (i, run) in runs.iter().enumerate() {
            let end = runs.get(i + 1).map_or(buf.len(), |next| next.at);
            let begin = frames.partition_point(|frame| frame.at < run.at);
            let within = begin..frames.partition_point(|frame| frame.at < end);
            let (Some(frames), Some(bytes)) = (frames.get(within), buf.get_mut(run.at..end)) else {
                continue;
            };
            extended.push(self.write_run(run, frames, bytes, stamp)?);
        }
        let last = extended.last().map_or(0, |e| e.last);
        if self.shared.options.durability == Durability::Sync {
            if self.unsynced {
                self.sync()?;
            }
            self.synced = last;
        }
        self.segment.set_end(stamp);
        self.count(&frames);
        self.publish(extended);
        {
            let mut hot = self.shared.hot.lock();
            hot.push(buf, &frames);
            buf = hot.buffer();
        }
        runs.clear();
        frames.clear();
        self.empty = Taken { buf, runs, frames };
        self.announce(last);
        Ok(true)
    }

    /// Writes what goes to one segment in one piece, beginning the segment first if it is new.
    fn write_run(
        &mut self,
        run: &Run,
        frames: &[Frame],
        bytes: &mut [u8],
        stamp: Stamp,
    ) -> Result<Extended, Failure> {
        let nameless = run.new_base.map(|base| self.roll_over(base, stamp)).transpose()?;
        for frame in frames {
            let at = frame.at - run.at;
            let (head, payload) = bytes[at..].split_at_mut(FRAME_HEADER_BYTES);
            let header = FrameHeader {
                payload_crc: crc32c::crc32c_append(self.seed, &payload[..frame.len]),
                len: frame.len as u32,
                count: frame.count,
                first: frame.first,
                mark: self.synced,
                wall_ns: stamp.wall_ns,
                mono_ns: stamp.mono_ns,
            };
            head.copy_from_slice(&header.encode(self.seed));
            self.segment.note_frame(frame.first, run.file_offset + at as u64);
        }
        self.file.write_at(run.file_offset, bytes).map_err(|error| self.failure("write", error))?;
        self.unsynced = true;
        Counters::add(&self.shared.counters.written_bytes, bytes.len() as u64);
        if let Some(path) = nameless {
            self.sync()?;
            give_name(&self.shared, &path, &self.segment.path)?;
        }
        Ok(Extended {
            segment: Arc::clone(&self.segment),
            new: run.new_base.is_some(),
            last: frames.last().map_or(0, |f| f.first + u64::from(f.count) - 1),
            used: run.file_offset + bytes.len() as u64,
        })
    }

    fn count(&self, frames: &[Frame]) {
        let counters = &self.shared.counters;
        Counters::add(&counters.records, frames.iter().map(|f| u64::from(f.count)).sum());
        Counters::add(&counters.record_bytes, frames.iter().map(|f| f.len as u64).sum());
        Counters::add(&counters.commits, 1);
    }

    fn sync(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        self.file.sync_data().map_err(|error| self.failure("sync", error))?;
        self.unsynced = false;
        self.shared.counters.synced(begun.elapsed());
        Ok(())
    }

    fn failure(&self, operation: &'static str, error: std::io::Error) -> Failure {
        Failure { operation, path: self.segment.path.clone(), error }
    }

    /// Begins the next segment; what it is called until it gets its name. The old one is synced
    /// whole before: a segment that another follows therefore has no torn tail, and any hole in it
    /// is damage. The new one gets its name with its first records, so that one sync does for
    /// both.
    fn roll_over(&mut self, base: u64, stamp: Stamp) -> Result<PathBuf, Failure> {
        if self.unsynced {
            self.sync()?;
        }
        self.synced = base - 1;
        let Some(spare) = self.shared.spares.lock().pop_front() else {
            let error = std::io::Error::other("a prepared segment is missing");
            return Err(self.failure("roll over", error));
        };
        let previous = Position { epoch: self.shared.epoch, offset: base - 1 };
        let old = self.segment.header.key();
        let header = segment_header(&self.shared, base, stamp, previous, old, stamp);
        let segment = begin(&self.shared, &spare, header)?;
        self.segment.set_end(stamp);
        self.segment = segment;
        self.file = spare.file;
        self.seed = self.segment.header.seed();
        Counters::add(&self.shared.counters.rollovers, 1);
        Counters::add(&self.shared.counters.written_bytes, HEADER_BYTES as u64);
        Ok(spare.path)
    }

    /// Lets readers find what is written.
    fn publish(&self, extended: Vec<Extended>) {
        let rolled = extended.iter().any(|e| e.new);
        if rolled {
            let mut segments = self.shared.segments.write();
            for Extended { segment, new, last, used } in extended {
                segment.extend(last, used);
                if new {
                    segments.list.push_back(segment);
                }
            }
            drop(segments);
            self.shared.want_upkeep();
        } else {
            for Extended { segment, last, used, .. } in extended {
                segment.extend(last, used);
            }
        }
    }

    /// Moves the watermark and tells everybody.
    fn announce(&self, last: u64) {
        let shared = &self.shared;
        shared.committed.store(last, Ordering::SeqCst);
        if shared.waiters.load(Ordering::SeqCst) > 0 {
            drop(shared.commit_lock.lock());
            shared.commit_done.notify_all();
        }
        let room = {
            let mut active = shared.active.lock();
            active.writing_bytes = 0;
            let room =
                active.starved && active.inflight_bytes() <= shared.options.inflight_bytes_max / 2;
            active.starved &= !room;
            room
        };
        shared.on_commit.tell(&Position { epoch: shared.epoch, offset: last });
        if room {
            shared.tell_room();
        }
    }

    /// Writes a commit mark of its own, so that the last commit too is known acknowledged.
    fn mark(&mut self) -> Result<(), Failure> {
        if !self.unmarked() {
            return Ok(());
        }
        let committed = self.shared.committed.load(Ordering::Relaxed);
        if self.synced < committed {
            self.sync()?;
            self.synced = committed;
        }
        let Some(at) = self.shared.active.lock().lay_out_mark() else {
            // No room before the segment's end: the next segment's header will say so.
            self.marked = committed;
            return Ok(());
        };
        let stamp = self.shared.options.clock.now();
        let header = FrameHeader {
            payload_crc: crc32c::crc32c_append(self.seed, &[]),
            len: 0,
            count: 0,
            first: committed + 1,
            mark: self.synced,
            wall_ns: stamp.wall_ns,
            mono_ns: stamp.mono_ns,
        };
        let bytes = header.encode(self.seed);
        self.file.write_at(at, &bytes).map_err(|error| self.failure("write", error))?;
        self.sync()?;
        self.marked = committed;
        Counters::add(&self.shared.counters.marks, 1);
        Counters::add(&self.shared.counters.written_bytes, bytes.len() as u64);
        Ok(())
    }
}

/// The header of a new segment of this epoch.
pub(crate) fn segment_header(
    shared: &Shared,
    base: u64,
    started: Stamp,
    previous: Position,
    previous_segment: SegmentKey,
    previous_end: Stamp,
) -> SegmentHeader {
    SegmentHeader {
        log_id: shared.log_id,
        epoch: shared.epoch,
        base,
        segment_bytes: shared.options.segment_bytes,
        salt: shared.options.disk.entropy(),
        commit_align: shared.options.commit_align_bytes as u32,
        started,
        previous,
        previous_segment,
        previous_end,
    }
}

/// Makes a spare a segment without records: header first, synced, then the name, synced.
pub(crate) fn install(
    shared: &Shared,
    spare: Spare,
    header: SegmentHeader,
) -> Result<(Arc<Segment>, Arc<dyn DiskFile>), Failure> {
    let segment = begin(shared, &spare, header)?;
    spare.file.sync_data().map_err(fail("sync", &spare.path))?;
    give_name(shared, &spare.path, &segment.path)?;
    Ok((segment, spare.file))
}

/// Writes the header into a spare.
fn begin(shared: &Shared, spare: &Spare, header: SegmentHeader) -> Result<Arc<Segment>, Failure> {
    let path = shared.dir().join(segment_name(header.key()));
    spare.file.write_at(0, &header.encode()).map_err(fail("write", &spare.path))?;
    Ok(Arc::new(Segment::new(header, path, shared.options.segment_bytes)))
}

/// Gives a synced file the name of a segment.
fn give_name(shared: &Shared, from: &Path, to: &Path) -> Result<(), Failure> {
    let disk = &shared.options.disk;
    disk.rename(from, to).map_err(fail("rename", from))?;
    disk.sync_dir(shared.dir()).map_err(fail("sync", shared.dir()))
}

fn fail(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.to_owned();
    move |error| Failure { operation, path, error }
}

impl From<Failure> for crate::error::LogError {
    fn from(Failure { operation, path, error }: Failure) -> Self {
        Self::Io { operation, path, source: error }
    }
}

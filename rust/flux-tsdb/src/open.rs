//! Opening: from files to a store.
//!
//! Owns what is made of what is found: blocks that are whole are read, those that are not are set
//! aside, those that were merged into others go, and from where the log is to be replayed. Must
//! never drop a file that something could still be made of.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::Duration;

use flux_log::Stamp;
use flux_log::disk::{Disk, Entry, LockFailure};
use flux_types::Position;
use parking_lot::{Condvar, Mutex, RwLock};

use crate::age::StoreClock;
use crate::block::{Block, BlockId, DAMAGED_SUFFIX, Opened};
use crate::error::TsdbError;
use crate::flush::FlushState;
use crate::head::{Part, Slot};
use crate::options::{LogSpan, StoreOptions};
use crate::series::{Catalogue, PARTS, SeriesId, SeriesKey, part_of};
use crate::set::BlockSet;
use crate::state::{Deletions, State, StateFile};
use crate::stats::Counters;
use crate::store::{Inner, Store, place};

/// What was found when the store was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OpenReport {
    /// Blocks that are read.
    pub blocks: usize,
    /// Series in them.
    pub series: usize,
    /// Points in them.
    pub points: u64,
    /// Files set aside just now, as `<name>.damaged`, and what of each was wrong.
    pub damaged: Vec<(String, &'static str)>,
    /// Flushes that no block holds, those of files set aside included.
    pub missing: u64,
    /// From where the log is to be replayed: what [`Store::durable_position`] begins with. It lies
    /// before the last block's end where the log can make good for what is damaged or missing.
    pub replay_after: Position,
}

const LOCK_NAME: &str = "lock";

impl Store {
    /// Opens the store in a directory, making it if it is not there.
    ///
    /// # Errors
    /// [`TsdbError::Options`], [`TsdbError::Locked`], [`TsdbError::NewerVersion`],
    /// [`TsdbError::Io`]. Damage is no error: see [`Store::report`].
    pub fn open(options: StoreOptions) -> Result<Self, TsdbError> {
        options.check()?;
        let (disk, dir) = (Arc::clone(&options.disk), options.dir.clone());
        disk.create_dir(&dir).map_err(TsdbError::io("create", &dir))?;
        let lock_path = dir.join(LOCK_NAME);
        let lock = disk.lock(&lock_path).map_err(|failure| match failure {
            LockFailure::Held(pid) => TsdbError::Locked { path: lock_path.clone(), pid },
            LockFailure::Io(source) => TsdbError::io("lock", &lock_path)(source),
        })?;
        let entries = disk.list(&dir).map_err(TsdbError::io("list", &dir))?;
        for entry in entries.iter().filter(|entry| entry.name.ends_with(".tmp")) {
            let path = dir.join(&entry.name);
            disk.remove(&path).map_err(TsdbError::io("remove", &path))?;
        }
        let (mut state_file, mut state, damaged_states) = StateFile::open(&disk, &dir, &entries)?;
        let mut loading = Loading::new(&disk, &dir, Arc::clone(&state.deletions));
        loading.blocks(&entries, options.log)?;
        disk.sync_dir(&dir).map_err(TsdbError::io("sync", &dir))?;
        let found = loading.finish(&state, options.log);
        if found.reset {
            tracing::warn!(covered = %found.covered, "the log ends before what is stored of it");
            (state.mark, state.mark_flush) = (found.covered, found.next_flush - 1);
            state_file.save(&state)?;
        }
        let now = options.clock.now();
        let clock = found.clock(now, options.retention.downtime_max);
        let flush = FlushState {
            next: found.next_flush,
            covered: found.covered,
            at_age_ns: clock.age_ns(now),
        };
        let damaged_files = (found.aside + damaged_states) as u64;
        let inner = Inner {
            durable: Mutex::new(found.report.replay_after),
            report: found.report,
            clock,
            flush: Mutex::new(flush),
            merge: Mutex::new(()),
            state: Mutex::new((state_file, state)),
            blocks: RwLock::new(Arc::new(found.set)),
            catalogue: RwLock::new(found.catalogue),
            parts: found.parts.map(Mutex::new),
            part_bytes: std::array::from_fn(|_| AtomicUsize::new(0)),
            writers: Mutex::default(),
            damaged_files: AtomicU64::new(damaged_files),
            counters: Counters::default(),
            closed: AtomicBool::new(false),
            wanted: Mutex::new(false),
            bell: Condvar::new(),
            _lock: lock,
            options,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

/// What opening has found so far.
struct Loading<'a> {
    disk: &'a Arc<dyn Disk>,
    dir: &'a Path,
    deletions: Arc<Deletions>,
    catalogue: Catalogue,
    parts: [Part; PARTS],
    blocks: Vec<Arc<Block>>,
    /// Ids of files set aside, now or before.
    aside: Vec<BlockId>,
    damaged: Vec<(String, &'static str)>,
    /// The last flush any file tells of.
    last_flush: u64,
}

/// What opening has found.
struct Found {
    set: BlockSet,
    catalogue: Catalogue,
    parts: [Part; PARTS],
    aside: usize,
    next_flush: u64,
    covered: Position,
    /// The log ends before what blocks cover.
    reset: bool,
    report: OpenReport,
}

impl Found {
    /// Goes on from the newest block's time.
    fn clock(&self, now: Stamp, downtime_max: Duration) -> StoreClock {
        let newest = self.set.blocks.iter().max_by_key(|block| block.info.store_age_ns);
        let age_ns = newest.map_or(0, |block| {
            StoreClock::resume(block.info.store_age_ns, block.info.written, downtime_max)
                .age_ns(now)
        });
        // what passes from now on is told by this boot's clock
        StoreClock::resume(age_ns, now, downtime_max)
    }
}

impl<'a> Loading<'a> {
    fn new(disk: &'a Arc<dyn Disk>, dir: &'a Path, deletions: Arc<Deletions>) -> Self {
        Self {
            disk,
            dir,
            deletions,
            catalogue: Catalogue::default(),
            parts: std::array::from_fn(|_| Part::default()),
            blocks: Vec::new(),
            aside: Vec::new(),
            damaged: Vec::new(),
            last_flush: 0,
        }
    }

    fn blocks(&mut self, entries: &[Entry], log: Option<LogSpan>) -> Result<(), TsdbError> {
        let found = || entries.iter().filter_map(|entry| BlockId::parse(&entry.name));
        self.last_flush = found().map(|(id, _)| id.last).max().unwrap_or(0);
        self.aside = found().filter(|(_, aside)| *aside).map(|(id, _)| id).collect();
        let mut ids: Vec<BlockId> = found().filter(|(_, aside)| !aside).map(|(id, _)| id).collect();
        // what was merged last first: only where it is whole may what it replaces go
        ids.sort_unstable_by_key(|id| (std::cmp::Reverse(id.generation), id.first));
        for id in ids {
            let path = self.dir.join(id.file_name());
            if self.blocks.iter().any(|block| block.id.replaces(id)) {
                self.disk.remove(&path).map_err(TsdbError::io("remove", &path))?;
                continue;
            }
            match self.open_block(&path, id)? {
                Opened::Sound(block) => {
                    // a block that the log can make anew is read whole now, while it can
                    let oldest = log.map(oldest_of);
                    let heals = oldest.is_some_and(|oldest| tells_after(oldest, block.info.from));
                    if heals && !block.verify() {
                        self.set_aside(&path, id, "chunk")?;
                    } else {
                        self.blocks.push(Arc::from(block));
                    }
                }
                Opened::Damaged(what) => self.set_aside(&path, id, what)?,
            }
        }
        self.blocks.sort_unstable_by_key(|block| block.id.first);
        Ok(())
    }

    fn open_block(&mut self, path: &Path, id: BlockId) -> Result<Opened, TsdbError> {
        let (catalogue, parts, deletions) = (&mut self.catalogue, &mut self.parts, &self.deletions);
        Block::open(&**self.disk, path, id, &mut |key| {
            let deletion = deletions.get(&(key.tenant, key.device));
            if deletion.is_some_and(|deletion| id.last < deletion.before_flush) {
                return None;
            }
            let ignore_up_to = deletion.map_or(Position::START, |deletion| deletion.up_to);
            number(catalogue, parts, key, ignore_up_to)
        })
    }

    fn set_aside(&mut self, path: &Path, id: BlockId, what: &'static str) -> Result<(), TsdbError> {
        let name = id.file_name();
        tracing::error!(block = name, what, "a block of series is damaged and is set aside");
        let aside = self.dir.join(name.clone() + DAMAGED_SUFFIX);
        self.disk.rename(path, &aside).map_err(TsdbError::io("rename", path))?;
        self.aside.push(id);
        self.damaged.push((name, what));
        Ok(())
    }

    fn finish(self, state: &State, log: Option<LogSpan>) -> Found {
        let last = self.blocks.last();
        let mut covered = last.map_or(Position::START, |block| block.info.cut);
        let last_held = last.map_or(0, |block| block.id.last);
        // the mark is about the block that was the newest: if that is missing, it says nothing
        if last_held == state.mark_flush && state.mark > Position::START {
            covered = state.mark;
        }
        // what the log does not know it will tell under other positions
        let reset = log.map(|log| log.committed).filter(|committed| *committed < covered);
        covered = reset.unwrap_or(covered);
        let mut last_flush = self.last_flush.max(state.mark_flush);
        let (deletions, retired) = (self.deletions, state.retired);
        let set = BlockSet { blocks: self.blocks, retired, deletions };
        let mut replay_after = covered;
        if let Some(oldest) = log.map(oldest_of) {
            if !tells_after(oldest, covered) {
                // the log lets go of what is durable only: a block is gone without a trace, unless
                // there never was one. Its number stays free, so that this is not forgotten.
                last_flush = last_flush.max(last_held + u64::from(last_held > 0));
                covered = before(oldest);
            }
            replay_after = heal_after(&set, covered, oldest);
        }
        let missing = set.missing() + (last_flush - last_held.max(retired));
        if missing > 0 {
            tracing::error!(missing, %replay_after, "flushes of series are missing");
        }
        let report = OpenReport {
            blocks: set.blocks.len(),
            series: self.catalogue.len(),
            points: set.blocks.iter().map(|block| block.info.points).sum(),
            damaged: self.damaged,
            missing,
            replay_after,
        };
        Found {
            set,
            catalogue: self.catalogue,
            parts: self.parts,
            aside: self.aside.len(),
            next_flush: last_flush + 1,
            covered,
            reset: reset.is_some(),
            report,
        }
    }
}

/// The oldest record of the log, or the one that would be.
fn oldest_of(log: LogSpan) -> Position {
    let next = log.committed.offset.saturating_add(1);
    log.oldest.unwrap_or(Position { offset: next, ..log.committed })
}

/// Whether the log can tell everything after a position. Offsets count through all epochs, and what
/// is asked about was committed: the record after it has the next offset, whatever its epoch.
fn tells_after(oldest: Position, position: Position) -> bool {
    oldest.offset <= position.offset.saturating_add(1)
}

/// After this comes everything the log can tell.
fn before(oldest: Position) -> Position {
    Position { offset: oldest.offset.saturating_sub(1), ..oldest }
}

/// Where replaying begins, so that what is damaged or missing is made anew as far as the log goes
/// back.
fn heal_after(set: &BlockSet, covered: Position, oldest: Position) -> Position {
    let mut replay_after = covered;
    let mut cut = Position::START;
    for (block, missing) in set.holes() {
        let from = if tells_after(oldest, cut) { cut } else { before(oldest) };
        if missing > 0 && from.offset < block.info.from.offset {
            replay_after = replay_after.min(from);
        }
        cut = block.info.cut;
    }
    replay_after
}

/// The number of a series found in a block.
fn number(
    catalogue: &mut Catalogue,
    parts: &mut [Part; PARTS],
    key: SeriesKey,
    ignore_up_to: Position,
) -> Option<SeriesId> {
    if let Some(id) = catalogue.find((key.tenant, key.device), &key.name) {
        return Some(id);
    }
    let part = parts.get_mut(part_of(key.device))?;
    place(catalogue, part, Slot::new(Arc::new(key), true, ignore_up_to))
}

//! The store: what its rooms share, and what callers hold.
//!
//! Owns the order of its locks: merge, flush, state, catalogue, blocks, one part; none is taken while
//! a later one is held. Catalogue, blocks and parts are never held for the disk, a part by readers
//! for the copy of a run at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use flux_log::disk::DirLock;
use flux_types::{DeviceId, Position, TenantId};
use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

use crate::age::StoreClock;
use crate::error::TsdbError;
use crate::flush::FlushState;
use crate::head::{Part, Slot};
use crate::merge::Source;
use crate::open::OpenReport;
use crate::options::StoreOptions;
use crate::series::{Catalogue, Owner, PARTS, SeriesId, SeriesInfo, SeriesKey, part_of};
use crate::set::BlockSet;
use crate::state::{State, StateFile};
use crate::stats::{Counters, Stats};
use crate::writer::Writer;

/// The time-series store. Cheap to clone: clones are the same store.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.inner.options.dir).finish_non_exhaustive()
    }
}

/// How far one writer has come; shared with it.
pub(crate) type Applied = Arc<Mutex<Position>>;

pub(crate) struct Inner {
    pub(crate) options: StoreOptions,
    pub(crate) report: OpenReport,
    pub(crate) clock: StoreClock,
    pub(crate) flush: Mutex<FlushState>,
    pub(crate) merge: Mutex<()>,
    pub(crate) state: Mutex<(StateFile, State)>,
    pub(crate) blocks: RwLock<Arc<BlockSet>>,
    pub(crate) catalogue: RwLock<Catalogue>,
    pub(crate) parts: [Mutex<Part>; PARTS],
    /// Memory of each part, so that adding it up takes no lock.
    pub(crate) part_bytes: [AtomicUsize; PARTS],
    pub(crate) writers: Mutex<Vec<Applied>>,
    pub(crate) durable: Mutex<Position>,
    pub(crate) damaged_files: AtomicU64,
    pub(crate) counters: Counters,
    pub(crate) closed: AtomicBool,
    /// Upkeep is wanted before its time.
    pub(crate) wanted: Mutex<bool>,
    pub(crate) bell: Condvar,
    pub(crate) _lock: DirLock,
}

impl Store {
    /// What was found when the store was opened.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.inner.report
    }

    /// What the store was opened with.
    #[must_use]
    pub fn options(&self) -> &StoreOptions {
        &self.inner.options
    }

    /// A writer for one thread. It has applied what is durable, and holds further durability back
    /// until it says how far it has come ([`Writer::applied`]).
    #[must_use]
    pub fn writer(&self) -> Writer {
        let applied = Applied::new(Mutex::new(self.durable_position()));
        self.inner.writers.lock().push(Arc::clone(&applied));
        Writer::new(self.clone(), applied)
    }

    /// Every point of a message at or before this position is durable in blocks: after a crash
    /// the log is replayed from here, and may let go of what comes before.
    #[must_use]
    pub fn durable_position(&self) -> Position {
        *self.inner.durable.lock()
    }

    /// The number of a series, which is made if there is none.
    ///
    /// # Errors
    /// [`TsdbError::TooManySeries`].
    pub fn series_id(
        &self,
        tenant: TenantId,
        device: DeviceId,
        name: &Arc<str>,
    ) -> Result<SeriesId, TsdbError> {
        self.inner.intern((tenant, device), name)
    }

    /// The number of a series there is.
    #[must_use]
    pub fn find(&self, tenant: TenantId, device: DeviceId, name: &str) -> Option<SeriesId> {
        self.inner.catalogue.read().find((tenant, device), name)
    }

    /// The series of a device, by name.
    #[must_use]
    pub fn series_of(&self, tenant: TenantId, device: DeviceId) -> Vec<SeriesInfo> {
        self.inner.catalogue.read().of((tenant, device))
    }

    /// Figures, for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let inner = &self.inner;
        let set = inner.set();
        let (series, devices) = {
            let catalogue = inner.catalogue.read();
            (catalogue.len() as u64, catalogue.devices() as u64)
        };
        Stats {
            series,
            devices,
            head_bytes: inner.head_bytes() as u64,
            index_bytes: set.blocks.iter().map(|block| block.index_bytes() as u64).sum(),
            blocks: set.blocks.len() as u64,
            disk_bytes: set.bytes(),
            block_points: set.blocks.iter().map(|block| block.info.points).sum(),
            damaged_blocks: inner.damaged_files.load(Ordering::Relaxed),
            missing_blocks: set.missing(),
            deletions: set.deletions.len() as u64,
            ..inner.counters.read()
        }
    }

    /// Flushes what every writer has applied and accepts nothing more. What a writer appended
    /// beyond that is in the log, and replayed from there.
    ///
    /// # Errors
    /// The flush failed; nothing is lost.
    pub fn close(&self) -> Result<(), TsdbError> {
        if self.inner.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.inner.wake();
        self.inner.flush(false).map(|_| ())
    }
}

impl Inner {
    pub(crate) fn set(&self) -> Arc<BlockSet> {
        Arc::clone(&self.blocks.read())
    }

    pub(crate) fn part(&self, index: usize) -> PartGuard<'_> {
        let index = index % PARTS;
        // indices are below PARTS: both arrays have that many
        PartGuard { part: self.parts[index].lock(), bytes: &self.part_bytes[index] }
    }

    /// Memory of all points not yet in a block.
    pub(crate) fn head_bytes(&self) -> usize {
        self.part_bytes.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum()
    }

    /// How far every writer has come.
    pub(crate) fn applied(&self) -> Position {
        let writers = self.writers.lock();
        let least = writers.iter().map(|applied| *applied.lock()).min();
        least.unwrap_or_else(|| *self.durable.lock())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Asks for upkeep before its time.
    pub(crate) fn wake(&self) {
        let mut wanted = self.wanted.lock();
        if !*wanted {
            *wanted = true;
            self.bell.notify_all();
        }
    }

    /// Waits until upkeep is wanted, at most so long.
    pub(crate) fn wait_wanted(&self, timeout: Duration) {
        let mut wanted = self.wanted.lock();
        if !*wanted && !self.is_closed() {
            self.bell.wait_for(&mut wanted, timeout);
        }
        *wanted = false;
    }

    fn intern(&self, owner: Owner, name: &Arc<str>) -> Result<SeriesId, TsdbError> {
        if let Some(id) = self.catalogue.read().find(owner, name) {
            return Ok(id);
        }
        let mut catalogue = self.catalogue.write();
        if let Some(id) = catalogue.find(owner, name) {
            return Ok(id);
        }
        let options = &self.options;
        if catalogue.len() >= options.series_len_max {
            let (len, limit) = (catalogue.len(), "series_len_max");
            return Err(TsdbError::TooManySeries { len, limit });
        }
        let of_device = catalogue.len_of(owner);
        if of_device >= options.series_per_device_max {
            return Err(TsdbError::TooManySeries {
                len: of_device,
                limit: "series_per_device_max",
            });
        }
        // read under the catalogue's lock: a deletion is made known first and then looks there
        let deletion = self.blocks.read().deletions.get(&owner).copied();
        let ignore_up_to = deletion.map_or(Position::START, |deletion| deletion.up_to);
        let key = SeriesKey { tenant: owner.0, device: owner.1, name: Arc::clone(name) };
        let slot = Slot::new(Arc::new(key), false, ignore_up_to);
        let len = catalogue.len();
        let mut part = self.part(part_of(owner.1));
        place(&mut catalogue, &mut part, slot)
            .ok_or(TsdbError::TooManySeries { len, limit: "series_len_max" })
    }

    pub(crate) fn key(&self, id: SeriesId) -> Result<Arc<SeriesKey>, TsdbError> {
        let part = self.part(id.part());
        let slot = part.slot(id.local()).ok_or(TsdbError::UnknownSeries(id))?;
        Ok(Arc::clone(slot.key()))
    }

    /// All that has points of a series from `from` to before `to`. Heads are looked at first: what
    /// a flush moves meanwhile is then seen twice, and never not at all.
    pub(crate) fn sources(
        &self,
        id: SeriesId,
        from: i64,
        to: i64,
    ) -> Result<Vec<Source>, TsdbError> {
        let (owner, runs) = {
            let part = self.part(id.part());
            let slot = part.slot(id.local()).ok_or(TsdbError::UnknownSeries(id))?;
            ((slot.key().tenant, slot.key().device), part.runs(id.local(), from, to))
        };
        let set = self.set();
        let mut sources = set.sources(id, owner, from, to);
        let rank = set.blocks.len() as u32;
        let runs = runs.into_iter().zip(rank..);
        sources.extend(runs.map(|(run, rank)| Source::run(run, rank)));
        Ok(sources)
    }
}

/// Gives a series a number, in the part that has its device; `None` when there are none left.
pub(crate) fn place(catalogue: &mut Catalogue, part: &mut Part, slot: Slot) -> Option<SeriesId> {
    let key = Arc::clone(slot.key());
    let id = SeriesId::new(part_of(key.device), part.next_place())?;
    part.insert(slot);
    catalogue.insert(&key, id);
    Some(id)
}

/// A locked part that keeps its memory known when it is let go.
pub(crate) struct PartGuard<'a> {
    part: MutexGuard<'a, Part>,
    bytes: &'a AtomicUsize,
}

impl std::ops::Deref for PartGuard<'_> {
    type Target = Part;
    fn deref(&self) -> &Part {
        &self.part
    }
}

impl std::ops::DerefMut for PartGuard<'_> {
    fn deref_mut(&mut self) -> &mut Part {
        &mut self.part
    }
}

impl Drop for PartGuard<'_> {
    fn drop(&mut self) {
        self.bytes.store(self.part.bytes(), Ordering::Relaxed);
    }
}

//! Writers: the way in, one for each thread that appends.
//!
//! Owns the cache from names to numbers, and how far its thread has come. Must never say that it
//! has come further than what it appended.

use std::collections::HashMap;
use std::sync::Arc;

use flux_types::{DeviceId, Position, Telemetry, TenantId, Value};
use foldhash::fast::RandomState;

use crate::error::TsdbError;
use crate::head::Pushed;
use crate::point::Datum;
use crate::series::{Owner, SeriesId};
use crate::stats::Counters;
use crate::store::{Applied, PartGuard, Store};

/// Devices the cache remembers before it begins anew: what left the plant is forgotten by it.
const CACHED_DEVICES_MAX: usize = 65_536;
/// The share of the budget by which one writer may overstep it before it looks.
const GROWN_ONE_IN: usize = 256;

/// One point to append.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its series, as [`Store::series_id`] gave it.
    pub series: SeriesId,
    /// Its time, ns since 1970.
    pub ts_ns: i64,
    /// The message it came with.
    pub position: Position,
    /// Its value.
    pub value: Value,
}

/// What became of values that were appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// Taken.
    pub taken: usize,
    /// Of them, those older than one their series has.
    pub late: usize,
    /// Not taken: too large, of a time that cannot be named, or of a series beyond a limit.
    pub refused: usize,
    /// Not taken: deleted with their device before.
    pub deleted: usize,
}

impl Appended {
    /// Counts a point; tells how many more bytes the heads take.
    #[inline]
    fn count(&mut self, pushed: Pushed) -> usize {
        match pushed {
            Pushed::Taken { late, grown } => {
                self.taken += 1;
                self.late += usize::from(late);
                return grown;
            }
            Pushed::Deleted => self.deleted += 1,
            Pushed::NoSeries => self.refused += 1,
        }
        0
    }

    fn add(&mut self, other: &Self) {
        self.taken += other.taken;
        self.late += other.late;
        self.refused += other.refused;
        self.deleted += other.deleted;
    }
}

/// Appends for one thread.
///
/// Samples may come in any order of time and of position; a sample told again changes nothing.
/// Samples of one message are told in their order, by one writer: of those of one device and time
/// the last wins. A writer that is dropped stays where it was: what it had still to append is held
/// back until the store is opened again, unless [`Writer::retire`] says that others append it.
pub struct Writer {
    store: Store,
    applied: Applied,
    names: HashMap<Owner, Names, RandomState>,
    pending: Vec<(SeriesId, Datum)>,
    /// By how much the heads have grown since the budget was looked at.
    grown: usize,
    /// What was not counted yet.
    uncounted: Appended,
}

/// A device's series as a writer remembers them, in the order in which the device tells them.
type Names = Vec<(Arc<str>, SeriesId)>;

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("applied", &*self.applied.lock()).finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(store: Store, applied: Applied) -> Self {
        Self {
            store,
            applied,
            names: HashMap::default(),
            pending: Vec::new(),
            grown: usize::MAX,
            uncounted: Appended::default(),
        }
    }

    /// The store it writes to.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// This writer has appended everything it will ever append of messages up to `position`. Never
    /// goes back.
    pub fn applied(&mut self, position: Position) {
        self.count();
        let mut applied = self.applied.lock();
        *applied = position.max(*applied);
    }

    /// Ends the writer: other writers have appended, or will, what it has not. The last one does
    /// not end but stays where it was.
    pub fn retire(self) {
        let mut writers = self.store.inner.writers.lock();
        if writers.len() > 1 {
            writers.retain(|applied| !Arc::ptr_eq(applied, &self.applied));
        }
    }

    /// Appends one sample of the message at `position`.
    ///
    /// # Errors
    /// [`TsdbError::HeadsFull`] when there is no room and none can be made, [`TsdbError::Closed`].
    /// Nothing was taken then; the position must not be passed ([`Writer::applied`]) before the
    /// sample was.
    pub fn append(
        &mut self,
        sample: &Telemetry,
        position: Position,
    ) -> Result<Appended, TsdbError> {
        self.ensure_room()?;
        let mut outcome = Appended::default();
        if self.push_all(sample, position, &mut outcome) {
            // its data was deleted, or had expired, since we learned its numbers: ask again
            self.names.remove(&(sample.tenant, sample.device));
            outcome = Appended::default();
            self.push_all(sample, position, &mut outcome);
        }
        self.uncounted.add(&outcome);
        Ok(outcome)
    }

    /// True when a number was stale; nothing was taken then.
    fn push_all(&mut self, sample: &Telemetry, position: Position, out: &mut Appended) -> bool {
        out.refused += self.resolve(sample);
        let Some((first, _)) = self.pending.first() else { return false };
        // all series of a device are in one part
        let mut part = self.store.inner.part(first.part());
        if self.pending.iter().any(|(id, _)| part.slot(id.local()).is_none()) {
            return true;
        }
        for (id, datum) in self.pending.drain(..) {
            let pushed = part.push(id.local(), sample.ts_ns, position, datum);
            self.grown = self.grown.saturating_add(out.count(pushed));
        }
        false
    }

    /// Puts the sample's values into `pending`, each with its series' number; tells how many are
    /// refused.
    fn resolve(&mut self, sample: &Telemetry) -> usize {
        let owner = (sample.tenant, sample.device);
        self.pending.clear();
        if sample.ts_ns == NEVER {
            return sample.values.len();
        }
        if self.names.len() >= CACHED_DEVICES_MAX && !self.names.contains_key(&owner) {
            self.names.clear();
        }
        let names = self.names.entry(owner).or_default();
        let value_bytes_max = self.store.inner.options.value_bytes_max;
        let mut refused = 0;
        for (index, (name, value)) in sample.values.iter().enumerate() {
            let datum = Datum::from_value(value, value_bytes_max);
            let id = datum.is_some().then(|| number(&self.store, names, owner, index, name));
            match (id.flatten(), datum) {
                (Some(id), Some(datum)) => self.pending.push((id, datum)),
                _ => refused += 1,
            }
        }
        refused
    }

    /// The number of a series, which is made if there is none; remembered by the writer.
    ///
    /// # Errors
    /// [`TsdbError::TooManySeries`].
    pub fn series_id(
        &mut self,
        tenant: TenantId,
        device: DeviceId,
        name: &Arc<str>,
    ) -> Result<SeriesId, TsdbError> {
        let owner = (tenant, device);
        let names = self.names.entry(owner).or_default();
        match number(&self.store, names, owner, 0, name) {
            Some(id) => Ok(id),
            None => self.store.series_id(tenant, device, name),
        }
    }

    /// Appends points by number, in the order given. Points of series that are no longer there are
    /// refused.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn append_points(&mut self, points: &[Point]) -> Result<Appended, TsdbError> {
        self.ensure_room()?;
        let inner = &self.store.inner;
        let mut outcome = Appended::default();
        let mut grown = 0;
        let mut locked: Option<(usize, PartGuard<'_>)> = None;
        for point in points {
            let datum = Datum::from_value(&point.value, inner.options.value_bytes_max);
            let Some(datum) = datum.filter(|_| point.ts_ns != NEVER) else {
                outcome.refused += 1;
                continue;
            };
            let index = point.series.part();
            if locked.as_ref().is_none_or(|(held, _)| *held != index) {
                // the one held is let go first: nobody holds two
                drop(locked.take());
                locked = Some((index, inner.part(index)));
            }
            if let Some((_, part)) = &mut locked {
                let local = point.series.local();
                let pushed = part.push(local, point.ts_ns, point.position, datum);
                grown += outcome.count(pushed);
            }
        }
        drop(locked);
        self.grown = self.grown.saturating_add(grown);
        self.uncounted.add(&outcome);
        Ok(outcome)
    }

    /// At half of the budget upkeep is asked for; at all of it this thread makes room itself. Looks
    /// only once its own points may have changed something.
    #[inline]
    fn ensure_room(&mut self) -> Result<(), TsdbError> {
        let inner = &self.store.inner;
        if inner.is_closed() {
            return Err(TsdbError::Closed);
        }
        if self.grown < inner.options.head_bytes_max / GROWN_ONE_IN {
            return Ok(());
        }
        self.look_for_room()
    }

    #[cold]
    fn look_for_room(&mut self) -> Result<(), TsdbError> {
        self.count();
        let inner = &self.store.inner;
        let (bytes, most) = (inner.head_bytes(), inner.options.head_bytes_max);
        if bytes >= most / 2 {
            inner.wake();
        }
        if bytes >= most {
            inner.make_room()?;
        }
        self.grown = 0;
        Ok(())
    }

    /// Adds what it did to the store's figures.
    fn count(&mut self) {
        let Appended { taken, late, refused, deleted } = std::mem::take(&mut self.uncounted);
        let counters = &self.store.inner.counters;
        for (counter, n) in [
            (&counters.points, taken),
            (&counters.late_points, late),
            (&counters.refused_values, refused),
            (&counters.deleted_points, deleted),
        ] {
            if n > 0 {
                Counters::add(counter, n as u64);
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.count();
    }
}

/// The number of a value's series. Devices tell their values in the same order again and again, so
/// where it stood last is looked at first.
#[inline]
fn number(
    store: &Store,
    names: &mut Names,
    owner: Owner,
    index: usize,
    name: &Arc<str>,
) -> Option<SeriesId> {
    let same = |(other, _): &&(Arc<str>, SeriesId)| Arc::ptr_eq(other, name) || other == name;
    if let Some((_, id)) = names.get(index).filter(same).or_else(|| names.iter().find(same)) {
        return Some(*id);
    }
    // a refusal is counted by the caller, and asked about again with the next sample
    let id = store.series_id(owner.0, owner.1, name).ok()?;
    names.push((Arc::clone(name), id));
    Some(id)
}

/// Ranges end before their `to`: the last time there is could never be asked for, and is refused.
const NEVER: i64 = i64::MAX;

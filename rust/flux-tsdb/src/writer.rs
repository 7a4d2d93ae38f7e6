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
    fn count(&mut self, pushed: Pushed) {
        match pushed {
            Pushed::Taken => self.taken += 1,
            Pushed::TakenLate => {
                self.taken += 1;
                self.late += 1;
            }
            Pushed::Deleted => self.deleted += 1,
            Pushed::NoSeries => self.refused += 1,
        }
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
    names: HashMap<Owner, Vec<(Arc<str>, SeriesId)>, RandomState>,
    pending: Vec<(SeriesId, Datum)>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("applied", &*self.applied.lock()).finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(store: Store, applied: Applied) -> Self {
        Self { store, applied, names: HashMap::default(), pending: Vec::new() }
    }

    /// The store it writes to.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// This writer has appended everything it will ever append of messages up to `position`. Never
    /// goes back.
    pub fn applied(&self, position: Position) {
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
        self.count(&outcome);
        Ok(outcome)
    }

    /// True when a number was stale; nothing was taken then.
    fn push_all(&mut self, sample: &Telemetry, position: Position, out: &mut Appended) -> bool {
        let owner = (sample.tenant, sample.device);
        self.pending.clear();
        for (index, (name, value)) in sample.values.iter().enumerate() {
            let value_bytes_max = self.store.inner.options.value_bytes_max;
            let datum =
                Datum::from_value(value, value_bytes_max).filter(|_| nameable(sample.ts_ns));
            let id = datum.is_some().then(|| self.id(owner, index, name)).flatten();
            match (id, datum) {
                (Some(id), Some(datum)) => self.pending.push((id, datum)),
                _ => out.refused += 1,
            }
        }
        let Some((first, _)) = self.pending.first() else { return false };
        // all series of a device are in one part
        let mut part = self.store.inner.part(first.part());
        if self.pending.iter().any(|(id, _)| part.slot(id.local()).is_none()) {
            return true;
        }
        for (id, datum) in self.pending.drain(..) {
            out.count(part.push(id.local(), sample.ts_ns, position, datum));
        }
        false
    }

    /// The number of a value's series. Devices tell their values in the same order again and
    /// again, so where it stood last is looked at first.
    fn id(&mut self, owner: Owner, index: usize, name: &Arc<str>) -> Option<SeriesId> {
        if self.names.len() >= CACHED_DEVICES_MAX && !self.names.contains_key(&owner) {
            self.names.clear();
        }
        let known = self.names.entry(owner).or_default();
        let same = |(other, _): &&(Arc<str>, SeriesId)| Arc::ptr_eq(other, name) || other == name;
        if let Some((_, id)) = known.get(index).filter(same).or_else(|| known.iter().find(same)) {
            return Some(*id);
        }
        // a refusal is counted by the caller, and asked about again with the next sample
        let id = self.store.series_id(owner.0, owner.1, name).ok()?;
        known.push((Arc::clone(name), id));
        Some(id)
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
        match self.id((tenant, device), 0, name) {
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
        let mut locked: Option<(usize, PartGuard<'_>)> = None;
        for point in points {
            let datum = Datum::from_value(&point.value, inner.options.value_bytes_max);
            let Some(datum) = datum.filter(|_| nameable(point.ts_ns)) else {
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
                outcome.count(part.push(local, point.ts_ns, point.position, datum));
            }
        }
        drop(locked);
        self.count(&outcome);
        Ok(outcome)
    }

    /// At half of the budget upkeep is asked for; at all of it this thread makes room itself.
    fn ensure_room(&self) -> Result<(), TsdbError> {
        let inner = &self.store.inner;
        if inner.is_closed() {
            return Err(TsdbError::Closed);
        }
        let (bytes, most) = (inner.head_bytes(), inner.options.head_bytes_max);
        if bytes < most / 2 {
            return Ok(());
        }
        inner.wake();
        if bytes < most { Ok(()) } else { inner.make_room() }
    }

    fn count(&self, outcome: &Appended) {
        let counters = &self.store.inner.counters;
        Counters::add(&counters.points, outcome.taken as u64);
        for (counter, n) in [
            (&counters.late_points, outcome.late),
            (&counters.refused_values, outcome.refused),
            (&counters.deleted_points, outcome.deleted),
        ] {
            if n > 0 {
                Counters::add(counter, n as u64);
            }
        }
    }
}

/// Ranges end before their `to`: the last time there is could never be asked for.
fn nameable(ts_ns: i64) -> bool {
    ts_ns < i64::MAX
}

//! Heads: what was appended and is not yet in a block.
//!
//! Owns one part of the series' heads, behind one lock that nobody holds for long: appending puts a
//! point behind the last, reading copies at most [`RUN_POINTS_MAX`] points and shares the rest,
//! sealing takes the vectors away. Every point has its message's position. Must never touch the
//! disk, nor lose a point before its block is durable.

use std::sync::Arc;

use flux_types::Position;

use crate::chunk::Points;
use crate::codec::texts::Text;
use crate::point::{Datum, Kind, RawPoint};
use crate::series::SeriesKey;

/// Points after which a run is closed and from then on shared instead of copied.
pub(crate) const RUN_POINTS_MAX: usize = 1024;

/// A point in a head: 32 bytes.
#[derive(Debug, Clone, Copy)]
struct HeadPoint {
    ts: i64,
    /// The value, or which of the run's texts it is.
    bits: u64,
    offset: u64,
    epoch: u32,
    kind: Kind,
}

const POINT_BYTES: usize = size_of::<HeadPoint>();

impl HeadPoint {
    fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.offset }
    }
}

/// Points of one series in the order they came.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    points: Vec<HeadPoint>,
    texts: Vec<Text>,
    text_bytes: usize,
    /// Each point is later than the one before.
    ascending: bool,
    min_ts: i64,
    max_ts: i64,
}

impl Run {
    const fn new() -> Self {
        Self {
            points: Vec::new(),
            texts: Vec::new(),
            text_bytes: 0,
            ascending: true,
            min_ts: i64::MAX,
            max_ts: i64::MIN,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    pub(crate) fn min_ts(&self) -> i64 {
        self.min_ts
    }

    pub(crate) fn max_ts(&self) -> i64 {
        self.max_ts
    }

    /// Memory it takes, by capacity.
    fn bytes(&self) -> usize {
        self.points.capacity() * POINT_BYTES
            + self.texts.capacity() * size_of::<Text>()
            + self.text_bytes
    }

    #[inline]
    fn push(&mut self, ts: i64, position: Position, datum: Datum) {
        let bits = match datum.text {
            Some(text) => self.put_text(text),
            None => datum.bits,
        };
        let Position { epoch, offset } = position;
        self.put(HeadPoint { ts, bits, offset, epoch, kind: datum.kind });
    }

    #[inline]
    fn put(&mut self, point: HeadPoint) {
        if self.points.len() == self.points.capacity() {
            self.grow();
        }
        self.ascending &= point.ts > self.max_ts || self.points.is_empty();
        self.min_ts = self.min_ts.min(point.ts);
        self.max_ts = self.max_ts.max(point.ts);
        self.points.push(point);
    }

    /// By half, not to twice, and not beyond a full run: what is reserved counts against the budget.
    #[cold]
    fn grow(&mut self) {
        let len = self.points.len();
        let wanted = (len / 2).max(4);
        let left = RUN_POINTS_MAX.saturating_sub(len);
        self.points.reserve_exact(if left > 0 { wanted.min(left) } else { wanted });
    }

    fn put_text(&mut self, text: Text) -> u64 {
        // a state that stays is one text
        if self.texts.last().is_none_or(|last| *last != text) {
            self.text_bytes += text.len();
            self.texts.push(text);
        }
        self.texts.len() as u64 - 1
    }

    fn raw(&self, point: &HeadPoint) -> RawPoint {
        let HeadPoint { ts, bits, kind, .. } = *point;
        let text = if kind.is_text() {
            usize::try_from(bits).ok().and_then(|index| self.texts.get(index)).cloned()
        } else {
            None
        };
        RawPoint { ts, position: point.position(), exact: true, kind, bits, text }
    }

    /// Visits the points as they came.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(RawPoint)) {
        self.points.iter().for_each(|point| visit(self.raw(point)));
    }

    /// Each point is later than the one before.
    pub(crate) fn is_ascending(&self) -> bool {
        self.ascending
    }

    /// The points in order of time; of those of one time the one with the latest position, and of
    /// those of one message the last.
    pub(crate) fn settled(&self) -> Points {
        let mut settled = Points::new();
        if self.ascending {
            self.for_each(|point| settled.push(point, false));
            return settled;
        }
        let mut order: Vec<&HeadPoint> = self.points.iter().collect();
        // stable: among equals the one that came last stays last
        order.sort_by_key(|point| (point.ts, point.position()));
        let later = order.iter().skip(1).map(|point| Some(point.ts)).chain([None]);
        for (point, next) in order.iter().zip(later) {
            if next != Some(point.ts) {
                settled.push(self.raw(point), false);
            }
        }
        settled
    }

    /// Takes out the points that `wanted` names; order is kept on both sides.
    fn split(&mut self, wanted: impl Fn(&HeadPoint) -> bool) -> Self {
        let (mut taken, mut left) = (Self::new(), Self::new());
        for point in &self.points {
            let side = if wanted(point) { &mut taken } else { &mut left };
            let mut point = *point;
            if point.kind.is_text()
                && let Some(text) = self.raw(&point).text
            {
                point.bits = side.put_text(text);
            }
            side.put(point);
        }
        *self = left;
        taken
    }
}

/// The head of one series.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) key: Arc<SeriesKey>,
    open: Run,
    /// Full runs, oldest first.
    closed: Vec<Arc<Run>>,
    /// The latest position in it.
    newest: Position,
    /// What its message's position is not beyond belongs to data that was deleted.
    ignore_up_to: Position,
    last: Option<RawPoint>,
    /// `last` is known to be the last there is, blocks included.
    last_known: bool,
}

/// What became of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    Taken,
    /// Taken; the series has a later one already.
    TakenLate,
    /// It was deleted with its device before.
    Deleted,
    /// There is no such series any more.
    NoSeries,
}

impl Slot {
    /// `in_blocks`: there are points of it on disk.
    pub(crate) fn new(key: Arc<SeriesKey>, in_blocks: bool, ignore_up_to: Position) -> Self {
        Self {
            key,
            open: Run::new(),
            closed: Vec::new(),
            newest: Position::START,
            ignore_up_to,
            last: None,
            last_known: !in_blocks,
        }
    }

    #[inline]
    fn push(&mut self, ts: i64, position: Position, datum: Datum) -> Pushed {
        if position <= self.ignore_up_to {
            return Pushed::Deleted;
        }
        let late = self.note_last(ts, position, &datum);
        self.newest = self.newest.max(position);
        self.open.push(ts, position, datum);
        if self.open.len() >= RUN_POINTS_MAX {
            let full = std::mem::replace(&mut self.open, Run::new());
            self.closed.push(Arc::new(full));
        }
        if late { Pushed::TakenLate } else { Pushed::Taken }
    }

    /// True when the series has a later point.
    #[inline]
    fn note_last(&mut self, ts: i64, position: Position, datum: &Datum) -> bool {
        if let Some(last) = &mut self.last {
            if (ts, position) < (last.ts, last.position) {
                return ts < last.ts;
            }
            (last.ts, last.position) = (ts, position);
            (last.kind, last.bits) = (datum.kind, datum.bits);
            if last.text.is_some() || datum.text.is_some() {
                last.text.clone_from(&datum.text);
            }
            return false;
        }
        let Datum { kind, bits, text } = datum.clone();
        self.last = Some(RawPoint { ts, position, exact: true, kind, bits, text });
        false
    }

    /// The last point appended, and whether it is known to be the last of all.
    pub(crate) fn last(&self) -> (Option<&RawPoint>, bool) {
        (self.last.as_ref(), self.last_known)
    }

    /// What was found to be the last of all; something later may have come meanwhile.
    pub(crate) fn learn_last(&mut self, found: Option<RawPoint>) {
        let key = |point: &RawPoint| (point.ts, point.position);
        if self.last.as_ref().map(key) < found.as_ref().map(key) {
            self.last = found;
        }
        self.last_known = true;
    }

    fn is_empty(&self) -> bool {
        self.open.len() == 0 && self.closed.is_empty()
    }

    fn bytes(&self) -> usize {
        self.open.bytes() + self.closed.iter().map(|run| run.bytes()).sum::<usize>()
    }

    /// Takes out what is not beyond `cut`, or all.
    fn seal(&mut self, cut: Option<Position>) -> Vec<Arc<Run>> {
        let open = std::mem::replace(&mut self.open, Run::new());
        let mut runs = std::mem::take(&mut self.closed);
        if open.len() > 0 {
            runs.push(Arc::new(open));
        }
        match cut.filter(|cut| self.newest > *cut) {
            None => runs,
            Some(cut) => self.take_out(runs, |point| point.position() <= cut),
        }
    }

    /// Divides runs; those not wanted are the head again.
    fn take_out(
        &mut self,
        runs: Vec<Arc<Run>>,
        wanted: impl Fn(&HeadPoint) -> bool,
    ) -> Vec<Arc<Run>> {
        let mut out = Vec::new();
        for run in runs {
            let mut left = Arc::unwrap_or_clone(run);
            let taken = left.split(&wanted);
            if left.len() > 0 {
                self.closed.push(Arc::new(left));
            }
            if taken.len() > 0 {
                out.push(Arc::new(taken));
            }
        }
        out
    }
}

/// Sealed runs of one part, by place of their series, ascending.
pub(crate) type Sealed = Vec<(usize, Arc<SeriesKey>, Vec<Arc<Run>>)>;

/// One part of the heads.
#[derive(Debug, Default)]
pub(crate) struct Part {
    slots: Vec<Option<Box<Slot>>>,
    /// What a flush is writing: read by queries until its block is there.
    sealed: Option<Arc<Sealed>>,
    /// Memory of what is sealed.
    sealed_bytes: usize,
    /// Memory of what is not.
    open_bytes: usize,
}

impl Part {
    /// Gives a series a place.
    pub(crate) fn insert(&mut self, slot: Slot) -> usize {
        self.slots.push(Some(Box::new(slot)));
        self.slots.len() - 1
    }

    pub(crate) fn next_place(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn slot(&self, local: usize) -> Option<&Slot> {
        self.slots.get(local)?.as_deref()
    }

    pub(crate) fn slot_mut(&mut self, local: usize) -> Option<&mut Slot> {
        self.slots.get_mut(local)?.as_deref_mut()
    }

    /// Memory of the points, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.open_bytes + self.sealed_bytes
    }

    #[inline]
    pub(crate) fn push(
        &mut self,
        local: usize,
        ts: i64,
        position: Position,
        datum: Datum,
    ) -> Pushed {
        let Some(Some(slot)) = self.slots.get_mut(local) else { return Pushed::NoSeries };
        // before, since the open run may be closed by it
        let before = slot.open.bytes();
        let closed = slot.closed.len();
        let pushed = slot.push(ts, position, datum);
        let after = match slot.closed.get(closed) {
            Some(run) => run.bytes(),
            None => slot.open.bytes(),
        };
        self.open_bytes = (self.open_bytes + after).saturating_sub(before);
        pushed
    }

    /// Sets aside what is not beyond `cut`, or all, for a flush to write.
    pub(crate) fn seal(&mut self, cut: Option<Position>) -> Arc<Sealed> {
        let mut sealed = Sealed::new();
        for (local, slot) in self.slots.iter_mut().enumerate() {
            if let Some(slot) = slot.as_deref_mut().filter(|slot| !slot.is_empty()) {
                let runs = slot.seal(cut);
                if !runs.is_empty() {
                    sealed.push((local, Arc::clone(&slot.key), runs));
                }
            }
        }
        self.sealed_bytes =
            sealed.iter().flat_map(|(_, _, runs)| runs).map(|run| run.bytes()).sum();
        self.count_open();
        let sealed = Arc::new(sealed);
        self.sealed = Some(Arc::clone(&sealed));
        sealed
    }

    /// Exact again, where splitting made other capacities.
    fn count_open(&mut self) {
        self.open_bytes = self.slots.iter().flatten().map(|slot| slot.bytes()).sum();
    }

    /// What was sealed is in a block.
    pub(crate) fn release(&mut self) {
        self.sealed = None;
        self.sealed_bytes = 0;
    }

    /// What was sealed could not be written: it is head again, before what came since.
    pub(crate) fn restore(&mut self) {
        let Some(sealed) = self.sealed.take() else { return };
        self.sealed_bytes = 0;
        for (local, _, runs) in sealed.iter() {
            if let Some(slot) = self.slots.get_mut(*local).and_then(|slot| slot.as_deref_mut()) {
                let since = std::mem::replace(&mut slot.closed, runs.clone());
                slot.closed.extend(since);
            }
        }
        self.count_open();
    }

    /// What there is of a series from `from` to before `to`, in the order it came.
    pub(crate) fn runs(&self, local: usize, from: i64, to: i64) -> Vec<Arc<Run>> {
        let overlaps = |run: &Run| run.len() > 0 && run.max_ts >= from && run.min_ts < to;
        let Some(slot) = self.slot(local) else { return Vec::new() };
        let sealed = self.sealed.iter().flat_map(|sealed| {
            let at = sealed.binary_search_by_key(&local, |(local, ..)| *local).ok();
            at.and_then(|at| sealed.get(at)).into_iter().flat_map(|(_, _, runs)| runs)
        });
        let shared = sealed.chain(&slot.closed).filter(|run| overlaps(run));
        let mut runs: Vec<Arc<Run>> = shared.map(Arc::clone).collect();
        if overlaps(&slot.open) {
            runs.push(Arc::new(slot.open.clone()));
        }
        runs
    }

    /// Nothing of the series is in memory.
    pub(crate) fn is_empty_at(&self, local: usize) -> bool {
        let sealed = self
            .sealed
            .iter()
            .any(|sealed| sealed.binary_search_by_key(&local, |(local, ..)| *local).is_ok());
        !sealed && self.slot(local).is_none_or(Slot::is_empty)
    }

    /// Forgets a series with all that is in memory of it.
    pub(crate) fn remove(&mut self, local: usize) {
        if let Some(place) = self.slots.get_mut(local)
            && let Some(slot) = place.take()
        {
            self.open_bytes = self.open_bytes.saturating_sub(slot.bytes());
        }
    }

    /// Takes away what is not beyond `up_to`, and nothing not beyond it is taken from now on. Tells
    /// whether anything is left.
    pub(crate) fn delete(&mut self, local: usize, up_to: Position) -> bool {
        let Some(slot) = self.slot_mut(local) else { return false };
        slot.ignore_up_to = slot.ignore_up_to.max(up_to);
        (slot.last, slot.last_known) = (None, false);
        let runs = std::mem::take(&mut slot.closed);
        let open = std::mem::replace(&mut slot.open, Run::new());
        let runs = runs.into_iter().chain([Arc::new(open)]).collect();
        drop(slot.take_out(runs, |point| point.position() <= up_to));
        let left = !slot.is_empty();
        self.count_open();
        left
    }

    /// Places of all series there are.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, &Slot)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(local, slot)| Some((local, slot.as_deref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flux_types::{DeviceId, TenantId};

    fn at(offset: u64) -> Position {
        Position { epoch: 1, offset }
    }

    fn part() -> Part {
        let key = SeriesKey { tenant: TenantId(1), device: DeviceId::random(), name: "t".into() };
        let mut part = Part::default();
        part.insert(Slot::new(Arc::new(key), false, Position::START));
        part
    }

    fn push(part: &mut Part, ts: i64, offset: u64, number: i64) -> Pushed {
        let datum = Datum { kind: Kind::I64, bits: number.cast_unsigned(), text: None };
        part.push(0, ts, at(offset), datum)
    }

    fn push_text(part: &mut Part, ts: i64, offset: u64, text: &str) {
        let text = Some(Text::from(text.as_bytes()));
        part.push(0, ts, at(offset), Datum { kind: Kind::Str, bits: 0, text });
    }

    fn all(part: &Part) -> Vec<(i64, u64)> {
        let mut all = Vec::new();
        for run in part.runs(0, i64::MIN, i64::MAX) {
            run.for_each(|point| all.push((point.ts, point.position.offset)));
        }
        all
    }

    #[test]
    fn point_takes_thirty_two_bytes() {
        assert_eq!(POINT_BYTES, 32);
    }

    #[test]
    fn run_settles_to_the_latest_position_of_each_time() {
        let mut part = part();
        for (ts, offset, number) in [(5, 1, 10), (3, 4, 11), (5, 3, 12), (5, 2, 13), (3, 4, 14)] {
            push(&mut part, ts, offset, number);
        }
        let runs = part.runs(0, i64::MIN, i64::MAX);
        let settled = runs[0].settled();
        assert_eq!(settled.times(), [3, 5]);
        let value = |i| settled.get(i).unwrap().bits;
        assert_eq!((value(0), value(1)), (14, 12), "of one message the last, else the latest");
    }

    #[test]
    fn late_points_are_told_and_the_last_stays() {
        let mut part = part();
        assert_eq!(push(&mut part, 10, 1, 1), Pushed::Taken);
        assert_eq!(push(&mut part, 5, 2, 2), Pushed::TakenLate);
        assert_eq!(push(&mut part, 10, 1, 1), Pushed::Taken);
        let last = part.slot(0).unwrap().last();
        assert_eq!((last.0.unwrap().ts, last.1), (10, true));
        assert_eq!(
            part.push(7, 1, at(9), Datum { kind: Kind::Bool, bits: 0, text: None }),
            Pushed::NoSeries
        );
    }

    #[test]
    fn sealing_leaves_what_is_beyond_the_cut() {
        let mut part = part();
        for i in 0..3000 {
            push(&mut part, i, i.cast_unsigned(), i);
        }
        push_text(&mut part, 3000, 3000, "a");
        push_text(&mut part, 3001, 2000, "b");
        let bytes = part.bytes();
        let sealed = part.seal(Some(at(2500)));
        let points: usize = sealed[0].2.iter().map(|run| run.len()).sum();
        assert_eq!(points, 2502);
        assert_eq!(all(&part).len(), 3002, "readers see both");
        assert!(part.bytes() <= bytes + 4096);
        part.release();
        let left = all(&part);
        assert_eq!((left.len(), left[0]), (500, (2501, 2501)));
        assert!(part.bytes() < bytes / 2);
    }

    #[test]
    fn what_could_not_be_written_is_head_again_in_its_order() {
        let mut part = part();
        push(&mut part, 1, 1, 1);
        push(&mut part, 2, 2, 2);
        part.seal(None);
        push(&mut part, 3, 3, 3);
        part.restore();
        assert_eq!(all(&part), [(1, 1), (2, 2), (3, 3)]);
        part.seal(None);
        part.release();
        assert!(part.is_empty_at(0));
        assert_eq!(part.bytes(), 0);
    }

    #[test]
    fn memory_is_counted_as_points_come_and_go() {
        let mut part = part();
        for i in 0..5000 {
            push(&mut part, i, 1, i);
        }
        let counted = part.bytes();
        part.count_open();
        assert_eq!(counted, part.open_bytes);
        assert!(counted >= 5000 * POINT_BYTES && counted < 5000 * POINT_BYTES * 3 / 2);
        part.remove(0);
        assert_eq!(part.bytes(), 0);
    }

    #[test]
    fn deleted_points_are_not_taken_again() {
        let mut part = part();
        push(&mut part, 1, 1, 1);
        push(&mut part, 2, 5, 2);
        assert!(part.delete(0, at(3)));
        assert_eq!(all(&part), [(2, 5)]);
        assert_eq!(push(&mut part, 1, 3, 1), Pushed::Deleted);
        assert!(!part.delete(0, at(9)));
    }
}

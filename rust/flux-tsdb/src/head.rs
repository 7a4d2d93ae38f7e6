//! Heads: what was appended and is not yet in a block.
//!
//! Owns one part of the series' heads, behind one lock that nobody holds for long: appending puts a
//! point behind the last, reading copies at most [`RUN_POINTS_MAX`] points and shares the rest,
//! sealing takes the vectors away. Every point has its message's position. Must never touch the
//! disk, nor lose a point before its block is durable.

use std::sync::Arc;

use flux_types::Position;

use crate::arena::{Arena, Chain};
use crate::point::{Datum, RawPoint};
use crate::run::{HeadPoint, RUN_POINTS_MAX, Run, Texts};
use crate::series::SeriesKey;

/// The head of one series: what every point touches, and little else.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The open run.
    open: Chain,
    /// Each point of it is later than the one before.
    ascending: bool,
    /// Points up to `ignore_up_to` are not taken.
    guarded: bool,
    /// The latest time in it.
    max_ts: i64,
    /// The latest time of what is not in it.
    last_ts: i64,
    rest: Box<Rest>,
}

/// What of a head is seldom needed.
#[derive(Debug)]
struct Rest {
    key: Arc<SeriesKey>,
    /// Texts of the open run.
    texts: Texts,
    /// Full runs, oldest first.
    closed: Vec<Arc<Run>>,
    /// The last of what is not in the open run.
    last: Option<RawPoint>,
    /// Nothing on disk is later than that.
    last_known: bool,
    /// What its message's position is not beyond belongs to data that was deleted.
    ignore_up_to: Position,
}

const _: () = assert!(size_of::<Slot>() <= 40);

/// What became of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// `grown`: how many more bytes the heads take.
    Taken { late: bool, grown: usize },
    /// It was deleted with its device before.
    Deleted,
    /// There is no such series any more.
    NoSeries,
}

fn key_of(point: &RawPoint) -> (i64, Position) {
    (point.ts, point.position)
}

impl Slot {
    /// `in_blocks`: there are points of it on disk.
    pub(crate) fn new(key: Arc<SeriesKey>, in_blocks: bool, ignore_up_to: Position) -> Self {
        let rest = Rest {
            key,
            texts: Texts::default(),
            closed: Vec::new(),
            last: None,
            last_known: !in_blocks,
            ignore_up_to,
        };
        Self {
            open: Chain::default(),
            ascending: true,
            guarded: ignore_up_to > Position::START,
            max_ts: i64::MIN,
            last_ts: i64::MIN,
            rest: Box::new(rest),
        }
    }

    pub(crate) fn key(&self) -> &Arc<SeriesKey> {
        &self.rest.key
    }

    #[inline]
    fn push(&mut self, arena: &mut Arena, ts: i64, position: Position, datum: Datum) -> Pushed {
        if self.guarded && position <= self.rest.ignore_up_to {
            return Pushed::Deleted;
        }
        let (bits, mut grown) = match datum.text {
            Some(text) => self.rest.texts.put(text),
            None => (datum.bits, 0),
        };
        let late = ts < self.max_ts.max(self.last_ts);
        self.ascending &= ts > self.max_ts || self.open.is_empty();
        self.max_ts = self.max_ts.max(ts);
        let Position { epoch, offset } = position;
        let point = HeadPoint { ts, bits, offset, epoch, kind: datum.kind };
        grown += arena.push(&mut self.open, point);
        Pushed::Taken { late, grown }
    }

    /// A copy of the open run.
    fn copy_open(&self, arena: &Arena) -> Run {
        Run::new(arena.copy(self.open), self.rest.texts.clone(), self.ascending)
    }

    /// The open run, which is then empty.
    fn take_open(&mut self, arena: &mut Arena) -> Option<Arc<Run>> {
        if self.open.is_empty() {
            return None;
        }
        let texts = std::mem::take(&mut self.rest.texts);
        let run = Run::new(arena.take_points(&mut self.open), texts, self.ascending);
        (self.ascending, self.max_ts) = (true, i64::MIN);
        self.keep_last(run.last());
        Some(Arc::new(run))
    }

    fn keep_last(&mut self, found: Option<RawPoint>) {
        if self.rest.last.as_ref().map(key_of) <= found.as_ref().map(key_of) {
            self.last_ts = found.as_ref().map_or(i64::MIN, |point| point.ts);
            self.rest.last = found;
        }
    }

    fn last(&self, arena: &Arena) -> Option<RawPoint> {
        let open = if self.ascending {
            arena.last(self.open).map(|point| self.rest.texts.raw(point))
        } else {
            self.copy_open(arena).last()
        };
        if self.rest.last.as_ref().map(key_of) <= open.as_ref().map(key_of) {
            open
        } else {
            self.rest.last.clone()
        }
    }

    /// What was found to be the last of all; something later may have come meanwhile.
    pub(crate) fn learn_last(&mut self, found: Option<RawPoint>) {
        if found.is_some() {
            self.keep_last(found);
        }
        self.rest.last_known = true;
    }

    fn is_empty(&self) -> bool {
        self.open.is_empty() && self.rest.closed.is_empty()
    }

    fn bytes(&self) -> usize {
        self.open.bytes()
            + self.rest.texts.bytes()
            + self.rest.closed.iter().map(|run| run.bytes()).sum::<usize>()
    }

    /// Takes out what is not beyond `cut`, or all.
    fn seal(&mut self, arena: &mut Arena, cut: Option<Position>) -> Vec<Arc<Run>> {
        let open = self.take_open(arena);
        let mut runs = std::mem::take(&mut self.rest.closed);
        runs.extend(open);
        match cut {
            None => runs,
            Some(cut) => self.take_out(runs, cut),
        }
    }

    /// Divides runs; what is beyond `cut` is the head again.
    fn take_out(&mut self, runs: Vec<Arc<Run>>, cut: Position) -> Vec<Arc<Run>> {
        let mut out = Vec::with_capacity(runs.len());
        for run in runs {
            if run.is_within(cut) {
                out.push(run);
                continue;
            }
            let (taken, left) = run.split(cut);
            out.extend((taken.len() > 0).then(|| Arc::new(taken)));
            self.rest.closed.extend((left.len() > 0).then(|| Arc::new(left)));
        }
        out
    }
}

/// Sealed runs of one part, by place of their series, ascending.
pub(crate) type Sealed = Vec<(usize, Arc<SeriesKey>, Vec<Arc<Run>>)>;

/// One part of the heads.
#[derive(Debug, Default)]
pub(crate) struct Part {
    slots: Vec<Option<Slot>>,
    arena: Arena,
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
        self.slots.push(Some(slot));
        self.slots.len() - 1
    }

    pub(crate) fn next_place(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn slot(&self, local: usize) -> Option<&Slot> {
        self.slots.get(local)?.as_ref()
    }

    pub(crate) fn slot_mut(&mut self, local: usize) -> Option<&mut Slot> {
        self.slots.get_mut(local)?.as_mut()
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
        let pushed = slot.push(&mut self.arena, ts, position, datum);
        if let Pushed::Taken { grown, .. } = pushed {
            self.open_bytes += grown;
            if slot.open.len() >= RUN_POINTS_MAX {
                self.close_run(local);
            }
        }
        pushed
    }

    /// The open run is full: from now on it is shared.
    #[cold]
    fn close_run(&mut self, local: usize) {
        let Some(Some(slot)) = self.slots.get_mut(local) else { return };
        let before = slot.bytes();
        let full = slot.take_open(&mut self.arena);
        slot.rest.closed.extend(full);
        self.open_bytes = (self.open_bytes + slot.bytes()).saturating_sub(before);
    }

    /// The last point in memory of a series, and whether nothing on disk is later.
    pub(crate) fn last(&self, local: usize) -> Option<(Option<RawPoint>, bool)> {
        let slot = self.slot(local)?;
        Some((slot.last(&self.arena), slot.rest.last_known))
    }

    /// Sets aside what is not beyond `cut`, or all, for a flush to write.
    pub(crate) fn seal(&mut self, cut: Option<Position>) -> Arc<Sealed> {
        let mut sealed = Sealed::new();
        for (local, slot) in self.slots.iter_mut().enumerate() {
            if let Some(slot) = slot.as_mut().filter(|slot| !slot.is_empty()) {
                let runs = slot.seal(&mut self.arena, cut);
                if !runs.is_empty() {
                    sealed.push((local, Arc::clone(slot.key()), runs));
                }
            }
        }
        self.sealed_bytes =
            sealed.iter().flat_map(|(_, _, runs)| runs).map(|run| run.bytes()).sum();
        self.arena.trim();
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
            if let Some(slot) = self.slot_mut(*local) {
                let since = std::mem::replace(&mut slot.rest.closed, runs.clone());
                slot.rest.closed.extend(since);
            }
        }
        self.count_open();
    }

    /// What there is of a series from `from` to before `to`, in the order it came.
    pub(crate) fn runs(&self, local: usize, from: i64, to: i64) -> Vec<Arc<Run>> {
        let overlaps = |run: &Run| run.max_ts() >= from && run.min_ts() < to;
        let Some(slot) = self.slot(local) else { return Vec::new() };
        let sealed = self.sealed.iter().flat_map(|sealed| {
            let at = sealed.binary_search_by_key(&local, |(local, ..)| *local).ok();
            at.and_then(|at| sealed.get(at)).into_iter().flat_map(|(_, _, runs)| runs)
        });
        let shared = sealed.chain(&slot.rest.closed).filter(|run| overlaps(run));
        let mut runs: Vec<Arc<Run>> = shared.map(Arc::clone).collect();
        if slot.max_ts >= from && !slot.open.is_empty() {
            let open = slot.copy_open(&self.arena);
            runs.extend(overlaps(&open).then(|| Arc::new(open)));
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
            && let Some(mut slot) = place.take()
        {
            self.open_bytes = self.open_bytes.saturating_sub(slot.bytes());
            drop(slot.take_open(&mut self.arena));
        }
    }

    /// Takes away what is not beyond `up_to`, and nothing not beyond it is taken from now on. Tells
    /// whether anything is left.
    pub(crate) fn delete(&mut self, local: usize, up_to: Position) -> bool {
        let Some(Some(slot)) = self.slots.get_mut(local) else { return false };
        slot.rest.ignore_up_to = slot.rest.ignore_up_to.max(up_to);
        slot.guarded = true;
        let open = slot.take_open(&mut self.arena);
        let mut runs = std::mem::take(&mut slot.rest.closed);
        runs.extend(open);
        drop(slot.take_out(runs, up_to));
        slot.last_ts = i64::MIN;
        (slot.rest.last, slot.rest.last_known) = (None, false);
        let left = !slot.is_empty();
        self.count_open();
        left
    }

    /// Places of all series there are.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, &Slot)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(local, slot)| Some((local, slot.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::texts::Text;
    use crate::point::Kind;
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
        let late = |pushed| matches!(pushed, Pushed::Taken { late: true, .. });
        assert!(!late(push(&mut part, 10, 1, 1)));
        assert!(late(push(&mut part, 5, 2, 2)));
        assert!(!late(push(&mut part, 10, 1, 1)));
        part.seal(None);
        assert!(late(push(&mut part, 5, 3, 2)), "also when the later one is no longer open");
        let (last, known) = part.last(0).unwrap();
        assert_eq!((last.unwrap().ts, known), (10, true));
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
        assert!((5000 * 32..5100 * 33).contains(&counted), "{counted}");
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

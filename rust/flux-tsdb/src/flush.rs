//! Flushes: heads become a block.
//!
//! Owns the order that makes it safe: how far every writer has come is read first, then heads are
//! sealed, then the block is made durable, then readers see it, then the heads are let go. Whatever
//! fails, what was sealed is head again. Must never move the durable position before the block is.

use std::sync::Arc;
use std::time::Instant;

use flux_types::Position;
use parking_lot::MutexGuard;

use crate::block::{Block, BlockId, BlockInfo};
use crate::error::TsdbError;
use crate::head::Sealed;
use crate::merge::{Merge, Source};
use crate::run::Run;
use crate::series::{PARTS, SeriesId, SeriesKey};
use crate::set::BlockSet;
use crate::sink::{Cover, Sink};
use crate::stats::Counters;
use crate::store::{Inner, Store};

/// What flushes know of one another.
#[derive(Debug)]
pub(crate) struct FlushState {
    /// The number of the next.
    pub(crate) next: u64,
    /// The last position that blocks cover.
    pub(crate) covered: Position,
    /// What the store's clock showed at the last.
    pub(crate) at_age_ns: u64,
}

/// A series of a flush, with what was sealed of it.
type Part<'a> = (&'a Arc<SeriesKey>, SeriesId, &'a [Arc<Run>]);

impl Store {
    /// Writes what every writer has applied into a block, durably, and tells the durable position.
    /// Takes as long as the disk does; appending and queries go on meanwhile.
    ///
    /// # Errors
    /// The disk refused; what was to be written stays in memory, and trying again is safe.
    pub fn flush(&self) -> Result<Position, TsdbError> {
        self.inner.flush(false)
    }
}

impl Inner {
    /// `everything`: also what is beyond the position all writers have applied.
    pub(crate) fn flush(&self, everything: bool) -> Result<Position, TsdbError> {
        let state = self.flush.lock();
        self.flush_locked(state, everything)
    }

    fn flush_locked(
        &self,
        mut state: MutexGuard<'_, FlushState>,
        everything: bool,
    ) -> Result<Position, TsdbError> {
        let begun = Instant::now();
        // before sealing: what is applied by now is in the heads
        let cut = self.applied();
        let sealed: Vec<Arc<Sealed>> =
            (0..PARTS).map(|index| self.part(index).seal((!everything).then_some(cut))).collect();
        let outcome = if sealed.iter().all(|sealed| sealed.is_empty()) {
            self.mark(&mut state, cut)
        } else {
            self.write_flush(&mut state, cut, &sealed)
        };
        drop(sealed);
        match outcome {
            Ok(()) => {
                (0..PARTS).for_each(|index| self.part(index).release());
                state.at_age_ns = self.clock.age_ns(self.options.clock.now());
                let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                Counters::add(&self.counters.flush_us, took);
                let mut durable = self.durable.lock();
                *durable = cut.max(*durable);
                Ok(*durable)
            }
            Err(error) => {
                (0..PARTS).for_each(|index| self.part(index).restore());
                Counters::add(&self.counters.flush_failures, 1);
                Err(error)
            }
        }
    }

    /// Nothing is to be written: only how far that holds.
    fn mark(&self, flush: &mut FlushState, cut: Position) -> Result<(), TsdbError> {
        if cut <= flush.covered {
            return Ok(());
        }
        self.change_state(|state| {
            (state.mark, state.mark_flush) = (cut, flush.next - 1);
            Ok(())
        })?;
        flush.covered = cut;
        Ok(())
    }

    fn write_flush(
        &self,
        flush: &mut FlushState,
        cut: Position,
        sealed: &[Arc<Sealed>],
    ) -> Result<(), TsdbError> {
        let id = BlockId { first: flush.next, last: flush.next, generation: 0 };
        let (from, cut) = (flush.covered, cut.max(flush.covered));
        let all_exact = self.set().exact_within(from, cut, &(0..0));
        let cover = Cover { from, cut, all_exact };
        let block = self.write_sealed(id, cover, sealed)?;
        Counters::add(&self.counters.flushes, 1);
        Counters::add(&self.counters.written_bytes, block.bytes);
        self.publish(|set| set.blocks.push(Arc::new(block)));
        (flush.next, flush.covered) = (flush.next + 1, cut);
        Ok(())
    }

    fn write_sealed(
        &self,
        id: BlockId,
        cover: Cover,
        sealed: &[Arc<Sealed>],
    ) -> Result<Block, TsdbError> {
        let mut series: Vec<Part<'_>> = Vec::new();
        for (part, sealed) in sealed.iter().enumerate() {
            for (local, key, runs) in sealed.iter() {
                let Some(id) = SeriesId::new(part, *local) else { continue };
                series.push((key, id, runs));
            }
        }
        series.sort_unstable_by_key(|(key, ..)| *key);
        let mut sink = Sink::create(&self.options.disk, &self.options.dir, id, cover)?;
        for (key, id, runs) in series {
            write_runs(&mut sink, runs)?;
            sink.end_series(key, id)?;
        }
        sink.finish(self.new_info(0))
    }

    /// What every block made now says of its time.
    pub(crate) fn new_info(&self, level: u32) -> BlockInfo {
        let written = self.options.clock.now();
        BlockInfo {
            level,
            from: Position::START,
            cut: Position::START,
            exact: None,
            min_ts: 0,
            max_ts: 0,
            points: 0,
            written,
            store_age_ns: self.clock.age_ns(written),
        }
    }

    /// Lets readers see another set of blocks.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut BlockSet)) {
        let mut current = self.blocks.write();
        let mut next = BlockSet::clone(&current);
        change(&mut next);
        *current = Arc::new(next);
    }

    /// Makes room in the heads, on the thread that needs it. What every writer has applied goes
    /// first; if that is not enough, all of it goes, with the positions of its points.
    pub(crate) fn make_room(&self) -> Result<(), TsdbError> {
        let most = self.options.head_bytes_max;
        for everything in [false, true] {
            // whoever comes second finds the room that the first has made
            let state = self.flush.lock();
            if self.head_bytes() < most {
                return Ok(());
            }
            if everything {
                Counters::add(&self.counters.early_flushes, 1);
            }
            if let Err(cause) = self.flush_locked(state, everything) {
                let (head_bytes, cause) = (self.head_bytes(), Box::new(cause));
                return Err(TsdbError::HeadsFull { head_bytes, head_bytes_max: most, cause });
            }
            if self.head_bytes() < most / 2 {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Writes the points of a series in order of time, each time once.
fn write_runs(sink: &mut Sink, runs: &[Arc<Run>]) -> Result<(), TsdbError> {
    let later = runs.iter().skip(1);
    let in_order = runs.iter().all(|run| run.is_ascending())
        && runs.iter().zip(later).all(|(before, after)| before.max_ts() < after.min_ts());
    if in_order {
        let mut outcome = Ok(());
        for run in runs {
            run.for_each(|point| {
                if outcome.is_ok() {
                    outcome = sink.take(point, false);
                }
            });
        }
        return outcome;
    }
    let sources = runs.iter().zip(0..).map(|(run, rank)| Source::run(Arc::clone(run), rank));
    let mut merge = Merge::all(sources.collect());
    while let Some(point) = merge.next()? {
        sink.take(point, false)?;
    }
    Ok(())
}

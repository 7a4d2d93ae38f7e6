//! Merging blocks: their number stays bounded, duplicates and erased points go.
//!
//! Owns the choice of what is merged and the merge itself. Only blocks whose flushes follow one
//! another are merged, so that the order of positions between blocks stays what it is. The merged
//! block is durable before what it replaces goes. Must never run beside another merge.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::block::{Block, BlockId, BlockInfo, DAMAGED_SUFFIX};
use crate::error::TsdbError;
use crate::merge::{Merge, Source};
use crate::series::{SeriesId, SeriesKey};
use crate::set::BlockSet;
use crate::sink::{Cover, Sink};
use crate::stats::Counters;
use crate::store::{Inner, Store};

/// What the choice needs of a block, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    first: u64,
    last: u64,
    bytes: u64,
    level: u32,
    age_ns: u64,
    /// It has to be written again whatever its neighbours.
    rewrite: bool,
}

/// What bounds a merged block.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    merge_len: usize,
    bytes_max: u64,
    /// Most time between the oldest and the newest of its points, as stored, ns.
    span_ns_max: u64,
}

impl Bounds {
    /// Nothing more is merged into it.
    fn is_final(&self, block: &Facts) -> bool {
        block.bytes > self.bytes_max / 2
    }

    /// How many blocks from `start` on can be one, and whether that run has ended for good: no
    /// later block will join it.
    fn run(&self, blocks: &[Facts], start: usize) -> (usize, bool) {
        let mut bytes = 0;
        let mut before: Option<&Facts> = None;
        let since = start.checked_sub(1).and_then(|at| blocks.get(at)).map(|b| b.age_ns);
        for (len, block) in blocks.iter().skip(start).enumerate() {
            bytes += block.bytes;
            let since = since.or(blocks.get(start).map(|b| b.age_ns)).unwrap_or(0);
            let fits = before.is_none_or(|before| {
                before.last + 1 == block.first
                    && !self.is_final(block)
                    && bytes <= self.bytes_max
                    && block.age_ns.saturating_sub(since) <= self.span_ns_max
            });
            if !fits {
                return (len, true);
            }
            before = Some(block);
        }
        (blocks.len() - start, false)
    }
}

/// Which blocks are to become one.
fn plan(blocks: &[Facts], bounds: &Bounds) -> Option<Range<usize>> {
    if let Some(at) = blocks.iter().position(|block| block.rewrite) {
        return Some(at..at + 1);
    }
    let mut start = 0;
    while let Some(block) = blocks.get(start) {
        if bounds.is_final(block) {
            start += 1;
            continue;
        }
        let (len, ended) = bounds.run(blocks, start);
        if ended && len >= 2 {
            return Some(start..start + len);
        }
        if !ended {
            let run = blocks.get(start..start + len).unwrap_or_default();
            let of_one_level = |group: &[Facts]| {
                group.first().map(|b| b.level) == group.last().map(|b| b.level)
                    && group.iter().all(|b| Some(b.level) == group.first().map(|b| b.level))
            };
            let at = run.windows(bounds.merge_len).position(of_one_level);
            return at.map(|at| start + at..start + at + bounds.merge_len);
        }
        start += len.max(1);
    }
    None
}

impl Store {
    /// Merges what is due, erases what was deleted, writes damaged blocks anew; tells how many
    /// blocks were made. Appending, flushing and queries go on meanwhile.
    ///
    /// # Errors
    /// The disk refused; everything is as it was.
    pub fn merge(&self) -> Result<usize, TsdbError> {
        let _one = self.inner.merge.lock();
        let mut made = 0;
        while self.inner.merge_next().inspect_err(|_| {
            Counters::add(&self.inner.counters.merge_failures, 1);
        })? {
            made += 1;
        }
        if made > 0 {
            self.inner.forget_deletions()?;
        }
        Ok(made)
    }
}

impl Inner {
    fn bounds(&self) -> Bounds {
        let age_max = self.options.retention.age_max;
        Bounds {
            merge_len: self.options.merge_len,
            bytes_max: self.options.merged_bytes_max(),
            // a block goes when its newest point is old enough: it must not span too much
            span_ns_max: age_max
                .map_or(u64::MAX, |age| u64::try_from(age.as_nanos() / 8).unwrap_or(u64::MAX)),
        }
    }

    /// One merge; false when none is due.
    fn merge_next(&self) -> Result<bool, TsdbError> {
        let set = self.set();
        let facts = |block: &Arc<Block>| Facts {
            first: block.id.first,
            last: block.id.last,
            bytes: block.bytes,
            level: block.info.level,
            age_ns: block.info.store_age_ns,
            rewrite: block.is_damaged() || block.is_to_be_erased(),
        };
        let facts: Vec<Facts> = set.blocks.iter().map(facts).collect();
        let Some(range) = plan(&facts, &self.bounds()) else { return Ok(false) };
        let Some(merged) = self.merge_blocks(&set, range.clone())? else { return Ok(false) };
        let sources = set.blocks.get(range.clone()).unwrap_or_default();
        Counters::add(&self.counters.merges, 1);
        Counters::add(&self.counters.written_bytes, merged.bytes);
        let deletions = Arc::clone(&set.deletions);
        self.publish(|set| {
            // what was deleted meanwhile was merged all the same
            if !Arc::ptr_eq(&set.deletions, &deletions) {
                merged.erase();
            }
            // flushes only add behind: the places are still the same
            set.blocks.splice(range, [Arc::new(merged)]);
        });
        self.discard(sources);
        Ok(true)
    }

    fn merge_blocks(
        &self,
        set: &BlockSet,
        range: Range<usize>,
    ) -> Result<Option<Block>, TsdbError> {
        let sources = set.blocks.get(range.clone()).unwrap_or_default();
        let (Some(first), Some(last)) = (sources.first(), sources.last()) else { return Ok(None) };
        let generation = sources.iter().map(|block| block.id.generation).max().unwrap_or(0) + 1;
        let level = sources.iter().map(|block| block.info.level).max().unwrap_or(0);
        let level = if sources.len() > 1 { level + 1 } else { level };
        let id = BlockId { first: first.id.first, last: last.id.last, generation };
        let (from, cut) = (first.info.from, last.info.cut);
        let cover = Cover { from, cut, all_exact: set.exact_within(from, cut, &range) };
        let mut sink = Sink::create(&self.options.disk, &self.options.dir, id, cover)?;
        for (key, id) in self.keys_of(sources) {
            self.merge_series(&mut sink, set, sources, &key, id)?;
        }
        let written = last.info.written;
        let info =
            BlockInfo { written, store_age_ns: last.info.store_age_ns, ..self.new_info(level) };
        sink.finish(info).map(Some)
    }

    /// The series of these blocks, in the order in which they are written. Those whose points are
    /// all to be erased have no key any more.
    fn keys_of(&self, blocks: &[Arc<Block>]) -> BTreeMap<Arc<SeriesKey>, SeriesId> {
        let mut ids: Vec<SeriesId> = blocks.iter().flat_map(|block| block.series()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().filter_map(|id| Some((self.key(id).ok()?, id))).collect()
    }

    fn merge_series(
        &self,
        sink: &mut Sink,
        set: &BlockSet,
        sources: &[Arc<Block>],
        key: &SeriesKey,
        id: SeriesId,
    ) -> Result<(), TsdbError> {
        let owner = (key.tenant, key.device);
        let mut chunks = Vec::new();
        for (block, rank) in sources.iter().zip(0..) {
            if !set.is_deleted(block, owner) {
                let of_series = block.chunks_of(id).iter();
                chunks.extend(of_series.map(|chunk| Source::chunk(block, *chunk, rank)));
            }
        }
        let mut merge = Merge::all(chunks);
        while let Some(point) = merge.next()? {
            let exact = point.exact;
            sink.take(point, exact)?;
        }
        Counters::add(&self.counters.damaged_chunks, merge.damaged());
        sink.end_series(key, id)
    }

    /// Removes files of blocks that are no longer read; damaged ones are set aside. Readers that
    /// still have them open are not disturbed.
    pub(crate) fn discard(&self, blocks: &[Arc<Block>]) {
        let (disk, dir) = (&self.options.disk, &self.options.dir);
        for block in blocks {
            let name = block.id.file_name();
            let path = dir.join(&name);
            let gone = if block.is_damaged() {
                self.damaged_files.fetch_add(1, Ordering::Relaxed);
                disk.rename(&path, &dir.join(name + DAMAGED_SUFFIX))
            } else {
                disk.remove(&path)
            };
            if let Err(error) = gone {
                // opening finds it replaced, or retention finds it again
                tracing::warn!(path = %path.display(), %error, "a block was not removed");
            }
        }
        if let Err(error) = disk.sync_dir(dir) {
            tracing::warn!(dir = %dir.display(), %error, "the directory was not synced");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { merge_len: 4, bytes_max: 1000, span_ns_max: 1000 };

    /// Blocks of one flush each, by level and bytes.
    fn blocks(all: &[(u32, u64)]) -> Vec<Facts> {
        let facts = |(at, (level, bytes)): (usize, &(u32, u64))| Facts {
            first: at as u64 + 1,
            last: at as u64 + 1,
            bytes: *bytes,
            level: *level,
            age_ns: at as u64 * 10,
            rewrite: false,
        };
        all.iter().enumerate().map(facts).collect()
    }

    #[test]
    fn the_oldest_of_one_level_are_merged_once_there_are_enough() {
        let mut given = blocks(&[(1, 9), (1, 9), (0, 1), (0, 1), (0, 1)]);
        assert_eq!(plan(&given, &BOUNDS), None);
        given = blocks(&[(1, 9), (1, 9), (0, 1), (0, 1), (0, 1), (0, 1), (0, 1)]);
        assert_eq!(plan(&given, &BOUNDS), Some(2..6));
        given = blocks(&[(1, 9), (1, 9), (1, 9), (1, 9), (0, 1), (0, 1)]);
        assert_eq!(plan(&given, &BOUNDS), Some(0..4));
    }

    #[test]
    fn blocks_that_no_later_one_can_join_are_merged_at_once() {
        let closed_by_size = blocks(&[(1, 400), (1, 400), (0, 300)]);
        assert_eq!(plan(&closed_by_size, &BOUNDS), Some(0..2));
        let closed_by_a_final_one = blocks(&[(1, 4), (0, 4), (2, 600), (0, 1)]);
        assert_eq!(plan(&closed_by_a_final_one, &BOUNDS), Some(0..2));
        let mut closed_by_a_hole = blocks(&[(1, 4), (0, 4), (0, 4)]);
        closed_by_a_hole[2].first = 7;
        assert_eq!(plan(&closed_by_a_hole, &BOUNDS), Some(0..2));
        let mut closed_by_age = blocks(&[(1, 4), (0, 4), (0, 4)]);
        closed_by_age[2].age_ns = 5000;
        assert_eq!(plan(&closed_by_age, &BOUNDS), Some(0..2));
    }

    #[test]
    fn final_blocks_and_single_ones_stay() {
        assert_eq!(plan(&blocks(&[(5, 600), (5, 501), (5, 900)]), &BOUNDS), None);
        assert_eq!(plan(&blocks(&[(5, 600), (1, 4), (5, 900), (0, 1)]), &BOUNDS), None);
        assert_eq!(plan(&[], &BOUNDS), None);
    }

    #[test]
    fn what_has_to_be_written_again_comes_first() {
        let mut given = blocks(&[(5, 600), (0, 1), (0, 1), (0, 1), (0, 1)]);
        given[0].rewrite = true;
        assert_eq!(plan(&given, &BOUNDS), Some(0..1));
    }

    #[test]
    fn number_of_blocks_stays_bounded_whatever_the_flushes() {
        let mut state = 1_u64;
        let mut all: Vec<Facts> = Vec::new();
        let mut most = 0;
        for flush in 1..5000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let bytes = 1 + (state >> 33) % 20;
            all.push(Facts {
                first: flush,
                last: flush,
                bytes,
                level: 0,
                age_ns: flush,
                rewrite: false,
            });
            while let Some(range) = plan(&all, &Bounds { span_ns_max: u64::MAX, ..BOUNDS }) {
                let merged = Facts {
                    first: all[range.start].first,
                    last: all[range.end - 1].last,
                    bytes: all[range.clone()].iter().map(|b| b.bytes).sum(),
                    level: all[range.clone()].iter().map(|b| b.level).max().unwrap() + 1,
                    age_ns: all[range.end - 1].age_ns,
                    rewrite: false,
                };
                assert!(merged.bytes <= BOUNDS.bytes_max);
                all.splice(range, [merged]);
            }
            let bytes: u64 = all.iter().map(|b| b.bytes).sum();
            let finals = usize::try_from(bytes / (BOUNDS.bytes_max / 2)).unwrap();
            most = most.max(all.len().saturating_sub(2 * finals));
        }
        assert!(most <= 4 * 6, "{most}");
    }
}

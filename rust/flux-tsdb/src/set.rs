//! The blocks there are, and the one read view of them.
//!
//! Owns [`BlockSet`], which is replaced whole, so that a reader sees either what was before a merge
//! or what came of it. Must never be changed in place.

use std::sync::Arc;

use flux_types::Position;

use crate::block::{Block, BlockInfo};
use crate::merge::Source;
use crate::series::{Owner, SeriesId};
use crate::state::Deletions;

/// Blocks in the order of their flushes, and what of them is no longer there.
#[derive(Debug, Clone, Default)]
pub(crate) struct BlockSet {
    pub(crate) blocks: Vec<Arc<Block>>,
    /// Flushes up to this one are gone because retention wanted it.
    pub(crate) retired: u64,
    pub(crate) deletions: Arc<Deletions>,
}

impl BlockSet {
    /// Whether the device's points in this block are no longer there.
    pub(crate) fn is_deleted(&self, block: &Block, owner: Owner) -> bool {
        let deletion = self.deletions.get(&owner);
        deletion.is_some_and(|deletion| block.id.last < deletion.before_flush)
    }

    /// The chunks of a series that have to do with a range of time.
    pub(crate) fn sources(&self, id: SeriesId, owner: Owner, from: i64, to: i64) -> Vec<Source> {
        let mut sources = Vec::new();
        for (rank, block) in self.blocks.iter().enumerate() {
            let BlockInfo { min_ts, max_ts, .. } = block.info;
            if max_ts < from || min_ts >= to || self.is_deleted(block, owner) {
                continue;
            }
            let chunks = block.chunks_of(id);
            let start = chunks.partition_point(|chunk| chunk.max_ts < from);
            let of_range = chunks.iter().skip(start).take_while(|chunk| chunk.min_ts < to);
            sources.extend(of_range.map(|chunk| Source::chunk(block, *chunk, rank as u32)));
        }
        sources
    }

    /// Whether any block but those at `except` has points that keep positions after `from` and not
    /// after `cut`: a block with that range must then keep its own.
    pub(crate) fn exact_within(
        &self,
        from: Position,
        cut: Position,
        except: &std::ops::Range<usize>,
    ) -> bool {
        let others = self.blocks.iter().enumerate().filter(|(at, _)| !except.contains(at));
        // a position equal to `from` is the earlier block's: one too many costs bytes, not points
        others.into_iter().any(|(_, block)| block.info.exact_within(from, cut))
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.blocks.iter().map(|block| block.bytes).sum()
    }

    /// Each block with how many flushes before it no block holds.
    pub(crate) fn holes(&self) -> impl Iterator<Item = (&Arc<Block>, u64)> {
        let mut before = self.retired;
        self.blocks.iter().map(move |block| {
            let missing = block.id.first.saturating_sub(before.saturating_add(1));
            before = block.id.last;
            (block, missing)
        })
    }

    /// Flushes before the last that no block holds and retention did not remove.
    pub(crate) fn missing(&self) -> u64 {
        self.holes().map(|(_, missing)| missing).sum()
    }
}

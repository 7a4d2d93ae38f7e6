//! Blocks: immutable files of chunks, each complete in itself.
//!
//! Owns the file format, writing and reading. A block is written aside, synced, renamed, and its
//! directory synced; from then on it is never changed. Must never give out a byte whose checksum
//! does not hold.
//!
//! ```text
//! block  = header (16) · chunks · index · footer (192)
//! header = "FLUXTSB\n" · version · CRC32C of both
//! index  = names · series…
//! footer = what the block is · CRC32C of index · CRC32C of the footer · "FLUXEND\n"
//! ```
//! All numbers are little endian. The checksum of each chunk stands in the index, so that a sound
//! chunk in the wrong place does not pass.
//!
//! **What a block covers.** Every block says which positions of the log it holds: all after `from`
//! up to `cut` and, where a head had to go early, some beyond. So positions need not be kept for
//! each point: between two blocks the later one's points are later. Where that does not hold, the
//! chunks concerned keep the positions of their points, and the block says from which to which
//! (`exact`).
//!
//! **What a block is called.** Flushes are numbered from 1 on; a block is named by the first and
//! last flush it holds and by its generation. One that holds all flushes of another and is of a
//! later generation replaces it. A number that no block holds is a block that is missing.

mod format;
mod index;
mod read;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flux_log::Stamp;
use flux_log::disk::DiskFile;
use flux_types::Position;

use crate::series::SeriesId;

pub(crate) use read::{ChunkFault, Opened};
pub(crate) use write::BlockWriter;

/// Which flushes a block holds, and how often they were rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlockId {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) generation: u32,
}

/// What is put behind the name of a file that cannot be used.
pub(crate) const DAMAGED_SUFFIX: &str = ".damaged";

impl BlockId {
    /// Padded, so that names sort as flushes do.
    pub(crate) fn file_name(self) -> String {
        format!("block-{:012}-{:012}-{:06}.blk", self.first, self.last, self.generation)
    }

    /// The id in a file's name, and whether the file was set aside.
    pub(crate) fn parse(name: &str) -> Option<(Self, bool)> {
        let (name, aside) = match name.strip_suffix(DAMAGED_SUFFIX) {
            Some(name) => (name, true),
            None => (name, false),
        };
        let mut parts = name.strip_prefix("block-")?.strip_suffix(".blk")?.split('-');
        let id = Self {
            first: parts.next()?.parse().ok()?,
            last: parts.next()?.parse().ok()?,
            generation: parts.next()?.parse().ok()?,
        };
        (parts.next().is_none() && (1..=id.last).contains(&id.first)).then_some((id, aside))
    }

    /// It holds everything `other` does, in a later form.
    pub(crate) fn replaces(self, other: Self) -> bool {
        self.first <= other.first && self.last >= other.last && self.generation > other.generation
    }
}

/// What a block is, as its footer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockInfo {
    /// How often its flushes were merged.
    pub(crate) level: u32,
    /// The last position that earlier blocks cover.
    pub(crate) from: Position,
    /// The last position it covers.
    pub(crate) cut: Position,
    /// Least and greatest position among points that keep their own.
    pub(crate) exact: Option<(Position, Position)>,
    pub(crate) min_ts: i64,
    pub(crate) max_ts: i64,
    pub(crate) points: u64,
    /// When it, or the newest it was merged from, was written.
    pub(crate) written: Stamp,
    /// How old the store was then, as far as its clocks could be trusted, ns.
    pub(crate) store_age_ns: u64,
}

impl BlockInfo {
    /// Whether points of it keep positions in this range, ends included.
    pub(crate) fn exact_within(&self, first: Position, last: Position) -> bool {
        self.exact.is_some_and(|(lowest, newest)| lowest <= last && newest >= first)
    }
}

/// Where a chunk lies and what is known of it without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkMeta {
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) points: u32,
    pub(crate) min_ts: i64,
    pub(crate) max_ts: i64,
    pub(crate) crc: u32,
}

/// A block, open for reading.
pub(crate) struct Block {
    pub(crate) id: BlockId,
    pub(crate) info: BlockInfo,
    /// Length of the file.
    pub(crate) bytes: u64,
    file: Arc<dyn DiskFile>,
    /// Each series with its chunks, by number.
    series: Vec<(SeriesId, u32, u32)>,
    /// By series, then time.
    chunks: Vec<ChunkMeta>,
    /// A chunk was found damaged.
    damaged: AtomicBool,
    /// It has points that are no longer there and are to be erased.
    erase: AtomicBool,
}

impl Block {
    /// The chunks of a series, in order of time.
    pub(crate) fn chunks_of(&self, id: SeriesId) -> &[ChunkMeta] {
        let found = self.series.binary_search_by_key(&id, |(id, ..)| *id).ok();
        let place = found.and_then(|at| self.series.get(at));
        place
            .and_then(|(_, start, end)| self.chunks.get(*start as usize..*end as usize))
            .unwrap_or_default()
    }

    pub(crate) fn holds(&self, id: SeriesId) -> bool {
        self.series.binary_search_by_key(&id, |(id, ..)| *id).is_ok()
    }

    /// The series it has points of.
    pub(crate) fn series(&self) -> impl Iterator<Item = SeriesId> {
        self.series.iter().map(|(id, ..)| *id)
    }

    /// Its memory, bytes.
    pub(crate) fn index_bytes(&self) -> usize {
        self.series.capacity() * size_of::<(SeriesId, u32, u32)>()
            + self.chunks.capacity() * size_of::<ChunkMeta>()
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Whether points of it are to be erased.
    pub(crate) fn is_to_be_erased(&self) -> bool {
        self.erase.load(Ordering::Relaxed)
    }

    /// Notes that points of it are to be erased.
    pub(crate) fn erase(&self) {
        self.erase.store(true, Ordering::Relaxed);
    }

    /// Notes that a chunk cannot be read; true the first time.
    pub(crate) fn condemn(&self) -> bool {
        !self.damaged.swap(true, Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block")
            .field("id", &self.id)
            .field("info", &self.info)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_flushes_and_generation() {
        let id = BlockId { first: 3, last: 17, generation: 2 };
        assert_eq!(BlockId::parse(&id.file_name()), Some((id, false)));
        assert_eq!(BlockId::parse(&(id.file_name() + DAMAGED_SUFFIX)), Some((id, true)));
        for other in ["lock", "block-1-2.blk", "block-2-1-0.blk", "block-0-1-0.blk", "x-1-1-0.blk"]
        {
            assert_eq!(BlockId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn merged_block_replaces_what_it_was_merged_from() {
        let block = |first, last, generation| BlockId { first, last, generation };
        assert!(block(1, 4, 1).replaces(block(2, 3, 0)));
        assert!(block(2, 2, 1).replaces(block(2, 2, 0)));
        assert!(!block(2, 2, 1).replaces(block(2, 3, 0)));
        assert!(!block(1, 4, 1).replaces(block(1, 4, 1)));
    }
}

//! Points into the chunks of a block being written.
//!
//! Owns which points keep their position. Must never let a point whose position the block's range
//! does not tell go without it.

use std::path::Path;
use std::sync::Arc;

use flux_log::disk::Disk;
use flux_types::Position;

use crate::block::{Block, BlockId, BlockInfo, BlockWriter};
use crate::chunk::Points;
use crate::error::TsdbError;
use crate::point::RawPoint;
use crate::series::{SeriesId, SeriesKey};

/// Which positions a new block covers, and whether all its points keep theirs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cover {
    pub(crate) from: Position,
    pub(crate) cut: Position,
    pub(crate) all_exact: bool,
}

pub(crate) struct Sink {
    writer: BlockWriter,
    cover: Cover,
    points: Points,
    exact: Option<(Position, Position)>,
}

impl Sink {
    pub(crate) fn create(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        id: BlockId,
        cover: Cover,
    ) -> Result<Self, TsdbError> {
        let writer = BlockWriter::create(disk, dir, id)?;
        Ok(Self { writer, cover, points: Points::new(), exact: None })
    }

    /// Takes the next point of a series; `exact`: it has to keep its position.
    #[inline]
    pub(crate) fn take(&mut self, point: RawPoint, exact: bool) -> Result<(), TsdbError> {
        let position = point.position;
        let outside = position <= self.cover.from || position > self.cover.cut;
        if outside && point.exact {
            let (lowest, newest) = self.exact.unwrap_or((position, position));
            self.exact = Some((lowest.min(position), newest.max(position)));
        }
        self.points.push(point, exact || outside);
        if self.points.is_full() { self.end_chunk() } else { Ok(()) }
    }

    fn end_chunk(&mut self) -> Result<(), TsdbError> {
        self.writer.chunk(&self.points, self.cover.all_exact)?;
        self.points.clear();
        Ok(())
    }

    /// The points taken since the last call are this series'. Series come in order of their keys.
    pub(crate) fn end_series(&mut self, key: &SeriesKey, id: SeriesId) -> Result<(), TsdbError> {
        self.end_chunk()?;
        self.writer.end_series(key, id);
        Ok(())
    }

    /// Makes it a block, durable when this returns; what positions and points say is filled in.
    pub(crate) fn finish(self, info: BlockInfo) -> Result<Block, TsdbError> {
        let Cover { from, cut, .. } = self.cover;
        self.writer.finish(BlockInfo { from, cut, exact: self.exact, ..info })
    }
}

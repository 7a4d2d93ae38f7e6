//! Points of one series out of several sources, in order of time, each time once.
//!
//! Owns who wins when several sources have a point of the same time: the latest position, and among
//! equals the source that came last. Opens a source only when its time has come, so memory is
//! bounded by the sources that overlap at one time. Must never stop at a damaged chunk: it is passed
//! over and counted.

use std::sync::Arc;

use crate::block::{Block, ChunkFault, ChunkMeta};
use crate::chunk::Points;
use crate::error::TsdbError;
use crate::point::RawPoint;
use crate::run::Run;

/// In which order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}

#[derive(Debug)]
enum Place {
    Run(Arc<Run>),
    Chunk(Arc<Block>, ChunkMeta),
}

/// Something that has points.
#[derive(Debug)]
pub(crate) struct Source {
    place: Place,
    min_ts: i64,
    max_ts: i64,
    /// Later sources win among equals.
    rank: u32,
}

impl Source {
    pub(crate) fn run(run: Arc<Run>, rank: u32) -> Self {
        let (min_ts, max_ts) = (run.min_ts(), run.max_ts());
        Self { place: Place::Run(run), min_ts, max_ts, rank }
    }

    pub(crate) fn chunk(block: &Arc<Block>, chunk: ChunkMeta, rank: u32) -> Self {
        let place = Place::Chunk(Arc::clone(block), chunk);
        Self { place, min_ts: chunk.min_ts, max_ts: chunk.max_ts, rank }
    }
}

#[derive(Debug)]
struct Cursor {
    points: Points,
    /// What is left of them.
    start: usize,
    end: usize,
    rank: u32,
}

/// The merge of sources, point by point.
#[derive(Debug)]
pub(crate) struct Merge {
    /// The next to be opened last.
    waiting: Vec<Source>,
    open: Vec<Cursor>,
    order: Order,
    from: i64,
    to: i64,
    damaged: u64,
    scanned: u64,
}

impl Merge {
    /// Of each source what is from `from` on and before `to`.
    pub(crate) fn new(mut waiting: Vec<Source>, order: Order, from: i64, to: i64) -> Self {
        match order {
            Order::Ascending => waiting.sort_by_key(|source| std::cmp::Reverse(source.min_ts)),
            Order::Descending => waiting.sort_by_key(|source| source.max_ts),
        }
        Self { waiting, open: Vec::new(), order, from, to, damaged: 0, scanned: 0 }
    }

    /// All of each source.
    pub(crate) fn all(waiting: Vec<Source>) -> Self {
        Self::new(waiting, Order::Ascending, i64::MIN, i64::MAX)
    }

    /// Chunks that could not be read so far.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Points of the sources opened so far.
    pub(crate) fn scanned(&self) -> u64 {
        self.scanned
    }

    /// The next point.
    ///
    /// # Errors
    /// A chunk could not be read just now.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<RawPoint>, TsdbError> {
        let mut head = self.head();
        while self
            .waiting
            .last()
            .is_some_and(|source| head.is_none_or(|head| self.key(self.first_of(source)) <= head))
        {
            let Some(source) = self.waiting.pop() else { break };
            self.open_source(source)?;
            head = self.head();
        }
        Ok(head.and_then(|head| self.take(head)))
    }

    /// Grows in the order that is wanted.
    #[inline]
    fn key(&self, ts: i64) -> i64 {
        match self.order {
            Order::Ascending => ts,
            Order::Descending => !ts,
        }
    }

    fn first_of(&self, source: &Source) -> i64 {
        match self.order {
            Order::Ascending => source.min_ts,
            Order::Descending => source.max_ts,
        }
    }

    #[inline]
    fn next_of(&self, cursor: &Cursor) -> usize {
        match self.order {
            Order::Ascending => cursor.start,
            Order::Descending => cursor.end - 1,
        }
    }

    #[inline]
    fn key_of(&self, cursor: &Cursor) -> i64 {
        let ts = cursor.points.times().get(self.next_of(cursor)).copied();
        self.key(ts.unwrap_or(i64::MAX))
    }

    #[inline]
    fn head(&self) -> Option<i64> {
        self.open.iter().map(|cursor| self.key_of(cursor)).min()
    }

    /// Takes the winner among the points of that key, and passes over the others.
    #[inline]
    fn take(&mut self, key: i64) -> Option<RawPoint> {
        let mut winner: Option<&Cursor> = None;
        for cursor in &self.open {
            let strength = |c: &Cursor| (c.points.position(self.next_of(c)), c.rank);
            if self.key_of(cursor) == key
                && winner.is_none_or(|winner| strength(cursor) > strength(winner))
            {
                winner = Some(cursor);
            }
        }
        let winner = winner?;
        let point = winner.points.get(self.next_of(winner));
        let mut at = 0;
        while let Some(cursor) = self.open.get(at) {
            if self.key_of(cursor) == key && self.advance(at) {
                self.open.swap_remove(at);
            } else {
                at += 1;
            }
        }
        point
    }

    /// True when nothing is left.
    #[inline]
    fn advance(&mut self, at: usize) -> bool {
        let Some(cursor) = self.open.get_mut(at) else { return false };
        match self.order {
            Order::Ascending => cursor.start += 1,
            Order::Descending => cursor.end -= 1,
        }
        cursor.start >= cursor.end
    }

    fn open_source(&mut self, source: Source) -> Result<(), TsdbError> {
        let points = match &source.place {
            Place::Run(run) => run.settled(),
            Place::Chunk(block, chunk) => match block.read(chunk) {
                Ok(points) => points,
                Err(ChunkFault::Damaged) => {
                    if block.condemn() {
                        tracing::error!(block = block.id.file_name(), "a chunk is damaged");
                    }
                    self.damaged += 1;
                    return Ok(());
                }
                Err(ChunkFault::Io(error)) => {
                    let name = block.id.file_name();
                    return Err(TsdbError::io("read", std::path::Path::new(&name))(error));
                }
            },
        };
        self.scanned += points.len() as u64;
        let start = points.times().partition_point(|ts| *ts < self.from);
        let end = points.times().partition_point(|ts| *ts < self.to);
        if start < end {
            self.open.push(Cursor { points, start, end, rank: source.rank });
        }
        Ok(())
    }
}

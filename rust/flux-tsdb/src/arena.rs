//! Room for the open runs of one part: points of many series side by side.
//!
//! Owns blocks of eight points that series take one after the other. Points of thousands of series
//! come by turns; with a vector for each, every point would touch a page of memory of its own, and
//! appending would wait for the processor's page tables. Blocks taken at about the same time lie
//! side by side. Must never give one block to two chains.

use crate::run::{HeadPoint, POINT_BYTES};

/// Points of a block.
const BLOCK_POINTS: usize = 8;
/// Blocks allocated at a time: 8 KiB.
const SLAB_BLOCKS: usize = 32;
/// Memory of a block, with its link.
const BLOCK_BYTES: usize = BLOCK_POINTS * POINT_BYTES + size_of::<u32>();

/// Points of one series: blocks that follow one another.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
    len: u32,
}

impl Chain {
    pub(crate) fn len(self) -> usize {
        self.len as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Memory its blocks take.
    pub(crate) fn bytes(self) -> usize {
        self.len().div_ceil(BLOCK_POINTS) * BLOCK_BYTES
    }
}

#[derive(Debug, Default)]
pub(crate) struct Arena {
    slabs: Vec<Box<[HeadPoint]>>,
    /// The block after each block, where there is one.
    next: Vec<u32>,
    free: Vec<u32>,
}

impl Arena {
    /// Puts a point at the end of a chain; tells how many more bytes that takes.
    #[inline]
    pub(crate) fn push(&mut self, chain: &mut Chain, point: HeadPoint) -> usize {
        let at = chain.len() % BLOCK_POINTS;
        let grown = if at == 0 { self.extend(chain) } else { 0 };
        if let Some(place) = self.block_mut(chain.last).and_then(|block| block.get_mut(at)) {
            *place = point;
        }
        chain.len += 1;
        grown
    }

    /// Puts an empty block at the end.
    fn extend(&mut self, chain: &mut Chain) -> usize {
        let block = self.take();
        if chain.is_empty() {
            chain.first = block;
        } else if let Some(link) = self.next.get_mut(chain.last as usize) {
            *link = block;
        }
        chain.last = block;
        BLOCK_BYTES
    }

    fn take(&mut self) -> u32 {
        if self.free.is_empty() {
            let blocks = self.next.len();
            self.slabs.push(vec![HeadPoint::NONE; SLAB_BLOCKS * BLOCK_POINTS].into());
            self.next.resize(blocks + SLAB_BLOCKS, 0);
            // the one to be taken next stands last: blocks are taken in the order they lie
            self.free.extend((blocks..blocks + SLAB_BLOCKS).rev().map(|block| block as u32));
        }
        self.free.pop().unwrap_or_default()
    }

    fn block(&self, block: u32) -> Option<&[HeadPoint]> {
        let (slab, at) = (block as usize / SLAB_BLOCKS, block as usize % SLAB_BLOCKS);
        self.slabs.get(slab)?.get(at * BLOCK_POINTS..(at + 1) * BLOCK_POINTS)
    }

    #[inline]
    fn block_mut(&mut self, block: u32) -> Option<&mut [HeadPoint]> {
        let (slab, at) = (block as usize / SLAB_BLOCKS, block as usize % SLAB_BLOCKS);
        self.slabs.get_mut(slab)?.get_mut(at * BLOCK_POINTS..(at + 1) * BLOCK_POINTS)
    }

    /// The numbers of its blocks.
    fn blocks(&self, chain: Chain) -> impl Iterator<Item = u32> {
        let mut block = chain.first;
        (0..chain.len().div_ceil(BLOCK_POINTS)).map(move |_| {
            let this = block;
            block = self.next.get(this as usize).copied().unwrap_or_default();
            this
        })
    }

    /// A copy of a chain's points.
    pub(crate) fn copy(&self, chain: Chain) -> Vec<HeadPoint> {
        let mut points = Vec::with_capacity(chain.len());
        for block in self.blocks(chain) {
            let left = chain.len() - points.len();
            let block = self.block(block).unwrap_or_default();
            points.extend_from_slice(block.get(..left).unwrap_or(block));
        }
        points
    }

    /// The point that came last.
    pub(crate) fn last(&self, chain: Chain) -> Option<&HeadPoint> {
        self.block(chain.last)?.get(chain.len().checked_sub(1)? % BLOCK_POINTS)
    }

    /// The points of a chain, which is then empty.
    pub(crate) fn take_points(&mut self, chain: &mut Chain) -> Vec<HeadPoint> {
        let points = self.copy(*chain);
        let blocks: Vec<u32> = self.blocks(*chain).collect();
        self.free.extend(blocks.into_iter().rev());
        *chain = Chain::default();
        points
    }

    /// Gives all memory back, where every chain is empty: what was sealed takes as much again.
    pub(crate) fn trim(&mut self) {
        if self.free.len() == self.next.len() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(ts: i64) -> HeadPoint {
        HeadPoint { ts, ..HeadPoint::NONE }
    }

    fn times(points: &[HeadPoint]) -> Vec<i64> {
        points.iter().map(|point| point.ts).collect()
    }

    #[test]
    fn chains_that_grow_by_turns_keep_their_own_points() {
        let mut arena = Arena::default();
        let mut chains = [Chain::default(); 5];
        for i in 0..100 {
            for (number, chain) in chains.iter_mut().enumerate() {
                if i % (number as i64 + 1) == 0 {
                    arena.push(chain, point(i * 10 + number as i64));
                }
            }
        }
        for (number, chain) in chains.iter_mut().enumerate() {
            let expected: Vec<i64> = (0..100)
                .filter(|i| i % (number as i64 + 1) == 0)
                .map(|i| i * 10 + number as i64)
                .collect();
            assert_eq!(arena.last(*chain).map(|point| point.ts), expected.last().copied());
            assert_eq!(times(&arena.copy(*chain)), expected);
            assert_eq!(times(&arena.take_points(chain)), expected);
            assert!(chain.is_empty() && arena.copy(*chain).is_empty());
            assert!(arena.last(*chain).is_none());
        }
    }

    #[test]
    fn blocks_are_used_again_and_given_back_once_all_are_free() {
        let mut arena = Arena::default();
        let fill = |arena: &mut Arena, points: i64| {
            let mut chain = Chain::default();
            let grown: usize = (0..points).map(|i| arena.push(&mut chain, point(i))).sum();
            assert_eq!(grown, chain.bytes());
            assert_eq!(arena.take_points(&mut chain).len() as i64, points);
        };
        fill(&mut arena, 10_000);
        let slabs = arena.slabs.len();
        fill(&mut arena, 10_000);
        assert_eq!(arena.slabs.len(), slabs);
        let mut chain = Chain::default();
        arena.push(&mut chain, point(7));
        arena.trim();
        assert_eq!(times(&arena.copy(chain)), [7], "what is taken stays");
        arena.take_points(&mut chain);
        arena.trim();
        assert_eq!(arena.slabs.len(), 0);
        fill(&mut arena, 100);
    }
}

//! Recently committed records in memory, for readers that keep up.
//!
//! Owns a bounded queue of commit buffers. Must never hold what is not committed.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use flux_types::Position;

use crate::active::Frame;
use crate::format::FRAME_HEADER_BYTES;
use crate::record::Batch;

/// Buffers kept empty for the next commits.
const POOL_BUFFERS_MAX: usize = 2;
/// Larger ones are given back: what a burst needed is not held for ever.
const POOL_BUFFER_BYTES_MAX: usize = 1 << 20;

struct Chunk {
    first: u64,
    last: u64,
    bytes: Bytes,
    frames: Box<[Frame]>,
    cost: usize,
}

/// The queue, oldest first.
pub(crate) struct Hot {
    epoch: u32,
    bytes_max: usize,
    bytes: usize,
    chunks: VecDeque<Chunk>,
    pool: Vec<BytesMut>,
}

impl Hot {
    pub(crate) fn new(epoch: u32, bytes_max: usize) -> Self {
        Self { epoch, bytes_max, bytes: 0, chunks: VecDeque::new(), pool: Vec::new() }
    }

    /// An empty buffer, with room if one is at hand.
    pub(crate) fn buffer(&mut self) -> BytesMut {
        self.pool.pop().unwrap_or_default()
    }

    pub(crate) fn recycle(&mut self, mut buffer: BytesMut) {
        if self.pool.len() < POOL_BUFFERS_MAX && buffer.capacity() <= POOL_BUFFER_BYTES_MAX {
            buffer.clear();
            self.pool.push(buffer);
        }
    }

    /// Keeps a committed buffer and lets the oldest go beyond the limit.
    pub(crate) fn push(&mut self, buffer: BytesMut, frames: &[Frame]) {
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return };
        let (first, last) = (first.first, last.first + u64::from(last.count) - 1);
        // A small commit in a large buffer would keep the whole buffer from being used again.
        let (bytes, cost) = if buffer.len() < buffer.capacity() / 2 {
            let bytes = Bytes::copy_from_slice(&buffer);
            self.recycle(buffer);
            let cost = bytes.len();
            (bytes, cost)
        } else {
            let cost = buffer.capacity();
            (buffer.freeze(), cost)
        };
        let cost = cost + size_of::<Chunk>() + size_of_val(frames);
        self.bytes += cost;
        self.chunks.push_back(Chunk { first, last, bytes, frames: frames.into(), cost });
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.chunks.pop_front() else { break };
            self.bytes -= oldest.cost;
            if let Ok(buffer) = oldest.bytes.try_into_mut() {
                self.recycle(buffer);
            }
        }
    }

    /// The records of one frame, from `next` on, if they are here.
    pub(crate) fn get(&self, next: Position) -> Option<Batch> {
        if next.epoch != self.epoch {
            return None;
        }
        let at = self.chunks.partition_point(|chunk| chunk.last < next.offset);
        let chunk = self.chunks.get(at).filter(|chunk| chunk.first <= next.offset)?;
        let after = chunk.frames.partition_point(|frame| frame.first <= next.offset);
        let frame = chunk.frames.get(after.checked_sub(1)?)?;
        let start = frame.at + FRAME_HEADER_BYTES;
        let first = Position { epoch: self.epoch, offset: frame.first };
        let bytes = chunk.bytes.slice(start..start + frame.len);
        Some(Batch::new(first, frame.count, bytes))
    }
}

//! What has been appended and waits for the commit thread.
//!
//! Owns the buffer under the one lock that appenders share, and decides where in which segment
//! each frame will lie. Must never do I/O or allocate per record.

use std::sync::Arc;

use bytes::BytesMut;

use crate::format::{
    FRAME_ALIGN, FRAME_HEADER_BYTES, FRAME_TARGET_BYTES, HEADER_BYTES, RecordHeader, align_up,
};
use crate::record::Append;

/// A frame in the buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// Where its header begins in the buffer.
    pub(crate) at: usize,
    /// Bytes of records.
    pub(crate) len: usize,
    pub(crate) first: u64,
    pub(crate) count: u32,
}

/// A stretch of the buffer that is written in one piece.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Where it begins in the buffer.
    pub(crate) at: usize,
    /// Where it goes in its segment.
    pub(crate) file_offset: u64,
    /// It begins a new segment, whose first record has this offset.
    pub(crate) new_base: Option<u64>,
}

/// Taken for one commit.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) buf: BytesMut,
    pub(crate) runs: Vec<Run>,
    pub(crate) frames: Vec<Frame>,
}

/// No segment has room for what was to be laid out.
#[derive(Debug)]
pub(crate) struct NoRoom;

pub(crate) struct Active {
    pub(crate) taken: Taken,
    /// The last frame may still grow.
    open: bool,
    /// Offset of the next record.
    pub(crate) next: u64,
    /// End of what is laid out in the segment that is being filled, bytes.
    tail: u64,
    /// Prepared segments nothing is laid out in yet.
    pub(crate) spares: usize,
    segment_bytes: u64,
    commit_align: u64,
    /// Bytes the commit thread is writing.
    pub(crate) writing_bytes: usize,
    /// Records that were laid out since the last commit mark, or being written.
    pub(crate) stopped: bool,
    pub(crate) closed: bool,
    /// Why no spare could be prepared, while that is so.
    pub(crate) space_fault: Option<Arc<str>>,
    /// Somebody was turned away and waits for room.
    pub(crate) starved: bool,
}

impl Active {
    pub(crate) fn new(next: u64, segment_bytes: u64, commit_align: u64) -> Self {
        Self {
            taken: Taken::default(),
            open: false,
            next,
            tail: HEADER_BYTES as u64,
            spares: 0,
            segment_bytes,
            commit_align,
            writing_bytes: 0,
            stopped: false,
            closed: false,
            space_fault: None,
            starved: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.taken.buf.is_empty()
    }

    pub(crate) fn inflight_bytes(&self) -> usize {
        self.taken.buf.len() + self.writing_bytes
    }

    /// Appends a batch of `bytes` bytes with headers; offsets of its first and last record.
    pub(crate) fn append(
        &mut self,
        batch: &[Append<'_>],
        bytes: usize,
    ) -> Result<(u64, u64), NoRoom> {
        let count = batch.len() as u32;
        self.lay_out(bytes, count)?;
        let buf = &mut self.taken.buf;
        buf.reserve(bytes);
        for record in batch {
            let header = RecordHeader {
                len: record.body_bytes() as u32,
                kind: record.kind,
                flags: record.flags,
                tenant: record.tenant.0,
                wall_ns: record.wall_ns,
                mono_ns: record.mono_ns,
            };
            buf.extend_from_slice(&header.encode());
            buf.extend_from_slice(record.body);
            if !record.body_rest.is_empty() {
                buf.extend_from_slice(record.body_rest);
            }
        }
        let first = self.next;
        self.next += u64::from(count);
        Ok((first, self.next - 1))
    }

    /// Finds the place of `bytes` bytes of records: in the open frame, in a new one, or in a new
    /// one at the beginning of a prepared segment. Changes nothing when there is none.
    fn lay_out(&mut self, bytes: usize, count: u32) -> Result<(), NoRoom> {
        if self.open
            && let Some(frame) = self.taken.frames.last_mut()
            && frame.len + bytes <= FRAME_TARGET_BYTES
            && align_up(self.tail + bytes as u64, self.commit_align) <= self.segment_bytes
        {
            frame.len += bytes;
            frame.count += count;
            self.tail += bytes as u64;
            return Ok(());
        }
        let empty = self.taken.buf.is_empty();
        let align = if empty { self.commit_align } else { FRAME_ALIGN as u64 };
        let frame_bytes = (FRAME_HEADER_BYTES + bytes) as u64;
        let mut start = align_up(self.tail, align);
        let mut new_base = None;
        if align_up(start + frame_bytes, self.commit_align) > self.segment_bytes {
            self.spares = self.spares.checked_sub(1).ok_or(NoRoom)?;
            start = HEADER_BYTES as u64;
            new_base = Some(self.next);
        }
        let Taken { buf, runs, frames } = &mut self.taken;
        let at = buf.len().next_multiple_of(FRAME_ALIGN);
        if empty || new_base.is_some() {
            runs.push(Run { at, file_offset: start, new_base });
        }
        frames.push(Frame { at, len: bytes, first: self.next, count });
        buf.reserve(at + FRAME_HEADER_BYTES + bytes - buf.len());
        buf.resize(at + FRAME_HEADER_BYTES, 0);
        self.open = true;
        self.tail = start + frame_bytes;
        Ok(())
    }

    /// Gives what has come to the commit thread, and takes its emptied buffers for what comes.
    pub(crate) fn take(&mut self, empty: Taken) -> Taken {
        let taken = std::mem::replace(&mut self.taken, empty);
        self.open = false;
        self.writing_bytes = taken.buf.len();
        taken
    }

    /// Room for a frame without records at the end of the segment, if there is.
    pub(crate) fn lay_out_mark(&mut self) -> Option<u64> {
        let start = align_up(self.tail, self.commit_align);
        let end = start + FRAME_HEADER_BYTES as u64;
        (self.is_empty() && align_up(end, self.commit_align) <= self.segment_bytes).then(|| {
            self.tail = end;
            start
        })
    }
}

//! Segments that are there, and finding frames in them.
//!
//! Owns the list of segments and the scanner that resynchronises after damage. Must never decide
//! whether a hole is damage or a torn tail: that takes commit marks, which callers weigh.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use flux_types::Position;
use parking_lot::Mutex;

use crate::clock::Stamp;
use crate::disk::DiskFile;
use crate::format::{FRAME_ALIGN, FRAME_HEADER_BYTES, FrameHeader, HEADER_BYTES, SegmentHeader};

/// A new entry in a segment's sparse index is made after this many bytes.
const INDEX_STEP_BYTES: u64 = 256 * 1024;

/// A segment file with what is known of it.
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) path: PathBuf,
    /// Offset of its last committed record; `base - 1` while it has none.
    last: AtomicU64,
    /// Bytes of the file within which all committed frames lie.
    used: AtomicU64,
    /// Bytes the file takes on disk.
    pub(crate) bytes: u64,
    /// When its last record was written, as far as known.
    end: Mutex<Stamp>,
    /// Some frames' first record and place, ascending.
    index: Mutex<Vec<(u64, u64)>>,
}

impl Segment {
    pub(crate) fn new(header: SegmentHeader, path: PathBuf, bytes: u64) -> Self {
        let end = Mutex::new(header.started);
        Self {
            last: AtomicU64::new(header.base.saturating_sub(1)),
            used: AtomicU64::new(HEADER_BYTES as u64),
            bytes,
            end,
            index: Mutex::default(),
            header,
            path,
        }
    }

    /// Tells of committed records. `used` first, so that whoever sees `last` may read up to it.
    pub(crate) fn extend(&self, last: u64, used: u64) {
        self.used.store(used, Ordering::Release);
        self.last.store(last, Ordering::Release);
    }

    pub(crate) fn last(&self) -> Position {
        Position { epoch: self.header.epoch, offset: self.last.load(Ordering::Acquire) }
    }

    pub(crate) fn first(&self) -> Position {
        Position { epoch: self.header.epoch, offset: self.header.base }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    pub(crate) fn end(&self) -> Stamp {
        *self.end.lock()
    }

    pub(crate) fn set_end(&self, stamp: Stamp) {
        *self.end.lock() = stamp;
    }

    pub(crate) fn note_frame(&self, first: u64, at: u64) {
        let mut index = self.index.lock();
        if index.last().is_none_or(|(_, last)| at >= last + INDEX_STEP_BYTES) {
            index.push((first, at));
        }
    }

    /// A place at or before the frame that holds `offset`.
    pub(crate) fn place_of(&self, offset: u64) -> u64 {
        let index = self.index.lock();
        let after = index.partition_point(|(first, _)| *first <= offset);
        let known = after.checked_sub(1).and_then(|i| index.get(i));
        known.map_or(HEADER_BYTES as u64, |(_, at)| *at)
    }
}

/// The segments that are there, oldest first.
#[derive(Default)]
pub(crate) struct SegmentList {
    pub(crate) list: VecDeque<Arc<Segment>>,
    /// The last record that was removed by retention; START while none was.
    pub(crate) floor: Position,
}

impl SegmentList {
    /// The segment that holds `next`, or the first after it.
    pub(crate) fn find(&self, next: Position) -> Option<Arc<Segment>> {
        let at = self.list.partition_point(|segment| segment.last() < next);
        self.list.get(at).cloned()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.list.iter().map(|s| s.bytes).sum()
    }
}

/// What a scanner came upon.
pub(crate) enum Found {
    /// A frame whose checksums hold.
    Frame {
        /// Its header.
        header: FrameHeader,
        /// Its records.
        payload: Bytes,
        /// Its place in the file.
        at: u64,
    },
    /// A frame whose header is sound and whose records are not.
    Spoiled(FrameHeader),
    /// Nothing more before the limit.
    End,
}

/// Walks the frames of one file.
pub(crate) struct FrameScanner {
    file: Arc<dyn DiskFile>,
    seed: u32,
    at: u64,
    read_bytes: usize,
    window_at: u64,
    window: Bytes,
}

impl FrameScanner {
    pub(crate) fn new(file: Arc<dyn DiskFile>, seed: u32, at: u64, read_bytes: usize) -> Self {
        Self { file, seed, at, read_bytes, window_at: 0, window: Bytes::new() }
    }

    /// The next frame that ends at or before `limit`, passing over whatever is none.
    pub(crate) fn next(&mut self, limit: u64) -> io::Result<Found> {
        loop {
            if self.at + FRAME_HEADER_BYTES as u64 > limit {
                return Ok(Found::End);
            }
            let seed = self.seed;
            let Some(probe) = self.peek(FRAME_HEADER_BYTES, limit)? else { return Ok(Found::End) };
            let Some(header) = FrameHeader::decode(seed, probe) else {
                self.at += FRAME_ALIGN as u64;
                continue;
            };
            let bytes = FRAME_HEADER_BYTES + header.len as usize;
            let at = self.at;
            if at + bytes as u64 > limit || self.peek(bytes, limit)?.is_none() {
                self.at += FRAME_ALIGN as u64;
                continue;
            }
            self.at += header.span();
            let start = usize::try_from(at - self.window_at).unwrap_or(usize::MAX);
            let payload = self.window.slice(start + FRAME_HEADER_BYTES..start + bytes);
            if crc32c::crc32c_append(seed, &payload) == header.payload_crc
                && crate::format::holds_records(&payload, header.count)
            {
                return Ok(Found::Frame { header, payload, at });
            }
            return Ok(Found::Spoiled(header));
        }
    }

    /// `len` bytes from the present place; `None` where the file or the limit ends before.
    fn peek(&mut self, len: usize, limit: u64) -> io::Result<Option<&[u8]>> {
        let inside = |at: u64, window_at: u64, window: &Bytes| {
            let start = usize::try_from(at.checked_sub(window_at)?).ok()?;
            (start + len <= window.len()).then_some(start)
        };
        if inside(self.at, self.window_at, &self.window).is_none() {
            let most = usize::try_from(limit.saturating_sub(self.at)).unwrap_or(usize::MAX);
            let want = len.max(self.read_bytes).min(most);
            let mut window = BytesMut::zeroed(want);
            let read = self.file.read_at(self.at, &mut window)?;
            window.truncate(read);
            self.window = window.freeze();
            self.window_at = self.at;
        }
        let start = inside(self.at, self.window_at, &self.window);
        Ok(start.and_then(|start| self.window.get(start..start + len)))
    }
}

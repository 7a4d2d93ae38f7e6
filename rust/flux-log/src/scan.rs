//! Reading a whole segment to learn what is sound in it.
//!
//! Owns the judgement between a torn tail and damage. Must never write.

use std::io;
use std::sync::Arc;

use crate::clock::Stamp;
use crate::disk::DiskFile;
use crate::format::{HEADER_BYTES, SegmentHeader, align_up};
use crate::segment::{Found, FrameScanner};

/// What a segment holds.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    /// Offset of the last sound record that counts; `base - 1` when there is none.
    pub(crate) last: u64,
    /// Bytes of the file up to the end of its frame.
    pub(crate) used: u64,
    /// When the last frame that counts was written.
    pub(crate) end: Stamp,
    /// Ranges of acknowledged records that cannot be read, first and last offset.
    pub(crate) damage: Vec<(u64, u64)>,
    /// Something was written after the last record that counts.
    pub(crate) torn: bool,
    /// Whole frames among that.
    pub(crate) torn_frames: u64,
}

/// A sound frame, without its records.
struct Seen {
    first: u64,
    last: u64,
    end: u64,
    stamp: Stamp,
}

/// Everything found in file order.
#[derive(Default)]
struct Walk {
    frames: Vec<Seen>,
    /// Highest commit mark.
    mark: u64,
    spoiled: bool,
}

/// Reads all frames of a segment.
///
/// `expected_last` is known for a segment that another follows: it was synced whole before the
/// next one was named, so every record up to there was written. In the last segment commit marks
/// decide: a hole at or below a mark is damage, the first hole above all marks is where the log
/// ends. A record above the last mark that is damaged later cannot be told from one that never
/// reached the disk; idle marks keep that window short, and the next opening closes it.
pub(crate) fn scan(
    file: Arc<dyn DiskFile>,
    header: &SegmentHeader,
    expected_last: Option<u64>,
    read_bytes: usize,
) -> io::Result<Scan> {
    let walk = walk(file, header, read_bytes)?;
    let mark = expected_last.unwrap_or(walk.mark);
    let mut scan = Scan {
        last: header.base.saturating_sub(1),
        used: HEADER_BYTES as u64,
        end: header.started,
        damage: Vec::new(),
        torn: walk.spoiled,
        torn_frames: 0,
    };
    let mut frames = walk.frames.into_iter();
    for frame in frames.by_ref() {
        let expected = scan.last + 1;
        if frame.first > expected {
            if expected > mark {
                scan.torn = true;
                scan.torn_frames = 1;
                break;
            }
            scan.damage.push((expected, frame.first - 1));
        }
        if frame.last > expected_last.unwrap_or(u64::MAX) {
            scan.torn = true;
            break;
        }
        scan.last = frame.last;
        scan.used = frame.end;
        scan.end = frame.stamp;
    }
    scan.torn_frames += frames.count() as u64;
    if scan.last < mark {
        scan.damage.push((scan.last + 1, mark));
        scan.last = mark;
    } else if !scan.damage.is_empty() {
        scan.torn &= scan.torn_frames > 0;
    }
    Ok(scan)
}

fn walk(file: Arc<dyn DiskFile>, header: &SegmentHeader, read_bytes: usize) -> io::Result<Walk> {
    let limit = file.length()?;
    let read_bytes = read_bytes.max(1 << 20);
    let mut scanner = FrameScanner::new(file, header.seed(), HEADER_BYTES as u64, read_bytes);
    let mut walk = Walk { mark: header.base.saturating_sub(1), ..Walk::default() };
    let mut next = header.base;
    loop {
        match scanner.next(limit)? {
            Found::End => return Ok(walk),
            Found::Spoiled(header) => {
                walk.mark = walk.mark.max(header.mark);
                walk.spoiled = true;
            }
            Found::Frame { header: frame, at, .. } => {
                walk.mark = walk.mark.max(frame.mark);
                // Out of order cannot be ours; taking it would show records twice.
                if frame.count == 0 || frame.first < next {
                    continue;
                }
                next = frame.last() + 1;
                walk.frames.push(Seen {
                    first: frame.first,
                    last: frame.last(),
                    end: align_up(at + frame.span(), 64),
                    stamp: Stamp {
                        boot_id: header.started.boot_id,
                        wall_ns: frame.wall_ns,
                        mono_ns: frame.mono_ns,
                    },
                });
            }
        }
    }
}

impl Scan {
    /// Nothing was ever written to it that counts.
    pub(crate) fn is_empty(&self, header: &SegmentHeader) -> bool {
        self.last < header.base
    }
}

//! Frames out of a stream of bytes.
//!
//! Owns where a frame begins and ends. Whatever way the bytes are cut when they arrive, the same
//! frames come out: every decision is made from the bytes since the last frame's end alone. Must
//! never hold more than one frame's worth, or lose count of what it throws away.

mod spec;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use flux_types::ProductId;
use memchr::memmem;

pub use spec::{
    Endian, FRAME_BYTES_CEILING, FramingEntry, FramingKind, FramingSpec, LengthField, OnGarbage,
};

use crate::ports::{FrameScanner, Scan};

/// The connection has to be closed: bytes that are no frame, where the framing says `close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes that are no frame")]
pub struct Garbage;

/// Cuts one stream into frames.
#[derive(Debug)]
pub struct Framer {
    spec: Arc<FramingSpec>,
    product: ProductId,
    /// Bytes of the input that were looked through without finding a delimiter.
    scanned: usize,
    /// Everything up to the next boundary is thrown away.
    discarding: bool,
    /// Bytes thrown away and not yet told.
    garbage: u64,
}

/// What the beginning of the input is.
enum Step {
    NeedMore,
    /// `take` bytes belong to the frame, of which the first `len` are it.
    Frame {
        len: usize,
        take: usize,
    },
    /// As many bytes are no frame.
    Skip(usize),
}

impl Framer {
    /// A framer at the beginning of a stream of that product's devices.
    #[must_use]
    pub fn new(spec: Arc<FramingSpec>, product: ProductId) -> Self {
        Self { spec, product, scanned: 0, discarding: false, garbage: 0 }
    }

    /// The silence that ends a frame, ms, where silence does.
    #[must_use]
    pub fn gap_ms(&self) -> Option<u64> {
        match self.spec.kind {
            FramingKind::Idle { gap_ms } => Some(gap_ms),
            _ => None,
        }
    }

    /// Bytes thrown away since this was asked last.
    pub fn take_garbage(&mut self) -> u64 {
        std::mem::take(&mut self.garbage)
    }

    /// Whether the input stands at the beginning of a frame, as far as is known.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.scanned == 0 && !self.discarding
    }

    /// Takes the next frame off the front of `input`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`Garbage`] where bytes that are no frame close the connection.
    pub fn next(
        &mut self,
        input: &mut BytesMut,
        scanner: &dyn FrameScanner,
    ) -> Result<Option<Bytes>, Garbage> {
        while !input.is_empty() {
            match self.step(input, scanner) {
                Step::NeedMore => return Ok(None),
                Step::Frame { len, take } => {
                    self.scanned = 0;
                    let mut frame = input.split_to(take.min(input.len())).freeze();
                    frame.truncate(len);
                    return Ok(Some(frame));
                }
                Step::Skip(count) => {
                    self.throw_away(input, count.max(1));
                    if self.spec.on_garbage == OnGarbage::Close {
                        return Err(Garbage);
                    }
                }
            }
        }
        Ok(None)
    }

    /// There was silence for [`gap_ms`](Self::gap_ms): what is in `input` is a frame.
    pub fn on_gap(&mut self, input: &mut BytesMut) -> Option<Bytes> {
        if std::mem::take(&mut self.discarding) {
            let all = input.len();
            self.throw_away(input, all);
            return None;
        }
        (!input.is_empty()).then(|| input.split().freeze())
    }

    fn throw_away(&mut self, input: &mut BytesMut, count: usize) {
        let count = count.min(input.len());
        input.advance(count);
        self.scanned = 0;
        self.garbage += count as u64;
    }

    fn step(&mut self, input: &[u8], scanner: &dyn FrameScanner) -> Step {
        let spec = Arc::clone(&self.spec);
        let max = spec.frame_bytes_max;
        match &spec.kind {
            FramingKind::Fixed { length, header } => match headed(input, header.as_bytes()) {
                Some(step) => step,
                None if input.len() < *length => Step::NeedMore,
                None => Step::Frame { len: *length, take: *length },
            },
            FramingKind::Delimiter { delimiter, keep } => {
                self.delimited(input, delimiter.as_bytes(), *keep, max)
            }
            FramingKind::Length(field) => sized(input, field, max),
            FramingKind::Idle { .. } => self.until_gap(input, max),
            FramingKind::Plugin => {
                let window = input.get(..max).unwrap_or(input);
                match scanner.scan(self.product, window) {
                    Scan::NeedMore if input.len() < max => Step::NeedMore,
                    Scan::NeedMore => Step::Skip(1),
                    Scan::Frame(len) if (1..=window.len()).contains(&len) => {
                        Step::Frame { len, take: len }
                    }
                    Scan::Frame(_) => Step::Skip(1),
                    Scan::Skip(count) => Step::Skip(count.clamp(1, window.len())),
                }
            }
        }
    }

    /// A frame is what stands before the delimiter; what is longer than a frame may be goes up to
    /// and with its delimiter.
    fn delimited(&mut self, input: &[u8], delimiter: &[u8], keep: bool, max: usize) -> Step {
        let from = self.scanned.saturating_sub(delimiter.len() - 1);
        let found = memmem::find(input.get(from..).unwrap_or_default(), delimiter);
        let Some(at) = found.map(|at| from + at) else {
            // what may be the delimiter's beginning is kept
            let sure = (input.len() + 1).saturating_sub(delimiter.len());
            if self.discarding || sure > max {
                self.discarding = true;
                return if sure > 0 { Step::Skip(sure) } else { Step::NeedMore };
            }
            self.scanned = input.len();
            return Step::NeedMore;
        };
        let end = at + delimiter.len();
        if std::mem::take(&mut self.discarding) || at > max {
            return Step::Skip(end);
        }
        Step::Frame { len: if keep { end } else { at }, take: end }
    }

    fn until_gap(&mut self, input: &[u8], max: usize) -> Step {
        if self.discarding || input.len() > max {
            self.discarding = true;
            return Step::Skip(input.len());
        }
        Step::NeedMore
    }
}

/// Whether the input does not begin with the header: how far to skip, or that more is needed. `None`
/// when it does.
fn headed(input: &[u8], header: &[u8]) -> Option<Step> {
    if input.starts_with(header) {
        return None;
    }
    if header.starts_with(input) {
        return Some(Step::NeedMore);
    }
    let next = (1..input.len()).find(|at| {
        let rest = input.get(*at..).unwrap_or_default();
        rest.starts_with(header) || header.starts_with(rest)
    });
    Some(Step::Skip(next.unwrap_or(input.len())))
}

fn sized(input: &[u8], field: &LengthField, max: usize) -> Step {
    if let Some(step) = headed(input, field.header.as_bytes()) {
        return step;
    }
    let behind = field.offset + field.width;
    let Some(bytes) = input.get(field.offset..behind) else { return Step::NeedMore };
    let says = match field.endian {
        Endian::Big => bytes.iter().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte)),
        Endian::Little => bytes.iter().rev().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte)),
    };
    match usize::try_from(says + field.adjustment).ok().map(|rest| behind + rest) {
        Some(len) if len > max => Step::Skip(1),
        Some(len) if input.len() < len => Step::NeedMore,
        Some(len) => Step::Frame { len, take: len },
        None => Step::Skip(1),
    }
}

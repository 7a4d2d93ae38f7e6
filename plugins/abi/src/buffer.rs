//! Where writers write to.

use alloc::vec::Vec;

/// What writers append to: a [`Vec`], or a [`Buffer`] where nanoseconds count.
pub trait Append {
    /// Bytes written.
    fn len(&self) -> usize;

    /// Appends bytes.
    fn append(&mut self, bytes: &[u8]);

    /// Appends bytes whose number is known when this is compiled.
    #[inline]
    fn append_array<const N: usize>(&mut self, bytes: [u8; N]) {
        self.append(&bytes);
    }

    /// Appends three parts at once.
    #[inline]
    fn append_parts<const A: usize, const B: usize>(
        &mut self,
        head: [u8; A],
        middle: &[u8],
        tail: [u8; B],
    ) {
        self.append_array(head);
        self.append(middle);
        self.append_array(tail);
    }

    /// Writes over bytes that were written; beyond the last of them it does nothing.
    fn patch(&mut self, at: usize, bytes: &[u8]);

    /// Forgets what is behind the first `len` bytes.
    fn truncate(&mut self, len: usize);

    /// Whether nothing is written.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Append for Vec<u8> {
    fn len(&self) -> usize {
        Self::len(self)
    }

    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn patch(&mut self, at: usize, bytes: &[u8]) {
        write_over(self, at, bytes);
    }

    fn truncate(&mut self, len: usize) {
        Self::truncate(self, len);
    }
}

/// Bytes that are written, handed out and written over, call after call.
///
/// Emptying it clears nothing, and a few bytes are copied without the engine's help: in a sandbox a
/// general copy costs more than the name it copies. A message of four values is written in a
/// quarter of the time a [`Vec`] takes.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Of any content behind `len`.
    room: Vec<u8>,
    len: usize,
}

impl Buffer {
    /// Without room.
    #[must_use]
    pub const fn new() -> Self {
        Self { room: Vec::new(), len: 0 }
    }

    /// What is written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.room.get(..self.len).unwrap_or_default()
    }

    /// Bytes there is room for without growing.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.room.len()
    }

    /// The next bytes, of any content.
    #[inline(always)]
    fn extend(&mut self, more: usize) -> &mut [u8] {
        let (start, end) = (self.len, self.len + more);
        if end > self.room.len() {
            self.grow(end);
        }
        self.len = end;
        self.room.get_mut(start..end).unwrap_or_default()
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, needed: usize) {
        const LEAST: usize = 1024;
        self.room.resize(needed.max(LEAST).next_power_of_two(), 0);
    }
}

impl Append for Buffer {
    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    #[inline(always)] // the compiler thinks it too long, and pays for a call with each part
    fn append(&mut self, bytes: &[u8]) {
        copy(self.extend(bytes.len()), bytes);
    }

    #[inline(always)]
    fn append_array<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(place) = self.extend(N).first_chunk_mut() {
            *place = bytes;
        }
    }

    #[inline(always)]
    fn append_parts<const A: usize, const B: usize>(
        &mut self,
        head: [u8; A],
        middle: &[u8],
        tail: [u8; B],
    ) {
        let place = self.extend(A + middle.len() + B);
        if let Some((place, rest)) = place.split_first_chunk_mut() {
            *place = head;
            if let Some((rest, place)) = rest.split_last_chunk_mut() {
                *place = tail;
                copy(rest, middle);
            }
        }
    }

    #[inline]
    fn patch(&mut self, at: usize, bytes: &[u8]) {
        write_over(self.room.get_mut(..self.len).unwrap_or_default(), at, bytes);
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

#[inline]
fn write_over(written: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = at.checked_add(bytes.len()).and_then(|end| written.get_mut(at..end)) {
        place.copy_from_slice(bytes);
    }
}

/// Copies bytes of one length. Up to 32 of them by their first and their last half, which overlap
/// in the middle: one comparison instead of a loop or a call.
#[inline(always)]
fn copy(place: &mut [u8], bytes: &[u8]) {
    match bytes.len() {
        0 => {}
        1 => place[0] = bytes[0],
        2..=3 => ends::<2>(place, bytes),
        4..=7 => ends::<4>(place, bytes),
        8..=16 => ends::<8>(place, bytes),
        17..=32 => ends::<16>(place, bytes),
        _ => place.copy_from_slice(bytes),
    }
}

#[inline(always)]
fn ends<const N: usize>(place: &mut [u8], bytes: &[u8]) {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) {
        if let Some(place) = place.first_chunk_mut() {
            *place = *first;
        }
        if let Some(place) = place.last_chunk_mut() {
            *place = *last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_whole() {
        let bytes: Vec<u8> = (1..=255).cycle().take(600).collect();
        let mut buffer = Buffer::new();
        let mut expected = Vec::new();
        for len in (0..=100).chain([255, 256, 600]) {
            buffer.append(&bytes[..len]);
            expected.extend_from_slice(&bytes[..len]);
            assert_eq!(buffer.as_bytes(), expected);
        }
    }

    #[test]
    fn what_was_written_before_does_not_show() {
        let mut buffer = Buffer::new();
        buffer.append(b"a long secret");
        buffer.truncate(0);
        assert!(buffer.is_empty());
        buffer.append(b"b");
        assert_eq!(buffer.as_bytes(), b"b");
        buffer.patch(0, b"c");
        buffer.patch(1, b"d");
        buffer.patch(usize::MAX, b"e");
        assert_eq!(buffer.as_bytes(), b"c");
        buffer.truncate(5);
        assert_eq!(buffer.len(), 1);
    }
}

//! The input of `decode_batch`: several inputs behind one another.

use alloc::vec::Vec;

use crate::cursor::{Cursor, Fault, Malformed, TooLong, put_len32};

/// Reads a batch: `u32` count, then each input as `u32` length and bytes. Iterates over the inputs;
/// ends with the first error.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    rest: &'a [u8],
    left: usize,
    /// Of the whole, the count included.
    bytes_len: usize,
}

impl<'a> Batch<'a> {
    /// Reads the count.
    ///
    /// # Errors
    /// [`Fault::Truncated`] when the bytes cannot hold as many inputs as they announce.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(bytes);
        let left = cursor.len32()?;
        if left > cursor.remaining() / 4 {
            return Err(cursor.malformed(Fault::Truncated));
        }
        Ok(Self { rest: cursor.rest(), left, bytes_len: bytes.len() })
    }

    /// Inputs not yet read.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.left
    }

    /// Whether all are read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<&'a [u8], Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let Some((item, rest)) = split_item(self.rest) else {
            self.left = 0;
            let offset = self.bytes_len - self.rest.len();
            return Some(Err(Malformed { offset, fault: Fault::Truncated }));
        };
        self.rest = rest;
        Some(Ok(item))
    }
}

/// The first input and what follows. Read by hand: it is done for every input of every batch.
#[inline]
fn split_item(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(len)).ok()?)
}

/// Writes a batch to the end of `out`.
///
/// # Errors
/// [`TooLong`]; `out` is as it was then.
pub fn write_batch<'a>(
    inputs: impl IntoIterator<Item = &'a [u8]>,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut count = 0_usize;
    for input in inputs {
        match put_len32(input.len()) {
            Ok(len) => out.extend_from_slice(&len),
            Err(error) => {
                out.truncate(start);
                return Err(error);
            }
        }
        out.extend_from_slice(input);
        count += 1;
    }
    match put_len32(count) {
        Ok(count) => out[start..start + 4].copy_from_slice(&count),
        Err(error) => {
            out.truncate(start);
            return Err(error);
        }
    }
    Ok(())
}

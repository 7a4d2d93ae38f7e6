//! The input of `decode_batch`: several inputs behind one another.

use alloc::vec::Vec;

use crate::cursor::{Cursor, Fault, Malformed, TooLong, put_len32};

/// Reads a batch: `u32` count, then each input as `u32` length and bytes. Iterates over the inputs;
/// ends with the first error.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    cursor: Cursor<'a>,
    left: usize,
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
        Ok(Self { cursor, left })
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
        let item = self.cursor.bytes32();
        if item.is_err() {
            self.left = 0;
        }
        Some(item)
    }
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

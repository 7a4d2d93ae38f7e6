//! Content in chunks (RFC 9112 section 7.1).

use bytes::{Buf, BytesMut};

use super::response::Refusal;

/// Bytes of a chunk's first line, extensions included.
const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Bytes of all trailer fields together.
const TRAILER_BYTES_MAX: usize = 4 << 10;

/// Takes chunks apart.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    stage: Stage,
    trailer_bytes: usize,
}

#[derive(Debug, Default, Clone, Copy)]
enum Stage {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer,
}

fn malformed(detail: &str) -> Refusal {
    Refusal::new(400, "http.chunk", detail).closing()
}

impl Chunked {
    /// Takes what is there; `take` is given the content. True once the last chunk is through.
    ///
    /// # Errors
    /// What it is answered: the content cannot be told from what follows.
    pub(super) fn take(
        &mut self,
        input: &mut BytesMut,
        mut take: impl FnMut(&[u8]) -> Result<(), Refusal>,
    ) -> Result<bool, Refusal> {
        loop {
            match self.stage {
                Stage::Size => match httparse::parse_chunk_size(input) {
                    Ok(httparse::Status::Complete((used, size))) => {
                        if used > CHUNK_LINE_BYTES_MAX {
                            return Err(malformed("a chunk's first line is too long"));
                        }
                        input.advance(used);
                        self.stage = if size == 0 { Stage::Trailer } else { Stage::Data(size) };
                    }
                    Ok(httparse::Status::Partial) if input.len() <= CHUNK_LINE_BYTES_MAX => {
                        return Ok(false);
                    }
                    _ => return Err(malformed("a chunk's size is not a hexadecimal number")),
                },
                Stage::Data(left) => {
                    if input.is_empty() {
                        return Ok(false);
                    }
                    let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    take(input.get(..len).unwrap_or_default())?;
                    input.advance(len);
                    let left = left - len as u64;
                    self.stage = if left == 0 { Stage::DataEnd } else { Stage::Data(left) };
                }
                Stage::DataEnd => match input.get(..2) {
                    Some(b"\r\n") => {
                        input.advance(2);
                        self.stage = Stage::Size;
                    }
                    Some(_) => return Err(malformed("a chunk is longer than it says")),
                    None => return Ok(false),
                },
                Stage::Trailer => {
                    let Some(end) = memchr::memmem::find(input, b"\r\n") else {
                        return self.trailer_fits(input.len()).map(|()| false);
                    };
                    self.trailer_fits(end)?;
                    self.trailer_bytes += end + 2;
                    input.advance(end + 2);
                    if end == 0 {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Trailer fields are read and ignored (RFC 9110 section 6.5.1), up to a limit.
    fn trailer_fits(&self, more: usize) -> Result<(), Refusal> {
        if self.trailer_bytes + more > TRAILER_BYTES_MAX {
            return Err(
                Refusal::new(431, "http.head_too_large", "the trailer is too long").closing()
            );
        }
        Ok(())
    }
}

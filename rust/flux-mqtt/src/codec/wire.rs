//! The data types of section 1.5, read from a slice and written to a buffer.

use bytes::{BufMut, BytesMut};

use super::{PacketId, REMAINING_LENGTH_MAX};
use crate::error::{Error, malformed, protocol};

/// Walks over the bytes of one packet. Every read is checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

const SHORT: Error = malformed("MQTT-4.13.1-1", "the packet ends within a field");

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub(super) fn remainder(self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    /// A variable byte integer (section 1.5.5).
    pub(super) fn varint(&mut self) -> Result<u32, Error> {
        match varint(self.rest)? {
            Some((value, len)) => {
                self.take(len)?;
                Ok(value)
            }
            None => Err(SHORT),
        }
    }

    /// Binary data (section 1.5.6).
    pub(super) fn binary(&mut self) -> Result<&'a [u8], Error> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// A UTF-8 string (section 1.5.4).
    pub(super) fn string(&mut self) -> Result<&'a str, Error> {
        let bytes = self.binary()?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| malformed("MQTT-1.5.4-1", "a string is not well-formed UTF-8"))?;
        if bytes.contains(&0) {
            return Err(malformed("MQTT-1.5.4-2", "a string contains the character NUL"));
        }
        Ok(text)
    }

    pub(super) fn packet_id(&mut self) -> Result<PacketId, Error> {
        PacketId::new(self.u16()?).ok_or(protocol("MQTT-2.2.1-3", "packet identifier 0"))
    }

    /// The packet has to end here.
    pub(super) fn end(self) -> Result<(), Error> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(malformed("MQTT-4.13.1-1", "the packet goes on after its last field"))
    }
}

/// A variable byte integer at the beginning of `bytes` and how long it is; `None` when more bytes
/// are needed to tell.
pub(super) fn varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, Error> {
    let mut value = 0u32;
    for (index, byte) in bytes.iter().enumerate().take(4) {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            if *byte == 0 && index > 0 {
                return Err(malformed("MQTT-1.5.5-1", "a length uses more bytes than it needs"));
            }
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < 4 {
        return Ok(None);
    }
    Err(malformed("MQTT-1.5.5-1", "a length of more than four bytes"))
}

/// How many bytes a variable byte integer takes.
pub(super) fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

#[allow(clippy::cast_possible_truncation)] // masked to seven bits
pub(super) fn put_varint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8((value as u8 & 0x7F) | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Writes a fixed header and makes room for the rest of the packet.
pub(super) fn put_header(out: &mut BytesMut, first: u8, len: usize) -> Result<(), Error> {
    if len > REMAINING_LENGTH_MAX {
        return Err(Error::PacketTooLarge { len, max: REMAINING_LENGTH_MAX });
    }
    out.reserve(1 + 4 + len);
    out.put_u8(first);
    put_varint(out, len);
    Ok(())
}

/// Writes a string or binary data. Longer than 65 535 bytes cannot be said and is an error.
pub(super) fn put_binary(out: &mut BytesMut, bytes: &[u8]) -> Result<(), Error> {
    let len = u16::try_from(bytes.len())
        .map_err(|_| Error::PacketTooLarge { len: bytes.len(), max: usize::from(u16::MAX) })?;
    out.put_u16(len);
    out.put_slice(bytes);
    Ok(())
}

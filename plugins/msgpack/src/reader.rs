//! `MessagePack` on the wire.
//!
//! Owns the formats of the specification (github.com/msgpack/msgpack, spec.md). Must never believe a
//! length before it has seen that many bytes, nor know what an item means.

use flux_plugin_mapping::{Item, Left, Source};
use flux_plugin_sdk::PluginError;

/// The type of extensions that are times.
const TIMESTAMP: i8 = -1;

/// Reads one item after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Of a whole payload.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn malformed(&self, what: &str) -> PluginError {
        let text = format!("the payload is no MessagePack: {what} (byte {})", self.at);
        PluginError::new("msgpack.malformed", text)
    }

    fn truncated(&self) -> PluginError {
        self.malformed("it ends before what it announces")
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], PluginError> {
        let end = self.at.checked_add(len);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.truncated())?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PluginError> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let taken = *taken.ok_or_else(|| self.truncated())?;
        self.at += N;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, PluginError> {
        self.array().map(u8::from_be_bytes)
    }

    /// A length of one, two or four bytes.
    fn len(&mut self, width: u8) -> Result<usize, PluginError> {
        Ok(match width {
            0 => self.u8()?.into(),
            1 => u16::from_be_bytes(self.array()?).into(),
            _ => u32::from_be_bytes(self.array()?) as usize,
        })
    }

    fn text(&mut self, len: usize) -> Result<Item<'a>, PluginError> {
        let start = *self;
        let bytes = self.take(len)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Item::Text(text.into())),
            Err(error) => {
                let at = start.at + error.valid_up_to();
                Err(Self { at, ..start }.malformed("a text is not UTF-8"))
            }
        }
    }

    /// A container of so many items, each of a byte at least.
    fn container(&self, len: usize, bytes_each: usize) -> Result<Left, PluginError> {
        let left = self.bytes.len() - self.at;
        if len > left / bytes_each { Err(self.truncated()) } else { Ok(Left(Some(len))) }
    }

    fn list(&self, len: usize) -> Result<Item<'a>, PluginError> {
        self.container(len, 1).map(Item::List)
    }

    fn map(&self, len: usize) -> Result<Item<'a>, PluginError> {
        self.container(len, 2).map(Item::Map)
    }

    /// An extension: a time, or bytes whose type is somebody else's to know.
    fn extension(&mut self, len: usize) -> Result<Item<'a>, PluginError> {
        let start = *self;
        let kind = i8::from_be_bytes(self.array()?);
        let bytes = self.take(len)?;
        if kind != TIMESTAMP {
            return Ok(Item::Bytes(bytes.into()));
        }
        let time_ns = time_ns(bytes);
        time_ns
            .map(Item::Time)
            .ok_or_else(|| start.malformed("a time that is none, or beyond 2262"))
    }
}

/// A timestamp of 32, 64 or 96 bits.
fn time_ns(bytes: &[u8]) -> Option<i64> {
    let (seconds, ns) = match bytes.len() {
        4 => (i64::from(u32::from_be_bytes(bytes.try_into().ok()?)), 0),
        8 => {
            let both = u64::from_be_bytes(bytes.try_into().ok()?);
            #[allow(clippy::cast_possible_wrap)] // 34 bits
            ((both & 0x3_ffff_ffff) as i64, (both >> 34) as u32)
        }
        12 => {
            let (ns, seconds) = bytes.split_first_chunk::<4>()?;
            (i64::from_be_bytes(seconds.try_into().ok()?), u32::from_be_bytes(*ns))
        }
        _ => return None,
    };
    if ns > 999_999_999 {
        return None;
    }
    seconds.checked_mul(1_000_000_000)?.checked_add(ns.into())
}

fn whole(number: u64) -> Item<'static> {
    i64::try_from(number).map_or(Item::Long(number), Item::Int)
}

impl<'a> Source<'a> for Reader<'a> {
    fn item(&mut self) -> Result<Item<'a>, PluginError> {
        let start = *self;
        let first = self.u8()?;
        match first {
            0x00..=0x7f => Ok(Item::Int(first.into())),
            0x80..=0x8f => self.map((first & 0x0f).into()),
            0x90..=0x9f => self.list((first & 0x0f).into()),
            0xa0..=0xbf => self.text((first & 0x1f).into()),
            0xc0 => Ok(Item::Null),
            0xc1 => Err(start.malformed("the byte c1 is never used")),
            0xc2 => Ok(Item::Bool(false)),
            0xc3 => Ok(Item::Bool(true)),
            0xc4..=0xc6 => {
                let len = self.len(first - 0xc4)?;
                Ok(Item::Bytes(self.take(len)?.into()))
            }
            0xc7..=0xc9 => {
                let len = self.len(first - 0xc7)?;
                self.extension(len)
            }
            0xca => Ok(Item::Real(f32::from_be_bytes(self.array()?).into())),
            0xcb => Ok(Item::Real(f64::from_be_bytes(self.array()?))),
            0xcc => Ok(Item::Int(self.u8()?.into())),
            0xcd => Ok(Item::Int(u16::from_be_bytes(self.array()?).into())),
            0xce => Ok(Item::Int(u32::from_be_bytes(self.array()?).into())),
            0xcf => Ok(whole(u64::from_be_bytes(self.array()?))),
            0xd0 => Ok(Item::Int(i8::from_be_bytes(self.array()?).into())),
            0xd1 => Ok(Item::Int(i16::from_be_bytes(self.array()?).into())),
            0xd2 => Ok(Item::Int(i32::from_be_bytes(self.array()?).into())),
            0xd3 => Ok(Item::Int(i64::from_be_bytes(self.array()?))),
            0xd4..=0xd8 => self.extension(1 << (first - 0xd4)),
            0xd9..=0xdb => {
                let len = self.len(first - 0xd9)?;
                self.text(len)
            }
            0xdc | 0xdd => {
                let len = self.len(first - 0xdc + 1)?;
                self.list(len)
            }
            0xde | 0xdf => {
                let len = self.len(first - 0xde + 1)?;
                self.map(len)
            }
            0xe0..=0xff => Ok(Item::Int(i8::from_be_bytes([first]).into())),
        }
    }

    fn more(&mut self, left: &mut Left) -> Result<bool, PluginError> {
        match left.0.and_then(|count| count.checked_sub(1)) {
            Some(count) => {
                left.0 = Some(count);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn end(&self) -> Result<(), PluginError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.malformed("it goes on after its one item"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(bytes: &[u8]) -> Result<Item<'_>, PluginError> {
        Reader::new(bytes).item()
    }

    #[test]
    fn every_first_byte_is_an_item_or_refused() {
        for first in 0..=255 {
            let mut bytes = [0; 32];
            bytes[0] = first;
            match item(&bytes) {
                Ok(_) => assert_ne!(first, 0xc1),
                // extensions of type 0 are bytes, and every length of zeros is short enough
                Err(error) => assert_eq!((first, &*error.code), (0xc1, "msgpack.malformed")),
            }
        }
    }

    #[test]
    fn times_have_seconds_and_nanoseconds() {
        // spec.md, "Timestamp extension type"
        let s = 1_000_000_000;
        assert_eq!(item(b"\xd6\xff\x00\x00\x00\x01"), Ok(Item::Time(s)));
        assert_eq!(item(b"\xd7\xff\x00\x00\x00\x08\x00\x00\x00\x01"), Ok(Item::Time(s + 2)));
        let before = b"\xc7\x0c\xff\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff";
        assert_eq!(item(before), Ok(Item::Time(-s + 1)));
        for wrong in [
            &b"\xd7\xff\xff\xff\xff\xfc\x00\x00\x00\x01"[..], // 2^30 - 1 ns
            b"\xd4\xff\x00",
            b"\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(item(wrong).unwrap_err().code, "msgpack.malformed");
        }
    }

    #[test]
    fn counts_are_believed_only_as_far_as_there_are_bytes() {
        for bytes in [
            &b"\xdd\xff\xff\xff\xff\x01"[..],
            b"\xdf\x00\x00\x00\x02\x01\x01\x01",
            b"\xc6\xff\xff\xff\xff\x01",
            b"\xdb\xff\xff\xff\xff\x01",
            b"\xc9\xff\xff\xff\xff\x01",
            b"\x92\x01",
            b"",
        ] {
            assert!(item(bytes).unwrap_err().text.contains("ends before"), "{bytes:02x?}");
        }
    }

    #[test]
    fn text_that_is_none_is_told_by_its_byte() {
        let error = item(b"\xa3a\xffb").unwrap_err();
        assert!(error.text.ends_with("a text is not UTF-8 (byte 2)"), "{}", error.text);
    }
}

//! CBOR on the wire.
//!
//! Owns heads, indefinite lengths and the tags that change what an item is (RFC 8949 section 3).
//! Must never believe a length before it has seen that many bytes, nor know what an item means.

use std::borrow::Cow;

use flux_plugin_mapping::{Item, Left, Source, real_ns, rfc3339_ns};
use flux_plugin_sdk::PluginError;

use crate::number;

/// Tags that are read (section 3.4).
mod tag {
    pub(super) const DATE_TIME: u64 = 0;
    pub(super) const EPOCH: u64 = 1;
    pub(super) const BIG: u64 = 2;
    pub(super) const BIG_NEGATIVE: u64 = 3;
    pub(super) const DECIMAL: u64 = 4;
    pub(super) const BINARY: u64 = 5;
    /// Tags whose content stands for something said elsewhere: references to texts and items.
    /// Passing over them would give a number in place of a text.
    pub(super) const REFERENCES: [u64; 4] = [25, 28, 29, 256];
}

/// The byte that ends what has no length.
const BREAK: u8 = 0xff;

/// Reads one item after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What an item begins with.
#[derive(Debug, Clone, Copy)]
struct Head {
    major: u8,
    /// The lower five bits.
    info: u8,
    /// `None`: indefinite.
    argument: Option<u64>,
}

impl<'a> Reader<'a> {
    /// Of a whole payload.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn malformed(&self, what: &str) -> PluginError {
        let text = format!("the payload is no CBOR: {what} (byte {})", self.at);
        PluginError::new("cbor.malformed", text)
    }

    fn truncated(&self) -> PluginError {
        self.malformed("it ends before what it announces")
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PluginError> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let taken = *taken.ok_or_else(|| self.truncated())?;
        self.at += N;
        Ok(taken)
    }

    fn head(&mut self) -> Result<Head, PluginError> {
        let start = *self;
        let [first] = self.array()?;
        let (major, info) = (first >> 5, first & 0x1f);
        let argument = match info {
            0..=23 => u64::from(info),
            24 => u64::from(u8::from_be_bytes(self.array()?)),
            25 => u64::from(u16::from_be_bytes(self.array()?)),
            26 => u64::from(u32::from_be_bytes(self.array()?)),
            27 => u64::from_be_bytes(self.array()?),
            31 if matches!(major, 2..=5) => return Ok(Head { major, info, argument: None }),
            31 if major == 7 => return Err(start.malformed("a break ends nothing")),
            _ => return Err(start.malformed("an item of a kind that is not used")),
        };
        Ok(Head { major, info, argument: Some(argument) })
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], PluginError> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.truncated())?;
        self.at += taken.len();
        Ok(taken)
    }

    /// A container of so many items, each of a byte at least.
    fn container(&self, count: Option<u64>, bytes_each: usize) -> Result<Left, PluginError> {
        let Some(count) = count else { return Ok(Left(None)) };
        let room = (self.bytes.len() - self.at) / bytes_each;
        match usize::try_from(count) {
            Ok(count) if count <= room => Ok(Left(Some(count))),
            _ => Err(self.truncated()),
        }
    }

    /// Whether what has no length ends here; the mark of its end is passed over then.
    fn ends(&mut self) -> Result<bool, PluginError> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.truncated())?;
        self.at += usize::from(byte == BREAK);
        Ok(byte == BREAK)
    }

    /// Bytes, or text, of a length or in pieces that have one each.
    fn string(&mut self, head: Head) -> Result<Cow<'a, [u8]>, PluginError> {
        if let Some(len) = head.argument {
            return self.take(len).map(Cow::Borrowed);
        }
        let mut whole = Vec::new();
        while !self.ends()? {
            let start = *self;
            let piece = self.head()?;
            match piece.argument {
                Some(len) if piece.major == head.major => {
                    let piece = self.take(len)?;
                    if head.major == 3 && std::str::from_utf8(piece).is_err() {
                        return Err(start.malformed("a piece of a text is not UTF-8"));
                    }
                    whole.extend_from_slice(piece);
                }
                _ => return Err(start.malformed("a piece of a string is of another kind")),
            }
        }
        Ok(whole.into())
    }

    fn text(&mut self, head: Head) -> Result<Cow<'a, str>, PluginError> {
        let start = *self;
        match self.string(head)? {
            Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(text.into()),
                Err(error) => {
                    let at = start.at + error.valid_up_to();
                    Err(Self { at, ..start }.malformed("a text is not UTF-8"))
                }
            },
            Cow::Owned(bytes) => String::from_utf8(bytes)
                .map(Cow::Owned)
                .map_err(|_| start.malformed("a text is not UTF-8")),
        }
    }

    /// An item without a tag that is read.
    fn plain(&mut self, head: Head) -> Result<Item<'a>, PluginError> {
        let argument = head.argument;
        Ok(match (head.major, argument) {
            (0, Some(number)) => number::unsigned(number),
            (1, Some(number)) => number::negative(number),
            (2, _) => Item::Bytes(self.string(head)?),
            (3, _) => Item::Text(self.text(head)?),
            (4, count) => Item::List(self.container(count, 1)?),
            (5, count) => Item::Map(self.container(count, 2)?),
            (_, argument) => self.simple(head.info, argument.unwrap_or(0))?,
        })
    }

    /// Major type 7: simple values that are not assigned are nothing.
    fn simple(&self, info: u8, argument: u64) -> Result<Item<'a>, PluginError> {
        #[allow(clippy::cast_possible_truncation)] // as wide as was read
        Ok(match info {
            20 => Item::Bool(false),
            21 => Item::Bool(true),
            24 if argument < 32 => return Err(self.malformed("a simple value in two bytes")),
            25 => Item::Real(number::half(argument as u16)),
            26 => Item::Real(f32::from_bits(argument as u32).into()),
            27 => Item::Real(f64::from_bits(argument)),
            _ => Item::Null,
        })
    }

    /// What a tag makes of the item behind it.
    fn tagged(&mut self, number: u64) -> Result<Item<'a>, PluginError> {
        let start = *self;
        let time = |ns: Option<i64>| {
            let what = "a time that is none, or beyond the years 1677 to 2262";
            ns.map(Item::Time).ok_or_else(|| start.malformed(what))
        };
        match number {
            tag::DATE_TIME => match self.untagged()? {
                Item::Text(text) => time(rfc3339_ns(&text)),
                _ => time(None),
            },
            tag::EPOCH => match self.untagged()? {
                Item::Int(seconds) => time(seconds.checked_mul(1_000_000_000)),
                Item::Real(seconds) => time(real_ns(seconds, 1_000_000_000)),
                _ => time(None),
            },
            tag::BIG | tag::BIG_NEGATIVE => self.big(number),
            _ => self.fraction(number),
        }
    }

    /// An item that must not have a tag.
    fn untagged(&mut self) -> Result<Item<'a>, PluginError> {
        let start = *self;
        let head = self.head()?;
        if head.major == 6 {
            return Err(start.malformed("a tag within a tag that does not allow it"));
        }
        self.plain(head)
    }

    fn big(&mut self, number: u64) -> Result<Item<'a>, PluginError> {
        let start = *self;
        let Item::Bytes(bytes) = self.untagged()? else {
            return Err(start.malformed("a bignum is no byte string"));
        };
        let big = number::big(&bytes, number == tag::BIG_NEGATIVE);
        big.ok_or_else(|| start.malformed("a number is out of range"))
    }

    /// A decimal fraction or a bigfloat: an array of exponent and mantissa.
    fn fraction(&mut self, number: u64) -> Result<Item<'a>, PluginError> {
        let start = *self;
        let wrong = || start.malformed("a fraction is no array of exponent and mantissa");
        let Item::List(mut left) = self.untagged()? else { return Err(wrong()) };
        if !self.more(&mut left)? {
            return Err(wrong());
        }
        let Item::Int(exponent) = self.untagged()? else { return Err(wrong()) };
        if !self.more(&mut left)? {
            return Err(wrong());
        }
        let head = self.head()?;
        let mantissa = match (head.major, head.argument) {
            (0 | 1, _) => self.plain(head)?,
            (6, Some(tag @ (tag::BIG | tag::BIG_NEGATIVE))) => self.big(tag)?,
            _ => return Err(wrong()),
        };
        if self.more(&mut left)? {
            return Err(wrong());
        }
        let real = if number == tag::DECIMAL {
            number::decimal(&mantissa, exponent)
        } else {
            number::binary(&mantissa, exponent)
        };
        real.map(Item::Real).ok_or_else(|| start.malformed("a number is out of range"))
    }
}

impl<'a> Source<'a> for Reader<'a> {
    fn item(&mut self) -> Result<Item<'a>, PluginError> {
        loop {
            let start = *self;
            let head = self.head()?;
            match (head.major, head.argument) {
                (6, Some(number @ tag::DATE_TIME..=tag::BINARY)) => return self.tagged(number),
                (6, Some(number)) if tag::REFERENCES.contains(&number) => {
                    let text = format!(
                        "the payload has references (tag {number}, byte {}), which are not read; \
                         switch them off where it is written",
                        start.at
                    );
                    return Err(PluginError::new("cbor.reference", text));
                }
                // other tags tell what an item is for, not what it is
                (6, _) => {}
                _ => return self.plain(head),
            }
        }
    }

    fn more(&mut self, left: &mut Left) -> Result<bool, PluginError> {
        match &mut left.0 {
            None => self.ends().map(|ends| !ends),
            Some(0) => Ok(false),
            Some(count) => {
                *count -= 1;
                Ok(true)
            }
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

    fn malformed(bytes: &[u8], what: &str) {
        let mut reader = Reader::new(bytes);
        let error = reader.skip(0).and_then(|()| reader.end()).unwrap_err();
        assert_eq!(error.code, "cbor.malformed");
        assert!(error.text.contains(what), "{bytes:02x?}: {}", error.text);
    }

    #[test]
    fn examples_of_what_is_not_well_formed_are_refused() {
        // RFC 8949 appendix F.1
        for head in [
            &b"\x18"[..],
            b"\x19",
            b"\x1a",
            b"\x1b",
            b"\x19\x01",
            b"\x1a\x01\x02",
            b"\x38",
            b"\x58",
            b"\x78",
            b"\x98",
            b"\x9a\x01\xff\x00",
            b"\xb8",
            b"\xd8",
            b"\xf8",
            b"\xf9\x00",
            b"\xfa\x00\x00",
            b"\xfb\x00\x00\x00",
            // strings and containers with too few bytes or items
            b"\x41",
            b"\x61",
            b"\x5a\xff\xff\xff\xff\x00",
            b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02",
            b"\x81",
            b"\x81\x81",
            b"\x82\x00",
            b"\xa1",
            b"\xa2\x01\x02",
            b"\xa1\x00",
            b"\xa2\x00\x00\x00",
            b"\xc0",
            // without their breaks
            b"\x5f\x41\x00",
            b"\x7f\x61\x00",
            b"\x9f",
            b"\x9f\x01\x02",
            b"\xbf",
            b"\xbf\x01\x02\x01\x02",
            b"\x81\x9f",
            b"\x9f\x80\x00",
            b"\x9f\x9f\x9f\x9f\x9f\xff\xff\xff\xff",
        ] {
            malformed(head, "ends before");
        }
        for head in [
            b"\x1c", b"\x1d", b"\x1e", b"\x3c", b"\x5d", b"\x7e", b"\x9c", b"\xbd", b"\xdc",
            b"\xfc", b"\xfe", b"\x1f", b"\x3f", b"\xdf",
        ] {
            malformed(head, "a kind that is not used");
        }
        for simple in [b"\xf8\x00", b"\xf8\x01", b"\xf8\x18", b"\xf8\x1f"] {
            malformed(simple, "a simple value in two bytes");
        }
        for piece in [
            &b"\x5f\x00\xff"[..],
            b"\x5f\x21\xff",
            b"\x5f\x61\x00\xff",
            b"\x5f\x80\xff",
            b"\x7f\x41\x00\xff",
            b"\x5f\x5f\x41\x00\xff\xff",
            b"\x7f\x7f\x61\x00\xff\xff",
        ] {
            malformed(piece, "a piece of a string is of another kind");
        }
        for ends in [
            &b"\xff"[..],
            b"\x81\xff",
            b"\x82\x00\xff",
            b"\xa1\x00\xff",
            b"\xbf\x00\xff",
            b"\xbf\x00\x00\x00\xff",
            b"\x9f\x81\xff",
        ] {
            malformed(ends, "a break ends nothing");
        }
        malformed(b"\x00\x00", "goes on");
    }

    #[test]
    fn every_example_of_appendix_a_is_one_item() {
        let text = include_str!("../vectors/appendix_a.txt");
        let examples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(examples.len(), 81);
        for example in examples {
            let (hex, expected) = example.split_once(' ').unwrap();
            let bytes: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect();
            let mut reader = Reader::new(&bytes);
            let shown = match reader.clone().item().unwrap() {
                Item::List(_) => "list".to_owned(),
                Item::Map(_) => "map".to_owned(),
                Item::Bytes(bytes) => bytes.iter().map(|b| format!("{b:02x}")).collect(),
                Item::Text(text) => format!("{text:?}"),
                Item::Bool(yes) => yes.to_string(),
                Item::Int(number) => number.to_string(),
                Item::Long(number) => number.to_string(),
                Item::Real(number) => format!("{number:e}"),
                Item::Time(ns) => format!("time {ns}"),
                Item::Null => "null".to_owned(),
            };
            assert_eq!(shown, expected, "{hex}");
            reader.skip(0).unwrap();
            reader.end().unwrap();
        }
    }

    #[test]
    fn times_are_read_by_their_tags_and_nothing_else() {
        assert_eq!(item(b"\xc1\x20"), Ok(Item::Time(-1_000_000_000)));
        assert_eq!(item(b"\xd9\xd9\xf7\xc1\x01"), Ok(Item::Time(1_000_000_000)));
        for wrong in [
            &b"\xc1\x61a"[..],
            b"\xc0\x01",
            b"\xc0\x64soon",
            b"\xc1\x1b\x7f\xff\xff\xff\xff\xff\xff\xff",
            b"\xc1\xf9\x7e\x00",
        ] {
            malformed(wrong, "a time that is none");
        }
        malformed(b"\xc1\xc1\x01", "a tag within a tag");
    }

    #[test]
    fn fractions_are_arrays_of_two() {
        assert_eq!(item(b"\xc4\x82\x21\x19\x6a\xb3"), Ok(Item::Real(273.15)));
        assert_eq!(item(b"\xc5\x82\x20\x03"), Ok(Item::Real(1.5)));
        let big = b"\xc4\x9f\x21\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00\xff";
        assert_eq!(item(big), Ok(Item::Real(184_467_440_737_095_516.16)));
        for wrong in [
            &b"\xc4\x01"[..],
            b"\xc4\x80",
            b"\xc4\x81\x01",
            b"\xc4\x83\x01\x01\x01",
            b"\xc4\x82\x61a\x01",
            b"\xc4\x82\x01\xf9\x00\x00",
            b"\xc5\x82\x01\x80",
        ] {
            malformed(wrong, "a fraction is no array");
        }
        malformed(b"\xc4\x82\x19\x01\x90\x01", "out of range");
        malformed(b"\xc2\x01", "a bignum is no byte string");
    }

    #[test]
    fn references_are_refused_rather_than_misread() {
        for bytes in [&b"\xd8\x19\x00"[..], b"\xd9\x01\x00\x80", b"\xd8\x1c\x00", b"\xd8\x1d\x00"] {
            assert_eq!(item(bytes).unwrap_err().code, "cbor.reference");
        }
    }

    #[test]
    fn tags_without_end_take_no_stack() {
        malformed(&vec![0xc6; 1_000_000], "ends before");
        let lists = vec![0x81; 1_000_000];
        assert_eq!(Reader::new(&lists).skip(0).unwrap_err().code, "decode.too_deep");
    }
}

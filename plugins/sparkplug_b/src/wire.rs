//! Protocol Buffers on the wire, as far as a payload needs them.
//!
//! Owns fields, varints and lengths (protobuf.dev, "Encoding"). Must never know what a field means,
//! allocate, or trust a length before it has seen that many bytes.

use std::fmt;

/// What is wrong with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They end before what they announce.
    Truncated,
    /// A varint of more than 64 bits.
    Varint,
    /// A field number of 0, or beyond 2^29 - 1.
    Field,
    /// A wire type that is none.
    WireType(u8),
    /// Text that is not UTF-8.
    NotUtf8,
    /// A group that ends without having begun, or with another number.
    Group,
    /// More within one another, or of one kind, than is followed.
    TooMuch,
}

/// Bytes that are no message, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Bytes from the payload's beginning.
    pub(crate) offset: usize,
    pub(crate) fault: Fault,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::Truncated => f.write_str("it ends before what it announces")?,
            Fault::Varint => f.write_str("a number has more than 64 bits")?,
            Fault::Field => f.write_str("a field has a number that is none")?,
            Fault::WireType(kind) => write!(f, "a field is of the unknown wire type {kind}")?,
            Fault::NotUtf8 => f.write_str("a text is not UTF-8")?,
            Fault::Group => f.write_str("a group ends that did not begin")?,
            Fault::TooMuch => f.write_str("it nests or repeats more than is followed")?,
        }
        write!(f, " (byte {})", self.offset)
    }
}

/// A field's value, by its wire type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    /// Text, bytes, or a message to read.
    Bytes(Reader<'a>),
    Fixed32(u32),
    /// A group, passed over: no field of ours is one.
    Group,
}

/// Reads the fields of one message, one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where `bytes` begin in the payload.
    base: usize,
}

/// Groups within groups that are passed over.
const GROUPS_MAX: usize = 16;
/// The largest field number.
const FIELD_MAX: u64 = (1 << 29) - 1;

impl<'a> Reader<'a> {
    /// Of a whole payload.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, base: 0 }
    }

    /// Something wrong where the reader stands.
    pub(crate) const fn malformed(&self, fault: Fault) -> Malformed {
        Malformed { offset: self.base + self.at, fault }
    }

    /// All bytes of the message.
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes as text.
    pub(crate) fn text(&self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes).map_err(|error| Malformed {
            offset: self.base + error.valid_up_to(),
            fault: Fault::NotUtf8,
        })
    }

    /// Whether nothing is left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next field, number and value; `None` behind the last.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, Malformed> {
        if self.is_empty() {
            return Ok(None);
        }
        let start = *self;
        let (field, kind) = self.tag()?;
        let wire = match kind {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => Wire::Bytes(self.counted()?),
            3 => {
                self.pass_group(field)?;
                Wire::Group
            }
            4 => return Err(start.malformed(Fault::Group)),
            5 => Wire::Fixed32(u32::from_le_bytes(self.array()?)),
            kind => return Err(start.malformed(Fault::WireType(kind))),
        };
        Ok(Some((field, wire)))
    }

    /// A varint; also where several stand packed in one field.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for place in 0..10 {
            let byte = self.bytes.get(self.at + place);
            let byte = *byte.ok_or(self.malformed(Fault::Truncated))?;
            if place == 9 && byte > 1 {
                return Err(self.malformed(Fault::Varint));
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                self.at += place + 1;
                return Ok(value);
            }
        }
        Err(self.malformed(Fault::Varint))
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u8), Malformed> {
        let start = *self;
        let tag = self.varint()?;
        let (field, kind) = (tag >> 3, (tag & 7) as u8);
        match u32::try_from(field) {
            Ok(number) if (1..=FIELD_MAX).contains(&field) => Ok((number, kind)),
            _ => Err(start.malformed(Fault::Field)),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let found = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let found = *found.ok_or(self.malformed(Fault::Truncated))?;
        self.at += N;
        Ok(found)
    }

    #[inline]
    fn counted(&mut self) -> Result<Self, Malformed> {
        let len = self.varint()?;
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        let bytes = end.and_then(|end| self.bytes.get(self.at..end));
        let bytes = bytes.ok_or(self.malformed(Fault::Truncated))?;
        let base = self.base + self.at;
        self.at += bytes.len();
        Ok(Self { bytes, at: 0, base })
    }

    /// Passes over a group: its fields, and groups within, up to the end that belongs to it.
    fn pass_group(&mut self, field: u32) -> Result<(), Malformed> {
        let mut open = vec![field];
        while let Some(innermost) = open.last().copied() {
            let start = *self;
            let (field, kind) = self.tag()?;
            match kind {
                0 => drop(self.varint()?),
                1 => drop(self.array::<8>()?),
                2 => drop(self.counted()?),
                3 if open.len() == GROUPS_MAX => return Err(start.malformed(Fault::TooMuch)),
                3 => open.push(field),
                4 if field == innermost => drop(open.pop()),
                4 => return Err(start.malformed(Fault::Group)),
                5 => drop(self.array::<4>()?),
                kind => return Err(start.malformed(Fault::WireType(kind))),
            }
        }
        Ok(())
    }
}

/// A varint to the end of `out`.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field with a varint.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, u64::from(field) << 3);
    put_varint(out, value);
}

/// A field with bytes: text, or a message.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(out, u64::from(field) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A field with four bytes.
pub(crate) fn put_fixed32(out: &mut Vec<u8>, field: u32, bytes: [u8; 4]) {
    put_varint(out, u64::from(field) << 3 | 5);
    out.extend_from_slice(&bytes);
}

/// A field with eight bytes.
pub(crate) fn put_fixed64(out: &mut Vec<u8>, field: u32, bytes: [u8; 8]) {
    put_varint(out, u64::from(field) << 3 | 1);
    out.extend_from_slice(&bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> (usize, Fault) {
        let mut reader = Reader::new(bytes);
        loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{bytes:02x?} is in order"),
                Err(error) => return (error.offset, error.fault),
            }
        }
    }

    #[test]
    fn varints_have_up_to_ten_bytes() {
        // protobuf.dev, "Encoding": 150 is 96 01
        for (value, expected) in [
            (0, &b"\x00"[..]),
            (127, b"\x7f"),
            (150, b"\x96\x01"),
            (u64::MAX, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ] {
            let mut written = Vec::new();
            put_varint(&mut written, value);
            assert_eq!(written, expected);
            assert_eq!(Reader::new(expected).varint(), Ok(value));
        }
        assert_eq!(fault(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), (1, Fault::Varint));
        assert_eq!(fault(b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), (1, Fault::Varint));
        assert_eq!(fault(b"\x08\x80"), (1, Fault::Truncated));
    }

    #[test]
    fn lengths_are_believed_only_as_far_as_there_are_bytes() {
        assert_eq!(fault(b"\x12\x05abcd"), (2, Fault::Truncated));
        let huge = b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01abc";
        assert_eq!(fault(huge), (11, Fault::Truncated));
        assert_eq!(fault(b"\x09\x00\x00"), (1, Fault::Truncated));
        assert_eq!(fault(b"\x0d\x00\x00"), (1, Fault::Truncated));
    }

    #[test]
    fn fields_have_numbers_and_known_wire_types() {
        assert_eq!(fault(b"\x00\x01"), (0, Fault::Field));
        assert_eq!(fault(b"\x80\x80\x80\x80\x10\x01"), (0, Fault::Field));
        assert_eq!(fault(b"\x08\x01\x0e"), (2, Fault::WireType(6)));
        assert_eq!(fault(b"\x0f"), (0, Fault::WireType(7)));
    }

    #[test]
    fn groups_are_passed_over_up_to_their_end() {
        // field 1 as a group that holds one field of each kind and a group, then field 2
        let bytes = b"\x0b\x10\x05\x19\0\0\0\0\0\0\0\0\x22\x01a\x2d\0\0\0\0\x33\x34\x0c\x10\x07";
        let mut reader = Reader::new(bytes);
        assert!(matches!(reader.next(), Ok(Some((1, Wire::Group)))));
        assert!(matches!(reader.next(), Ok(Some((2, Wire::Varint(7))))));
        assert_eq!(fault(b"\x0b\x14"), (1, Fault::Group));
        assert_eq!(fault(b"\x0c"), (0, Fault::Group));
        assert_eq!(fault(b"\x0b\x10\x05"), (3, Fault::Truncated));
        assert_eq!(fault(&[0x0b; 100]), (16, Fault::TooMuch));
    }

    #[test]
    fn places_are_counted_from_the_beginning_of_the_payload() {
        let mut reader = Reader::new(b"\x08\x01\x12\x03ab\xff");
        reader.next().unwrap();
        let Ok(Some((2, Wire::Bytes(text)))) = reader.next() else { panic!("a text") };
        assert_eq!(text.text(), Err(Malformed { offset: 6, fault: Fault::NotUtf8 }));
    }
}

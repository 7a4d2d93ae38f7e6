//! Reading bytes nobody has checked, and the words for what is wrong with them.

use core::fmt;

/// What is wrong with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// They end before what they announce.
    Truncated,
    /// They go on after what they announced.
    Trailing,
    /// A section of a tag that is neither known nor optional (`0x80` and above).
    UnknownTag(u8),
    /// A value of a type that is none.
    UnknownType(u8),
    /// An effect of a kind that is none.
    UnknownEffect(u8),
    /// An output that begins with neither `0x01` nor JSON.
    UnknownForm(u8),
    /// Text that is not UTF-8.
    NotUtf8,
    /// A name of no bytes.
    EmptyName,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("ends before what it announces"),
            Self::Trailing => f.write_str("goes on after what it announced"),
            Self::UnknownTag(tag) => write!(f, "unknown section tag 0x{tag:02x}"),
            Self::UnknownType(kind) => write!(f, "unknown value type {kind}"),
            Self::UnknownEffect(kind) => write!(f, "unknown effect kind {kind}"),
            Self::UnknownForm(byte) => {
                write!(f, "begins with 0x{byte:02x}; expected 0x01 or JSON")
            }
            Self::NotUtf8 => f.write_str("text that is not UTF-8"),
            Self::EmptyName => f.write_str("a name of no bytes"),
        }
    }
}

/// Bytes that break the layout, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// Bytes from the beginning of what was being read.
    pub offset: usize,
    /// What is wrong there.
    pub fault: Fault,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {})", self.fault, self.offset)
    }
}

impl core::error::Error for Malformed {}

/// Something longer than its length field can say. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    /// What it is.
    pub what: &'static str,
    /// Its length.
    pub len: usize,
    /// The greatest there is room for.
    pub max: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}: at most {} fit", self.what, self.len, self.max)
    }
}

impl core::error::Error for TooLong {}

/// Bytes that should be UTF-8 and are checked only when asked for.
///
/// Compares by its bytes; where it stood does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Text<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Text<'a> {
    /// Bytes that stand there in what is being read.
    #[inline]
    pub(crate) const fn at(bytes: &'a [u8], offset: usize) -> Self {
        Self { bytes, offset }
    }

    /// The bytes.
    #[must_use]
    #[inline]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The text.
    ///
    /// # Errors
    /// [`Fault::NotUtf8`], with the place of the first byte that is not.
    #[inline]
    pub fn as_str(&self) -> Result<&'a str, Malformed> {
        core::str::from_utf8(self.bytes).map_err(|error| Malformed {
            offset: self.offset + error.valid_up_to(),
            fault: Fault::NotUtf8,
        })
    }

    /// Whether it has no bytes.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Where it begins, in bytes from the beginning of what was read.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Text<'_> {}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), offset: 0 }
    }
}

/// Reads little-endian numbers and counted bytes, one after the other.
///
/// A part of it ([`Cursor::split`]) keeps counting from the beginning of the whole, so that every
/// [`Malformed`] tells a place people can find.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    /// What is left.
    rest: &'a [u8],
    /// Where it ends, from the beginning of the whole.
    end: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `bytes`.
    #[must_use]
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, end: bytes.len() }
    }

    /// Bytes from the beginning of the whole.
    #[must_use]
    #[inline]
    pub const fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    /// Bytes left.
    #[must_use]
    #[inline]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether nothing is left.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Something wrong where the cursor stands.
    #[must_use]
    #[inline] // a call would force the cursor into memory
    pub const fn malformed(&self, fault: Fault) -> Malformed {
        Malformed { offset: self.offset(), fault }
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`Fault::Trailing`].
    #[inline]
    pub const fn finish(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(self.malformed(Fault::Trailing)) }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`Fault::Truncated`] when there are fewer; so for all the readers below.
    #[inline]
    pub const fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        match self.rest.split_at_checked(len) {
            Some((found, rest)) => {
                self.rest = rest;
                Ok(found)
            }
            None => Err(self.malformed(Fault::Truncated)),
        }
    }

    /// What is left.
    #[inline]
    pub const fn rest(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }

    /// What is left, as text.
    #[inline]
    pub const fn rest_text(&mut self) -> Text<'a> {
        let offset = self.offset();
        Text { bytes: self.rest(), offset }
    }

    /// A cursor over the next `len` bytes; this one goes on behind them.
    ///
    /// # Errors
    /// [`Fault::Truncated`].
    #[inline]
    pub const fn split(&mut self, len: usize) -> Result<Self, Malformed> {
        match self.bytes(len) {
            Ok(part) => Ok(Self { rest: part, end: self.offset() }),
            Err(error) => Err(error),
        }
    }

    #[inline]
    const fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        match self.rest.split_first_chunk::<N>() {
            Some((found, rest)) => {
                self.rest = rest;
                Ok(*found)
            }
            None => Err(self.malformed(Fault::Truncated)),
        }
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Fault::Truncated`].
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes, unsigned.
    ///
    /// # Errors
    /// [`Fault::Truncated`].
    #[inline]
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes, unsigned.
    ///
    /// # Errors
    /// [`Fault::Truncated`].
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, unsigned.
    ///
    /// # Errors
    /// [`Fault::Truncated`].
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// Eight bytes, signed.
    ///
    /// # Errors
    /// [`Fault::Truncated`].
    #[inline]
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_le_bytes)
    }

    /// Bytes counted by a `u32`.
    ///
    /// # Errors
    /// [`Fault::Truncated`].
    #[inline]
    pub fn bytes32(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.len32()?;
        self.bytes(len)
    }

    /// A length of four bytes. A `usize` of fewer bits cannot hold all of them: what does not fit
    /// is longer than any bytes there are.
    #[inline]
    pub(crate) fn len32(&mut self) -> Result<usize, Malformed> {
        let len = self.u32()?;
        usize::try_from(len).map_err(|_| self.malformed(Fault::Truncated))
    }

    /// Text counted by a `u8`.
    ///
    /// # Errors
    /// [`Fault::Truncated`].
    #[inline]
    pub fn text8(&mut self) -> Result<Text<'a>, Malformed> {
        let len = self.u8()?;
        self.text(usize::from(len))
    }

    /// Text counted by a `u16`.
    ///
    /// # Errors
    /// [`Fault::Truncated`].
    #[inline]
    pub fn text16(&mut self) -> Result<Text<'a>, Malformed> {
        let len = self.u16()?;
        self.text(usize::from(len))
    }

    /// Text counted by a `u32`.
    ///
    /// # Errors
    /// [`Fault::Truncated`].
    #[inline]
    pub fn text32(&mut self) -> Result<Text<'a>, Malformed> {
        let len = self.len32()?;
        self.text(len)
    }

    #[inline]
    fn text(&mut self, len: usize) -> Result<Text<'a>, Malformed> {
        let offset = self.offset();
        Ok(Text { bytes: self.bytes(len)?, offset })
    }
}

/// A length as four bytes.
///
/// # Errors
/// [`TooLong`].
#[inline]
pub(crate) fn put_len32(len: usize) -> Result<[u8; 4], TooLong> {
    match u32::try_from(len) {
        Ok(len) => Ok(len.to_le_bytes()),
        Err(_) => Err(TooLong { what: "bytes", len, max: u32::MAX as usize }),
    }
}

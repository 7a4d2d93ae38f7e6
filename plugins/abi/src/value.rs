//! The values a message carries.

use crate::Append;
use crate::cursor::{Cursor, Fault, Malformed, Text, TooLong, put_len32};

/// One value, borrowed from where it was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// Types 0 and 1: yes or no.
    Bool(bool),
    /// Type 2: a whole number.
    I64(i64),
    /// Type 3: a number. The host drops and counts what is not finite.
    F64(f64),
    /// Type 4: text.
    Str(Text<'a>),
    /// Type 5: bytes.
    Bytes(&'a [u8]),
    /// Type 6: JSON text, for what is structured.
    Json(Text<'a>),
    /// Type 7: a time, nanoseconds since 1970-01-01T00:00:00Z.
    Time(i64),
}

/// The numbers of the types.
mod kind {
    pub(super) const FALSE: u8 = 0;
    pub(super) const TRUE: u8 = 1;
    pub(super) const I64: u8 = 2;
    pub(super) const F64: u8 = 3;
    pub(super) const STR: u8 = 4;
    pub(super) const BYTES: u8 = 5;
    pub(super) const JSON: u8 = 6;
    pub(super) const TIME: u8 = 7;
}

impl<'a> ValueRef<'a> {
    /// Reads type and payload.
    ///
    /// # Errors
    /// [`Malformed`]: the bytes end too early, or the type is none.
    #[inline]
    pub fn read(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        Ok(match cursor.u8()? {
            kind::FALSE => Self::Bool(false),
            kind::TRUE => Self::Bool(true),
            kind::I64 => Self::I64(cursor.i64()?),
            kind::F64 => Self::F64(f64::from_bits(cursor.u64()?)),
            kind::STR => Self::Str(cursor.text32()?),
            kind::BYTES => Self::Bytes(cursor.bytes32()?),
            kind::JSON => Self::Json(cursor.text32()?),
            kind::TIME => Self::Time(cursor.i64()?),
            other => {
                let offset = cursor.offset() - 1;
                return Err(Malformed { offset, fault: Fault::UnknownType(other) });
            }
        })
    }

    /// Writes type and payload to the end of `out`.
    ///
    /// # Errors
    /// [`TooLong`]; nothing is written then.
    #[inline]
    pub fn write(&self, out: &mut impl Append) -> Result<(), TooLong> {
        self.write_behind([], &[], out)
    }

    /// Writes type and payload behind a name and what stands before that, all at once.
    #[inline(always)]
    pub(crate) fn write_behind<const N: usize>(
        &self,
        head: [u8; N],
        name: &[u8],
        out: &mut impl Append,
    ) -> Result<(), TooLong> {
        let (kind, payload) = match self {
            Self::I64(number) => (kind::I64, number.to_le_bytes()),
            Self::F64(number) => (kind::F64, number.to_le_bytes()),
            Self::Time(ns) => (kind::TIME, ns.to_le_bytes()),
            Self::Bool(yes) => {
                out.append_parts(head, name, [u8::from(*yes)]);
                return Ok(());
            }
            Self::Str(text) => return sized(head, name, kind::STR, text.as_bytes(), out),
            Self::Bytes(bytes) => return sized(head, name, kind::BYTES, bytes, out),
            Self::Json(text) => return sized(head, name, kind::JSON, text.as_bytes(), out),
        };
        let mut tail = [kind; 9];
        tail[1..].copy_from_slice(&payload);
        out.append_parts(head, name, tail);
        Ok(())
    }
}

fn sized<const N: usize>(
    head: [u8; N],
    name: &[u8],
    kind: u8,
    bytes: &[u8],
    out: &mut impl Append,
) -> Result<(), TooLong> {
    let [a, b, c, d] = put_len32(bytes.len())?;
    out.append_parts(head, name, [kind, a, b, c, d]);
    out.append(bytes);
    Ok(())
}

impl From<bool> for ValueRef<'_> {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

macro_rules! from_numbers {
    ($variant:ident: $($number:ty),+) => {$(
        impl From<$number> for ValueRef<'_> {
            fn from(number: $number) -> Self {
                Self::$variant(number.into())
            }
        }
    )+};
}
from_numbers!(I64: i8, i16, i32, i64, u8, u16, u32);
from_numbers!(F64: f32, f64);

impl<'a> From<&'a str> for ValueRef<'a> {
    fn from(text: &'a str) -> Self {
        Self::Str(text.into())
    }
}

impl<'a> From<&'a [u8]> for ValueRef<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

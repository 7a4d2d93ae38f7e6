//! MESSAGE: what one device reported for one moment.
//!
//! `u8` length and device, `i64` time, `u16` count and tags (`u8` length and name, `u16` length and
//! value), `u16` count and values (`u8` length and name, `u8` type, payload).

use alloc::vec::Vec;

use crate::cursor::{Cursor, Fault, Malformed, Text, TooLong};
use crate::limits::{COUNT_MAX, NAME_BYTES_MAX, TAG_VALUE_BYTES_MAX};
use crate::output::tag;
use crate::{Append, NO_TIME, ValueRef};

/// Reads one message: first its tags, then its values.
#[derive(Debug, Clone)]
pub struct MessageReader<'a> {
    cursor: Cursor<'a>,
    device: Text<'a>,
    ts_ns: i64,
    tags_left: u16,
    values_left: Option<u16>,
}

impl<'a> MessageReader<'a> {
    /// Reads device and time from the body of a section.
    ///
    /// # Errors
    /// [`Fault::Truncated`].
    #[inline]
    pub fn read(mut cursor: Cursor<'a>) -> Result<Self, Malformed> {
        let device = cursor.text8()?;
        let ts_ns = cursor.i64()?;
        let tags_left = cursor.u16()?;
        Ok(Self { cursor, device, ts_ns, tags_left, values_left: None })
    }

    /// Reads a body that stands alone, as in the input of `on_msg`.
    ///
    /// # Errors
    /// [`Fault::Truncated`].
    pub fn from_body(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::read(Cursor::new(bytes))
    }

    /// Whose it is; empty: the source's own device.
    #[must_use]
    #[inline]
    pub const fn device(&self) -> Text<'a> {
        self.device
    }

    /// The device's own time, nanoseconds since 1970.
    #[must_use]
    #[inline]
    pub const fn ts_ns(&self) -> Option<i64> {
        if self.ts_ns == NO_TIME { None } else { Some(self.ts_ns) }
    }

    /// Tags not yet read.
    #[must_use]
    #[inline]
    pub const fn tags_left(&self) -> usize {
        self.tags_left as usize
    }

    /// The next tag, name and value; `None` behind the last.
    ///
    /// # Errors
    /// [`Malformed`].
    #[inline]
    pub fn next_tag(&mut self) -> Result<Option<(Text<'a>, Text<'a>)>, Malformed> {
        let Some(left) = self.tags_left.checked_sub(1) else { return Ok(None) };
        self.tags_left = left;
        Ok(Some((name(&mut self.cursor)?, self.cursor.text16()?)))
    }

    /// The values not yet read. Passes over tags not yet read.
    ///
    /// # Errors
    /// [`Malformed`].
    #[inline]
    pub fn values(mut self) -> Result<Values<'a>, Malformed> {
        let left = match self.values_left {
            Some(left) => left,
            None => {
                while self.next_tag()?.is_some() {}
                self.cursor.u16()?
            }
        };
        Ok(Values { cursor: self.cursor, left })
    }

    /// The next value and its name; `None` behind the last. Passes over tags not yet read.
    ///
    /// # Errors
    /// [`Malformed`]; also when bytes follow the last value.
    pub fn next_value(&mut self) -> Result<Option<(Text<'a>, ValueRef<'a>)>, Malformed> {
        let mut values = self.clone().values()?;
        let value = values.next_value()?;
        self.tags_left = 0;
        self.values_left = Some(values.left);
        self.cursor = values.cursor;
        Ok(value)
    }
}

/// Reads the values of one message.
#[derive(Debug, Clone)]
pub struct Values<'a> {
    cursor: Cursor<'a>,
    left: u16,
}

impl<'a> Values<'a> {
    /// Values not yet read.
    #[must_use]
    #[inline]
    pub const fn left(&self) -> usize {
        self.left as usize
    }

    /// The next value and its name; `None` behind the last.
    ///
    /// # Errors
    /// [`Malformed`]; also when bytes follow the last value.
    #[inline]
    pub fn next_value(&mut self) -> Result<Option<(Text<'a>, ValueRef<'a>)>, Malformed> {
        match self.next_name()? {
            Some(name) => Ok(Some((name, self.value()?))),
            None => Ok(None),
        }
    }

    /// The name of the next value, which [`Values::value`] has to be asked for next; `None` behind
    /// the last.
    ///
    /// # Errors
    /// [`Malformed`]; also when bytes follow the last value.
    #[inline]
    pub fn next_name(&mut self) -> Result<Option<Text<'a>>, Malformed> {
        let Some(left) = self.left.checked_sub(1) else {
            self.cursor.finish()?;
            return Ok(None);
        };
        self.left = left;
        name(&mut self.cursor).map(Some)
    }

    /// The value whose name was read last.
    ///
    /// # Errors
    /// [`Malformed`].
    #[inline]
    pub fn value(&mut self) -> Result<ValueRef<'a>, Malformed> {
        ValueRef::read(&mut self.cursor)
    }
}

#[inline]
fn name<'a>(cursor: &mut Cursor<'a>) -> Result<Text<'a>, Malformed> {
    let name = cursor.text8()?;
    if name.is_empty() {
        return Err(Malformed { offset: name.offset() - 1, fault: Fault::EmptyName });
    }
    Ok(name)
}

/// Writes one message to the end of a buffer. Its lengths and counts are right at every moment
/// after which it is dropped.
#[derive(Debug)]
pub struct MessageWriter<'o, B: Append = Vec<u8>> {
    out: &'o mut B,
    /// Where the section's length stands; `None` for a body that stands alone.
    len_at: Option<usize>,
    tags_at: usize,
    tags: u16,
    /// Where the values' count stands, once values have begun.
    values_at: Option<usize>,
    values: u16,
}

impl<'o, B: Append> MessageWriter<'o, B> {
    /// Begins a body that stands alone, as in the input of `on_msg`. An empty device is the
    /// source's own.
    ///
    /// # Errors
    /// [`TooLong`]: the device has more than 255 bytes; nothing is written then.
    pub fn body(out: &'o mut B, device: &str, ts_ns: Option<i64>) -> Result<Self, TooLong> {
        Self::begin(out, None, device, ts_ns)
    }

    /// Begins a whole section.
    #[inline]
    pub(crate) fn section(
        out: &'o mut B,
        device: &str,
        ts_ns: Option<i64>,
    ) -> Result<Self, TooLong> {
        let start = out.len();
        Self::begin(out, Some(start + 1), device, ts_ns)
    }

    #[inline]
    fn begin(
        out: &'o mut B,
        len_at: Option<usize>,
        device: &str,
        ts_ns: Option<i64>,
    ) -> Result<Self, TooLong> {
        let device_len = name_len("device", device)?;
        // the time, and no tags as yet
        let mut tail = [0; 10];
        tail[..8].copy_from_slice(&ts_ns.unwrap_or(NO_TIME).to_le_bytes());
        match len_at {
            Some(_) => {
                let head = [tag::MESSAGE, 0, 0, 0, 0, device_len];
                out.append_parts(head, device.as_bytes(), tail);
            }
            None => out.append_parts([device_len], device.as_bytes(), tail),
        }
        let tags_at = out.len() - 2;
        Ok(Self { out, len_at, tags_at, tags: 0, values_at: None, values: 0 })
    }

    /// Adds a tag. Tags come before values.
    ///
    /// # Errors
    /// [`TooLong`], also when values have begun; nothing is written then.
    pub fn tag(&mut self, name: &str, value: &str) -> Result<&mut Self, TooLong> {
        let room = if self.values_at.is_some() { 0 } else { COUNT_MAX };
        check("tags", usize::from(self.tags) + 1, room)?;
        check("a tag's value", value.len(), TAG_VALUE_BYTES_MAX)?;
        let len = named("a tag's name", name)?;
        #[allow(clippy::cast_possible_truncation)] // checked above
        self.out.append_parts([len], name.as_bytes(), (value.len() as u16).to_le_bytes());
        self.out.append(value.as_bytes());
        self.tags += 1;
        Ok(self)
    }

    /// Adds a value.
    ///
    /// # Errors
    /// [`TooLong`]: an empty name or one of more than 255 bytes, or more than 65 535 values;
    /// nothing is written then.
    #[inline]
    pub fn value<'v>(
        &mut self,
        name: &str,
        value: impl Into<ValueRef<'v>>,
    ) -> Result<&mut Self, TooLong> {
        check("values", usize::from(self.values) + 1, COUNT_MAX)?;
        if self.values_at.is_none() {
            self.values_at = Some(self.out.len());
            self.out.append_array([0; 2]);
        }
        let len = named("a value's name", name)?;
        value.into().write_behind([len], name.as_bytes(), self.out)?;
        self.values += 1;
        Ok(self)
    }

    /// Values written so far.
    #[must_use]
    pub const fn values(&self) -> u16 {
        self.values
    }
}

impl<B: Append> Drop for MessageWriter<'_, B> {
    #[inline]
    fn drop(&mut self) {
        let at = match self.values_at {
            Some(at) => at,
            None => {
                self.out.append_array([0; 2]);
                self.out.len() - 2
            }
        };
        self.out.patch(at, &self.values.to_le_bytes());
        if self.tags > 0 {
            self.out.patch(self.tags_at, &self.tags.to_le_bytes());
        }
        if let Some(at) = self.len_at {
            // 65 535 tags and as many values of 4 GiB do not fit a memory of 4 GiB: on a host with
            // more, a section beyond u32 is written as one that reads as truncated.
            let len = u32::try_from(self.out.len() - at - 4).unwrap_or(u32::MAX);
            self.out.patch(at, &len.to_le_bytes());
        }
    }
}

const fn check(what: &'static str, len: usize, max: usize) -> Result<(), TooLong> {
    if len > max { Err(TooLong { what, len, max }) } else { Ok(()) }
}

/// The length of a name, as it is written.
#[inline]
fn name_len(what: &'static str, name: &str) -> Result<u8, TooLong> {
    u8::try_from(name.len()).map_err(|_| TooLong { what, len: name.len(), max: NAME_BYTES_MAX })
}

/// The length of a name that must not be empty.
#[inline]
fn named(what: &'static str, name: &str) -> Result<u8, TooLong> {
    match name_len(what, name)? {
        0 => Err(TooLong { what: "an empty name", len: 0, max: NAME_BYTES_MAX }),
        len => Ok(len),
    }
}

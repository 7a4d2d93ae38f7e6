//! Tags: clause 20.2.1.

use flux_plugin_sdk::PluginError;

use crate::malformed;

/// What a tag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Of one of the standard's types of value; the number is the type.
    Application,
    /// Of one of a service's parameters; the number is which.
    Context,
    /// Before what a parameter is made of.
    Opening,
    /// Behind it.
    Closing,
}

/// A tag and its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag<'a> {
    pub(crate) class: Class,
    pub(crate) number: u8,
    /// The length, or an application-tagged boolean's value (20.2.3).
    pub(crate) length: u32,
    pub(crate) content: &'a [u8],
    /// Where it begins.
    pub(crate) at: usize,
}

/// Application type of booleans, whose value stands in place of the length.
pub(crate) const BOOLEAN: u8 = 1;

/// Reads tags, one after the other. Copied, it looks ahead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tags<'a> {
    bytes: &'a [u8],
    /// Where `bytes` begin.
    at: usize,
}

impl<'a> Tags<'a> {
    pub(crate) const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        self.at += len;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// The next tag.
    ///
    /// # Errors
    /// `bacnet.malformed`: there is none, or the bytes end within it.
    pub(crate) fn next(&mut self) -> Result<Tag<'a>, PluginError> {
        let at = self.at;
        self.read()
            .ok_or_else(|| malformed(at, "the frame ends where a tag is expected, or within it"))
    }

    fn read(&mut self) -> Option<Tag<'a>> {
        let at = self.at;
        let first = self.byte()?;
        let number = match first >> 4 {
            0x0f => self.byte()?,
            number => number,
        };
        let context = first & 0x08 != 0;
        let (class, length) = match (first & 0x07, context) {
            (6, true) => (Class::Opening, 0),
            (7, true) => (Class::Closing, 0),
            // Neither is defined for application tags.
            (6 | 7, false) => return None,
            (5, _) => (if context { Class::Context } else { Class::Application }, self.length()?),
            (length, true) => (Class::Context, u32::from(length)),
            (length, false) => (Class::Application, u32::from(length)),
        };
        let is_boolean = class == Class::Application && number == BOOLEAN;
        let content = if is_boolean { &[] } else { self.take(usize::try_from(length).ok()?)? };
        Some(Tag { class, number, length, content, at })
    }

    /// A length that does not fit the tag's octet (20.2.1.3.1).
    fn length(&mut self) -> Option<u32> {
        match self.byte()? {
            254 => Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?).into()),
            255 => Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?)),
            length => Some(length.into()),
        }
    }

    /// The content of the parameter of this number, which must be next.
    ///
    /// # Errors
    /// `bacnet.malformed`.
    pub(crate) fn context(&mut self, number: u8) -> Result<&'a [u8], PluginError> {
        let at = self.at;
        let missing = || malformed(at, format_args!("parameter [{number}] is expected"));
        self.optional_context(number)?.ok_or_else(missing)
    }

    /// The content of the parameter of this number, if it is next.
    ///
    /// # Errors
    /// `bacnet.malformed`.
    pub(crate) fn optional_context(&mut self, number: u8) -> Result<Option<&'a [u8]>, PluginError> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut ahead = *self;
        let tag = ahead.next()?;
        if (tag.class, tag.number) != (Class::Context, number) {
            return Ok(None);
        }
        *self = ahead;
        Ok(Some(tag.content))
    }

    /// Whether what is next is this opening or closing tag; if so, it is passed.
    ///
    /// # Errors
    /// `bacnet.malformed`.
    pub(crate) fn passes(&mut self, class: Class, number: u8) -> Result<bool, PluginError> {
        if self.is_empty() {
            return Ok(false);
        }
        let mut ahead = *self;
        let tag = ahead.next()?;
        let found = (tag.class, tag.number) == (class, number);
        if found {
            *self = ahead;
        }
        Ok(found)
    }

    /// Passes this opening or closing tag, which must be next.
    ///
    /// # Errors
    /// `bacnet.malformed`.
    pub(crate) fn pass(&mut self, class: Class, number: u8) -> Result<(), PluginError> {
        let at = self.at;
        if self.passes(class, number)? {
            return Ok(());
        }
        let which = if class == Class::Opening { "opening" } else { "closing" };
        Err(malformed(at, format_args!("the {which} tag [{number}] is expected")))
    }
}

/// An unsigned number, most significant byte first (20.2.4).
///
/// # Errors
/// `bacnet.malformed`: no byte at all, or more than eight.
pub(crate) fn unsigned(content: &[u8], at: usize) -> Result<u64, PluginError> {
    if !(1..=8).contains(&content.len()) {
        return Err(malformed(at, "a number has one to eight bytes"));
    }
    Ok(content.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// An unsigned number that stands for something there are few of.
///
/// # Errors
/// `bacnet.malformed`.
pub(crate) fn small(content: &[u8], at: usize) -> Result<u32, PluginError> {
    unsigned(content, at)?.try_into().map_err(|_| malformed(at, "the number is too large"))
}

/// Writes a tag, application or context, and its content of at most 253 bytes.
pub(crate) fn write(out: &mut Vec<u8>, class: Class, number: u8, content: &[u8]) {
    let context = if class == Class::Application { 0x00 } else { 0x08 };
    match u8::try_from(content.len()) {
        Ok(length @ 0..=4) => out.push(number << 4 | context | length),
        length => out.extend_from_slice(&[number << 4 | context | 5, length.unwrap_or(u8::MAX)]),
    }
    out.extend_from_slice(content);
}

/// Writes an opening or closing tag.
pub(crate) fn write_bracket(out: &mut Vec<u8>, class: Class, number: u8) {
    out.push(number << 4 | if class == Class::Opening { 0x0e } else { 0x0f });
}

/// As few bytes as hold it (20.2.4).
pub(crate) fn unsigned_bytes(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(7);
    bytes[first..].to_vec()
}

//! What a call answers: sections behind one another.

use alloc::vec::Vec;

use crate::cursor::{Cursor, Fault, Malformed, Text, TooLong, put_len32};
use crate::{Append, EffectKind, MessageReader, MessageWriter};

/// First byte of the compact binary form.
pub const FORM_BINARY: u8 = 0x01;

pub(crate) mod tag {
    pub(crate) const MESSAGE: u8 = 0x01;
    pub(crate) const STATE: u8 = 0x02;
    pub(crate) const EFFECT: u8 = 0x03;
    pub(crate) const ERROR: u8 = 0x04;
    pub(crate) const FRAME: u8 = 0x05;
    pub(crate) const ITEM: u8 = 0x06;
    /// Tags with this bit are passed over by who does not know them.
    pub(crate) const OPTIONAL: u8 = 0x80;
}

/// One section of an output.
#[derive(Debug, Clone)]
pub enum Section<'a> {
    /// 0x01: what a device reported.
    Message(MessageReader<'a>),
    /// 0x02: the source's new state in place of the old; empty forgets it.
    State(&'a [u8]),
    /// 0x03: something the host is asked to do.
    Effect {
        /// What.
        kind: EffectKind,
        /// A JSON object with the fields of the same action in rules.
        json: Text<'a>,
    },
    /// 0x04: the call failed, with the plugin's own reason.
    Error {
        /// For programs: short, stable, dotted.
        code: Text<'a>,
        /// For people.
        text: Text<'a>,
    },
    /// 0x05: bytes to send, of an `encode`.
    Frame(&'a [u8]),
    /// 0x06: what follows belongs to the input of this number, from 0, of a `decode_batch`.
    Item(u32),
}

/// Reads the compact binary form.
#[derive(Debug, Clone)]
pub struct Sections<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Sections<'a> {
    /// Begins behind the form's byte.
    ///
    /// # Errors
    /// [`Fault::UnknownForm`], [`Fault::Truncated`] for no bytes at all.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(bytes);
        match cursor.u8()? {
            FORM_BINARY => Ok(Self { cursor }),
            other => Err(Malformed { offset: 0, fault: Fault::UnknownForm(other) }),
        }
    }

    /// The next section; `None` at the end. Sections of unknown optional tags are passed over.
    ///
    /// # Errors
    /// [`Malformed`]. There is no going on behind it.
    #[inline]
    pub fn next_section(&mut self) -> Result<Option<Section<'a>>, Malformed> {
        loop {
            if self.cursor.is_empty() {
                return Ok(None);
            }
            let at = self.cursor.offset();
            let tag = self.cursor.u8()?;
            let len = self.cursor.len32()?;
            let mut body = self.cursor.split(len)?;
            let section = match tag {
                tag::MESSAGE => return MessageReader::read(body).map(Section::Message).map(Some),
                tag::ITEM => Section::Item(body.u32()?),
                _ => match other_section(tag, at, &mut body)? {
                    Some(section) => section,
                    None => continue,
                },
            };
            body.finish()?;
            return Ok(Some(section));
        }
    }
}

/// A section that is seldom; `None` when it may be passed over.
#[inline(never)]
fn other_section<'a>(
    tag: u8,
    at: usize,
    body: &mut Cursor<'a>,
) -> Result<Option<Section<'a>>, Malformed> {
    let section = match tag {
        tag::STATE => Section::State(body.rest()),
        tag::FRAME => Section::Frame(body.rest()),
        tag::ERROR => Section::Error { code: body.text16()?, text: body.text32()? },
        tag::EFFECT => {
            let at = body.offset();
            let number = body.u8()?;
            let fault = Malformed { offset: at, fault: Fault::UnknownEffect(number) };
            let kind = EffectKind::from_u8(number).ok_or(fault)?;
            Section::Effect { kind, json: body.text32()? }
        }
        tag if tag & tag::OPTIONAL != 0 => return Ok(None),
        tag => return Err(Malformed { offset: at, fault: Fault::UnknownTag(tag) }),
    };
    Ok(Some(section))
}

/// Writes the compact binary form.
#[derive(Debug)]
pub struct OutputWriter<'o, B: Append = Vec<u8>> {
    out: &'o mut B,
}

impl<'o, B: Append> OutputWriter<'o, B> {
    /// Empties `out`, keeping its room, and begins an output in it.
    pub fn new(out: &'o mut B) -> Self {
        out.truncate(0);
        out.append_array([FORM_BINARY]);
        Self { out }
    }

    /// Begins a message. An empty device is the source's own.
    ///
    /// # Errors
    /// [`TooLong`]: the device has more than 255 bytes; nothing is written then.
    #[inline]
    pub fn message(
        &mut self,
        device: &str,
        ts_ns: Option<i64>,
    ) -> Result<MessageWriter<'_, B>, TooLong> {
        MessageWriter::section(self.out, device, ts_ns)
    }

    /// The source's new state; empty forgets it.
    ///
    /// # Errors
    /// [`TooLong`]; nothing is written then, here and below.
    pub fn state(&mut self, state: &[u8]) -> Result<(), TooLong> {
        section(self.out, tag::STATE, state)
    }

    /// Something the host is asked to do: a JSON object with the action's fields.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn effect(&mut self, kind: EffectKind, json: &str) -> Result<(), TooLong> {
        let json_len = put_len32(json.len())?;
        let len = put_len32(json.len().saturating_add(5))?;
        self.out.append_array([tag::EFFECT]);
        self.out.append_array(len);
        self.out.append_array([kind as u8]);
        self.out.append_array(json_len);
        self.out.append(json.as_bytes());
        Ok(())
    }

    /// The call failed: a short dotted code for programs, a sentence for people.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn error(&mut self, code: &str, text: &str) -> Result<(), TooLong> {
        let max = crate::limits::TAG_VALUE_BYTES_MAX;
        let too_long = TooLong { what: "an error's code", len: code.len(), max };
        let code_len = u16::try_from(code.len()).map_err(|_| too_long)?;
        let text_len = put_len32(text.len())?;
        let len = put_len32(code.len().saturating_add(text.len()).saturating_add(6))?;
        self.out.append_array([tag::ERROR]);
        self.out.append_array(len);
        self.out.append_array(code_len.to_le_bytes());
        self.out.append(code.as_bytes());
        self.out.append_array(text_len);
        self.out.append(text.as_bytes());
        Ok(())
    }

    /// Bytes to send.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn frame(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        section(self.out, tag::FRAME, bytes)
    }

    /// What follows belongs to that input of a batch, from 0.
    pub fn item(&mut self, index: u32) {
        let [a, b, c, d] = index.to_le_bytes();
        self.out.append_array([tag::ITEM, 4, 0, 0, 0, a, b, c, d]);
    }

    /// Whether nothing has been written: the call has no output.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.len() <= 1
    }
}

fn section(out: &mut impl Append, tag: u8, bytes: &[u8]) -> Result<(), TooLong> {
    let [a, b, c, d] = put_len32(bytes.len())?;
    out.append_array([tag, a, b, c, d]);
    out.append(bytes);
    Ok(())
}

//! What a call is told beside its input.

use alloc::vec::Vec;

use crate::cursor::{Cursor, Malformed, Text, TooLong, put_len32};

/// The settings of the use a call belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings<'a> {
    /// Changes whenever the settings change: what was parsed may be cached under it.
    pub id: u64,
    /// The settings, a JSON object; empty where there are none.
    pub json: Text<'a>,
}

/// What a call is told beside its input. Empty fields are not written, and read as empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context<'a> {
    /// 0x04: the settings of this use.
    pub settings: Settings<'a>,
    /// 0x01: who sent the input, one opaque word; state is kept for each.
    pub source: Text<'a>,
    /// 0x02: the topic, or the port, it came by.
    pub topic: Text<'a>,
    /// 0x07: the key of the source's own device.
    pub device: Text<'a>,
    /// 0x03: when the input reached the host, nanoseconds since 1970.
    pub received_ns: i64,
    /// 0x05: the request this input answers; `None` where nothing was asked.
    pub request: Option<&'a [u8]>,
    /// 0x06: the source's state, as the last call left it.
    pub state: &'a [u8],
    /// 0x08: JSON that belongs to the function: for `on_action` the firing.
    pub subject: Text<'a>,
}

mod tag {
    pub(super) const SOURCE: u8 = 0x01;
    pub(super) const TOPIC: u8 = 0x02;
    pub(super) const RECEIVED: u8 = 0x03;
    pub(super) const SETTINGS: u8 = 0x04;
    pub(super) const REQUEST: u8 = 0x05;
    pub(super) const STATE: u8 = 0x06;
    pub(super) const DEVICE: u8 = 0x07;
    pub(super) const SUBJECT: u8 = 0x08;
}

impl<'a> Context<'a> {
    /// Reads a context. Unknown sections are passed over; of two with one tag the last counts.
    ///
    /// # Errors
    /// [`Malformed`]: a section ends before what it announces.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(bytes);
        let mut context = Self::default();
        while !cursor.is_empty() {
            let tag = cursor.u8()?;
            let len = cursor.len32()?;
            let mut body = cursor.split(len)?;
            match tag {
                tag::SOURCE => context.source = body.rest_text(),
                tag::TOPIC => context.topic = body.rest_text(),
                tag::RECEIVED => context.received_ns = body.i64()?,
                tag::SETTINGS => {
                    context.settings = Settings { id: body.u64()?, json: body.rest_text() };
                }
                tag::REQUEST => context.request = Some(body.rest()),
                tag::STATE => context.state = body.rest(),
                tag::DEVICE => context.device = body.rest_text(),
                tag::SUBJECT => context.subject = body.rest_text(),
                _ => {}
            }
        }
        Ok(context)
    }

    /// Writes the whole context to the end of `out`: [`Context::write_settings`], then
    /// [`Context::write_call`].
    ///
    /// # Errors
    /// [`TooLong`]; `out` ends with what was written before.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.write_settings(out)?;
        self.write_call(out)
    }

    /// Writes the section that stays the same from call to call, and may be large.
    ///
    /// # Errors
    /// [`TooLong`]; nothing is written then.
    pub fn write_settings(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        if self.settings == Settings::default() {
            return Ok(());
        }
        let json = self.settings.json.as_bytes();
        let len = put_len32(json.len().saturating_add(8))?;
        out.push(tag::SETTINGS);
        out.extend_from_slice(&len);
        out.extend_from_slice(&self.settings.id.to_le_bytes());
        out.extend_from_slice(json);
        Ok(())
    }

    /// Writes everything but the settings.
    ///
    /// # Errors
    /// [`TooLong`]; `out` ends with what was written before.
    pub fn write_call(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put(out, tag::SOURCE, self.source.as_bytes())?;
        put(out, tag::TOPIC, self.topic.as_bytes())?;
        put(out, tag::DEVICE, self.device.as_bytes())?;
        section(out, tag::RECEIVED, &self.received_ns.to_le_bytes())?;
        if let Some(request) = self.request {
            section(out, tag::REQUEST, request)?;
        }
        put(out, tag::STATE, self.state)?;
        put(out, tag::SUBJECT, self.subject.as_bytes())
    }
}

/// A section, unless it is empty.
fn put(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) -> Result<(), TooLong> {
    if bytes.is_empty() { Ok(()) } else { section(out, tag, bytes) }
}

pub(crate) fn section(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) -> Result<(), TooLong> {
    let [a, b, c, d] = put_len32(bytes.len())?;
    out.extend_from_slice(&[tag, a, b, c, d]);
    out.extend_from_slice(bytes);
    Ok(())
}

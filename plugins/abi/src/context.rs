//! What a call is told beside its input.

use alloc::vec::Vec;

use crate::Append;
use crate::cursor::{Fault, Malformed, Text, TooLong, put_len32};

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
        let mut context = Self::default();
        let mut rest = bytes;
        // Read by hand: every call of a guest begins with it.
        while let Some((&[tag, a, b, c, d], behind)) = rest.split_first_chunk() {
            let at = bytes.len() - behind.len();
            let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            let Some((body, behind)) = behind.split_at_checked(len) else {
                return Err(truncated(at));
            };
            rest = behind;
            match tag {
                tag::SOURCE => context.source = Text::at(body, at),
                tag::TOPIC => context.topic = Text::at(body, at),
                tag::RECEIVED => context.received_ns = i64::from_le_bytes(number(body, at)?),
                tag::SETTINGS => {
                    let id = u64::from_le_bytes(number(body, at)?);
                    let json = Text::at(body.get(8..).unwrap_or_default(), at + 8);
                    context.settings = Settings { id, json };
                }
                tag::REQUEST => context.request = Some(body),
                tag::STATE => context.state = body,
                tag::DEVICE => context.device = Text::at(body, at),
                tag::SUBJECT => context.subject = Text::at(body, at),
                _ => {}
            }
        }
        if !rest.is_empty() {
            return Err(truncated(bytes.len() - rest.len()));
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

/// The eight bytes a section begins with.
#[inline]
fn number(body: &[u8], at: usize) -> Result<[u8; 8], Malformed> {
    body.first_chunk().copied().ok_or(truncated(at))
}

const fn truncated(offset: usize) -> Malformed {
    Malformed { offset, fault: Fault::Truncated }
}

/// A section, unless it is empty.
fn put(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) -> Result<(), TooLong> {
    if bytes.is_empty() { Ok(()) } else { section(out, tag, bytes) }
}

pub(crate) fn section(out: &mut impl Append, tag: u8, bytes: &[u8]) -> Result<(), TooLong> {
    let [a, b, c, d] = put_len32(bytes.len())?;
    out.append_array([tag, a, b, c, d]);
    out.append(bytes);
    Ok(())
}

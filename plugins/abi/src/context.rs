//! What a call is told beside its input.

use alloc::vec::Vec;

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

    /// Writes the whole context to the end of `out`.
    ///
    /// # Errors
    /// [`TooLong`]; nothing is written then.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let start = out.len();
        let (settings, call) = (self.settings_len(), self.call_len());
        put_len32(settings.max(call))?;
        out.resize(start + settings + call, 0);
        let (settings, call) = out[start..].split_at_mut(settings);
        self.fill_settings(settings);
        self.fill_call(call);
        Ok(())
    }

    /// Bytes of the settings' section, which stays the same from call to call and may be large.
    #[must_use]
    #[inline]
    pub const fn settings_len(&self) -> usize {
        match (self.settings.id, self.settings.json.as_bytes().len()) {
            (0, 0) => 0,
            (_, len) => HEAD + 8 + len,
        }
    }

    /// Bytes of all sections but the settings'.
    #[must_use]
    #[inline]
    pub fn call_len(&self) -> usize {
        let texts = [self.source, self.topic, self.device, self.subject];
        let texts = texts.map(|text| len_of(text.as_bytes())).iter().sum::<usize>();
        let request = self.request.map_or(0, |request| HEAD + request.len());
        texts + request + len_of(self.state) + HEAD + 8
    }

    /// Writes the settings' section to the beginning of `room`, as far as it fits:
    /// [`Context::settings_len`] bytes, each length below 2^32.
    pub fn fill_settings(&self, room: &mut [u8]) {
        if self.settings_len() > 0 {
            let json = self.settings.json.as_bytes();
            let room = put_head(room, tag::SETTINGS, 8 + json.len());
            put(put(room, &self.settings.id.to_le_bytes()), json);
        }
    }

    /// Writes all sections but the settings' to the beginning of `room`, as far as they fit:
    /// [`Context::call_len`] bytes, each length below 2^32.
    #[inline]
    pub fn fill_call(&self, room: &mut [u8]) {
        let room = put_text(room, tag::SOURCE, self.source);
        let room = put_text(room, tag::TOPIC, self.topic);
        let room = put_text(room, tag::DEVICE, self.device);
        let room = put(put_head(room, tag::RECEIVED, 8), &self.received_ns.to_le_bytes());
        let room = match self.request {
            Some(request) => put(put_head(room, tag::REQUEST, request.len()), request),
            None => room,
        };
        let room = put_unless_empty(room, tag::STATE, self.state);
        put_text(room, tag::SUBJECT, self.subject);
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

/// Bytes of tag and length.
const HEAD: usize = 5;

/// Bytes of a section that is left out when it is empty.
#[inline]
const fn len_of(bytes: &[u8]) -> usize {
    if bytes.is_empty() { 0 } else { HEAD + bytes.len() }
}

#[inline]
fn put_head(room: &mut [u8], tag: u8, len: usize) -> &mut [u8] {
    #[allow(clippy::cast_possible_truncation)] // callers see to it
    let [a, b, c, d] = (len as u32).to_le_bytes();
    put(room, &[tag, a, b, c, d])
}

#[inline]
fn put_text<'r>(room: &'r mut [u8], tag: u8, text: Text<'_>) -> &'r mut [u8] {
    put_unless_empty(room, tag, text.as_bytes())
}

#[inline]
fn put_unless_empty<'r>(room: &'r mut [u8], tag: u8, bytes: &[u8]) -> &'r mut [u8] {
    if bytes.is_empty() { room } else { put(put_head(room, tag, bytes.len()), bytes) }
}

/// Writes bytes if they fit; what is left.
#[inline]
fn put<'r>(room: &'r mut [u8], bytes: &[u8]) -> &'r mut [u8] {
    match room.split_at_mut_checked(bytes.len()) {
        Some((place, rest)) => {
            place.copy_from_slice(bytes);
            rest
        }
        None => &mut [],
    }
}

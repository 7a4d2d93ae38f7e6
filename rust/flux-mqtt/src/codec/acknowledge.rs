//! CONNACK, the four acknowledgements of PUBLISH, DISCONNECT and AUTH
//! (sections 3.2, 3.4 to 3.7, 3.14, 3.15).

use bytes::{BufMut, BytesMut};

use super::property::{Place, Properties, Property};
use super::wire::{Reader, put_header};
use super::{PacketId, Reason, Version};
use crate::error::{Error, malformed, protocol};

/// The answer to CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connack<'a> {
    /// Whether the server still has the client's session.
    pub session_present: bool,
    /// The reason code in 5.0, the return code in 3.1.1.
    pub code: u8,
    /// Empty in 3.1.1.
    pub properties: Properties<'a>,
}

impl<'a> Connack<'a> {
    pub(super) fn read(version: Version, body: &mut Reader<'a>) -> Result<Self, Error> {
        let flags = body.u8()?;
        if flags > 1 {
            return Err(malformed("MQTT-3.2.2-1", "reserved acknowledge flags are set"));
        }
        let code = body.u8()?;
        let (known, properties) = match version {
            Version::V5 => (Reason(code).answers_connect(), Properties::read(body, Place(2))?),
            Version::V311 => (code <= 5, Properties::default()),
        };
        if !known {
            return Err(malformed("MQTT-3.2.2-8", "a reason code that CONNACK does not have"));
        }
        if flags == 1 && code != 0 {
            return Err(protocol("MQTT-3.2.2-6", "a session present in a refusal"));
        }
        body.end()?;
        Ok(Self { session_present: flags == 1, code, properties })
    }

    pub(super) fn write(&self, version: Version, out: &mut BytesMut) -> Result<(), Error> {
        let v5 = version == Version::V5;
        put_header(out, 0x20, 2 + if v5 { self.properties.encoded_len() } else { 0 })?;
        out.put_slice(&[u8::from(self.session_present), self.code]);
        if v5 {
            self.properties.write(out);
        }
        Ok(())
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack<'a> {
    /// What it answers.
    pub packet_id: PacketId,
    /// Always success in 3.1.1.
    pub reason: Reason,
    /// Empty in 3.1.1.
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    /// An acknowledgement without properties.
    #[must_use]
    pub fn new(packet_id: PacketId, reason: Reason) -> Self {
        Self { packet_id, reason, properties: Properties::default() }
    }

    #[inline]
    pub(super) fn read(
        version: Version,
        kind: u8,
        body: &mut Reader<'a>,
        known: impl FnOnce(Reason) -> bool,
    ) -> Result<Self, Error> {
        let packet_id = body.packet_id()?;
        let mut ack = Self::new(packet_id, Reason::SUCCESS);
        if version == Version::V5 {
            (ack.reason, ack.properties) = reason_and_properties(kind, body, known)?;
        }
        body.end()?;
        Ok(ack)
    }

    pub(super) fn write(
        &self,
        version: Version,
        first: u8,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        let tail = match version {
            Version::V5 => tail_len(self.reason, &self.properties),
            Version::V311 => 0,
        };
        put_header(out, first, 2 + tail)?;
        out.put_u16(self.packet_id.get());
        put_tail(tail, self.reason, &self.properties, out);
        Ok(())
    }
}

/// Reason code and properties, both of which may be left out at the end of a packet.
fn reason_and_properties<'a>(
    kind: u8,
    body: &mut Reader<'a>,
    known: impl FnOnce(Reason) -> bool,
) -> Result<(Reason, Properties<'a>), Error> {
    if body.is_empty() {
        return Ok((Reason::SUCCESS, Properties::default()));
    }
    let reason = Reason(body.u8()?);
    if !known(reason) {
        return Err(malformed("section 2.4", "a reason code that this packet does not have"));
    }
    if body.is_empty() {
        return Ok((reason, Properties::default()));
    }
    Ok((reason, Properties::read(body, Place(kind))?))
}

fn tail_len(reason: Reason, properties: &Properties<'_>) -> usize {
    match (reason, properties.is_empty()) {
        (Reason::SUCCESS, true) => 0,
        (_, true) => 1,
        (_, false) => 1 + properties.encoded_len(),
    }
}

fn put_tail(len: usize, reason: Reason, properties: &Properties<'_>, out: &mut BytesMut) {
    if len > 0 {
        out.put_u8(reason.0);
    }
    if len > 1 {
        properties.write(out);
    }
}

/// The last packet of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Always success in 3.1.1.
    pub reason: Reason,
    /// Empty in 3.1.1.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    pub(super) fn read(version: Version, body: &mut Reader<'a>) -> Result<Self, Error> {
        let (reason, properties) = match version {
            Version::V5 => reason_and_properties(14, body, Reason::ends_connection)?,
            Version::V311 => (Reason::SUCCESS, Properties::default()),
        };
        body.end()?;
        Ok(Self { reason, properties })
    }

    pub(super) fn write(&self, version: Version, out: &mut BytesMut) -> Result<(), Error> {
        let tail = match version {
            Version::V5 => tail_len(self.reason, &self.properties),
            Version::V311 => 0,
        };
        put_header(out, 0xE0, tail)?;
        put_tail(tail, self.reason, &self.properties, out);
        Ok(())
    }
}

/// A step of extended authentication (5.0 only).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, continue or re-authenticate.
    pub reason: Reason,
    /// The method and its data.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    pub(super) fn read(body: &mut Reader<'a>) -> Result<Self, Error> {
        let (reason, properties) = reason_and_properties(15, body, Reason::authenticates)?;
        body.end()?;
        let named = properties.iter().any(|p| matches!(p, Property::AuthenticationMethod(_)));
        if !properties.is_empty() && !named {
            return Err(protocol("section 3.15.2.2.2", "an AUTH without its method"));
        }
        Ok(Self { reason, properties })
    }

    pub(super) fn write(&self, out: &mut BytesMut) -> Result<(), Error> {
        let tail = tail_len(self.reason, &self.properties);
        put_header(out, 0xF0, tail)?;
        put_tail(tail, self.reason, &self.properties, out);
        Ok(())
    }
}

//! Framing, and the one enum of all packets.

use bytes::BytesMut;

use super::acknowledge::{Ack, Auth, Connack, Disconnect};
use super::connect::Connect;
use super::publish::Publish;
use super::subscribe::{Suback, Subscribe, Unsuback, Unsubscribe};
use super::wire::{self, Reader, put_header};
use super::{Reason, Version};
use crate::error::{Error, malformed};

/// One whole packet, not yet looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Packet type and flags.
    pub first: u8,
    /// Variable header and payload.
    pub body: &'a [u8],
    /// Bytes on the wire, the fixed header included.
    pub len: usize,
}

/// Cuts the first packet off `input`; `None` when it is not there as a whole yet.
///
/// # Errors
/// A length that is malformed, a reserved packet type, wrong fixed-header flags, or a packet of
/// more than `packet_bytes_max` bytes: told from the header alone, before its body is awaited.
#[inline]
pub fn frame(input: &[u8], packet_bytes_max: usize) -> Result<Option<Frame<'_>>, Error> {
    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
    check_flags(first)?;
    let Some((remaining, digits)) = wire::varint(rest)? else { return Ok(None) };
    let header = 1 + digits;
    let len = header + remaining as usize;
    if len > packet_bytes_max {
        return Err(Error::PacketTooLarge { len, max: packet_bytes_max });
    }
    Ok(input.get(header..len).map(|body| Frame { first, body, len }))
}

fn check_flags(first: u8) -> Result<(), Error> {
    let flags = first & 0x0F;
    match first >> 4 {
        0 => Err(malformed("section 2.1.2", "packet type 0 is reserved")),
        3 => Ok(()),
        6 | 8 | 10 if flags == 2 => Ok(()),
        1 | 2 | 4 | 5 | 7 | 9 | 11..=15 if flags == 0 => Ok(()),
        _ => Err(malformed("MQTT-2.1.3-1", "reserved flags of the fixed header are set")),
    }
}

/// A packet of either version, borrowing from the read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each variant is documented at its type
pub enum Packet<'a> {
    Connect(Connect<'a>),
    Connack(Connack<'a>),
    Publish(Publish<'a>),
    Puback(Ack<'a>),
    Pubrec(Ack<'a>),
    Pubrel(Ack<'a>),
    Pubcomp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    Suback(Suback<'a>),
    Unsubscribe(Unsubscribe<'a>),
    Unsuback(Unsuback<'a>),
    /// No fields (section 3.12).
    Pingreq,
    /// No fields (section 3.13).
    Pingresp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Looks into a frame. `version` is what CONNECT agreed on; CONNECT itself brings its own.
    ///
    /// # Errors
    /// What the standard calls malformed or a protocol error within one packet.
    #[inline]
    pub fn decode(version: Version, frame: &Frame<'a>) -> Result<Self, Error> {
        let mut body = Reader::new(frame.body);
        let body = &mut body;
        let kind = frame.first >> 4;
        Ok(match kind {
            1 => Self::Connect(Connect::read(body)?),
            2 => Self::Connack(Connack::read(version, body)?),
            3 => Self::Publish(Publish::read(version, frame.first & 0x0F, body)?),
            4 => Self::Puback(Ack::read(version, kind, body, Reason::answers_publish)?),
            5 => Self::Pubrec(Ack::read(version, kind, body, Reason::answers_publish)?),
            6 => Self::Pubrel(Ack::read(version, kind, body, Reason::answers_release)?),
            7 => Self::Pubcomp(Ack::read(version, kind, body, Reason::answers_release)?),
            8 => Self::Subscribe(Subscribe::read(version, body)?),
            9 => Self::Suback(Suback::read(version, body)?),
            10 => Self::Unsubscribe(Unsubscribe::read(version, body)?),
            11 => Self::Unsuback(Unsuback::read(version, body)?),
            12 => body.end().map(|()| Self::Pingreq)?,
            13 => body.end().map(|()| Self::Pingresp)?,
            14 => Self::Disconnect(Disconnect::read(version, body)?),
            15 if version == Version::V5 => Self::Auth(Auth::read(body)?),
            _ => return Err(malformed("section 2.1.2", "a packet type that is reserved")),
        })
    }

    /// Writes the packet.
    ///
    /// # Errors
    /// A field longer than its length can say; `out` is as before then.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), Error> {
        let before = out.len();
        self.write(version, out).inspect_err(|_| out.truncate(before))
    }

    fn write(&self, version: Version, out: &mut BytesMut) -> Result<(), Error> {
        match self {
            Self::Connect(packet) => packet.write(out),
            Self::Connack(packet) => packet.write(version, out),
            Self::Publish(packet) => packet.write(version, out),
            Self::Puback(packet) => packet.write(version, 0x40, out),
            Self::Pubrec(packet) => packet.write(version, 0x50, out),
            Self::Pubrel(packet) => packet.write(version, 0x62, out),
            Self::Pubcomp(packet) => packet.write(version, 0x70, out),
            Self::Subscribe(packet) => packet.write(version, out),
            Self::Suback(packet) => packet.write(version, out),
            Self::Unsubscribe(packet) => packet.write(version, out),
            Self::Unsuback(packet) => packet.write(version, out),
            Self::Pingreq => put_header(out, 0xC0, 0),
            Self::Pingresp => put_header(out, 0xD0, 0),
            Self::Disconnect(packet) => packet.write(version, out),
            Self::Auth(packet) => packet.write(out),
        }
    }
}

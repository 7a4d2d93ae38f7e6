//! PUBLISH as it is read (section 3.3).

use bytes::{BufMut, BytesMut};
use flux_types::Qos;

use super::property::{Place, Properties};
use super::wire::{Reader, put_binary, put_header};
use super::{PacketId, Version};
use crate::error::{Error, malformed};

/// A message on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Sent before, and perhaps received.
    pub dup: bool,
    /// The promise.
    pub qos: Qos,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Empty where a topic alias stands for it; not yet checked as a topic.
    pub topic: &'a str,
    /// There if and only if the QoS is not 0 [MQTT-2.2.1-2].
    pub packet_id: Option<PacketId>,
    /// Empty in 3.1.1.
    pub properties: Properties<'a>,
    /// The bytes.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    #[inline]
    pub(super) fn read(version: Version, flags: u8, body: &mut Reader<'a>) -> Result<Self, Error> {
        let dup = flags & 0x08 != 0;
        let qos = Qos::try_from((flags >> 1) & 3)
            .map_err(|_| malformed("MQTT-3.3.1-4", "a PUBLISH with QoS 3"))?;
        if dup && qos == Qos::AtMostOnce {
            return Err(malformed("MQTT-3.3.1-2", "a PUBLISH with DUP and QoS 0"));
        }
        let topic = body.string()?;
        let packet_id = if qos.is_promised() { Some(body.packet_id()?) } else { None };
        let properties = match version {
            Version::V5 => Properties::read(body, Place(3))?,
            Version::V311 => Properties::default(),
        };
        let payload = body.remainder();
        Ok(Self { dup, qos, retain: flags & 1 != 0, topic, packet_id, properties, payload })
    }

    pub(super) fn write(&self, version: Version, out: &mut BytesMut) -> Result<(), Error> {
        let first = 0x30 | u8::from(self.dup) << 3 | (self.qos as u8) << 1 | u8::from(self.retain);
        let mut len = 2 + self.topic.len() + self.payload.len();
        len += if self.packet_id.is_some() { 2 } else { 0 };
        len += if version == Version::V5 { self.properties.encoded_len() } else { 0 };
        put_header(out, first, len)?;
        put_binary(out, self.topic.as_bytes())?;
        if let Some(packet_id) = self.packet_id {
            out.put_u16(packet_id.get());
        }
        if version == Version::V5 {
            self.properties.write(out);
        }
        out.put_slice(self.payload);
        Ok(())
    }
}

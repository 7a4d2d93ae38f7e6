//! PUBLISH as it is sent: straight from a shared message into the connection's output.

use bytes::{BufMut, BytesMut};
use flux_types::{Message, MessageProperties, Qos};

use super::wire::{put_binary, put_header, put_varint, varint_len};
use super::{PacketId, Version};
use crate::error::Error;

/// One delivery of a message to one subscriber.
#[derive(Debug, Clone, Copy)]
pub struct OutboundPublish<'a> {
    /// What is delivered; shared between subscribers.
    pub message: &'a Message,
    /// There if and only if this delivery is QoS 1 [MQTT-2.2.1-2].
    pub packet_id: Option<PacketId>,
    /// Whether it was sent before on an earlier connection [MQTT-3.3.1-1].
    pub dup: bool,
    /// The RETAIN flag of this delivery.
    pub retain: bool,
    /// What is left of the message's expiry interval, in seconds [MQTT-3.3.2-6].
    pub expiry_left_s: Option<u32>,
    /// The identifiers of the subscriptions that matched [MQTT-3.3.4-3].
    pub subscription_ids: &'a [u32],
}

impl OutboundPublish<'_> {
    /// The QoS of this delivery.
    #[must_use]
    pub fn qos(&self) -> Qos {
        if self.packet_id.is_some() { Qos::AtLeastOnce } else { Qos::AtMostOnce }
    }

    /// Bytes on the wire, the fixed header included.
    #[must_use]
    pub fn encoded_len(&self, version: Version) -> usize {
        let remaining = self.remaining_len(version);
        1 + varint_len(remaining) + remaining
    }

    fn remaining_len(&self, version: Version) -> usize {
        let mut len = 2 + self.message.topic.as_str().len() + self.message.payload.len();
        len += if self.packet_id.is_some() { 2 } else { 0 };
        if version == Version::V5 {
            let properties = self.properties_len();
            len += varint_len(properties) + properties;
        }
        len
    }

    fn properties_len(&self) -> usize {
        let mut len = if self.expiry_left_s.is_some() { 5 } else { 0 };
        for id in self.subscription_ids {
            len += 1 + varint_len(*id as usize);
        }
        match &self.message.properties {
            Some(properties) => len + passed_on_len(properties),
            None => len,
        }
    }

    /// Writes the packet.
    ///
    /// # Errors
    /// A field longer than its length can say; `out` is as before then.
    #[inline]
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), Error> {
        let before = out.len();
        self.write(version, out).inspect_err(|_| out.truncate(before))
    }

    #[inline]
    fn write(&self, version: Version, out: &mut BytesMut) -> Result<(), Error> {
        let first =
            0x30 | u8::from(self.dup) << 3 | (self.qos() as u8) << 1 | u8::from(self.retain);
        put_header(out, first, self.remaining_len(version))?;
        put_binary(out, self.message.topic.as_str().as_bytes())?;
        if let Some(packet_id) = self.packet_id {
            out.put_u16(packet_id.get());
        }
        if version == Version::V5 {
            self.write_properties(out)?;
        }
        out.put_slice(&self.message.payload);
        Ok(())
    }

    fn write_properties(&self, out: &mut BytesMut) -> Result<(), Error> {
        put_varint(out, self.properties_len());
        if let Some(seconds) = self.expiry_left_s {
            out.put_u8(2);
            out.put_u32(seconds);
        }
        for id in self.subscription_ids {
            out.put_u8(11);
            put_varint(out, *id as usize);
        }
        match &self.message.properties {
            Some(properties) => write_passed_on(properties, out),
            None => Ok(()),
        }
    }
}

/// The properties that a server passes on unaltered
/// [MQTT-3.3.2-4], [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-20].
fn passed_on_len(properties: &MessageProperties) -> usize {
    let mut len = if properties.payload_is_utf8.is_some() { 2 } else { 0 };
    len += properties.content_type.as_ref().map_or(0, |text| 3 + text.len());
    len += properties.response_topic.as_ref().map_or(0, |topic| 3 + topic.as_str().len());
    len += properties.correlation_data.as_ref().map_or(0, |data| 3 + data.len());
    len + properties.user.iter().map(|(name, value)| 5 + name.len() + value.len()).sum::<usize>()
}

fn write_passed_on(properties: &MessageProperties, out: &mut BytesMut) -> Result<(), Error> {
    if let Some(yes) = properties.payload_is_utf8 {
        out.put_slice(&[1, u8::from(yes)]);
    }
    if let Some(text) = &properties.content_type {
        out.put_u8(3);
        put_binary(out, text.as_bytes())?;
    }
    if let Some(topic) = &properties.response_topic {
        out.put_u8(8);
        put_binary(out, topic.as_str().as_bytes())?;
    }
    if let Some(data) = &properties.correlation_data {
        out.put_u8(9);
        put_binary(out, data)?;
    }
    // [MQTT-3.3.2-18]: in the order they came
    for (name, value) in &properties.user {
        out.put_u8(38);
        put_binary(out, name.as_bytes())?;
        put_binary(out, value.as_bytes())?;
    }
    Ok(())
}

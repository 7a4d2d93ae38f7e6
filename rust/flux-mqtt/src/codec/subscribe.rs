//! SUBSCRIBE, UNSUBSCRIBE and their answers (sections 3.8 to 3.11).

use bytes::{BufMut, BytesMut};
use flux_types::Qos;

use super::property::{Place, Properties};
use super::wire::{Reader, put_binary, put_header};
use super::{PacketId, Reason, Version};
use crate::error::{Error, malformed, protocol};

/// What happens to retained messages when a subscription is made (section 3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetainHandling {
    /// Sent each time.
    #[default]
    Send = 0,
    /// Sent when the subscription is new.
    SendIfNew = 1,
    /// Not sent.
    DoNotSend = 2,
}

/// The options of one subscription (section 3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscribeOptions {
    /// The highest QoS at which messages are wanted.
    pub qos: Qos,
    /// Do not send back what this client published.
    pub no_local: bool,
    /// Keep the RETAIN flag as the publisher set it.
    pub retain_as_published: bool,
    /// What happens to retained messages.
    pub retain_handling: RetainHandling,
}

impl SubscribeOptions {
    fn read(version: Version, byte: u8) -> Result<Self, Error> {
        let reserved = if version == Version::V5 { 0xC0 } else { 0xFC };
        if byte & reserved != 0 {
            return Err(malformed("MQTT-3.8.3-5", "reserved subscription options are set"));
        }
        let qos = Qos::try_from(byte & 3)
            .map_err(|_| protocol("section 3.8.3.1", "a subscription with QoS 3"))?;
        let retain_handling = match byte >> 4 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(protocol("section 3.8.3.1", "retain handling 3")),
        };
        Ok(Self {
            qos,
            no_local: byte & 4 != 0,
            retain_as_published: byte & 8 != 0,
            retain_handling,
        })
    }

    /// The options as their byte on the wire in 5.0; in 3.1.1 only the QoS is said.
    #[must_use]
    pub fn to_byte(self, version: Version) -> u8 {
        match version {
            Version::V311 => self.qos as u8,
            Version::V5 => {
                self.qos as u8
                    | u8::from(self.no_local) << 2
                    | u8::from(self.retain_as_published) << 3
                    | (self.retain_handling as u8) << 4
            }
        }
    }
}

/// Topic filters as they lie in the packet, already checked as strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterList<'a> {
    raw: &'a [u8],
    with_options: Option<Version>,
}

impl<'a> FilterList<'a> {
    fn read(body: &mut Reader<'a>, with_options: Option<Version>) -> Result<Self, Error> {
        let raw = body.remainder();
        while !body.is_empty() {
            let filter = body.string()?;
            if let Some(version) = with_options {
                let options = SubscribeOptions::read(version, body.u8()?)?;
                if options.no_local && filter.starts_with("$share/") {
                    return Err(protocol("MQTT-3.8.3-4", "No Local on a shared subscription"));
                }
            }
        }
        Ok(Self { raw, with_options })
    }

    /// Each filter with its options (the default ones in UNSUBSCRIBE), in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, SubscribeOptions)> + use<'a> {
        let mut rest = Reader::new(self.raw);
        let with_options = self.with_options;
        std::iter::from_fn(move || {
            let filter = rest.string().ok()?; // checked when the packet was read
            let options = match with_options {
                Some(version) => SubscribeOptions::read(version, rest.u8().ok()?).ok()?,
                None => SubscribeOptions::default(),
            };
            Some((filter, options))
        })
    }

    /// Writes the payload of a SUBSCRIBE, for [`FilterList::of_subscribe`].
    ///
    /// # Errors
    /// A filter of more than 65 535 bytes.
    pub fn put_subscribe(
        out: &mut BytesMut,
        version: Version,
        filter: &str,
        options: SubscribeOptions,
    ) -> Result<(), Error> {
        put_binary(out, filter.as_bytes())?;
        out.put_u8(options.to_byte(version));
        Ok(())
    }

    /// Writes the payload of an UNSUBSCRIBE, for [`FilterList::of_unsubscribe`].
    ///
    /// # Errors
    /// A filter of more than 65 535 bytes.
    pub fn put_unsubscribe(out: &mut BytesMut, filter: &str) -> Result<(), Error> {
        put_binary(out, filter.as_bytes())
    }

    /// Takes bytes written by [`FilterList::put_subscribe`].
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn of_subscribe(version: Version, raw: &'a [u8]) -> Result<Self, Error> {
        Self::read(&mut Reader::new(raw), Some(version))
    }

    /// Takes bytes written by [`FilterList::put_unsubscribe`].
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn of_unsubscribe(raw: &'a [u8]) -> Result<Self, Error> {
        Self::read(&mut Reader::new(raw), None)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }
}

fn properties<'a>(
    version: Version,
    kind: u8,
    body: &mut Reader<'a>,
) -> Result<Properties<'a>, Error> {
    match version {
        Version::V5 => Properties::read(body, Place(kind)),
        Version::V311 => Ok(Properties::default()),
    }
}

/// What the four packets have in common: identifier, properties and a last field of raw bytes.
fn put(
    version: Version,
    first: u8,
    packet_id: PacketId,
    properties: &Properties<'_>,
    payload: &[u8],
    out: &mut BytesMut,
) -> Result<(), Error> {
    let v5 = version == Version::V5;
    let len = 2 + payload.len() + if v5 { properties.encoded_len() } else { 0 };
    put_header(out, first, len)?;
    out.put_u16(packet_id.get());
    if v5 {
        properties.write(out);
    }
    out.put_slice(payload);
    Ok(())
}

/// A client asks for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// What SUBACK has to name.
    pub packet_id: PacketId,
    /// Empty in 3.1.1.
    pub properties: Properties<'a>,
    /// At least one.
    pub filters: FilterList<'a>,
}

impl<'a> Subscribe<'a> {
    pub(super) fn read(version: Version, body: &mut Reader<'a>) -> Result<Self, Error> {
        let packet_id = body.packet_id()?;
        let properties = properties(version, 8, body)?;
        let filters = FilterList::read(body, Some(version))?;
        if filters.is_empty() {
            return Err(protocol("MQTT-3.8.3-2", "a SUBSCRIBE without a topic filter"));
        }
        Ok(Self { packet_id, properties, filters })
    }

    pub(super) fn write(&self, version: Version, out: &mut BytesMut) -> Result<(), Error> {
        put(version, 0x82, self.packet_id, &self.properties, self.filters.raw, out)
    }
}

/// A client wants no more of some messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// What UNSUBACK has to name.
    pub packet_id: PacketId,
    /// Empty in 3.1.1.
    pub properties: Properties<'a>,
    /// At least one.
    pub filters: FilterList<'a>,
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn read(version: Version, body: &mut Reader<'a>) -> Result<Self, Error> {
        let packet_id = body.packet_id()?;
        let properties = properties(version, 10, body)?;
        let filters = FilterList::read(body, None)?;
        if filters.is_empty() {
            return Err(protocol("MQTT-3.10.3-2", "an UNSUBSCRIBE without a topic filter"));
        }
        Ok(Self { packet_id, properties, filters })
    }

    pub(super) fn write(&self, version: Version, out: &mut BytesMut) -> Result<(), Error> {
        put(version, 0xA2, self.packet_id, &self.properties, self.filters.raw, out)
    }
}

/// The answer to SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suback<'a> {
    /// What it answers.
    pub packet_id: PacketId,
    /// Empty in 3.1.1.
    pub properties: Properties<'a>,
    /// One code for each filter, in their order.
    pub codes: &'a [u8],
}

impl<'a> Suback<'a> {
    pub(super) fn read(version: Version, body: &mut Reader<'a>) -> Result<Self, Error> {
        let packet_id = body.packet_id()?;
        let properties = properties(version, 9, body)?;
        let codes = body.remainder();
        let known = |code: &u8| match version {
            Version::V5 => Reason(*code).answers_subscribe(),
            Version::V311 => matches!(*code, 0..=2 | 0x80),
        };
        if codes.is_empty() || !codes.iter().all(known) {
            return Err(malformed("MQTT-3.9.3-2", "codes that SUBACK does not have"));
        }
        Ok(Self { packet_id, properties, codes })
    }

    pub(super) fn write(&self, version: Version, out: &mut BytesMut) -> Result<(), Error> {
        put(version, 0x90, self.packet_id, &self.properties, self.codes, out)
    }
}

/// The answer to UNSUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsuback<'a> {
    /// What it answers.
    pub packet_id: PacketId,
    /// Empty in 3.1.1.
    pub properties: Properties<'a>,
    /// One code for each filter, in their order; empty in 3.1.1.
    pub codes: &'a [u8],
}

impl<'a> Unsuback<'a> {
    pub(super) fn read(version: Version, body: &mut Reader<'a>) -> Result<Self, Error> {
        let packet_id = body.packet_id()?;
        let properties = properties(version, 11, body)?;
        let codes = body.remainder();
        let good = match version {
            Version::V5 => {
                !codes.is_empty() && codes.iter().all(|c| Reason(*c).answers_unsubscribe())
            }
            Version::V311 => codes.is_empty(),
        };
        if !good {
            return Err(malformed("MQTT-3.11.3-2", "codes that UNSUBACK does not have"));
        }
        Ok(Self { packet_id, properties, codes })
    }

    pub(super) fn write(&self, version: Version, out: &mut BytesMut) -> Result<(), Error> {
        let codes = if version == Version::V5 { self.codes } else { &[] };
        put(version, 0xB0, self.packet_id, &self.properties, codes, out)
    }
}

//! The properties of MQTT 5.0 (section 2.2.2): checked once where they lie, read lazily after.

use bytes::{BufMut, BytesMut};

use super::wire::{Reader, put_binary, put_varint, varint_len};
use crate::error::{Error, malformed, protocol};

/// One property. The names and types are those of table 2-4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the standard's table is the documentation
pub enum Property<'a> {
    PayloadFormatIndicator(bool),
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    SubscriptionIdentifier(u32),
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(bool),
    WillDelayInterval(u32),
    RequestResponseInformation(bool),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    TopicAlias(u16),
    MaximumQos(bool),
    RetainAvailable(bool),
    UserProperty(&'a str, &'a str),
    MaximumPacketSize(u32),
    WildcardSubscriptionAvailable(bool),
    SubscriptionIdentifierAvailable(bool),
    SharedSubscriptionAvailable(bool),
}

/// Where properties stand: bit 0 is the will, the others are packet types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(pub(super) u8);

impl Place {
    pub(super) const WILL: Self = Self(0);

    /// Which properties may stand where (table 2-4), and whether several times.
    fn allows(self, id: u8) -> bool {
        const WILL: u16 = 1;
        const CONNECT: u16 = 1 << 1;
        const CONNACK: u16 = 1 << 2;
        const PUBLISH: u16 = 1 << 3;
        const SUBSCRIBE: u16 = 1 << 8;
        const DISCONNECT: u16 = 1 << 14;
        const AUTH: u16 = 1 << 15;
        /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK
        const ACKS: u16 = 0b1010_1111_0000;
        let places = match id {
            1 | 2 | 3 | 8 | 9 => PUBLISH | WILL,
            11 => PUBLISH | SUBSCRIBE,
            17 => CONNECT | CONNACK | DISCONNECT,
            18 | 19 | 26 | 36 | 37 | 40 | 41 | 42 => CONNACK,
            21 | 22 => CONNECT | CONNACK | AUTH,
            23 | 25 => CONNECT,
            24 => WILL,
            28 => CONNACK | DISCONNECT,
            31 => CONNACK | ACKS | DISCONNECT | AUTH,
            33 | 34 | 39 => CONNECT | CONNACK,
            35 => PUBLISH,
            38 => u16::MAX,
            _ => 0,
        };
        places & (1 << self.0) != 0
    }

    fn allows_several(self, id: u8) -> bool {
        id == 38 || (id == 11 && self.0 == 3)
    }
}

fn flag(byte: u8, what: &'static str) -> Result<bool, Error> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(protocol("section 2.2.2.2", what)),
    }
}

fn nonzero<T: PartialEq + Default>(value: T, what: &'static str) -> Result<T, Error> {
    if value == T::default() { Err(protocol("section 2.2.2.2", what)) } else { Ok(value) }
}

impl<'a> Property<'a> {
    fn read(id: u8, reader: &mut Reader<'a>) -> Result<Self, Error> {
        const FLAG: &str = "a flag property that is neither 0 nor 1";
        Ok(match id {
            1 => Self::PayloadFormatIndicator(flag(reader.u8()?, FLAG)?),
            2 => Self::MessageExpiryInterval(reader.u32()?),
            3 => Self::ContentType(reader.string()?),
            8 => Self::ResponseTopic(reader.string()?),
            9 => Self::CorrelationData(reader.binary()?),
            11 => Self::SubscriptionIdentifier(nonzero(
                reader.varint()?,
                "subscription identifier 0",
            )?),
            17 => Self::SessionExpiryInterval(reader.u32()?),
            18 => Self::AssignedClientIdentifier(reader.string()?),
            19 => Self::ServerKeepAlive(reader.u16()?),
            21 => Self::AuthenticationMethod(reader.string()?),
            22 => Self::AuthenticationData(reader.binary()?),
            23 => Self::RequestProblemInformation(flag(reader.u8()?, FLAG)?),
            24 => Self::WillDelayInterval(reader.u32()?),
            25 => Self::RequestResponseInformation(flag(reader.u8()?, FLAG)?),
            26 => Self::ResponseInformation(reader.string()?),
            28 => Self::ServerReference(reader.string()?),
            31 => Self::ReasonString(reader.string()?),
            33 => Self::ReceiveMaximum(nonzero(reader.u16()?, "receive maximum 0")?),
            34 => Self::TopicAliasMaximum(reader.u16()?),
            // alias 0 has a reason code of its own, which the connection gives [MQTT-3.3.2-8]
            35 => Self::TopicAlias(reader.u16()?),
            36 => Self::MaximumQos(flag(reader.u8()?, FLAG)?),
            37 => Self::RetainAvailable(flag(reader.u8()?, FLAG)?),
            38 => Self::UserProperty(reader.string()?, reader.string()?),
            39 => Self::MaximumPacketSize(nonzero(reader.u32()?, "maximum packet size 0")?),
            40 => Self::WildcardSubscriptionAvailable(flag(reader.u8()?, FLAG)?),
            41 => Self::SubscriptionIdentifierAvailable(flag(reader.u8()?, FLAG)?),
            42 => Self::SharedSubscriptionAvailable(flag(reader.u8()?, FLAG)?),
            _ => return Err(malformed("section 2.2.2.2", "an unknown property")),
        })
    }

    fn write(&self, out: &mut BytesMut) -> Result<(), Error> {
        let mut byte = |id: u8, value: bool| out.put_slice(&[id, u8::from(value)]);
        match *self {
            Self::PayloadFormatIndicator(yes) => byte(1, yes),
            Self::RequestProblemInformation(yes) => byte(23, yes),
            Self::RequestResponseInformation(yes) => byte(25, yes),
            Self::MaximumQos(yes) => byte(36, yes),
            Self::RetainAvailable(yes) => byte(37, yes),
            Self::WildcardSubscriptionAvailable(yes) => byte(40, yes),
            Self::SubscriptionIdentifierAvailable(yes) => byte(41, yes),
            Self::SharedSubscriptionAvailable(yes) => byte(42, yes),
            Self::MessageExpiryInterval(value) => put_u32(out, 2, value),
            Self::SessionExpiryInterval(value) => put_u32(out, 17, value),
            Self::WillDelayInterval(value) => put_u32(out, 24, value),
            Self::MaximumPacketSize(value) => put_u32(out, 39, value),
            Self::ServerKeepAlive(value) => put_u16(out, 19, value),
            Self::ReceiveMaximum(value) => put_u16(out, 33, value),
            Self::TopicAliasMaximum(value) => put_u16(out, 34, value),
            Self::TopicAlias(value) => put_u16(out, 35, value),
            Self::SubscriptionIdentifier(value) => {
                out.put_u8(11);
                put_varint(out, value as usize);
            }
            Self::ContentType(text) => return put_text(out, 3, text.as_bytes()),
            Self::ResponseTopic(text) => return put_text(out, 8, text.as_bytes()),
            Self::CorrelationData(data) => return put_text(out, 9, data),
            Self::AssignedClientIdentifier(text) => return put_text(out, 18, text.as_bytes()),
            Self::AuthenticationMethod(text) => return put_text(out, 21, text.as_bytes()),
            Self::AuthenticationData(data) => return put_text(out, 22, data),
            Self::ResponseInformation(text) => return put_text(out, 26, text.as_bytes()),
            Self::ServerReference(text) => return put_text(out, 28, text.as_bytes()),
            Self::ReasonString(text) => return put_text(out, 31, text.as_bytes()),
            Self::UserProperty(name, value) => {
                put_text(out, 38, name.as_bytes())?;
                return put_binary(out, value.as_bytes());
            }
        }
        Ok(())
    }
}

fn put_u32(out: &mut BytesMut, id: u8, value: u32) {
    out.put_u8(id);
    out.put_u32(value);
}

fn put_u16(out: &mut BytesMut, id: u8, value: u16) {
    out.put_u8(id);
    out.put_u16(value);
}

fn put_text(out: &mut BytesMut, id: u8, bytes: &[u8]) -> Result<(), Error> {
    out.put_u8(id);
    put_binary(out, bytes)
}

/// The properties of one packet, already checked. Empty in 3.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Properties<'a> {
    raw: &'a [u8],
}

impl<'a> Properties<'a> {
    /// Reads the length and checks every property for its place, its value and its number.
    pub(super) fn read(reader: &mut Reader<'a>, place: Place) -> Result<Self, Error> {
        let len = reader.varint()?;
        let raw = reader.take(len as usize)?;
        let mut rest = Reader::new(raw);
        let mut seen = 0u64;
        while !rest.is_empty() {
            // identifiers are variable byte integers, but all below 128 (section 2.2.2.2)
            let id = u8::try_from(rest.varint()?).unwrap_or(u8::MAX);
            if !place.allows(id) {
                return Err(malformed("section 2.2.2.2", "a property that has no place here"));
            }
            let bit = 1u64 << id;
            if seen & bit != 0 && !place.allows_several(id) {
                return Err(protocol("section 2.2.2.2", "a property that may stand only once"));
            }
            seen |= bit;
            Property::read(id, &mut rest)?;
        }
        Ok(Self { raw })
    }

    /// The properties in the order they were sent.
    pub fn iter(&self) -> impl Iterator<Item = Property<'a>> + use<'a> {
        let mut rest = Reader::new(self.raw);
        std::iter::from_fn(move || {
            let id = rest.u8().ok()?;
            Property::read(id, &mut rest).ok() // checked when the packet was read
        })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The bytes after the length.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.raw
    }

    /// Bytes on the wire, the length's own included.
    pub(super) fn encoded_len(&self) -> usize {
        varint_len(self.raw.len()) + self.raw.len()
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        put_varint(out, self.raw.len());
        out.put_slice(self.raw);
    }
}

/// Properties being put together for a packet that we send.
#[derive(Debug, Default)]
pub struct PropertyBuf {
    raw: BytesMut,
}

impl PropertyBuf {
    /// Adds one property. Whether it has a place in the packet is the caller's business.
    ///
    /// # Errors
    /// A text or binary value longer than 65 535 bytes; nothing is added then.
    pub fn push(&mut self, property: &Property<'_>) -> Result<(), Error> {
        let before = self.raw.len();
        property.write(&mut self.raw).inspect_err(|_| self.raw.truncate(before))
    }

    /// What was put together.
    #[must_use]
    pub fn as_properties(&self) -> Properties<'_> {
        Properties { raw: &self.raw }
    }
}

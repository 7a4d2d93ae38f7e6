//! CONNECT (section 3.1).

use bytes::{BufMut, BytesMut};
use flux_types::Qos;

use super::Version;
use super::property::{Place, Properties};
use super::wire::{Reader, put_binary, put_header};
use crate::error::{Error, malformed};

/// A client asks to be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version of this and every later packet.
    pub version: Version,
    /// Clean Start; Clean Session in 3.1.1.
    pub clean_start: bool,
    /// Seconds; 0 turns the keep-alive off.
    pub keep_alive_s: u16,
    /// Properties of the connection.
    pub properties: Properties<'a>,
    /// May be empty (section 3.1.3.1).
    pub client_id: &'a str,
    /// What to publish when the connection breaks.
    pub will: Option<Will<'a>>,
    /// User name.
    pub username: Option<&'a str>,
    /// Password or token.
    pub password: Option<&'a [u8]>,
}

/// The message to be published when the connection breaks (section 3.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Will<'a> {
    /// Its promise.
    pub qos: Qos,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Its properties and those of its publication.
    pub properties: Properties<'a>,
    /// Where to; not yet checked as a topic.
    pub topic: &'a str,
    /// The bytes.
    pub payload: &'a [u8],
}

const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS: u8 = 0x18;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USERNAME: u8 = 0x80;

impl<'a> Connect<'a> {
    /// The version a CONNECT names, even if the rest of it is malformed, so that the refusal can be
    /// told in it.
    #[must_use]
    pub fn version_of(body: &[u8]) -> Option<Version> {
        match body.strip_prefix(b"\0\x04MQTT")?.first()? {
            4 => Some(Version::V311),
            5 => Some(Version::V5),
            _ => None,
        }
    }

    pub(super) fn read(body: &mut Reader<'a>) -> Result<Self, Error> {
        if body.binary()? != b"MQTT" {
            return Err(malformed("MQTT-3.1.2-1", "the protocol name is not `MQTT`"));
        }
        let version = match body.u8()? {
            4 => Version::V311,
            5 => Version::V5,
            other => return Err(Error::UnsupportedVersion(other)), // [MQTT-3.1.2-2]
        };
        let flags = body.u8()?;
        check_flags(version, flags)?;
        let keep_alive_s = body.u16()?;
        let properties = match version {
            Version::V5 => Properties::read(body, Place(1))?,
            Version::V311 => Properties::default(),
        };
        let client_id = body.string()?;
        let will = match flags & WILL {
            0 => None,
            _ => Some(Will::read(version, flags, body)?),
        };
        let username = if flags & USERNAME == 0 { None } else { Some(body.string()?) };
        let password = if flags & PASSWORD == 0 { None } else { Some(body.binary()?) };
        body.end()?;
        let clean_start = flags & CLEAN_START != 0;
        Ok(Self {
            version,
            clean_start,
            keep_alive_s,
            properties,
            client_id,
            will,
            username,
            password,
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) -> Result<(), Error> {
        let v5 = self.version == Version::V5;
        let mut flags = if self.clean_start { CLEAN_START } else { 0 };
        let mut len = 10 + 2 + self.client_id.len();
        if v5 {
            len += self.properties.encoded_len();
        }
        if let Some(will) = &self.will {
            flags |= WILL | (will.qos as u8) << 3 | if will.retain { WILL_RETAIN } else { 0 };
            len += 4 + will.topic.len() + will.payload.len();
            len += if v5 { will.properties.encoded_len() } else { 0 };
        }
        if let Some(username) = self.username {
            flags |= USERNAME;
            len += 2 + username.len();
        }
        if let Some(password) = self.password {
            flags |= PASSWORD;
            len += 2 + password.len();
        }
        put_header(out, 0x10, len)?;
        put_binary(out, b"MQTT")?;
        out.put_slice(&[self.version.level(), flags]);
        out.put_u16(self.keep_alive_s);
        if v5 {
            self.properties.write(out);
        }
        put_binary(out, self.client_id.as_bytes())?;
        if let Some(will) = &self.will {
            if v5 {
                will.properties.write(out);
            }
            put_binary(out, will.topic.as_bytes())?;
            put_binary(out, will.payload)?;
        }
        if let Some(username) = self.username {
            put_binary(out, username.as_bytes())?;
        }
        match self.password {
            Some(password) => put_binary(out, password),
            None => Ok(()),
        }
    }
}

fn check_flags(version: Version, flags: u8) -> Result<(), Error> {
    if flags & 1 != 0 {
        return Err(malformed("MQTT-3.1.2-3", "the reserved connect flag is set"));
    }
    if flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0 {
        return Err(malformed("MQTT-3.1.2-11", "will flags without a will"));
    }
    if flags & WILL_QOS == WILL_QOS {
        return Err(malformed("MQTT-3.1.2-12", "will QoS 3"));
    }
    // 5.0 allows a password alone; in 3.1.1 it is [MQTT-3.1.2-22] of that document
    if version == Version::V311 && flags & PASSWORD != 0 && flags & USERNAME == 0 {
        return Err(malformed("MQTT-3.1.2-22 of 3.1.1", "a password without a user name"));
    }
    Ok(())
}

impl<'a> Will<'a> {
    fn read(version: Version, flags: u8, body: &mut Reader<'a>) -> Result<Self, Error> {
        let qos = Qos::try_from((flags & WILL_QOS) >> 3)
            .map_err(|_| malformed("MQTT-3.1.2-12", "will QoS 3"))?;
        let properties = match version {
            Version::V5 => Properties::read(body, Place::WILL)?,
            Version::V311 => Properties::default(),
        };
        let topic = body.string()?;
        let payload = body.binary()?;
        Ok(Self { qos, retain: flags & WILL_RETAIN != 0, properties, topic, payload })
    }
}

//! The body of a message record: an envelope in front of the payload as it was sent.
//!
//! Layout, numbers little-endian: version `u8` (1), hops `u8`, shard hash `u32`, length and bytes
//! of the source (`u16`), of the topic (`u16`), of the MQTT properties as JSON (`u32`, 0: none);
//! the rest is the payload. Tenant and receive times stand in the record's own header.

use std::sync::Arc;

use bytes::Bytes;
use flux_log::{Batch, Record};
use flux_types::{Message, MessageProperties, Qos, Received, SourceId, Topic};
use serde::{Deserialize, Serialize};

use super::{JournalError, RecordKind};

const VERSION: u8 = 1;
const FLAG_AT_ONCE: u8 = 1;
const FLAG_RETAIN: u8 = 1 << 1;
const FLAG_ROUTE: u8 = 1 << 2;
const QOS_SHIFT: u8 = 4;

/// What a message record's flags say besides QoS and retain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageFlags {
    /// Its shard was given it without waiting for the commit, and must not decide it again.
    pub at_once: bool,
    /// Its shard has to route it to subscribers once committed: a rule published it.
    pub route: bool,
}

impl MessageFlags {
    pub(crate) fn bits(self, message: &Message) -> u8 {
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        flag(self.at_once, FLAG_AT_ONCE)
            | flag(message.retain, FLAG_RETAIN)
            | flag(self.route, FLAG_ROUTE)
            | (u8::from(message.qos) << QOS_SHIFT)
    }

    fn from_bits(bits: u8) -> Self {
        Self { at_once: bits & FLAG_AT_ONCE != 0, route: bits & FLAG_ROUTE != 0 }
    }
}

/// A message to write, with the hash that picks its shard.
#[derive(Debug, Clone, Copy)]
pub struct MessageEnvelope<'a> {
    /// The message.
    pub message: &'a Message,
    /// Hash of the device, or of the source where no device is known.
    pub shard_hash: u32,
}

/// MQTT properties in the log; a mirror of [`MessageProperties`] with short, stable names.
#[derive(Serialize, Deserialize)]
struct StoredProperties {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    utf8: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expiry_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response_topic: Option<Topic>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation: Option<Vec<u8>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    user: Vec<(Arc<str>, Arc<str>)>,
}

impl From<&MessageProperties> for StoredProperties {
    fn from(properties: &MessageProperties) -> Self {
        Self {
            utf8: properties.payload_is_utf8,
            expiry_s: properties.expiry_s,
            content_type: properties.content_type.clone(),
            response_topic: properties.response_topic.clone(),
            correlation: properties.correlation_data.as_ref().map(|bytes| bytes.to_vec()),
            user: properties.user.clone(),
        }
    }
}

impl From<StoredProperties> for MessageProperties {
    fn from(stored: StoredProperties) -> Self {
        Self {
            payload_is_utf8: stored.utf8,
            expiry_s: stored.expiry_s,
            content_type: stored.content_type,
            response_topic: stored.response_topic,
            correlation_data: stored.correlation.map(Bytes::from),
            user: stored.user,
        }
    }
}

impl MessageEnvelope<'_> {
    /// Writes everything but the payload to the end of `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Self { message, shard_hash } = self;
        out.extend_from_slice(&[VERSION, message.hops]);
        out.extend_from_slice(&shard_hash.to_le_bytes());
        put_short(out, message.source.as_str().as_bytes());
        put_short(out, message.topic.as_str().as_bytes());
        let length_at = out.len();
        out.extend_from_slice(&[0; 4]);
        if let Some(properties) = &message.properties {
            let stored = StoredProperties::from(&**properties);
            // writing strings and numbers to memory cannot fail; if it did, none are stored
            if serde_json::to_writer(&mut *out, &stored).is_err() {
                out.truncate(length_at + 4);
            }
            let length = u32::try_from(out.len() - length_at - 4).unwrap_or(0);
            if let Some(place) = out.get_mut(length_at..length_at + 4) {
                place.copy_from_slice(&length.to_le_bytes());
            }
        }
    }
}

/// Topics and source words are at most 65 535 bytes by their own rules; longer is cut.
fn put_short(out: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.get(..usize::from(length)).unwrap_or_default());
}

/// A message record, read.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedMessage {
    /// The message; its payload shares the batch's memory.
    pub message: Message,
    /// The hash that picks its shard.
    pub shard_hash: u32,
    /// What else its flags say.
    pub flags: MessageFlags,
}

impl DecodedMessage {
    /// Only the hash and the flags: enough for a shard to pass over what is not its own.
    ///
    /// # Errors
    /// [`JournalError`] if the body is of another version or too short.
    pub fn peek(record: &Record<'_>) -> Result<(u32, MessageFlags), JournalError> {
        let mut rest = Rest(record.body);
        let [version, _hops] = rest.array()?;
        if version != VERSION {
            return Err(problem(format!("version {version} is not known")));
        }
        Ok((u32::from_le_bytes(rest.array()?), MessageFlags::from_bits(record.flags)))
    }

    /// Reads a message record of `batch`.
    ///
    /// # Errors
    /// [`JournalError`] if the body does not hold together.
    pub fn read(batch: &Batch, record: &Record<'_>) -> Result<Self, JournalError> {
        let (shard_hash, flags) = Self::peek(record)?;
        let mut rest = Rest(record.body);
        let [_version, hops, ..]: [u8; 6] = rest.array()?;
        let source = SourceId::new(rest.short_text()?);
        let topic = Topic::new(rest.short_text()?).map_err(|error| problem(error.to_string()))?;
        let length = u32::from_le_bytes(rest.array()?);
        let stored = rest.take(length as usize)?;
        let properties = match stored {
            [] => None,
            json => {
                let stored: StoredProperties =
                    serde_json::from_slice(json).map_err(|error| problem(error.to_string()))?;
                Some(Arc::new(stored.into()))
            }
        };
        let qos = Qos::try_from(record.flags >> QOS_SHIFT & 3)
            .map_err(|error| problem(error.to_string()))?;
        let payload = batch.share(&Record { body: rest.0, ..*record });
        let message = Message {
            tenant: record.tenant,
            source,
            topic,
            payload,
            qos,
            retain: record.flags & FLAG_RETAIN != 0,
            received: Received { wall_ns: record.wall_ns, mono_ns: record.mono_ns },
            hops,
            properties,
        };
        Ok(Self { message, shard_hash, flags })
    }
}

fn problem(problem: String) -> JournalError {
    JournalError { kind: RecordKind::Message, problem }
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], JournalError> {
        let (taken, rest) =
            self.0.split_at_checked(bytes).ok_or_else(|| problem("it ends early".to_owned()))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], JournalError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| problem("it ends early".to_owned()))
    }

    fn short_text(&mut self) -> Result<&'a str, JournalError> {
        let length = u16::from_le_bytes(self.array()?);
        let bytes = self.take(usize::from(length))?;
        std::str::from_utf8(bytes).map_err(|error| problem(error.to_string()))
    }
}

//! How what happened is written in the log.
//!
//! Owns the record kinds and their encodings. Messages, which are many, have a compact binary
//! body; everything else is JSON, so that a reader years from now finds names and not offsets.
//! Must never change the meaning of a kind or field once released: readers of old logs exist.

mod event;
mod message;

pub use event::{
    AlarmEvent, Cause, CommandEvent, Cursor, PluginStateEvent, PresenceEvent, WebhookEvent,
};
pub use message::{DecodedMessage, MessageEnvelope, MessageFlags};

use flux_log::Append;
use flux_types::TenantId;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a record's body is. The number is its `kind` in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// A message, as it arrived or as a rule published it.
    Message = 1,
    /// A firing with its actions: the outbox entry of those.
    Firing = 2,
    /// How far a shard has decided.
    Cursor = 3,
    /// An alarm raised, acknowledged or cleared.
    Alarm = 4,
    /// A command on its way from requested to finished.
    Command = 5,
    /// A webhook delivered or given up.
    Webhook = 6,
    /// A device came or went.
    Presence = 7,
    /// What a plugin keeps of a source.
    PluginState = 8,
}

impl RecordKind {
    /// The kind of that number, if this version knows it.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Message,
            2 => Self::Firing,
            3 => Self::Cursor,
            4 => Self::Alarm,
            5 => Self::Command,
            6 => Self::Webhook,
            7 => Self::Presence,
            8 => Self::PluginState,
            _ => return None,
        })
    }
}

/// The largest event, bytes of JSON: a firing's actions can carry what a script made up.
pub const EVENT_BYTES_MAX: usize = 192 << 10;

/// An event cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// It has no JSON form.
    #[error("an event has no form in the log: {0}")]
    NoForm(String),
    /// It is larger than [`EVENT_BYTES_MAX`].
    #[error("an event has {0} bytes, more than the log takes")]
    TooLarge(usize),
}

/// A record's body cannot be read: damage that the log's checksums did not see, or a newer version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body of a {kind:?} record cannot be read: {problem}")]
pub struct JournalError {
    /// Which kind the record says it is.
    pub kind: RecordKind,
    /// What is wrong with it.
    pub problem: String,
}

/// Records waiting to be appended as one batch: whole or not at all, across a crash too.
#[derive(Debug, Default)]
pub struct Draft {
    bytes: Vec<u8>,
    records: Vec<DraftRecord>,
}

#[derive(Debug, Clone, Copy)]
struct DraftRecord {
    kind: RecordKind,
    flags: u8,
    tenant: TenantId,
    wall_ns: i64,
    mono_ns: u64,
    start: usize,
    end: usize,
}

impl Draft {
    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many records wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Bytes of all bodies.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }

    /// Adds an event.
    ///
    /// # Errors
    /// [`DraftError`]; nothing was added then.
    pub fn event(
        &mut self,
        kind: RecordKind,
        tenant: TenantId,
        wall_ns: i64,
        event: &impl Serialize,
    ) -> Result<(), DraftError> {
        let start = self.bytes.len();
        let written = serde_json::to_writer(&mut self.bytes, event);
        let end = self.bytes.len();
        let outcome = match written {
            Err(problem) => Err(DraftError::NoForm(problem.to_string())),
            Ok(()) if end - start > EVENT_BYTES_MAX => Err(DraftError::TooLarge(end - start)),
            Ok(()) => Ok(()),
        };
        if outcome.is_err() {
            self.bytes.truncate(start);
            return outcome;
        }
        self.records.push(DraftRecord { kind, flags: 0, tenant, wall_ns, mono_ns: 0, start, end });
        Ok(())
    }

    /// Adds a message.
    pub fn message(&mut self, message: &flux_types::Message, shard_hash: u32, flags: MessageFlags) {
        let start = self.bytes.len();
        MessageEnvelope { message, shard_hash }.encode(&mut self.bytes);
        self.bytes.extend_from_slice(&message.payload);
        let end = self.bytes.len();
        self.records.push(DraftRecord {
            kind: RecordKind::Message,
            flags: flags.bits(message),
            tenant: message.tenant,
            wall_ns: message.received.wall_ns,
            mono_ns: message.received.mono_ns,
            start,
            end,
        });
    }

    /// The records, as the log takes them.
    #[must_use]
    pub fn appends(&self) -> Vec<Append<'_>> {
        let append = |record: &DraftRecord| Append {
            kind: record.kind as u8,
            flags: record.flags,
            tenant: record.tenant,
            wall_ns: record.wall_ns,
            mono_ns: record.mono_ns,
            body: self.bytes.get(record.start..record.end).unwrap_or_default(),
            body_rest: &[],
        };
        self.records.iter().map(append).collect()
    }
}

/// Reads the JSON body of an event record.
///
/// # Errors
/// [`JournalError`] if it is not what the kind says.
pub fn read_event<T: DeserializeOwned>(kind: RecordKind, body: &[u8]) -> Result<T, JournalError> {
    serde_json::from_slice(body)
        .map_err(|problem| JournalError { kind, problem: problem.to_string() })
}

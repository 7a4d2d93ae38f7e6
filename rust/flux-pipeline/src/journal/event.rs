//! The events in the log that are not messages or firings.
//!
//! Owns their JSON forms. A field added later has a default; none is renamed or taken away.

use flux_types::{AlarmId, CommandId, DeviceId, Position, Severity};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How far a shard has decided: every promised message of its own up to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The shard.
    pub shard: u32,
    /// How many shards there were: another number divides the messages otherwise.
    pub shards: u32,
    /// The last position decided.
    pub up_to: Position,
}

/// What happened to an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AlarmEvent {
    /// It was raised, or raised again while active.
    Raised {
        /// The alarm.
        id: AlarmId,
        /// Its name, unique among the active ones of a device.
        alarm: String,
        /// Key of the device it is about; none for a rule over plain topics.
        device: Option<String>,
        /// How bad.
        severity: Severity,
        /// For people.
        text: String,
        /// The firing and which of its actions, which this event completes.
        cause: Option<Cause>,
        /// When, ms since 1970.
        at_ms: i64,
    },
    /// A person has seen it.
    Acknowledged {
        /// The alarm.
        id: AlarmId,
        /// Who.
        by: String,
        /// When, ms since 1970.
        at_ms: i64,
    },
    /// It is over.
    Cleared {
        /// The alarm; none when there was nothing to clear and only `cause` is completed.
        id: Option<AlarmId>,
        /// Who cleared it, when it was a person.
        by: Option<String>,
        /// The firing and action that cleared it, which this event completes.
        cause: Option<Cause>,
        /// When, ms since 1970.
        at_ms: i64,
    },
}

/// One action of one firing: what an outbox entry is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// The firing's id as text.
    pub firing: String,
    /// Which of its actions, from 0.
    pub action: u32,
}

/// What happened to a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum CommandEvent {
    /// Somebody asked for it by the API (one asked for by a rule stands in its firing).
    Requested {
        /// The command.
        id: CommandId,
        /// Key of the device.
        device: String,
        /// What to do.
        command: String,
        /// With what.
        params: serde_json::Value,
        /// How long it may wait to be sent, ms.
        max_age_ms: u64,
        /// When, ms since 1970.
        at_ms: i64,
    },
    /// It was handed to the device's connection.
    Sent {
        /// The command.
        id: CommandId,
        /// When, ms since 1970.
        at_ms: i64,
    },
    /// It ended: the device replied, or it was too late.
    Finished {
        /// The command.
        id: CommandId,
        /// How.
        status: crate::views::CommandStatus,
        /// What the device said, or why not.
        result: Option<serde_json::Value>,
        /// When, ms since 1970.
        at_ms: i64,
    },
}

/// A webhook's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookEvent {
    /// The entry.
    pub id: Uuid,
    /// Whether the receiver took it.
    pub delivered: bool,
    /// What the receiver or the lack of one said.
    pub detail: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When, ms since 1970.
    pub at_ms: i64,
}

/// A device came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceEvent {
    /// The device.
    pub device: DeviceId,
    /// Whether it is connected now.
    pub online: bool,
    /// When, ms since 1970.
    pub at_ms: i64,
}

/// What a plugin keeps of a source, in place of what it kept before. In the same batch as the
/// cursor that passes the message it comes of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginStateEvent {
    /// The plugin.
    pub plugin: String,
    /// The source's principal.
    pub source: String,
    /// The bytes, hexadecimal; none: nothing is kept.
    pub state: String,
}

//! A rule that said true, or whose functions acted, and what is to be done about it.
//!
//! Owns [`Firing`] and [`Action`]. A firing's record is the outbox entry of its actions: their ids
//! derive from the firing's, so deciding again after a crash names the same ones.

use std::sync::Arc;

use flux_types::{CommandId, DeviceId, FiringId, Position, RuleId, Severity, TenantId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Something to be done, declared by a rule or asked for by its script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Action {
    /// Send a command to a device and await its reply.
    Command {
        /// Derives from the firing and the action's place.
        id: CommandId,
        /// Key of the device.
        device: String,
        /// What to do.
        command: String,
        /// With what.
        params: serde_json::Value,
        /// How long it may wait to be sent, ms.
        max_age_ms: u64,
    },
    /// Publish a message. Its record stands beside the firing's: nothing is left to do.
    Publish {
        /// Where.
        topic: String,
        /// With which promise.
        qos: u8,
    },
    /// Raise an alarm of the firing's device.
    RaiseAlarm {
        /// Its name.
        alarm: String,
        /// How bad.
        severity: Severity,
        /// For people.
        text: String,
    },
    /// Clear that alarm.
    ClearAlarm {
        /// Its name.
        alarm: String,
    },
    /// POST the firing to a web server.
    Webhook {
        /// Derives from the firing and the action's place.
        id: Uuid,
        /// Where to.
        url: String,
        /// Headers to add.
        headers: std::collections::BTreeMap<String, String>,
        /// What the script gave to be sent along.
        payload: Option<serde_json::Value>,
        /// How long it may be tried, ms.
        max_age_ms: u64,
    },
    /// An action that could not even be begun, with the reason; kept so that it is seen.
    Refused {
        /// What it would have been.
        action: String,
        /// Why not.
        reason: String,
    },
}

/// The id of a firing's action: the same however often it is decided.
#[must_use]
pub fn action_id(firing: &FiringId, index: usize) -> Uuid {
    Uuid::new_v5(&firing.rule.0, format!("{firing}/{index}").as_bytes())
}

/// One decision of one rule that calls for something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Firing {
    /// `<rule>.<version>.<position>.<sample>`.
    pub id: String,
    /// The rule.
    pub rule: RuleId,
    /// Its version.
    pub version: u32,
    /// Its name then.
    pub rule_name: Arc<str>,
    /// Whose it is.
    pub tenant: TenantId,
    /// The device the message told of.
    pub device_id: Option<DeviceId>,
    /// That device's key.
    pub device: Option<Arc<str>>,
    /// The message's topic.
    pub topic: Arc<str>,
    /// The message's position.
    pub position: Position,
    /// The sample's time, ms since 1970.
    pub ts_ms: i64,
    /// When it was decided, ms since 1970.
    pub at_ms: i64,
    /// Whether the script said `true`; if not, its functions acted.
    pub triggered: bool,
    /// The values it was decided on.
    pub values: serde_json::Map<String, serde_json::Value>,
    /// What is to be done, in order: declared actions first.
    pub actions: Vec<Action>,
}

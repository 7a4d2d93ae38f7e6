//! A rule's actions as they are written: an object whose `type` says which.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// What a rule does when triggered. Its `type` is read in any case, with or without `_`:
/// `raise_alarm`, `RaiseAlarm`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ActionEntry {
    /// Sends a command to a device.
    Command(CommandEntry),
    /// Publishes a message.
    Publish(PublishEntry),
    /// Raises an alarm of the device that fired.
    RaiseAlarm(AlarmEntry),
    /// Clears an alarm of the device that fired.
    ClearAlarm(ClearAlarmEntry),
    /// Posts the firing to a URL.
    Webhook(WebhookEntry),
}

/// Sends a command to a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandEntry {
    /// The device's key; looked up when the rule fires.
    pub device: String,
    /// What it is told to do.
    pub command: String,
    /// With what.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// Milliseconds after which it is recorded as expired rather than sent.
    #[serde(default = "command_max_age_ms")]
    pub max_age_ms: u64,
}

/// Publishes a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishEntry {
    /// Where.
    pub topic: String,
    /// Text is sent as it stands, anything else as JSON, `null` as nothing.
    #[serde(default)]
    pub payload: Value,
    /// 0 or 1.
    #[serde(default)]
    pub qos: u8,
    /// Whether it stays for later subscribers.
    #[serde(default)]
    pub retain: bool,
}

/// Raises an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmEntry {
    /// Its name.
    pub alarm: String,
    /// `info`, `warning`, `minor`, `major` or `critical`.
    #[serde(default = "default_severity")]
    pub severity: String,
    /// What people read.
    #[serde(default)]
    pub text: String,
}

/// Clears an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClearAlarmEntry {
    /// Its name.
    pub alarm: String,
}

/// Posts the firing to a URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookEntry {
    /// Absolute, `http` or `https`.
    pub url: String,
    /// Headers added to the request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Milliseconds after which it is recorded as expired rather than sent.
    #[serde(default = "webhook_max_age_ms")]
    pub max_age_ms: u64,
}

fn command_max_age_ms() -> u64 {
    30_000
}

fn webhook_max_age_ms() -> u64 {
    86_400_000
}

fn default_severity() -> String {
    flux_types::Severity::default().to_string()
}

impl<'de> Deserialize<'de> for ActionEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::<String, Value>::deserialize(deserializer)?;
        let Some(Value::String(kind)) = fields.remove("type") else {
            return Err(D::Error::missing_field("type"));
        };
        match kind.to_ascii_lowercase().replace('_', "").as_str() {
            "command" => typed(fields).map(Self::Command),
            "publish" => typed(fields).map(Self::Publish),
            "raisealarm" => typed(fields).map(Self::RaiseAlarm),
            "clearalarm" => typed(fields).map(Self::ClearAlarm),
            "webhook" => typed(fields).map(Self::Webhook),
            _ => Err(D::Error::unknown_variant(
                &kind,
                &["command", "publish", "raise_alarm", "clear_alarm", "webhook"],
            )),
        }
    }
}

fn typed<T: DeserializeOwned, E: Error>(fields: Map<String, Value>) -> Result<T, E> {
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let path = error.path().to_string();
        match path.as_str() {
            "." | "" => E::custom(error.into_inner()),
            _ => E::custom(format_args!("{path}: {}", error.inner())),
        }
    })
}

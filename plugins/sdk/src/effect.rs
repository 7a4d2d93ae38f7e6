//! What a plugin may ask the host to do.

use flux_plugin_abi::EffectKind;

use crate::Json;
use crate::json::Base64;

/// Something the host is asked to do. The fields are those of the same action in a rule.
///
/// The host carries it out if the plugin was granted effects of its kind, and counts it as refused
/// otherwise.
///
/// ```
/// use flux_plugin_sdk::{Effect, Json};
///
/// let close = Effect::command("valve-1", "close", Json::object([("percent", 100.into())]));
/// assert_eq!(close.fields.to_string(),
///     r#"{"device":"valve-1","command":"close","params":{"percent":100}}"#);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// What.
    pub kind: EffectKind,
    /// With what: an object.
    pub fields: Json,
}

impl Effect {
    /// A command to the device of this key, with an object of parameters.
    #[must_use]
    pub fn command(device: &str, command: &str, params: Json) -> Self {
        let fields = [("device", device.into()), ("command", command.into()), ("params", params)];
        Self { kind: EffectKind::Command, fields: Json::object(fields) }
    }

    /// A message under a topic. Text is sent as it is, `null` as nothing, anything else as JSON.
    #[must_use]
    pub fn publish(topic: &str, payload: impl Into<Json>) -> Self {
        let fields = [("topic", topic.into()), ("payload", payload.into())];
        Self { kind: EffectKind::Publish, fields: Json::object(fields) }
    }

    /// A message of bytes under a topic: base64 in the member `payload_base64`.
    ///
    /// ```
    /// use flux_plugin_sdk::Effect;
    ///
    /// let publish = Effect::publish_bytes("valve-1/set", b"\x01\xff").with("qos", 0);
    /// assert_eq!(publish.fields.to_string(),
    ///     r#"{"topic":"valve-1/set","payload_base64":"Af8=","qos":0}"#);
    /// ```
    #[must_use]
    pub fn publish_bytes(topic: &str, payload: &[u8]) -> Self {
        let payload = Base64(payload).to_string();
        let fields = [("topic", topic.into()), ("payload_base64", payload.into())];
        Self { kind: EffectKind::Publish, fields: Json::object(fields) }
    }

    /// An alarm of the message's device. Severities are `info`, `warning`, `minor`, `major` and
    /// `critical`.
    #[must_use]
    pub fn raise_alarm(alarm: &str, severity: &str, text: &str) -> Self {
        let fields =
            [("alarm", alarm.into()), ("severity", severity.into()), ("text", text.into())];
        Self { kind: EffectKind::RaiseAlarm, fields: Json::object(fields) }
    }

    /// The end of that alarm.
    #[must_use]
    pub fn clear_alarm(alarm: &str) -> Self {
        Self { kind: EffectKind::ClearAlarm, fields: Json::object([("alarm", alarm.into())]) }
    }

    /// A POST to a URL, `http` or `https`.
    #[must_use]
    pub fn webhook(url: &str) -> Self {
        Self { kind: EffectKind::Webhook, fields: Json::object([("url", url.into())]) }
    }

    /// With one more field of that action, such as `qos` of a publication.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.fields.set(name, value);
        self
    }
}

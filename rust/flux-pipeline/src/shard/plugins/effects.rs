//! What a plugin asks for, in the words of rules.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use flux_registry::{AlarmEntry, ClearAlarmEntry, CommandEntry, PublishEntry, WebhookEntry};
use flux_rules::Effect;
use flux_types::{Key, Qos, Topic};
use flux_wasm::EffectKind;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::shard::judge::payload_bytes;

/// Which kinds of effect a use of a plugin may have.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Granted(u8);

impl Granted {
    /// The kinds of those names; others mean nothing, the configuration has told of them.
    pub(crate) fn new(names: &[String]) -> Self {
        let named = |kind: &&EffectKind| names.iter().any(|name| name == kind.as_str());
        Self(EffectKind::ALL.iter().filter(named).fold(0, |bits, kind| bits | bit(*kind)))
    }

    /// An effect as rules have it.
    ///
    /// # Errors
    /// Why it is not carried out, for people.
    pub(crate) fn effect(self, asked: &flux_wasm::Effect) -> Result<Effect, String> {
        if self.0 & bit(asked.kind) == 0 {
            return Err(format!("{} is not granted", asked.kind.as_str()));
        }
        effect(asked.kind, asked.fields.clone())
    }
}

fn bit(kind: EffectKind) -> u8 {
    1 << kind as u8
}

fn effect(kind: EffectKind, fields: Map<String, Value>) -> Result<Effect, String> {
    Ok(match kind {
        EffectKind::Command => {
            let CommandEntry { device, command, params, .. } = read(fields)?;
            let device = Key::new(&device).map_err(|error| error.to_string())?;
            Effect::Command { device, command, params: params.into() }
        }
        EffectKind::Publish => {
            let mut fields = fields;
            let bytes = base64_payload(&mut fields)?;
            let PublishEntry { topic, payload, qos, retain } = read(fields)?;
            let topic = Topic::new(&topic).map_err(|error| error.to_string())?;
            if topic.is_reserved() {
                return Err("topics that begin with $ are the server's".to_owned());
            }
            let qos = if qos == 0 { Qos::AtMostOnce } else { Qos::AtLeastOnce };
            let payload = bytes.unwrap_or_else(|| payload_bytes(&payload));
            Effect::Publish { topic, payload, qos, retain }
        }
        EffectKind::RaiseAlarm => {
            let AlarmEntry { alarm, severity, text } = read(fields)?;
            let severity = severity.parse().map_err(|_| format!("{severity:?} is no severity"))?;
            Effect::RaiseAlarm { alarm, severity, text }
        }
        EffectKind::ClearAlarm => {
            let ClearAlarmEntry { alarm } = read(fields)?;
            Effect::ClearAlarm { alarm }
        }
        EffectKind::Webhook => {
            let mut fields = fields;
            let payload = fields.remove("payload").unwrap_or_default();
            let WebhookEntry { url, .. } = read(fields)?;
            if !(url.starts_with("http://") || url.starts_with("https://")) {
                return Err(format!("{url:?} is no URL of a webhook"));
            }
            Effect::Webhook { url, payload }
        }
        EffectKind::Email => return Err("e-mail is not there yet".to_owned()),
    })
}

/// A payload of bytes, which JSON has no words for: base64 in a member of its own.
fn base64_payload(fields: &mut Map<String, Value>) -> Result<Option<Bytes>, String> {
    let Some(text) = fields.remove("payload_base64") else { return Ok(None) };
    if fields.contains_key("payload") {
        return Err("both payload and payload_base64 are given".to_owned());
    }
    let text = text.as_str().ok_or("payload_base64 is no text")?;
    let bytes = BASE64.decode(text).map_err(|error| format!("payload_base64: {error}"))?;
    Ok(Some(bytes.into()))
}

fn read<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(kind: EffectKind, fields: Value) -> flux_wasm::Effect {
        let Value::Object(fields) = fields else { panic!("no object") };
        flux_wasm::Effect { kind, fields }
    }

    #[test]
    fn only_what_is_granted_is_carried_out() {
        let granted = Granted::new(&["publish".to_owned(), "fly".to_owned()]);
        let publish = asked(EffectKind::Publish, json!({"topic": "a/b", "payload": "x", "qos": 1}));
        let effect = granted.effect(&publish).unwrap();
        let Effect::Publish { topic, payload, qos, .. } = effect else { panic!("{effect:?}") };
        assert_eq!((topic.as_str(), &*payload, qos), ("a/b", &b"x"[..], Qos::AtLeastOnce));
        let bytes = json!({"topic": "a/b", "payload_base64": "AP8=", "qos": 0});
        let effect = granted.effect(&asked(EffectKind::Publish, bytes)).unwrap();
        let Effect::Publish { payload, qos, .. } = effect else { panic!("{effect:?}") };
        assert_eq!((&*payload, qos), (&b"\x00\xff"[..], Qos::AtMostOnce));
        let command = asked(EffectKind::Command, json!({"device": "v", "command": "open"}));
        assert_eq!(granted.effect(&command).unwrap_err(), "command is not granted");
    }

    #[test]
    fn effects_that_cannot_be_are_refused_with_the_reason() {
        let all: Vec<_> = EffectKind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect();
        let granted = Granted::new(&all);
        for (kind, fields) in [
            (EffectKind::Publish, json!({"topic": "a/#"})),
            (EffectKind::Publish, json!({"topic": "$SYS/a"})),
            (EffectKind::Publish, json!({"payload": 1})),
            (EffectKind::Publish, json!({"topic": "a", "payload_base64": "?"})),
            (EffectKind::Publish, json!({"topic": "a", "payload_base64": 1})),
            (EffectKind::Publish, json!({"topic": "a", "payload": "x", "payload_base64": "AA=="})),
            (EffectKind::Command, json!({"device": "a/b", "command": "x"})),
            (EffectKind::RaiseAlarm, json!({"alarm": "a", "severity": "grave"})),
            (EffectKind::Webhook, json!({"url": "file:///etc/passwd"})),
            (EffectKind::Email, json!({})),
        ] {
            assert!(granted.effect(&asked(kind, fields.clone())).is_err(), "{kind:?} {fields}");
        }
    }
}

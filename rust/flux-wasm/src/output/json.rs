//! The JSON form, for authors who would rather print.
//!
//! An object with any of `messages`, `state`, `effects`, `error`, `frames`; or the short form, an
//! object with `values`; or an array: of short forms for a call with one input, of one element for
//! each input (`null`: nothing) for a batch. Keys that are not known are passed over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use flux_plugin_abi::EffectKind;
use flux_plugin_abi::limits::{NAME_BYTES_MAX, TAG_VALUE_BYTES_MAX};
use flux_types::Value;
use serde_json::{Map, Value as Json};

use super::sink::{Effect, Mark, Reported, Sink};
use crate::words::Word;
use crate::{Limits, OutputFault};

type Object = Map<String, Json>;

pub(super) fn read(
    bytes: &[u8],
    mark: &Mark,
    limits: &Limits,
    sink: &mut Sink,
) -> Result<(), OutputFault> {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => {}
        Some(other) => {
            let expected = "expected 0x01 or JSON, an object or an array";
            return Err(OutputFault::Json(format!("it begins with 0x{other:02x}; {expected}")));
        }
        None => return Ok(()),
    }
    let json: Json = serde_json::from_slice(bytes)
        .map_err(|error| OutputFault::Json(format!("it is not JSON: {error}")))?;
    let mut reader = Reader { mark, limits, sink };
    match json {
        Json::Object(object) => reader.answer(object),
        Json::Array(items) if mark.batch => reader.batch(items),
        Json::Array(messages) => reader.messages(messages),
        _ => Ok(()),
    }
}

fn wrong(what: &str, expected: &str, found: &Json) -> OutputFault {
    let found = match found {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    };
    OutputFault::Json(format!("{what} is {found}; expected {expected}"))
}

struct Reader<'r> {
    mark: &'r Mark,
    limits: &'r Limits,
    sink: &'r mut Sink,
}

impl Reader<'_> {
    fn batch(&mut self, items: Vec<Json>) -> Result<(), OutputFault> {
        for (index, item) in items.into_iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            self.sink.go_to_item(self.mark, index)?;
            match item {
                Json::Null => {}
                Json::Object(object) => self.answer(object)?,
                Json::Array(messages) => self.messages(messages)?,
                other => {
                    return Err(wrong("an input's answer", "an object, an array or null", &other));
                }
            }
        }
        Ok(())
    }

    /// The long form or the short one.
    fn answer(&mut self, mut object: Object) -> Result<(), OutputFault> {
        if object.contains_key("values") {
            return self.message(object);
        }
        if let Some(messages) = taken(&mut object, "messages") {
            self.messages(array("messages", messages)?)?;
        }
        if let Some(state) = taken(&mut object, "state") {
            self.sink.set_state(&base64("state", &state)?, self.limits)?;
        }
        for effect in list(&mut object, "effects")? {
            self.effect(effect)?;
        }
        for frame in list(&mut object, "frames")? {
            let frame = Bytes::from(base64("a frame", &frame)?);
            self.sink.push_frame(self.mark, frame, self.limits)?;
        }
        if let Some(error) = taken(&mut object, "error") {
            self.error(&error)?;
        }
        Ok(())
    }

    fn messages(&mut self, messages: Vec<Json>) -> Result<(), OutputFault> {
        for message in messages {
            match message {
                Json::Object(object) => self.message(object)?,
                other => return Err(wrong("a message", "an object", &other)),
            }
        }
        Ok(())
    }

    fn message(&mut self, mut object: Object) -> Result<(), OutputFault> {
        let device = taken(&mut object, "device").or_else(|| taken(&mut object, "device_id"));
        let device = match device {
            Some(Json::String(key)) if key.is_empty() => None,
            Some(Json::String(key)) => Some(self.word("a device", &key, NAME_BYTES_MAX)?),
            Some(other) => return Err(wrong("device", "text", &other)),
            None => None,
        };
        let ts_ns = match taken(&mut object, "ts") {
            Some(ts) => Some(ts.as_i64().ok_or_else(|| wrong("ts", "whole nanoseconds", &ts))?),
            None => None,
        };
        self.sink.open_message(self.mark, device, ts_ns, self.limits)?;
        let tags = map(&mut object, "tags")?;
        self.sink.reserve_tags(tags.len(), self.limits)?;
        for (name, value) in tags {
            let Json::String(value) = value else { return Err(wrong("a tag", "text", &value)) };
            let name = self.name(&name)?;
            let value = self.word("a tag's value", &value, TAG_VALUE_BYTES_MAX)?;
            self.sink.push_tag(name, value);
        }
        let values = map(&mut object, "values")?;
        self.sink.reserve_values(values.len(), self.limits)?;
        for (name, value) in values {
            if value.is_null() {
                continue;
            }
            let name = self.name(&name)?;
            match Value::from_json(value) {
                Ok(value) => self.sink.push_value(name, value),
                Err(_) => self.sink.drop_value(),
            }
        }
        Ok(())
    }

    fn name(&mut self, name: &str) -> Result<Word, OutputFault> {
        if name.is_empty() {
            return Err(OutputFault::Json("a name of no bytes".to_owned()));
        }
        self.word("a name", name, NAME_BYTES_MAX)
    }

    fn word(&mut self, what: &'static str, text: &str, max: usize) -> Result<Word, OutputFault> {
        if text.len() > max {
            return Err(OutputFault::Json(format!(
                "{what} of {} bytes; at most {max}",
                text.len()
            )));
        }
        Ok(self.sink.words.number(text))
    }

    fn effect(&mut self, effect: Json) -> Result<(), OutputFault> {
        let Json::Object(mut fields) = effect else {
            return Err(wrong("an effect", "an object", &effect));
        };
        let kind = taken(&mut fields, "kind").unwrap_or_default();
        let known = kind.as_str().and_then(EffectKind::from_name);
        let kind = known.ok_or_else(|| {
            let names = EffectKind::ALL.map(EffectKind::as_str).join(", ");
            OutputFault::Json(format!("an effect's kind is {kind}; expected one of {names}"))
        })?;
        self.sink.push_effect(self.mark, Effect { kind, fields }, self.limits)
    }

    fn error(&mut self, error: &Json) -> Result<(), OutputFault> {
        let field = |name| error.get(name).and_then(Json::as_str);
        let Some(code) = field("code") else {
            return Err(wrong("error", "an object with the texts `code` and `text`", error));
        };
        let text = field("text").unwrap_or(code).into();
        self.sink.set_reported(Reported { code: code.into(), text });
        Ok(())
    }
}

/// The value of a key; `null` is none.
fn taken(object: &mut Object, key: &str) -> Option<Json> {
    object.remove(key).filter(|value| !value.is_null())
}

fn array(key: &str, json: Json) -> Result<Vec<Json>, OutputFault> {
    match json {
        Json::Array(items) => Ok(items),
        other => Err(wrong(key, "an array", &other)),
    }
}

fn list(object: &mut Object, key: &str) -> Result<Vec<Json>, OutputFault> {
    taken(object, key).map_or(Ok(Vec::new()), |json| array(key, json))
}

fn map(object: &mut Object, key: &str) -> Result<Object, OutputFault> {
    match taken(object, key) {
        None => Ok(Object::new()),
        Some(Json::Object(map)) => Ok(map),
        Some(other) => Err(wrong(key, "an object", &other)),
    }
}

fn base64(what: &str, json: &Json) -> Result<Vec<u8>, OutputFault> {
    let text = json.as_str().ok_or_else(|| wrong(what, "base64 text", json))?;
    BASE64.decode(text).map_err(|error| OutputFault::Json(format!("{what} is no base64: {error}")))
}

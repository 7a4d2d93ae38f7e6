//! Whether an outcome is the one a vector expects, and what is different if not.

use super::{Outcome, hex};
use crate::{Effect, Json, Message, Value};

/// How far a number with a fraction may be off, of its size: what single precision has.
const TOLERANCE: f64 = 1e-6;

/// Every difference, as a sentence. What is not named is expected to be absent.
pub(super) fn differences(expected: &Json, outcome: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    for (name, _) in expected.members().unwrap_or_default() {
        if !["messages", "frames", "effects", "state", "error"].contains(&name.as_str()) {
            found.push(format!("/expect/{name} is not known"));
        }
    }
    let list = |name| expected.get(name).and_then(Json::items).unwrap_or_default();
    compare("messages", list("messages"), &outcome.messages, is_message, &mut found);
    compare("frames", list("frames"), &outcome.frames, is_frame, &mut found);
    compare("effects", list("effects"), &outcome.effects, is_effect, &mut found);
    let (code, known) = (expected.get("error").and_then(Json::as_str), outcome.error_code());
    if code.unwrap_or_default() != known {
        let text = outcome.error.as_ref().map_or("", |error| &error.text);
        found.push(format!("error: expected {code:?}, got {known:?} {text}"));
    }
    let state = expected.get("state").and_then(Json::as_str);
    if !is_state(state, outcome.state.as_deref()) {
        let left = outcome.state.as_deref().map(hex::text);
        found.push(format!("state: expected {state:?}, got {left:?}"));
    }
    found
}

fn compare<T: std::fmt::Debug>(
    what: &str,
    expected: &[Json],
    got: &[T],
    is: fn(&Json, &T) -> bool,
    found: &mut Vec<String>,
) {
    if expected.len() != got.len() {
        found.push(format!("{what}: expected {}, got {}: {got:?}", expected.len(), got.len()));
        return;
    }
    for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
        if !is(expected, got) {
            found.push(format!("{what}/{index}: expected {expected}, got {got:?}"));
        }
    }
}

fn is_message(expected: &Json, got: &Message) -> bool {
    let device = expected.get("device").and_then(Json::as_str).unwrap_or_default();
    let members = |name| expected.get(name).and_then(Json::members).unwrap_or_default();
    let tag = |name: &str| got.tags.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    device == got.device
        && expected.get("ts").and_then(Json::as_i64) == got.time_ns
        && members("tags").len() == got.tags.len()
        && members("tags").iter().all(|(name, v)| tag(name).map(String::as_str) == v.as_str())
        && members("values").len() == got.values.len()
        && members("values").iter().all(|(name, v)| got.value(name).is_some_and(|g| is_value(v, g)))
}

fn is_value(expected: &Json, got: &Value) -> bool {
    match got {
        Value::Bool(yes) => expected.as_bool() == Some(*yes),
        Value::I64(number) => match expected {
            Json::Int(expected) => expected == number,
            _ => is_near(expected, got),
        },
        Value::F64(_) => is_near(expected, got),
        Value::Text(text) => expected.as_str() == Some(text),
        Value::Bytes(bytes) => {
            let expected = expected.get("$bytes").and_then(Json::as_str).map(hex::bytes);
            matches!(expected, Some(Ok(expected)) if expected == *bytes)
        }
        Value::Json(text) => text.parse::<Json>().is_ok_and(|json| is_json(expected, &json)),
        Value::Time(ns) => expected.get("$time").and_then(Json::as_i64) == Some(*ns),
    }
}

fn is_near(expected: &Json, got: &Value) -> bool {
    let (Some(expected), Some(got)) = (expected.as_f64(), got.as_f64()) else { return false };
    (expected - got).abs() <= TOLERANCE * expected.abs().max(got.abs())
}

/// The same JSON, whatever the order of members.
fn is_json(expected: &Json, got: &Json) -> bool {
    match (expected, got) {
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, a)| got.get(name).is_some_and(|b| is_json(a, b)))
        }
        (Json::List(a), Json::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_json(a, b))
        }
        _ => expected.as_f64().map_or(expected == got, |a| Some(a) == got.as_f64()),
    }
}

fn is_frame(expected: &Json, got: &Vec<u8>) -> bool {
    expected.as_str().is_some_and(|text| hex::bytes(text).as_ref() == Ok(got))
}

fn is_effect(expected: &Json, got: &Effect) -> bool {
    let mut json = got.fields.clone();
    json.set("kind", got.kind.as_str());
    is_json(expected, &json)
}

/// `"*"`: any new state.
fn is_state(expected: Option<&str>, got: Option<&[u8]>) -> bool {
    match (expected, got) {
        (None, None) | (Some("*"), Some(_)) => true,
        (Some(text), Some(got)) => hex::bytes(text).is_ok_and(|bytes| bytes == got),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::vectors::message_of;
    use crate::{EffectKind, PluginError};

    /// What the tools in other languages are tried with as well.
    const COMPARISONS: &str = include_str!("comparisons.json");

    fn outcome(json: &Json) -> Outcome {
        let list = |name| json.get(name).and_then(Json::items).unwrap_or_default();
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        Outcome {
            messages: list("messages").iter().map(|json| message_of(json).unwrap()).collect(),
            frames: list("frames").iter().map(|json| hex::bytes(&text(json)).unwrap()).collect(),
            effects: list("effects").iter().map(effect).collect(),
            state: json.get("state").map(|json| hex::bytes(&text(json)).unwrap()),
            error: json.get("error").map(|json| {
                PluginError::new(text(json.get("code").unwrap()), text(json.get("text").unwrap()))
            }),
            logs: Vec::new(),
        }
    }

    fn effect(json: &Json) -> Effect {
        let kind = json.get("kind").and_then(Json::as_str).and_then(EffectKind::from_name).unwrap();
        let fields = json.members().unwrap().iter().filter(|(name, _)| name != "kind");
        Effect { kind, fields: Json::Object(fields.cloned().collect()) }
    }

    #[test]
    fn comparisons_come_out_as_written() {
        let cases: Json = COMPARISONS.parse().unwrap();
        for case in cases.items().unwrap() {
            let found =
                differences(case.get("expect").unwrap(), &outcome(case.get("outcome").unwrap()));
            let same = case.get("same").and_then(Json::as_bool).unwrap();
            assert_eq!(found.is_empty(), same, "{}: {found:?}", case.get("fact").unwrap());
        }
    }

    #[test]
    fn what_is_not_known_is_a_difference() {
        let expected: Json = r#"{"mesages": []}"#.parse().unwrap();
        assert_eq!(differences(&expected, &Outcome::default()), ["/expect/mesages is not known"]);
    }
}

//! Vectors: recorded inputs and what must come of them.
//!
//! Owns reading them and telling every difference. What a vector does not name has to be absent, so
//! that one which forgets a value cannot pass. The format is described in `docs/PLUGIN_DEV.md`; the
//! SDK tries the same files.

use std::collections::BTreeMap;
use std::sync::Arc;

use flux_plugin_abi::{Context, MessageWriter, ValueRef};
use flux_types::Value;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::output::{Item, MessageView};
use crate::{Function, Lease, Limits, PluginError, Settings, Sink, hex};

/// How far a number with a fraction may be off, of its size: what single precision has.
const TOLERANCE: f64 = 1e-6;

/// What came of one vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VectorResult {
    /// What it shows.
    pub name: String,
    /// Every difference; none: it holds.
    pub differences: Vec<String>,
}

/// What came of all vectors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SelfTest {
    /// One for each vector, in their order.
    pub vectors: Vec<VectorResult>,
}

impl SelfTest {
    /// A sentence for each vector that does not hold.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let failed = self.vectors.iter().filter(|vector| !vector.differences.is_empty());
        failed
            .map(|vector| format!("{:?}: {}", vector.name, vector.differences.join(", ")))
            .collect()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    /// Where the bytes come from; for people.
    #[serde(default, rename = "source")]
    _source: Option<String>,
    #[serde(default = "decode")]
    function: String,
    #[serde(default)]
    context: Told,
    input: Input,
    #[serde(default)]
    expect: Expect,
}

fn decode() -> String {
    Function::Decode.as_str().to_owned()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Told {
    source: String,
    topic: String,
    device: String,
    received_ns: i64,
    settings: Json,
    request: Option<String>,
    state: Option<String>,
    /// The vector before, in the same file, whose state is meant.
    state_of: Option<String>,
    subject: Json,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Input {
    Hex(String),
    Text(String),
    Json(Json),
    Message(Sample),
    Batch(Vec<Self>),
}

/// A message as vectors write it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sample {
    device: String,
    ts: Option<i64>,
    tags: BTreeMap<String, String>,
    values: BTreeMap<String, Json>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Expect {
    messages: Vec<Sample>,
    frames: Vec<String>,
    effects: Vec<Json>,
    /// Hexadecimal, or `*`: any new state.
    state: Option<String>,
    /// The code the plugin reports.
    error: Option<String>,
    /// Of a batch, one for each input.
    items: Option<Vec<Self>>,
}

/// Tries all vectors of a file.
///
/// # Errors
/// The file is none of vectors, or holds more than `vectors_max`.
pub(super) fn run(
    lease: &mut Lease,
    document: &[u8],
    limits: &Limits,
) -> Result<SelfTest, PluginError> {
    let wrong = |message| PluginError::Document { what: "the vectors", message };
    let vectors: Vec<Vector> =
        serde_json::from_slice(document).map_err(|error| wrong(error.to_string()))?;
    if vectors.len() > limits.vectors_max {
        let (found, max) = (vectors.len(), limits.vectors_max);
        return Err(wrong(format!("there are {found}, more than vectors_max = {max}")));
    }
    let mut states: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut results = Vec::new();
    for vector in &vectors {
        let mut sink = Sink::new(limits);
        let differences = match vector.run(lease, &states, &mut sink) {
            Ok(differences) => differences,
            Err(reason) => vec![reason],
        };
        if let Some(state) = sink.state() {
            states.push((&vector.name, state.to_vec()));
        }
        results.push(VectorResult { name: vector.name.clone(), differences });
    }
    Ok(SelfTest { vectors: results })
}

impl Vector {
    /// The differences.
    fn run(
        &self,
        lease: &mut Lease,
        states: &[(&str, Vec<u8>)],
        sink: &mut Sink,
    ) -> Result<Vec<String>, String> {
        let function = Function::from_name(&self.function)
            .ok_or_else(|| format!("there is no function {:?}", self.function))?;
        let settings = Settings::new(&self.context.settings);
        let (request, state) = self.context.bytes(states)?;
        let subject = text_of(&self.context.subject);
        let context = Context {
            settings: settings.view(),
            source: self.context.source.as_str().into(),
            topic: self.context.topic.as_str().into(),
            device: self.context.device.as_str().into(),
            received_ns: self.context.received_ns,
            request: request.as_deref(),
            state: &state,
            subject: subject.as_str().into(),
        };
        if let Input::Batch(inputs) = &self.input {
            return self.run_batch(lease, &context, inputs, sink);
        }
        let input = self.input.bytes()?;
        lease.call_into(function, &context, &input, sink).map_err(|error| error.to_string())?;
        let state = sink.state();
        let mut found = Vec::new();
        for item in sink.items() {
            self.expect.compare(&item, state, &mut found);
        }
        Ok(found)
    }

    fn run_batch(
        &self,
        lease: &mut Lease,
        context: &Context<'_>,
        inputs: &[Input],
        sink: &mut Sink,
    ) -> Result<Vec<String>, String> {
        let inputs: Vec<Vec<u8>> = inputs.iter().map(Input::bytes).collect::<Result<_, _>>()?;
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        lease.decode_batch(context, &inputs, sink);
        let expected = self.expect.items.as_deref().unwrap_or_default();
        if expected.len() != inputs.len() {
            return Err(format!("{} inputs, {} items expected", inputs.len(), expected.len()));
        }
        let mut found = Vec::new();
        for (index, (expect, item)) in expected.iter().zip(sink.items()).enumerate() {
            let mut differences = Vec::new();
            if let Some(failure) = item.failure() {
                differences.push(failure.to_string());
            }
            expect.compare(&item, None, &mut differences);
            found.extend(differences.into_iter().map(|text| format!("items/{index}: {text}")));
        }
        Ok(found)
    }
}

impl Told {
    fn bytes(&self, states: &[(&str, Vec<u8>)]) -> Result<(Option<Vec<u8>>, Vec<u8>), String> {
        let hex =
            |what, text: &Option<String>| text.as_ref().map(|text| bytes(what, text)).transpose();
        let request = hex("context/request", &self.request)?;
        let state = match &self.state_of {
            None => hex("context/state", &self.state)?.unwrap_or_default(),
            Some(name) => {
                let left = states.iter().rev().find(|(known, _)| known == name);
                left.ok_or_else(|| format!("no vector {name:?} before left a state"))?.1.clone()
            }
        };
        Ok((request, state))
    }
}

fn bytes(what: &str, text: &str) -> Result<Vec<u8>, String> {
    hex::decode(text).ok_or_else(|| format!("{what}: {text:?} is no hexadecimal"))
}

fn text_of(json: &Json) -> String {
    if json.is_null() { String::new() } else { json.to_string() }
}

impl Input {
    fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Hex(text) => bytes("input/hex", text),
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Json(json) => Ok(json.to_string().into_bytes()),
            Self::Message(sample) => sample.body(),
            Self::Batch(_) => Err("a batch within a batch".to_owned()),
        }
    }
}

impl Sample {
    /// As `on_msg` reads it.
    fn body(&self) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let mut message =
            MessageWriter::body(&mut out, &self.device, self.ts).map_err(|e| e.to_string())?;
        for (name, value) in &self.tags {
            message.tag(name, value).map_err(|error| error.to_string())?;
        }
        for (name, json) in &self.values {
            let value = value_of(json)?;
            let json;
            let value = match &value {
                Value::Bool(yes) => ValueRef::Bool(*yes),
                Value::I64(number) => ValueRef::I64(*number),
                Value::F64(number) => ValueRef::F64(*number),
                Value::Str(text) => (&**text).into(),
                Value::Bytes(bytes) => ValueRef::Bytes(bytes),
                Value::Time(ns) => ValueRef::Time(*ns),
                Value::Json(structure) => {
                    json = structure.to_string();
                    ValueRef::Json(json.as_str().into())
                }
            };
            message.value(name, value).map_err(|error| error.to_string())?;
        }
        drop(message);
        Ok(out)
    }

    fn matches(&self, found: &MessageView<'_>) -> bool {
        let tags: BTreeMap<&str, &str> =
            found.tags().map(|(name, value)| (&**name, &**value)).collect();
        found.device().map_or("", |key| key) == self.device
            && found.ts_ns() == self.ts
            && tags.len() == self.tags.len()
            && self.tags.iter().all(|(name, value)| tags.get(&**name) == Some(&&**value))
            && found.values().len() == self.values.len()
            && found.values().all(|(name, value)| {
                self.values.get(&**name).is_some_and(|expected| is_value(expected, &value))
            })
    }
}

/// A value as vectors write it: `{"$bytes": hex}` and `{"$time": ns}` are what JSON has no word for.
fn value_of(json: &Json) -> Result<Value, String> {
    if let Some(text) = json.get("$bytes").and_then(Json::as_str) {
        return Ok(Value::Bytes(bytes("$bytes", text)?.into()));
    }
    if let Some(ns) = json.get("$time").and_then(Json::as_i64) {
        return Ok(Value::Time(ns));
    }
    Value::from_json(json.clone()).map_err(|error| error.to_string())
}

fn is_value(expected: &Json, found: &Value) -> bool {
    match (value_of(expected), found) {
        (Ok(Value::I64(expected)), Value::I64(found)) => expected == *found,
        (Ok(expected @ (Value::I64(_) | Value::F64(_))), Value::I64(_) | Value::F64(_)) => {
            expected.as_f64().zip(found.as_f64()).is_some_and(|(a, b)| is_near(a, b))
        }
        (Ok(expected), found) => expected == *found,
        (Err(_), _) => false,
    }
}

fn is_near(expected: f64, found: f64) -> bool {
    (expected - found).abs() <= TOLERANCE * expected.abs().max(found.abs())
}

impl Expect {
    fn compare(&self, item: &Item<'_>, state: Option<&[u8]>, found: &mut Vec<String>) {
        let messages: Vec<_> = item.messages().collect();
        if messages.len() != self.messages.len() {
            let (expected, got) = (self.messages.len(), messages.len());
            found.push(format!("expected {expected} messages, got {got}: {}", show(&messages)));
        } else if let Some(at) = self.differing(&messages) {
            let got = show(messages.get(at..=at).unwrap_or_default());
            found.push(format!("messages/{at}: expected {:?}, got {got}", self.messages.get(at)));
        }
        let frames: Vec<String> = item.frames().iter().map(|frame| hex::encode(frame)).collect();
        let expected: Vec<String> =
            self.frames.iter().map(|text| text.replace(' ', "").to_lowercase()).collect();
        if frames != expected {
            found.push(format!("frames: expected {expected:?}, got {frames:?}"));
        }
        self.compare_effects(item, found);
        let (expected, got) = (self.error.as_deref(), item.reported());
        if expected != got.map(|reported| &*reported.code) {
            found.push(format!("error: expected {expected:?}, got {got:?}"));
        }
        let left = state.map(hex::encode);
        let as_expected = match (self.state.as_deref(), &left) {
            (None, None) | (Some("*"), Some(_)) => true,
            (Some(expected), Some(got)) => expected.replace(' ', "").eq_ignore_ascii_case(got),
            _ => false,
        };
        if !as_expected {
            found.push(format!("state: expected {:?}, got {left:?}", self.state));
        }
    }

    fn differing(&self, messages: &[MessageView<'_>]) -> Option<usize> {
        self.messages.iter().zip(messages).position(|(expected, found)| !expected.matches(found))
    }

    fn compare_effects(&self, item: &Item<'_>, found: &mut Vec<String>) {
        let effects: Vec<Json> = item
            .effects()
            .iter()
            .map(|effect| {
                let mut fields = effect.fields.clone();
                fields.insert("kind".to_owned(), effect.kind.as_str().into());
                Json::Object(fields)
            })
            .collect();
        if effects != self.effects {
            let (expected, got) = (&self.effects, Json::Array(effects));
            found.push(format!("effects: expected {expected:?}, got {got}"));
        }
    }
}

fn show(messages: &[MessageView<'_>]) -> String {
    let shown: Vec<Json> = messages
        .iter()
        .map(|message| {
            let values: serde_json::Map<String, Json> =
                message.values().map(|(name, value)| (name.to_string(), value.to_json())).collect();
            serde_json::json!({
                "device": message.device().map(|key| Arc::clone(key).to_string()),
                "ts": message.ts_ns(),
                "values": values,
            })
        })
        .collect();
    Json::Array(shown).to_string()
}

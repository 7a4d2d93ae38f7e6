//! Trying what was recorded.

use std::path::Path;

use super::{Call, Outcome, expected, hex};
use crate::setting::Setting;
use crate::{Json, Message, PluginHandler, Value, settings};

settings! {
    /// One call and what must come of it.
    struct Vector {
        /// What it shows, as a fact.
        name: String,
        /// Where the bytes come from: a page of a specification, a device, a real encoder.
        source: String,
        /// Which function is called.
        function: String = "decode".to_owned(),
        /// What the call is told.
        context: Told = Told::default(),
        /// What it is given.
        input: Input,
        /// What must come of it; what is not named must be absent.
        expect: Json = Json::Object(Vec::new()),
    }
}

settings! {
    /// What a call is told beside its input.
    #[derive(Default)]
    struct Told {
        source: Option<String>,
        topic: Option<String>,
        device: Option<String>,
        received_ns: Option<i64>,
        settings: Option<Json>,
        /// Hexadecimal.
        request: Option<String>,
        /// Hexadecimal.
        state: Option<String>,
        /// The name of the vector before, in the same file, whose state is meant.
        state_of: Option<String>,
        subject: Option<Json>,
    }
}

settings! {
    /// Exactly one of them.
    struct Input {
        /// Hexadecimal.
        hex: Option<String>,
        text: Option<String>,
        /// A command, of `encode`.
        json: Option<Json>,
        /// Of `on_msg` and `on_action`.
        message: Option<Json>,
        /// Of `decode_batch`: as many of the first two.
        batch: Option<Vec<Json>>,
    }
}

/// Tries every vector in a directory's `*.json` files, in order of their names.
///
/// The format is described in the plugin guide. `fluxhybrid plugin test` tries the same vectors in
/// the sandbox, and a host before it puts a new version to work.
///
/// # Panics
/// With everything that is different from what is expected; when there is no vector at all.
///
/// ```no_run
/// # use flux_plugin_sdk::{PluginHandler, StandardMessage};
/// # struct Meter;
/// # impl PluginHandler for Meter {
/// #     fn on_decode(_: &[u8]) -> StandardMessage { StandardMessage::default() }
/// # }
/// // In a test:
/// flux_plugin_sdk::testing::check_vectors::<Meter>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"));
/// ```
pub fn check_vectors<H: PluginHandler>(directory: impl AsRef<Path>) {
    let directory = directory.as_ref();
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.retain(|path: &std::path::PathBuf| path.extension().is_some_and(|ext| ext == "json"));
    files.sort();
    assert!(!files.is_empty(), "there are no vectors in {}", directory.display());
    let found: Vec<String> = files.iter().flat_map(|file| check_file::<H>(file)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn check_file<H: PluginHandler>(file: &Path) -> Vec<String> {
    let vectors = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let vectors = vectors.and_then(|text| {
        crate::setting::read::<Vec<Vector>>(&text).map_err(|error| error.to_string())
    });
    let file = file.display();
    let vectors = match vectors {
        Ok(vectors) if vectors.is_empty() => return vec![format!("{file}: there are no vectors")],
        Ok(vectors) => vectors,
        Err(error) => return vec![format!("{file}: {error}")],
    };
    let mut states: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut found = Vec::new();
    for vector in &vectors {
        match check::<H>(vector, &states) {
            Ok((differences, state)) => {
                let said = |text| format!("{file}: {:?}: {text}", vector.name);
                found.extend(differences.into_iter().map(said));
                states.extend(state.map(|state| (vector.name.as_str(), state)));
            }
            Err(error) => found.push(format!("{file}: {:?}: {error}", vector.name)),
        }
    }
    found
}

/// The differences, and the state the call left.
type Checked = Result<(Vec<String>, Option<Vec<u8>>), String>;

fn check<H: PluginHandler>(vector: &Vector, states: &[(&str, Vec<u8>)]) -> Checked {
    let call = vector.context.call(states)?;
    let input = &vector.input;
    let outcome = match vector.function.as_str() {
        "decode" => call.decode::<H>(&input.bytes()?),
        "decode_batch" => return check_batch::<H>(&call, vector),
        "encode" => {
            let json = input.json.as_ref().ok_or("/input/json is missing")?;
            let name = json.get("command").and_then(Json::as_str).unwrap_or_default();
            let params = json.get("params").unwrap_or(&Json::Null);
            call.encode::<H>(name, &params.to_string())
        }
        "on_msg" => call.on_msg::<H>(&input.message()?),
        "on_action" => call.on_action::<H>(&input.message()?),
        other => return Err(format!("there is no function {other:?}")),
    };
    Ok((expected::differences(&vector.expect, &outcome), outcome.state))
}

fn check_batch<H: PluginHandler>(call: &Call, vector: &Vector) -> Checked {
    let batch = vector.input.batch.as_ref().ok_or("/input/batch is missing")?;
    let bytes = |json| Input::from_json(json).map_err(|error| error.to_string())?.bytes();
    let inputs = batch.iter().map(bytes).collect::<Result<Vec<_>, String>>()?;
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let outcomes = call.decode_batch::<H>(&inputs);
    let items =
        vector.expect.get("items").and_then(Json::items).ok_or("/expect/items is missing")?;
    if items.len() != outcomes.len() {
        return Err(format!("{} inputs, {} are expected", outcomes.len(), items.len()));
    }
    let differences =
        items.iter().zip(&outcomes).enumerate().flat_map(|(index, (item, outcome))| {
            let found = expected::differences(item, outcome);
            found.into_iter().map(move |text| format!("items/{index}: {text}"))
        });
    let state = outcomes.iter().rev().find_map(|outcome: &Outcome| outcome.state.clone());
    Ok((differences.collect(), state))
}

impl Told {
    fn call(&self, states: &[(&str, Vec<u8>)]) -> Result<Call, String> {
        let mut call = Call::new()
            .source(self.source.as_deref().unwrap_or_default())
            .topic(self.topic.as_deref().unwrap_or_default())
            .device(self.device.as_deref().unwrap_or_default())
            .received_ns(self.received_ns.unwrap_or_default());
        if let Some(settings) = &self.settings {
            call = call.settings(&settings.to_string());
        }
        if let Some(subject) = &self.subject {
            call = call.subject(&subject.to_string());
        }
        if let Some(request) = &self.request {
            call = call.request(&hex::bytes(request)?);
        }
        if let Some(state) = &self.state {
            call = call.state(&hex::bytes(state)?);
        }
        if let Some(name) = &self.state_of {
            let left = states.iter().find(|(known, _)| known == name);
            let (_, state) =
                left.ok_or_else(|| format!("no vector {name:?} before left a state"))?;
            call = call.state(state);
        }
        Ok(call)
    }
}

impl Input {
    fn bytes(&self) -> Result<Vec<u8>, String> {
        match (&self.hex, &self.text) {
            (Some(text), None) => hex::bytes(text),
            (None, Some(text)) => Ok(text.clone().into_bytes()),
            _ => Err("/input: either hex or text".to_owned()),
        }
    }

    fn message(&self) -> Result<Message, String> {
        message_of(self.message.as_ref().ok_or("/input/message is missing")?)
    }
}

pub(super) fn message_of(json: &Json) -> Result<Message, String> {
    let members = |name| json.get(name).and_then(Json::members).unwrap_or_default();
    let mut message = Message::of(json.get("device").and_then(Json::as_str).unwrap_or_default());
    message.time_ns = json.get("ts").and_then(Json::as_i64);
    for (name, value) in members("tags") {
        message = message.tagged(name.as_str(), value.as_str().unwrap_or_default());
    }
    for (name, value) in members("values") {
        message = message.with(name.as_str(), value_of(value)?);
    }
    Ok(message)
}

fn value_of(json: &Json) -> Result<Value, String> {
    let special = |name| json.get(name);
    if let Some(bytes) = special("$bytes") {
        return Ok(Value::Bytes(hex::bytes(bytes.as_str().unwrap_or_default())?));
    }
    if let Some(time) = special("$time") {
        return Ok(Value::Time(time.as_i64().unwrap_or_default()));
    }
    Ok(match json {
        Json::Bool(yes) => Value::Bool(*yes),
        Json::Int(number) => Value::I64(*number),
        Json::Float(number) => Value::F64(*number),
        Json::Text(text) => Value::Text(text.clone()),
        other => Value::Json(other.to_string()),
    })
}

//! Rules for Python: compile, evaluate on a message, see what they would do.

use flux_engine::RuleSettings;
use flux_rules::{Effect, Environment, Input, RuleError};
use flux_types::Coded;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use serde_json::{Value as Json, json};

use crate::convert::{shaped, to_json, to_payload, to_python, to_values};
use crate::door::{Native, guarded};
use crate::failure::{invalid, raised};

const NS_PER_MS: i64 = 1_000_000;
const MESSAGE: &str = "rule.message";
const MEMBERS: [&str; 6] = ["device_id", "product", "topic", "ts", "values", "payload"];

/// Compiles rules and evaluates them on messages. Nothing is carried out.
#[pyclass(frozen, subclass, module = "fluxhybrid._native")]
pub(crate) struct ScriptEngine(Native<flux_rules::ScriptEngine>);

fn parsed<T: serde::de::DeserializeOwned>(
    given: Option<&Bound<'_, PyDict>>,
    code: &str,
) -> PyResult<Option<T>> {
    let Some(given) = given else { return Ok(None) };
    shaped(given.py(), to_json(given, code, "")?, code).map(Some)
}

#[pymethods]
impl ScriptEngine {
    #[new]
    #[pyo3(signature = (env=None, *, limits=None))]
    fn new(env: Option<&Bound<'_, PyDict>>, limits: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        guarded(|| {
            let env: Environment = parsed(env, "rule.env")?.unwrap_or_default();
            let limits: RuleSettings = parsed(limits, "rule.limits")?.unwrap_or_default();
            Ok(Self(Native::new(flux_rules::ScriptEngine::new(&limits.limits(), env))))
        })
    }

    /// Compiles a rule and keeps it under an id, in place of the one kept before.
    fn compile_script(&self, py: Python<'_>, rule_id: &str, source: &str) -> PyResult<()> {
        guarded(|| {
            let engine = self.0.get()?;
            py.detach(|| engine.compile(rule_id, source)).map_err(|error| raised(py, &error))
        })
    }

    /// Evaluates a compiled rule on a message.
    fn eval_message(
        &self,
        py: Python<'_>,
        rule_id: &str,
        message: &Bound<'_, PyDict>,
    ) -> PyResult<Evaluation> {
        guarded(|| {
            let engine = self.0.get()?;
            let message = Message::read(message)?;
            py.detach(|| engine.eval(rule_id, &message.input()))
                .map(Evaluation)
                .map_err(|error| raised(py, &error))
        })
    }

    /// Forgets a rule; says whether there was one.
    fn remove_script(&self, rule_id: &str) -> PyResult<bool> {
        guarded(|| Ok(self.0.get()?.remove(rule_id)))
    }

    /// The ids of the rules kept, sorted.
    fn rule_ids(&self) -> PyResult<Vec<String>> {
        guarded(|| {
            let mut ids = self.0.get()?.rule_ids();
            ids.sort_unstable();
            Ok(ids)
        })
    }
}

/// What a message dictionary says.
struct Message {
    device_id: Option<String>,
    product: Option<String>,
    topic: String,
    ts_ns: i64,
    values: Vec<(std::sync::Arc<str>, flux_types::Value)>,
    payload: Option<bytes::Bytes>,
}

impl Message {
    fn read(given: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = given.py();
        let wrong = |message: &str| invalid(py, MESSAGE, message, None);
        for name in given.keys() {
            let name: String = name.extract().unwrap_or_default();
            if !MEMBERS.contains(&name.as_str()) {
                let hint = format!("a message has {}", MEMBERS.join(", "));
                let message = format!("a message has no member {name:?}");
                return Err(invalid(py, MESSAGE, &message, Some(&hint)));
            }
        }
        let member = |name: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
            Ok(given.get_item(name)?.filter(|found| !found.is_none()))
        };
        let text = |name: &str| -> PyResult<Option<String>> {
            member(name)?
                .map(|found| {
                    let text = found.cast::<PyString>().map_err(|_| ());
                    text.map_err(|()| wrong(&format!("{name} is not text")))?.extract()
                })
                .transpose()
        };
        let ts_ms = member("ts")?.map_or(Ok(0), |ts| {
            ts.extract::<i64>().map_err(|_| wrong("ts is not a whole number of milliseconds"))
        })?;
        let values = match member("values")? {
            None => Vec::new(),
            Some(values) => {
                let values = values.cast::<PyDict>().map_err(|_| wrong("values is no dict"))?;
                to_values(values, MESSAGE, "/values")?
            }
        };
        Ok(Self {
            device_id: text("device_id")?,
            product: text("product")?,
            topic: text("topic")?.unwrap_or_default(),
            ts_ns: ts_ms.checked_mul(NS_PER_MS).ok_or_else(|| wrong("ts is too far from 1970"))?,
            values,
            payload: member("payload")?.map(|payload| to_payload(&payload)).transpose()?,
        })
    }

    fn input(&self) -> Input<'_> {
        Input {
            device_id: self.device_id.as_deref(),
            product: self.product.as_deref(),
            topic: &self.topic,
            ts_ns: self.ts_ns,
            values: &self.values,
            payload: self.payload.as_deref(),
        }
    }
}

/// What came of one evaluation.
#[pyclass(frozen, module = "fluxhybrid._native")]
pub(crate) struct Evaluation(flux_rules::Evaluation);

#[pymethods]
impl Evaluation {
    /// The rule said `true`.
    #[getter]
    fn triggered(&self) -> bool {
        self.0.triggered
    }

    /// What its functions asked for, in order: dicts with a `type`.
    #[getter]
    fn effects<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        guarded(|| {
            let list = PyList::empty(py);
            for effect in &self.0.effects {
                list.append(shown(py, effect)?)?;
            }
            Ok(list)
        })
    }

    /// What it wrote to its log: dicts with `level` and `text`.
    #[getter]
    fn logs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        guarded(|| {
            let list = PyList::empty(py);
            for line in &self.0.logs {
                let line = json!({"level": line.level.as_str(), "text": line.text});
                list.append(to_python(py, &line)?)?;
            }
            Ok(list)
        })
    }

    /// Why it failed: a dict with `code`, `message`, `line`, `column`, `hint`; None if it did not.
    #[getter]
    fn error<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| to_python(py, &self.0.error.as_ref().map_or(Json::Null, failed)))
    }

    /// It stopped because the message lacks a value it needs: no error, and no trigger.
    #[getter]
    fn missing_value(&self) -> bool {
        self.0.missing_value
    }

    /// Operations it took.
    #[getter]
    fn operations(&self) -> u64 {
        self.0.operations
    }

    fn __repr__(&self) -> String {
        let said = if self.0.triggered { "triggered" } else { "not triggered" };
        let failed = if self.0.error.is_some() { ", failed" } else { "" };
        format!("<Evaluation: {said}, {} effects{failed}>", self.0.effects.len())
    }
}

fn failed(error: &RuleError) -> Json {
    let problem = error.to_problem();
    json!({
        "code": error.code(),
        "message": problem.message,
        "line": problem.line,
        "column": problem.column,
        "hint": problem.hint,
    })
}

fn shown<'py>(py: Python<'py>, effect: &Effect) -> PyResult<Bound<'py, PyAny>> {
    let json = match effect {
        Effect::Command { device, command, params } => json!({
            "type": "command", "device": device.as_str(), "command": command, "params": params,
        }),
        Effect::Publish { topic, payload, qos, retain } => {
            let dict = PyDict::new(py);
            dict.set_item("type", "publish")?;
            dict.set_item("topic", topic.as_str())?;
            match std::str::from_utf8(payload) {
                Ok(text) => dict.set_item("payload", text)?,
                Err(_) => dict.set_item("payload", PyBytes::new(py, payload))?,
            }
            dict.set_item("qos", u8::from(*qos))?;
            dict.set_item("retain", retain)?;
            return Ok(dict.into_any());
        }
        Effect::RaiseAlarm { alarm, severity, text } => json!({
            "type": "raise_alarm", "alarm": alarm, "severity": severity, "text": text,
        }),
        Effect::ClearAlarm { alarm } => json!({"type": "clear_alarm", "alarm": alarm}),
        Effect::Webhook { url, payload } => {
            json!({"type": "webhook", "url": url, "payload": payload})
        }
    };
    to_python(py, &json)
}

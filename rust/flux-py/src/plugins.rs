//! Plugins for Python: load, call, see what they say.

use std::path::PathBuf;

use flux_types::{Coded, Problem};
use flux_wasm::{
    Batch, Context, Function, Item, Limits, Options, Package, PluginError, Plugins, Settings, Sink,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use crate::convert::{shaped, to_json, to_python};
use crate::door::{Native, guarded};
use crate::failure::{Failure, invalid, raised};

const CONTEXT: &str = "plugin.context";
const MEMBERS: [&str; 8] =
    ["source", "topic", "device", "received_ns", "settings", "request", "state", "subject"];

impl Failure for PluginError {
    fn text(&self) -> String {
        crate::failure::chain(self)
    }

    fn problems(&self) -> Vec<Problem> {
        self.to_problems()
    }
}

/// Runs plugins in the sandbox, each call on its own.
#[pyclass(frozen, subclass, module = "fluxhybrid._native")]
pub(crate) struct PluginManager(Native<Plugins>);

#[pymethods]
impl PluginManager {
    #[new]
    #[pyo3(signature = (pool_size=4, *, dir=None, store=None, limits=None))]
    fn new(
        py: Python<'_>,
        pool_size: usize,
        dir: Option<PathBuf>,
        store: Option<PathBuf>,
        limits: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        guarded(|| {
            let limits = limits.map(|given| to_json(given, "plugin.limits", "")).transpose()?;
            let mut limits: Limits = match limits {
                Some(given) => shaped(py, given, "plugin.limits")?,
                None => Limits::default(),
            };
            limits.pool_size = pool_size;
            let mut options = Options::new(limits);
            options.directory = dir;
            options.store = store;
            let plugins = py.detach(|| Plugins::open(options));
            plugins.map(|plugins| Self(Native::new(plugins))).map_err(|error| raised(py, &error))
        })
    }

    /// Puts a module in force under an id, in place of what runs there.
    #[pyo3(signature = (plugin_id, wasm, vectors=None, manifest=None))]
    fn install<'py>(
        &self,
        py: Python<'py>,
        plugin_id: &str,
        wasm: Vec<u8>,
        vectors: Option<Vec<u8>>,
        manifest: Option<Vec<u8>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let package = package(wasm, vectors, manifest);
        self.ask(py, |plugins| plugins.install(plugin_id, &package))
    }

    /// Puts the version before the present one in force again.
    fn rollback<'py>(&self, py: Python<'py>, plugin_id: &str) -> PyResult<Bound<'py, PyAny>> {
        self.ask(py, |plugins| plugins.rollback(plugin_id))
    }

    /// Looks at the directory now; the status of each plugin that was looked at.
    fn reload<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.ask(py, Plugins::reload)
    }

    /// Every plugin.
    fn list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.ask(py, |plugins| Ok(plugins.list()))
    }

    /// One plugin.
    fn status<'py>(&self, py: Python<'py>, plugin_id: &str) -> PyResult<Bound<'py, PyAny>> {
        self.ask(py, |plugins| plugins.status(plugin_id))
    }

    /// Calls a function and reads what it says.
    #[pyo3(signature = (plugin_id, function, input, context=None))]
    fn call_plugin<'py>(
        &self,
        py: Python<'py>,
        plugin_id: &str,
        function: &str,
        input: &[u8],
        context: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| {
            let plugins = self.0.get()?;
            let given = Given::read(py, context)?;
            let Some(function) = Function::from_name(function) else {
                let message = format!("{function:?} is no function of plugins");
                return Err(invalid(py, "plugin.not_exported", &message, None));
            };
            let mut sink = Sink::new(plugins.limits());
            let outcome = py.detach(|| {
                let unknown = || PluginError::Unknown { id: plugin_id.to_owned() };
                let plugin = plugins.get(plugin_id).ok_or_else(unknown)?;
                let mut lease = plugin.lease()?;
                match function {
                    Function::Describe => {
                        lease.call(function, &given.context(), input).map(Called::Raw)
                    }
                    Function::DecodeBatch => {
                        let inputs =
                            Batch::read(input).and_then(Iterator::collect::<Result<Vec<_>, _>>);
                        let Ok(inputs) = inputs else {
                            return Ok(Called::Malformed);
                        };
                        let outcome = lease.decode_batch(&given.context(), &inputs, &mut sink);
                        Ok(Called::Read(outcome))
                    }
                    _ => lease
                        .call_into(function, &given.context(), input, &mut sink)
                        .map(Called::Read),
                }
            });
            match outcome.map_err(|error| raised(py, &error))? {
                Called::Malformed => {
                    let hint = "a u32 count, then each input as its u32 length and its bytes";
                    let message = "the input is no batch";
                    Err(invalid(py, "plugin.input", message, Some(hint)))
                }
                Called::Raw(bytes) => Ok(PyBytes::new(py, &bytes).into_any()),
                Called::Read(outcome) => {
                    let state = sink.state().filter(|_| outcome.state_changed);
                    said(py, &sink, &outcome, function == Function::DecodeBatch, state)
                }
            }
        })
    }
}

enum Called {
    /// The input of a batch is none.
    Malformed,
    Raw(Vec<u8>),
    Read(flux_wasm::Outcome),
}

impl PluginManager {
    fn ask<'py, R: serde::Serialize + Send>(
        &self,
        py: Python<'py>,
        question: impl FnOnce(&Plugins) -> Result<R, PluginError> + Send,
    ) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| {
            let plugins = self.0.get()?;
            let answer = py.detach(|| question(plugins)).map_err(|error| raised(py, &error))?;
            let json = serde_json::to_value(answer)
                .map_err(|error| invalid(py, "plugin.host", &error.to_string(), None))?;
            to_python(py, &json)
        })
    }
}

pub(crate) fn package(
    wasm: Vec<u8>,
    vectors: Option<Vec<u8>>,
    manifest: Option<Vec<u8>>,
) -> Package {
    Package { wasm, vectors, manifest }
}

/// A context as a dictionary gives it.
#[derive(Default)]
struct Given {
    source: String,
    topic: String,
    device: String,
    received_ns: i64,
    settings: Settings,
    request: Option<Vec<u8>>,
    state: Vec<u8>,
    subject: String,
}

impl Given {
    fn read(py: Python<'_>, given: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut read = Self::default();
        let Some(given) = given else { return Ok(read) };
        for (name, value) in given {
            let name: String = name.extract().unwrap_or_default();
            let wrong = |expected: &str| {
                invalid(py, CONTEXT, &format!("{name} of a context is not {expected}"), None)
            };
            if value.is_none() {
                continue;
            }
            let text = || value.cast::<PyString>().map(ToString::to_string);
            let bytes = || value.extract::<Vec<u8>>().map_err(|_| wrong("bytes"));
            match name.as_str() {
                "source" => read.source = text().map_err(|_| wrong("text"))?,
                "topic" => read.topic = text().map_err(|_| wrong("text"))?,
                "device" => read.device = text().map_err(|_| wrong("text"))?,
                "received_ns" => {
                    read.received_ns = value.extract().map_err(|_| wrong("a whole number"))?;
                }
                "settings" => {
                    read.settings = Settings::new(&to_json(&value, CONTEXT, "/settings")?)
                }
                "subject" => read.subject = to_json(&value, CONTEXT, "/subject")?.to_string(),
                "request" => read.request = Some(bytes()?),
                "state" => read.state = bytes()?,
                _ => {
                    let hint = format!("a context has {}", MEMBERS.join(", "));
                    let message = format!("a context has no member {name:?}");
                    return Err(invalid(py, CONTEXT, &message, Some(&hint)));
                }
            }
        }
        Ok(read)
    }

    fn context(&self) -> Context<'_> {
        Context {
            settings: self.settings.view(),
            source: self.source.as_str().into(),
            topic: self.topic.as_str().into(),
            device: self.device.as_str().into(),
            received_ns: self.received_ns,
            request: self.request.as_deref(),
            state: &self.state,
            subject: self.subject.as_str().into(),
        }
    }
}

/// What a call said, as a dictionary; of a batch, with one for each input.
fn said<'py>(
    py: Python<'py>,
    sink: &Sink,
    outcome: &flux_wasm::Outcome,
    batch: bool,
    state: Option<&[u8]>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut items = outcome.items.clone().filter_map(|index| sink.item(index));
    let answer = if batch {
        let list = PyList::empty(py);
        for item in items {
            list.append(one(py, item)?)?;
        }
        let answer = PyDict::new(py);
        answer.set_item("items", list)?;
        answer
    } else {
        match items.next_back() {
            Some(item) => one(py, item)?,
            None => PyDict::new(py),
        }
    };
    answer.set_item("state", state.map(|state| PyBytes::new(py, state)))?;
    Ok(answer.into_any())
}

fn one<'py>(py: Python<'py>, item: Item<'_>) -> PyResult<Bound<'py, PyDict>> {
    let answer = PyDict::new(py);
    let messages = PyList::empty(py);
    for view in item.messages() {
        let message = PyDict::new(py);
        message.set_item("device", view.device().map(|key| &**key))?;
        message.set_item("ts", view.ts_ns())?;
        let (tags, values) = (PyDict::new(py), PyDict::new(py));
        for (name, value) in view.tags() {
            tags.set_item(&**name, &**value)?;
        }
        for (name, value) in view.values() {
            match value {
                flux_types::Value::Bytes(bytes) => {
                    values.set_item(&**name, PyBytes::new(py, &bytes))?;
                }
                other => values.set_item(&**name, to_python(py, &other.to_json())?)?,
            }
        }
        message.set_item("tags", tags)?;
        message.set_item("values", values)?;
        messages.append(message)?;
    }
    let effects = PyList::empty(py);
    for effect in item.effects() {
        let fields = to_python(py, &serde_json::Value::Object(effect.fields.clone()))?;
        fields.set_item("type", effect.kind.as_str())?;
        effects.append(fields)?;
    }
    let frames = item.frames().iter().map(|frame| PyBytes::new(py, frame));
    answer.set_item("messages", messages)?;
    answer.set_item("effects", effects)?;
    answer.set_item("frames", PyList::new(py, frames.collect::<Vec<_>>())?)?;
    let error = match (item.reported(), item.failure()) {
        (Some(reported), _) => Some((reported.code.to_string(), reported.text.to_string())),
        (None, Some(failure)) => Some((failure.code().to_owned(), failure.to_string())),
        (None, None) => None,
    };
    let told = error.map(|(code, text)| {
        let told = PyDict::new(py);
        told.set_item("code", code)?;
        told.set_item("text", text)?;
        PyResult::Ok(told)
    });
    answer.set_item("error", told.transpose()?)?;
    Ok(answer)
}

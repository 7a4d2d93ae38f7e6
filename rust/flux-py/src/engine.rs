//! The engine for Python: every question a call of a few lines.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

use flux_bus::WakeFd;
use flux_engine::{EngineError, EngineSettings, Paging};
use flux_types::{Qos, TenantId};
use parking_lot::Mutex;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::Value as Json;

use crate::convert::{shaped, to_json, to_payload, to_python};
use crate::door::{Native, forks, guarded};
use crate::events::EventStream;
use crate::plugins::package;
use crate::failure::{problems_to_python, raised, wrong_qos};

type RustEngine = flux_engine::Engine;

/// Time an engine has to stop when the interpreter ends.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Engines to stop at the end, with the process that made them. Locked only while the interpreter
/// is held, so that no fork finds it locked.
static ENGINES: Mutex<Vec<(u64, Weak<RustEngine>)>> = Mutex::new(Vec::new());

/// The data plane. Methods let other Python threads run while they work.
#[pyclass(frozen, module = "fluxhybrid._native")]
pub(crate) struct Engine(Native<Held>);

struct Held {
    engine: Arc<RustEngine>,
    /// Tells an event loop that a webhook waits.
    outbox: Arc<WakeFd>,
}

/// Stops what was not stopped; the interpreter calls it at its end.
#[pyfunction]
pub(crate) fn _stop_engines(py: Python<'_>) {
    let mine =
        |(made, engine): (u64, Weak<RustEngine>)| engine.upgrade().filter(|_| made == forks());
    let left: Vec<_> = std::mem::take(&mut *ENGINES.lock()).into_iter().filter_map(mine).collect();
    py.detach(|| {
        // all at once: together they have the time of one
        let stopping: Vec<_> = left.into_iter().map(begin_stop).collect();
        let deadline = std::time::Instant::now() + EXIT_TIMEOUT;
        for stopped in stopping {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            finish_stop(&stopped, left);
        }
    });
    crate::logs::flush(py);
}

fn begin_stop(engine: Arc<RustEngine>) -> mpsc::Receiver<bool> {
    let (tell, told) = mpsc::channel();
    let stop = move || {
        // nobody may be waiting any more
        let _ = tell.send(engine.stop());
    };
    if let Err(error) = std::thread::Builder::new().name("engine-stop".to_owned()).spawn(stop) {
        tracing::error!(%error, "the engine cannot be stopped: no thread for it");
    }
    told
}

fn finish_stop(told: &mpsc::Receiver<bool>, timeout: Duration) -> bool {
    told.recv_timeout(timeout).unwrap_or_else(|_| {
        tracing::error!(?timeout, "the engine did not stop in time; recovery will do the rest");
        false
    })
}

impl Engine {
    fn ask<R: Send>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&RustEngine) -> Result<R, EngineError> + Send,
    ) -> PyResult<R> {
        guarded(|| {
            let engine = &self.0.get()?.engine;
            py.detach(|| question(engine)).map_err(|error| raised(py, &error))
        })
    }

    fn ask_json<'py>(
        &self,
        py: Python<'py>,
        question: impl FnOnce(&RustEngine) -> Result<Json, EngineError> + Send,
    ) -> PyResult<Bound<'py, PyAny>> {
        let json = self.ask(py, question)?;
        guarded(|| to_python(py, &json))
    }
}

#[pymethods]
impl Engine {
    /// An engine that does not run yet. `settings` is JSON.
    #[new]
    fn new(py: Python<'_>, settings: &str) -> PyResult<Self> {
        guarded(|| {
            let settings: Json = serde_json::from_str(settings)
                .map_err(|error| raised(py, &EngineError::Settings(error.to_string())))?;
            let settings: EngineSettings = shaped(py, settings, "engine.settings")?;
            let engine = Arc::new(RustEngine::new(settings));
            let mut engines = ENGINES.lock();
            engines.retain(|(_, engine)| engine.strong_count() > 0);
            engines.push((forks(), Arc::downgrade(&engine)));
            let outbox = Arc::new(WakeFd::new().map_err(PyOSError::new_err)?);
            Ok(Self(Native::new(Held { engine, outbox })))
        })
    }

    /// Starts it; gives the addresses bound, by protocol. Harmless when it runs.
    fn start<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        guarded(|| {
            let outbox = Arc::clone(&self.0.get()?.outbox);
            let address = self.ask(py, |engine| {
                engine.start()?;
                engine.on_webhook(outbox)?;
                Ok(engine.mqtt_address())
            })?;
            let addresses = PyDict::new(py);
            if let Some(address) = address {
                addresses.set_item("mqtt", address.to_string())?;
            }
            Ok(addresses)
        })
    }

    /// Stops it; False if something had to be left to recovery. Harmless when repeated.
    fn stop(&self, py: Python<'_>, timeout_ms: u64) -> PyResult<bool> {
        guarded(|| {
            let engine = Arc::clone(&self.0.get()?.engine);
            let timeout = Duration::from_millis(timeout_ms);
            Ok(py.detach(|| finish_stop(&begin_stop(engine), timeout)))
        })
    }

    /// The generation in force.
    fn generation(&self) -> PyResult<u64> {
        guarded(|| Ok(self.0.get()?.engine.generation().0))
    }

    /// What is wrong with a configuration or a change, as JSON: a list of `Problem`.
    fn check(&self, py: Python<'_>, document: &str) -> PyResult<Vec<Py<PyAny>>> {
        let problems = self.ask(py, |engine| engine.check(document))?;
        guarded(|| problems_to_python(py, &problems))
    }

    /// Puts a configuration or a change, as JSON, in force; gives its generation.
    fn apply(&self, py: Python<'_>, document: &str) -> PyResult<u64> {
        self.ask(py, |engine| engine.apply(document)).map(|generation| generation.0)
    }

    /// The last values of a device, or None.
    fn latest<'py>(
        &self,
        py: Python<'py>,
        tenant: u32,
        device: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.ask_json(py, |engine| engine.latest(TenantId(tenant), device))
    }

    /// By device: whether it is connected.
    fn status<'py>(
        &self,
        py: Python<'py>,
        tenant: u32,
        devices: Vec<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.ask_json(py, |engine| engine.status(TenantId(tenant), &devices))
    }

    /// Firings, newest first.
    fn firings<'py>(
        &self,
        py: Python<'py>,
        tenant: u32,
        rule: Option<&str>,
        device: Option<&str>,
        before: Option<String>,
        limit: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let paging = Paging { before, limit };
        self.ask_json(py, |engine| engine.firings(TenantId(tenant), rule, device, paging))
    }

    /// Alarms, newest first.
    fn alarms<'py>(
        &self,
        py: Python<'py>,
        tenant: u32,
        state: Option<&str>,
        device: Option<&str>,
        before: Option<String>,
        limit: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let paging = Paging { before, limit };
        self.ask_json(py, |engine| engine.alarms(TenantId(tenant), state, device, paging))
    }

    /// Somebody has seen an alarm.
    fn acknowledge_alarm<'py>(
        &self,
        py: Python<'py>,
        tenant: u32,
        alarm: &str,
        who: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.ask_json(py, |engine| engine.acknowledge_alarm(TenantId(tenant), alarm, who))
    }

    /// An alarm is over.
    fn clear_alarm<'py>(
        &self,
        py: Python<'py>,
        tenant: u32,
        alarm: &str,
        who: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.ask_json(py, |engine| engine.clear_alarm(TenantId(tenant), alarm, who))
    }

    /// Commands, newest first.
    fn commands<'py>(
        &self,
        py: Python<'py>,
        tenant: u32,
        device: Option<&str>,
        status: Option<&str>,
        before: Option<String>,
        limit: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let paging = Paging { before, limit };
        self.ask_json(py, |engine| engine.commands(TenantId(tenant), device, status, paging))
    }

    /// One command, or None.
    fn command<'py>(&self, py: Python<'py>, tenant: u32, id: &str) -> PyResult<Bound<'py, PyAny>> {
        self.ask_json(py, |engine| engine.command(TenantId(tenant), id))
    }

    /// Queues a command; gives its id. It is on disk then.
    fn send_command(
        &self,
        py: Python<'_>,
        tenant: u32,
        device: &str,
        command: &str,
        params: &Bound<'_, PyAny>,
        max_age_ms: u64,
    ) -> PyResult<String> {
        let params = guarded(|| to_json(params, "command.params", "/params"))?;
        let max_age = Some(Duration::from_millis(max_age_ms));
        let id = self.ask(py, |engine| {
            engine.send_command(TenantId(tenant), device, command, params, max_age)
        })?;
        Ok(id.to_string())
    }

    /// Publishes as if a client had.
    fn publish(
        &self,
        py: Python<'_>,
        tenant: u32,
        topic: &str,
        payload: &Bound<'_, PyAny>,
        qos: u8,
    ) -> PyResult<()> {
        guarded(|| {
            let qos = Qos::try_from(qos).map_err(|error| wrong_qos(py, error))?;
            let payload = to_payload(payload)?.to_vec();
            self.ask(py, |engine| engine.publish(TenantId(tenant), topic, payload, qos))
        })
    }

    /// Every plugin with its health.
    fn plugins<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.ask_json(py, RustEngine::plugins)
    }

    /// One plugin.
    fn plugin<'py>(&self, py: Python<'py>, plugin_id: &str) -> PyResult<Bound<'py, PyAny>> {
        self.ask_json(py, |engine| engine.plugin(plugin_id))
    }

    /// Puts a plugin in force, in place of what runs under that id.
    #[pyo3(signature = (plugin_id, wasm, vectors=None, manifest=None))]
    fn install_plugin<'py>(
        &self,
        py: Python<'py>,
        plugin_id: &str,
        wasm: Vec<u8>,
        vectors: Option<Vec<u8>>,
        manifest: Option<Vec<u8>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let package = package(wasm, vectors, manifest);
        self.ask_json(py, |engine| engine.install_plugin(plugin_id, &package))
    }

    /// Puts the version before the present one in force again.
    fn roll_back_plugin<'py>(
        &self,
        py: Python<'py>,
        plugin_id: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.ask_json(py, |engine| engine.roll_back_plugin(plugin_id))
    }

    /// Removes a plugin that was installed.
    fn remove_plugin(&self, py: Python<'_>, plugin_id: &str) -> PyResult<()> {
        self.ask(py, |engine| engine.remove_plugin(plugin_id))
    }

    /// Looks at the plugins' directory now; the status of each plugin that was looked at.
    fn reload_plugins<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.ask_json(py, RustEngine::reload_plugins)
    }

    /// Live events of a tenant, of these kinds or of all.
    #[pyo3(signature = (tenant, kinds=None))]
    fn events(
        &self,
        py: Python<'_>,
        tenant: u32,
        kinds: Option<Vec<String>>,
    ) -> PyResult<EventStream> {
        guarded(|| EventStream::open(py, &self.0.get()?.engine, tenant, kinds))
    }

    /// A descriptor that is readable when a webhook waits.
    fn outbox_fileno(&self) -> PyResult<RawFd> {
        guarded(|| Ok(self.0.get()?.outbox.as_fd().as_raw_fd()))
    }

    /// Makes that descriptor unreadable until another waits; then take.
    fn outbox_clear(&self) -> PyResult<()> {
        guarded(|| {
            self.0.get()?.outbox.clear();
            Ok(())
        })
    }

    /// Up to `limit` webhooks to deliver; each is handed out once until completed or given back.
    fn take_outbox<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyAny>> {
        self.ask_json(py, |engine| engine.take_webhooks(limit))
    }

    /// A webhook was delivered or is given up; False if it does not wait any more.
    fn complete_outbox(
        &self,
        py: Python<'_>,
        entry_id: &str,
        ok: bool,
        detail: &str,
        attempts: u32,
    ) -> PyResult<bool> {
        self.ask(py, |engine| engine.complete_webhook(entry_id, ok, detail, attempts))
    }

    /// A webhook that was taken waits again.
    fn give_back_outbox(&self, py: Python<'_>, entry_id: &str) -> PyResult<()> {
        self.ask(py, |engine| engine.give_back_webhook(entry_id))
    }

    /// The metrics, in the Prometheus text format.
    fn metrics_text(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, RustEngine::metrics_text)
    }

    /// How it is: `status` is `ok`, `failing` or `stopped`.
    fn health<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.ask_json(py, |engine| match engine.health() {
            Err(EngineError::Stopped) => Ok(serde_json::json!({"status": "stopped"})),
            Err(error) => Err(error),
            Ok(health) => Ok(serde_json::json!({
                "status": if health.is_well() { "ok" } else { "failing" },
                "log_stopped": health.log_stopped,
                "shards_alive": health.pipeline.shards_alive,
                "shards": health.pipeline.shards,
                "outbox_alive": health.pipeline.outbox_alive,
                "lag_records": health.pipeline.lag_records,
            })),
        })
    }
}

//! The engine: start, reconfigure, stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flux_bus::Doorbell;
use flux_log::{Log, Subscription};
use flux_mqtt::Broker;
use flux_mqtt::codec::Reason;
use flux_net::{Listeners, Server, ServerConfig};
use flux_pipeline::ports::Delivery;
use flux_pipeline::{Ingest, LiveTap, Pipeline, PipelineHealth, PipelineParts};
use flux_registry::{Applied, ApplyError, ConfigurationFile, Delta, Document, Registry};
use flux_types::{Generation, Instants, Message, Problem, Qos, SourceId, TenantId, Topic};
use flux_wasm::Plugins;
use parking_lot::{Mutex, RwLock};

use crate::access::RegistryAccess;
use crate::clockwork::Clockwork;
use crate::delivery::MqttDelivery;
use crate::error::EngineError;
use crate::keeper::Keeper;
use crate::mqtt::{MqttProtocol, Waiting};
use crate::publisher::Publisher;
use crate::scripts::Scripts;
use crate::settings::{EngineSettings, MqttSettings};

/// The data plane of one process.
///
/// Made with its settings, given a configuration, started, reconfigured while it runs, stopped.
/// Stopping twice does nothing; dropping stops.
pub struct Engine {
    settings: EngineSettings,
    registry: Arc<Registry>,
    scripts: Arc<Scripts>,
    keeper: Keeper,
    running: RwLock<Option<Arc<Running>>>,
    /// One start, stop or change at a time.
    order: Mutex<()>,
}

/// What there is while it runs.
pub(crate) struct Running {
    pub(crate) log: Log,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) server: Mutex<Option<Server>>,
    pub(crate) plugins: Plugins,
    access: Arc<RegistryAccess>,
    publisher: Arc<Publisher>,
    clock: Instants,
    clockwork: Clockwork,
    mqtt_address: Option<SocketAddr>,
    /// Taken away before the log is closed.
    subscriptions: Mutex<Vec<Subscription>>,
}

/// How the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Why the log stopped, if it did.
    pub log_stopped: Option<String>,
    /// The pipeline's threads and lag.
    pub pipeline: PipelineHealth,
}

impl Health {
    /// Whether everything works.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.log_stopped.is_none()
            && self.pipeline.outbox_alive
            && self.pipeline.shards_alive == self.pipeline.shards
    }
}

impl Engine {
    /// An engine that does not run yet. Touches no file and opens no socket.
    #[must_use]
    pub fn new(settings: EngineSettings) -> Self {
        let scripts = Arc::new(Scripts::new(settings.rules.limits()));
        let check: Arc<dyn flux_registry::ScriptCheck> = scripts.clone();
        let registry = Arc::new(Registry::new(check, flux_registry::Limits::default()));
        let file = ConfigurationFile::new(settings.data_dir.join("configuration"));
        let keeper = Keeper::new(file);
        Self {
            settings,
            registry,
            scripts,
            keeper,
            running: RwLock::default(),
            order: Mutex::new(()),
        }
    }

    /// The compiled configuration.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Starts: opens the log, restores the views, opens the listener last. Without a configuration
    /// given before, the one last in force is read from the data directory.
    ///
    /// # Errors
    /// [`EngineError`]; nothing runs then.
    pub fn start(&self) -> Result<(), EngineError> {
        let _one_at_a_time = self.order.lock();
        if self.running.read().is_some() {
            return Ok(());
        }
        // taken first: a port in use must not cost a recovery
        let listeners = match &self.settings.mqtt {
            Some(mqtt) => Some(Listeners::bind(&flux_net::resolve(&mqtt.host, mqtt.port)?)?),
            None => None,
        };
        create_data_dir(&self.settings)?;
        let log = Log::open(self.settings.log_options())?;
        let outcome = self.start_over(log.clone(), listeners);
        if outcome.is_err() {
            // the directory must not stay locked by what does not run
            let _ = log.close();
        }
        *self.running.write() = Some(Arc::new(outcome?));
        Ok(())
    }

    fn start_over(&self, log: Log, listeners: Option<Listeners>) -> Result<Running, EngineError> {
        if self.registry.current().generation() == Generation::default()
            && let Some(document) = self.keeper.file().load()?
        {
            self.registry.replace(document)?;
        }
        let clock = Instants::start();
        let mqtt = self.settings.mqtt.clone().unwrap_or_default();
        let access =
            Arc::new(RegistryAccess::new(Arc::clone(&self.registry), mqtt.allow_anonymous));
        let broker = Broker::new(mqtt.limits(), access.clone());
        let delivery: Arc<dyn Delivery> = Arc::new(MqttDelivery(Arc::clone(broker.router())));
        let plugins = Plugins::open(self.settings.plugin_options())?;
        crate::plugins::want(&plugins, self.registry.snapshot().plugin_uses());
        let workers = if listeners.is_some() { mqtt.workers } else { 0 };
        let parts = PipelineParts {
            log: log.clone(),
            registry: Arc::clone(&self.registry),
            delivery: Arc::clone(&delivery),
            clock,
            ingests: workers + 1,
            rule_limits: self.settings.rules.limits(),
            plugins: plugins.clone(),
        };
        let (pipeline, mut ingests) = Pipeline::start(self.settings.pipeline(), parts)?;
        let pipeline = Arc::new(pipeline);
        access.set_pipeline(&pipeline);
        let own = ingests.pop().ok_or(EngineError::Stopped)?;
        let publisher = Arc::new(Publisher::new(log.clone(), own, delivery));
        let clockwork = Clockwork::start(Arc::clone(&broker), Arc::clone(&publisher), clock)?;
        let mut running = Running {
            log,
            pipeline,
            broker,
            server: Mutex::default(),
            plugins,
            access,
            publisher,
            clock,
            clockwork,
            mqtt_address: None,
            subscriptions: Mutex::default(),
        };
        if let Some(listeners) = listeners {
            running.listen(listeners, &mqtt, ingests)?;
        }
        Ok(running)
    }

    /// Stops in bounded time: the listener first, then what is on disk is decided and done, then
    /// the log is closed. False if something had to be left to recovery.
    pub fn stop(&self) -> bool {
        let _one_at_a_time = self.order.lock();
        let running = self.running.write().take();
        self.keeper.stop();
        running.is_none_or(|running| running.stop())
    }

    pub(crate) fn running(&self) -> Result<Arc<Running>, EngineError> {
        self.running.read().clone().ok_or(EngineError::Stopped)
    }

    /// The address of the MQTT listener.
    #[must_use]
    pub fn mqtt_address(&self) -> Option<SocketAddr> {
        self.running.read().as_ref().and_then(|running| running.mqtt_address)
    }

    pub(crate) fn eventbus_capacity(&self) -> usize {
        self.settings.eventbus.capacity
    }

    /// The generation in force.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.registry.current().generation()
    }

    /// What is wrong with a configuration document or a change, as JSON; changes nothing.
    ///
    /// # Errors
    /// It is a change made from another generation.
    pub fn check(&self, json: &str) -> Result<Vec<Problem>, EngineError> {
        let limits = flux_registry::Limits::default();
        let outcome = ConfigurationText::read(json).and_then(|text| match text {
            ConfigurationText::Document(document) => {
                flux_registry::compile_within(document, &*self.scripts, &limits)
                    .map(drop)
                    .map_err(ApplyError::Invalid)
            }
            ConfigurationText::Delta(delta) => {
                let base = self.registry.snapshot();
                flux_registry::compile_delta(&base, delta, &*self.scripts, &limits).map(drop)
            }
        });
        match outcome {
            Ok(()) => Ok(Vec::new()),
            Err(ApplyError::Invalid(problems)) => Ok(problems),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts a document or a change, as JSON, in force: whole or not at all. When this returns, the
    /// shards run it, and whoever has lost their rights is being disconnected. It is written down
    /// soon after, at the latest when the engine stops.
    ///
    /// # Errors
    /// [`EngineError::Apply`] with everything that is wrong.
    pub fn apply(&self, json: &str) -> Result<Generation, EngineError> {
        let _one_at_a_time = self.order.lock();
        // first: once it is in force it must not be told that it is not
        create_data_dir(&self.settings)?;
        let applied = match ConfigurationText::read(json)? {
            ConfigurationText::Document(document) => self.registry.replace(document)?,
            ConfigurationText::Delta(delta) => self.registry.apply(delta)?,
        };
        if let Some(running) = &*self.running.read() {
            running.configure(&applied);
        }
        let generation = applied.snapshot.generation();
        self.keeper.keep(applied.snapshot)?;
        Ok(generation)
    }

    /// Publishes a message as if a client had; with a promise, it is on disk when this returns.
    ///
    /// # Errors
    /// [`EngineError`]; it was not taken then.
    pub fn publish(
        &self,
        tenant: TenantId,
        topic: &str,
        payload: Vec<u8>,
        qos: Qos,
    ) -> Result<(), EngineError> {
        let running = self.running()?;
        let topic = Topic::new(topic).map_err(|error| EngineError::Invalid(error.to_string()))?;
        if topic.is_reserved() {
            let reason = "topics that begin with $ are the server's".to_owned();
            return Err(EngineError::Invalid(reason));
        }
        if payload.len() > running.broker.limits().packet_bytes_max {
            let most = running.broker.limits().packet_bytes_max;
            return Err(EngineError::Invalid(format!("a payload has at most {most} bytes")));
        }
        running.publisher.publish(Message {
            tenant,
            source: SourceId::new("api"),
            topic,
            payload: payload.into(),
            qos,
            retain: false,
            received: running.clock.now(),
            hops: 0,
            properties: None,
        })?;
        Ok(())
    }

    /// Listens to what happens in a tenant: to events of one kind (of
    /// [`flux_pipeline::LiveEvent::KINDS`]), or to all. Rings the bell given.
    ///
    /// # Errors
    /// The engine does not run, or too many listen.
    pub fn tap(
        &self,
        tenant: TenantId,
        kind: Option<&str>,
        doorbell: Doorbell,
    ) -> Result<LiveTap, EngineError> {
        Ok(self.running()?.pipeline.live().tap(tenant, kind, doorbell)?)
    }

    /// How it is.
    ///
    /// # Errors
    /// It does not run.
    pub fn health(&self) -> Result<Health, EngineError> {
        let running = self.running()?;
        Ok(Health {
            log_stopped: running.log.stopped().map(|cause| cause.to_string()),
            pipeline: running.pipeline.health(),
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Running {
    fn listen(
        &mut self,
        listeners: Listeners,
        mqtt: &MqttSettings,
        ingests: Vec<Ingest>,
    ) -> Result<(), EngineError> {
        let waiting: Arc<[Waiting]> = (0..mqtt.workers).map(|_| Waiting::default()).collect();
        let protocol = MqttProtocol {
            broker: Arc::clone(&self.broker),
            access: Arc::clone(&self.access),
            pipeline: Arc::clone(&self.pipeline),
            clock: self.clock,
            ingests: Mutex::new(ingests),
            waiting: Arc::clone(&waiting),
        };
        let config = ServerConfig {
            name: "mqtt".to_owned(),
            workers: mqtt.workers,
            limits: mqtt.net_limits(),
        };
        let server = Server::start(listeners, &config, protocol)?;
        self.mqtt_address = server.local_addresses().first().copied();
        let wakers = server.wakers();
        let wake = move || {
            for waker in wakers.iter() {
                if waiting.get(waker.worker()).is_some_and(Waiting::get) {
                    waker.wake();
                }
            }
        };
        let wake = Arc::new(wake);
        let mut subscriptions = self.subscriptions.lock();
        let on_room = Arc::clone(&wake);
        subscriptions.push(self.log.on_commit(move |_| wake()));
        subscriptions.push(self.log.on_room(move || on_room()));
        *self.server.lock() = Some(server);
        Ok(())
    }

    fn configure(&self, applied: &Applied) {
        crate::plugins::want(&self.plugins, applied.plugin_uses());
        for problem in self.pipeline.configure(applied) {
            tracing::error!(%problem, "a part of the configuration does not work");
        }
        for (tenant, id) in self.access.dismissed(&applied.changes) {
            self.broker.sessions().disconnect_principal(tenant, &id, Reason::NOT_AUTHORIZED);
        }
    }

    fn stop(&self) -> bool {
        let mut clean = true;
        if let Some(mut server) = self.server.lock().take()
            && let Err(error) = server.stop()
        {
            tracing::error!(%error, "the listener did not stop in time");
            clean = false;
        }
        self.clockwork.stop();
        clean &= self.pipeline.stop();
        self.subscriptions.lock().clear();
        if let Err(error) = self.log.close() {
            tracing::error!(%error, "the log was not closed in order");
            clean = false;
        }
        clean
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A configuration as text: a change says what it was made from.
enum ConfigurationText {
    Document(Document),
    Delta(Delta),
}

/// What tells a change from a document.
#[derive(serde::Deserialize)]
struct Peek {
    base_generation: Option<serde::de::IgnoredAny>,
}

impl ConfigurationText {
    /// Reads it, with everything that is wrong.
    fn read(json: &str) -> Result<Self, ApplyError> {
        let is_delta =
            serde_json::from_str::<Peek>(json).is_ok_and(|p| p.base_generation.is_some());
        if is_delta {
            Delta::from_json(json.as_bytes()).map(Self::Delta).map_err(ApplyError::Invalid)
        } else {
            Document::from_json(json.as_bytes()).map(Self::Document).map_err(ApplyError::Invalid)
        }
    }
}

fn create_data_dir(settings: &EngineSettings) -> Result<(), EngineError> {
    std::fs::create_dir_all(&settings.data_dir).map_err(|error| {
        EngineError::Settings(format!("data_dir {}: {error}", settings.data_dir.display()))
    })
}

/// The least time between two looks at wills and expired sessions.
pub(crate) const CLOCKWORK_PERIOD: Duration = Duration::from_millis(200);

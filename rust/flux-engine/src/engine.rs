//! The engine: start, reconfigure, stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flux_bus::Doorbell;
use flux_log::{Log, Subscription};
use flux_mqtt::Broker;
use flux_mqtt::codec::Reason;
use flux_net::Server;
use flux_pipeline::ports::Delivery;
use flux_pipeline::{LiveTap, Pipeline, PipelineHealth, PipelineParts};
use flux_registry::{Applied, ApplyError, ConfigurationFile, Delta, Document, Registry};
use flux_tsdb::{LogSpan, Store, Upkeep};
use flux_types::{Generation, Instants, Message, Problem, Qos, SourceId, TenantId, Topic};
use flux_wasm::Plugins;
use parking_lot::{Mutex, RwLock};

use crate::access::RegistryAccess;
use crate::clockwork::Clockwork;
use crate::delivery::MqttDelivery;
use crate::error::EngineError;
use crate::gateway::http::HttpCounters;
use crate::gateway::{
    AnyDelivery, Codecs, GatewayParts, GatewayShared, PluginCodec, RegistryDirectory,
};
use crate::keeper::Keeper;
use crate::listening::{GatewayListeners, Taken};
use crate::publisher::Publisher;
use crate::scripts::Scripts;
use crate::settings::EngineSettings;

/// The data plane of one process.
///
/// Made with its settings, given a configuration, started, reconfigured while it runs, stopped.
/// Stopping twice does nothing; dropping stops.
pub struct Engine {
    settings: EngineSettings,
    registry: Arc<Registry>,
    scripts: Arc<Scripts>,
    keeper: Keeper,
    /// What only protocol plugins know; set before the start.
    plugins: RwLock<GatewayPlugins>,
    running: RwLock<Option<Arc<Running>>>,
    /// One start, stop or change at a time.
    order: Mutex<()>,
}

/// What only protocol plugins know.
#[derive(Clone, Default)]
pub struct GatewayPlugins {
    /// Writes commands and recognises answers of the devices it speaks with; for others
    /// [`flux_gateway::JsonCodec`] does.
    pub codec: Option<Arc<dyn flux_gateway::LineCodec>>,
    /// Finds frames where the framing is `plugin`; nothing is ever a frame where none is given.
    pub scanner: Option<Arc<dyn flux_gateway::FrameScanner>>,
}

/// What there is while it runs.
pub(crate) struct Running {
    pub(crate) log: Log,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) server: Mutex<Option<Server>>,
    pub(crate) plugins: Plugins,
    pub(crate) series: Store,
    /// Flushes, merges and retires blocks as long as it is there.
    upkeep: Mutex<Option<Upkeep>>,
    pub(crate) http: Mutex<Option<Server>>,
    pub(crate) gateway_server: Mutex<Option<Server>>,
    pub(crate) gateway: Option<Arc<GatewayShared>>,
    pub(crate) http_counters: Arc<HttpCounters>,
    pub(crate) access: Arc<RegistryAccess>,
    publisher: Arc<Publisher>,
    pub(crate) clock: Instants,
    clockwork: Clockwork,
    pub(crate) mqtt_address: Option<SocketAddr>,
    pub(crate) devices_address: Option<SocketAddr>,
    pub(crate) gateway_addresses: Vec<(String, SocketAddr)>,
    /// Taken away before the log is closed.
    pub(crate) subscriptions: Mutex<Vec<Subscription>>,
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
            plugins: RwLock::default(),
            running: RwLock::default(),
            order: Mutex::new(()),
        }
    }

    /// Has products with a protocol plugin spoken with through it: who writes their commands and
    /// recognises their answers, and who finds their frames. Counts from the next start; what is not
    /// given stays as it was.
    pub fn set_gateway_plugins(&self, plugins: GatewayPlugins) {
        let mut known = self.plugins.write();
        known.codec = plugins.codec.or_else(|| known.codec.take());
        known.scanner = plugins.scanner.or_else(|| known.scanner.take());
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
        let listeners = Taken::bind(&self.settings)?;
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

    fn start_over(&self, log: Log, listeners: Taken) -> Result<Running, EngineError> {
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
        let mqtt_delivery = Arc::new(MqttDelivery(Arc::clone(broker.router())));
        let any_delivery = Arc::new(AnyDelivery::new(mqtt_delivery));
        let delivery: Arc<dyn Delivery> = any_delivery.clone();
        let plugins = Plugins::open(self.settings.plugin_options())?;
        crate::plugins::want(&plugins, self.registry.snapshot().plugin_uses());
        let series = Store::open({
            let mut options = self.settings.store_options();
            options.log = Some(LogSpan { oldest: log.oldest(), committed: log.committed() });
            options
        })?;
        let upkeep = Upkeep::start(&series).map_err(EngineError::thread)?;
        let devices = self.settings.devices.clone().unwrap_or_default();
        let workers = [
            listeners.mqtt.as_ref().map_or(0, |_| mqtt.workers),
            listeners.http.as_ref().map_or(0, |_| devices.workers),
            listeners.gateway.as_ref().map_or(0, |gateway| gateway.settings.workers),
        ];
        let parts = PipelineParts {
            log: log.clone(),
            registry: Arc::clone(&self.registry),
            delivery: Arc::clone(&delivery),
            clock,
            ingests: workers.iter().sum::<usize>() + 1,
            rule_limits: self.settings.rules.limits(),
            plugins: plugins.clone(),
            series: Some(series.clone()),
        };
        let (pipeline, mut ingests) = Pipeline::start(self.settings.pipeline(), parts)?;
        let pipeline = Arc::new(pipeline);
        access.set_pipeline(&pipeline);
        let own = ingests.pop().ok_or(EngineError::Stopped)?;
        let publisher = Arc::new(Publisher::new(log.clone(), own, Arc::clone(&delivery)));
        let clockwork = Clockwork::start(
            Arc::clone(&broker),
            Arc::clone(&publisher),
            Arc::clone(&pipeline),
            clock,
        )?;
        let mut running = Running {
            log,
            pipeline,
            broker,
            server: Mutex::default(),
            plugins,
            series,
            upkeep: Mutex::new(Some(upkeep)),
            http: Mutex::default(),
            gateway_server: Mutex::default(),
            gateway: None,
            http_counters: Arc::default(),
            access,
            publisher,
            clock,
            clockwork,
            mqtt_address: None,
            devices_address: None,
            gateway_addresses: Vec::new(),
            subscriptions: Mutex::default(),
        };
        if let Some(listeners) = listeners.gateway {
            let own = ingests.split_off(ingests.len().saturating_sub(workers[2]));
            let shared = self.gateway(&listeners, clock, &running.plugins);
            any_delivery.set_gateway(&shared);
            running.gateway = Some(Arc::clone(&shared));
            running.listen_gateway(listeners, shared, own, &delivery)?;
        }
        if let Some(listeners) = listeners.http {
            let own = ingests.split_off(ingests.len().saturating_sub(devices.workers));
            running.listen_http(listeners, &devices, own, &self.registry, &delivery)?;
        }
        if let Some(listeners) = listeners.mqtt {
            running.listen(listeners, &mqtt, ingests)?;
        }
        Ok(running)
    }

    fn gateway(
        &self,
        listeners: &GatewayListeners,
        clock: Instants,
        hosted: &Plugins,
    ) -> Arc<GatewayShared> {
        let directory = Arc::new(RegistryDirectory::new(Arc::clone(&self.registry)));
        let plugins = self.plugins.read();
        let codec = Codecs {
            plugins: Some(plugins.codec.clone().unwrap_or_else(|| {
                let (registry, hosted) = (Arc::clone(&self.registry), hosted.clone());
                Arc::new(PluginCodec::new(registry, hosted))
            })),
            json: flux_gateway::JsonCodec::new(directory.clone()),
        };
        GatewayShared::new(GatewayParts {
            settings: listeners.settings.clone(),
            registry: Arc::clone(&self.registry),
            codec: Arc::new(codec),
            scanner: plugins.scanner.clone().unwrap_or_else(|| Arc::new(flux_gateway::NoScanner)),
            directory: directory.clone(),
            clock,
            streams: listeners.streams.clone(),
            datagrams: listeners.datagrams.clone(),
        })
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

    /// The address of the HTTP listener for devices.
    #[must_use]
    pub fn devices_address(&self) -> Option<SocketAddr> {
        self.running.read().as_ref().and_then(|running| running.devices_address)
    }

    /// The addresses of the gateway's listeners, by their names.
    #[must_use]
    pub fn gateway_addresses(&self) -> Vec<(String, SocketAddr)> {
        let running = self.running.read();
        running.as_ref().map(|running| running.gateway_addresses.clone()).unwrap_or_default()
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
    fn configure(&self, applied: &Applied) {
        crate::plugins::want(&self.plugins, applied.plugin_uses());
        for problem in self.pipeline.configure(applied) {
            tracing::error!(%problem, "a part of the configuration does not work");
        }
        if let Some(gateway) = &self.gateway {
            gateway.configure(applied);
        }
        for (tenant, id) in self.access.dismissed(&applied.changes) {
            self.broker.sessions().disconnect_principal(tenant, &id, Reason::NOT_AUTHORIZED);
        }
    }

    fn stop(&self) -> bool {
        let mut clean = true;
        for server in [&self.http, &self.gateway_server, &self.server] {
            if let Some(mut server) = server.lock().take()
                && let Err(error) = server.stop()
            {
                tracing::error!(%error, "a listener did not stop in time");
                clean = false;
            }
        }
        if let Some(gateway) = &self.gateway {
            gateway.stop();
        }
        self.clockwork.stop();
        clean &= self.pipeline.stop();
        drop(self.upkeep.lock().take());
        if let Err(error) = self.series.close() {
            tracing::error!(%error, "samples were not flushed; the log has them");
            clean = false;
        }
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

//! The listeners: addresses taken early, then served by each protocol's workers.

use std::net::SocketAddr;
use std::sync::Arc;

use flux_net::{Listeners, Server, ServerConfig};
use flux_pipeline::Ingest;
use flux_pipeline::ports::Delivery;
use flux_registry::Registry;
use parking_lot::Mutex;

use crate::engine::Running;
use crate::error::EngineError;
use crate::gateway::http::HttpProtocol;
use crate::gateway::{GatewayProtocol, GatewayShared};
use crate::mqtt::{MqttProtocol, Waiting};
use crate::settings::{DevicesSettings, EngineSettings, GatewaySettings, MqttSettings};

/// Addresses taken before anything else is started.
pub(crate) struct Taken {
    pub(crate) mqtt: Option<Listeners>,
    pub(crate) http: Option<Listeners>,
    pub(crate) gateway: Option<GatewayListeners>,
}

impl Taken {
    /// Takes what the settings say.
    ///
    /// # Errors
    /// [`EngineError`]; what was taken before is given back.
    pub(crate) fn bind(settings: &EngineSettings) -> Result<Self, EngineError> {
        let bind = |host: &str, port| Listeners::bind(&flux_net::resolve(host, port)?);
        let mqtt = settings.mqtt.as_ref().map(|mqtt| bind(&mqtt.host, mqtt.port));
        let http = settings.devices.as_ref().map(|http| bind(&http.host, http.port));
        let gateway = settings.gateway.as_ref().map(GatewayListeners::bind).transpose()?;
        Ok(Self { mqtt: mqtt.transpose()?, http: http.transpose()?, gateway })
    }
}

/// The gateway's addresses, and whose each is.
pub(crate) struct GatewayListeners {
    pub(crate) listeners: Listeners,
    pub(crate) settings: GatewaySettings,
    pub(crate) streams: Vec<Arc<flux_gateway::ListenerSpec>>,
    pub(crate) datagrams: Vec<Arc<flux_gateway::ListenerSpec>>,
}

impl GatewayListeners {
    fn bind(settings: &GatewaySettings) -> Result<Self, EngineError> {
        let (mut streams, mut datagrams) = (Vec::new(), Vec::new());
        let (mut tcp, mut udp) = (Vec::new(), Vec::new());
        for (entry, spec) in settings.listeners.iter().zip(settings.compiled()?) {
            let spec = Arc::new(spec);
            for address in flux_net::resolve(&entry.host, entry.port)? {
                let (addresses, specs) = match spec.transport {
                    flux_gateway::Transport::Tcp => (&mut tcp, &mut streams),
                    flux_gateway::Transport::Udp => (&mut udp, &mut datagrams),
                };
                addresses.push(address);
                specs.push(Arc::clone(&spec));
            }
        }
        let listeners = Listeners::bind_all(&tcp, &udp)?;
        Ok(Self { listeners, settings: settings.clone(), streams, datagrams })
    }
}

impl Running {
    pub(crate) fn listen(
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
        self.wake_on_commit(&server, waiting);
        *self.server.lock() = Some(server);
        Ok(())
    }

    pub(crate) fn listen_http(
        &mut self,
        listeners: Listeners,
        devices: &DevicesSettings,
        ingests: Vec<Ingest>,
        registry: &Arc<Registry>,
        delivery: &Arc<dyn Delivery>,
    ) -> Result<(), EngineError> {
        let waiting: Arc<[Waiting]> = (0..devices.workers).map(|_| Waiting::default()).collect();
        let protocol = HttpProtocol {
            registry: Arc::clone(registry),
            pipeline: Arc::clone(&self.pipeline),
            delivery: Arc::clone(delivery),
            clock: self.clock,
            limits: Arc::new(devices.limits()),
            requests_per_s_max: devices.requests_per_s_max,
            counters: Arc::clone(&self.http_counters),
            rates: Arc::default(),
            ingests: Mutex::new(ingests),
            waiting: Arc::clone(&waiting),
        };
        let config = ServerConfig {
            name: "devices".to_owned(),
            workers: devices.workers,
            limits: devices.net_limits(),
        };
        let server = Server::start(listeners, &config, protocol)?;
        self.devices_address = server.local_addresses().first().copied();
        self.wake_on_commit(&server, waiting);
        *self.http.lock() = Some(server);
        Ok(())
    }

    pub(crate) fn listen_gateway(
        &mut self,
        listeners: GatewayListeners,
        shared: Arc<GatewayShared>,
        ingests: Vec<Ingest>,
        delivery: &Arc<dyn Delivery>,
    ) -> Result<(), EngineError> {
        let GatewayListeners { listeners, settings, streams, datagrams } = listeners;
        let waiting: Arc<[Waiting]> = (0..settings.workers).map(|_| Waiting::default()).collect();
        let protocol = GatewayProtocol {
            shared,
            pipeline: Arc::clone(&self.pipeline),
            delivery: Arc::clone(delivery),
            ingests: Mutex::new(ingests),
            waiting: Arc::clone(&waiting),
        };
        let config = ServerConfig {
            name: "gateway".to_owned(),
            workers: settings.workers,
            limits: settings.net_limits(),
        };
        let server = Server::start(listeners, &config, protocol)?;
        let named = |spec: &Arc<flux_gateway::ListenerSpec>, address: &SocketAddr| {
            (spec.name.to_string(), *address)
        };
        let by_stream = streams.iter().zip(server.local_addresses());
        let by_datagram = datagrams.iter().zip(server.datagram_addresses());
        let all = by_stream.chain(by_datagram);
        self.gateway_addresses = all.map(|(spec, address)| named(spec, address)).collect();
        self.wake_on_commit(&server, waiting);
        *self.gateway_server.lock() = Some(server);
        Ok(())
    }

    /// Has the log wake those workers that wait for it.
    fn wake_on_commit(&self, server: &Server, waiting: Arc<[Waiting]>) {
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
    }
}

//! Devices that do not speak MQTT, on the network workers.
//!
//! Owns the adapters between `flux-net`, `flux-gateway` and the pipeline: HTTP in [`http`]; raw TCP
//! and UDP in [`worker`] and [`streams`] (connections), [`datagrams`], [`lines`] (requests and answers)
//! and [`outgoing`] (connections we open). What the workers share is here: which device is on which
//! line, and how a command gets there. Must never publish what the log has not taken.

mod codec;
mod datagrams;
mod directory;
pub(crate) mod http;
mod lines;
mod orders;
mod outgoing;
mod resolver;
mod streams;
mod worker;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use flux_gateway::{
    CodecError, Counters, Frame, FrameScanner, JsonCodec, LineCodec, ListenerSpec, Reply, Takeover,
};
use flux_net::{Protocol, WorkerWaker};
use flux_pipeline::ports::Delivery;
use flux_pipeline::{Ingest, Pipeline};
use flux_registry::{Applied, Registry, TopicKind};
use flux_types::{DeviceId, Instants, Message, TenantId};
use parking_lot::Mutex;
use serde_json::Value;

use crate::mqtt::Waiting;
use crate::settings::GatewaySettings;

pub(crate) use codec::PluginCodec;
pub(crate) use directory::RegistryDirectory;
use outgoing::TargetKey;
use resolver::Resolver;
use worker::GatewayWorker;

/// Orders that wait for one worker, beyond which commands are not taken.
const INBOX_LEN_MAX: usize = 4096;

/// What a worker is told from outside.
#[derive(Debug)]
enum Order {
    /// Carry a command out over a line.
    Command { line: u64, device: DeviceId, command: Value },
    /// Close a line's connection: its device has another.
    Evict(u64),
    /// A device is on another line now.
    Part { line: u64, device: DeviceId },
    /// The configuration is another.
    Configure,
    /// A name was looked up.
    Resolved(TargetKey, Option<std::net::SocketAddr>),
}

/// Where a device can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    worker: usize,
    line: u64,
}

/// A device is on another line.
#[derive(Debug, Clone, Copy)]
struct Elsewhere;

/// One worker, as the others see it.
#[derive(Debug, Default)]
struct Seat {
    inbox: Mutex<Vec<Order>>,
    waker: OnceLock<WorkerWaker>,
}

/// What all workers of the gateway share.
pub(crate) struct GatewayShared {
    settings: GatewaySettings,
    registry: Arc<Registry>,
    directory: Arc<RegistryDirectory>,
    codec: Arc<dyn LineCodec>,
    scanner: Arc<dyn FrameScanner>,
    pub(crate) counters: Counters,
    clock: Instants,
    streams: Vec<Door>,
    datagrams: Vec<Door>,
    seats: Vec<Seat>,
    /// Every device that can be reached now; at most one for each that is configured.
    places: Mutex<HashMap<DeviceId, Place>>,
    resolver: Resolver,
}

/// A listener's settings, and how many have come in by it.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) spec: Arc<ListenerSpec>,
    open: AtomicUsize,
    /// By address, where that is limited; at most one entry for each open connection.
    by_ip: Mutex<HashMap<IpAddr, usize>>,
}

impl Door {
    /// Counts one more in whose address does not matter; false, uncounted, if there are too many.
    fn enter_any(&self) -> bool {
        let fits = self.open.fetch_add(1, Ordering::Relaxed) < self.spec.connections_max;
        if !fits {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
        fits
    }

    fn let_any_out(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts one more in; false if there are as many as may be. Either way it is to be let out.
    fn enter(&self, ip: IpAddr) -> bool {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        let most = self.spec.connections_per_ip_max;
        let fits = most == 0 || {
            let mut counts = self.by_ip.lock();
            let count = counts.entry(ip).or_insert(0);
            *count += 1;
            *count <= most
        };
        fits && open <= self.spec.connections_max
    }

    fn let_out(&self, ip: IpAddr) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if self.spec.connections_per_ip_max > 0
            && let Entry::Occupied(mut count) = self.by_ip.lock().entry(ip)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// The codec of each device: the plugins' where they know its protocol, JSON for the rest.
pub(crate) struct Codecs {
    pub(crate) plugins: Option<Arc<dyn LineCodec>>,
    pub(crate) json: JsonCodec,
}

impl Codecs {
    fn of(&self, device: DeviceId) -> &dyn LineCodec {
        match &self.plugins {
            Some(plugins) if plugins.speaks(device) => &**plugins,
            _ => &self.json,
        }
    }
}

impl LineCodec for Codecs {
    fn encode(
        &self,
        tenant: TenantId,
        device: DeviceId,
        command: &Value,
    ) -> Result<Vec<Frame>, CodecError> {
        self.of(device).encode(tenant, device, command)
    }

    fn check_reply(&self, device: DeviceId, request: &[u8], frame: &[u8]) -> Reply {
        self.of(device).check_reply(device, request, frame)
    }
}

/// What the gateway is made of.
pub(crate) struct GatewayParts {
    pub(crate) settings: GatewaySettings,
    pub(crate) registry: Arc<Registry>,
    pub(crate) directory: Arc<RegistryDirectory>,
    pub(crate) codec: Arc<dyn LineCodec>,
    pub(crate) scanner: Arc<dyn FrameScanner>,
    pub(crate) clock: Instants,
    /// The listener of each address that streams come in by.
    pub(crate) streams: Vec<Arc<ListenerSpec>>,
    /// The listener of each address that datagrams come in by.
    pub(crate) datagrams: Vec<Arc<ListenerSpec>>,
}

impl GatewayShared {
    pub(crate) fn new(parts: GatewayParts) -> Arc<Self> {
        let doors = |specs: Vec<Arc<ListenerSpec>>| {
            let door = |spec| Door { spec, open: AtomicUsize::new(0), by_ip: Mutex::default() };
            specs.into_iter().map(door).collect()
        };
        let mut seats = Vec::new();
        seats.resize_with(parts.settings.workers, Seat::default);
        Arc::new(Self {
            settings: parts.settings,
            registry: parts.registry,
            directory: parts.directory,
            codec: parts.codec,
            scanner: parts.scanner,
            counters: Counters::default(),
            clock: parts.clock,
            streams: doors(parts.streams),
            datagrams: doors(parts.datagrams),
            seats,
            places: Mutex::default(),
            resolver: Resolver::default(),
        })
    }

    fn now_ms(&self) -> u64 {
        self.clock.now().mono_ns / 1_000_000
    }

    fn tell(&self, worker: usize, order: Order) {
        if let Some(seat) = self.seats.get(worker) {
            seat.inbox.lock().push(order);
            if let Some(waker) = seat.waker.get() {
                waker.wake();
            }
        }
    }

    /// Notes where a device is from now on; gives the place that was closed for it.
    ///
    /// # Errors
    /// It is elsewhere, and stays there.
    fn claim(
        &self,
        device: DeviceId,
        place: Place,
        policy: Takeover,
    ) -> Result<Option<Place>, Elsewhere> {
        let before = match self.places.lock().entry(device) {
            Entry::Vacant(vacant) => {
                vacant.insert(place);
                return Ok(None);
            }
            Entry::Occupied(same) if *same.get() == place => return Ok(None),
            Entry::Occupied(_) if policy == Takeover::Old => {
                flux_gateway::count(&self.counters.takeovers_refused);
                return Err(Elsewhere);
            }
            Entry::Occupied(mut other) => other.insert(place),
        };
        flux_gateway::count(&self.counters.takeovers);
        self.tell(before.worker, Order::Evict(before.line));
        Ok(Some(before))
    }

    /// Notes where a device is, unless it is elsewhere, on a line other than that which this one
    /// supersedes.
    fn claim_vacant(&self, device: DeviceId, place: Place, supersedes: Option<Place>) -> bool {
        let mut places = self.places.lock();
        let known = places.entry(device).or_insert(place);
        if Some(*known) == supersedes {
            *known = place;
        }
        *known == place
    }

    /// Notes that a device is there now; where it was before, others may still be.
    fn move_to(&self, device: DeviceId, place: Place) {
        let before = self.places.lock().insert(device, place);
        if let Some(before) = before.filter(|before| *before != place) {
            self.tell(before.worker, Order::Part { line: before.line, device });
        }
    }

    fn leave(&self, device: DeviceId, place: Place) {
        if let Entry::Occupied(known) = self.places.lock().entry(device)
            && *known.get() == place
        {
            known.remove();
        }
    }

    /// How many devices can be reached now.
    pub(crate) fn reachable_len(&self) -> usize {
        self.places.lock().len()
    }

    /// Takes a change of configuration.
    pub(crate) fn configure(&self, applied: &Applied) {
        self.directory.update(applied);
        for worker in 0..self.seats.len() {
            self.tell(worker, Order::Configure);
        }
    }

    pub(crate) fn stop(&self) {
        self.resolver.stop();
    }

    /// Hands a command to the worker on whose line its device is; false if it is on none.
    fn hand(&self, message: &Message) -> bool {
        let snapshot = self.registry.current();
        let Ok(resolved) = snapshot.resolve(message.tenant, &message.topic) else { return false };
        if resolved.kind != TopicKind::Command {
            return false;
        }
        let device = resolved.device.id;
        let Some(place) = self.places.lock().get(&device).copied() else { return false };
        let Ok(command) = serde_json::from_slice(&message.payload) else { return false };
        let full = self
            .seats
            .get(place.worker)
            .is_none_or(|seat| seat.inbox.lock().len() >= INBOX_LEN_MAX);
        if full {
            flux_gateway::count(&self.counters.commands_refused);
            return false;
        }
        self.tell(place.worker, Order::Command { line: place.line, device, command });
        true
    }
}

/// Delivers to MQTT's subscribers, and commands to devices on the gateway's lines as well.
pub(crate) struct AnyDelivery {
    mqtt: Arc<dyn Delivery>,
    gateway: OnceLock<Arc<GatewayShared>>,
}

impl AnyDelivery {
    pub(crate) fn new(mqtt: Arc<dyn Delivery>) -> Self {
        Self { mqtt, gateway: OnceLock::new() }
    }

    /// From now on the gateway is asked too.
    pub(crate) fn set_gateway(&self, gateway: &Arc<GatewayShared>) {
        let _ = self.gateway.set(Arc::clone(gateway));
    }
}

impl Delivery for AnyDelivery {
    fn route(&self, message: &Arc<Message>) {
        self.mqtt.route(message);
    }

    fn route_to_connected(&self, message: &Arc<Message>) -> bool {
        // whoever watches the topic over MQTT is not the device: a device on a line is asked as well
        let watched = self.mqtt.route_to_connected(message);
        self.gateway.get().is_some_and(|gateway| gateway.hand(message)) || watched
    }
}

/// Makes each worker's part.
pub(crate) struct GatewayProtocol {
    pub(crate) shared: Arc<GatewayShared>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) delivery: Arc<dyn Delivery>,
    /// One for each worker, taken when it starts.
    pub(crate) ingests: Mutex<Vec<Ingest>>,
    /// What the commit thread looks at, by worker.
    pub(crate) waiting: Arc<[Waiting]>,
}

impl Protocol for GatewayProtocol {
    type Worker = GatewayWorker;

    fn worker(&self, waker: WorkerWaker) -> GatewayWorker {
        GatewayWorker::new(self, &waker)
    }
}

//! HTTP for devices on the network workers: requests to the log, answers once committed.
//!
//! Owns, for each worker, which request waits for which position. Must never answer 204 before the
//! log has what was posted.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::BytesMut;
use flux_gateway::Rate;
use flux_gateway::http::{
    Answer, Credentials, Gate, HttpConnection, HttpDate, HttpFlow, HttpLimits, Received, Refusal,
};
use flux_gateway::telemetry;
use flux_net::{
    CloseReason, ConnectionHandle, ConnectionId, Context, Peer, Protocol, Verdict, WorkerIo,
    WorkerProtocol, WorkerWaker,
};
use flux_pipeline::ports::Delivery;
use flux_pipeline::{Ingest, Pipeline};
use flux_registry::{DeniedReason, Registry};
use flux_types::{DeviceId, Instants, Message, Qos, SourceId, TenantId, Topic};
use parking_lot::Mutex;

use crate::intake::{Fate, Intake};
use crate::mqtt::Waiting;

/// How long requests wait for a log that is behind before they are told to come back.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);
/// When a refused sender may come back, s.
const RETRY_AFTER_S: u64 = 1;
/// Devices whose rate is remembered.
const RATES_MAX: usize = 100_000;

/// What is counted of HTTP.
#[derive(Debug, Default)]
pub(crate) struct HttpCounters {
    pub(crate) taken: AtomicU64,
    refused: Mutex<HashMap<u16, u64>>,
}

impl HttpCounters {
    /// Refusals by status, lowest first.
    pub(crate) fn refused(&self) -> Vec<(u16, u64)> {
        let mut counts: Vec<_> = self.refused.lock().iter().map(|(s, n)| (*s, *n)).collect();
        counts.sort_unstable();
        counts
    }

    fn count(&self, status: u16) {
        *self.refused.lock().entry(status).or_default() += 1;
    }
}

/// Makes each worker's part.
pub(crate) struct HttpProtocol {
    pub(crate) registry: Arc<Registry>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) delivery: Arc<dyn Delivery>,
    pub(crate) clock: Instants,
    pub(crate) limits: Arc<HttpLimits>,
    pub(crate) requests_per_s_max: u32,
    pub(crate) counters: Arc<HttpCounters>,
    /// How often each device may post; shared by the workers.
    pub(crate) rates: Arc<Mutex<HashMap<DeviceId, Rate>>>,
    /// One for each worker, taken when it starts.
    pub(crate) ingests: Mutex<Vec<Ingest>>,
    /// What the commit thread looks at, by worker.
    pub(crate) waiting: Arc<[Waiting]>,
}

impl Protocol for HttpProtocol {
    type Worker = HttpWorker;

    fn worker(&self, waker: WorkerWaker) -> HttpWorker {
        HttpWorker {
            intake: Intake::new(self.ingests.lock().pop(), Arc::clone(&self.delivery)),
            pipeline: Arc::clone(&self.pipeline),
            clock: self.clock,
            limits: Arc::clone(&self.limits),
            counters: Arc::clone(&self.counters),
            waiting: Arc::clone(&self.waiting),
            index: waker.worker(),
            door: Door {
                registry: Arc::clone(&self.registry),
                per_s_max: self.requests_per_s_max,
                rates: Arc::clone(&self.rates),
                now_ms: 0,
            },
            date: HttpDate::default(),
            received: Vec::new(),
            held: Vec::new(),
        }
    }
}

/// A device that was let in, with where its telemetry goes.
#[derive(Debug)]
pub(crate) struct Sender {
    tenant: TenantId,
    device: DeviceId,
    source: SourceId,
    topic: Topic,
}

/// Lets devices in by the registry.
struct Door {
    registry: Arc<Registry>,
    per_s_max: u32,
    rates: Arc<Mutex<HashMap<DeviceId, Rate>>>,
    now_ms: u64,
}

impl Gate for Door {
    type Ticket = Sender;

    fn admit(&mut self, credentials: &Credentials<'_>) -> Result<Sender, Refusal> {
        let snapshot = self.registry.current();
        let signed_in = match credentials {
            Credentials::None => return Err(Refusal::unauthorized()),
            Credentials::Bearer(token) => snapshot.authenticate_token(token.as_bytes()),
            Credentials::Basic(key, secret) => snapshot.authenticate(key, secret.as_bytes()),
        };
        let principal = signed_in.map_err(|denied| match denied.reason() {
            DeniedReason::Disabled => {
                Refusal::new(403, "http.device_disabled", "the device is disabled")
            }
            _ => Refusal::unauthorized(),
        })?;
        let Some(device) = &principal.device else {
            let detail = "only devices post telemetry; this is an account";
            return Err(Refusal::new(403, "http.not_a_device", detail));
        };
        let topic = snapshot.telemetry_topic(device).map_err(|error| {
            let detail = format!("the device has no telemetry topic: {error}");
            Refusal::new(403, "http.no_topic", detail)
                .hint("give the device the tags its product's topic template names")
        })?;
        self.hold_to_rate(device.id)?;
        let source = SourceId::new(format!("{}/http", principal.source));
        Ok(Sender { tenant: device.tenant, device: device.id, source, topic })
    }
}

impl Door {
    fn hold_to_rate(&self, device: DeviceId) -> Result<(), Refusal> {
        if self.per_s_max == 0 {
            return Ok(());
        }
        let mut rates = self.rates.lock();
        if rates.len() >= RATES_MAX {
            rates.retain(|_, rate| !rate.is_at_rest(self.now_ms));
        }
        let rate = rates.entry(device).or_insert_with(|| Rate::new(self.per_s_max));
        if rate.take(self.now_ms) {
            return Ok(());
        }
        let detail = format!("a device may post {} times a second", self.per_s_max);
        let refusal = Refusal::new(429, "http.too_many_requests", detail);
        Err(refusal.hint("post several samples at a time").retry_after(rate.wait_s(self.now_ms)))
    }
}

/// A connection with what this worker has to know of it.
pub(crate) struct HttpPeer {
    http: HttpConnection<Sender>,
    id: ConnectionId,
    /// Not read from because the log is behind.
    held: bool,
}

/// Which request a message came by.
#[derive(Debug, Clone, Copy)]
struct From {
    connection: ConnectionId,
    request: u64,
}

/// The worker's part of the protocol.
pub(crate) struct HttpWorker {
    intake: Intake<From>,
    pipeline: Arc<Pipeline>,
    clock: Instants,
    limits: Arc<HttpLimits>,
    counters: Arc<HttpCounters>,
    waiting: Arc<[Waiting]>,
    index: usize,
    door: Door,
    date: HttpDate,
    received: Vec<Received<Sender>>,
    /// Connections not read from until there is room.
    held: Vec<ConnectionId>,
}

impl HttpWorker {
    fn follow(flow: HttpFlow, now_ms: u64, peer: &HttpPeer, cx: &mut Context<'_>) -> Verdict {
        let left_ms = peer.http.deadline_ms().saturating_sub(now_ms);
        cx.set_timer(cx.now() + Duration::from_millis(left_ms));
        match flow {
            HttpFlow::Close => Verdict::Close,
            HttpFlow::Paused => Verdict::Pause,
            HttpFlow::Open if peer.held => Verdict::Pause,
            HttpFlow::Open => Verdict::Resume,
        }
    }

    /// Hands complete requests to the log, or answers what is wrong with them.
    fn collect(
        &mut self,
        peer: &mut HttpPeer,
        cx: &mut Context<'_>,
        mut flow: HttpFlow,
    ) -> HttpFlow {
        let now = self.clock.now();
        let received = std::mem::take(&mut self.received);
        for (place, Received { number, ticket, content, body }) in received.into_iter().enumerate()
        {
            let json = telemetry::to_json(content, body).and_then(|json| {
                let max = self.limits.body_bytes_max;
                if json.len() <= max {
                    return Ok(json);
                }
                let detail = format!("as JSON the content has {} bytes, over {max}", json.len());
                Err(Refusal::new(413, "http.too_large", detail)
                    .hint("send fewer samples at a time"))
            });
            match json {
                Ok(payload) => {
                    let Sender { tenant, device, source, topic } = ticket;
                    self.pipeline.device_seen(tenant, device, None);
                    let message = Message {
                        tenant,
                        source,
                        topic,
                        payload,
                        qos: Qos::AtLeastOnce,
                        retain: false,
                        received: now.nth(place),
                        hops: 0,
                        properties: None,
                    };
                    self.intake.push(message, From { connection: peer.id, request: number });
                }
                Err(refusal) => {
                    self.counters.count(refusal.status);
                    let answer = Answer::Refused(refusal);
                    let at = (now.mono_ns / 1_000_000, self.date.at(now.wall_ns));
                    flow = peer.http.answer(number, answer, cx.output, at);
                }
            }
        }
        flow
    }

    fn settle(&mut self, io: &mut WorkerIo<'_, HttpPeer>) {
        let mut told = Vec::new();
        self.intake.append(|from, refusal| {
            told.push((from, refusal.to_string()));
            Fate::Gone
        });
        for (from, why) in told {
            self.refuse(io, from, &why);
        }
        if self.intake.is_busy() {
            self.hold(io);
        } else {
            io.set_alarm(None);
            for id in std::mem::take(&mut self.held) {
                let now_ms = self.now_ms();
                io.visit(id, |peer, _| {
                    peer.held = false;
                    peer.http.excuse(now_ms);
                    Verdict::Resume
                });
            }
        }
        self.show_waiting();
        // looked at after the flag is up: a commit before it was is seen here, one after it wakes us
        self.release(io);
        self.show_waiting();
    }

    fn release(&mut self, io: &mut WorkerIo<'_, HttpPeer>) {
        let now = self.clock.now();
        let at = (now.mono_ns / 1_000_000, self.date.at(now.wall_ns));
        let counters = &self.counters;
        self.intake.release(|From { connection, request }| {
            counters.taken.fetch_add(1, Relaxed);
            io.visit(connection, |peer, cx| {
                let flow = peer.http.answer(request, Answer::Taken, cx.output, at);
                Self::follow(flow, at.0, peer, cx)
            });
        });
    }

    fn refuse(&mut self, io: &mut WorkerIo<'_, HttpPeer>, from: From, why: &str) {
        let now = self.clock.now();
        let at = (now.mono_ns / 1_000_000, self.date.at(now.wall_ns));
        let refusal = Refusal::new(503, "http.unavailable", why).retry_after(RETRY_AFTER_S);
        self.counters.count(refusal.status);
        io.visit(from.connection, |peer, cx| {
            let answer = Answer::Refused(refusal);
            let flow = peer.http.answer(from.request, answer, cx.output, at);
            Self::follow(flow, at.0, peer, cx)
        });
    }

    /// Stops reading from whoever has something waiting.
    fn hold(&mut self, io: &mut WorkerIo<'_, HttpPeer>) {
        if self.held.is_empty() {
            io.set_alarm(Some(io.now() + BUSY_PATIENCE));
        }
        let held = &mut self.held;
        for From { connection, .. } in self.intake.waiting() {
            io.visit(*connection, |peer, _| {
                if !peer.held {
                    peer.held = true;
                    held.push(peer.id);
                }
                Verdict::Pause
            });
        }
    }

    fn show_waiting(&self) {
        if let Some(waiting) = self.waiting.get(self.index) {
            waiting.set(self.intake.is_waiting());
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.now().mono_ns / 1_000_000
    }
}

impl WorkerProtocol for HttpWorker {
    type Connection = HttpPeer;

    fn on_open(&mut self, _: Peer, _: ConnectionHandle, cx: &mut Context<'_>) -> HttpPeer {
        // a slow sender is told so in HTTP's words, not cut off
        cx.established();
        let now_ms = self.now_ms();
        let http = HttpConnection::new(Arc::clone(&self.limits), now_ms);
        let left_ms = http.deadline_ms().saturating_sub(now_ms);
        cx.set_timer(cx.now() + Duration::from_millis(left_ms));
        HttpPeer { http, id: cx.id(), held: false }
    }

    fn on_bytes(
        &mut self,
        peer: &mut HttpPeer,
        input: &mut BytesMut,
        cx: &mut Context<'_>,
    ) -> Verdict {
        if peer.held {
            return Verdict::Pause;
        }
        let now = self.clock.now();
        let now_ms = now.mono_ns / 1_000_000;
        self.door.now_ms = now_ms;
        let at = (now_ms, self.date.at(now.wall_ns));
        let (door, received) = (&mut self.door, &mut self.received);
        let flow = peer.http.on_bytes(input, cx.output, at, door, received);
        peer.http.take_refusals().for_each(|status| self.counters.count(status));
        let flow = self.collect(peer, cx, flow);
        Self::follow(flow, now_ms, peer, cx)
    }

    fn on_ready(&mut self, _: &mut HttpPeer, _: &mut Context<'_>) -> Verdict {
        Verdict::Continue
    }

    fn on_timer(&mut self, peer: &mut HttpPeer, cx: &mut Context<'_>) -> Verdict {
        let now = self.clock.now();
        let now_ms = now.mono_ns / 1_000_000;
        if cx.held() {
            peer.http.excuse(now_ms); // our own waiting is not the sender's slowness
        }
        let at = (now_ms, self.date.at(now.wall_ns));
        let flow = peer.http.on_tick(cx.output, at);
        peer.http.take_refusals().for_each(|status| self.counters.count(status));
        Self::follow(flow, at.0, peer, cx)
    }

    fn on_stop(&mut self, peer: &mut HttpPeer, _: &mut Context<'_>) -> Verdict {
        match peer.http.finish() {
            HttpFlow::Close => Verdict::Close,
            _ => Verdict::Continue,
        }
    }

    fn on_close(&mut self, _: HttpPeer, _: CloseReason) {}

    fn on_alarm(&mut self, io: &mut WorkerIo<'_, HttpPeer>) {
        let mut late = Vec::new();
        self.intake.give_up(|from| late.push(from));
        for from in late {
            self.refuse(io, from, "the log is too far behind");
        }
        self.settle(io);
    }

    fn on_wake(&mut self, io: &mut WorkerIo<'_, HttpPeer>) {
        self.settle(io);
    }

    fn on_turn_end(&mut self, io: &mut WorkerIo<'_, HttpPeer>) {
        if self.intake.has_arrivals() {
            self.settle(io);
        }
    }
}

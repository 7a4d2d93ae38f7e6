//! One network worker's connections of devices that speak raw TCP.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use flux_gateway::framing::Framer;
use flux_gateway::{LineEvent, Link, LinkEvent, LinkPorts, ListenerSpec, PollWheel, count};
use flux_net::{
    CloseReason, ConnectionHandle, ConnectionId, Context, Datagram, Peer, Verdict, WorkerIo,
    WorkerProtocol, WorkerWaker,
};
use flux_pipeline::Pipeline;

use super::datagrams::Source;
use super::lines::{OpenLine, Planned};
use super::outgoing::{Outgoing, TargetKey};
use super::{GatewayProtocol, GatewayShared, Order};
use crate::intake::{Fate, Intake};
use crate::mqtt::Waiting;

/// How long requests wait while the log is behind, ms.
const BUSY_PAUSE_MS: u64 = 20;
/// How often sources of datagrams that are silent are looked for, ms.
pub(super) const SWEEP_MS: u64 = 5_000;

/// What a connection is.
pub(super) enum Role {
    /// A device's, that came in.
    Inbound(Box<Link>, Arc<ListenerSpec>),
    /// It came in and is to be closed at once.
    Refused,
    /// Ours.
    Outgoing { key: TargetKey, framer: Framer, idle_ms: u64 },
}

/// A connection with what this worker has to know of it.
pub(crate) struct Connection {
    pub(super) id: Option<ConnectionId>,
    pub(super) role: Role,
    /// Bytes that are no whole frame yet.
    pub(super) buffer: BytesMut,
    pub(super) line: Option<u64>,
    /// Which listener it came in by, and from where.
    pub(super) door: Option<(usize, SocketAddr)>,
    pub(super) heard_ms: u64,
    /// Not read from because the log is behind.
    pub(super) held: bool,
    /// When silence is looked for; 0: it is not.
    pub(super) gap_ms: u64,
}

impl Connection {
    pub(super) fn new(role: Role, now_ms: u64) -> Self {
        Self {
            id: None,
            role,
            buffer: BytesMut::new(),
            line: None,
            door: None,
            heard_ms: now_ms,
            held: false,
            gap_ms: 0,
        }
    }
}

/// The worker's part of the protocol.
pub(crate) struct GatewayWorker {
    pub(super) shared: Arc<GatewayShared>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) index: usize,
    waiting: Arc<[Waiting]>,
    pub(super) intake: Intake<Option<ConnectionId>>,
    pub(super) lines: HashMap<u64, OpenLine>,
    lines_made: u64,
    pub(super) wheel: PollWheel<Planned>,
    /// Lines by when they are looked at.
    pub(super) armed: BTreeSet<(u64, u64)>,
    /// Lines that have something to do now.
    pub(super) dirty: Vec<u64>,
    /// Connections by when their silence ends a frame.
    pub(super) gaps: BTreeSet<(u64, ConnectionId)>,
    pub(super) outgoing: HashMap<TargetKey, Outgoing>,
    pub(super) retries: BTreeSet<(u64, TargetKey)>,
    pub(super) sources: HashMap<(usize, SocketAddr), Source>,
    pub(super) sweep_ms: u64,
    /// When lines are looked at again for devices that were on others.
    pub(super) recheck_ms: Option<u64>,
    /// Connections not read from until there is room.
    held: Vec<ConnectionId>,
    pub(super) link_events: Vec<LinkEvent>,
    pub(super) line_events: Vec<LineEvent>,
    pub(super) output: BytesMut,
}

impl GatewayWorker {
    pub(super) fn new(protocol: &GatewayProtocol, waker: &WorkerWaker) -> Self {
        let shared = Arc::clone(&protocol.shared);
        let index = waker.worker();
        let now_ms = shared.now_ms();
        if let Some(seat) = shared.seats.get(index) {
            let _ = seat.waker.set(waker.clone());
        }
        // what is configured already is taken up like a change
        shared.tell(index, Order::Configure);
        let ingest = protocol.ingests.lock().pop();
        Self {
            intake: Intake::new(ingest, Arc::clone(&protocol.delivery)),
            pipeline: Arc::clone(&protocol.pipeline),
            waiting: Arc::clone(&protocol.waiting),
            shared,
            index,
            lines: HashMap::new(),
            lines_made: 0,
            wheel: PollWheel::new(now_ms),
            armed: BTreeSet::new(),
            dirty: Vec::new(),
            gaps: BTreeSet::new(),
            outgoing: HashMap::new(),
            retries: BTreeSet::new(),
            sources: HashMap::new(),
            sweep_ms: now_ms + SWEEP_MS,
            recheck_ms: None,
            held: Vec::new(),
            link_events: Vec::new(),
            line_events: Vec::new(),
            output: BytesMut::new(),
        }
    }

    /// A name for a line that no other line of this worker ever had.
    pub(super) fn next_line(&mut self) -> u64 {
        self.lines_made += 1;
        self.lines_made
    }

    /// Appends what has arrived; what cannot be appended holds up whom it came from.
    fn settle(&mut self, io: &mut WorkerIo<'_, Connection>) {
        let was_busy = self.intake.is_busy();
        self.intake.append(|from, refusal| match refusal {
            flux_pipeline::Refusal::TooLarge => {
                tracing::error!(%refusal, "a frame was not kept");
                Fate::Gone
            }
            // raw protocols have no words for it: whoever sends has to wait
            _ => Fate::Keep(from),
        });
        if self.intake.is_busy() {
            let held = &mut self.held;
            for id in self.intake.waiting().flatten() {
                io.visit(*id, |connection, _| {
                    if !connection.held {
                        connection.held = true;
                        held.push(*id);
                    }
                    Verdict::Pause
                });
            }
        } else if was_busy || !self.held.is_empty() {
            for id in std::mem::take(&mut self.held) {
                io.visit(id, |connection, _| {
                    connection.held = false;
                    Verdict::Resume
                });
            }
        }
        self.show_waiting();
        // looked at after the flag is up: a commit before it was is seen here, one after it wakes us
        self.intake.release(|_| {});
        self.show_waiting();
    }

    fn show_waiting(&self) {
        if let Some(waiting) = self.waiting.get(self.index) {
            waiting.set(self.intake.is_waiting());
        }
    }

    /// Does what is due, and has the worker called again in time.
    fn keep_time(&mut self, io: &mut WorkerIo<'_, Connection>) {
        let now_ms = self.shared.now_ms();
        if self.intake.is_busy() {
            io.set_alarm(Some(io.now() + Duration::from_millis(BUSY_PAUSE_MS)));
            return;
        }
        self.take_due_polls(now_ms);
        self.take_armed(now_ms);
        self.take_gaps(now_ms, io);
        self.take_due_connects(now_ms, io);
        if now_ms >= self.sweep_ms {
            self.sweep_sources(now_ms);
        }
        if self.recheck_ms.is_some_and(|due_ms| due_ms <= now_ms) {
            self.recheck_ms = None;
            self.take_configuration(io);
        }
        self.advance_lines(io);
        let gap = self.gaps.first().map(|(due_ms, _)| *due_ms);
        let armed = self.armed.first().map(|(due_ms, _)| *due_ms);
        let retry = self.retries.first().map(|(due_ms, _)| *due_ms);
        let sweep = (!self.sources.is_empty()).then_some(self.sweep_ms);
        let due = [self.wheel.next_ms(), gap, armed, retry, sweep, self.recheck_ms];
        let due = due.into_iter().flatten().min();
        io.set_alarm(due.map(|due_ms| {
            io.now() + Duration::from_millis(due_ms.saturating_sub(self.shared.now_ms()).max(1))
        }));
    }
}

impl WorkerProtocol for GatewayWorker {
    type Connection = Connection;

    fn on_open(
        &mut self,
        peer: Peer,
        handle: ConnectionHandle,
        cx: &mut Context<'_>,
    ) -> Connection {
        let now_ms = self.shared.now_ms();
        let mut connection = Connection::new(Role::Refused, now_ms);
        connection.id = Some(cx.id());
        // our own deadlines are told apart by listener
        cx.established();
        let shared = Arc::clone(&self.shared);
        let Some(door) = shared.streams.get(peer.listener) else {
            handle.wake();
            return connection;
        };
        connection.door = Some((peer.listener, peer.address));
        let fits = door.enter(peer.address.ip());
        let spec = Arc::clone(&door.spec);
        let mut events = std::mem::take(&mut self.link_events);
        let ports = LinkPorts {
            directory: &*shared.directory,
            scanner: &*shared.scanner,
            counters: &shared.counters,
        };
        let link = if !fits {
            count(&shared.counters.listener_full);
            None
        } else {
            let opened = Link::open(Arc::clone(&spec), peer.address, now_ms, &ports, &mut events);
            opened
                .inspect_err(|error| {
                    let address = peer.address;
                    tracing::debug!(%address, %error, "a device's connection is refused");
                    self.tell_refused(connection.door, error);
                })
                .ok()
        };
        let Some(link) = link else {
            events.clear();
            self.link_events = events;
            handle.wake();
            return connection;
        };
        connection.role = Role::Inbound(Box::new(link), Arc::clone(&spec));
        let stays = self.take_link_events(&mut connection, &spec, events, cx.output);
        if self.after_link(&mut connection, None, stays, cx) != Verdict::Continue {
            connection.role = Role::Refused;
            handle.wake();
        }
        connection
    }

    fn on_connected(
        &mut self,
        connection: &mut Connection,
        handle: ConnectionHandle,
        cx: &mut Context<'_>,
    ) -> Verdict {
        let verdict = self.connected(connection, &handle, cx);
        connection.heard_ms = self.shared.now_ms();
        self.watch_outgoing(connection, cx);
        verdict
    }

    fn on_bytes(
        &mut self,
        connection: &mut Connection,
        input: &mut BytesMut,
        cx: &mut Context<'_>,
    ) -> Verdict {
        if connection.held {
            return Verdict::Pause;
        }
        connection.buffer.extend_from_slice(input);
        input.clear();
        match connection.role {
            Role::Inbound(..) => self.inbound(connection, cx),
            Role::Outgoing { .. } => self.answered(connection, cx),
            Role::Refused => Verdict::Close,
        }
    }

    fn on_ready(&mut self, connection: &mut Connection, _: &mut Context<'_>) -> Verdict {
        match connection.role {
            Role::Refused => Verdict::Close,
            _ => Verdict::Continue,
        }
    }

    fn on_timer(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Verdict {
        match &connection.role {
            Role::Inbound(..) => self.tick_inbound(connection, cx),
            Role::Refused => Verdict::Close,
            Role::Outgoing { idle_ms, .. } => {
                let now_ms = self.shared.now_ms();
                if cx.held() {
                    connection.heard_ms = now_ms;
                }
                if now_ms >= connection.heard_ms + idle_ms {
                    count(&self.shared.counters.idle_closed);
                    return Verdict::Close;
                }
                let left_ms = connection.heard_ms + idle_ms - now_ms;
                cx.set_timer(cx.now() + Duration::from_millis(left_ms));
                Verdict::Continue
            }
        }
    }

    fn on_close(&mut self, connection: Connection, reason: CloseReason) {
        if let (Some(id), true) = (connection.id, connection.gap_ms > 0) {
            self.gaps.remove(&(connection.gap_ms, id));
        }
        if let Some((place, address)) = connection.door
            && let Some(door) = self.shared.streams.get(place)
        {
            door.let_out(address.ip());
        }
        match &connection.role {
            Role::Outgoing { key, .. } => {
                let key = key.clone();
                self.outgoing_closed(&key, connection.line, reason == CloseReason::Stopped);
            }
            Role::Inbound(link, _) => {
                link.close(connection.buffer.len(), &self.shared.counters);
                if let Some(line) = connection.line {
                    self.close_line(line);
                }
            }
            Role::Refused => {
                if let Some(line) = connection.line {
                    self.close_line(line);
                }
            }
        }
    }

    fn on_datagram(&mut self, datagram: Datagram<'_>, io: &mut WorkerIo<'_, Connection>) {
        self.datagram(datagram, io);
    }

    fn on_alarm(&mut self, io: &mut WorkerIo<'_, Connection>) {
        if self.intake.is_busy() {
            self.settle(io);
        }
    }

    fn on_wake(&mut self, io: &mut WorkerIo<'_, Connection>) {
        self.take_orders(io);
        self.settle(io);
    }

    fn on_turn_end(&mut self, io: &mut WorkerIo<'_, Connection>) {
        if self.intake.has_arrivals() {
            self.settle(io);
        }
        self.keep_time(io);
        if self.intake.has_arrivals() && !self.intake.is_busy() {
            self.settle(io);
        }
    }
}

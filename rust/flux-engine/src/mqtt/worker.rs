//! One network worker's MQTT connections.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use flux_mqtt::codec::{PacketId, Reason};
use flux_mqtt::{Broker, Close, Connection, Flow, Inbound, Wake};
use flux_net::{
    CloseReason, ConnectionHandle, ConnectionId, Context, Peer, Verdict, WorkerIo, WorkerProtocol,
    WorkerWaker,
};
use flux_pipeline::{Incoming, Ingest, Pipeline, Refusal};
use flux_types::{DeviceId, Instants, Message, Position, Received, TenantId};

use super::{MqttProtocol, Waiting};
use crate::access::RegistryAccess;

/// Messages appended at a time at most.
const BATCH_LEN_MAX: usize = 1024;
/// What MQTT properties of a message are counted for.
const PROPERTIES_BYTES: usize = 64 << 10;
/// What the log adds to a message.
const RECORD_OVERHEAD_BYTES: usize = 128;
/// Bytes appended at a time, but for one large message.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Messages routed and acknowledged in one turn. After a slow sync thousands are due at once; their
/// publishers should not wait for the last of them, nor others for all.
const RELEASE_LEN_MAX: usize = 1024;

/// A connection with what this worker has to know of it.
pub(crate) struct MqttConnection {
    mqtt: Connection,
    id: ConnectionId,
    /// Publications read from it and not yet through the log: while there are any, whatever
    /// follows has to wait its turn.
    outstanding: usize,
    /// The device it was announced for.
    device: Option<(TenantId, DeviceId)>,
    signed_in: bool,
    /// Not read from because the log or the shards are behind.
    held: bool,
    /// The server stops: it goes once its last acknowledgement is out.
    leaving: bool,
}

impl MqttConnection {
    /// Ends the connection of a server that stops, unless acknowledgements are still due.
    fn leave_if_due(&mut self, cx: &mut Context<'_>) -> Verdict {
        if self.outstanding > 0 {
            return Verdict::Continue;
        }
        self.mqtt.close(Reason::SERVER_SHUTTING_DOWN, cx.output);
        Verdict::Close
    }
}

/// A publication that was read and not yet appended.
struct Arrival {
    connection: Option<ConnectionId>,
    message: Arc<Message>,
    packet_id: Option<PacketId>,
    at_once: bool,
}

/// A publication that was appended and not yet committed.
struct Pending {
    position: Position,
    connection: Option<ConnectionId>,
    message: Arc<Message>,
    packet_id: Option<PacketId>,
}

/// The worker's part of the protocol.
pub(crate) struct MqttWorker {
    broker: Arc<Broker>,
    access: Arc<RegistryAccess>,
    pipeline: Arc<Pipeline>,
    clock: Instants,
    ingest: Option<Ingest>,
    waiting: Arc<[Waiting]>,
    waker: WorkerWaker,
    inbound: Vec<Inbound>,
    arrivals: VecDeque<Arrival>,
    pending: VecDeque<Pending>,
    /// Connections not read from until there is room.
    held: Vec<ConnectionId>,
}

struct WakeConnection(ConnectionHandle);

impl Wake for WakeConnection {
    fn wake(&self) {
        self.0.wake();
    }
}

impl MqttWorker {
    pub(super) fn new(protocol: &MqttProtocol, waker: WorkerWaker) -> Self {
        Self {
            broker: Arc::clone(&protocol.broker),
            access: Arc::clone(&protocol.access),
            pipeline: Arc::clone(&protocol.pipeline),
            clock: protocol.clock,
            ingest: protocol.ingests.lock().pop(),
            waiting: Arc::clone(&protocol.waiting),
            waker,
            inbound: Vec::new(),
            arrivals: VecDeque::new(),
            pending: VecDeque::new(),
            held: Vec::new(),
        }
    }

    /// Notes what one connection brought.
    fn collect(&mut self, connection: &mut MqttConnection) {
        for Inbound { message, packet_id } in self.inbound.drain(..) {
            let at_once = !message.qos.is_promised() && connection.outstanding == 0;
            connection.outstanding += usize::from(!at_once);
            let connection = Some(connection.id);
            self.arrivals.push_back(Arrival { connection, message, packet_id, at_once });
        }
    }

    fn announce(&mut self, connection: &mut MqttConnection, cx: &mut Context<'_>) {
        let Some(principal) = connection.mqtt.principal() else { return };
        connection.signed_in = true;
        cx.established();
        if let Some(device) = self.access.device(principal) {
            connection.device = Some((principal.tenant, device));
            self.pipeline.device_connected(principal.tenant, device);
        }
    }

    fn set_timer(connection: &MqttConnection, now: Received, cx: &mut Context<'_>) {
        match connection.mqtt.deadline_ms() {
            Some(deadline_ms) => {
                let left_ms = deadline_ms.saturating_sub(now.mono_ns / 1_000_000);
                cx.set_timer(cx.now() + Duration::from_millis(left_ms));
            }
            None => cx.clear_timer(),
        }
    }

    fn follow(flow: Flow, connection: &MqttConnection) -> Verdict {
        match flow {
            Flow::Open if connection.held => Verdict::Continue,
            Flow::Open => Verdict::Resume,
            Flow::Paused => Verdict::Pause,
            Flow::Closed(close) => {
                if let Close::Error(error) = &close {
                    tracing::debug!(connection = %connection.id, %error, "an MQTT client is closed");
                }
                Verdict::Close
            }
        }
    }

    /// Appends what has arrived, as far as there is room.
    fn append(&mut self) -> Result<Vec<(ConnectionId, PacketId, Reason)>, ()> {
        let mut refused = Vec::new();
        let Some(ingest) = &mut self.ingest else { return Ok(refused) };
        while !self.arrivals.is_empty() {
            let batch = first_batch(&self.arrivals);
            let mut positions = Vec::with_capacity(batch.len());
            match ingest.accept(&batch, |_, position| positions.push(position)) {
                Ok(()) => {
                    for (position, arrival) in
                        positions.into_iter().zip(self.arrivals.drain(..batch.len()))
                    {
                        let Arrival { connection, message, packet_id, at_once } = arrival;
                        if at_once {
                            self.broker.router().route(&message);
                        } else {
                            self.pending.push_back(Pending {
                                position,
                                connection,
                                message,
                                packet_id,
                            });
                        }
                    }
                }
                Err(Refusal::Busy) => return Err(()),
                Err(refusal) => {
                    refused.extend(refuse(
                        &self.broker,
                        &refusal,
                        self.arrivals.drain(..batch.len()),
                    ));
                }
            }
        }
        Ok(refused)
    }

    /// Routes and acknowledges what is committed; the rest of much in the next turn.
    fn release(&mut self, io: &mut WorkerIo<'_, MqttConnection>) {
        let Some(ingest) = &self.ingest else { return };
        let committed = ingest.committed();
        let is_due = |pending: &mut Pending| pending.position <= committed;
        for released in 0.. {
            if released == RELEASE_LEN_MAX {
                return self.waker.wake();
            }
            let Some(pending) = self.pending.pop_front_if(is_due) else { return };
            self.broker.router().route(&pending.message);
            if let Some(id) = pending.connection {
                acknowledge(io, id, pending.packet_id, Reason::SUCCESS);
            }
        }
    }

    fn settle(&mut self, io: &mut WorkerIo<'_, MqttConnection>) {
        match self.append() {
            Ok(refused) => {
                for (id, packet_id, reason) in refused {
                    acknowledge(io, id, Some(packet_id), reason);
                }
                for id in std::mem::take(&mut self.held) {
                    io.visit(id, |connection, _| {
                        connection.held = false;
                        Verdict::Resume
                    });
                }
            }
            Err(()) => self.hold(io),
        }
        self.show_waiting();
        // looked at after the flag is up: a commit before it was is seen here, one after it wakes
        // us
        self.release(io);
        self.show_waiting();
    }

    fn show_waiting(&self) {
        if let Some(waiting) = self.waiting.get(self.waker.worker()) {
            waiting.set(!(self.pending.is_empty() && self.arrivals.is_empty()));
        }
    }

    /// Stops reading from whoever has something waiting.
    fn hold(&mut self, io: &mut WorkerIo<'_, MqttConnection>) {
        for arrival in &self.arrivals {
            let Some(id) = arrival.connection else { continue };
            let held = &mut self.held;
            io.visit(id, |connection, _| {
                if !connection.held {
                    connection.held = true;
                    connection.mqtt.pause();
                    held.push(id);
                }
                Verdict::Pause
            });
        }
    }
}

/// The first of what has arrived, within the limits of one append.
fn first_batch(arrivals: &VecDeque<Arrival>) -> Vec<Incoming> {
    let mut bytes = 0;
    arrivals
        .iter()
        .take(BATCH_LEN_MAX)
        .take_while(|arrival| {
            let first = bytes == 0;
            bytes += record_bytes(&arrival.message);
            first || bytes <= BATCH_BYTES_MAX
        })
        .map(|arrival| Incoming { message: Arc::clone(&arrival.message), at_once: arrival.at_once })
        .collect()
}

/// What a message takes in the log, at most.
fn record_bytes(message: &Message) -> usize {
    let properties = if message.properties.is_some() { PROPERTIES_BYTES } else { 0 };
    let names = message.topic.as_str().len() + message.source.as_str().len();
    message.payload.len() + names + properties + RECORD_OVERHEAD_BYTES
}

/// What cannot be taken: who was promised something is told, the rest is routed and not kept.
fn refuse(
    broker: &Broker,
    refusal: &Refusal,
    arrivals: impl Iterator<Item = Arrival>,
) -> Vec<(ConnectionId, PacketId, Reason)> {
    let reason = match refusal {
        Refusal::Full | Refusal::Busy => Reason::QUOTA_EXCEEDED,
        Refusal::Stopped | Refusal::Slow | Refusal::TooLarge => Reason::IMPLEMENTATION_SPECIFIC,
    };
    let mut told = Vec::new();
    for arrival in arrivals {
        match (arrival.connection, arrival.packet_id) {
            (Some(id), Some(packet_id)) => told.push((id, packet_id, reason)),
            _ if !arrival.message.qos.is_promised() => {
                broker.router().route(&arrival.message);
            }
            _ => tracing::warn!(topic = %arrival.message.topic, %refusal, "a will was not kept"),
        }
    }
    told
}

fn acknowledge(
    io: &mut WorkerIo<'_, MqttConnection>,
    id: ConnectionId,
    packet_id: Option<PacketId>,
    reason: Reason,
) {
    io.visit(id, |connection, cx| {
        connection.outstanding = connection.outstanding.saturating_sub(1);
        let flow = match packet_id {
            Some(packet_id) => connection.mqtt.acknowledge(packet_id, reason, cx.output),
            None => Flow::Open,
        };
        match flow {
            Flow::Open if connection.leaving => connection.leave_if_due(cx),
            _ => MqttWorker::follow(flow, connection),
        }
    });
}

impl WorkerProtocol for MqttWorker {
    type Connection = MqttConnection;

    fn on_open(
        &mut self,
        peer: Peer,
        handle: ConnectionHandle,
        cx: &mut Context<'_>,
    ) -> MqttConnection {
        let now = self.clock.now();
        let waker = Arc::new(WakeConnection(handle));
        let mqtt = Connection::new(Arc::clone(&self.broker), waker, peer.address, now);
        let id = cx.id();
        let connection = MqttConnection {
            mqtt,
            id,
            outstanding: 0,
            device: None,
            signed_in: false,
            held: false,
            leaving: false,
        };
        Self::set_timer(&connection, now, cx);
        connection
    }

    fn on_bytes(
        &mut self,
        connection: &mut MqttConnection,
        input: &mut BytesMut,
        cx: &mut Context<'_>,
    ) -> Verdict {
        if connection.held {
            return Verdict::Pause;
        }
        let now = self.clock.now();
        let progress = connection.mqtt.on_bytes(input, now, cx.output, &mut self.inbound);
        input.advance(progress.consumed.min(input.len()));
        if !connection.signed_in {
            self.announce(connection, cx);
            Self::set_timer(connection, now, cx);
        }
        self.collect(connection);
        if progress.more {
            cx.more_to_send();
        }
        Self::follow(progress.flow, connection)
    }

    fn on_ready(&mut self, connection: &mut MqttConnection, cx: &mut Context<'_>) -> Verdict {
        let progress = connection.mqtt.on_deliverable(self.clock.now(), cx.output);
        if progress.more {
            cx.more_to_send();
        }
        Self::follow(progress.flow, connection)
    }

    fn on_timer(&mut self, connection: &mut MqttConnection, cx: &mut Context<'_>) -> Verdict {
        let now = self.clock.now();
        if cx.held() {
            connection.mqtt.resume(now); // our own waiting is not the client's silence
        }
        let flow = connection.mqtt.on_tick(now, cx.output);
        Self::set_timer(connection, now, cx);
        match flow {
            Flow::Closed(_) => Self::follow(flow, connection),
            _ => Verdict::Continue,
        }
    }

    fn on_stop(&mut self, connection: &mut MqttConnection, cx: &mut Context<'_>) -> Verdict {
        connection.leaving = true;
        connection.leave_if_due(cx)
    }

    fn on_close(&mut self, connection: MqttConnection, _reason: CloseReason) {
        if let Some((tenant, device)) = connection.device {
            self.pipeline.device_disconnected(tenant, device);
        }
        connection.mqtt.on_close(self.clock.now(), &mut self.inbound);
        for Inbound { message, packet_id } in self.inbound.drain(..) {
            let at_once = !message.qos.is_promised();
            self.arrivals.push_back(Arrival { connection: None, message, packet_id, at_once });
        }
    }

    fn on_wake(&mut self, io: &mut WorkerIo<'_, MqttConnection>) {
        self.settle(io);
    }

    fn on_turn_end(&mut self, io: &mut WorkerIo<'_, MqttConnection>) {
        if !self.arrivals.is_empty() {
            self.settle(io);
        }
    }
}

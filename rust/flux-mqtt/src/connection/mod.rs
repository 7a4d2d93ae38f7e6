//! One client's connection: a state machine without a socket.
//!
//! Owns the order of packets on one connection: CONNECT first, acknowledgements in the order of
//! what they answer, deliveries within the client's window, and the end. Must never block, read a
//! clock or keep input: what is not a whole packet yet stays with the caller.

mod deliver;
mod handshake;
mod open;
mod publish;
mod receipts;
mod refusals;
mod subscribe;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use flux_types::Received;

use crate::broker::Broker;
use crate::codec::{Connect, Frame, Packet, PacketId, Reason, Version, frame};
use crate::error::{Error, protocol};
use crate::ms;
use crate::ports::{Inbound, Principal, Wake};
use crate::session::Detach;
use open::{Context, Open, Step};

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Close {
    /// The client said DISCONNECT.
    ByClient,
    /// We end it; the client was told where the protocol has a word for it.
    Error(Error),
}

/// What the caller does next with the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// Go on reading.
    Open,
    /// Do not read. Call [`Connection::on_bytes`] with the rest of the input once output was
    /// written or publications were acknowledged.
    Paused,
    /// Write what is in the output buffer, close the socket, call [`Connection::on_close`].
    Closed(Close),
}

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// There is more to deliver than fits the output: call [`Connection::on_deliverable`] once it
    /// was written.
    pub more: bool,
    /// What to do next.
    pub flow: Flow,
}

/// The state of one client's connection.
pub struct Connection {
    broker: Arc<Broker>,
    waker: Arc<dyn Wake>,
    peer: SocketAddr,
    phase: Phase,
}

enum Phase {
    /// No CONNECT accepted yet: since when, in monotonic milliseconds.
    Connecting(u64, Attempted),
    Open(Box<Open>),
    /// Nothing more is read or written.
    Closing(Close, Option<Box<Open>>),
}

/// What is known of a CONNECT that is not accepted.
#[derive(Clone, Copy, Default)]
struct Attempted {
    version: Option<Version>,
    /// Its refusal was told, with all that it said about itself.
    told: bool,
}

impl Connection {
    /// A connection that was just accepted. `waker` is called when messages wait for it.
    #[must_use]
    pub fn new(broker: Arc<Broker>, waker: Arc<dyn Wake>, peer: SocketAddr, now: Received) -> Self {
        Self { broker, waker, peer, phase: Phase::Connecting(ms(now), Attempted::default()) }
    }

    /// Handles all whole packets in `input`. Replies are appended to `out`, publications to
    /// `inbound`. What was not consumed is to be given again, with what was read after it.
    pub fn on_bytes(
        &mut self,
        input: &[u8],
        now: Received,
        out: &mut BytesMut,
        inbound: &mut Vec<Inbound>,
    ) -> Progress {
        let mut consumed = 0;
        if let (Phase::Open(open), false) = (&mut self.phase, input.is_empty()) {
            open.last_heard_ms = ms(now);
        }
        loop {
            if let Phase::Closing(close, _) = &self.phase {
                let flow = Flow::Closed(close.clone());
                return Progress { consumed: input.len(), more: false, flow };
            }
            if self.has_to_wait(now, out) {
                return Progress { consumed, more: false, flow: Flow::Paused };
            }
            let rest = input.get(consumed..).unwrap_or_default();
            let step = match frame(rest, self.packet_bytes_max()) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    consumed += frame.len;
                    self.on_packet(&frame, now, out, inbound)
                }
                Err(error) => Err(error),
            };
            match step {
                Ok(Step::GoOn) => {}
                Ok(Step::Leave) => self.leave(),
                Err(error) => self.fail(error, out),
            }
        }
        let asked = match &mut self.phase {
            Phase::Open(open) => std::mem::take(&mut open.deliver),
            _ => false,
        };
        if asked {
            let progress = self.on_deliverable(now, out);
            return Progress { consumed, ..progress };
        }
        Progress { consumed, more: false, flow: Flow::Open }
    }

    /// Whether input has to wait, for output to be written or for commits. Only the latter, which
    /// is our doing, freezes the keep-alive.
    fn has_to_wait(&mut self, now: Received, out: &BytesMut) -> bool {
        let limits = &self.broker.limits;
        let Phase::Open(open) = &mut self.phase else { return false };
        // 5.0 clients know the limit and are cut off when they exceed it
        let full = open.version == Version::V311
            && open.receipts.len() >= usize::from(limits.inbound_unacknowledged_max.max(1));
        if open.paused && !full {
            open.last_heard_ms = ms(now); // the pause is no silence of the client's
        }
        open.paused = full;
        open.paused || out.len() >= limits.output_bytes_max
    }

    fn packet_bytes_max(&self) -> usize {
        match self.phase {
            Phase::Connecting(..) => self.broker.limits.connect_packet_bytes_max,
            _ => self.broker.limits.packet_bytes_max,
        }
    }

    fn on_packet(
        &mut self,
        frame: &Frame<'_>,
        now: Received,
        out: &mut BytesMut,
        inbound: &mut Vec<Inbound>,
    ) -> Result<Step, Error> {
        let Self { broker, waker, peer, phase } = self;
        let mut context = Context { broker, peer: *peer, now, out, inbound };
        match phase {
            Phase::Open(open) => {
                let packet = Packet::decode(open.version, frame)?;
                open.on_packet(&packet, &mut context)
            }
            Phase::Connecting(_, attempted) => {
                if frame.first >> 4 != 1 {
                    return Err(protocol("MQTT-3.1.0-1", "the first packet is not CONNECT"));
                }
                attempted.version = Connect::version_of(frame.body);
                let Packet::Connect(connect) = Packet::decode(Version::V5, frame)? else {
                    return Err(protocol("MQTT-3.1.0-1", "the first packet is not CONNECT"));
                };
                match handshake::accept(&connect, *peer, waker, &mut context) {
                    Ok(open) => *phase = Phase::Open(Box::new(open)),
                    Err(error) => {
                        attempted.told = true;
                        refusals::connect(broker, *peer, &connect, &error);
                        return Err(error);
                    }
                }
                Ok(Step::GoOn)
            }
            Phase::Closing(..) => Ok(Step::GoOn),
        }
    }

    /// The publication received with that identifier is committed, or was refused by whoever was
    /// to take it. Acknowledgements leave in the order their publications came [MQTT-4.6.0-2].
    ///
    /// A refusal closes a 3.1.1 connection, which has no other word for it [MQTT-3.3.5-2 of 3.1.1].
    pub fn acknowledge(&mut self, id: PacketId, reason: Reason, out: &mut BytesMut) -> Flow {
        let Phase::Open(open) = &mut self.phase else { return self.flow() };
        if reason.is_error() {
            self.broker.counters.publishes_refused.one(reason);
            open.tell_publish_refused(None, reason, &self.broker, self.peer);
            if open.version == Version::V311 {
                self.fail(Error::ClosedByServer(reason), out);
                return self.flow();
            }
        }
        open.receipts.settle(id, reason);
        open.receipts.flush(open.version, out);
        Flow::Open
    }

    /// Delivers what is queued, as far as the client's window and the output allow.
    pub fn on_deliverable(&mut self, now: Received, out: &mut BytesMut) -> Progress {
        let mut more = false;
        if let Phase::Open(open) = &mut self.phase {
            match open.deliver(&self.broker, ms(now), out) {
                Ok(left) => more = left,
                Err(error) => self.fail(error, out),
            }
        }
        Progress { consumed: 0, more, flow: self.flow() }
    }

    /// When to call [`Connection::on_tick`] next, in monotonic milliseconds; it moves with every
    /// packet.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        match &self.phase {
            Phase::Connecting(since, _) => Some(since + self.broker.limits.connect_timeout_ms),
            Phase::Open(open) if open.keep_alive_s != 0 && !open.paused => {
                Some(open.last_heard_ms + open.patience_ms())
            }
            Phase::Open(_) | Phase::Closing(..) => None,
        }
    }

    /// Ends the connection if its deadline has passed.
    pub fn on_tick(&mut self, now: Received, out: &mut BytesMut) -> Flow {
        if self.deadline_ms().is_some_and(|deadline| deadline <= ms(now)) {
            let error = match &self.phase {
                Phase::Open(open) => Error::KeepAliveTimeout {
                    silent_ms: ms(now).saturating_sub(open.last_heard_ms),
                    keep_alive_s: open.keep_alive_s,
                },
                _ => Error::ConnectTimeout { timeout_ms: self.broker.limits.connect_timeout_ms },
            };
            self.fail(error, out);
        }
        self.flow()
    }

    /// Reading is paused from above: the client's silence says nothing until [`Self::resume`].
    pub fn pause(&mut self) {
        if let Phase::Open(open) = &mut self.phase {
            open.paused = true;
        }
    }

    /// Reading goes on; the keep-alive interval begins anew.
    pub fn resume(&mut self, now: Received) {
        if let Phase::Open(open) = &mut self.phase {
            open.paused = false;
            open.last_heard_ms = ms(now);
        }
    }

    /// Ends the connection from our side: the server is going down, an operator wishes it.
    pub fn close(&mut self, reason: Reason, out: &mut BytesMut) -> Flow {
        if !matches!(self.phase, Phase::Closing(..)) {
            self.fail(Error::ClosedByServer(reason), out);
        }
        self.flow()
    }

    /// The socket is gone, whoever closed it. Leaves the session, which goes on as its expiry
    /// says; a will that is due is put into `inbound`.
    pub fn on_close(mut self, now: Received, inbound: &mut Vec<Inbound>) {
        let counters = Arc::clone(&self.broker.counters);
        let lost = Phase::Closing(Close::ByClient, None);
        let open = match std::mem::replace(&mut self.phase, lost) {
            Phase::Connecting(..) => return counters.connects_missing.one(),
            Phase::Open(open) => {
                counters.connections_lost.one();
                Some(open)
            }
            Phase::Closing(_, open) => open,
        };
        let Some(open) = open else { return };
        counters.connected.sub(1);
        let Open { session, generation, expiry_s, will, .. } = *open;
        let detach = Detach { session: &session, generation, expiry_s, will, now };
        self.broker.sessions.detach(detach, inbound);
    }

    /// The tenant, principal and source of the connection, once signed in.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        match &self.phase {
            Phase::Open(open) | Phase::Closing(_, Some(open)) => Some(&open.principal),
            _ => None,
        }
    }

    /// The client identifier, once signed in.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        match &self.phase {
            Phase::Open(open) | Phase::Closing(_, Some(open)) => Some(&open.session.key.client_id),
            _ => None,
        }
    }

    fn flow(&self) -> Flow {
        match &self.phase {
            Phase::Closing(close, _) => Flow::Closed(close.clone()),
            _ => Flow::Open,
        }
    }

    fn leave(&mut self) {
        self.broker.counters.disconnects_by_client.one();
        self.end(Close::ByClient);
    }

    fn end(&mut self, close: Close) {
        let gone = Phase::Closing(close.clone(), None);
        let open = match std::mem::replace(&mut self.phase, gone) {
            Phase::Open(open) => Some(open),
            _ => None,
        };
        self.phase = Phase::Closing(close, open);
    }

    /// Counts an error, tells the client where the protocol has a word for it, and ends.
    fn fail(&mut self, error: Error, out: &mut BytesMut) {
        let counters = &self.broker.counters;
        let reason = error.reason();
        if matches!(error, Error::Malformed { .. }) {
            counters.malformed.one();
        }
        match &self.phase {
            Phase::Connecting(_, attempted) => {
                counters.connects_refused.one(reason);
                if !attempted.told {
                    refusals::ended(&self.broker, self.peer, None, &error);
                }
                handshake::refuse(attempted.version, &error, out);
            }
            Phase::Open(open) => {
                counters.disconnects.one(reason);
                refusals::ended(&self.broker, self.peer, Some(open), &error);
                open.say_disconnect(&error, out);
            }
            Phase::Closing(..) => return,
        }
        tracing::debug!(target: "flux_mqtt", peer = %self.peer, client_id = self.client_id(),
            code = %reason, "closing: {error}");
        self.end(Close::Error(error));
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.peer)
            .field("client_id", &self.client_id())
            .finish_non_exhaustive()
    }
}

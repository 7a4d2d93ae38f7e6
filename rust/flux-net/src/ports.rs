//! What a protocol is to a network worker, and a worker to a protocol.
//!
//! Owns the traits and the words of their conversation. Must never name a protocol.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::connection::Control;
use crate::waker::{ConnectionHandle, WorkerWaker};
use crate::worker::WorkerIo;

/// Makes the protocol's part of each worker.
pub trait Protocol: Send + Sync + 'static {
    /// What one worker keeps; it never leaves that worker's thread and need not be `Send`.
    type Worker: WorkerProtocol;

    /// Called once on each worker's thread before it serves anybody.
    fn worker(&self, waker: WorkerWaker) -> Self::Worker;
}

/// A protocol on one worker. All calls come from the worker's thread, one at a time; none may
/// block.
///
/// A panic in a call about one connection closes that connection ([`CloseReason::Panicked`]); a
/// panic in a call about the worker is counted, and the worker goes on.
pub trait WorkerProtocol: 'static {
    /// What the protocol keeps for a connection.
    type Connection: 'static;

    /// A peer was accepted. What is put into `cx.output` is sent at once.
    fn on_open(
        &mut self,
        peer: Peer,
        handle: ConnectionHandle,
        cx: &mut Context<'_>,
    ) -> Self::Connection;

    /// A connection that was asked for with [`WorkerIo::connect`] is there. What is put into
    /// `cx.output` is sent at once.
    fn on_connected(
        &mut self,
        connection: &mut Self::Connection,
        handle: ConnectionHandle,
        cx: &mut Context<'_>,
    ) -> Verdict {
        let _ = (connection, handle, cx);
        Verdict::Continue
    }

    /// A datagram arrived. What it is answered goes out with [`WorkerIo::send_datagram`].
    fn on_datagram(&mut self, datagram: Datagram<'_>, io: &mut WorkerIo<'_, Self::Connection>) {
        let _ = (datagram, io);
    }

    /// Bytes arrived. `input` begins with what the last call left. Take what is complete from its
    /// front and leave the rest, at most `input_bytes_max`; taking nothing is fine.
    ///
    /// `input` is often a buffer shared by the worker's connections: bytes that are split off and
    /// kept (`split_to`) keep at most one read's worth alive, so copy small parts that live long.
    ///
    /// With [`Verdict::Pause`] the rest may hold complete packets; they come again after
    /// [`Verdict::Resume`] without waiting for new bytes.
    fn on_bytes(
        &mut self,
        connection: &mut Self::Connection,
        input: &mut BytesMut,
        cx: &mut Context<'_>,
    ) -> Verdict;

    /// Somebody called [`ConnectionHandle::wake`], or the output has drained after
    /// [`Context::more_to_send`]. May come without cause. Fill the output up to [`Context::room`].
    fn on_ready(&mut self, connection: &mut Self::Connection, cx: &mut Context<'_>) -> Verdict;

    /// The time set with [`Context::set_timer`] has come; up to 100 ms late, never early. The timer
    /// is cleared.
    fn on_timer(&mut self, connection: &mut Self::Connection, cx: &mut Context<'_>) -> Verdict;

    /// The peer has ended its side and everything it sent was given to
    /// [`on_bytes`](Self::on_bytes). [`Verdict::Continue`] keeps our side open for at most
    /// `half_closed_timeout_ms`; by default what waits is flushed and the connection closed.
    fn on_end(&mut self, connection: &mut Self::Connection, cx: &mut Context<'_>) -> Verdict {
        let _ = (connection, cx);
        Verdict::Close
    }

    /// The server stops. Nothing is read any more. By default what waits is flushed and the
    /// connection closed; with [`Verdict::Continue`] the protocol closes it itself later, for
    /// example once an acknowledgement is due, within `stop_grace_ms`.
    fn on_stop(&mut self, connection: &mut Self::Connection, cx: &mut Context<'_>) -> Verdict {
        let _ = (connection, cx);
        Verdict::Close
    }

    /// The connection is over for the protocol; what its output holds is still sent if the close
    /// was an orderly one.
    fn on_close(&mut self, connection: Self::Connection, reason: CloseReason);

    /// Somebody called [`WorkerWaker::wake`]. Any number of calls may have become one.
    fn on_wake(&mut self, io: &mut WorkerIo<'_, Self::Connection>) {
        let _ = io;
    }

    /// The time set with [`WorkerIo::set_alarm`] has come; never early, and late by no more than the
    /// turn under way. The alarm is cleared.
    fn on_alarm(&mut self, io: &mut WorkerIo<'_, Self::Connection>) {
        let _ = io;
    }

    /// A turn has ended, and something was called since the last time this was: the place to hand
    /// on in one batch what many connections brought. Output is written afterwards.
    fn on_turn_end(&mut self, io: &mut WorkerIo<'_, Self::Connection>) {
        let _ = io;
    }
}

/// What becomes of a connection after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on as before: a paused connection stays paused.
    Continue,
    /// Do not read from the peer until [`Verdict::Resume`] or
    /// [`WorkerIo::resume`](crate::WorkerIo::resume).
    Pause,
    /// Read again.
    Resume,
    /// Send what waits, then close.
    Close,
    /// Close at once and send nothing more.
    Abort,
}

/// Why a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer ended its side in order.
    PeerEnded,
    /// The peer reset the connection, or the network failed.
    PeerLost,
    /// The protocol said [`Verdict::Close`] or [`Verdict::Abort`].
    Protocol,
    /// `handshake_timeout_ms` passed before [`Context::established`].
    HandshakeTimeout,
    /// The peer took nothing for `write_timeout_ms`.
    WriteTimeout,
    /// The peer ended its side and `half_closed_timeout_ms` passed.
    HalfClosedTimeout,
    /// More than `input_bytes_max` were left in the input.
    InputOverflow,
    /// More than `output_bytes_max` waited for the peer.
    OutputOverflow,
    /// `buffered_bytes_max` was reached.
    BufferBudget,
    /// The server stops.
    Stopped,
    /// The protocol panicked in a call about this connection.
    Panicked,
    /// The socket could not be watched.
    Unwatchable,
    /// The connection we asked for did not come about.
    ConnectFailed,
}

impl CloseReason {
    /// Every reason, in the order of its counter.
    pub const ALL: [Self; 13] = [
        Self::PeerEnded,
        Self::PeerLost,
        Self::Protocol,
        Self::HandshakeTimeout,
        Self::WriteTimeout,
        Self::HalfClosedTimeout,
        Self::InputOverflow,
        Self::OutputOverflow,
        Self::BufferBudget,
        Self::Stopped,
        Self::Panicked,
        Self::Unwatchable,
        Self::ConnectFailed,
    ];

    /// The reason as a metric's label: `peer_ended`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PeerEnded => "peer_ended",
            Self::PeerLost => "peer_lost",
            Self::Protocol => "protocol",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::HalfClosedTimeout => "half_closed_timeout",
            Self::InputOverflow => "input_overflow",
            Self::OutputOverflow => "output_overflow",
            Self::BufferBudget => "buffer_budget",
            Self::Stopped => "stopped",
            Self::Panicked => "panicked",
            Self::Unwatchable => "unwatchable",
            Self::ConnectFailed => "connect_failed",
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// Names a connection for as long as its server lives: a later connection in the same place has
/// another generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// `generation` 32 bits, worker 8, index 24.
    pub(crate) fn new(worker: usize, index: u32, generation: u32) -> Self {
        let place = ((worker as u64 & 0xff) << 24) | u64::from(index & 0x00ff_ffff);
        Self((u64::from(generation) << 32) | place)
    }

    /// The index of the worker that serves it.
    #[must_use]
    pub fn worker(self) -> usize {
        ((self.0 >> 24) & 0xff) as usize
    }

    pub(crate) fn index(self) -> u32 {
        (self.0 & 0x00ff_ffff) as u32
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The id as a number, for logs and keys.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// Who connected, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The peer's address; an IPv4 peer of an IPv6 listener is shown as IPv4.
    pub address: SocketAddr,
    /// Which of the server's listeners it came through: its place in
    /// [`Server::local_addresses`](crate::Server::local_addresses).
    pub listener: usize,
}

/// A datagram, while it is handled.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// Which of the server's sockets it came through: its place in
    /// [`Server::datagram_addresses`](crate::Server::datagram_addresses).
    pub socket: usize,
    /// Who sent it; an IPv4 peer of an IPv6 socket is shown as IPv4.
    pub from: SocketAddr,
    /// What it carries; may be nothing.
    pub bytes: &'a [u8],
}

/// What a protocol may see and ask of its connection during a call.
#[derive(Debug)]
pub struct Context<'a> {
    /// What is to be sent to the peer: append to it. Written after the turn.
    pub output: &'a mut BytesMut,
    pub(crate) id: ConnectionId,
    pub(crate) now: Instant,
    pub(crate) epoch: Instant,
    pub(crate) output_bytes_high: usize,
    pub(crate) control: &'a mut Control,
    /// Whether what the peer may have sent is unread by our doing.
    pub(crate) held: bool,
}

impl Context<'_> {
    /// The connection's name.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// The time of this turn.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How many bytes more the output may take before the peer is to be waited for: stop sending at
    /// 0 and ask for [`more_to_send`](Self::more_to_send).
    #[must_use]
    pub fn room(&self) -> usize {
        self.output_bytes_high.saturating_sub(self.output.len())
    }

    /// There is more to send than there was room: [`WorkerProtocol::on_ready`] is called once all
    /// of the output was taken by the peer's socket.
    pub fn more_to_send(&mut self) {
        self.control.more = true;
    }

    /// The peer has shown who it is: `handshake_timeout_ms` no longer applies.
    pub fn established(&mut self) {
        self.control.established = true;
    }

    /// Asks for [`WorkerProtocol::on_timer`] at `at`, instead of at what was asked before.
    pub fn set_timer(&mut self, at: Instant) {
        let since = at.saturating_duration_since(self.epoch);
        // Rounded up: a timer is never early.
        let ms = since.as_nanos().div_ceil(1_000_000);
        self.control.timer_ms = u64::try_from(ms).unwrap_or(u64::MAX - 1);
    }

    /// Asks for no [`WorkerProtocol::on_timer`] any more.
    pub fn clear_timer(&mut self) {
        self.control.timer_ms = crate::wheel::NEVER;
    }

    /// When the peer was last heard: now for as long as we do not read from it (paused, over its
    /// rate, not taking its output, not yet its turn), so that our own waiting is never held against
    /// it.
    #[must_use]
    pub fn heard_at(&self) -> Instant {
        if self.held {
            return self.now;
        }
        self.epoch + Duration::from_millis(self.control.heard_ms)
    }

    /// Whether what the peer may have sent is unread by our doing.
    #[must_use]
    pub fn held(&self) -> bool {
        self.held
    }
}

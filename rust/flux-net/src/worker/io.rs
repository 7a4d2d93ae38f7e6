//! A protocol's way to its worker's connections, and the one place where a call about a connection
//! is made.

use crate::connection::{Entry, Stage};
use crate::counters::Counters;
use crate::ports::{CloseReason, ConnectionId, Context, Verdict};
use crate::slots::Slots;

use super::contained;
use super::core::Core;

/// Every connection of a worker, for calls about the worker as a whole.
pub struct WorkerIo<'a, C> {
    pub(super) entries: &'a mut Slots<Entry<C>>,
    pub(super) core: &'a mut Core,
}

impl<C> std::fmt::Debug for WorkerIo<'_, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerIo").field("connections", &self.entries.len()).finish()
    }
}

/// Makes one call about an open connection: lends it an output buffer, contains a panic, follows
/// the verdict. False if there is no such open connection. The caller carries out closes.
pub(super) fn call<C>(
    entries: &mut Slots<Entry<C>>,
    core: &mut Core,
    index: u32,
    reason: CloseReason,
    f: impl FnOnce(&mut C, &mut Context<'_>) -> Verdict,
) -> bool {
    let generation = entries.generation(index).unwrap_or_default();
    let Some(entry) = entries.get_mut(index) else { return false };
    if entry.stage != Stage::Open || entry.closing.is_some() {
        return false;
    }
    core.lend_output(entry);
    let id = ConnectionId::new(core.shared.index, index, generation);
    let (Some(connection), mut cx) = core.context(id, entry) else { return false };
    let verdict = contained(&core.counters, || f(connection, &mut cx));
    match verdict {
        Some(verdict) => core.obey(index, entry, verdict, reason),
        None => core.decide(index, entry, CloseReason::Panicked, true),
    }
    core.settle(index, entry);
    true
}

impl<C> WorkerIo<'_, C> {
    /// The time of this turn.
    #[must_use]
    pub fn now(&self) -> std::time::Instant {
        self.core.now
    }

    /// How many connections the worker has, those being closed included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the worker has no connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Works on one connection as a call about it would: what is put into the output is sent, the
    /// verdict followed (a close is carried out when the running call has returned). False, without
    /// a call, if the connection is gone or not this worker's.
    pub fn visit(
        &mut self,
        id: ConnectionId,
        f: impl FnOnce(&mut C, &mut Context<'_>) -> Verdict,
    ) -> bool {
        if id.worker() != self.core.shared.index
            || self.entries.generation(id.index()) != Some(id.generation())
        {
            return false;
        }
        call(self.entries, self.core, id.index(), CloseReason::Protocol, f)
    }

    /// Sends a datagram from one of this worker's sockets, named by its place in
    /// [`Server::datagram_addresses`](crate::Server::datagram_addresses). False if it could not be
    /// sent at once: it is dropped then, and counted.
    pub fn send_datagram(&mut self, socket: usize, to: std::net::SocketAddr, bytes: &[u8]) -> bool {
        let sent = self.core.datagrams.send(socket, to, bytes);
        let counters = &self.core.counters;
        Counters::add(if sent { &counters.datagrams_out } else { &counters.datagrams_unsent }, 1);
        if sent {
            Counters::add(&counters.bytes_out, bytes.len() as u64);
        }
        sent
    }

    /// Asks for [`WorkerProtocol::on_alarm`](crate::WorkerProtocol::on_alarm) at `at`, instead of at
    /// what was asked before; `None` asks for no call any more. Finer than a connection's timer: to
    /// the millisecond.
    pub fn set_alarm(&mut self, at: Option<std::time::Instant>) {
        self.core.alarm = at;
    }

    /// Reads again from a paused connection. False if it is gone or not this worker's.
    pub fn resume(&mut self, id: ConnectionId) -> bool {
        self.visit(id, |_, _| Verdict::Resume)
    }
}

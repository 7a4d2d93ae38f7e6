//! One worker: its thread's loop. Owns the poll, the connection table and the queues of a turn.
//!
//! A turn: wait for events (not at all if something is queued), note what became readable, writable
//! or dirty; serve queued connections up to a budget; end the turn with the protocol; write what is
//! to be sent; look at what is due. Must never block but in the poll, nor serve one connection twice
//! before the others queued had their turn.

mod close;
mod connect;
mod core;
mod io;
mod serve;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token};

use crate::accept::Acceptor;
use crate::connection::{Entry, Stage};
use crate::counters::Counters;
use crate::datagram::DATAGRAMS_PER_TURN;
use crate::ports::{CloseReason, ConnectionId, Datagram, Peer, WorkerProtocol};
use crate::slots::Slots;
use crate::waker::{Accepted, ConnectionHandle, PENDING_DIRTY, PENDING_INBOX, PENDING_WORKER};
use crate::wheel::NEVER;

pub use self::io::WorkerIo;

pub(crate) use self::core::Core;

/// The poll's token for wakes.
pub(crate) const WAKE_TOKEN: Token = Token(usize::MAX);
/// The first listener's token; the next ones are below it.
pub(crate) const LISTENER_TOKEN: Token = Token(usize::MAX - 1);

/// Events taken from the poll at once.
const EVENTS_LEN: usize = 1_024;
/// Connections served, and bytes read, before new events are looked at and output is written.
const SERVED_PER_TURN: usize = 512;
const BYTES_PER_TURN: usize = 512 << 10;
/// Due connections looked at in a turn.
const DUE_PER_TURN: usize = 4_096;
/// How often the poll may fail in a row before the worker gives up.
const POLL_FAILURES_MAX: u32 = 100;

/// A worker on its thread.
pub(crate) struct Worker<W: WorkerProtocol> {
    protocol: W,
    entries: Slots<Entry<W::Connection>>,
    core: Core,
    poll: Poll,
    acceptor: Option<Acceptor>,
    /// Set once the server stops: when the rest is cut off.
    stop_ms: Option<u64>,
    /// The protocol was called and has not been told of a turn's end since.
    called: bool,
}

/// Runs a call of the protocol; `None` if it panicked.
pub(crate) fn contained<T>(counters: &Counters, call: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(value) => Some(value),
        Err(payload) => {
            Counters::add(&counters.panics, 1);
            let text = payload
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no text");
            tracing::error!(target: "flux_net", panic = text, "a protocol panicked; contained");
            None
        }
    }
}

impl<W: WorkerProtocol> Worker<W> {
    pub(crate) fn new(protocol: W, poll: Poll, core: Core, acceptor: Option<Acceptor>) -> Self {
        Self { protocol, entries: Slots::new(), core, poll, acceptor, stop_ms: None, called: false }
    }

    /// Serves until the server stops and every connection is closed.
    pub(crate) fn run(mut self) {
        if let Some(acceptor) = &mut self.acceptor
            && let Err(error) = acceptor.register(self.poll.registry())
        {
            tracing::error!(target: "flux_net", %error, "cannot watch the listeners");
        }
        if let Err(error) = self.core.datagrams.register(self.poll.registry()) {
            tracing::error!(target: "flux_net", %error, "cannot watch the datagram sockets");
        }
        let mut events = Events::with_capacity(EVENTS_LEN);
        let mut failures = 0;
        while !self.over() {
            let timeout = self.timeout();
            let asleep = timeout != Some(Duration::ZERO) && self.core.shared.fall_asleep();
            let polled =
                self.poll.poll(&mut events, if asleep { timeout } else { Some(Duration::ZERO) });
            self.core.shared.awake();
            self.core.look_at_clock();
            match polled {
                Ok(()) => failures = 0,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    failures += 1;
                    tracing::error!(target: "flux_net", %error, "cannot wait for events");
                    if failures > POLL_FAILURES_MAX {
                        break;
                    }
                    continue;
                }
            }
            for event in &events {
                self.note(event);
            }
            self.turn();
        }
        self.cut_off();
        let Self { protocol, core, .. } = self;
        contained(&core.counters, || drop(protocol));
    }

    /// How long the poll may wait.
    fn timeout(&self) -> Option<Duration> {
        if self.called || !self.core.run_queue.is_empty() || !self.core.flush_queue.is_empty() {
            return Some(Duration::ZERO);
        }
        if self.core.datagrams.is_ready() && self.stop_ms.is_none() {
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        let at =
            |ms: u64| (self.core.epoch + Duration::from_millis(ms)).saturating_duration_since(now);
        let wheel = self.core.wheel.next_ms().map(at);
        let stop = self.stop_ms.map(at);
        let accept = self.acceptor.as_ref().and_then(|acceptor| acceptor.due(now));
        let alarm = self.core.alarm.map(|alarm| alarm.saturating_duration_since(now));
        [wheel, stop, accept, alarm].into_iter().flatten().min()
    }

    fn turn(&mut self) {
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.turn(self.core.now);
        }
        self.answer_pending();
        self.receive_datagrams();
        self.serve_queue();
        self.ring_alarm();
        if std::mem::take(&mut self.called) {
            let counters = self.core.counters.clone();
            let (protocol, mut io) = self.split();
            contained(&counters, || protocol.on_turn_end(&mut io));
            self.carry_out_closes();
        }
        self.flush_queue();
        self.look_at_due();
    }

    /// Hands the protocol what came by datagram, a turn's worth.
    fn receive_datagrams(&mut self) {
        if self.stop_ms.is_some() || !self.core.datagrams.is_ready() {
            return;
        }
        let counters = self.core.counters.clone();
        // lent out for the calls: a protocol may work on connections meanwhile, which read nothing
        let mut scratch = std::mem::take(&mut self.core.scratch);
        for index in 0..self.core.datagrams.len() {
            for _ in 0..DATAGRAMS_PER_TURN {
                let received = self.core.datagrams.receive(index, &mut scratch);
                let Some((socket, len, from)) = received else { break };
                Counters::add(&counters.datagrams_in, 1);
                Counters::add(&counters.bytes_in, len as u64);
                self.called = true;
                let datagram = Datagram { socket, from, bytes: scratch.get(..len).unwrap_or(&[]) };
                let (protocol, mut io) = self.split();
                contained(&counters, || protocol.on_datagram(datagram, &mut io));
                self.carry_out_closes();
            }
        }
        self.core.scratch = scratch;
    }

    fn ring_alarm(&mut self) {
        if self.core.alarm.is_some_and(|alarm| alarm <= self.core.now) {
            self.core.alarm = None;
            self.called = true;
            let counters = self.core.counters.clone();
            let (protocol, mut io) = self.split();
            contained(&counters, || protocol.on_alarm(&mut io));
            self.carry_out_closes();
        }
    }

    /// The protocol beside everything it may work on.
    fn split(&mut self) -> (&mut W, WorkerIo<'_, W::Connection>) {
        (&mut self.protocol, WorkerIo { entries: &mut self.entries, core: &mut self.core })
    }

    fn note(&mut self, event: &Event) {
        let token = event.token();
        if token == WAKE_TOKEN
            || self.acceptor.as_mut().is_some_and(|acceptor| acceptor.on_event(token))
            || self.core.datagrams.on_event(token)
        {
            return;
        }
        let Ok(index) = u32::try_from(token.0) else { return };
        let Some(entry) = self.entries.get_mut(index) else { return };
        if entry.stage == Stage::Connecting {
            self.look_at_connecting(index);
            return;
        }
        let broken = event.is_error() || event.is_read_closed() && event.is_write_closed();
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            entry.readable = true;
        }
        entry.ending |= event.is_read_closed() || event.is_error();
        if event.is_writable() || event.is_write_closed() {
            entry.writable = true;
            if !entry.output.is_empty() {
                self.core.queue_flush(index, entry);
            }
        }
        // While we do not read we would not find out that the peer is gone; nothing it sent and we
        // did not read was promised to it.
        if broken && entry.stage == Stage::Open && entry.held(&self.core.limits) {
            self.core.decide(index, entry, CloseReason::PeerLost, true);
            self.carry_out_closes();
            return;
        }
        self.core.queue(index, entry);
    }

    fn answer_pending(&mut self) {
        let pending = self.core.shared.take_pending();
        if pending == 0 {
            return;
        }
        if pending & PENDING_INBOX != 0 {
            for accepted in self.core.shared.take_inbox() {
                self.open(accepted);
            }
            if self.stop_ms.is_none() && self.core.shared.stopping.load(Ordering::SeqCst) {
                self.begin_stop();
            }
        }
        if pending & PENDING_WORKER != 0 {
            self.called = true;
            let counters = self.core.counters.clone();
            let (protocol, mut io) = self.split();
            contained(&counters, || protocol.on_wake(&mut io));
            self.carry_out_closes();
        }
        if pending & PENDING_DIRTY != 0 {
            let Self { core, entries, .. } = self;
            let shared = core.shared.clone();
            shared.drain_dirty(|index| {
                if let Some(entry) = entries.get_mut(index).filter(|e| e.stage == Stage::Open) {
                    entry.notified = true;
                    core.queue(index, entry);
                }
            });
        }
    }

    /// Takes a connection in.
    fn open(&mut self, accepted: Accepted) {
        let Accepted { transport, address, listener } = accepted;
        if self.stop_ms.is_some() {
            self.core.release(address.ip(), CloseReason::Stopped);
            return;
        }
        let (index, generation) = self.entries.vacant();
        let id = ConnectionId::new(self.core.shared.index, index, generation);
        let mut entry =
            Entry::new(transport, Some(address.ip()), self.core.now_ms, &self.core.limits);
        if let Err(error) = entry.transport.register(self.poll.registry(), Token(index as usize)) {
            tracing::warn!(target: "flux_net", %error, "cannot watch a connection");
            self.core.release(address.ip(), CloseReason::Unwatchable);
            return;
        }
        let handle = ConnectionHandle { shared: self.core.shared.clone(), id };
        let peer = Peer { address, listener };
        self.called = true;
        let Self { protocol, core, .. } = self;
        core.lend_output(&mut entry);
        let counters = core.counters.clone();
        let mut cx = core.context(id, &mut entry).1;
        let made = contained(&counters, || protocol.on_open(peer, handle, &mut cx));
        if made.is_none() {
            entry.closing = Some((CloseReason::Panicked, true));
        }
        entry.protocol = made;
        self.entries.insert(entry);
        let Some(entry) = self.entries.get_mut(index) else { return };
        if entry.closing.is_some() {
            self.core.doomed.push(index);
        }
        self.core.settle(index, entry);
        self.core.queue(index, entry);
        self.carry_out_closes();
    }

    /// Serves queued connections, each once, until the queue as it was is through or the turn's
    /// budget is spent.
    fn serve_queue(&mut self) {
        let mut bytes = 0;
        for _ in 0..self.core.run_queue.len().min(SERVED_PER_TURN) {
            if bytes >= BYTES_PER_TURN {
                break;
            }
            let Some(index) = self.core.run_queue.pop_front() else { break };
            bytes += self.serve(index);
        }
    }

    fn flush_queue(&mut self) {
        // What queues itself again by waking the protocol comes in the next turn.
        for index in std::mem::take(&mut self.core.flush_queue) {
            self.flush(index);
        }
        self.carry_out_closes();
    }

    fn look_at_due(&mut self) {
        for _ in 0..DUE_PER_TURN {
            let Some((index, tick)) = self.core.wheel.pop(self.core.now_ms) else { break };
            let Some(entry) = self.entries.get_mut(index) else { continue };
            // Others are left over from when it was due at another time.
            if entry.scheduled_tick == tick {
                entry.scheduled_tick = NEVER;
                self.on_due(index);
            }
        }
    }

    fn over(&self) -> bool {
        self.stop_ms.is_some_and(|stop_ms| self.entries.len() == 0 || self.core.now_ms >= stop_ms)
    }
}

/// What a turn works through.
type Queue = VecDeque<u32>;

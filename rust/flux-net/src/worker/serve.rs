//! Serving one connection: reading, readiness, timers, writing.

use std::io::ErrorKind;

use bytes::{Buf, BytesMut};

use crate::connection::{Entry, Stage};
use crate::counters::Counters;
use crate::ports::{CloseReason, Context, Verdict, WorkerProtocol};
use crate::wheel::NEVER;

use super::io::call;
use super::{Worker, WorkerIo};

/// How many writes one flush may make.
const WRITES_PER_FLUSH: usize = 16;
/// A rate's hold ends when this part of a second's bytes may be read again.
const RATE_PARTS: u64 = 10;

impl<W: WorkerProtocol> Worker<W> {
    /// Calls the protocol about a connection it has, and follows its verdict.
    fn call(
        &mut self,
        index: u32,
        reason: CloseReason,
        f: impl FnOnce(&mut W, &mut W::Connection, &mut Context<'_>) -> Verdict,
    ) {
        self.called = true;
        let (protocol, WorkerIo { entries, core }) = self.split();
        call(entries, core, index, reason, |connection, cx| f(protocol, connection, cx));
        self.carry_out_closes();
    }

    /// Gives a connection its turn; tells how many bytes it brought.
    pub(super) fn serve(&mut self, index: u32) -> usize {
        let Some(entry) = self.entries.get_mut(index) else { return 0 };
        entry.queued = false;
        if entry.stage == Stage::Lingering {
            return self.discard(index);
        }
        if entry.notified && entry.stage == Stage::Open {
            entry.notified = false;
            self.call(index, CloseReason::Protocol, |protocol, connection, cx| {
                protocol.on_ready(connection, cx)
            });
        }
        let bytes = self.read(index);
        if let Some(entry) = self.entries.get_mut(index) {
            self.core.queue(index, entry);
        }
        bytes
    }

    /// Reads once and gives the protocol what there is.
    fn read(&mut self, index: u32) -> usize {
        let Some(entry) = self.entries.get_mut(index) else { return 0 };
        if entry.stage != Stage::Open {
            return 0;
        }
        if std::mem::take(&mut entry.offer) && !entry.paused && !entry.deaf {
            self.deliver(index, 0);
        }
        let Some(entry) = self.entries.get_mut(index) else { return 0 };
        let open = entry.stage == Stage::Open && !entry.ended;
        if !open || !entry.readable || entry.held(&self.core.limits) {
            return 0;
        }
        let now_us = self.core.now_us();
        let rate = self.core.limits.read_rate_max;
        let allowed = entry.rate_allows(now_us, rate);
        // Not byte by byte as they become free: a read has to be worth its system call.
        let least = usize::try_from(rate / RATE_PARTS).unwrap_or(usize::MAX);
        if allowed < least.clamp(1, self.core.limits.read_bytes_per_turn) {
            entry.rate_ms = self.core.now_ms + 1_000 / RATE_PARTS;
            Counters::add(&self.core.counters.rate_held, 1);
            self.core.schedule(index, entry);
            return 0;
        }
        let len = allowed.min(self.core.limits.read_bytes_per_turn).min(self.core.scratch.len());
        let Some(into) = self.core.scratch.get_mut(..len) else { return 0 };
        match entry.transport.read(into) {
            Ok(brought) if brought.len == 0 => {
                entry.readable = false;
                entry.ended = true;
                entry.guard_ms = self.core.now_ms + self.core.limits.half_closed_timeout_ms;
                self.call(index, CloseReason::PeerEnded, |protocol, connection, cx| {
                    protocol.on_end(connection, cx)
                });
                0
            }
            Ok(brought) => {
                entry.readable = brought.more || entry.ending;
                entry.control.heard_ms = self.core.now_ms;
                entry.rate_charge(now_us, rate, brought.len);
                Counters::add(&self.core.counters.bytes_in, brought.len as u64);
                self.deliver(index, brought.len);
                brought.len
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                entry.readable = false;
                0
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(_) => {
                self.core.decide(index, entry, CloseReason::PeerLost, true);
                self.carry_out_closes();
                0
            }
        }
    }

    /// Gives the protocol what it had left and the first `len` bytes of the scratch buffer.
    fn deliver(&mut self, index: u32, len: usize) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let own = !entry.input.is_empty();
        let mut input = std::mem::take(if own { &mut entry.input } else { &mut self.core.input });
        if let Some(new) = self.core.scratch.get(..len) {
            input.extend_from_slice(new);
        }
        let len_before = input.len();
        self.called = true;
        let (protocol, WorkerIo { entries, core }) = self.split();
        let left = &mut input;
        call(entries, core, index, CloseReason::Protocol, |connection, cx| {
            protocol.on_bytes(connection, left, cx)
        });
        let keeps = self.entries.get(index).is_some_and(|entry| entry.protocol.is_some());
        if let Some(entry) = self.entries.get_mut(index).filter(|_| keeps) {
            let taken = input.len() < len_before;
            if !own {
                if !input.is_empty() {
                    entry.input = BytesMut::from(&input[..]);
                    input.clear();
                }
                self.core.input = input;
            } else if taken && !input.is_empty() {
                // A long packet is through: its memory is not kept for a few bytes of the next.
                entry.input = BytesMut::from(&input[..]);
            } else if !taken {
                entry.input = input;
            }
            self.core.settle(index, entry);
        }
        self.carry_out_closes();
    }

    /// Reads and throws away, while the peer's end is waited for.
    fn discard(&mut self, index: u32) -> usize {
        let Some(entry) = self.entries.get_mut(index) else { return 0 };
        match entry.transport.read(&mut self.core.scratch) {
            Ok(brought) if brought.len > 0 => {
                entry.readable = brought.more || entry.ending;
                self.core.queue(index, entry);
                brought.len
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                entry.readable = false;
                0
            }
            Ok(_) | Err(_) => {
                self.remove(index);
                0
            }
        }
    }

    /// Writes what waits for the peer.
    pub(super) fn flush(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        entry.flush_queued = false;
        let was_held = entry.held(&self.core.limits);
        let mut written = 0;
        let mut lost = false;
        for _ in 0..WRITES_PER_FLUSH {
            if !entry.writable || entry.output.is_empty() {
                break;
            }
            match entry.transport.write(&entry.output) {
                Ok(len) => {
                    entry.output.advance(len);
                    written += len;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => entry.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    lost = true;
                    break;
                }
            }
        }
        Counters::add(&self.core.counters.bytes_out, written as u64);
        if lost {
            self.lose(index);
        } else {
            self.after_flush(index, written, was_held);
        }
    }

    fn after_flush(&mut self, index: u32, written: usize, was_held: bool) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        if entry.output.is_empty() {
            entry.write_ms = NEVER;
        } else {
            if written > 0 || entry.write_ms == NEVER {
                entry.write_ms = self.core.now_ms + self.core.limits.write_timeout_ms;
            }
            if entry.writable {
                self.core.queue_flush(index, entry);
            }
        }
        if was_held && !entry.held(&self.core.limits) {
            entry.control.heard_ms = self.core.now_ms;
        }
        if entry.stage == Stage::Open {
            self.core.settle(index, entry);
            self.core.queue(index, entry);
        } else if entry.output.is_empty() {
            self.linger(index);
        } else {
            let held = entry.output.len();
            self.core.charge(entry, held);
            self.core.schedule(index, entry);
        }
    }

    /// The peer cannot be written to any more.
    fn lose(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        if entry.stage != Stage::Open {
            self.remove(index);
            return;
        }
        // What it sent before it went is still to be read, and its end found there; what we have
        // for it can no longer arrive.
        entry.output.clear();
        entry.write_ms = NEVER;
        if entry.readable && !entry.ended && !entry.held(&self.core.limits) {
            self.core.settle(index, entry);
            self.core.queue(index, entry);
        } else {
            self.core.decide(index, entry, CloseReason::PeerLost, true);
        }
    }

    /// The wheel has brought the connection up.
    pub(super) fn on_due(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let now_ms = self.core.now_ms;
        if entry.stage == Stage::Connecting && entry.guard_ms <= now_ms {
            self.core.decide(index, entry, CloseReason::ConnectFailed, true);
            self.carry_out_closes();
            return;
        }
        if entry.stage != Stage::Open {
            if entry.guard_ms <= now_ms || entry.write_ms <= now_ms {
                self.remove(index);
            } else {
                self.core.schedule(index, entry);
            }
            return;
        }
        if let Some(reason) = overdue(entry, now_ms) {
            self.core.decide(index, entry, reason, true);
            self.carry_out_closes();
            return;
        }
        if entry.rate_ms <= now_ms {
            entry.rate_ms = NEVER;
            entry.control.heard_ms = now_ms;
            self.core.queue(index, entry);
        }
        if entry.control.timer_ms <= now_ms {
            entry.control.timer_ms = NEVER;
            self.call(index, CloseReason::Protocol, |protocol, connection, cx| {
                protocol.on_timer(connection, cx)
            });
        } else {
            self.core.schedule(index, entry);
        }
    }
}

/// Which limit of an open connection has passed.
fn overdue<C>(entry: &Entry<C>, now_ms: u64) -> Option<CloseReason> {
    if entry.write_ms <= now_ms {
        Some(CloseReason::WriteTimeout)
    } else if entry.guard_ms > now_ms {
        None
    } else if entry.ended {
        Some(CloseReason::HalfClosedTimeout)
    } else {
        (!entry.control.established).then_some(CloseReason::HandshakeTimeout)
    }
}

//! Ending connections: decided closes, linger, the server's stop.

use crate::connection::Stage;
use crate::counters::Counters;
use crate::ports::{CloseReason, Verdict, WorkerProtocol};
use crate::wheel::NEVER;

use super::io::call;
use super::{Worker, WorkerIo, contained};

/// How long a stop waits, at most, for a peer that is still sending to see our end.
const STOP_LINGER_MS: u64 = 200;

impl<W: WorkerProtocol> Worker<W> {
    /// Carries out the closes that calls have decided.
    pub(super) fn carry_out_closes(&mut self) {
        while let Some(index) = self.core.doomed.pop() {
            self.close(index);
        }
    }

    fn close(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let Some((reason, abrupt)) = entry.closing.take() else { return };
        self.core.counters.closed_for(reason);
        if let Some(connection) = entry.protocol.take() {
            self.called = true;
            let protocol = &mut self.protocol;
            contained(&self.core.counters, || protocol.on_close(connection, reason));
        }
        let Some(entry) = self.entries.get_mut(index) else { return };
        entry.input = bytes::BytesMut::new();
        entry.control.timer_ms = NEVER;
        entry.control.more = false;
        entry.notified = false;
        entry.rate_ms = NEVER;
        if abrupt {
            self.remove(index);
            return;
        }
        entry.stage = Stage::Flushing;
        let waits = self.core.limits.write_timeout_ms.max(1);
        entry.guard_ms = self.core.now_ms + waits;
        self.core.queue_flush(index, entry);
        self.core.schedule(index, entry);
    }

    /// Everything is sent: ends our side and waits a little for the peer's end. To close with its
    /// bytes unread would reset the connection and could destroy what we sent last (RFC 1122,
    /// 4.2.2.13).
    pub(super) fn linger(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        if entry.stage != Stage::Flushing {
            return;
        }
        if entry.output.capacity() > 0 {
            self.core.take_output(entry);
        }
        self.core.charge(entry, 0);
        let linger_ms = match self.stop_ms {
            Some(_) => self.core.limits.linger_timeout_ms.min(STOP_LINGER_MS),
            None => self.core.limits.linger_timeout_ms,
        };
        if entry.ended || linger_ms == 0 || entry.transport.end().is_err() {
            self.remove(index);
            return;
        }
        entry.stage = Stage::Lingering;
        entry.guard_ms = self.core.now_ms + linger_ms;
        entry.readable = true;
        self.core.queue(index, entry);
        self.core.schedule(index, entry);
    }

    /// Closes the socket and frees the place.
    pub(super) fn remove(&mut self, index: u32) {
        if let Some(mut entry) = self.entries.remove(index) {
            if entry.output.capacity() > 0 {
                self.core.take_output(&mut entry);
            }
            self.core.forget(entry);
        }
    }

    /// Stops accepting and reading, and tells the protocol about each connection.
    pub(super) fn begin_stop(&mut self) {
        self.acceptor = None;
        self.stop_ms = Some(self.core.now_ms + self.core.limits.stop_grace_ms);
        for index in self.entries.indices() {
            let Some(entry) = self.entries.get_mut(index) else { continue };
            entry.deaf = true;
            if entry.stage == Stage::Lingering {
                entry.guard_ms = entry.guard_ms.min(self.core.now_ms + STOP_LINGER_MS);
                self.core.schedule(index, entry);
            }
            if entry.stage == Stage::Connecting {
                self.core.decide(index, entry, CloseReason::Stopped, true);
                self.carry_out_closes();
                continue;
            }
            self.called = true;
            let (protocol, WorkerIo { entries, core }) = self.split();
            call(entries, core, index, CloseReason::Stopped, |connection, cx| {
                protocol.on_stop(connection, cx)
            });
            self.carry_out_closes();
        }
    }

    /// Cuts off what is left when the grace is over.
    pub(super) fn cut_off(&mut self) {
        for index in self.entries.indices() {
            Counters::add(&self.core.counters.stop_forced, 1);
            let Some(entry) = self.entries.get_mut(index) else { continue };
            self.core.obey(index, entry, Verdict::Abort, CloseReason::Stopped);
            self.carry_out_closes();
            self.remove(index);
        }
        for accepted in self.core.shared.take_inbox() {
            self.core.release(accepted.address.ip(), CloseReason::Stopped);
        }
    }
}

//! Connections that we open: asked for, waited for, and then like any other.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

use mio::Token;
use mio::net::TcpStream;

use crate::connection::{Entry, Stage};
use crate::counters::Counters;
use crate::error::NetError;
use crate::ports::{CloseReason, ConnectionId, WorkerProtocol};
use crate::transport::Transport;
use crate::waker::ConnectionHandle;

use super::io::call;
use super::{Worker, WorkerIo};

impl<C> WorkerIo<'_, C> {
    /// Asks for a connection to a peer, served by this worker. Once it is there,
    /// [`WorkerProtocol::on_connected`] is called; if it does not come about,
    /// [`WorkerProtocol::on_close`] with [`CloseReason::ConnectFailed`]. Until then it cannot be
    /// visited. It is not counted against `connections_per_ip_max`.
    ///
    /// # Errors
    /// [`NetError::ConnectionsMax`], or [`NetError::Connect`] if it could not even be begun;
    /// `connection` is dropped then.
    pub fn connect(
        &mut self,
        address: SocketAddr,
        connection: C,
    ) -> Result<ConnectionId, NetError> {
        let counters = self.core.counters.clone();
        Counters::add(&counters.connecting, 1);
        let max = self.core.limits.connections_max;
        if counters.open.load(Relaxed) >= max as u64 {
            return Err(NetError::ConnectionsMax { max });
        }
        let failed = |source| NetError::Connect { address, source };
        let stream = TcpStream::connect(address).map_err(failed)?;
        let (index, generation) = self.entries.vacant();
        let id = ConnectionId::new(self.core.shared.index, index, generation);
        let now_ms = self.core.now_ms;
        let mut entry = Entry::new(Transport::Tcp(stream), None, now_ms, &self.core.limits);
        let unwatched = || failed(std::io::Error::other("the socket cannot be watched"));
        let registry = self.core.registry.as_ref().ok_or_else(unwatched)?;
        entry.transport.register(registry, Token(index as usize)).map_err(failed)?;
        entry.stage = Stage::Connecting;
        entry.guard_ms = now_ms + self.core.limits.connect_timeout_ms;
        entry.protocol = Some(connection);
        Counters::add(&counters.open, 1);
        self.core.shared.load.fetch_add(1, Relaxed);
        self.entries.insert(entry);
        if let Some(entry) = self.entries.get_mut(index) {
            self.core.schedule(index, entry);
        }
        Ok(id)
    }

    /// Closes a connection at once, also one that is not there yet. False if it is gone or not this
    /// worker's.
    pub fn abort(&mut self, id: ConnectionId) -> bool {
        if id.worker() != self.core.shared.index
            || self.entries.generation(id.index()) != Some(id.generation())
        {
            return false;
        }
        let Some(entry) = self.entries.get_mut(id.index()) else { return false };
        self.core.decide(id.index(), entry, CloseReason::Protocol, true);
        true
    }
}

impl<W: WorkerProtocol> Worker<W> {
    /// There was an event of a connection that is being opened.
    pub(super) fn look_at_connecting(&mut self, index: u32) {
        let generation = self.entries.generation(index).unwrap_or_default();
        let Some(entry) = self.entries.get_mut(index) else { return };
        match entry.transport.is_connected() {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                tracing::debug!(target: "flux_net", %error, "a connection did not come about");
                self.core.decide(index, entry, CloseReason::ConnectFailed, true);
                self.carry_out_closes();
                return;
            }
        }
        entry.stage = Stage::Open;
        entry.guard_ms = self.core.now_ms + self.core.limits.handshake_timeout_ms;
        entry.control.heard_ms = self.core.now_ms;
        entry.scheduled_tick = crate::wheel::NEVER;
        let id = ConnectionId::new(self.core.shared.index, index, generation);
        let handle = ConnectionHandle { shared: self.core.shared.clone(), id };
        self.called = true;
        let (protocol, WorkerIo { entries, core }) = self.split();
        call(entries, core, index, CloseReason::Protocol, |connection, cx| {
            protocol.on_connected(connection, handle, cx)
        });
        if let Some(entry) = self.entries.get_mut(index) {
            self.core.queue(index, entry);
        }
        self.carry_out_closes();
    }
}

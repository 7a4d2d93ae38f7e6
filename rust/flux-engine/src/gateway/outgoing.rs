//! Connections that we open: to devices whose product says where they are.

use std::net::SocketAddr;
use std::sync::Arc;

use flux_gateway::framing::Framer;
use flux_gateway::{Directory, count};
use flux_net::{ConnectionHandle, Context, Verdict, WorkerIo};
use flux_types::TenantId;

use super::directory::Target;
use super::lines::Carrier;
use super::worker::{Connection, GatewayWorker, Role};

/// Where we connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TargetKey {
    pub(super) tenant: TenantId,
    pub(super) host: Arc<str>,
    pub(super) port: u16,
}

/// How a connection of ours stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is opened when its time comes.
    Waiting,
    /// Its name is being looked up.
    Resolving,
    /// It is being opened, or is open.
    Begun(flux_net::ConnectionId),
}

/// A place we connect to.
pub(super) struct Outgoing {
    target: Target,
    standing: Standing,
    pub(super) line: Option<u64>,
    attempts: u32,
}

impl GatewayWorker {
    /// Takes up what is to be connected to, and lets go of what is not any more.
    pub(super) fn take_targets(&mut self, io: &mut WorkerIo<'_, Connection>) {
        let now_ms = self.shared.now_ms();
        let workers = self.shared.seats.len().max(1) as u64;
        let mut wanted = std::collections::HashMap::new();
        for target in self.shared.directory.targets() {
            let key = TargetKey {
                tenant: target.tenant,
                host: target.host.as_str().into(),
                port: target.port,
            };
            if spread(&key, 0) % workers == self.index as u64 {
                wanted.insert(key, target);
            }
        }
        let gone = self.outgoing.keys().filter(|key| !wanted.contains_key(*key)).cloned();
        for key in gone.collect::<Vec<_>>() {
            if let Some(Outgoing { standing: Standing::Begun(id), .. }) = self.outgoing.remove(&key)
            {
                io.abort(id);
            }
        }
        for (key, target) in wanted {
            match self.outgoing.get_mut(&key) {
                Some(known) => {
                    let devices = target.devices.clone();
                    known.target = target;
                    if let Some(line) = known.line {
                        self.set_members(line, devices);
                    }
                }
                None => {
                    let standing = Standing::Waiting;
                    let fresh = Outgoing { target, standing, line: None, attempts: 0 };
                    self.outgoing.insert(key.clone(), fresh);
                    // not all at once
                    self.retries.insert((now_ms + spread(&key, 1) % 200, key));
                }
            }
        }
    }

    /// Opens the connections whose time has come.
    pub(super) fn take_due_connects(&mut self, now_ms: u64, io: &mut WorkerIo<'_, Connection>) {
        while let Some((due_ms, _)) = self.retries.first() {
            if *due_ms > now_ms {
                return;
            }
            let Some((_, key)) = self.retries.pop_first() else { return };
            match key.host.parse() {
                Ok(ip) => self.connect(&key, Some(SocketAddr::new(ip, key.port)), io),
                Err(_) => self.look_up(&key),
            }
        }
    }

    fn look_up(&mut self, key: &TargetKey) {
        let Some(outgoing) = self.outgoing.get_mut(key) else { return };
        outgoing.standing = Standing::Resolving;
        if !self.shared.resolver.ask(&self.shared, self.index, key) {
            self.retry(key);
        }
    }

    /// Begins a connection, once its address is known.
    pub(super) fn connect(
        &mut self,
        key: &TargetKey,
        address: Option<SocketAddr>,
        io: &mut WorkerIo<'_, Connection>,
    ) {
        let Some(outgoing) = self.outgoing.get_mut(key) else { return };
        if matches!(outgoing.standing, Standing::Begun(_)) {
            return;
        }
        let first = outgoing.target.devices.first();
        let product = first.and_then(|d| self.shared.directory.product_of(d.product));
        let framing = product.as_ref().and_then(|product| product.link.framing.clone());
        let (Some(address), Some(product), Some(framing)) = (address, product, framing) else {
            count(&self.shared.counters.connect_failures);
            self.retry(key);
            return;
        };
        let framer = Framer::new(framing, product.id);
        let idle_ms = product.link.idle_timeout_ms;
        let role = Role::Outgoing { key: key.clone(), framer, idle_ms };
        match io.connect(address, Connection::new(role, self.shared.now_ms())) {
            Ok(id) => outgoing.standing = Standing::Begun(id),
            Err(error) => {
                tracing::debug!(%address, %error, "not connected");
                count(&self.shared.counters.connect_failures);
                self.retry(key);
            }
        }
    }

    /// A connection we asked for is there.
    pub(super) fn connected(
        &mut self,
        connection: &mut Connection,
        handle: &ConnectionHandle,
        cx: &mut Context<'_>,
    ) -> Verdict {
        cx.established();
        connection.id = Some(handle.id());
        let Role::Outgoing { key, .. } = &connection.role else { return Verdict::Abort };
        let line = self.next_line();
        let Some(outgoing) = self.outgoing.get_mut(key) else { return Verdict::Abort };
        outgoing.attempts = 0;
        outgoing.line = Some(line);
        connection.line = Some(line);
        let devices = outgoing.target.devices.clone();
        count(&self.shared.counters.connects);
        self.open_line(line, key.tenant, Carrier::Stream(handle.id()), devices);
        Verdict::Continue
    }

    /// A connection of ours is over: it is opened again in a while.
    pub(super) fn outgoing_closed(&mut self, key: &TargetKey, line: Option<u64>, stopped: bool) {
        if let Some(line) = line {
            self.close_line(line);
        }
        if stopped {
            return;
        }
        if line.is_none() {
            count(&self.shared.counters.connect_failures);
        }
        self.retry(key);
    }

    /// Each time twice as long, up to a limit, and not all at the same time.
    fn retry(&mut self, key: &TargetKey) {
        let settings = &self.shared.settings;
        let (least_ms, most_ms) = (settings.reconnect_min_ms.max(1), settings.reconnect_max_ms);
        let Some(outgoing) = self.outgoing.get_mut(key) else { return };
        outgoing.standing = Standing::Waiting;
        outgoing.line = None;
        let doubled = least_ms.saturating_mul(1 << outgoing.attempts.min(20));
        let wait_ms = doubled.min(most_ms.max(least_ms));
        outgoing.attempts += 1;
        let jitter_ms = spread(key, u64::from(outgoing.attempts)) % (wait_ms / 2 + 1);
        let due_ms = self.shared.now_ms() + wait_ms - wait_ms / 4 + jitter_ms;
        self.retries.insert((due_ms, key.clone()));
    }
}

/// A number that differs from key to key and from turn to turn (FNV-1a).
fn spread(key: &TargetKey, turn: u64) -> u64 {
    let numbers = [u64::from(key.tenant.0), u64::from(key.port), turn];
    let bytes = key.host.bytes().chain(numbers.into_iter().flat_map(u64::to_le_bytes));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ hash >> 32
}

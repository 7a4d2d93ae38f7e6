//! Devices that send datagrams: each is a frame, and its sender's address is the line back.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flux_gateway::{By, Directory, LinkDevice, LinkProduct, ListenerSpec, Rate, count};
use flux_net::{Datagram, WorkerIo};

use super::lines::{Carrier, Origin};
use super::worker::{Connection, GatewayWorker, SWEEP_MS};

/// A peer that sends datagrams to one of our sockets.
pub(super) struct Source {
    line: u64,
    /// The device behind it, where the address or a registration says so.
    device: Option<LinkDevice>,
    rate: Rate,
    heard_ms: u64,
    idle_timeout_ms: u64,
}

impl GatewayWorker {
    pub(super) fn datagram(&mut self, datagram: Datagram<'_>, io: &mut WorkerIo<'_, Connection>) {
        let Some(door) = self.shared.datagrams.get(datagram.socket) else { return };
        let spec = Arc::clone(&door.spec);
        if self.intake.is_busy() {
            // nobody can be asked to wait
            count(&self.shared.counters.datagrams_dropped);
            return;
        }
        if datagram.bytes.is_empty() {
            return;
        }
        let key = spec.product_of(datagram.bytes);
        let product = key.and_then(|key| self.shared.directory.product(spec.tenant, key));
        let Some(product) = product else {
            let counters = &self.shared.counters;
            count(if key.is_some() { &counters.products_unknown } else { &counters.heads_unknown });
            return;
        };
        let place = (datagram.socket, datagram.from);
        if !self.passes(place) {
            return;
        }
        let heartbeat = product.link.heartbeats.iter().find(|known| known.is(datagram.bytes));
        if let Some(heartbeat) = heartbeat {
            count(&self.shared.counters.heartbeats);
            // an address nobody vouches for is not answered: it may be another's
            if !heartbeat.answer.is_empty() && self.sources.contains_key(&place) {
                io.send_datagram(datagram.socket, datagram.from, heartbeat.answer.as_bytes());
            }
            return;
        }
        self.identify(datagram, &spec, &product, io);
    }

    /// Whether a source may send one more; who is not known has still to say who it is.
    fn passes(&mut self, place: (usize, SocketAddr)) -> bool {
        let now_ms = self.shared.now_ms();
        let Some(source) = self.sources.get_mut(&place) else { return true };
        source.heard_ms = now_ms;
        if !source.rate.take(now_ms) {
            count(&self.shared.counters.rate_dropped);
            return false;
        }
        true
    }

    /// The line of a source that named a device of ours; one that is new is noted.
    fn source_line(
        &mut self,
        place: (usize, SocketAddr),
        spec: &ListenerSpec,
        product: &LinkProduct,
    ) -> Option<u64> {
        if let Some(source) = self.sources.get(&place) {
            return Some(source.line);
        }
        if !self.shared.datagrams.get(place.0)?.enter_any() {
            count(&self.shared.counters.listener_full);
            return None;
        }
        let line = self.next_line();
        let mut rate = Rate::new(spec.frames_per_s_max);
        let now_ms = self.shared.now_ms();
        rate.take(now_ms);
        let idle_timeout_ms = product.link.idle_timeout_ms;
        let source = Source { line, device: None, rate, heard_ms: now_ms, idle_timeout_ms };
        self.sources.insert(place, source);
        self.open_line(line, spec.tenant, Carrier::Datagrams(place.0, place.1), Vec::new());
        Some(line)
    }

    /// Forgets a source, and closes its line.
    pub(super) fn forget_source(&mut self, place: (usize, SocketAddr), line: u64) {
        if self.sources.remove(&place).is_some()
            && let Some(door) = self.shared.datagrams.get(place.0)
        {
            door.let_any_out();
        }
        self.close_line(line);
    }

    fn identify(
        &mut self,
        datagram: Datagram<'_>,
        spec: &ListenerSpec,
        product: &LinkProduct,
        io: &mut WorkerIo<'_, Connection>,
    ) {
        let place = (datagram.socket, datagram.from);
        let known = self.sources.get(&place).and_then(|source| source.device.clone());
        let directory = &*self.shared.directory;
        let named = || {
            let identify = &spec.identify;
            identify.device(datagram.bytes, spec.tenant, datagram.from.ip(), directory)
        };
        let by = spec.identify.by;
        let prefix = spec.identify.prefix.as_bytes();
        let registers = by == By::Registration
            && (known.is_none() || !prefix.is_empty() && datagram.bytes.starts_with(prefix));
        let found = match by {
            By::Registration if !registers => known.ok_or(flux_gateway::Stranger::NoWord),
            By::Address => {
                let found = directory.by_address(spec.tenant, datagram.from);
                found.ok_or(flux_gateway::Stranger::Unknown)
            }
            _ => named(),
        };
        let device = match found {
            Ok(device) if device.product == product.id => device,
            Ok(_) => {
                count(&self.shared.counters.strangers_unknown);
                return;
            }
            Err(stranger) => {
                flux_gateway::count_stranger(stranger, &self.shared.counters);
                return;
            }
        };
        let Some(line) = self.source_line(place, spec, product) else { return };
        self.join(line, &device);
        if registers {
            count(&self.shared.counters.registrations);
            self.pipeline.device_seen(spec.tenant, device.id, product.link.silent_after_ms);
            let answer = spec.identify.answer.as_bytes();
            if !answer.is_empty() {
                io.send_datagram(datagram.socket, datagram.from, answer);
            }
            if let Some(source) = self.sources.get_mut(&place) {
                source.device = Some(device);
            }
            return;
        }
        count(&self.shared.counters.frames);
        let origin = Origin { tenant: spec.tenant, device: &device, connection: None, heard: true };
        let mut output = BytesMut::new();
        let frame = Bytes::copy_from_slice(datagram.bytes);
        self.on_frame(Some(line), origin, frame, &mut output);
        if !output.is_empty() {
            io.send_datagram(datagram.socket, datagram.from, &output);
        }
    }

    /// Forgets sources that have been silent for too long.
    pub(super) fn sweep_sources(&mut self, now_ms: u64) {
        self.sweep_ms = now_ms + SWEEP_MS;
        let silent = |source: &Source| now_ms >= source.heard_ms + source.idle_timeout_ms;
        let gone: Vec<_> =
            self.sources.iter().filter(|(_, s)| silent(s)).map(|(p, s)| (*p, s.line)).collect();
        for (place, line) in gone {
            self.forget_source(place, line);
        }
    }
}

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
        if !self.passes(place, &spec, &product) {
            return;
        }
        let heartbeat = product.link.heartbeats.iter().find(|known| known.is(datagram.bytes));
        if let Some(heartbeat) = heartbeat {
            count(&self.shared.counters.heartbeats);
            if !heartbeat.answer.is_empty() {
                io.send_datagram(datagram.socket, datagram.from, heartbeat.answer.as_bytes());
            }
            return;
        }
        self.identify(datagram, &spec, &product, io);
    }

    /// Whether a source may send one more; one that is new is noted.
    fn passes(
        &mut self,
        place: (usize, SocketAddr),
        spec: &ListenerSpec,
        product: &LinkProduct,
    ) -> bool {
        let now_ms = self.shared.now_ms();
        if !self.sources.contains_key(&place) {
            let of_socket = self.sources.keys().filter(|(socket, _)| *socket == place.0);
            // counted only where it could be too many
            let full = self.sources.len() >= spec.connections_max
                && of_socket.count() >= spec.connections_max;
            if full {
                count(&self.shared.counters.listener_full);
                return false;
            }
            let line = self.next_line();
            let (device, rate) = (None, Rate::new(spec.frames_per_s_max));
            let idle_timeout_ms = product.link.idle_timeout_ms;
            let source = Source { line, device, rate, heard_ms: now_ms, idle_timeout_ms };
            self.sources.insert(place, source);
        }
        let Some(source) = self.sources.get_mut(&place) else { return false };
        source.heard_ms = now_ms;
        if !source.rate.take(now_ms) {
            count(&self.shared.counters.rate_dropped);
            return false;
        }
        true
    }

    fn identify(
        &mut self,
        datagram: Datagram<'_>,
        spec: &ListenerSpec,
        product: &LinkProduct,
        io: &mut WorkerIo<'_, Connection>,
    ) {
        let place = (datagram.socket, datagram.from);
        let Some(source) = self.sources.get(&place) else { return };
        let (line, known) = (source.line, source.device.clone());
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
        if !self.lines.contains_key(&line) {
            let carrier = Carrier::Datagrams(datagram.socket, datagram.from);
            self.open_line(line, spec.tenant, carrier, None, Vec::new());
        }
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
            self.sources.remove(&place);
            self.close_line(line);
        }
    }
}

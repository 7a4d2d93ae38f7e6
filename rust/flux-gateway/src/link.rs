//! One stream of a device, from its first byte: which product, which device, which frames.
//!
//! Owns what the listener's and the product's settings mean for the bytes of one connection. Pure:
//! time and names come in as arguments and through [`Directory`]. Must never publish, or wait.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::counters::{Counters, count, count_many};
use crate::framing::Framer;
use crate::front::{Front, Head, front};
use crate::identify::Stranger;
use crate::listener::{By, Identify, ListenerSpec};
use crate::ports::{Directory, FrameScanner, LinkDevice, LinkProduct};
use crate::rate::Rate;
use crate::settings::LinkSpec;

/// What a link may ask.
pub struct LinkPorts<'p> {
    /// Who is who.
    pub directory: &'p dyn Directory,
    /// Where frames end, where only a plugin knows.
    pub scanner: &'p dyn FrameScanner,
    /// What is counted.
    pub counters: &'p Counters,
}

/// What came of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// The device behind the connection is known.
    Registered(LinkDevice),
    /// A frame of a device.
    Frame(LinkDevice, Bytes),
}

/// Why the connection has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The first bytes are no product's.
    #[error("the first bytes are no product's")]
    UnknownHead,
    /// The product is not known here, or has no framing.
    #[error("the product is not known, or neither it nor the listener has a framing")]
    UnknownProduct,
    /// The device is not known, or not believed.
    #[error(transparent)]
    Stranger(#[from] Stranger),
    /// The device is of another product than those that come in here.
    #[error("the device is of another product")]
    OtherProduct,
    /// Bytes that are no frame.
    #[error("bytes that are no frame")]
    Garbage,
    /// The connection says that it is another device than it was.
    #[error("the connection's device changed")]
    OtherDevice,
    /// The device was not known in time.
    #[error("no device was named in time")]
    RegistrationTimeout,
    /// Nothing came for too long.
    #[error("nothing came for {0} ms")]
    Idle(u64),
}

impl LinkError {
    /// The same in a stable word.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownHead => "gateway.unknown_head",
            Self::UnknownProduct => "gateway.unknown_product",
            Self::Stranger(_) => "gateway.stranger",
            Self::OtherProduct => "gateway.other_product",
            Self::Garbage => "gateway.garbage",
            Self::OtherDevice => "gateway.other_device",
            Self::RegistrationTimeout => "gateway.registration_timeout",
            Self::Idle(_) => "gateway.idle",
        }
    }
}

#[derive(Debug)]
enum Stage {
    /// The first bytes are to choose the product.
    Head,
    /// The registration packet is to come.
    Registering(Framer),
    /// Frames come.
    Open(Framer),
}

/// One connection of a device.
#[derive(Debug)]
pub struct Link {
    listener: Arc<ListenerSpec>,
    peer: SocketAddr,
    stage: Stage,
    product: Option<LinkProduct>,
    device: Option<LinkDevice>,
    rate: Rate,
    opened_ms: u64,
    heard_ms: u64,
    /// Input that waits for silence to become a frame.
    gap_pending: bool,
}

impl Link {
    /// A connection that was just accepted.
    ///
    /// # Errors
    /// It is to be closed at once.
    pub fn open(
        listener: Arc<ListenerSpec>,
        peer: SocketAddr,
        now_ms: u64,
        ports: &LinkPorts<'_>,
        events: &mut Vec<LinkEvent>,
    ) -> Result<Self, LinkError> {
        let rate = Rate::new(listener.frames_per_s_max);
        let mut link = Self {
            listener,
            peer,
            stage: Stage::Head,
            product: None,
            device: None,
            rate,
            opened_ms: now_ms,
            heard_ms: now_ms,
            gap_pending: false,
        };
        if let Some(key) = link.listener.product.clone() {
            link.choose(&key, ports, events)?;
        }
        Ok(link)
    }

    /// The device behind the connection, once known. Frames may name others (`by = "field"`).
    #[must_use]
    pub fn device(&self) -> Option<&LinkDevice> {
        self.device.as_ref()
    }

    /// How its product is spoken with, once known.
    #[must_use]
    pub fn settings(&self) -> Option<&Arc<LinkSpec>> {
        self.product.as_ref().map(|product| &product.link)
    }

    /// Whether it is known well enough that the time for registration no longer runs.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    /// When [`on_tick`](Self::on_tick) is to be called next.
    #[must_use]
    pub fn deadline_ms(&self) -> u64 {
        let late_ms = self.opened_ms + self.listener.registration_timeout_ms;
        let (framer, over_ms) = match &self.stage {
            Stage::Head => return late_ms,
            Stage::Registering(framer) => (framer, late_ms),
            Stage::Open(framer) => (framer, self.heard_ms + self.idle_timeout_ms()),
        };
        let gap = framer.gap_ms().filter(|_| self.gap_pending);
        gap.map_or(over_ms, |gap_ms| over_ms.min(self.heard_ms + gap_ms))
    }

    fn idle_timeout_ms(&self) -> u64 {
        self.settings().map_or(u64::MAX / 2, |link| link.idle_timeout_ms)
    }

    /// Takes what is complete from the front of `input`; answers go to `output`.
    ///
    /// # Errors
    /// The connection is to be closed, once `output` is sent.
    pub fn on_bytes(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
        now_ms: u64,
        ports: &LinkPorts<'_>,
        events: &mut Vec<LinkEvent>,
    ) -> Result<(), LinkError> {
        self.heard_ms = now_ms;
        if matches!(self.stage, Stage::Head) {
            match self.listener.head(input) {
                Head::Product(key) => {
                    let key = key.to_owned();
                    self.choose(&key, ports, events)?;
                }
                Head::NeedMore => return Ok(()),
                Head::Unknown => {
                    count(&ports.counters.heads_unknown);
                    return Err(LinkError::UnknownHead);
                }
            }
        }
        if matches!(self.stage, Stage::Registering(_)) {
            self.register(input, output, now_ms, ports, events)?;
        }
        if matches!(self.stage, Stage::Open(_)) {
            self.frames(input, output, now_ms, ports, events)?;
        }
        Ok(())
    }

    /// Its deadline has come: a frame ended by silence, or a time that is over.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub fn on_tick(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
        now_ms: u64,
        ports: &LinkPorts<'_>,
        events: &mut Vec<LinkEvent>,
    ) -> Result<(), LinkError> {
        let (heard_ms, idle_ms) = (self.heard_ms, self.idle_timeout_ms());
        match &mut self.stage {
            Stage::Registering(framer) => {
                let silent = framer.gap_ms().is_some_and(|gap_ms| now_ms >= heard_ms + gap_ms);
                let packet = if silent { framer.on_gap(input) } else { None };
                self.gap_pending &= !silent;
                if let Some(packet) = packet {
                    return self.take_registration(&packet, output, ports, events);
                }
                self.check_registration(now_ms, ports)
            }
            Stage::Head => self.check_registration(now_ms, ports),
            Stage::Open(framer) => {
                if framer.gap_ms().is_some_and(|gap_ms| now_ms >= heard_ms + gap_ms) {
                    self.gap_pending = false;
                    if let Some(frame) = framer.on_gap(input) {
                        count_many(&ports.counters.garbage_bytes, framer.take_garbage());
                        self.take_frame(frame, output, now_ms, ports, events)?;
                    }
                }
                if now_ms >= heard_ms + idle_ms {
                    count(&ports.counters.idle_closed);
                    return Err(LinkError::Idle(idle_ms));
                }
                Ok(())
            }
        }
    }

    /// Our own waiting is not the peer's silence.
    pub fn excuse(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
        if !self.is_open() {
            self.opened_ms = now_ms;
        }
    }

    /// The connection is over; `input` is what was left.
    pub fn close(&self, left_bytes: usize, counters: &Counters) {
        if left_bytes > 0 && self.is_open() {
            count(&counters.frames_cut_off);
        }
    }

    fn check_registration(&self, now_ms: u64, ports: &LinkPorts<'_>) -> Result<(), LinkError> {
        if now_ms >= self.opened_ms + self.listener.registration_timeout_ms {
            count(&ports.counters.registrations_late);
            return Err(LinkError::RegistrationTimeout);
        }
        Ok(())
    }

    /// The product is known: go on to registration, or to frames.
    fn choose(
        &mut self,
        key: &str,
        ports: &LinkPorts<'_>,
        events: &mut Vec<LinkEvent>,
    ) -> Result<(), LinkError> {
        let product = ports.directory.product(self.listener.tenant, key);
        let product = product.ok_or_else(|| unknown_product(ports.counters))?;
        let identify = &self.listener.identify;
        match identify.by {
            By::Registration => {
                let framing = identify.framing.as_ref().or(self.listener.framing.as_ref());
                let framing = framing.or(product.link.framing.as_ref());
                let framing = framing.ok_or_else(|| unknown_product(ports.counters))?;
                self.stage = Stage::Registering(Framer::new(Arc::clone(framing), product.id));
            }
            By::Field => self.stage = Stage::Open(self.framer(&product, ports)?),
            By::Address => {
                let found = ports.directory.by_address(self.listener.tenant, self.peer);
                let device = found.ok_or(Stranger::Unknown);
                let device =
                    device.inspect_err(|stranger| count_stranger(*stranger, ports.counters))?;
                self.stage = Stage::Open(self.framer(&product, ports)?);
                self.product = Some(product);
                return self.recognise(device, ports, events);
            }
        }
        self.product = Some(product);
        Ok(())
    }

    fn framer(&self, product: &LinkProduct, ports: &LinkPorts<'_>) -> Result<Framer, LinkError> {
        let framing = self.listener.framing.as_ref().or(product.link.framing.as_ref());
        let framing = framing.ok_or_else(|| unknown_product(ports.counters))?;
        Ok(Framer::new(Arc::clone(framing), product.id))
    }

    fn recognise(
        &mut self,
        device: LinkDevice,
        ports: &LinkPorts<'_>,
        events: &mut Vec<LinkEvent>,
    ) -> Result<(), LinkError> {
        if self.product.as_ref().is_some_and(|product| product.id != device.product) {
            return Err(LinkError::OtherProduct);
        }
        count(&ports.counters.registrations);
        events.push(LinkEvent::Registered(device.clone()));
        self.device = Some(device);
        Ok(())
    }

    fn register(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
        _now_ms: u64,
        ports: &LinkPorts<'_>,
        events: &mut Vec<LinkEvent>,
    ) -> Result<(), LinkError> {
        let Stage::Registering(framer) = &mut self.stage else { return Ok(()) };
        loop {
            let packet = framer.next(input, ports.scanner);
            count_many(&ports.counters.garbage_bytes, framer.take_garbage());
            match packet {
                Ok(Some(packet)) if packet.is_empty() => {}
                Ok(Some(packet)) => return self.take_registration(&packet, output, ports, events),
                Ok(None) => {
                    self.gap_pending = !input.is_empty();
                    return Ok(());
                }
                Err(_) => {
                    count(&ports.counters.garbage_closed);
                    return Err(LinkError::Garbage);
                }
            }
        }
    }

    fn take_registration(
        &mut self,
        packet: &[u8],
        output: &mut BytesMut,
        ports: &LinkPorts<'_>,
        events: &mut Vec<LinkEvent>,
    ) -> Result<(), LinkError> {
        let device = self.named(packet, ports)?;
        if let Some(product) = self.product.clone() {
            self.stage = Stage::Open(self.framer(&product, ports)?);
        }
        self.recognise(device, ports, events)?;
        output.extend_from_slice(self.listener.identify.answer.as_bytes());
        Ok(())
    }

    fn named(&self, packet: &[u8], ports: &LinkPorts<'_>) -> Result<LinkDevice, Stranger> {
        let (tenant, ip) = (self.listener.tenant, self.peer.ip());
        let device = self.listener.identify.device(packet, tenant, ip, ports.directory);
        device.inspect_err(|stranger| count_stranger(*stranger, ports.counters))
    }

    fn frames(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
        now_ms: u64,
        ports: &LinkPorts<'_>,
        events: &mut Vec<LinkEvent>,
    ) -> Result<(), LinkError> {
        loop {
            let Stage::Open(framer) = &mut self.stage else { return Ok(()) };
            // where silence ends a frame, what it begins with says nothing yet
            if framer.at_boundary() && framer.gap_ms().is_none() {
                let link = self.product.as_ref().map(|product| &product.link);
                match front(link.map_or(&[], |link| &link.heartbeats), input) {
                    Front::Heartbeat(answer) => {
                        count(&ports.counters.heartbeats);
                        output.extend_from_slice(&answer);
                        continue;
                    }
                    Front::MaybeHeartbeat => return Ok(()),
                    Front::Other => {}
                }
            }
            let frame = framer.next(input, ports.scanner);
            count_many(&ports.counters.garbage_bytes, framer.take_garbage());
            match frame {
                Ok(Some(frame)) => self.take_frame(frame, output, now_ms, ports, events)?,
                Ok(None) => {
                    self.gap_pending = !input.is_empty();
                    return Ok(());
                }
                Err(_) => {
                    count(&ports.counters.garbage_closed);
                    return Err(LinkError::Garbage);
                }
            }
        }
    }

    fn take_frame(
        &mut self,
        frame: Bytes,
        output: &mut BytesMut,
        now_ms: u64,
        ports: &LinkPorts<'_>,
        events: &mut Vec<LinkEvent>,
    ) -> Result<(), LinkError> {
        if frame.is_empty() {
            return Ok(());
        }
        let link = self.settings().cloned();
        let heartbeats = link.as_ref().map_or(&[][..], |link| &link.heartbeats);
        if let Some(heartbeat) = heartbeats.iter().find(|known| known.is(&frame)) {
            count(&ports.counters.heartbeats);
            output.extend_from_slice(heartbeat.answer.as_bytes());
            return Ok(());
        }
        if self.registers_again(&frame) {
            return self.check_same(&frame, output, ports);
        }
        count(&ports.counters.frames);
        if !self.rate.take(now_ms) {
            count(&ports.counters.rate_dropped);
            return Ok(());
        }
        match self.device.clone() {
            Some(device) => events.push(LinkEvent::Frame(device, frame)),
            None => {
                if let Ok(device) = self.named(&frame, ports) {
                    events.push(LinkEvent::Frame(device, frame));
                }
            }
        }
        Ok(())
    }

    /// A device that started anew without its connection breaking registers once more.
    fn registers_again(&self, frame: &[u8]) -> bool {
        let Identify { by, prefix, .. } = &self.listener.identify;
        *by == By::Registration && !prefix.is_empty() && frame.starts_with(prefix.as_bytes())
    }

    fn check_same(
        &self,
        frame: &[u8],
        output: &mut BytesMut,
        ports: &LinkPorts<'_>,
    ) -> Result<(), LinkError> {
        let device = self.named(frame, ports)?;
        if self.device.as_ref().is_some_and(|known| known.id != device.id) {
            return Err(LinkError::OtherDevice);
        }
        output.extend_from_slice(self.listener.identify.answer.as_bytes());
        Ok(())
    }
}

fn unknown_product(counters: &Counters) -> LinkError {
    count(&counters.products_unknown);
    LinkError::UnknownProduct
}

/// Counts why a packet is nobody's.
pub fn count_stranger(stranger: Stranger, counters: &Counters) {
    count(match stranger {
        Stranger::NoWord => &counters.strangers_no_word,
        Stranger::Unknown => &counters.strangers_unknown,
        Stranger::NotEntitled => &counters.strangers_not_entitled,
    });
}

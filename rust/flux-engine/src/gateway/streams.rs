//! What connections bring: frames of devices that came in, answers of those we connected to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flux_gateway::{LinkDevice, LinkError, LinkEvent, LinkPorts, ListenerSpec, count, count_many};
use flux_net::{Context, Verdict, WorkerIo};
use flux_pipeline::refusals::{Attempt, Refusing};
use flux_types::TenantId;

use super::Place;
use super::lines::{Carrier, Origin};
use super::worker::{Connection, GatewayWorker, Role};

impl GatewayWorker {
    /// Takes what a link made of bytes; false if the connection is to be closed.
    pub(super) fn take_link_events(
        &mut self,
        connection: &mut Connection,
        spec: &ListenerSpec,
        mut events: Vec<LinkEvent>,
        output: &mut BytesMut,
    ) -> bool {
        let mut stays = true;
        for event in events.drain(..) {
            match event {
                LinkEvent::Registered(device) => {
                    stays &= self.register(connection, spec, device);
                }
                LinkEvent::Frame(device, frame) => {
                    if stays {
                        self.take_frame(connection, spec, &device, frame, output);
                    }
                }
            }
        }
        self.link_events = events;
        stays
    }

    /// A connection's device is known: it is online, and reached by this line from now on.
    fn register(
        &mut self,
        connection: &mut Connection,
        spec: &ListenerSpec,
        device: LinkDevice,
    ) -> bool {
        let Some(id) = connection.id else { return false };
        let line = self.next_line();
        let place = Place { worker: self.index, line };
        let Ok(supersedes) = self.shared.claim(device.id, place, spec.takeover) else {
            return false;
        };
        connection.line = Some(line);
        let name = self.shared.directory.line_of(device.id);
        let others = name.map(|name| self.shared.directory.on_line(spec.tenant, &name));
        self.pipeline.device_connected(spec.tenant, device.id);
        let others = others.unwrap_or_default();
        let carrier = (spec.tenant, Carrier::Stream(id));
        self.open_own_line(line, carrier, device, others, supersedes);
        true
    }

    fn take_frame(
        &mut self,
        connection: &mut Connection,
        spec: &ListenerSpec,
        device: &LinkDevice,
        frame: Bytes,
        output: &mut BytesMut,
    ) {
        let Some(id) = connection.id else { return };
        let own = matches!(&connection.role, Role::Inbound(link, _) if link.device().is_some());
        if !own {
            // each frame names its device: they share the connection
            let line = match connection.line {
                Some(line) => line,
                None => {
                    let line = self.next_line();
                    connection.line = Some(line);
                    let carrier = Carrier::Stream(id);
                    self.open_line(line, spec.tenant, carrier, Vec::new());
                    line
                }
            };
            self.join(line, device);
        }
        let origin = Origin { tenant: spec.tenant, device, connection: Some(id), heard: !own };
        self.on_frame(connection.line, origin, frame, output);
    }

    /// Reads what an inbound connection sent.
    pub(super) fn inbound(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Verdict {
        let now_ms = self.shared.now_ms();
        let mut events = std::mem::take(&mut self.link_events);
        let Role::Inbound(link, spec) = &mut connection.role else { return Verdict::Abort };
        let spec = Arc::clone(spec);
        let ports = LinkPorts {
            directory: &*self.shared.directory,
            scanner: &*self.shared.scanner,
            counters: &self.shared.counters,
        };
        let outcome = link.on_bytes(&mut connection.buffer, cx.output, now_ms, &ports, &mut events);
        let stays = self.take_link_events(connection, &spec, events, cx.output);
        self.after_link(connection, outcome.err(), stays, cx)
    }

    /// Looks at an inbound connection's deadlines.
    pub(super) fn tick_inbound(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Verdict {
        let now_ms = self.shared.now_ms();
        let mut events = std::mem::take(&mut self.link_events);
        let Role::Inbound(link, spec) = &mut connection.role else { return Verdict::Abort };
        let spec = Arc::clone(spec);
        if cx.held() {
            link.excuse(now_ms); // our own waiting is not the device's silence
        }
        let ports = LinkPorts {
            directory: &*self.shared.directory,
            scanner: &*self.shared.scanner,
            counters: &self.shared.counters,
        };
        let outcome = link.on_tick(&mut connection.buffer, cx.output, now_ms, &ports, &mut events);
        let stays = self.take_link_events(connection, &spec, events, cx.output);
        self.after_link(connection, outcome.err(), stays, cx)
    }

    /// Tells whoever looks why a device's connection was refused or closed.
    pub(super) fn tell_refused(&self, door: Option<(usize, SocketAddr)>, error: &LinkError) {
        let Some((place, address)) = door else { return };
        let Some(door) = self.shared.streams.get(place) else { return };
        self.pipeline.refusals().note(&Refusing {
            attempt: match error {
                LinkError::Idle(_) | LinkError::OtherDevice => Attempt::Stay,
                _ => Attempt::Connect,
            },
            tenant: door.spec.tenant,
            source: Some(&format!("gateway.{}", door.spec.name)),
            username: None,
            client_id: None,
            address: Some(address),
            topic: None,
            code: error.code(),
            reason: error,
        });
    }

    pub(super) fn after_link(
        &mut self,
        connection: &mut Connection,
        error: Option<LinkError>,
        stays: bool,
        cx: &mut Context<'_>,
    ) -> Verdict {
        let door = connection.door;
        if let Some(error) = error {
            let connection = cx.id();
            tracing::debug!(%connection, %error, "a device's connection is closed");
            self.tell_refused(door, &error);
            return Verdict::Close;
        }
        if !stays {
            return Verdict::Close;
        }
        let Role::Inbound(link, _) = &connection.role else { return Verdict::Abort };
        if link.is_open() {
            cx.established();
        }
        let now_ms = self.shared.now_ms();
        let deadline_ms = link.deadline_ms();
        cx.set_timer(cx.now() + Duration::from_millis(deadline_ms.saturating_sub(now_ms)));
        // a frame that silence ends cannot wait for a connection's coarse timer
        if !connection.buffer.is_empty() && deadline_ms.saturating_sub(now_ms) < 1_000 {
            if connection.gap_ms > 0 {
                self.gaps.remove(&(connection.gap_ms, cx.id()));
            }
            connection.gap_ms = deadline_ms.max(1);
            self.gaps.insert((connection.gap_ms, cx.id()));
        }
        Verdict::Continue
    }

    /// Reads what came over a connection of ours: answers, or frames nobody asked for.
    pub(super) fn answered(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Verdict {
        connection.heard_ms = self.shared.now_ms();
        loop {
            let Role::Outgoing { key, framer, .. } = &mut connection.role else {
                return Verdict::Abort;
            };
            let tenant = key.tenant;
            let frame = framer.next(&mut connection.buffer, &*self.shared.scanner);
            count_many(&self.shared.counters.garbage_bytes, framer.take_garbage());
            match frame {
                Ok(Some(frame)) => self.take_answer(connection, tenant, frame, cx.output),
                Ok(None) => break,
                Err(_) => {
                    count(&self.shared.counters.garbage_closed);
                    return Verdict::Close;
                }
            }
        }
        self.watch_outgoing(connection, cx);
        Verdict::Continue
    }

    fn take_answer(
        &mut self,
        connection: &Connection,
        tenant: TenantId,
        frame: Bytes,
        output: &mut BytesMut,
    ) {
        count(&self.shared.counters.frames);
        let line = connection.line;
        let first = line.and_then(|line| self.lines.get(&line)?.members.first().cloned());
        let Some(first) = first else { return };
        let (device, id) = (&first.device, connection.id);
        let origin = Origin { tenant, device, connection: id, heard: true };
        self.on_frame(line, origin, frame, output);
    }

    pub(super) fn watch_outgoing(&mut self, connection: &mut Connection, cx: &mut Context<'_>) {
        let Role::Outgoing { framer, idle_ms, .. } = &connection.role else { return };
        cx.set_timer(cx.now() + Duration::from_millis(*idle_ms));
        if let Some(gap_ms) = framer.gap_ms()
            && !connection.buffer.is_empty()
        {
            if connection.gap_ms > 0 {
                self.gaps.remove(&(connection.gap_ms, cx.id()));
            }
            connection.gap_ms = connection.heard_ms + gap_ms;
            self.gaps.insert((connection.gap_ms, cx.id()));
        }
    }

    /// A connection's silence is long enough to end a frame.
    fn gap(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Verdict {
        connection.gap_ms = 0;
        if matches!(connection.role, Role::Inbound(..)) {
            return self.tick_inbound(connection, cx);
        }
        let now_ms = self.shared.now_ms();
        let Role::Outgoing { key, framer, .. } = &mut connection.role else {
            return Verdict::Abort;
        };
        let tenant = key.tenant;
        if framer.gap_ms().is_some_and(|gap_ms| now_ms >= connection.heard_ms + gap_ms)
            && let Some(frame) = framer.on_gap(&mut connection.buffer)
        {
            self.take_answer(connection, tenant, frame, cx.output);
        }
        Verdict::Continue
    }

    pub(super) fn take_gaps(&mut self, now_ms: u64, io: &mut WorkerIo<'_, Connection>) {
        while let Some((due_ms, id)) = self.gaps.first().copied() {
            if due_ms > now_ms {
                return;
            }
            self.gaps.pop_first();
            io.visit(id, |connection, cx| self.gap(connection, cx));
        }
    }
}

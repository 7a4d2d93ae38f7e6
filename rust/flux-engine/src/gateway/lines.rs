//! Lines on a worker: who is on them, what is asked of whom and when, and what becomes of answers.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flux_gateway::{
    Directory, Line, LineEvent, LinePorts, LineSettings, LinkDevice, LinkSpec, PollSpec, Request,
    What, count_many, first_due_ms, next_due_ms,
};
use flux_net::{ConnectionId, Verdict, WorkerIo};
use flux_registry::TopicKind;
use flux_types::{DeviceId, Message, MessageProperties, Qos, SourceId, TenantId};
use serde_json::{Value, json};

use super::Place;
use super::worker::{Connection, GatewayWorker};

/// How long until a device that was on another line is looked for again, ms.
const RECHECK_MS: u64 = 500;
/// Devices on one line.
const MEMBERS_MAX: usize = 1024;

/// How a line's bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// Over a connection.
    Stream(ConnectionId),
    /// By datagrams between one of our sockets and a peer.
    Datagrams(usize, std::net::SocketAddr),
}

/// A device on a line, with how it is spoken with.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) device: LinkDevice,
    pub(super) link: Arc<LinkSpec>,
}

/// A line that is open.
pub(super) struct OpenLine {
    pub(super) tenant: TenantId,
    pub(super) line: Line,
    pub(super) carrier: Carrier,
    /// The device whose connection it is, where it is one's.
    pub(super) own: Option<LinkDevice>,
    /// The line that was closed for this one, whose devices come along.
    supersedes: Option<Place>,
    pub(super) members: Vec<Member>,
    /// Which plan its polls belong to; those of another are left over.
    epoch: u32,
    /// When it is looked at next; 0: not.
    armed_ms: u64,
}

/// A poll on the wheel.
pub(super) struct Planned {
    line: u64,
    epoch: u32,
    device: DeviceId,
    poll: Arc<PollSpec>,
}

/// Where a frame or an answer came from.
#[derive(Clone, Copy)]
pub(super) struct Origin<'o> {
    pub(super) tenant: TenantId,
    pub(super) device: &'o LinkDevice,
    /// The connection to be paused while the log is behind.
    pub(super) connection: Option<ConnectionId>,
    /// Whether the device counts as there because it was heard, having no connection of its own.
    pub(super) heard: bool,
}

impl GatewayWorker {
    /// Opens a line that one device's connection carries; `others` are on it too.
    pub(super) fn open_own_line(
        &mut self,
        id: u64,
        (tenant, carrier): (TenantId, Carrier),
        own: LinkDevice,
        others: Vec<LinkDevice>,
        supersedes: Option<Place>,
    ) {
        self.insert_line(id, tenant, carrier, Some(own), supersedes);
        self.set_members(id, others);
    }

    /// Opens a line that belongs to no device; `others` are on it.
    pub(super) fn open_line(
        &mut self,
        id: u64,
        tenant: TenantId,
        carrier: Carrier,
        others: Vec<LinkDevice>,
    ) {
        self.insert_line(id, tenant, carrier, None, None);
        self.set_members(id, others);
    }

    fn insert_line(
        &mut self,
        id: u64,
        tenant: TenantId,
        carrier: Carrier,
        own: Option<LinkDevice>,
        supersedes: Option<Place>,
    ) {
        let settings = LineSettings { in_flight_max: 64, half_duplex: false, gap_ms: 0 };
        let line = Line::new(tenant, settings);
        let (members, epoch, armed_ms) = (Vec::new(), 0, 0);
        let open = OpenLine { tenant, line, carrier, own, supersedes, members, epoch, armed_ms };
        self.lines.insert(id, open);
    }

    /// Says who is on a line, and plans what is asked of them. Those that are on another line stay
    /// there.
    pub(super) fn set_members(&mut self, id: u64, others: Vec<LinkDevice>) {
        let place = Place { worker: self.index, line: id };
        let Some(open) = self.lines.get_mut(&id) else { return };
        let own = open.own.clone();
        let own_id = own.as_ref().map(|own| own.id);
        let supersedes = open.supersedes;
        let wanted = own.into_iter().chain(others.into_iter().filter(|d| Some(d.id) != own_id));
        let mut members = Vec::new();
        for device in wanted.take(MEMBERS_MAX) {
            let link = self.shared.directory.product_of(device.product);
            let Some(product) = link else { continue };
            if self.shared.claim_vacant(device.id, place, supersedes) {
                members.push(Member { device, link: product.link });
            } else {
                // it may be free soon: its line is being closed, or has not heard of a change
                self.recheck_ms.get_or_insert(self.shared.now_ms() + RECHECK_MS);
            }
        }
        let same = |a: &Member, b: &Member| a.device == b.device && Arc::ptr_eq(&a.link, &b.link);
        let kept = open.members.len() == members.len()
            && open.members.iter().zip(&members).all(|(a, b)| same(a, b));
        if kept {
            return;
        }
        let gone = std::mem::replace(&mut open.members, members);
        let stays = |device: &LinkDevice| {
            Some(device.id) == own_id || open.members.iter().any(|m| m.device.id == device.id)
        };
        for member in gone.iter().filter(|member| !stays(&member.device)) {
            self.shared.leave(member.device.id, place);
        }
        let came: Vec<LinkDevice> = open
            .members
            .iter()
            .filter(|member| !gone.iter().any(|old| old.device.id == member.device.id))
            .map(|member| member.device.clone())
            .collect();
        let tenant = open.tenant;
        self.plan(id);
        for device in came {
            self.pipeline.device_ready(tenant, &device.key);
        }
    }

    /// A device turned out to be on a line: it named itself there.
    pub(super) fn join(&mut self, id: u64, device: &LinkDevice) {
        let place = Place { worker: self.index, line: id };
        let Some(open) = self.lines.get(&id) else { return };
        let known = open.members.iter().any(|member| member.device.id == device.id);
        if known && self.shared.claim_vacant(device.id, place, None) {
            return;
        }
        if open.members.len() < MEMBERS_MAX {
            self.shared.move_to(device.id, place);
            let mut all: Vec<LinkDevice> =
                open.members.iter().map(|member| member.device.clone()).collect();
            all.push(device.clone());
            self.set_members(id, all);
        }
    }

    /// Puts the polls of all members on the wheel, and makes those that were there left over.
    fn plan(&mut self, id: u64) {
        let now_ms = self.shared.now_ms();
        let Some(open) = self.lines.get_mut(&id) else { return };
        open.epoch = open.epoch.wrapping_add(1);
        let all = open.members.iter().map(|member| LineSettings::from(&*member.link));
        let mut settings = all.reduce(LineSettings::and).unwrap_or(LineSettings {
            in_flight_max: 1,
            half_duplex: false,
            gap_ms: 0,
        });
        if matches!(open.carrier, Carrier::Datagrams(..)) {
            settings.in_flight_max = 1; // each request is a datagram of its own
        }
        open.line.set(settings);
        for member in &open.members {
            for poll in &member.link.polls {
                let device = member.device.id;
                let due_ms = first_due_ms(now_ms, device, &poll.name, poll.every_ms);
                let poll = Arc::clone(poll);
                self.wheel.insert(due_ms, Planned { line: id, epoch: open.epoch, device, poll });
            }
        }
    }

    /// Closes a line: whoever waits for an answer is told, its devices are reached by it no more.
    pub(super) fn close_line(&mut self, id: u64) {
        let Some(mut open) = self.lines.remove(&id) else { return };
        let place = Place { worker: self.index, line: id };
        let mut events = Vec::new();
        open.line.on_break(&mut events);
        for device in open.members.iter().map(|member| &member.device).chain(&open.own) {
            self.shared.leave(device.id, place);
        }
        if open.armed_ms > 0 {
            self.armed.remove(&(open.armed_ms, id));
        }
        for event in events {
            self.follow_event(open.tenant, event, None, None);
        }
        if let Some(own) = &open.own {
            self.pipeline.device_disconnected(open.tenant, own.id);
        }
    }

    /// A frame came over a line, or over a connection that has none.
    pub(super) fn on_frame(
        &mut self,
        line: Option<u64>,
        origin: Origin<'_>,
        frame: Bytes,
        output: &mut BytesMut,
    ) {
        let now_ms = self.shared.now_ms();
        let Some((id, open)) = line.and_then(|id| Some((id, self.lines.get_mut(&id)?))) else {
            self.telemetry(origin, frame, None);
            return;
        };
        let mut events = std::mem::take(&mut self.line_events);
        let ports = LinePorts { codec: &*self.shared.codec, counters: &self.shared.counters };
        open.line.on_frame(frame, now_ms, &ports, output, &mut events);
        for event in events.drain(..) {
            self.follow_event(origin.tenant, event, Some(origin), origin.connection);
        }
        self.line_events = events;
        self.arm(id);
    }

    /// What came of a line goes on its way.
    fn follow_event(
        &mut self,
        tenant: TenantId,
        event: LineEvent,
        origin: Option<Origin<'_>>,
        connection: Option<ConnectionId>,
    ) {
        match event {
            LineEvent::Polled { device, request, frame, every_ms } => {
                let link = self.shared.directory.product_of(device.product);
                let silent_ms = link.and_then(|product| product.link.silent_after_ms);
                let silent_ms = silent_ms.unwrap_or((3 * every_ms).max(10_000));
                self.pipeline.device_seen(tenant, device.id, Some(silent_ms));
                let origin = Origin { tenant, device: &device, connection, heard: false };
                self.telemetry(origin, frame, Some(request));
            }
            LineEvent::Finished { device, command, outcome } => {
                let payload = match outcome {
                    Ok(result) => json!({"id": command["id"], "ok": true, "result": result}),
                    Err(error) => json!({"id": command["id"], "ok": false,
                        "error": {"code": error.code, "text": error.text}}),
                };
                self.reply(tenant, &device, &payload);
            }
            LineEvent::Unasked(frame) => {
                if let Some(origin) = origin {
                    self.telemetry(origin, frame, None);
                }
            }
        }
    }

    /// A frame becomes a message on its device's telemetry topic; what it answers goes with it.
    fn telemetry(&mut self, origin: Origin<'_>, frame: Bytes, request: Option<Bytes>) {
        let Origin { tenant, device, connection, heard } = origin;
        if heard {
            let link = self.shared.directory.product_of(device.product);
            let silent_ms = link.and_then(|product| product.link.silent_after_ms);
            self.pipeline.device_seen(tenant, device.id, silent_ms);
        }
        let properties = request.map(|request| {
            let correlation_data = Some(request);
            Arc::new(MessageProperties { correlation_data, ..MessageProperties::default() })
        });
        self.publish(tenant, device, TopicKind::Telemetry, frame, properties, connection);
    }

    fn reply(&mut self, tenant: TenantId, device: &LinkDevice, payload: &Value) {
        let payload = Bytes::from(payload.to_string());
        self.publish(tenant, device, TopicKind::Reply, payload, None, None);
    }

    fn publish(
        &mut self,
        tenant: TenantId,
        device: &LinkDevice,
        kind: TopicKind,
        payload: Bytes,
        properties: Option<Arc<MessageProperties>>,
        connection: Option<ConnectionId>,
    ) {
        let snapshot = self.shared.registry.current();
        let Some(known) = snapshot.device(device.id) else { return };
        let topic = match kind {
            TopicKind::Reply => snapshot.reply_topic(known),
            _ => snapshot.telemetry_topic(known),
        };
        let topic = match topic {
            Ok(topic) => topic,
            Err(error) => {
                tracing::warn!(device = %device.key, %error, "a frame has no topic to go to");
                return;
            }
        };
        let message = Message {
            tenant,
            source: SourceId::new(format!("device:{}/gateway", device.id)),
            topic,
            payload,
            qos: Qos::AtLeastOnce,
            retain: false,
            received: self.shared.clock.now(),
            hops: 0,
            properties,
        };
        self.intake.push(message, connection);
    }

    /// Asks a device on a line.
    pub(super) fn command(&mut self, id: u64, device: DeviceId, command: Value) {
        let now_ms = self.shared.now_ms();
        let Some(open) = self.lines.get_mut(&id) else { return };
        let Some(member) = open.members.iter().find(|member| member.device.id == device) else {
            return;
        };
        let request = Request {
            device: member.device.clone(),
            what: What::Command(command),
            timeout_ms: member.link.timeout_ms,
            retries: member.link.retries,
            due_ms: now_ms,
        };
        let (tenant, mut events) = (open.tenant, Vec::new());
        open.line.command(request, &self.shared.counters, &mut events);
        for event in events {
            self.follow_event(tenant, event, None, None);
        }
        self.dirty.push(id);
    }

    /// Takes from the wheel what is due.
    pub(super) fn take_due_polls(&mut self, now_ms: u64) {
        while let Some((due_ms, planned)) = self.wheel.pop(now_ms) {
            let Some(open) = self.lines.get_mut(&planned.line) else { continue };
            if open.epoch != planned.epoch {
                continue;
            }
            let member = open.members.iter().find(|member| member.device.id == planned.device);
            let Some(member) = member else { continue };
            let request = Request {
                device: member.device.clone(),
                what: What::Poll(Arc::clone(&planned.poll)),
                timeout_ms: planned.poll.timeout_ms,
                retries: planned.poll.retries,
                due_ms,
            };
            open.line.poll(request, &self.shared.counters);
            self.dirty.push(planned.line);
            let (next_ms, missed) = next_due_ms(due_ms, planned.poll.every_ms, now_ms);
            count_many(&self.shared.counters.polls_skipped, missed);
            self.wheel.insert(next_ms, planned);
        }
    }

    /// Lets the lines that have something to do go on.
    pub(super) fn advance_lines(&mut self, io: &mut WorkerIo<'_, Connection>) {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        dirty.dedup();
        for id in dirty.drain(..) {
            self.advance_line(id, io);
        }
        self.dirty = dirty;
    }

    fn advance_line(&mut self, id: u64, io: &mut WorkerIo<'_, Connection>) {
        let now_ms = self.shared.now_ms();
        let Some(open) = self.lines.get_mut(&id) else { return };
        let mut output = std::mem::take(&mut self.output);
        let mut events = std::mem::take(&mut self.line_events);
        let ports = LinePorts { codec: &*self.shared.codec, counters: &self.shared.counters };
        open.line.advance(now_ms, &ports, &mut output, &mut events);
        let (carrier, tenant) = (open.carrier, open.tenant);
        for event in events.drain(..) {
            self.follow_event(tenant, event, None, None);
        }
        self.line_events = events;
        if !output.is_empty() {
            match carrier {
                Carrier::Stream(connection) => {
                    io.visit(connection, |_, cx| {
                        cx.output.extend_from_slice(&output);
                        Verdict::Continue
                    });
                }
                Carrier::Datagrams(socket, peer) => {
                    io.send_datagram(socket, peer, &output);
                }
            }
            output.clear();
        }
        self.output = output;
        self.arm(id);
    }

    /// Has a line looked at when it has something to do.
    fn arm(&mut self, id: u64) {
        let Some(open) = self.lines.get_mut(&id) else { return };
        let due_ms = open.line.deadline_ms().map_or(0, |due_ms| due_ms.max(1));
        if due_ms == open.armed_ms {
            return;
        }
        if open.armed_ms > 0 {
            self.armed.remove(&(open.armed_ms, id));
        }
        if due_ms > 0 {
            self.armed.insert((due_ms, id));
        }
        open.armed_ms = due_ms;
    }

    /// Notes which lines are to be looked at by now.
    pub(super) fn take_armed(&mut self, now_ms: u64) {
        while let Some((due_ms, id)) = self.armed.first().copied() {
            if due_ms > now_ms {
                return;
            }
            self.armed.pop_first();
            if let Some(open) = self.lines.get_mut(&id) {
                open.armed_ms = 0;
            }
            self.dirty.push(id);
        }
    }
}

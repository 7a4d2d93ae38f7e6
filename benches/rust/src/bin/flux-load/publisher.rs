//! One publisher: what it has sent and what of it is not acknowledged.

use std::collections::VecDeque;

use bytes::BytesMut;
use flux_mqtt::codec::{Packet, PacketId, Properties, Publish};
use flux_types::Qos;

use crate::identity::numbered;
use crate::options::Plan;
use crate::payload::Stamp;
use crate::tracker::MESSAGES_PER_SOURCE_MAX;

/// One publisher.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) n: u32,
    topic: String,
    topic_below: Option<String>,
    /// The next message's number, and so how many were sent.
    pub(crate) seq: u64,
    pub(crate) window: usize,
    next_id: u16,
    /// Packet identifier and time of each publication not yet acknowledged, in the order sent.
    unacknowledged: VecDeque<(PacketId, u64)>,
}

impl Publisher {
    pub(crate) fn new(plan: &Plan, n: u32) -> Self {
        Self {
            n,
            topic: numbered(&plan.topic, n),
            topic_below: plan.topic_below.as_deref().map(|topic| numbered(topic, n)),
            seq: 0,
            window: usize::from(plan.window),
            next_id: 0,
            unacknowledged: VecDeque::new(),
        }
    }

    /// How many messages may go now.
    pub(crate) fn room(&self, qos: Qos) -> u64 {
        let left = MESSAGES_PER_SOURCE_MAX - self.seq;
        match qos {
            Qos::AtMostOnce => left,
            _ => left.min(self.window.saturating_sub(self.unacknowledged.len()) as u64),
        }
    }

    /// Writes the next message; tells whether it passes the rule. `None`: a topic or payload too
    /// long for a packet.
    pub(crate) fn publish(
        &mut self,
        plan: &Plan,
        sent_ns: u64,
        payload: &mut Vec<u8>,
        out: &mut BytesMut,
    ) -> Option<bool> {
        let stamp = Stamp { source: self.n, seq: self.seq, sent_ns };
        payload.clear();
        plan.template.write(stamp, payload);
        let passes = plan.template.passes(self.n, self.seq);
        let packet_id = plan.qos.is_promised().then(|| self.packet_id());
        let topic = match &self.topic_below {
            Some(below) if !passes => below,
            _ => &self.topic,
        };
        let packet = Packet::Publish(Publish {
            dup: false,
            qos: plan.qos,
            retain: false,
            topic,
            packet_id,
            properties: Properties::default(),
            payload,
        });
        packet.encode(plan.version, out).ok()?;
        self.seq += 1;
        if let Some(id) = packet_id {
            self.unacknowledged.push_back((id, sent_ns));
        }
        Some(passes)
    }

    /// The next identifier. The window is far below 65 535 and acknowledgements come in order
    /// [MQTT-4.6.0-2], so it is free; one that is not shows as an unknown acknowledgement.
    fn packet_id(&mut self) -> PacketId {
        self.next_id = if self.next_id == u16::MAX { 1 } else { self.next_id + 1 };
        PacketId::new(self.next_id).unwrap_or(PacketId::MIN)
    }

    /// When the publication that is acknowledged was sent; `None`: there is none of that
    /// identifier.
    pub(crate) fn acknowledged(&mut self, id: PacketId) -> Option<u64> {
        if self.unacknowledged.front().is_some_and(|(first, _)| *first == id) {
            return self.unacknowledged.pop_front().map(|(_, sent_ns)| sent_ns);
        }
        let place = self.unacknowledged.iter().position(|(known, _)| *known == id)?;
        self.unacknowledged.remove(place).map(|(_, sent_ns)| sent_ns)
    }

    /// How many publications have no acknowledgement yet.
    pub(crate) fn unacknowledged(&self) -> u64 {
        self.unacknowledged.len() as u64
    }
}

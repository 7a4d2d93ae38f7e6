//! What is still to be delivered to one session: a bounded queue and what is in flight.
//!
//! Owns packet identifiers, order and the send window of outbound QoS 1. Knows no sockets, no
//! locks and no other session.

use std::collections::VecDeque;
use std::sync::Arc;

use flux_types::{Message, Qos};
use smallvec::SmallVec;

use crate::codec::PacketId;
use crate::counters::DropReason;
use crate::limits::{Limits, OverflowPolicy};

/// What a queued message counts for besides its topic, payload and properties.
pub const QUEUED_MESSAGE_BYTES: usize = 96;

/// Longest flight, acknowledged gaps included: below the number of packet identifiers.
const FLIGHT_SLOTS_MAX: usize = 60_000;

/// Subscription identifiers of one delivery; none for most.
pub(crate) type SubscriptionIds = SmallVec<[u32; 2]>;

/// One message for one session.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) message: Arc<Message>,
    /// The lower of the message's and the subscription's QoS [MQTT-3.8.4-8].
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) subscription_ids: SubscriptionIds,
    /// As [`queued_bytes`] says.
    pub(crate) bytes: usize,
}

/// What a message counts for in a queue.
pub(crate) fn queued_bytes(message: &Message) -> usize {
    let properties = message.properties.as_ref().map_or(0, |properties| {
        let user: usize = properties.user.iter().map(|(n, v)| n.len() + v.len() + 48).sum();
        user + properties.correlation_data.as_ref().map_or(0, bytes::Bytes::len)
    });
    QUEUED_MESSAGE_BYTES + message.topic.as_str().len() + message.payload.len() + properties
}

impl Delivery {
    /// Seconds left of the message's expiry interval, `Err` when it has passed [MQTT-3.3.2-5].
    pub(crate) fn expiry_left_s(&self, now_ms: u64) -> Result<Option<u32>, Expired> {
        let expiry = self.message.properties.as_ref().and_then(|properties| properties.expiry_s);
        let Some(expiry_s) = expiry else { return Ok(None) };
        let waited_ms = now_ms.saturating_sub(self.message.received.mono_ns / 1_000_000);
        if waited_ms >= u64::from(expiry_s) * 1000 {
            return Err(Expired);
        }
        let waited_s = u32::try_from(waited_ms / 1000).unwrap_or(u32::MAX);
        Ok(Some(expiry_s.saturating_sub(waited_s)))
    }
}

/// The message's expiry interval has passed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expired;

/// What became of a message offered to the queue, and what left for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) dropped: Option<DropReason>,
    /// QoS 0 messages that made room.
    pub(crate) evicted_unpromised: usize,
    /// QoS 1 messages that made room.
    pub(crate) evicted_promised: usize,
    /// Bytes that left.
    pub(crate) freed_bytes: usize,
}

/// What the next step of delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send the delivery in this slot of the flight again.
    Resend(usize),
    /// Send the first of the queue.
    Send,
    /// The window is full: an acknowledgement has to come first [MQTT-3.3.4-9].
    WindowFull,
    /// Nothing is left.
    Empty,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Delivery>,
    queued_bytes: usize,
    unpromised: usize,
    /// In the order first sent; a slot is empty once acknowledged. Identifiers run in sequence
    /// from `first_id`, so a slot is found without searching.
    inflight: VecDeque<Option<Delivery>>,
    first_id: u16,
    /// Slots below were sent on this connection.
    sent: usize,
    /// Sent on this connection and not acknowledged.
    unacknowledged: usize,
}

impl Outbox {
    /// Queues a delivery if there is room, making room as the limits say.
    pub(crate) fn offer(
        &mut self,
        delivery: Delivery,
        connected: bool,
        limits: &Limits,
    ) -> Offered {
        let mut offered = Offered::default();
        let bytes = delivery.bytes;
        if !self.has_room(bytes, limits) {
            if delivery.qos == Qos::AtMostOnce {
                offered.dropped = Some(DropReason::QueueFull);
                return offered;
            }
            self.evict_unpromised(&mut offered);
            if !connected && limits.queue_overflow == OverflowPolicy::DropOldest {
                self.evict_oldest(bytes, limits, &mut offered);
            }
            if !self.has_room(bytes, limits) {
                offered.dropped = Some(DropReason::PromisedQueueFull);
                return offered;
            }
        }
        self.unpromised += usize::from(delivery.qos == Qos::AtMostOnce);
        self.queued_bytes += bytes;
        self.queue.push_back(delivery);
        offered
    }

    fn has_room(&self, bytes: usize, limits: &Limits) -> bool {
        self.queue.len() < limits.queue_messages_max
            && self.queued_bytes.saturating_add(bytes) <= limits.queue_bytes_max
    }

    /// Messages without a promise leave first, all at once: each pass over the queue is paid for
    /// by as many messages that were queued since the last one.
    fn evict_unpromised(&mut self, offered: &mut Offered) {
        if self.unpromised == 0 {
            return;
        }
        let mut freed = 0;
        self.queue.retain(|delivery| {
            let keep = delivery.qos != Qos::AtMostOnce;
            freed += if keep { 0 } else { delivery.bytes };
            keep
        });
        offered.evicted_unpromised = std::mem::take(&mut self.unpromised);
        offered.freed_bytes += freed;
        self.queued_bytes -= freed;
    }

    fn evict_oldest(&mut self, bytes: usize, limits: &Limits, offered: &mut Offered) {
        while !self.has_room(bytes, limits) {
            let Some(oldest) = self.pop() else { return };
            offered.evicted_promised += 1;
            offered.freed_bytes += oldest.bytes;
        }
    }

    /// A new connection begins: everything in flight has to be sent again [MQTT-4.4.0-1].
    pub(crate) fn reconnected(&mut self) {
        self.sent = 0;
        self.unacknowledged = 0;
    }

    /// What to do next with a window of that many deliveries.
    pub(crate) fn next(&mut self, window: u16) -> Next {
        // slots acknowledged before they were sent again need nothing
        while matches!(self.inflight.get(self.sent), Some(None)) {
            self.sent += 1;
        }
        let window = usize::from(window);
        let room = self.unacknowledged < window;
        if self.sent < self.inflight.len() {
            return if room { Next::Resend(self.sent) } else { Next::WindowFull };
        }
        match self.queue.front() {
            None => Next::Empty,
            Some(first) if first.qos == Qos::AtMostOnce => Next::Send,
            // a client that never acknowledges one delivery but all later ones must not make the
            // flight grow without bound
            Some(_) if room && self.inflight.len() < (4 * window + 64).min(FLIGHT_SLOTS_MAX) => {
                Next::Send
            }
            Some(_) => Next::WindowFull,
        }
    }

    /// The delivery in a slot, with its identifier.
    pub(crate) fn slot(&self, index: usize) -> Option<(&Delivery, PacketId)> {
        let delivery = self.inflight.get(index)?.as_ref()?;
        Some((delivery, identifier(self.first_id, index)?))
    }

    /// The first of the queue, and the identifier it would get.
    pub(crate) fn front(&self) -> Option<(&Delivery, Option<PacketId>)> {
        let delivery = self.queue.front()?;
        let id = match delivery.qos {
            Qos::AtMostOnce => None,
            _ => identifier(self.first_id.max(1), self.inflight.len()),
        };
        Some((delivery, id))
    }

    /// The slot was sent again.
    pub(crate) fn resent(&mut self) {
        self.sent += 1;
        self.unacknowledged += 1;
    }

    /// A delivery in flight that cannot be sent on this connection is given up.
    pub(crate) fn give_up(&mut self, index: usize) {
        if let Some(slot) = self.inflight.get_mut(index) {
            *slot = None;
        }
        self.trim();
    }

    /// Takes the first off the queue without sending it.
    pub(crate) fn pop(&mut self) -> Option<Delivery> {
        let delivery = self.queue.pop_front()?;
        self.queued_bytes -= delivery.bytes;
        self.unpromised -= usize::from(delivery.qos == Qos::AtMostOnce);
        Some(delivery)
    }

    /// The first of the queue was sent: it leaves, or takes off.
    pub(crate) fn sent(&mut self) {
        let Some(delivery) = self.pop() else { return };
        if delivery.qos.is_promised() {
            self.first_id = self.first_id.max(1);
            self.inflight.push_back(Some(delivery));
            self.sent = self.inflight.len();
            self.unacknowledged += 1;
        }
    }

    /// PUBACK came. Tells whether the identifier was in flight.
    pub(crate) fn acknowledged(&mut self, id: PacketId) -> bool {
        let index = distance(self.first_id, id.get());
        let Some(slot) = self.inflight.get_mut(index) else { return false };
        if slot.take().is_none() {
            return false;
        }
        if index < self.sent {
            self.unacknowledged = self.unacknowledged.saturating_sub(1);
        }
        self.trim();
        true
    }

    /// Drops acknowledged slots at the front and gives memory back once idle.
    fn trim(&mut self) {
        while matches!(self.inflight.front(), Some(None)) {
            self.inflight.pop_front();
            self.first_id = identifier(self.first_id, 1).map_or(1, PacketId::get);
            self.sent = self.sent.saturating_sub(1);
        }
        if self.inflight.is_empty() && self.inflight.capacity() > 32 {
            self.inflight = VecDeque::new();
        }
    }

    /// Gives the queue's memory back once it has been emptied.
    pub(crate) fn shrink(&mut self) {
        if self.queue.is_empty() && self.queue.capacity() > 32 {
            self.queue = VecDeque::new();
        }
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.inflight.iter().flatten().count()
    }
}

/// The identifier `steps` after `first` in the circle 1..=65535.
fn identifier(first: u16, steps: usize) -> Option<PacketId> {
    let zero_based = (usize::from(first) + 65_534 + steps) % 65_535;
    PacketId::new(u16::try_from(zero_based + 1).ok()?)
}

/// How many steps `id` is after `first` in that circle.
fn distance(first: u16, id: u16) -> usize {
    (usize::from(id) + 65_535 - usize::from(first.max(1))) % 65_535
}

//! From the session's queue to the output, within the client's window.

use bytes::BytesMut;

use super::open::Open;
use crate::broker::Broker;
use crate::codec::{OutboundPublish, PacketId, Reason, Version};
use crate::counters::{Counters, DropReason};
use crate::error::Error;
use crate::session::{Delivery, Next, State};

/// What one round of delivery did, counted once at its end: counters are shared by all threads.
#[derive(Default)]
struct Round {
    sent: [u64; 2],
    resent: u64,
    left_bytes: usize,
}

impl Open {
    /// Writes deliveries until nothing is left, the window is full or the output is. Tells whether
    /// it was the output.
    pub(super) fn deliver(
        &self,
        broker: &Broker,
        now_ms: u64,
        out: &mut BytesMut,
    ) -> Result<bool, Error> {
        let mut state = self.session.lock();
        if !state.belongs_to(self.generation) {
            return Err(Error::SessionTakenOver); // [MQTT-3.1.4-3]
        }
        match state.cut_off {
            None => {}
            Some(Reason::QUOTA_EXCEEDED) => return Err(Error::QueueOverflow),
            Some(reason) => return Err(Error::ClosedByServer(reason)),
        }
        let mut round = Round::default();
        let more = self.deliver_round(&mut state, broker, now_ms, out, &mut round);
        drop(state);
        let counters = &broker.counters;
        counters.queued_bytes.sub(round.left_bytes);
        counters.publishes_resent.add(round.resent);
        for (counter, sent) in counters.publishes_out.iter().zip(round.sent) {
            counter.add(sent);
        }
        Ok(more)
    }

    fn deliver_round(
        &self,
        state: &mut State,
        broker: &Broker,
        now_ms: u64,
        out: &mut BytesMut,
        round: &mut Round,
    ) -> bool {
        let counters = &broker.counters;
        loop {
            // whoever is left with something to send stays dirty: an acknowledgement or written
            // output brings the connection back here without being woken for every message
            let next = state.outbox.next(self.window);
            if out.len() >= broker.limits.output_bytes_max && next != Next::Empty {
                return true;
            }
            match next {
                Next::Resend(at) => self.resend(state, at, now_ms, counters, out, round),
                Next::Send => self.send_first(state, now_ms, counters, out, round),
                Next::WindowFull => return false,
                Next::Empty => {
                    state.served();
                    return false;
                }
            }
        }
    }

    /// Sends a delivery again that an earlier connection did not see acknowledged, with its
    /// identifier and DUP [MQTT-4.4.0-1], [MQTT-3.3.1-1].
    fn resend(
        &self,
        state: &mut State,
        index: usize,
        now_ms: u64,
        counters: &Counters,
        out: &mut BytesMut,
        round: &mut Round,
    ) {
        let Some((delivery, id)) = state.outbox.slot(index) else { return };
        // its delivery has begun: it is finished even if the interval passed meanwhile
        let left = delivery.expiry_left_s(now_ms).unwrap_or(Some(0));
        if self.write(delivery, Some(id), true, left, out) {
            round.resent += 1;
            state.outbox.resent();
        } else {
            counters.drop_one(DropReason::TooLargeForClient);
            state.outbox.give_up(index);
        }
    }

    fn send_first(
        &self,
        state: &mut State,
        now_ms: u64,
        counters: &Counters,
        out: &mut BytesMut,
        round: &mut Round,
    ) {
        let Some((delivery, id)) = state.outbox.front() else { return };
        round.left_bytes += delivery.bytes;
        let dropped = match delivery.expiry_left_s(now_ms) {
            Err(_) => Some(DropReason::Expired),
            Ok(left) if self.write(delivery, id, false, left, out) => None,
            Ok(_) => Some(DropReason::TooLargeForClient),
        };
        match dropped {
            None => {
                round.sent[usize::from(id.is_some())] += 1;
                state.outbox.sent();
            }
            Some(reason) => {
                counters.drop_one(reason);
                state.outbox.pop();
            }
        }
    }

    /// Writes one delivery unless it is larger than the client takes [MQTT-3.1.2-24].
    fn write(
        &self,
        delivery: &Delivery,
        packet_id: Option<PacketId>,
        dup: bool,
        expiry_left_s: Option<u32>,
        out: &mut BytesMut,
    ) -> bool {
        let packet = OutboundPublish {
            message: &delivery.message,
            packet_id,
            dup,
            retain: delivery.retain,
            expiry_left_s,
            subscription_ids: &delivery.subscription_ids,
        };
        let unlimited = self.version == Version::V311 || self.client_packet_bytes_max == usize::MAX;
        (unlimited || packet.encoded_len(self.version) <= self.client_packet_bytes_max)
            && packet.encode(self.version, out).is_ok()
    }
}

//! From the session's queue to the output, within the client's window.

use bytes::BytesMut;

use super::Open;
use crate::broker::Broker;
use crate::codec::{OutboundPublish, PacketId, Reason, Version};
use crate::counters::{Counters, DropReason};
use crate::error::Error;
use crate::session::{Delivery, Next, State};

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
        if let (true, Some(reason)) = (state.belongs_to(self.generation), state.cut_off) {
            return Err(match reason {
                Reason::QUOTA_EXCEEDED => Error::QueueOverflow,
                reason => Error::ClosedByServer(reason),
            });
        }
        if !state.belongs_to(self.generation) {
            return Err(Error::SessionTakenOver); // [MQTT-3.1.4-3]
        }
        loop {
            // whoever is left with something to send stays dirty: an acknowledgement or written
            // output brings the connection back here without being woken for every message
            if out.len() >= broker.limits.output_bytes_max {
                return Ok(!matches!(state.outbox.next(self.window), Next::Empty));
            }
            match state.outbox.next(self.window) {
                Next::Resend(index) => {
                    self.resend(&mut state, index, now_ms, &broker.counters, out);
                }
                Next::Send => self.send_first(&mut state, now_ms, &broker.counters, out),
                Next::WindowFull => return Ok(false),
                Next::Empty => {
                    state.served();
                    return Ok(false);
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
    ) {
        let Some((delivery, id)) = state.outbox.slot(index) else { return };
        // its delivery has begun: it is finished even if the interval passed meanwhile
        let left = delivery.expiry_left_s(now_ms).unwrap_or(Some(0));
        if self.write(delivery, Some(id), true, left, out) {
            counters.publishes_resent.one();
            state.outbox.resent();
        } else {
            counters.drop_one(DropReason::TooLargeForClient);
            state.outbox.give_up(index);
        }
    }

    fn send_first(&self, state: &mut State, now_ms: u64, counters: &Counters, out: &mut BytesMut) {
        let Some((delivery, id)) = state.outbox.front() else { return };
        let sent = match delivery.expiry_left_s(now_ms) {
            Err(_) => Err(DropReason::Expired),
            Ok(left) if self.write(delivery, id, false, left, out) => Ok(delivery.qos),
            Ok(_) => Err(DropReason::TooLargeForClient),
        };
        match sent {
            Ok(qos) => {
                counters.publish_out(qos);
                counters.queued_bytes.sub(state.outbox.sent());
            }
            Err(reason) => {
                counters.drop_one(reason);
                let freed = state.outbox.pop().map_or(0, |delivery| delivery.bytes());
                counters.queued_bytes.sub(freed);
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

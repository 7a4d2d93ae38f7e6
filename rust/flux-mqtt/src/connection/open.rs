//! What there is once CONNECT was accepted, and what each packet does to it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use flux_types::{Received, Topic};

use super::publish::TopicCache;
use super::receipts::Receipts;
use crate::broker::Broker;
use crate::codec::{Ack, Disconnect, Packet, Property, PropertyBuf, Reason, Version};
use crate::error::{Error, protocol};
use crate::ports::{Inbound, Principal};
use crate::session::{HeldWill, Session};

/// What there is once CONNECT was accepted.
pub(super) struct Open {
    pub(super) version: Version,
    pub(super) principal: Principal,
    pub(super) session: Arc<Session>,
    pub(super) generation: u64,
    /// As agreed on; 0 is none.
    pub(super) keep_alive_s: u16,
    /// Monotonic milliseconds.
    pub(super) last_heard_ms: u64,
    /// Reading is paused by us, so that silence says nothing.
    pub(super) paused: bool,
    /// Deliveries in flight that the client and we allow.
    pub(super) window: u16,
    /// The client's Maximum Packet Size.
    pub(super) client_packet_bytes_max: usize,
    pub(super) expiry_s: u32,
    pub(super) will: Option<HeldWill>,
    pub(super) receipts: Receipts,
    pub(super) topics: TopicCache,
    /// Topic by alias, from 1.
    pub(super) aliases: Vec<Option<Topic>>,
    /// Something may be deliverable that no wake-up tells of.
    pub(super) deliver: bool,
}

/// Whether to go on after a packet.
pub(super) enum Step {
    GoOn,
    /// The client said DISCONNECT.
    Leave,
}

/// What a packet handler works with.
pub(super) struct Context<'a> {
    pub(super) broker: &'a Broker,
    pub(super) peer: SocketAddr,
    pub(super) now: Received,
    pub(super) out: &'a mut BytesMut,
    pub(super) inbound: &'a mut Vec<Inbound>,
}

impl Open {
    /// One and a half keep-alive intervals [MQTT-3.1.2-22].
    pub(super) fn patience_ms(&self) -> u64 {
        u64::from(self.keep_alive_s) * 1500
    }

    pub(super) fn on_packet(
        &mut self,
        packet: &Packet<'_>,
        context: &mut Context<'_>,
    ) -> Result<Step, Error> {
        match packet {
            Packet::Publish(publish) => self.on_publish(publish, context)?,
            Packet::Puback(ack) => self.on_puback(ack, context),
            Packet::Subscribe(subscribe) => self.on_subscribe(subscribe, context)?,
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(unsubscribe, context)?,
            Packet::Pingreq => self.reply(&Packet::Pingresp, context.out)?, // [MQTT-3.12.4-1]
            Packet::Disconnect(disconnect) => {
                self.on_disconnect(disconnect, context)?;
                return Ok(Step::Leave);
            }
            Packet::Connect(_) => return Err(protocol("MQTT-3.1.0-2", "a second CONNECT")),
            // we never send QoS 2, so nothing of its handshake can be answered
            Packet::Pubrec(ack) => self.unknown_release(ack, Packet::Pubrel, context)?,
            Packet::Pubrel(ack) => self.unknown_release(ack, Packet::Pubcomp, context)?,
            Packet::Pubcomp(_) => context.broker.counters.acknowledgements_unknown.one(),
            Packet::Auth(_) => {
                return Err(protocol("MQTT-4.12.0-6", "AUTH without an authentication method"));
            }
            Packet::Connack(_) | Packet::Suback(_) | Packet::Unsuback(_) | Packet::Pingresp => {
                return Err(protocol("section 2.1.2", "a packet that only a server sends"));
            }
        }
        Ok(Step::GoOn)
    }

    /// Answers a step of a QoS 2 handshake whose identifier is not known here: a client that comes
    /// back with one has to be able to finish it.
    fn unknown_release(
        &self,
        ack: &Ack<'_>,
        answer: impl FnOnce(Ack<'static>) -> Packet<'static>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        context.broker.counters.acknowledgements_unknown.one();
        if ack.reason.is_error() {
            return Ok(()); // the sender has given up already (section 4.3.3)
        }
        let unknown = Ack::new(ack.packet_id, Reason::PACKET_IDENTIFIER_NOT_FOUND);
        self.reply(&answer(unknown), context.out)
    }

    /// Writes an answer, unless it is larger than the client takes [MQTT-3.1.2-24].
    pub(super) fn reply(&self, packet: &Packet<'_>, out: &mut BytesMut) -> Result<(), Error> {
        let before = out.len();
        packet.encode(self.version, out)?;
        if out.len() - before > self.client_packet_bytes_max {
            out.truncate(before);
        }
        Ok(())
    }

    fn on_puback(&mut self, ack: &Ack<'_>, context: &mut Context<'_>) {
        let mut state = self.session.lock();
        if state.belongs_to(self.generation) && state.outbox.acknowledged(ack.packet_id) {
            self.deliver = true; // there is room in the window
        } else {
            context.broker.counters.acknowledgements_unknown.one();
        }
    }

    fn on_disconnect(
        &mut self,
        disconnect: &Disconnect<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        for property in disconnect.properties.iter() {
            match property {
                Property::SessionExpiryInterval(expiry_s) => {
                    if self.expiry_s == 0 && expiry_s != 0 {
                        return Err(protocol(
                            "section 3.14.2.2.2",
                            "a session expiry at DISCONNECT where CONNECT had none",
                        ));
                    }
                    self.expiry_s = context.broker.sessions.granted_expiry_s(expiry_s);
                }
                Property::ServerReference(_) => {
                    return Err(protocol("MQTT-3.14.2-2", "a server reference from a client"));
                }
                _ => {}
            }
        }
        if disconnect.reason == Reason::SUCCESS {
            self.will = None; // [MQTT-3.14.4-3]
        }
        Ok(())
    }

    /// Tells a 5.0 client why; 3.1.1 has no DISCONNECT from the server.
    pub(super) fn say_disconnect(&self, error: &Error, out: &mut BytesMut) {
        if self.version == Version::V311 {
            return;
        }
        // PUBLISH, CONNACK and DISCONNECT may say why even if the client wants no problem
        // information (section 3.1.2.11.7), but not beyond its packet size [MQTT-3.14.2-3]
        let mut why = PropertyBuf::default();
        let text = error.to_string();
        let reason = disconnect_reason(error);
        let fits = text.len() + 16 <= self.client_packet_bytes_max;
        if fits && why.push(&Property::ReasonString(&text)).is_err() {
            why = PropertyBuf::default();
        }
        let packet = Packet::Disconnect(Disconnect { reason, properties: why.as_properties() });
        if packet.encode(self.version, out).is_err() {
            tracing::warn!(target: "flux_mqtt", "a DISCONNECT could not be written");
        }
    }
}

/// The reason as DISCONNECT may carry it (section 3.14.2.1).
fn disconnect_reason(error: &Error) -> Reason {
    match error.reason() {
        Reason::CLIENT_IDENTIFIER_NOT_VALID | Reason::BAD_USER_NAME_OR_PASSWORD => {
            Reason::NOT_AUTHORIZED
        }
        reason => reason,
    }
}

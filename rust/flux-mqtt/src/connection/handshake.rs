//! CONNECT and CONNACK: who it is, which session, and what was agreed on.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flux_types::{Message, Qos, Topic};

use super::open::{Context, Open};
use super::publish::{TopicCache, is_servers_own, message_properties, oversized};
use super::receipts::Receipts;
use crate::codec::{
    Connack, Connect, Packet, Properties, Property, PropertyBuf, Reason, Version, Will,
};
use crate::error::{Error, malformed, protocol};
use crate::limits::Limits;
use crate::ms;
use crate::ports::{Principal, SignIn, Wake};
use crate::session::{Attach, Attached, HeldWill, SessionKey};

/// What the properties of a CONNECT ask for (section 3.1.2.11).
struct Wishes {
    expiry_s: u32,
    receive_max: u16,
    packet_bytes_max: usize,
}

const fn refused(reason: Reason, what: &'static str) -> Error {
    Error::ConnectRefused { reason, what }
}

/// Signs the client in, attaches its session and writes CONNACK.
pub(super) fn accept(
    connect: &Connect<'_>,
    peer: SocketAddr,
    waker: &Arc<dyn Wake>,
    context: &mut Context<'_>,
) -> Result<Open, Error> {
    let broker = context.broker;
    let limits = &*broker.limits;
    let wishes = wishes(connect)?;
    let (client_id, assigned) = client_id(connect, limits)?;
    let Connect { version, username, password, .. } = *connect;
    let sign_in = SignIn { version, client_id: &client_id, username, password, peer };
    let principal = broker.access.authenticate(&sign_in).map_err(Error::SignInDenied)?;
    let will = match &connect.will {
        Some(will) => Some(hold_will(will, version, &principal, context)?),
        None => None,
    };
    let granted = Granted {
        expiry_s: broker.sessions.granted_expiry_s(wishes.expiry_s),
        keep_alive_s: granted_keep_alive_s(connect, limits),
    };
    let assigned = assigned.then(|| Arc::clone(&client_id));
    let told = told_in_connack(connect, &wishes, &granted, assigned.as_deref(), limits)?;
    let connack_len = 16 + told.as_properties().as_bytes().len();
    if connack_len > wishes.packet_bytes_max {
        let what = "the client's maximum packet size leaves no room for CONNACK";
        return Err(refused(Reason::PACKET_TOO_LARGE, what)); // [MQTT-3.1.2-24]
    }
    let attach = Attach {
        key: SessionKey { tenant: principal.tenant, client_id },
        owner: Arc::clone(&principal.id),
        source: principal.source.clone(),
        clean_start: connect.clean_start,
        expiry_s: granted.expiry_s,
        waker: Arc::clone(waker),
    };
    let Attached { session, generation, present } = broker
        .sessions
        .attach(attach, context.now, context.inbound)
        .map_err(|reason| refused(reason, "no session can be had under this identifier"))?;
    broker.counters.connects.one();
    broker.counters.connected.add(1);
    let properties = told.as_properties();
    let connack = Connack { session_present: present, code: 0, properties };
    Packet::Connack(connack).encode(version, context.out)?;
    Ok(Open {
        version,
        principal,
        session,
        generation,
        keep_alive_s: granted.keep_alive_s,
        last_heard_ms: ms(context.now),
        paused: false,
        window: wishes.receive_max.min(limits.inflight_max).max(1),
        client_packet_bytes_max: wishes.packet_bytes_max,
        expiry_s: granted.expiry_s,
        will,
        receipts: Receipts::default(),
        topics: TopicCache::default(),
        aliases: Vec::new(),
        deliver: present,
    })
}

/// What the client gets of what it asked for.
struct Granted {
    expiry_s: u32,
    keep_alive_s: u16,
}

/// The keep-alive that the client is to use; only 5.0 clients can be told another one
/// [MQTT-3.1.2-21].
fn granted_keep_alive_s(connect: &Connect<'_>, limits: &Limits) -> u16 {
    match (connect.version, connect.keep_alive_s) {
        (Version::V311, asked_s) => asked_s,
        (Version::V5, 0) if limits.keep_alive_s_max == u16::MAX => 0,
        (Version::V5, 0) => limits.keep_alive_s_max,
        (Version::V5, asked_s) => asked_s.min(limits.keep_alive_s_max),
    }
}

fn wishes(connect: &Connect<'_>) -> Result<Wishes, Error> {
    // the session of a 3.1.1 client without Clean Session has no expiry of its own
    let expiry_s = match (connect.version, connect.clean_start) {
        (Version::V311, false) => u32::MAX,
        _ => 0,
    };
    let mut wishes = Wishes { expiry_s, receive_max: u16::MAX, packet_bytes_max: usize::MAX };
    for property in connect.properties.iter() {
        match property {
            Property::SessionExpiryInterval(seconds) => wishes.expiry_s = seconds,
            Property::ReceiveMaximum(max) => wishes.receive_max = max,
            Property::MaximumPacketSize(max) => wishes.packet_bytes_max = max as usize,
            Property::AuthenticationMethod(_) => {
                // [MQTT-4.12.0-1]
                let what = "extended authentication is not offered";
                return Err(refused(Reason::BAD_AUTHENTICATION_METHOD, what));
            }
            Property::AuthenticationData(_) => {
                let what = "authentication data without a method";
                return Err(protocol("section 3.1.2.11.10", what));
            }
            _ => {}
        }
    }
    Ok(wishes)
}

/// The client identifier, and whether we had to make it up [MQTT-3.1.3-6], [MQTT-3.1.3-7].
fn client_id(connect: &Connect<'_>, limits: &Limits) -> Result<(Arc<str>, bool), Error> {
    if connect.client_id.len() > limits.client_id_bytes_max {
        let what = "the client identifier is too long";
        return Err(refused(Reason::CLIENT_IDENTIFIER_NOT_VALID, what));
    }
    if !connect.client_id.is_empty() {
        return Ok((connect.client_id.into(), false));
    }
    if connect.version == Version::V311 && !connect.clean_start {
        // [MQTT-3.1.3-8 of 3.1.1]
        let what = "an empty client identifier needs Clean Session";
        return Err(refused(Reason::CLIENT_IDENTIFIER_NOT_VALID, what));
    }
    Ok((format!("auto-{}", uuid::Uuid::new_v4().simple()).into(), true))
}

fn hold_will(
    will: &Will<'_>,
    version: Version,
    principal: &Principal,
    context: &Context<'_>,
) -> Result<HeldWill, Error> {
    let broker = context.broker;
    if version == Version::V5 && will.qos == Qos::ExactlyOnce {
        return Err(refused(Reason::QOS_NOT_SUPPORTED, "the will's QoS is above 1")); // [MQTT-3.2.2-12]
    }
    if will.retain {
        if version == Version::V5 {
            return Err(refused(Reason::RETAIN_NOT_SUPPORTED, "the will is retained")); // [MQTT-3.2.2-13]
        }
        broker.counters.retain_ignored.one();
    }
    let topic = Topic::new(will.topic)
        .map_err(|_| malformed("MQTT-3.3.2-2", "the will's topic is not a topic name"))?;
    if oversized(&topic, &broker.limits) {
        return Err(refused(Reason::TOPIC_NAME_INVALID, "the will's topic is too long or deep"));
    }
    if is_servers_own(&topic) || !broker.access.may_publish(principal, &topic) {
        return Err(refused(Reason::NOT_AUTHORIZED, "the will's topic is not allowed"));
    }
    if will.properties.as_bytes().len() > broker.limits.publish_properties_bytes_max {
        return Err(refused(Reason::QUOTA_EXCEEDED, "the will's properties are too large"));
    }
    let delay_s = will.properties.iter().find_map(|property| match property {
        Property::WillDelayInterval(seconds) => Some(seconds),
        _ => None,
    });
    let message = Message {
        tenant: principal.tenant,
        source: principal.source.clone(),
        topic,
        payload: Bytes::copy_from_slice(will.payload),
        // a 3.1.1 will of QoS 2 reaches subscribers at no more than the QoS 1 they are granted
        qos: will.qos.min(Qos::AtLeastOnce),
        retain: will.retain,
        received: context.now,
        hops: 0,
        properties: message_properties(&will.properties)?,
    };
    Ok(HeldWill { message: Box::new(message), delay_s: delay_s.unwrap_or(0) })
}

/// Everything that is not as a 5.0 client may assume (section 3.2.2.3); nothing in 3.1.1.
fn told_in_connack(
    connect: &Connect<'_>,
    wishes: &Wishes,
    granted: &Granted,
    assigned: Option<&str>,
    limits: &Limits,
) -> Result<PropertyBuf, Error> {
    let mut told = PropertyBuf::default();
    if connect.version == Version::V311 {
        return Ok(told);
    }
    if granted.expiry_s != wishes.expiry_s {
        told.push(&Property::SessionExpiryInterval(granted.expiry_s))?;
    }
    told.push(&Property::ReceiveMaximum(limits.inbound_unacknowledged_max.max(1)))?;
    told.push(&Property::MaximumQos(true))?; // 1 [MQTT-3.2.2-9]
    told.push(&Property::RetainAvailable(false))?;
    let packet_bytes_max = u32::try_from(limits.packet_bytes_max).unwrap_or(u32::MAX);
    told.push(&Property::MaximumPacketSize(packet_bytes_max.max(1)))?;
    if let Some(client_id) = assigned {
        told.push(&Property::AssignedClientIdentifier(client_id))?; // [MQTT-3.2.2-16]
    }
    if limits.topic_aliases_max > 0 {
        told.push(&Property::TopicAliasMaximum(limits.topic_aliases_max))?;
    }
    told.push(&Property::SharedSubscriptionAvailable(false))?;
    if granted.keep_alive_s != connect.keep_alive_s {
        told.push(&Property::ServerKeepAlive(granted.keep_alive_s))?;
    }
    Ok(told)
}

/// Writes the CONNACK that refuses, where there is one to write.
pub(super) fn refuse(version: Option<Version>, error: &Error, out: &mut BytesMut) {
    let reason = error.reason();
    let packet = match (version, error) {
        // [MQTT-3.1.2-2]; a level above 5 is taken to read CONNACK as 5.0 has it
        (_, Error::UnsupportedVersion(level)) if *level > Version::V5.level() => {
            (Version::V5, connack(false, reason.0))
        }
        (_, Error::UnsupportedVersion(_)) => {
            (Version::V311, connack(false, reason.connect_return_code()))
        }
        (Some(Version::V5), _) if reason.answers_connect() => {
            (Version::V5, connack(false, reason.0))
        }
        // 3.1.1 has return codes for refusals only; anything else is closed without a word
        // [MQTT-3.2.2-6 of 3.1.1]
        (Some(Version::V311), Error::ConnectRefused { .. } | Error::SignInDenied(_)) => {
            (Version::V311, connack(false, reason.connect_return_code()))
        }
        _ => return,
    };
    let written = Packet::Connack(packet.1).encode(packet.0, out);
    debug_assert!(written.is_ok(), "a CONNACK without properties always fits");
}

/// CONNACK without properties.
fn connack(session_present: bool, code: u8) -> Connack<'static> {
    Connack { session_present, code, properties: Properties::default() }
}

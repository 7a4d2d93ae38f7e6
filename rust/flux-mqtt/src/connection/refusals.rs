//! What a client was refused, told to whoever shows it to people.
//!
//! Owns the words. Must never tell a client anything: what it is told stands where it is refused.

use std::fmt::Display;
use std::net::SocketAddr;

use flux_types::Coded;

use super::open::{Context, Open};
use crate::broker::Broker;
use crate::codec::{Connect, Reason};
use crate::error::Error;
use crate::ports::{Attempt, Refused};

/// A CONNECT that was read and refused. A sign-in that was denied is told by who denied it.
pub(super) fn connect(broker: &Broker, peer: SocketAddr, connect: &Connect<'_>, error: &Error) {
    if matches!(error, Error::SignInDenied(_)) {
        return;
    }
    broker.access.refused(&Refused {
        attempt: Attempt::Connect,
        peer,
        principal: None,
        username: connect.username,
        client_id: Some(connect.client_id),
        topic: None,
        code: error.code(),
        why: error,
    });
}

/// A connection that is ended: before its CONNECT was read, or after it was accepted.
pub(super) fn ended(broker: &Broker, peer: SocketAddr, open: Option<&Open>, error: &Error) {
    match error {
        // nobody did anything wrong
        Error::ClosedByServer(Reason::SERVER_SHUTTING_DOWN) => return,
        // told with its topic
        Error::PublishDenied => return,
        _ => {}
    }
    broker.access.refused(&Refused {
        attempt: if open.is_some() { Attempt::Stay } else { Attempt::Connect },
        peer,
        principal: open.map(|open| &open.principal),
        username: None,
        client_id: open.map(|open| &*open.session.key.client_id),
        topic: None,
        code: error.code(),
        why: error,
    });
}

impl Open {
    /// A publication that was not accepted.
    pub(super) fn tell_publish_refused(
        &self,
        topic: Option<&str>,
        reason: Reason,
        broker: &Broker,
        peer: SocketAddr,
    ) {
        let (code, why): (_, &dyn Display) = match reason {
            Reason::NOT_AUTHORIZED => ("publish.not_authorized", &"it may not publish there"),
            Reason::TOPIC_NAME_INVALID => {
                ("publish.too_large", &"the topic is too long or too deep")
            }
            Reason::QUOTA_EXCEEDED if topic.is_some() => {
                ("publish.too_large", &"the message's properties are too large")
            }
            Reason::QUOTA_EXCEEDED => {
                ("publish.no_room", &"there is no room: the disk is full, or too much waits for it")
            }
            _ => ("mqtt.refused", &reason),
        };
        self.tell(Attempt::Publish, (topic, code, why), broker, peer);
    }

    /// A subscription that was not accepted.
    pub(super) fn tell_subscribe_refused(
        &self,
        filter: &str,
        reason: Reason,
        context: &Context<'_>,
    ) {
        let (code, why): (_, &dyn Display) = match reason {
            Reason::NOT_AUTHORIZED => ("subscribe.not_authorized", &"it may not subscribe to that"),
            Reason::TOPIC_FILTER_INVALID => {
                ("subscribe.filter", &"the filter is wrong, too long or too deep")
            }
            Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED => {
                ("subscribe.shared", &"shared subscriptions are not offered")
            }
            Reason::QUOTA_EXCEEDED => ("subscribe.too_many", &"there are too many subscriptions"),
            _ => ("mqtt.refused", &reason),
        };
        self.tell(Attempt::Subscribe, (Some(filter), code, why), context.broker, context.peer);
    }

    fn tell(
        &self,
        attempt: Attempt,
        (topic, code, why): (Option<&str>, &'static str, &dyn Display),
        broker: &Broker,
        peer: SocketAddr,
    ) {
        broker.access.refused(&Refused {
            attempt,
            peer,
            principal: Some(&self.principal),
            username: None,
            client_id: Some(&self.session.key.client_id),
            topic,
            code,
            why,
        });
    }
}

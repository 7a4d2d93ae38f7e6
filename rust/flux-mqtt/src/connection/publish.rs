//! PUBLISH from the client: checked, turned into a message, handed out to be committed.

use std::sync::Arc;

use bytes::Bytes;
use flux_types::{Message, MessageProperties, Qos, Topic};

use super::open::{Context, Open};
use crate::broker::Broker;
use crate::codec::{PacketId, Properties, Property, Publish, Reason, Version};
use crate::error::{Error, malformed, protocol};
use crate::limits::Limits;
use crate::ports::{Inbound, Principal};

/// The last topics a connection published to, with the reason to refuse them, if there is one: most
/// devices use one or two, and need neither a check nor a copy of it then.
#[derive(Debug, Default)]
pub(super) struct TopicCache {
    known: Vec<Known>,
    next: usize,
}

#[derive(Debug)]
struct Known {
    topic: Topic,
    revision: u64,
    refusal: Option<Reason>,
}

const KNOWN_TOPICS_MAX: usize = 4;

impl TopicCache {
    /// The topic of that name, and why the principal may not publish to it, if it may not.
    #[inline]
    fn resolve(
        &mut self,
        name: &str,
        broker: &Broker,
        principal: &Principal,
    ) -> Result<(Topic, Option<Reason>), Error> {
        let access = &*broker.access;
        let revision = access.revision();
        let fresh = |known: &&Known| known.revision == revision && known.topic.as_str() == name;
        if let Some(known) = self.known.iter().find(fresh) {
            return Ok((known.topic.clone(), known.refusal));
        }
        let topic = topic_of(name)?;
        let refusal = if is_servers_own(&topic) || !access.may_publish(principal, &topic) {
            Some(Reason::NOT_AUTHORIZED)
        } else if oversized(&topic, &broker.limits) {
            Some(Reason::TOPIC_NAME_INVALID)
        } else {
            None
        };
        // a topic beyond the limits must not stay in memory
        if refusal != Some(Reason::TOPIC_NAME_INVALID) {
            self.keep(Known { topic: topic.clone(), revision, refusal });
        }
        Ok((topic, refusal))
    }

    fn keep(&mut self, known: Known) {
        if self.known.len() < KNOWN_TOPICS_MAX {
            self.known.push(known);
        } else if let Some(oldest) = self.known.get_mut(self.next % KNOWN_TOPICS_MAX) {
            *oldest = known;
            self.next = self.next.wrapping_add(1);
        }
    }
}

fn topic_of(name: &str) -> Result<Topic, Error> {
    use flux_types::TopicError;
    Topic::new(name).map_err(|error| match error {
        TopicError::Wildcard(_) => malformed("MQTT-3.3.2-2", "a topic name with a wildcard"),
        TopicError::Empty => protocol("MQTT-4.7.3-1", "an empty topic without a topic alias"),
        _ => Error::Protocol {
            reason: Reason::TOPIC_NAME_INVALID,
            clause: "section 4.7.3",
            what: "a topic name that is not accepted here",
        },
    })
}

/// Whether only the server may publish there (section 4.7.2). Other topics that begin with `$` are
/// for [`crate::Access`] to judge.
pub(super) fn is_servers_own(topic: &Topic) -> bool {
    matches!(topic.levels().next(), Some("$SYS" | "$share"))
}

/// Whether a topic is beyond our limits, though the standard allows it.
pub(super) fn oversized(topic: &Topic, limits: &Limits) -> bool {
    topic.as_str().len() > limits.topic_bytes_max
        || topic.levels().count() > limits.topic_levels_max
}

/// The properties that go with the message (sections 3.3.2.3.2 to 3.3.2.3.9).
pub(super) fn message_properties(
    properties: &Properties<'_>,
) -> Result<Option<Arc<MessageProperties>>, Error> {
    if properties.is_empty() {
        return Ok(None);
    }
    let mut kept = MessageProperties::default();
    for property in properties.iter() {
        match property {
            Property::PayloadFormatIndicator(yes) => kept.payload_is_utf8 = Some(yes),
            Property::MessageExpiryInterval(seconds) => kept.expiry_s = Some(seconds),
            Property::ContentType(text) => kept.content_type = Some(text.into()),
            Property::ResponseTopic(name) => {
                let topic = Topic::new(name).map_err(|_| {
                    protocol("MQTT-3.3.2-14", "a response topic that is not a topic name")
                })?;
                kept.response_topic = Some(topic);
            }
            Property::CorrelationData(data) => {
                kept.correlation_data = Some(Bytes::copy_from_slice(data));
            }
            Property::UserProperty(name, value) => kept.user.push((name.into(), value.into())),
            _ => {}
        }
    }
    Ok((kept != MessageProperties::default()).then(|| Arc::new(kept)))
}

impl Open {
    pub(super) fn on_publish(
        &mut self,
        publish: &Publish<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let broker = context.broker;
        self.check_offered(publish, context)?;
        if self.version == Version::V5
            && publish.packet_id.is_some()
            && self.receipts.len() >= usize::from(broker.limits.inbound_unacknowledged_max.max(1))
        {
            return Err(Error::Protocol {
                reason: Reason::RECEIVE_MAXIMUM_EXCEEDED,
                clause: "MQTT-3.3.4-9",
                what: "more unacknowledged publications than the receive maximum",
            });
        }
        let (topic, refusal) = self.topic_of_publish(publish, context)?;
        let too_much =
            publish.properties.as_bytes().len() > broker.limits.publish_properties_bytes_max;
        let refusal = refusal.or(too_much.then_some(Reason::QUOTA_EXCEEDED));
        if let Some(reason) = refusal {
            return self.refuse_publish(publish.packet_id, &topic, reason, context);
        }
        broker.counters.publish_in(publish.qos);
        let message = Message {
            tenant: self.principal.tenant,
            source: self.principal.source.clone(),
            topic,
            // copied out, so that a queued message does not keep a whole read buffer alive
            payload: Bytes::copy_from_slice(publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            received: context.now.nth(context.inbound.len()),
            hops: 0,
            properties: message_properties(&publish.properties)?,
        };
        if let Some(id) = publish.packet_id {
            self.receipts.owe(id, None);
        }
        context.inbound.push(Inbound { message: Arc::new(message), packet_id: publish.packet_id });
        Ok(())
    }

    /// Refuses what CONNACK said is not offered.
    fn check_offered(&self, publish: &Publish<'_>, context: &Context<'_>) -> Result<(), Error> {
        if publish.qos == Qos::ExactlyOnce {
            return Err(Error::Protocol {
                reason: Reason::QOS_NOT_SUPPORTED,
                clause: "MQTT-3.2.2-11",
                what: "a PUBLISH with QoS 2, which is not offered",
            });
        }
        if publish.retain {
            if self.version == Version::V5 {
                return Err(Error::Protocol {
                    reason: Reason::RETAIN_NOT_SUPPORTED,
                    clause: "MQTT-3.2.2-14",
                    what: "a retained PUBLISH, which is not offered",
                });
            }
            context.broker.counters.retain_ignored.one();
        }
        Ok(())
    }

    /// The topic a PUBLISH names or stands for by its alias, and the reason to refuse it.
    fn topic_of_publish(
        &mut self,
        publish: &Publish<'_>,
        context: &Context<'_>,
    ) -> Result<(Topic, Option<Reason>), Error> {
        let broker = context.broker;
        let mut alias = None;
        for property in publish.properties.iter() {
            match property {
                Property::TopicAlias(number) => alias = Some(number),
                Property::SubscriptionIdentifier(_) => {
                    let what = "a subscription identifier from a client";
                    return Err(protocol("MQTT-3.3.4-6", what));
                }
                _ => {}
            }
        }
        let Some(alias) = alias else {
            return self.topics.resolve(publish.topic, broker, &self.principal);
        };
        if alias == 0 || alias > broker.limits.topic_aliases_max {
            // [MQTT-3.3.2-8], [MQTT-3.3.2-9]
            return Err(Error::Protocol {
                reason: Reason::TOPIC_ALIAS_INVALID,
                clause: "MQTT-3.3.2-9",
                what: "a topic alias of 0 or above the maximum",
            });
        }
        let slot = usize::from(alias) - 1;
        if publish.topic.is_empty() {
            let Some(Some(topic)) = self.aliases.get(slot) else {
                return Err(protocol("section 3.3.2.3.4", "a topic alias that was not set"));
            };
            return self.topics.resolve(topic.as_str(), broker, &self.principal);
        }
        let (topic, refusal) = self.topics.resolve(publish.topic, broker, &self.principal)?;
        if refusal != Some(Reason::TOPIC_NAME_INVALID) {
            if self.aliases.len() <= slot {
                self.aliases.resize(slot + 1, None);
            }
            if let Some(place) = self.aliases.get_mut(slot) {
                *place = Some(topic.clone());
            }
        }
        Ok((topic, refusal))
    }

    /// A publication that is not accepted. 5.0 has a word for it at QoS 1; a 3.1.1 client would
    /// take an acknowledgement for acceptance, so its connection is closed, the other choice that
    /// [MQTT-3.3.5-2 of 3.1.1] leaves. QoS 0 carries no promise: it is counted and gone.
    fn refuse_publish(
        &mut self,
        id: Option<PacketId>,
        topic: &Topic,
        reason: Reason,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        context.broker.counters.publishes_refused.one(reason);
        self.tell_publish_refused(Some(topic.as_str()), reason, context.broker, context.peer);
        match (id, self.version) {
            (None, _) => Ok(()),
            (Some(_), Version::V311) => Err(Error::PublishDenied),
            (Some(id), Version::V5) => {
                self.receipts.owe(id, Some(reason));
                self.receipts.flush(self.version, context.out);
                Ok(())
            }
        }
    }
}

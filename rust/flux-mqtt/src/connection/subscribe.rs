//! SUBSCRIBE and UNSUBSCRIBE from the client.

use flux_types::{Qos, TopicFilter};
use smallvec::SmallVec;

use super::open::{Context, Open};
use crate::codec::{
    Packet, Properties, Property, Reason, Suback, Subscribe, SubscribeOptions, Unsuback,
    Unsubscribe, Version,
};
use crate::error::Error;

impl Open {
    /// Answers with one code for each filter, in their order [MQTT-3.8.4-5], [MQTT-3.8.4-6].
    pub(super) fn on_subscribe(
        &mut self,
        subscribe: &Subscribe<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let id = subscribe.properties.iter().find_map(|property| match property {
            Property::SubscriptionIdentifier(id) => Some(id),
            _ => None,
        });
        let mut codes: SmallVec<[u8; 16]> = SmallVec::new();
        for (filter, options) in subscribe.filters.iter() {
            let code = match self.subscribe(filter, options, id.unwrap_or(0), context) {
                Ok(granted) => granted as u8,
                Err(reason) => {
                    context.broker.counters.subscribes_refused.one(reason);
                    self.tell_subscribe_refused(filter, reason, context);
                    match self.version {
                        Version::V5 => reason.0,
                        Version::V311 => 0x80, // the only failure it knows [MQTT-3.9.3-2]
                    }
                }
            };
            codes.push(code);
        }
        let suback = Suback {
            packet_id: subscribe.packet_id, // [MQTT-3.8.4-2]
            properties: Properties::default(),
            codes: &codes,
        };
        self.reply(&Packet::Suback(suback), context.out)?;
        context.broker.access.subscribed(&self.principal);
        Ok(())
    }

    fn subscribe(
        &mut self,
        filter: &str,
        options: SubscribeOptions,
        id: u32,
        context: &Context<'_>,
    ) -> Result<Qos, Reason> {
        let broker = context.broker;
        if filter.starts_with("$share/") {
            return Err(Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
        }
        let filter = TopicFilter::new(filter).map_err(|_| Reason::TOPIC_FILTER_INVALID)?;
        let limits = &broker.limits;
        if filter.as_str().len() > limits.topic_bytes_max
            || filter.levels().count() > limits.topic_levels_max
        {
            return Err(Reason::TOPIC_FILTER_INVALID);
        }
        if !broker.access.may_subscribe(&self.principal, &filter) {
            return Err(Reason::NOT_AUTHORIZED);
        }
        let granted = options.qos.min(Qos::AtLeastOnce); // [MQTT-3.8.4-7]
        let options = SubscribeOptions { qos: granted, ..options };
        broker.router.subscribe(&self.session, self.generation, filter, options, id)?;
        Ok(granted)
    }

    /// Answers with one code for each filter, in their order [MQTT-3.10.4-5], [MQTT-3.11.3-1].
    pub(super) fn on_unsubscribe(
        &mut self,
        unsubscribe: &Unsubscribe<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let mut codes: SmallVec<[u8; 16]> = SmallVec::new();
        for (filter, _) in unsubscribe.filters.iter() {
            let code = match TopicFilter::new(filter) {
                Err(_) => Reason::TOPIC_FILTER_INVALID,
                Ok(filter) => {
                    let router = &context.broker.router;
                    match router.unsubscribe(&self.session, self.generation, &filter) {
                        true => Reason::SUCCESS,
                        false => Reason::NO_SUBSCRIPTION_EXISTED,
                    }
                }
            };
            codes.push(code.0);
        }
        let unsuback = Unsuback {
            packet_id: unsubscribe.packet_id, // [MQTT-3.10.4-4]
            properties: Properties::default(),
            codes: &codes,
        };
        self.reply(&Packet::Unsuback(unsuback), context.out)
    }
}

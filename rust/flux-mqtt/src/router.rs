//! From a message to the sessions that want it.
//!
//! Owns the index of subscriptions. Any thread may route; a message is shared between its
//! subscribers, never copied. Must never block on a slow subscriber: a full session drops.

use std::collections::HashMap;
use std::sync::Arc;

use flux_types::{Message, TenantId, TopicFilter, TopicTrie};
use foldhash::fast::RandomState;
use parking_lot::RwLock;
use smallvec::SmallVec;

use crate::codec::{Reason, SubscribeOptions};
use crate::counters::Counters;
use crate::limits::Limits;
use crate::ports::{Access, Principal};
use crate::session::{Delivery, Held, Session, SubscriptionIds, queued_bytes};

/// What hangs in the index for one subscription.
#[derive(Clone)]
struct Subscriber {
    session: Arc<Session>,
    options: SubscribeOptions,
    /// The subscription identifier; 0 when there is none.
    id: u32,
}

type Index = RwLock<TopicTrie<Subscriber>>;

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Routed {
    /// Sessions that subscribe to it.
    pub matched: usize,
    /// Sessions that did not get it; why is in [`Counters`].
    pub dropped: usize,
}

/// The subscriptions of all tenants.
pub struct Router {
    tenants: RwLock<HashMap<TenantId, Arc<Index>, RandomState>>,
    limits: Arc<Limits>,
    counters: Arc<Counters>,
}

impl Router {
    pub(crate) fn new(limits: Arc<Limits>, counters: Arc<Counters>) -> Self {
        Self { tenants: RwLock::default(), limits, counters }
    }

    /// Queues the message to every session that subscribes to its topic, once each
    /// [MQTT-3.3.4-2], and wakes those that have nothing queued yet.
    ///
    /// Call it in order for messages of one source; a session gets them in that order
    /// [MQTT-4.6.0-6].
    pub fn route(&self, message: &Arc<Message>) -> Routed {
        self.route_where(message, |_| true)
    }

    /// As [`Router::route`], but only to sessions whose client is connected now: for what must not
    /// wait in the queue of a client that is away.
    pub fn route_to_connected(&self, message: &Arc<Message>) -> Routed {
        self.route_where(message, |session| session.lock().is_attached())
    }

    fn route_where(&self, message: &Arc<Message>, wanted: impl Fn(&Session) -> bool) -> Routed {
        // the guard rather than a clone of the index: a count shared by all threads would be
        // fought over for each message
        let tenants = self.tenants.read();
        let Some(index) = tenants.get(&message.tenant) else { return Routed::default() };
        let index = index.read();
        let mut found: SmallVec<[&Subscriber; 8]> = SmallVec::new();
        index.visit(&message.topic, |subscriber| found.push(subscriber));
        if found.len() > 1 {
            found.sort_unstable_by_key(|subscriber| subscriber.session.id);
        }
        let mut routed = Routed::default();
        let bytes = queued_bytes(message);
        for matching in found.chunk_by(|a, b| a.session.id == b.session.id) {
            let unwanted = matching.first().is_some_and(|first| !wanted(&first.session));
            if unwanted {
                continue;
            }
            if let Some(delivered) = self.deliver(message, bytes, matching) {
                routed.matched += 1;
                routed.dropped += usize::from(!delivered);
            }
        }
        routed
    }

    /// Offers the message to one session, all of whose matching subscriptions are given. `None`
    /// when all of them are No Local and the message is the session's own.
    fn deliver(
        &self,
        message: &Arc<Message>,
        bytes: usize,
        matching: &[&Subscriber],
    ) -> Option<bool> {
        let session = &matching.first()?.session;
        let no_local = matching.iter().any(|subscriber| subscriber.options.no_local);
        let own = no_local && session.lock().source == message.source; // [MQTT-3.8.3-3]
        let mut delivery = Delivery {
            message: Arc::clone(message),
            qos: flux_types::Qos::AtMostOnce,
            retain: false,
            subscription_ids: SubscriptionIds::new(),
            bytes,
        };
        let mut any = false;
        for subscriber in matching.iter().filter(|s| !(own && s.options.no_local)) {
            any = true;
            // overlapping subscriptions: the highest of their QoS [MQTT-3.3.4-2]
            delivery.qos = delivery.qos.max(subscriber.options.qos);
            // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
            delivery.retain |= subscriber.options.retain_as_published && message.retain;
            if subscriber.id != 0 {
                delivery.subscription_ids.push(subscriber.id);
            }
        }
        if !any {
            return None;
        }
        delivery.qos = delivery.qos.min(message.qos); // [MQTT-3.8.4-8]
        Some(session.offer(delivery, &self.limits, &self.counters).is_ok())
    }

    /// Adds or replaces one subscription of the session that the connection of that generation
    /// has. Tells whether it is new. Messages routed meanwhile see the old or the new one, never
    /// none [MQTT-3.8.4-3].
    pub(crate) fn subscribe(
        &self,
        session: &Arc<Session>,
        generation: u64,
        filter: TopicFilter,
        options: SubscribeOptions,
        id: u32,
    ) -> Result<bool, Reason> {
        let index = self.index_or_new(session.key.tenant);
        let mut index = index.write();
        let mut state = session.lock();
        if !state.belongs_to(generation) {
            return Err(Reason::UNSPECIFIED); // taken over; the connection is about to find out
        }
        let held = Held { filter: filter.clone(), options };
        let new = match state.find(&filter) {
            Ok(at) => {
                if let Some(place) = state.subscriptions.get_mut(at) {
                    *place = held;
                }
                index.retain(&filter, |subscriber| subscriber.session.id != session.id);
                false
            }
            Err(at) => {
                let most = self.limits.subscriptions_per_session_max;
                if state.subscriptions.len() >= most
                    || !self.counters.subscriptions.try_add(1, self.limits.subscriptions_max)
                {
                    return Err(Reason::QUOTA_EXCEEDED);
                }
                state.subscriptions.insert(at, held);
                true
            }
        };
        drop(state);
        index.insert(&filter, Subscriber { session: Arc::clone(session), options, id });
        Ok(new)
    }

    /// Ends one subscription; tells whether there was one.
    pub(crate) fn unsubscribe(
        &self,
        session: &Arc<Session>,
        generation: u64,
        filter: &TopicFilter,
    ) -> bool {
        let Some(index) = self.index(session.key.tenant) else { return false };
        let mut index = index.write();
        let mut state = session.lock();
        let Ok(at) = state.find(filter) else { return false };
        if !state.belongs_to(generation) {
            return false;
        }
        state.subscriptions.remove(at);
        drop(state);
        index.retain(filter, |subscriber| subscriber.session.id != session.id);
        self.counters.subscriptions.sub(1);
        true
    }

    /// Ends the subscriptions of a session that its principal may no longer have; tells how many.
    pub(crate) fn revoke(&self, session: &Arc<Session>, access: &dyn Access) -> usize {
        let Some(index) = self.index(session.key.tenant) else { return 0 };
        let (principal, filters) = {
            let state = session.lock();
            let filters: Vec<_> = state.subscriptions.iter().map(|h| h.filter.clone()).collect();
            let principal = Principal {
                tenant: session.key.tenant,
                id: Arc::clone(&state.owner),
                source: state.source.clone(),
            };
            (principal, filters)
        };
        let mut revoked = 0;
        for filter in filters.iter().filter(|filter| !access.may_subscribe(&principal, filter)) {
            let mut index = index.write();
            let mut state = session.lock();
            let Ok(at) = state.find(filter) else { continue };
            state.subscriptions.remove(at);
            drop(state);
            index.retain(filter, |known| known.session.id != session.id);
            self.counters.subscriptions.sub(1);
            revoked += 1;
        }
        revoked
    }

    /// Takes the subscriptions of a session that ended out of the index.
    pub(crate) fn forget(&self, session: &Arc<Session>, subscriptions: &[Held]) {
        let Some(index) = self.index(session.key.tenant) else { return };
        for held in subscriptions {
            index.write().retain(&held.filter, |known| known.session.id != session.id);
        }
        self.counters.subscriptions.sub(subscriptions.len());
    }

    fn index(&self, tenant: TenantId) -> Option<Arc<Index>> {
        self.tenants.read().get(&tenant).cloned()
    }

    fn index_or_new(&self, tenant: TenantId) -> Arc<Index> {
        if let Some(index) = self.index(tenant) {
            return index;
        }
        Arc::clone(self.tenants.write().entry(tenant).or_default())
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router")
            .field("subscriptions", &self.counters.subscriptions.get())
            .finish_non_exhaustive()
    }
}

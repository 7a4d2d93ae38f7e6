//! The state that outlives a connection (section 4.1): subscriptions and undelivered messages.
//!
//! Owns one session, behind its own lock, so that any thread may queue a message to it. Must never
//! do I/O or call up while locked, but for the one wake-up, which returns at once.

mod outbox;
mod registry;

use std::sync::Arc;

use flux_types::{Message, Qos, SourceId, TenantId, TopicFilter};
use parking_lot::{Mutex, MutexGuard};

pub use outbox::QUEUED_MESSAGE_BYTES;
pub(crate) use outbox::{Delivery, Next, SubscriptionIds, queued_bytes};
pub use registry::Sessions;
pub(crate) use registry::{Attach, Attached, Detach};

use crate::codec::{Reason, SubscribeOptions};
use crate::counters::{Counters, DropReason};
use crate::limits::Limits;
use crate::ports::Wake;
use outbox::Outbox;

/// What identifies a session: client identifiers are unique within a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The client identifier.
    pub client_id: Arc<str>,
}

/// A session, shared by its connection, the router and the registry of sessions.
pub(crate) struct Session {
    pub(crate) key: SessionKey,
    /// Unlike the key never used twice.
    pub(crate) id: u64,
    state: Mutex<State>,
}

/// A message to be published because a connection broke.
#[derive(Debug, Clone)]
pub(crate) struct HeldWill {
    pub(crate) message: Box<Message>,
    pub(crate) delay_s: u32,
}

/// One subscription as its session knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) filter: TopicFilter,
    pub(crate) options: SubscribeOptions,
}

pub(crate) struct State {
    /// Grows with each attachment: a connection with an older one has lost the session.
    pub(crate) generation: u64,
    /// The connection's way to be woken; none while not connected.
    waker: Option<Arc<dyn Wake>>,
    /// Woken and not yet served.
    dirty: bool,
    /// Why the connection has to be cut off, when it has to be.
    pub(crate) cut_off: Option<Reason>,
    /// No longer in the registry.
    pub(crate) ended: bool,
    pub(crate) owner: Arc<str>,
    pub(crate) source: SourceId,
    pub(crate) expiry_s: u32,
    /// When it expires, once detached; monotonic milliseconds.
    pub(crate) expires_ms: Option<u64>,
    /// A will that waits, and until when.
    pub(crate) will: Option<(u64, Box<Message>)>,
    /// Under which deadline the registry's timer knows it.
    pub(crate) timer_ms: Option<u64>,
    /// Sorted by filter.
    pub(crate) subscriptions: Vec<Held>,
    pub(crate) outbox: Outbox,
}

impl Session {
    fn new(key: SessionKey, id: u64, owner: Arc<str>, source: SourceId) -> Self {
        let state = State {
            generation: 0,
            waker: None,
            dirty: false,
            cut_off: None,
            ended: false,
            owner,
            source,
            expiry_s: 0,
            expires_ms: None,
            will: None,
            timer_ms: None,
            subscriptions: Vec::new(),
            outbox: Outbox::default(),
        };
        Self { key, id, state: Mutex::new(state) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Queues one delivery; tells why it was dropped, if it was.
    pub(crate) fn offer(
        &self,
        delivery: Delivery,
        limits: &Limits,
        counters: &Counters,
    ) -> Result<(), DropReason> {
        let mut state = self.lock();
        let outcome = state.offer(delivery, limits, counters);
        if let Err(reason) = outcome {
            counters.drop_one(reason);
        }
        outcome
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("key", &self.key).field("id", &self.id).finish()
    }
}

impl State {
    fn offer(
        &mut self,
        delivery: Delivery,
        limits: &Limits,
        counters: &Counters,
    ) -> Result<(), DropReason> {
        if self.ended {
            return Err(DropReason::SessionEnded);
        }
        let connected = self.waker.is_some();
        let qos = delivery.qos;
        if !connected && qos == Qos::AtMostOnce {
            return Err(DropReason::Offline);
        }
        let bytes = delivery.bytes;
        if !counters.queued_bytes.try_add(bytes, limits.queue_bytes_total_max) {
            return self.overflow(qos, DropReason::TotalQueueFull);
        }
        let offered = self.outbox.offer(delivery, connected, limits);
        counters.drop_many(DropReason::QueueFull, offered.evicted_unpromised);
        counters.drop_many(DropReason::PromisedQueueFull, offered.evicted_promised);
        counters.queued_bytes.sub(offered.freed_bytes);
        if let Some(reason) = offered.dropped {
            counters.queued_bytes.sub(bytes);
            return self.overflow(qos, reason);
        }
        self.wake();
        Ok(())
    }

    /// A connected client that loses a promised message is told so, by being cut off.
    fn overflow(&mut self, qos: Qos, reason: DropReason) -> Result<(), DropReason> {
        if qos.is_promised() {
            self.cut_off(Reason::QUOTA_EXCEEDED);
        }
        Err(reason)
    }

    /// Has the connection, if there is one, told why and closed. Tells whether there is one.
    pub(crate) fn cut_off(&mut self, reason: Reason) -> bool {
        if self.waker.is_some() && self.cut_off.is_none() {
            self.cut_off = Some(reason);
            self.dirty = false; // the news must not wait for a window to open
            self.wake();
        }
        self.waker.is_some()
    }

    /// Wakes the connection, once until it has served what is queued.
    pub(crate) fn wake(&mut self) {
        if self.dirty {
            return;
        }
        if let Some(waker) = &self.waker {
            self.dirty = true;
            waker.wake();
        }
    }

    /// The connection has delivered all there is: the next message wakes it again.
    pub(crate) fn served(&mut self) {
        self.dirty = false;
        self.outbox.shrink();
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.waker.is_some()
    }

    /// Whether the connection of that generation still has the session.
    pub(crate) fn belongs_to(&self, generation: u64) -> bool {
        self.generation == generation && !self.ended
    }

    /// The subscription to a filter, or where it would stand.
    pub(crate) fn find(&self, filter: &TopicFilter) -> Result<usize, usize> {
        self.subscriptions.binary_search_by(|held| held.filter.cmp(filter))
    }
}

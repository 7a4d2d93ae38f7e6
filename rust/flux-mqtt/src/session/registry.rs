//! All sessions: found by tenant and client identifier, taken over, expired.
//!
//! Owns who is attached to what and when detached sessions end. Locks are taken in this order:
//! registry shard, topic trie, session, timers.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flux_types::{Message, Received, SourceId, TenantId};
use foldhash::fast::RandomState;
use parking_lot::{Mutex, MutexGuard};

use super::{HeldWill, Session, SessionKey, State};
use crate::codec::Reason;
use crate::counters::{Counters, DropReason};
use crate::limits::Limits;
use crate::ports::{Access, Inbound, Wake};
use crate::router::Router;

/// So many maps that one growing stops few others.
const SHARDS: usize = 32;
/// A session expiry that never comes (section 3.1.2.11.2).
const NEVER_S: u32 = u32::MAX;

/// Sessions by what identifies them.
type Shard = HashMap<SessionKey, Arc<Session>, RandomState>;

/// All sessions of the process.
pub struct Sessions {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    next_id: AtomicU64,
    /// Detached sessions by when something has to happen to them; each at most once.
    timers: Mutex<BTreeMap<(u64, u64), Arc<Session>>>,
    router: Arc<Router>,
    limits: Arc<Limits>,
    counters: Arc<Counters>,
}

/// A connection wants a session.
pub(crate) struct Attach {
    pub(crate) key: SessionKey,
    pub(crate) owner: Arc<str>,
    pub(crate) source: SourceId,
    pub(crate) clean_start: bool,
    pub(crate) expiry_s: u32,
    pub(crate) waker: Arc<dyn Wake>,
}

/// A connection has a session.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) session: Arc<Session>,
    pub(crate) generation: u64,
    /// Whether there was a session already [MQTT-3.2.2-2], [MQTT-3.2.2-3].
    pub(crate) present: bool,
}

/// A connection leaves its session.
pub(crate) struct Detach<'a> {
    pub(crate) session: &'a Arc<Session>,
    pub(crate) generation: u64,
    pub(crate) expiry_s: u32,
    /// What to publish, when the connection broke.
    pub(crate) will: Option<HeldWill>,
    pub(crate) now: Received,
}

impl Sessions {
    pub(crate) fn new(router: Arc<Router>, limits: Arc<Limits>, counters: Arc<Counters>) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::default(),
            next_id: AtomicU64::new(1),
            timers: Mutex::default(),
            router,
            limits,
            counters,
        }
    }

    /// Gives the connection its session, taking it from another connection where there is one.
    /// Wills that are due with that are put into `inbound`.
    pub(crate) fn attach(
        &self,
        request: Attach,
        now: Received,
        inbound: &mut Vec<Inbound>,
    ) -> Result<Attached, Reason> {
        let mut shard = self.shard(&request.key).lock();
        let old = shard.get(&request.key).cloned();
        if let Some(old) = &old {
            let mut state = old.lock();
            if !state.ended {
                // another principal must not read what is queued here, nor cut its owner off
                if state.owner != request.owner {
                    return Err(Reason::CLIENT_IDENTIFIER_NOT_VALID);
                }
                if state.is_attached() {
                    self.counters.takeovers.one(); // [MQTT-3.1.4-3]
                }
                if !request.clean_start {
                    return Ok(self.resume(old, state, request));
                }
                state.ended = true; // [MQTT-3.1.2-4]
            }
        } else if !self.counters.sessions.try_add(1, self.limits.sessions_max) {
            return Err(Reason::QUOTA_EXCEEDED);
        }
        let attached = self.create(&request);
        shard.insert(request.key, Arc::clone(&attached.session));
        drop(shard);
        if let Some(old) = old {
            self.end(&old, now, inbound);
        }
        Ok(attached)
    }

    fn create(&self, request: &Attach) -> Attached {
        let id = self.next_id.fetch_add(1, Relaxed);
        let owner = Arc::clone(&request.owner);
        let session =
            Arc::new(Session::new(request.key.clone(), id, owner, request.source.clone()));
        let mut state = session.lock();
        state.generation = 1;
        state.waker = Some(Arc::clone(&request.waker));
        state.expiry_s = request.expiry_s;
        drop(state);
        Attached { session, generation: 1, present: false }
    }

    fn resume(
        &self,
        session: &Arc<Session>,
        mut state: MutexGuard<'_, State>,
        request: Attach,
    ) -> Attached {
        state.generation += 1;
        let generation = state.generation;
        let before = state.waker.replace(request.waker);
        state.source = request.source;
        state.expiry_s = request.expiry_s;
        state.expires_ms = None;
        state.will = None; // reconnected in time [MQTT-3.1.3-9]
        state.cut_off = None;
        state.dirty = true; // the new connection delivers without being woken
        state.outbox.reconnected();
        self.reschedule(session, &mut state);
        drop(state);
        if let Some(before) = before {
            before.wake(); // finds out that it was taken over
        }
        Attached { session: Arc::clone(session), generation, present: true }
    }

    /// A connection leaves. What its will and its session's expiry ask for happens now or is
    /// scheduled for [`Sessions::tick`].
    pub(crate) fn detach(&self, request: Detach<'_>, inbound: &mut Vec<Inbound>) {
        let Detach { session, generation, expiry_s, will, now } = request;
        let now_ms = crate::ms(now);
        let mut state = session.lock();
        if state.ended || state.generation != generation {
            // taken over: a delayed will is not due while the session goes on
            let due = will.filter(|will| state.ended || will.delay_s == 0);
            drop(state);
            return self.publish_will(due.map(|will| will.message), now, inbound);
        }
        state.waker = None;
        state.dirty = false;
        state.cut_off = None;
        state.expiry_s = expiry_s.min(self.limits.session_expiry_s_max);
        if state.expiry_s == 0 {
            state.ended = true; // nobody resumes it from here on
            drop(state);
            self.publish_will(will.map(|will| will.message), now, inbound);
            return self.remove(session, now, inbound);
        }
        state.expires_ms = Some(now_ms.saturating_add(u64::from(state.expiry_s) * 1000));
        let mut due = None;
        if let Some(will) = will {
            let delay_s = will.delay_s.min(self.limits.will_delay_s_max);
            match delay_s {
                0 => due = Some(will.message),
                _ => {
                    state.will = Some((now_ms + u64::from(delay_s) * 1000, will.message));
                }
            }
        }
        self.reschedule(session, &mut state);
        drop(state);
        self.publish_will(due, now, inbound);
    }

    /// Publishes wills whose delay has passed and ends sessions that expired, at most `max` of
    /// them. Returns when to call again, in monotonic milliseconds.
    pub fn tick(&self, now: Received, max: usize, inbound: &mut Vec<Inbound>) -> Option<u64> {
        let now_ms = crate::ms(now);
        for _ in 0..max {
            let session = {
                let mut timers = self.timers.lock();
                match timers.first_key_value() {
                    Some(((deadline, _), _)) if *deadline <= now_ms => {
                        timers.pop_first().map(|(_, session)| session)
                    }
                    _ => None,
                }
            };
            let Some(session) = session else { break };
            self.serve_timer(&session, now, inbound);
        }
        self.timers.lock().first_key_value().map(|((deadline, _), _)| *deadline)
    }

    fn serve_timer(&self, session: &Arc<Session>, now: Received, inbound: &mut Vec<Inbound>) {
        let now_ms = crate::ms(now);
        let mut state = session.lock();
        state.timer_ms = None;
        if state.ended || state.is_attached() {
            return;
        }
        let due = match &state.will {
            Some((deadline, _)) if *deadline <= now_ms => {
                state.will.take().map(|(_, message)| message)
            }
            _ => None,
        };
        let expired = state.expires_ms.is_some_and(|deadline| deadline <= now_ms);
        if expired {
            state.ended = true; // nobody resumes it from here on
        } else {
            self.reschedule(session, &mut state);
        }
        drop(state);
        self.publish_will(due, now, inbound);
        if expired {
            self.counters.sessions_expired.one();
            self.remove(session, now, inbound);
        }
    }

    /// Puts the session's next deadline, and no other, into the timers.
    fn reschedule(&self, session: &Arc<Session>, state: &mut State) {
        let will = state.will.as_ref().map(|(deadline, _)| *deadline);
        let next = match (will, state.expires_ms) {
            (Some(will), Some(expires)) => Some(will.min(expires)),
            (will, expires) => will.or(expires),
        };
        if next == state.timer_ms {
            return;
        }
        let mut timers = self.timers.lock();
        if let Some(old) = state.timer_ms.take() {
            timers.remove(&(old, session.id));
        }
        if let Some(deadline) = next {
            timers.insert((deadline, session.id), Arc::clone(session));
            state.timer_ms = Some(deadline);
        }
    }

    /// Takes a session that is marked as ended out of the registry, unless a new one stands there
    /// already, whose maker has cleaned up after the old one.
    fn remove(&self, session: &Arc<Session>, now: Received, inbound: &mut Vec<Inbound>) {
        let mut shard = self.shard(&session.key).lock();
        if shard.get(&session.key).is_none_or(|known| known.id != session.id) {
            return;
        }
        shard.remove(&session.key);
        drop(shard);
        self.counters.sessions.sub(1);
        self.end(session, now, inbound);
    }

    /// The session is no more: its subscriptions go, what is queued is dropped, and a will that
    /// waited is due [MQTT-3.1.2-8].
    fn end(&self, session: &Arc<Session>, now: Received, inbound: &mut Vec<Inbound>) {
        let (subscriptions, will) = {
            let mut state = session.lock();
            state.ended = true;
            state.expires_ms = None;
            let will = state.will.take().map(|(_, message)| message);
            self.reschedule(session, &mut state);
            let lost = state.outbox.queued() + state.outbox.in_flight();
            self.counters.drop_many(DropReason::SessionEnded, lost);
            self.counters.queued_bytes.sub(state.outbox.queued_bytes());
            state.outbox = super::Outbox::default();
            if let Some(waker) = state.waker.take() {
                waker.wake(); // finds out that its session is gone
            }
            (std::mem::take(&mut state.subscriptions), will)
        };
        self.router.forget(session, &subscriptions);
        self.publish_will(will, now, inbound);
    }

    /// A will counts as received when it is published, which is when its expiry begins.
    fn publish_will(&self, will: Option<Box<Message>>, now: Received, inbound: &mut Vec<Inbound>) {
        if let Some(mut message) = will {
            self.counters.wills.one();
            message.received = now;
            inbound.push(Inbound { message: Arc::new(*message), packet_id: None });
        }
    }

    /// How long a session may last that asked for `expiry_s` seconds.
    pub(crate) fn granted_expiry_s(&self, expiry_s: u32) -> u32 {
        if expiry_s == NEVER_S { self.limits.session_expiry_s_max } else { expiry_s }
            .min(self.limits.session_expiry_s_max)
    }

    /// Whether a session of that client identifier exists.
    #[must_use]
    pub fn contains(&self, tenant: TenantId, client_id: &str) -> bool {
        let key = SessionKey { tenant, client_id: client_id.into() };
        self.shard(&key).lock().contains_key(&key)
    }

    /// Has the connection of a client closed, told that reason. Its session goes on as its expiry
    /// says. Tells whether it was connected.
    pub fn disconnect(&self, tenant: TenantId, client_id: &str, reason: Reason) -> bool {
        let key = SessionKey { tenant, client_id: client_id.into() };
        let session = self.shard(&key).lock().get(&key).cloned();
        session.is_some_and(|session| session.lock().cut_off(reason))
    }

    /// Has every connection of a principal closed, told that reason: it was disabled, or its
    /// secret was changed. Tells how many there were. Walks over all sessions.
    pub fn disconnect_principal(&self, tenant: TenantId, id: &str, reason: Reason) -> usize {
        let cut_off = |session: &Arc<Session>| {
            let mut state = session.lock();
            session.key.tenant == tenant && &*state.owner == id && state.cut_off(reason)
        };
        let in_shard =
            |shard: &Mutex<Shard>| shard.lock().values().filter(|session| cut_off(session)).count();
        self.shards.iter().map(in_shard).sum()
    }

    /// Ends every subscription that its principal may no longer have, after rights have changed.
    /// Tells how many there were. Walks over all sessions.
    pub fn revoke_subscriptions(&self, access: &dyn Access) -> usize {
        let sessions_of = |shard: &Mutex<Shard>| shard.lock().values().cloned().collect::<Vec<_>>();
        let sessions = self.shards.iter().flat_map(sessions_of);
        sessions.map(|session| self.router.revoke(&session, access)).sum()
    }

    fn shard(&self, key: &SessionKey) -> &Mutex<Shard> {
        // the remainder of a hash by the number of shards is always an index
        #[allow(clippy::cast_possible_truncation)]
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions")
            .field("sessions", &self.counters.sessions.get())
            .finish_non_exhaustive()
    }
}

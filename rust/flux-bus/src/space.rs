//! Waiting for room in a full ring.
//!
//! Owns the list of producers that wait, as parked threads or as listeners. Must never decide who
//! gets the room: whoever is woken tries again.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::Notify;
use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering, fence, lock, wait_until, yield_now};

/// How often a thread lets others run and attempts again before it sleeps and has to be woken. With
/// two producers before a consumer that takes one message at a time, it took a hop from 620 to 52 ns
/// (`examples/hop.rs`).
#[cfg(not(loom))]
const LINGER_YIELDS_MAX: u32 = 8;
#[cfg(loom)]
const LINGER_YIELDS_MAX: u32 = 1;

#[derive(Default)]
struct Waiting {
    /// Grows with each announcement, so that a thread knows one it has not acted on.
    announced: u64,
    listeners: Vec<Arc<dyn Notify>>,
}

/// Where producers wait for room.
#[derive(Default)]
pub(crate) struct Space {
    /// How many wait: what the consumer looks at after each batch.
    count: AtomicUsize,
    waiting: Mutex<Waiting>,
    freed: Condvar,
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space").finish_non_exhaustive()
    }
}

impl Space {
    /// Wakes all who wait. To be called after the slots were freed, or the ring closed.
    #[inline]
    pub(crate) fn announce(&self) {
        // Dekker with `register`: slots freed, fence, count read here; count written, fence, slots
        // read there
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) != 0 {
            self.announce_slowly();
        }
    }

    #[cold]
    fn announce_slowly(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.announced += 1;
        let listeners = std::mem::take(&mut waiting.listeners);
        self.count.fetch_sub(listeners.len(), Ordering::Relaxed);
        drop(waiting);
        self.freed.notify_all();
        for listener in listeners {
            listener.notify();
        }
    }

    /// Has `listener` told of the next announcement, once. The caller tries again after this.
    pub(crate) fn register(&self, listener: &Arc<dyn Notify>) {
        let mut waiting = lock(&self.waiting);
        if !waiting.listeners.iter().any(|known| Arc::ptr_eq(known, listener)) {
            waiting.listeners.push(Arc::clone(listener));
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        drop(waiting);
        fence(Ordering::SeqCst);
    }

    /// Attempts until something comes of it or `deadline` is past (never, without one), asleep
    /// between announcements.
    pub(crate) fn wait<R>(
        &self,
        deadline: Option<Instant>,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        for _ in 0..LINGER_YIELDS_MAX {
            yield_now();
            if let Some(outcome) = attempt() {
                return Some(outcome);
            }
        }
        loop {
            let seen = {
                let waiting = lock(&self.waiting);
                self.count.fetch_add(1, Ordering::Relaxed);
                waiting.announced
            };
            fence(Ordering::SeqCst);
            let mut outcome = attempt();
            let mut in_time = true;
            if outcome.is_none() {
                let mut waiting = lock(&self.waiting);
                while waiting.announced == seen && in_time {
                    (waiting, in_time) = wait_until(&self.freed, waiting, deadline);
                }
            }
            self.count.fetch_sub(1, Ordering::Relaxed);
            if outcome.is_none() && !in_time {
                outcome = attempt();
            }
            if outcome.is_some() || !in_time {
                return outcome;
            }
        }
    }
}

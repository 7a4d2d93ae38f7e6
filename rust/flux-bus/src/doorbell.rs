//! Waking whoever waits for messages.
//!
//! Owns the doorbell: one bit that any number of producers set and one consumer clears. Must never
//! carry a message, and never let a ring of the bell be lost.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ring::Closed;
use crate::sync::{
    AtomicU8, Condvar, Mutex, Ordering, Padded, fence, lock, spin_loop, wait_until, yield_now,
};

/// Told that something is there to be done. Called on the thread that caused it: it has to return
/// at once, must not panic, and must not call back into what calls it.
pub trait Notify: Send + Sync {
    /// Something is there.
    fn notify(&self);
}

impl<F: Fn() + Send + Sync> Notify for F {
    fn notify(&self) {
        self();
    }
}

/// How often a thread that waits looks at its bell before it sleeps, and how many of those looks
/// spin rather than yield: some 5 µs, about what waking a thread costs. It took a batched hop from
/// 17 to 10 ns a message (`examples/hop.rs`): who is about to be rung saves both sides a call into
/// the kernel.
#[cfg(not(loom))]
const LINGER_LOOKS_MAX: u32 = 128;
#[cfg(loom)]
const LINGER_LOOKS_MAX: u32 = 1;
const LINGER_SPINS_MAX: u32 = 120;

const QUIET: u8 = 0;
const RUNG: u8 = 1;
const PARKED: u8 = 2;

/// A doorbell with one listener behind it and any number of callers before it.
///
/// [`Doorbell::ring`] after the message was put where the listener looks; the listener answers the
/// bell ([`Doorbell::wait`] or [`Doorbell::answer`]) *before* it looks, and looks everywhere. Rings
/// between two answers count as one, and cost a fence and a load each. Clones are the same bell:
/// give one to several rings, and a thread can wait for all of them at once.
#[derive(Clone)]
pub struct Doorbell(Arc<Bell>);

struct Bell {
    state: Padded<AtomicU8>,
    parking: Mutex<()>,
    rung: Condvar,
    listener: Option<Arc<dyn Notify>>,
}

impl Default for Doorbell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doorbell").field("rung", &self.is_rung()).finish_non_exhaustive()
    }
}

impl Doorbell {
    /// A bell for a thread that waits.
    #[must_use]
    pub fn new() -> Self {
        Self::build(None)
    }

    /// A bell that also calls `listener`, once for all rings between two answers: an event loop
    /// that is woken this way calls [`Doorbell::answer`], then looks.
    #[must_use]
    pub fn with_listener(listener: Arc<dyn Notify>) -> Self {
        Self::build(Some(listener))
    }

    fn build(listener: Option<Arc<dyn Notify>>) -> Self {
        Self(Arc::new(Bell {
            state: Padded(AtomicU8::new(QUIET)),
            parking: Mutex::new(()),
            rung: Condvar::new(),
            listener,
        }))
    }

    /// Rings. Cheap while the last ring is unanswered.
    #[inline]
    pub fn ring(&self) {
        // Dekker: the message is written, fence, the state read; the listener clears the state,
        // fence, reads the messages. If we see its bell still rung, it has yet to look.
        fence(Ordering::SeqCst);
        if self.0.state.load(Ordering::Relaxed) != RUNG {
            self.ring_anew();
        }
    }

    #[cold]
    fn ring_anew(&self) {
        match self.0.state.swap(RUNG, Ordering::AcqRel) {
            RUNG => return,
            PARKED => {
                // the parked thread holds the lock from before it says so until it sleeps
                drop(lock(&self.0.parking));
                self.0.rung.notify_all();
            }
            _ => {}
        }
        if let Some(listener) = &self.0.listener {
            listener.notify();
        }
    }

    /// Whether it was rung since the last answer.
    #[must_use]
    pub fn is_rung(&self) -> bool {
        self.0.state.load(Ordering::Acquire) == RUNG
    }

    /// Answers: the next ring will count anew. Tells whether it was rung.
    pub fn answer(&self) -> bool {
        let rung = self.0.state.load(Ordering::Relaxed) == RUNG
            && self.0.state.swap(QUIET, Ordering::AcqRel) == RUNG;
        fence(Ordering::SeqCst);
        rung
    }

    /// Waits until it is rung, at most for `timeout` (a `Duration`; `None` waits for ever), and
    /// answers. Tells whether it was rung. Should several threads wait, each ring wakes one of them.
    pub fn wait(&self, timeout: impl Into<Option<Duration>>) -> bool {
        if self.answer() {
            return true;
        }
        let timeout = timeout.into();
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return false;
        }
        if self.linger() {
            return true;
        }
        // a deadline too far for the clock is none
        self.park(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// Waits at most for `timeout` until `take` takes something, whose count it gives.
    pub(crate) fn receive(
        &self,
        timeout: Option<Duration>,
        mut take: impl FnMut() -> Result<usize, Closed>,
    ) -> Result<usize, Closed> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let rung = self.wait(left);
            let taken = take()?;
            if taken > 0 || !rung {
                return Ok(taken);
            }
        }
    }

    /// Looks a few times before the thread is put to sleep and has to be woken.
    fn linger(&self) -> bool {
        for look in 0..LINGER_LOOKS_MAX {
            if self.0.state.load(Ordering::Relaxed) == RUNG {
                return self.answer();
            }
            if look < LINGER_SPINS_MAX { spin_loop() } else { yield_now() }
        }
        false
    }

    fn park(&self, deadline: Option<Instant>) -> bool {
        let state = &self.0.state;
        let change =
            |from, to| state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        let mut guard = lock(&self.0.parking);
        let mut in_time = true;
        let rung = loop {
            if change(RUNG, QUIET).is_ok() {
                break true;
            }
            if !in_time {
                match change(PARKED, QUIET) {
                    Err(RUNG) => continue,
                    // should others sleep here too: they have to say so anew
                    Ok(_) => self.0.rung.notify_all(),
                    Err(_) => {}
                }
                break false;
            }
            if change(QUIET, PARKED) == Err(RUNG) {
                continue;
            }
            (guard, in_time) = wait_until(&self.0.rung, guard, deadline);
        };
        drop(guard);
        fence(Ordering::SeqCst);
        rung
    }
}

impl Notify for Doorbell {
    fn notify(&self) {
        self.ring();
    }
}

//! What the threads of a run and its conductor tell one another.
//!
//! Owns the phase of the run and its counters. A worker adds up a turn of its loop and tells it
//! once, so that nothing here is touched for each message.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;

/// How far the run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Connections are made.
    Connecting,
    /// Load, which is measured once `measure_from_ns` has come.
    Loading,
    /// No more load; what is under way may arrive.
    Draining,
    /// The end.
    Stopping,
}

/// What has happened so far, over all threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Connections that are ready.
    pub(crate) ready: u64,
    /// Connections that ended before their time.
    pub(crate) closed: u64,
    /// Messages handed to a socket.
    pub(crate) sent: u64,
    /// Publications acknowledged.
    pub(crate) acked: u64,
    /// Deliveries that have to come for what was sent.
    pub(crate) expected: u64,
    /// Deliveries that came, doubles not counted.
    pub(crate) received: u64,
}

/// What threads share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    phase: AtomicU8,
    pub(crate) load_from_ns: AtomicU64,
    pub(crate) measure_from_ns: AtomicU64,
    pub(crate) measure_until_ns: AtomicU64,
    ready: AtomicU64,
    closed: AtomicU64,
    sent: AtomicU64,
    acked: AtomicU64,
    expected: AtomicU64,
    received: AtomicU64,
    given_up: AtomicU64,
    quiet: AtomicU64,
    refused: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Connecting,
            1 => Phase::Loading,
            2 => Phase::Draining,
            _ => Phase::Stopping,
        }
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub(crate) fn add(&self, more: &Progress) {
        let add = |counter: &AtomicU64, n: u64| {
            if n > 0 {
                counter.fetch_add(n, Ordering::Relaxed);
            }
        };
        add(&self.ready, more.ready);
        add(&self.closed, more.closed);
        add(&self.sent, more.sent);
        add(&self.acked, more.acked);
        add(&self.expected, more.expected);
        add(&self.received, more.received);
    }

    pub(crate) fn progress(&self) -> Progress {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress {
            ready: load(&self.ready),
            closed: load(&self.closed),
            sent: load(&self.sent),
            acked: load(&self.acked),
            expected: load(&self.expected),
            received: load(&self.received),
        }
    }

    /// Deliveries under way, but for those given up.
    pub(crate) fn under_way(&self) -> u64 {
        let gone = self.received.load(Ordering::Relaxed) + self.given_up.load(Ordering::Relaxed);
        self.expected.load(Ordering::Relaxed).saturating_sub(gone)
    }

    /// Waits no longer for what is under way: a server that drops messages would otherwise look
    /// like one that stands still. They count as lost all the same.
    pub(crate) fn give_up(&self, progress: &Progress) {
        let missing = progress.expected.saturating_sub(progress.received);
        self.given_up.store(missing, Ordering::Relaxed);
    }

    /// A worker has seen that no more load is wanted, and has told all that it sent.
    pub(crate) fn fell_quiet(&self) {
        self.quiet.fetch_add(1, Ordering::Release);
    }

    /// How many workers have.
    pub(crate) fn quiet(&self) -> u64 {
        self.quiet.load(Ordering::Acquire)
    }

    /// Keeps what the server said to the first connection that it refused.
    pub(crate) fn refused(&self, why: impl FnOnce() -> String) {
        self.refused.lock().get_or_insert_with(why);
    }

    pub(crate) fn first_refusal(&self) -> Option<String> {
        self.refused.lock().clone()
    }
}

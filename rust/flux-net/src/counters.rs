//! What the network side counts. Owns the numbers; others name and publish them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::ports::CloseReason;

/// Live counts of one server, shared by its workers. Read with [`Counters::snapshot`].
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) paused: AtomicU64,
    pub(crate) buffered_bytes: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) paused_ms: AtomicU64,
    pub(crate) rate_held: AtomicU64,
    pub(crate) refused_connections_max: AtomicU64,
    pub(crate) refused_per_ip_max: AtomicU64,
    pub(crate) accept_rate_held: AtomicU64,
    pub(crate) accept_files_exhausted: AtomicU64,
    pub(crate) accept_failed: AtomicU64,
    pub(crate) stop_forced: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) connecting: AtomicU64,
    pub(crate) datagrams_in: AtomicU64,
    pub(crate) datagrams_out: AtomicU64,
    pub(crate) datagrams_unsent: AtomicU64,
    pub(crate) closed: [AtomicU64; CloseReason::ALL.len()],
}

/// The counts at one time. Not one instant: each is read by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CountersSnapshot {
    /// Connections accepted and served.
    pub accepted: u64,
    /// Connections open now, those being closed included.
    pub open: u64,
    /// Connections paused now by their protocol.
    pub paused: u64,
    /// Bytes of input left over and of output waiting now.
    pub buffered_bytes: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Milliseconds connections have been paused, counted when a pause ends.
    pub paused_ms: u64,
    /// How often a connection was held for reaching `read_rate_max`.
    pub rate_held: u64,
    /// Connections refused for `connections_max`.
    pub refused_connections_max: u64,
    /// Connections refused for `connections_per_ip_max`.
    pub refused_per_ip_max: u64,
    /// How often accepting waited for `accept_rate_max`.
    pub accept_rate_held: u64,
    /// How often accepting found no file descriptor left.
    pub accept_files_exhausted: u64,
    /// Other failures to accept.
    pub accept_failed: u64,
    /// Connections cut off because `stop_grace_ms` was over.
    pub stop_forced: u64,
    /// Panics of the protocol that were contained.
    pub panics: u64,
    /// Connections we have asked for, those refused included.
    pub connecting: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Datagrams that could not be sent at once, and were dropped.
    pub datagrams_unsent: u64,
    closed: [u64; CloseReason::ALL.len()],
}

impl CountersSnapshot {
    /// Connections closed for a reason.
    #[must_use]
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed.get(reason.index()).copied().unwrap_or(0)
    }

    /// Connections closed for any reason.
    #[must_use]
    pub fn closed_total(&self) -> u64 {
        self.closed.iter().sum()
    }
}

impl Counters {
    /// All counts now.
    #[must_use]
    pub fn snapshot(&self) -> CountersSnapshot {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        let mut closed = [0; CloseReason::ALL.len()];
        for (to, from) in closed.iter_mut().zip(&self.closed) {
            *to = get(from);
        }
        CountersSnapshot {
            accepted: get(&self.accepted),
            open: get(&self.open),
            paused: get(&self.paused),
            buffered_bytes: get(&self.buffered_bytes),
            bytes_in: get(&self.bytes_in),
            bytes_out: get(&self.bytes_out),
            paused_ms: get(&self.paused_ms),
            rate_held: get(&self.rate_held),
            refused_connections_max: get(&self.refused_connections_max),
            refused_per_ip_max: get(&self.refused_per_ip_max),
            accept_rate_held: get(&self.accept_rate_held),
            accept_files_exhausted: get(&self.accept_files_exhausted),
            accept_failed: get(&self.accept_failed),
            stop_forced: get(&self.stop_forced),
            panics: get(&self.panics),
            connecting: get(&self.connecting),
            datagrams_in: get(&self.datagrams_in),
            datagrams_out: get(&self.datagrams_out),
            datagrams_unsent: get(&self.datagrams_unsent),
            closed,
        }
    }

    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }

    pub(crate) fn sub(counter: &AtomicU64, n: u64) {
        counter.fetch_sub(n, Relaxed);
    }

    pub(crate) fn closed_for(&self, reason: CloseReason) {
        if let Some(counter) = self.closed.get(reason.index()) {
            Self::add(counter, 1);
        }
    }
}

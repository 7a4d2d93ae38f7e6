//! What the bus counts.

use std::ops::AddAssign;

/// Messages that matched a subscriber and that it will never receive, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Evicted for newer ones (`drop_oldest`).
    pub oldest: u64,
    /// Refused, the ring being full (`drop_newest`; with `drop_oldest` only where its slot was held
    /// by a suspended thread).
    pub newest: u64,
    /// Given up after the time limit (`block`).
    pub timed_out: u64,
    /// Found the subscriber closing.
    pub closed: u64,
}

impl Dropped {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.oldest + self.newest + self.timed_out + self.closed
    }
}

impl AddAssign for Dropped {
    fn add_assign(&mut self, other: Self) {
        self.oldest += other.oldest;
        self.newest += other.newest;
        self.timed_out += other.timed_out;
        self.closed += other.closed;
    }
}

/// The counters of one tap. Once nothing is under way,
/// `accepted = received + dropped.oldest + queued`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TapStats {
    /// Messages put into its ring.
    pub accepted: u64,
    /// Messages its consumer took.
    pub received: u64,
    /// Messages it lost.
    pub dropped: Dropped,
    /// Messages in its ring now.
    pub queued: usize,
    /// Messages its ring can hold.
    pub capacity: usize,
}

/// The counters of a bus since it was made, taps that have gone included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BusStats {
    /// Messages published.
    pub published: u64,
    /// Published messages that matched no tap.
    pub unmatched: u64,
    /// Messages put into rings: one published message counts once per tap that has it.
    pub accepted: u64,
    /// Messages taken by consumers.
    pub received: u64,
    /// Messages that taps lost.
    pub dropped: Dropped,
    /// Taps now.
    pub taps: usize,
}

impl BusStats {
    pub(super) fn add_tap(&mut self, tap: &TapStats) {
        self.accepted += tap.accepted;
        self.received += tap.received;
        self.dropped += tap.dropped;
    }
}

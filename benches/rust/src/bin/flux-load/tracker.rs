//! What one subscriber has had of each publisher: nothing missed, nothing twice, all in order.
//!
//! One bit for each message: exact, and 12 MB for 100 million messages.

use crate::payload::Stamp;

/// Most messages of one publisher in one run; its bitmap is 32 MiB then.
pub(crate) const MESSAGES_PER_SOURCE_MAX: u64 = 1 << 28;

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// New, and behind all that came before.
    InOrder,
    /// New, but something sent later came earlier.
    OutOfOrder,
    /// Here before.
    Duplicate,
    /// From no publisher of this run.
    Foreign,
}

#[derive(Debug, Clone, Default)]
struct Source {
    seen: Vec<u64>,
    /// One more than the highest number seen.
    next: u64,
}

/// What one subscriber has had.
#[derive(Debug, Clone)]
pub(crate) struct Tracker {
    sources: Vec<Source>,
}

impl Tracker {
    pub(crate) fn new(publishers: u32) -> Self {
        Self { sources: vec![Source::default(); publishers as usize] }
    }

    pub(crate) fn arrived(&mut self, stamp: Stamp) -> Arrival {
        let Some(source) = self.sources.get_mut(stamp.source as usize) else {
            return Arrival::Foreign;
        };
        if stamp.seq >= MESSAGES_PER_SOURCE_MAX {
            return Arrival::Foreign;
        }
        let (word, bit) = ((stamp.seq / 64) as usize, 1u64 << (stamp.seq % 64));
        if source.seen.len() <= word {
            source.seen.resize(word + 1, 0);
        }
        let Some(seen) = source.seen.get_mut(word) else { return Arrival::Foreign };
        if *seen & bit != 0 {
            return Arrival::Duplicate;
        }
        *seen |= bit;
        if stamp.seq < source.next {
            return Arrival::OutOfOrder;
        }
        source.next = stamp.seq + 1;
        Arrival::InOrder
    }

    /// Those of the first `sent` messages of a publisher that have not come, of those that
    /// `expected` says should have.
    pub(crate) fn missing(
        &self,
        source: u32,
        sent: u64,
        expected: impl Fn(u64) -> bool,
    ) -> impl Iterator<Item = u64> {
        let seen = self.sources.get(source as usize).map(|source| &source.seen[..]);
        let seen = seen.unwrap_or_default();
        (0..sent).filter(move |seq| {
            let word = seen.get((seq / 64) as usize).copied().unwrap_or_default();
            word & (1 << (seq % 64)) == 0 && expected(*seq)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(source: u32, seq: u64) -> Stamp {
        Stamp { source, seq, sent_ns: 0 }
    }

    #[test]
    fn gaps_doubles_and_disorder_are_told_apart() {
        let mut tracker = Tracker::new(2);
        let arrivals: Vec<_> =
            [0, 1, 1, 4, 3, 4].iter().map(|seq| tracker.arrived(stamp(1, *seq))).collect();
        use Arrival::{Duplicate, InOrder, OutOfOrder};
        assert_eq!(arrivals, [InOrder, InOrder, Duplicate, InOrder, OutOfOrder, Duplicate]);
        assert_eq!(tracker.missing(1, 6, |_| true).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(tracker.missing(1, 6, |seq| seq != 5).count(), 1);
        assert_eq!(tracker.missing(0, 3, |_| true).count(), 3);
    }

    #[test]
    fn strangers_are_not_counted_as_ours() {
        let mut tracker = Tracker::new(1);
        assert_eq!(tracker.arrived(stamp(1, 0)), Arrival::Foreign);
        assert_eq!(tracker.arrived(stamp(0, u64::MAX)), Arrival::Foreign);
    }
}

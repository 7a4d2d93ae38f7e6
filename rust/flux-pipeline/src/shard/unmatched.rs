//! Which messages of no template people are told about.
//!
//! Owns a small memory of the topics noted lately. On a broker such messages are ordinary traffic:
//! a topic is told about once a second, so that one that is misspelt is found among many that are
//! not, at the price of a hash a message.

use std::hash::BuildHasher;

use flux_types::Message;
use foldhash::fast::RandomState;

/// The least time before the same topic of the same source is noted again.
const SAME_TOPIC_INTERVAL_NS: i64 = 1_000_000_000;
/// The least time between any two notes: bounds what many topics can cost.
const NOTE_INTERVAL_NS: i64 = 10_000_000;
/// Topics remembered; two that fall on one place make each other be noted more often.
const PLACES: usize = 64;

/// Picks from the messages of no template those to note.
pub(super) struct UnmatchedSample {
    hasher: RandomState,
    /// By hash: whose topic it is, and when it was noted.
    places: [(u64, i64); PLACES],
    noted_ns: i64,
}

impl Default for UnmatchedSample {
    fn default() -> Self {
        let never = i64::MIN;
        Self { hasher: RandomState::default(), places: [(0, never); PLACES], noted_ns: never }
    }
}

impl UnmatchedSample {
    /// Whether to note this one.
    pub(super) fn takes(&mut self, message: &Message) -> bool {
        let now_ns = message.received.wall_ns;
        // by the wall clock, which goes on after a restart; set back, it makes one note more
        let within = |then_ns: i64, interval_ns: i64| {
            (0..interval_ns).contains(&now_ns.saturating_sub(then_ns))
        };
        if within(self.noted_ns, NOTE_INTERVAL_NS) {
            return false;
        }
        let hash = self.hasher.hash_one((message.source.as_str(), message.topic.as_str()));
        let index = (hash % PLACES as u64) as usize;
        let Some((known, then_ns)) = self.places.get_mut(index) else { return false };
        if *known == hash && within(*then_ns, SAME_TOPIC_INTERVAL_NS) {
            return false;
        }
        (*known, *then_ns, self.noted_ns) = (hash, now_ns, now_ns);
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use flux_types::{Qos, Received, SourceId, TenantId, Topic};

    use super::*;

    fn message(topic: &str, at_ms: i64) -> Message {
        Message {
            tenant: TenantId::DEFAULT,
            source: SourceId::new("account:1/c"),
            topic: Topic::new(topic).unwrap(),
            payload: bytes::Bytes::new(),
            qos: Qos::AtMostOnce,
            retain: false,
            received: Received { wall_ns: at_ms * 1_000_000, mono_ns: 0 },
            hops: 0,
            properties: None,
        }
    }

    #[test]
    fn misspelt_topic_is_found_among_ordinary_traffic() {
        let mut sample = UnmatchedSample::default();
        let mut noted = 0;
        for ms in 0..10_000 {
            noted += usize::from(sample.takes(&message("ordinary/traffic", ms)));
        }
        assert_eq!(noted, 10, "once a second");
        assert!(!sample.takes(&message("misspelt", 9_001)), "a note was just made");
        assert!(sample.takes(&message("misspelt", 10_005)));
    }

    #[test]
    fn many_topics_are_noted_at_a_bounded_rate() {
        let mut sample = UnmatchedSample::default();
        let taken =
            (0..10_000).filter(|n| sample.takes(&message(&format!("t/{n}"), n / 10))).count();
        assert_eq!(taken, 100, "10 000 topics in a second");
    }

    #[test]
    fn a_clock_set_back_silences_nothing() {
        let mut sample = UnmatchedSample::default();
        assert!(sample.takes(&message("a", 1_000_000)));
        assert!(sample.takes(&message("a", 10)));
    }
}

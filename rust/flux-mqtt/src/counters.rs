//! What the crate counts, for metrics. Every drop and every refusal is among it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use flux_types::Qos;

use crate::codec::Reason;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The number so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }
}

/// A number that grows and shrinks.
#[derive(Debug, Default)]
pub struct Gauge(AtomicUsize);

impl Gauge {
    /// The number now.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(crate) fn sub(&self, count: usize) {
        self.0.fetch_sub(count, Relaxed);
    }

    /// Adds unless the sum would be above `max`; tells whether it did. Others who add at the same
    /// time may be refused for a moment though there is room, never the other way round.
    pub(crate) fn try_add(&self, count: usize, max: usize) -> bool {
        let sum = self.0.fetch_add(count, Relaxed).saturating_add(count);
        if sum > max {
            self.sub(count);
        }
        sum <= max
    }
}

const REASONS: usize = 0xA3 - 0x80;

/// One count for each reason code that says no (0x80 and above).
#[derive(Debug)]
pub struct ByReason([Counter; REASONS]);

impl Default for ByReason {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl ByReason {
    /// The count of one reason.
    #[must_use]
    pub fn get(&self, reason: Reason) -> u64 {
        self.slot(reason).map_or(0, Counter::get)
    }

    /// Every reason that was counted at least once.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        let numbered = (0x80u8..).zip(&self.0);
        numbered.map(|(code, count)| (Reason(code), count.get())).filter(|(_, count)| *count > 0)
    }

    pub(crate) fn one(&self, reason: Reason) {
        if let Some(counter) = self.slot(reason) {
            counter.one();
        }
    }

    fn slot(&self, reason: Reason) -> Option<&Counter> {
        self.0.get(usize::from(reason.0.checked_sub(0x80)?))
    }
}

/// Why a message was not delivered to a session that subscribes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// QoS 0, and the session's queue was full.
    QueueFull,
    /// QoS 1, and the session's queue was full.
    PromisedQueueFull,
    /// All sessions together had queued as much as allowed.
    TotalQueueFull,
    /// QoS 0, and the client was not connected.
    Offline,
    /// Its expiry interval passed [MQTT-3.3.2-5].
    Expired,
    /// Larger than the client's Maximum Packet Size [MQTT-3.1.2-25].
    TooLargeForClient,
    /// The session ended with it in its queue.
    SessionEnded,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::QueueFull,
        Self::PromisedQueueFull,
        Self::TotalQueueFull,
        Self::Offline,
        Self::Expired,
        Self::TooLargeForClient,
        Self::SessionEnded,
    ];

    /// The reason as a label of a metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::PromisedQueueFull => "promised_queue_full",
            Self::TotalQueueFull => "total_queue_full",
            Self::Offline => "offline",
            Self::Expired => "expired",
            Self::TooLargeForClient => "too_large_for_client",
            Self::SessionEnded => "session_ended",
        }
    }
}

/// Everything counted since start.
#[derive(Debug, Default)]
pub struct Counters {
    /// CONNECTs accepted.
    pub connects: Counter,
    /// CONNECTs refused, by the reason told.
    pub connects_refused: ByReason,
    /// Sockets that closed or timed out before a whole CONNECT.
    pub connects_missing: Counter,
    /// Connections ended by us after CONNECT, by the reason told.
    pub disconnects: ByReason,
    /// Connections ended by the client, with DISCONNECT.
    pub disconnects_by_client: Counter,
    /// Connections that broke without DISCONNECT.
    pub connections_lost: Counter,
    /// Connections now.
    pub connected: Gauge,
    /// Packets that were malformed.
    pub malformed: Counter,
    /// Publications received, by QoS.
    pub publishes_in: [Counter; 3],
    /// Deliveries sent, by QoS, those sent again not counted.
    pub publishes_out: [Counter; 3],
    /// Deliveries sent again after a reconnect.
    pub publishes_resent: Counter,
    /// Publications not accepted, by the reason told or that would have been told.
    pub publishes_refused: ByReason,
    /// Publications with RETAIN from 3.1.1 clients, which were handled as ordinary ones.
    pub retain_ignored: Counter,
    /// Subscriptions not accepted, by reason.
    pub subscribes_refused: ByReason,
    /// Wills published.
    pub wills: Counter,
    /// Acknowledgements for packet identifiers that were not in flight.
    pub acknowledgements_unknown: Counter,
    /// Sessions now, connected or not.
    pub sessions: Gauge,
    /// Sessions that expired.
    pub sessions_expired: Counter,
    /// Sessions taken over by a new connection while connected.
    pub takeovers: Counter,
    /// Subscriptions now.
    pub subscriptions: Gauge,
    /// Bytes queued for sessions now.
    pub queued_bytes: Gauge,
    dropped: [Counter; DropReason::ALL.len()],
}

impl Counters {
    /// Deliveries dropped for a reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize].get()
    }

    pub(crate) fn drop_one(&self, reason: DropReason) {
        self.drop_many(reason, 1);
    }

    pub(crate) fn drop_many(&self, reason: DropReason, count: usize) {
        self.dropped[reason as usize].add(count as u64);
    }

    pub(crate) fn publish_in(&self, qos: Qos) {
        self.publishes_in[qos as usize].one();
    }
}

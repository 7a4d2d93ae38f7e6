//! What the crate counts, for metrics. Every drop and every refusal is among it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::lateness::Lateness;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counters that only grow, and how late requests were sent.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)+
            /// How much later than planned poll requests were sent.
            pub lateness: Lateness,
        }

        impl Counters {
            /// Name and value of each.
            pub fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.load(Relaxed)),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Frames that were told apart.
    frames,
    /// Heartbeats, which were swallowed.
    heartbeats,
    /// Bytes that were no frame.
    garbage_bytes,
    /// Connections closed for bytes that were no frame.
    garbage_closed,
    /// Devices that were recognised.
    registrations,
    /// Packets that named no device.
    strangers_no_word,
    /// Packets that named a device that is not known.
    strangers_unknown,
    /// Packets in the name of a device without its secret.
    strangers_not_entitled,
    /// Connections whose device was not known in time.
    registrations_late,
    /// Connections whose first bytes are no product's.
    heads_unknown,
    /// Connections of a product that has no framing, or is not known.
    products_unknown,
    /// Connections that another of the same device took over.
    takeovers,
    /// Connections refused because their device had one.
    takeovers_refused,
    /// Connections closed for their silence.
    idle_closed,
    /// Connections that ended amid a frame.
    frames_cut_off,
    /// Connections refused, and datagrams dropped: their listener has as many sources as it may.
    listener_full,
    /// Frames dropped: their source sends more than it may.
    rate_dropped,
    /// Datagrams dropped: the log is behind.
    datagrams_dropped,
    /// Frames dropped on a half-duplex line: nobody had asked.
    frames_unasked,
    /// Requests sent: polls and commands, each try.
    requests_sent,
    /// Requests answered.
    requests_answered,
    /// Requests whose answer says no.
    requests_failed,
    /// Requests not answered in time, each try.
    requests_timed_out,
    /// Requests given up after their last try.
    requests_given_up,
    /// Frames that answer another's request, or one given up.
    replies_not_mine,
    /// Requests that could not be written in their device's protocol.
    encode_failures,
    /// Polls passed over: the one before was still waiting.
    polls_skipped,
    /// Commands refused: their line's queue is full.
    commands_refused,
    /// Connections opened by us.
    connects,
    /// Connections that could not be opened by us.
    connect_failures,
}

/// Adds one.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Adds several.
pub fn count_many(counter: &AtomicU64, many: u64) {
    if many > 0 {
        counter.fetch_add(many, Relaxed);
    }
}

//! What the pipeline counts, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counters that only grow. Read with [`Counters::read`].
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)+
        }

        /// The counters at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct CounterValues {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Counters {
            /// All of them.
            #[must_use]
            pub fn read(&self) -> CounterValues {
                CounterValues { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

counters! {
    /// Messages taken into the log.
    messages_accepted,
    /// Messages a shard has decided on.
    messages_decided,
    /// Messages that no template matched: brokered and counted.
    messages_unmatched,
    /// Messages on a device topic whose device is not known.
    messages_unknown_device,
    /// Messages whose payload could not be decoded.
    decode_failures,
    /// Samples decoded.
    samples_decoded,
    /// Samples left out because they name a device their source may not speak for.
    samples_refused,
    /// Samples a transform dropped.
    samples_dropped_by_transform,
    /// Transforms that failed; their sample is kept as it was decoded.
    transform_failures,
    /// Values for which their device had no room.
    values_refused,
    /// Effects that a plugin asked for and was not granted, or that cannot be.
    plugin_effects_refused,
    /// Plugins passed over in a chain because a call failed.
    plugin_phase_failures,
    /// States of plugins for which there was no room.
    plugin_states_refused,
    /// Rules evaluated.
    rules_executed,
    /// Rules that said true.
    rules_triggered,
    /// Rules that failed.
    rules_failed,
    /// Rules passed over because their breaker is open.
    rules_passed_over,
    /// Firings recorded.
    firings,
    /// Messages published by rules.
    rule_publications,
    /// Publications refused: too many hops or too many pending.
    rule_publications_refused,
    /// Alarms raised for the first time.
    alarms_raised,
    /// Alarms cleared.
    alarms_cleared,
    /// Actions that could not be carried out.
    actions_refused,
    /// Commands handed to a device's connection.
    commands_sent,
    /// Commands that waited too long.
    commands_expired,
    /// Commands the device replied to.
    commands_replied,
    /// Commands without a reply in time.
    commands_unanswered,
    /// Replies that name no open command.
    replies_unmatched,
    /// Webhooks taken by their receiver.
    webhooks_delivered,
    /// Webhooks given up.
    webhooks_failed,
    /// Snapshots written.
    snapshots_written,
    /// Snapshots that failed.
    snapshots_failed,
    /// Records of the log that could not be read.
    records_unreadable,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Adds several.
pub(crate) fn count_many(counter: &AtomicU64, many: usize) {
    if many > 0 {
        counter.fetch_add(many as u64, Ordering::Relaxed);
    }
}

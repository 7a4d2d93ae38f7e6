//! What the log adds up to: last values, recent firings, alarms, commands, who is online.
//!
//! Owns the tables that people read. Each is a view: rebuilt from a snapshot and the log behind
//! it. Applying a record that is in it already changes nothing, so that a snapshot may be taken
//! while the tables move on. Must never decide anything.

mod alarms;
mod commands;
mod ended;
mod firings;
mod latest;
mod plugin_states;
mod presence;
mod snapshot;
mod webhooks;

pub use alarms::{Alarm, AlarmQuery, AlarmState, Alarms};
pub use commands::{Command, CommandQuery, CommandStatus, Commands};
use ended::Ended;
pub use firings::{FiringQuery, Firings};
pub use latest::{DeviceLatest, Latest, LatestValue};
pub use plugin_states::{PluginState, PluginStates};
pub use presence::{Presence, PresenceTable};
pub use snapshot::{Snapshot, SnapshotError};
pub use webhooks::{PendingWebhook, Webhooks};

use std::sync::Arc;

use parking_lot::Mutex;

/// How much the views keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewLimits {
    /// Most recent firings that can be listed.
    pub firings_len_max: usize,
    /// Alarms that are over and can still be listed.
    pub alarms_ended_len_max: usize,
    /// Alarms active at once; beyond it the raise is refused.
    pub alarms_active_len_max: usize,
    /// Commands that have ended and can still be listed.
    pub commands_ended_len_max: usize,
    /// Commands not yet ended; beyond it more are refused.
    pub commands_open_len_max: usize,
    /// Webhooks waiting to be delivered; beyond it the oldest is given up.
    pub webhooks_len_max: usize,
    /// Values kept for one device; beyond it new names are refused.
    pub values_per_device_max: usize,
    /// Bytes of what plugins keep of sources; beyond it more is refused.
    pub plugin_states_bytes_max: usize,
}

impl Default for ViewLimits {
    fn default() -> Self {
        Self {
            firings_len_max: 10_000,
            alarms_ended_len_max: 10_000,
            alarms_active_len_max: 100_000,
            commands_ended_len_max: 10_000,
            commands_open_len_max: 100_000,
            webhooks_len_max: 100_000,
            values_per_device_max: 1_000,
            plugin_states_bytes_max: 64 << 20,
        }
    }
}

/// All views, shared by the threads that move them and the people who read them.
#[derive(Debug, Clone)]
pub struct Views {
    /// Last values by device.
    pub latest: Arc<Latest>,
    /// Recent firings.
    pub firings: Arc<Mutex<Firings>>,
    /// Alarms, active and over.
    pub alarms: Arc<Mutex<Alarms>>,
    /// Commands, open and ended.
    pub commands: Arc<Mutex<Commands>>,
    /// Webhooks not yet delivered.
    pub webhooks: Arc<Mutex<Webhooks>>,
    /// Which devices are connected.
    pub presence: Arc<Mutex<PresenceTable>>,
    /// What plugins keep of sources.
    pub plugin_states: Arc<PluginStates>,
}

impl Views {
    /// Empty views.
    #[must_use]
    pub fn new(limits: &ViewLimits) -> Self {
        Self {
            latest: Arc::new(Latest::new(limits.values_per_device_max)),
            firings: Arc::new(Mutex::new(Firings::new(limits.firings_len_max))),
            alarms: Arc::new(Mutex::new(Alarms::new(limits))),
            commands: Arc::new(Mutex::new(Commands::new(limits))),
            webhooks: Arc::new(Mutex::new(Webhooks::new(limits.webhooks_len_max))),
            presence: Arc::default(),
            plugin_states: Arc::new(PluginStates::new(limits.plugin_states_bytes_max)),
        }
    }
}

/// What follows the entry that `is_it` recognises by `before`; everything when that is none.
fn after<T>(
    entries: impl Iterator<Item = T>,
    before: Option<&str>,
    is_it: impl Fn(&T, &str) -> bool,
) -> impl Iterator<Item = T> {
    let mut reached = before.is_none();
    entries.filter(move |entry| {
        let listed = reached;
        reached |= before.is_some_and(|before| is_it(entry, before));
        listed
    })
}

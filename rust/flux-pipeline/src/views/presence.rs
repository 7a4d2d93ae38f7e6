//! Which devices are connected, and when each was last.

use std::collections::HashMap;

use flux_types::DeviceId;
use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

/// Whether one device is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Presence {
    /// How many connections it has now.
    #[serde(skip)]
    pub connections: u32,
    /// When it last came or went, ms since 1970.
    pub last_ms: i64,
}

/// All devices that were ever connected.
#[derive(Debug, Default)]
pub struct PresenceTable {
    devices: HashMap<DeviceId, Presence, RandomState>,
}

impl PresenceTable {
    /// One more connection; true if it is the device's first.
    pub fn connected(&mut self, device: DeviceId, at_ms: i64) -> bool {
        let presence = self.devices.entry(device).or_default();
        presence.connections += 1;
        presence.last_ms = at_ms;
        presence.connections == 1
    }

    /// One connection less; true if it was the device's last.
    pub fn disconnected(&mut self, device: DeviceId, at_ms: i64) -> bool {
        let Some(presence) = self.devices.get_mut(&device) else { return false };
        presence.last_ms = at_ms;
        let last = presence.connections == 1;
        presence.connections = presence.connections.saturating_sub(1);
        last
    }

    /// Takes the time of an event from the log; connections do not survive us.
    pub fn restore(&mut self, device: DeviceId, last_ms: i64) {
        let presence = self.devices.entry(device).or_default();
        presence.last_ms = presence.last_ms.max(last_ms);
    }

    /// What is known of a device.
    #[must_use]
    pub fn get(&self, device: DeviceId) -> Option<Presence> {
        self.devices.get(&device).copied()
    }

    /// How many devices are connected.
    #[must_use]
    pub fn online_len(&self) -> usize {
        self.devices.values().filter(|presence| presence.connections > 0).count()
    }

    /// Forgets a device that was deleted.
    pub fn forget(&mut self, device: DeviceId) {
        self.devices.remove(&device);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (DeviceId, Presence)> {
        self.devices.iter().map(|(id, presence)| (*id, *presence))
    }
}

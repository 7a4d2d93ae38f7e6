//! Which devices are there, and when each was last heard.
//!
//! A device is there while it has a connection, and for a while after: one that reconnects in time
//! was never away. Devices of protocols without connections are there for a while after each word.

use std::collections::{BTreeSet, HashMap};

use flux_types::{DeviceId, TenantId};
use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

/// Whether one device is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Presence {
    /// How many connections it has now.
    #[serde(skip)]
    pub connections: u32,
    /// Whether it counts as there.
    #[serde(skip)]
    pub online: bool,
    /// When it last came, was heard or went, ms since 1970.
    pub last_ms: i64,
    /// Until when it is there without a connection, monotonic ms.
    #[serde(skip)]
    until_ms: u64,
    /// When it is looked at next; 0: not.
    #[serde(skip)]
    look_ms: u64,
    #[serde(skip)]
    tenant: u32,
}

/// The two times of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By the wall clock, ms since 1970: for people.
    pub wall_ms: i64,
    /// By the monotonic clock, ms: for how long something lasts.
    pub mono_ms: u64,
}

/// All devices that were ever there.
#[derive(Debug, Default)]
pub struct PresenceTable {
    devices: HashMap<DeviceId, Presence, RandomState>,
    /// Those that go unless they are heard, by when they are looked at.
    leaving: BTreeSet<(u64, DeviceId)>,
}

impl PresenceTable {
    /// One more connection; true if the device has come by it.
    pub fn connected(&mut self, tenant: TenantId, device: DeviceId, now: Moment) -> bool {
        let presence = self.devices.entry(device).or_default();
        presence.connections += 1;
        presence.come(tenant, now)
    }

    /// One connection less; true if the device has gone by it: it had no other, and need not be
    /// waited for.
    pub fn disconnected(&mut self, device: DeviceId, now: Moment, offline_after_ms: u64) -> bool {
        let Some(presence) = self.devices.get_mut(&device) else { return false };
        presence.last_ms = now.wall_ms;
        presence.connections = presence.connections.saturating_sub(1);
        if presence.connections > 0 || !presence.online {
            return false;
        }
        presence.until_ms = presence.until_ms.max(now.mono_ms + offline_after_ms);
        if presence.until_ms <= now.mono_ms {
            presence.online = false;
            return true;
        }
        self.look_at(device);
        false
    }

    /// The device was heard, and is there for so long at least; true if it has come by it.
    pub fn seen(
        &mut self,
        tenant: TenantId,
        device: DeviceId,
        now: Moment,
        silent_after_ms: u64,
    ) -> bool {
        let presence = self.devices.entry(device).or_default();
        presence.until_ms = presence.until_ms.max(now.mono_ms + silent_after_ms);
        let came = presence.come(tenant, now);
        if presence.connections == 0 {
            self.look_at(device);
        }
        came
    }

    /// Puts it on the list; one that is on it stays where it is, and is looked at early.
    fn look_at(&mut self, device: DeviceId) {
        if let Some(presence) = self.devices.get_mut(&device).filter(|known| known.look_ms == 0) {
            presence.look_ms = presence.until_ms.max(1);
            self.leaving.insert((presence.look_ms, device));
        }
    }

    /// Those that are gone by now: not heard, not connected, and their time is over.
    pub fn expire(&mut self, now: Moment) -> Vec<(TenantId, DeviceId)> {
        let mut gone = Vec::new();
        while let Some((look_ms, device)) = self.leaving.first().copied() {
            if look_ms > now.mono_ms {
                break;
            }
            self.leaving.pop_first();
            let Some(presence) = self.devices.get_mut(&device) else { continue };
            presence.look_ms = 0;
            if presence.connections > 0 || !presence.online {
                continue;
            }
            if presence.until_ms > now.mono_ms {
                self.look_at(device);
                continue;
            }
            presence.online = false;
            gone.push((TenantId(presence.tenant), device));
        }
        gone
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

    /// How many devices are there.
    #[must_use]
    pub fn online_len(&self) -> usize {
        self.devices.values().filter(|presence| presence.online).count()
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

impl Presence {
    fn come(&mut self, tenant: TenantId, now: Moment) -> bool {
        self.last_ms = now.wall_ms;
        self.tenant = tenant.0;
        !std::mem::replace(&mut self.online, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId::DEFAULT;

    fn at(mono_ms: u64) -> Moment {
        Moment { wall_ms: 1_700_000_000_000 + i64::try_from(mono_ms).unwrap(), mono_ms }
    }

    #[test]
    fn a_device_that_reconnects_in_time_was_never_away() {
        let (mut table, device) = (PresenceTable::default(), DeviceId::random());
        assert!(table.connected(TENANT, device, at(0)));
        assert!(!table.disconnected(device, at(10), 100));
        assert!(!table.connected(TENANT, device, at(90)));
        assert_eq!(table.expire(at(500)), []);
        assert!(!table.disconnected(device, at(600), 100));
        assert_eq!(table.expire(at(699)), []);
        assert_eq!(table.online_len(), 1);
        assert_eq!(table.expire(at(700)), [(TENANT, device)]);
        assert_eq!((table.online_len(), table.expire(at(9_999)).len()), (0, 0));
        assert!(table.connected(TENANT, device, at(10_000)));
    }

    #[test]
    fn two_connections_are_one_presence_and_no_patience_is_none() {
        let (mut table, device) = (PresenceTable::default(), DeviceId::random());
        assert!(table.connected(TENANT, device, at(0)));
        assert!(!table.connected(TENANT, device, at(0)));
        assert!(!table.disconnected(device, at(1), 0));
        assert!(table.disconnected(device, at(2), 0));
        assert!(!table.disconnected(device, at(3), 0));
    }

    #[test]
    fn a_device_without_connections_is_there_while_it_is_heard() {
        let (mut table, device) = (PresenceTable::default(), DeviceId::random());
        assert!(table.seen(TENANT, device, at(0), 100));
        for ms in (50..1_000).step_by(50) {
            assert!(!table.seen(TENANT, device, at(ms), 100));
            assert_eq!(table.expire(at(ms)), []);
        }
        assert!(table.leaving.len() <= 1);
        assert_eq!(table.expire(at(1_049)), []);
        assert_eq!(table.expire(at(1_050)), [(TENANT, device)]);
        assert!(table.seen(TENANT, device, at(2_000), 100));
        table.forget(device);
        assert_eq!(table.expire(at(9_000)), []);
    }
}

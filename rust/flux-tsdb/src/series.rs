//! Which series there are: tenant, device and name, and the number each goes by.
//!
//! Owns the catalogue. Numbers are of this process alone: blocks name their series in full, so that
//! each can be read without any other file. A number is never given to a second series.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flux_types::{DeviceId, TenantId};
use foldhash::fast::RandomState;

/// Parts the heads are divided into: shards and readers seldom meet at a lock.
pub(crate) const PARTS: usize = 16;
const PART_BITS: u32 = PARTS.trailing_zeros();

/// The number a series goes by while the store is open.
///
/// Resolved once (`Store::series_id`, `Store::find`, `Store::series_of`) and used from then on. It
/// goes stale when its device's data is deleted or the last of it has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(u32);

impl SeriesId {
    pub(crate) fn new(part: usize, local: usize) -> Option<Self> {
        let local = u32::try_from(local).ok().filter(|local| *local < 1 << (32 - PART_BITS))?;
        Some(Self(local << PART_BITS | u32::try_from(part % PARTS).ok()?))
    }

    /// Which part has its head.
    pub(crate) fn part(self) -> usize {
        self.0 as usize % PARTS
    }

    /// Its place within the part.
    pub(crate) fn local(self) -> usize {
        (self.0 >> PART_BITS) as usize
    }
}

impl std::fmt::Display for SeriesId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a series is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    /// Whose it is.
    pub tenant: TenantId,
    /// The device that reports it.
    pub device: DeviceId,
    /// The value's name.
    pub name: Arc<str>,
}

/// A series in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesInfo {
    /// Its number.
    pub id: SeriesId,
    /// The value's name.
    pub name: Arc<str>,
}

/// A device with its tenant, as keys of maps.
pub(crate) type Owner = (TenantId, DeviceId);

/// The part that has a device's series.
pub(crate) fn part_of(device: DeviceId) -> usize {
    // UUIDs of versions 4 and 5 are random in their last byte
    usize::from(device.0.as_bytes()[15]) % PARTS
}

#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    devices: BTreeMap<Owner, HashMap<Arc<str>, SeriesId, RandomState>>,
    len: usize,
}

impl Catalogue {
    /// How many series there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many devices have any.
    pub(crate) fn devices(&self) -> usize {
        self.devices.len()
    }

    pub(crate) fn find(&self, owner: Owner, name: &str) -> Option<SeriesId> {
        self.devices.get(&owner)?.get(name).copied()
    }

    /// How many series the device has.
    pub(crate) fn len_of(&self, owner: Owner) -> usize {
        self.devices.get(&owner).map_or(0, HashMap::len)
    }

    /// The device's series, by name.
    pub(crate) fn of(&self, owner: Owner) -> Vec<SeriesInfo> {
        let names = self.devices.get(&owner).into_iter().flatten();
        let mut found: Vec<SeriesInfo> =
            names.map(|(name, id)| SeriesInfo { id: *id, name: Arc::clone(name) }).collect();
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        found
    }

    pub(crate) fn insert(&mut self, key: &SeriesKey, id: SeriesId) {
        let names = self.devices.entry((key.tenant, key.device)).or_default();
        if names.insert(Arc::clone(&key.name), id).is_none() {
            self.len += 1;
        }
    }

    pub(crate) fn remove(&mut self, key: &SeriesKey) {
        let owner = (key.tenant, key.device);
        let Some(names) = self.devices.get_mut(&owner) else { return };
        if names.remove(&key.name).is_some() {
            self.len -= 1;
        }
        if names.is_empty() {
            self.devices.remove(&owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_part_and_place() {
        for (part, local) in [(0, 0), (15, 0), (3, 1 << 20), (7, (1 << 28) - 1)] {
            let id = SeriesId::new(part, local).unwrap();
            assert_eq!((id.part(), id.local()), (part, local));
        }
        assert_eq!(SeriesId::new(0, 1 << 28), None);
    }

    #[test]
    fn series_are_listed_by_name_and_gone_once_removed() {
        let mut catalogue = Catalogue::default();
        let (tenant, device) = (TenantId(1), DeviceId::random());
        let key = |name: &str| SeriesKey { tenant, device, name: name.into() };
        for (local, name) in ["t", "humidity", "t"].into_iter().enumerate() {
            catalogue.insert(&key(name), SeriesId::new(0, local).unwrap());
        }
        let names: Vec<_> =
            catalogue.of((tenant, device)).into_iter().map(|info| info.name).collect();
        assert_eq!(names, ["humidity".into(), "t".into()]);
        assert_eq!((catalogue.len(), catalogue.devices()), (2, 1));
        catalogue.remove(&key("t"));
        catalogue.remove(&key("t"));
        catalogue.remove(&key("humidity"));
        assert_eq!((catalogue.len(), catalogue.devices()), (0, 0));
        assert_eq!(catalogue.find((tenant, device), "t"), None);
    }
}

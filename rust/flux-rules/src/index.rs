//! From a message to the rules that look at it.
//!
//! Owns which slots hang on which source. Cost grows with the rules that match, not with those
//! there are.

use std::collections::HashMap;
use std::hash::Hash;

use flux_types::{DeviceId, ProductId, TenantId, Topic, TopicTrie};
use foldhash::fast::RandomState;

use crate::Sources;

/// Where a message comes from, as rules choose by it.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it was published.
    pub topic: &'a Topic,
    /// The product of the device, where one is known.
    pub product: Option<ProductId>,
    /// The device, where one is known.
    pub device: Option<DeviceId>,
}

/// Slots of rules by what they look at.
#[derive(Debug, Default)]
pub(crate) struct Index {
    tenants: HashMap<TenantId, TenantIndex, RandomState>,
}

#[derive(Debug, Default)]
struct TenantIndex {
    everything: Vec<u32>,
    products: HashMap<ProductId, Vec<u32>, RandomState>,
    devices: HashMap<DeviceId, Vec<u32>, RandomState>,
    topics: TopicTrie<u32>,
}

impl Index {
    pub(crate) fn insert(&mut self, tenant: TenantId, sources: &Sources, slot: u32) {
        let index = self.tenants.entry(tenant).or_default();
        if sources.is_everything() {
            index.everything.push(slot);
        }
        for product in &sources.products {
            index.products.entry(*product).or_default().push(slot);
        }
        for device in &sources.devices {
            index.devices.entry(*device).or_default().push(slot);
        }
        for filter in &sources.topics {
            index.topics.insert(filter, slot);
        }
    }

    pub(crate) fn remove(&mut self, tenant: TenantId, sources: &Sources, slot: u32) {
        let Some(index) = self.tenants.get_mut(&tenant) else { return };
        if sources.is_everything() {
            index.everything.retain(|known| *known != slot);
        }
        for product in &sources.products {
            drop_from(&mut index.products, product, slot);
        }
        for device in &sources.devices {
            drop_from(&mut index.devices, device, slot);
        }
        for filter in &sources.topics {
            index.topics.retain(filter, |known| *known != slot);
        }
        if index.everything.is_empty()
            && index.products.is_empty()
            && index.devices.is_empty()
            && index.topics.is_empty()
        {
            self.tenants.remove(&tenant);
        }
    }

    /// Puts the slots whose rules look at the message into `found`, each once, in ascending order.
    pub(crate) fn select(&self, origin: &Origin<'_>, found: &mut Vec<u32>) {
        found.clear();
        let Some(index) = self.tenants.get(&origin.tenant) else { return };
        found.extend(&index.everything);
        if let Some(slots) = origin.product.and_then(|product| index.products.get(&product)) {
            found.extend(slots);
        }
        if let Some(slots) = origin.device.and_then(|device| index.devices.get(&device)) {
            found.extend(slots);
        }
        if !index.topics.is_empty() {
            index.topics.visit(origin.topic, |slot| found.push(*slot));
        }
        found.sort_unstable();
        found.dedup();
    }
}

fn drop_from<K: Eq + Hash>(map: &mut HashMap<K, Vec<u32>, RandomState>, key: &K, slot: u32) {
    if let Some(slots) = map.get_mut(key) {
        slots.retain(|known| *known != slot);
        if slots.is_empty() {
            map.remove(key);
        }
    }
}

//! What plugins keep of sources: small, durable, given to them with each of the source's messages.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use flux_types::TenantId;
use foldhash::fast::RandomState;
use parking_lot::Mutex;

type Sources = HashMap<Arc<str>, Bytes, RandomState>;

/// One state as a snapshot has it: tenant, plugin, source, bytes.
pub type PluginState = (TenantId, Arc<str>, Arc<str>, Bytes);

/// The states of all sources, by plugin.
#[derive(Debug, Default)]
pub struct PluginStates {
    plugins: Mutex<HashMap<(TenantId, Arc<str>), Sources, RandomState>>,
    /// Most plugins keep nothing: then nobody takes the lock.
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl PluginStates {
    /// Room for so many bytes, names included.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// What a plugin keeps of a source.
    #[must_use]
    pub fn get(&self, tenant: TenantId, source: &str, plugin: &Arc<str>) -> Option<Bytes> {
        if self.bytes.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.plugins.lock().get(&(tenant, Arc::clone(plugin)))?.get(source).cloned()
    }

    /// Keeps that in place of what was kept, or nothing. False: there is no room, and what was kept
    /// stays.
    pub fn set(&self, tenant: TenantId, source: &str, plugin: &Arc<str>, state: Bytes) -> bool {
        let mut plugins = self.plugins.lock();
        let sources = plugins.entry((tenant, Arc::clone(plugin))).or_default();
        let before = sources.get(source).map_or(0, |known| cost(source, known));
        let after = if state.is_empty() { 0 } else { cost(source, &state) };
        let bytes = self.bytes.load(Ordering::Relaxed) - before + after;
        if after > before && bytes > self.bytes_max {
            return false;
        }
        match sources.get_mut(source) {
            _ if state.is_empty() => drop(sources.remove(source)),
            Some(known) => *known = state,
            None => drop(sources.insert(source.into(), state)),
        }
        self.bytes.store(bytes, Ordering::Release);
        true
    }

    /// All of them, in no order.
    #[must_use]
    pub fn to_vec(&self) -> Vec<PluginState> {
        let plugins = self.plugins.lock();
        let of = |((tenant, plugin), sources): (&(TenantId, Arc<str>), &Sources)| {
            let (tenant, plugin) = (*tenant, Arc::clone(plugin));
            let state = move |(source, state): (&Arc<str>, &Bytes)| {
                (tenant, Arc::clone(&plugin), Arc::clone(source), state.clone())
            };
            sources.iter().map(state).collect::<Vec<_>>()
        };
        plugins.iter().flat_map(of).collect()
    }

    /// Bytes that are kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// What a state takes, roughly: its bytes, its source's name, and a place in the table.
fn cost(source: &str, state: &Bytes) -> usize {
    state.len() + source.len() + 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_kept_within_their_room_and_forgotten_when_empty() {
        let (states, plugin) = (PluginStates::new(400), Arc::from("sparkplug_b"));
        let tenant = TenantId::DEFAULT;
        let set = |source: &str, bytes: usize| {
            states.set(tenant, source, &plugin, Bytes::from(vec![7; bytes]))
        };
        assert!(set("a", 100) && set("b", 100));
        assert!(!set("c", 200), "no room");
        assert!(!set("a", 300), "no room to grow");
        assert_eq!(states.get(tenant, "a", &plugin).unwrap().len(), 100, "what was kept stays");
        assert!(set("a", 0) && set("c", 100), "forgotten makes room");
        assert_eq!(states.get(tenant, "a", &plugin), None);
        assert_eq!(states.get(TenantId(2), "b", &plugin), None, "tenants do not meet");
        let mut sources: Vec<_> = states.to_vec().into_iter().map(|(_, _, s, _)| s).collect();
        sources.sort();
        assert_eq!(sources, [Arc::from("b"), Arc::from("c")]);
        assert!(set("b", 0) && set("c", 0));
        assert_eq!(states.bytes(), 0);
    }
}

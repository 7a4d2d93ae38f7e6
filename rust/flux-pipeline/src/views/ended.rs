//! What is over and can still be listed: bounded, oldest out first.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use foldhash::fast::RandomState;

#[derive(Debug)]
pub(super) struct Ended<Id, T> {
    order: VecDeque<Id>,
    entries: HashMap<Id, Arc<T>, RandomState>,
    len_max: usize,
}

impl<Id: Copy + Eq + Hash, T> Ended<Id, T> {
    pub(super) fn new(len_max: usize) -> Self {
        Self { order: VecDeque::new(), entries: HashMap::default(), len_max: len_max.max(1) }
    }

    pub(super) fn push(&mut self, id: Id, entry: Arc<T>) {
        if self.entries.insert(id, entry).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > self.len_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }

    pub(super) fn get(&self, id: Id) -> Option<&Arc<T>> {
        self.entries.get(&id)
    }

    /// The oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.order.iter().filter_map(|id| self.entries.get(id))
    }
}

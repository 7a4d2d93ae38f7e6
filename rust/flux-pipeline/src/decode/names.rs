//! Names of values, kept so that each is allocated once and not with every message.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// A bounded set of names.
#[derive(Debug)]
pub(super) struct Names {
    known: HashSet<Arc<str>, RandomState>,
    /// The names of the last sample in their order: most devices always send the same.
    last: Vec<Arc<str>>,
    kept_max: usize,
    /// Where names are put together; kept for its allocation.
    pub(super) path: String,
    /// How many values the last sample had.
    pub(super) count: usize,
}

impl Names {
    pub(super) fn new(kept_max: usize) -> Self {
        Self {
            known: HashSet::default(),
            last: Vec::new(),
            kept_max,
            path: String::new(),
            count: 0,
        }
    }

    /// The name in [`Names::path`], shared. `index` is which value of its sample it is.
    pub(super) fn get(&mut self, index: usize) -> Arc<str> {
        if let Some(name) = self.last.get(index)
            && **name == *self.path
        {
            return Arc::clone(name);
        }
        let name = match self.known.get(self.path.as_str()) {
            Some(name) => Arc::clone(name),
            None => self.keep(),
        };
        if let Some(last) = self.last.get_mut(index) {
            *last = Arc::clone(&name);
        } else if self.last.len() == index && index < self.kept_max {
            self.last.push(Arc::clone(&name));
        }
        name
    }

    /// A sender of ever new names must not make us keep them all, nor keep others from being kept.
    fn keep(&mut self) -> Arc<str> {
        if self.known.len() >= self.kept_max {
            self.known.clear();
        }
        let name: Arc<str> = self.path.as_str().into();
        self.known.insert(Arc::clone(&name));
        name
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.known.len().max(self.last.len())
    }
}

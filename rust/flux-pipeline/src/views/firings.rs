//! The most recent firings, for people to look at.

use std::collections::VecDeque;
use std::sync::Arc;

use flux_types::{Position, RuleId, TenantId};

use super::after;
use crate::firing::Firing;

/// A bounded list of firings in the order they were committed.
#[derive(Debug)]
pub struct Firings {
    /// By the firing record's own position.
    recent: VecDeque<(Position, Arc<Firing>)>,
    len_max: usize,
}

/// Which firings are wanted.
#[derive(Debug, Clone, Default)]
pub struct FiringQuery {
    /// Of that rule only.
    pub rule: Option<RuleId>,
    /// Of the device with that key only.
    pub device: Option<String>,
    /// Recorded before the firing of that id only; none if there is no such firing any more.
    pub before: Option<String>,
    /// At most so many.
    pub limit: usize,
}

impl Firings {
    /// An empty list that keeps `len_max`.
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        Self { recent: VecDeque::new(), len_max: len_max.max(1) }
    }

    /// Takes a firing recorded at `position`; one that is there already changes nothing.
    pub fn apply(&mut self, position: Position, firing: Arc<Firing>) {
        let at = self.recent.partition_point(|(known, _)| *known < position);
        if self.recent.get(at).is_some_and(|(known, _)| *known == position) {
            return;
        }
        if self.recent.len() == self.len_max {
            if at == 0 {
                return; // older than all that is kept
            }
            self.recent.pop_front();
            self.recent.insert(at - 1, (position, firing));
        } else {
            self.recent.insert(at, (position, firing));
        }
    }

    /// The newest first.
    #[must_use]
    pub fn list(&self, tenant: TenantId, query: &FiringQuery) -> Vec<(Position, Arc<Firing>)> {
        let wanted = |(_, firing): &&(Position, Arc<Firing>)| {
            firing.tenant == tenant
                && query.rule.is_none_or(|rule| firing.rule == rule)
                && query.device.as_deref().is_none_or(|key| firing.device.as_deref() == Some(key))
        };
        let known = after(self.recent.iter().rev(), query.before.as_deref(), |(_, firing), id| {
            firing.id == id
        });
        known.filter(wanted).take(query.limit).cloned().collect()
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.recent.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.recent.is_empty()
    }

    /// The oldest first, for a snapshot.
    pub fn iter(&self) -> impl Iterator<Item = &(Position, Arc<Firing>)> {
        self.recent.iter()
    }
}

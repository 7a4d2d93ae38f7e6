//! Webhooks that wait for delivery: the part of the outbox that Python carries out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flux_types::{Position, TenantId};
use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One webhook to deliver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingWebhook {
    /// The entry.
    pub id: Uuid,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where to.
    pub url: String,
    /// Headers to add.
    pub headers: BTreeMap<String, String>,
    /// What to send, JSON.
    pub body: serde_json::Value,
    /// The firing that asked for it.
    pub firing: String,
    /// When it was asked for, ms since 1970.
    pub requested_ms: i64,
    /// How long it may be tried, ms.
    pub max_age_ms: u64,
    /// The firing's record.
    pub position: Position,
}

/// The webhooks not yet delivered or given up, in the order they were asked for.
#[derive(Debug)]
pub struct Webhooks {
    pending: BTreeMap<(Position, Uuid), Arc<PendingWebhook>>,
    places: HashMap<Uuid, Position, RandomState>,
    /// Handed to the deliverer and not yet reported on: not handed out again.
    taken: std::collections::BTreeSet<(Position, Uuid)>,
    len_max: usize,
    /// The last record of an end: what is no longer here depends on it.
    ended: Position,
}

impl Webhooks {
    /// None.
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        Self {
            pending: BTreeMap::new(),
            places: HashMap::default(),
            taken: std::collections::BTreeSet::new(),
            len_max: len_max.max(1),
            ended: Position::START,
        }
    }

    /// Takes one more; if there is no room, gives back the oldest, which is to be recorded as
    /// given up.
    pub fn add(&mut self, webhook: PendingWebhook) -> Option<Arc<PendingWebhook>> {
        let place = (webhook.position, webhook.id);
        self.places.insert(webhook.id, webhook.position);
        self.pending.insert(place, Arc::new(webhook));
        if self.pending.len() <= self.len_max {
            return None;
        }
        let oldest = self.pending.values().next()?.id;
        self.finish(oldest)
    }

    /// Up to `max` that nobody delivers yet, the oldest first.
    pub fn take(&mut self, max: usize) -> Vec<Arc<PendingWebhook>> {
        let free =
            |(place, _): &(&(Position, Uuid), &Arc<PendingWebhook>)| !self.taken.contains(*place);
        let found: Vec<_> = self
            .pending
            .iter()
            .filter(free)
            .take(max)
            .map(|(place, webhook)| (*place, Arc::clone(webhook)))
            .collect();
        self.taken.extend(found.iter().map(|(place, _)| *place));
        found.into_iter().map(|(_, webhook)| webhook).collect()
    }

    /// Hands back what was taken without an end, so that it is handed out again.
    pub fn give_back(&mut self, id: Uuid) {
        if let Some(position) = self.places.get(&id) {
            self.taken.remove(&(*position, id));
        }
    }

    /// Takes one away that was delivered or given up.
    pub fn finish(&mut self, id: Uuid) -> Option<Arc<PendingWebhook>> {
        let place = (self.places.remove(&id)?, id);
        self.taken.remove(&place);
        self.pending.remove(&place)
    }

    /// Notes that an end was recorded at `position`.
    pub fn note_end(&mut self, position: Position) {
        self.ended = self.ended.max(position);
    }

    /// The last record of an end in this run.
    #[must_use]
    pub fn last_end(&self) -> Position {
        self.ended
    }

    /// The one of that id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&Arc<PendingWebhook>> {
        self.places.get(&id).and_then(|position| self.pending.get(&(*position, id)))
    }

    /// How many wait or are being delivered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<PendingWebhook>> {
        self.pending.values()
    }
}

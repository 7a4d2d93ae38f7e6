//! What a shard has decided and not yet written.

use std::sync::Arc;

use bytes::Bytes;
use flux_types::{CommandId, Key, Message, Position, TenantId};

use crate::firing::Firing;
use crate::ingest::shard_hash;
use crate::journal::{
    CommandEvent, Cursor, Draft, DraftError, MessageFlags, PluginStateEvent, RecordKind,
};

/// Beyond this much a batch is written even though its messages have not all been decided.
const BYTES_LARGE: usize = 1 << 20;

/// Firings, publications and replies of one batch.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    journal: Draft,
    /// With the place of each firing's record in the batch.
    firings: Vec<(usize, Arc<Firing>)>,
    publications: Vec<Arc<Message>>,
    replies: Vec<(TenantId, Key, Bytes)>,
    finished: Vec<(usize, TenantId, CommandEvent)>,
}

impl Decided {
    /// Whether nothing needs writing.
    pub(crate) fn is_empty(&self) -> bool {
        self.journal.is_empty()
    }

    pub(crate) fn is_large(&self) -> bool {
        self.journal.body_bytes() > BYTES_LARGE
    }

    pub(crate) fn journal(&self) -> &Draft {
        &self.journal
    }

    pub(crate) fn clear(&mut self) {
        self.journal.clear();
        self.firings.clear();
        self.publications.clear();
        self.replies.clear();
        self.finished.clear();
    }

    /// Adds a firing.
    ///
    /// # Errors
    /// It has no form in the log; nothing was added.
    pub(crate) fn fire(&mut self, firing: &Firing, wall_ns: i64) -> Result<(), DraftError> {
        let place = self.journal.len();
        self.journal.event(RecordKind::Firing, firing.tenant, wall_ns, firing)?;
        self.firings.push((place, Arc::new(firing.clone())));
        Ok(())
    }

    /// Adds a message that a rule publishes. With `wait`, its shard routes it once it is on disk;
    /// without, it is routed as soon as it is appended.
    pub(crate) fn publish(&mut self, message: Message, wait: bool) {
        let flags = MessageFlags { at_once: false, route: wait };
        self.journal.message(&message, shard_hash(&message.source), flags);
        if !wait {
            self.publications.push(Arc::new(message));
        }
    }

    pub(crate) fn reply(&mut self, tenant: TenantId, device: Key, payload: Bytes) {
        self.replies.push((tenant, device, payload));
    }

    /// Adds what a plugin keeps of a source from here on.
    ///
    /// # Errors
    /// It has no form in the log; nothing was added.
    pub(crate) fn keep(
        &mut self,
        tenant: TenantId,
        event: &PluginStateEvent,
        wall_ns: i64,
    ) -> Result<(), DraftError> {
        self.journal.event(RecordKind::PluginState, tenant, wall_ns, event)
    }

    /// Adds how far the shard has come; in the same batch as what it decided on the way.
    pub(crate) fn note_cursor(&mut self, cursor: Cursor) {
        if let Err(error) = self.journal.event(RecordKind::Cursor, TenantId::DEFAULT, 0, &cursor) {
            tracing::error!(%error, "a cursor was not noted");
        }
    }

    /// The firings with the positions their records were given.
    pub(crate) fn take_firings(&mut self, positions: &[Position]) -> Vec<(Position, Arc<Firing>)> {
        self.firings
            .drain(..)
            .filter_map(|(place, firing)| Some((*positions.get(place)?, firing)))
            .collect()
    }

    /// The messages to route now.
    pub(crate) fn take_publications(&mut self) -> Vec<Arc<Message>> {
        std::mem::take(&mut self.publications)
    }

    pub(crate) fn take_replies(&mut self) -> Vec<(TenantId, Key, Bytes)> {
        std::mem::take(&mut self.replies)
    }

    /// Adds how a command ended.
    ///
    /// # Errors
    /// It has no form in the log; nothing was added.
    pub(crate) fn finish(
        &mut self,
        tenant: TenantId,
        event: CommandEvent,
        wall_ns: i64,
    ) -> Result<(), DraftError> {
        let place = self.journal.len();
        self.journal.event(RecordKind::Command, tenant, wall_ns, &event)?;
        self.finished.push((place, tenant, event));
        Ok(())
    }

    /// Whether this batch ends that command already: a device may say it twice.
    pub(crate) fn has_finished(&self, id: CommandId) -> bool {
        let ends = |event: &CommandEvent| matches!(event, CommandEvent::Finished { id: ended, .. } if *ended == id);
        self.finished.iter().any(|(_, _, event)| ends(event))
    }

    pub(crate) fn take_finished(
        &mut self,
        positions: &[Position],
    ) -> Vec<(Position, TenantId, CommandEvent)> {
        self.finished
            .drain(..)
            .filter_map(|(place, tenant, event)| Some((*positions.get(place)?, tenant, event)))
            .collect()
    }
}

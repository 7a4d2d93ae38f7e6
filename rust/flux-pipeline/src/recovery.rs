//! From disk to where we were: the views from their snapshot and the log behind it.
//!
//! Owns the replay before the shards start. Must never cause an effect: what is still to be done
//! is handed to the outbox, and what is still to be decided is where the shards begin to read.

use std::collections::BTreeMap;
use std::sync::Arc;

use flux_log::{Batch, Log, LogError, Record};
use flux_types::{FiringId, Position, TenantId, hex};

use crate::counters::{Counters, count};
use crate::error::PipelineError;
use crate::firing::{Action, Firing};
use crate::journal::{
    AlarmEvent, Cause, CommandEvent, Cursor, DecodedMessage, JournalError, PluginStateEvent,
    PresenceEvent, RecordKind, WebhookEvent, read_event,
};
use crate::outbox::{OpenAlarmAction, pending_webhook, requested_by};
use crate::shard::{Decider, Fired, decision};
use crate::views::{Snapshot, Views};

/// The name of the views' snapshot in the log.
pub const SNAPSHOT_NAME: &str = "views";

/// What recovery found still to be done.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Where each shard goes on.
    pub(crate) starts: Vec<Position>,
    /// Alarms to raise or clear whose firing is on disk and whose change is not.
    pub(crate) alarms: Vec<OpenAlarmAction>,
    /// Firings recorded for messages that will be decided again.
    pub(crate) fired: Fired,
    /// Up to where messages may have been decided before.
    pub(crate) end: Position,
    /// Records read.
    pub(crate) records: u64,
}

struct Replay<'a> {
    views: &'a Views,
    counters: &'a Counters,
    decider: &'a mut Decider,
    cursors: Cursors,
    /// By cause, with the firing's record: they are to be carried out in the order of the log.
    alarms: BTreeMap<Cause, (Position, OpenAlarmAction)>,
    fired: Vec<FiringId>,
    end: Position,
    records: u64,
}

/// Fills the views.
///
/// # Errors
/// The log or the snapshot cannot be read.
pub(crate) fn recover(
    log: &Log,
    views: &Views,
    counters: &Counters,
    decider: &mut Decider,
    shards: usize,
) -> Result<Recovered, PipelineError> {
    let mut replay = Replay {
        views,
        counters,
        decider,
        cursors: Cursors::default(),
        alarms: BTreeMap::new(),
        fired: Vec::new(),
        end: Position::START,
        records: 0,
    };
    let mut reader = match log.load_snapshot(SNAPSHOT_NAME)? {
        Some(saved) => {
            if saved.fell_back {
                tracing::warn!("the newest snapshot is damaged; going on from the one before");
            }
            let snapshot = Snapshot::from_bytes(&saved.bytes)?;
            snapshot.cursors.iter().for_each(|cursor| replay.cursors.note(*cursor));
            snapshot.restore(views);
            // reviewing goes on from there, apart: what it keeps on the way is thrown away
            for (tenant, plugin, source, state) in views.plugin_states.to_vec() {
                replay.decider.plugin_states().set(tenant, &source, &plugin, state);
            }
            replay.end = saved.position;
            log.reader_after(saved.position)
        }
        None => log.reader(log.oldest().unwrap_or(Position::START)),
    };
    loop {
        match reader.next_batch() {
            Ok(Some(batch)) => replay.batch(&batch),
            Ok(None) => break,
            Err(error @ (LogError::Retired { .. } | LogError::DamagedRange(_))) => {
                count(&counters.records_unreadable);
                tracing::error!(%error, "records are missing from the views");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(replay.finish(shards))
}

impl Replay<'_> {
    fn batch(&mut self, batch: &Batch) {
        for record in batch {
            self.records += 1;
            self.end = record.position;
            if let Err(error) = self.record(batch, &record) {
                count(&self.counters.records_unreadable);
                tracing::error!(position = %record.position, %error, "a record was passed over");
            }
        }
    }

    fn record(&mut self, batch: &Batch, record: &Record<'_>) -> Result<(), JournalError> {
        let Some(kind) = RecordKind::from_number(record.kind) else {
            count(&self.counters.records_unreadable);
            return Ok(());
        };
        let (tenant, position) = (record.tenant, record.position);
        match kind {
            RecordKind::Message => {
                let message = DecodedMessage::read(batch, record)?.message;
                self.decider.review(position, &message);
            }
            RecordKind::Firing => self.firing(position, read_event(kind, record.body)?),
            RecordKind::Cursor => {
                self.cursors.note(read_event(kind, record.body)?);
            }
            RecordKind::Alarm => self.alarm(tenant, position, &read_event(kind, record.body)?),
            RecordKind::Command => {
                let event: CommandEvent = read_event(kind, record.body)?;
                self.views.commands.lock().apply(tenant, position, &event);
            }
            RecordKind::Webhook => {
                let event: WebhookEvent = read_event(kind, record.body)?;
                self.views.webhooks.lock().finish(event.id);
            }
            RecordKind::PluginState => {
                let event: PluginStateEvent = read_event(kind, record.body)?;
                self.keep(tenant, &event);
            }
            RecordKind::Presence => {
                let event: PresenceEvent = read_event(kind, record.body)?;
                self.views.presence.lock().restore(event.device, event.at_ms);
            }
        }
        Ok(())
    }

    fn keep(&mut self, tenant: TenantId, event: &PluginStateEvent) {
        let PluginStateEvent { plugin, source, state } = event;
        let state = hex::decode(state).unwrap_or_default();
        let plugin = plugin.as_str().into();
        if !self.views.plugin_states.set(tenant, source, &plugin, state.into()) {
            count(&self.counters.plugin_states_refused);
        }
    }

    fn firing(&mut self, position: Position, firing: Firing) {
        match firing.id.parse() {
            Ok(id) => self.fired.push(id),
            Err(error) => tracing::error!(firing = firing.id, %error, "cannot be told again"),
        }
        for (index, action) in firing.actions.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            match action {
                Action::Command { .. } => {
                    if let Some(command) = requested_by(position, &firing, index, action) {
                        self.views.commands.lock().request(command);
                    }
                }
                Action::Webhook { .. } => {
                    if let Some(webhook) = pending_webhook(position, &firing, action) {
                        self.views.webhooks.lock().add(webhook);
                    }
                }
                Action::RaiseAlarm { .. } | Action::ClearAlarm { .. } => {
                    let cause = Cause { firing: firing.id.clone(), action: index };
                    let open = OpenAlarmAction {
                        tenant: firing.tenant,
                        device: firing.device.as_deref().map(str::to_owned),
                        cause: cause.clone(),
                        action: action.clone(),
                    };
                    self.alarms.insert(cause, (position, open));
                }
                Action::Publish { .. } | Action::Refused { .. } => {}
            }
        }
        self.views.firings.lock().apply(position, Arc::new(firing));
    }

    fn alarm(&mut self, tenant: TenantId, position: Position, event: &AlarmEvent) {
        if let AlarmEvent::Raised { cause, .. } | AlarmEvent::Cleared { cause, .. } = event
            && let Some(cause) = cause
        {
            self.alarms.remove(cause);
        }
        self.views.alarms.lock().apply(tenant, position, event);
    }

    fn finish(self, shards: usize) -> Recovered {
        let starts = self.cursors.starts(shards);
        let lowest = starts.iter().min().copied().unwrap_or(Position::START);
        let mut alarms: Vec<_> = self.alarms.into_values().collect();
        alarms.sort_by_key(|(position, open)| (*position, open.cause.action));
        Recovered {
            starts,
            alarms: alarms.into_iter().map(|(_, open)| open).collect(),
            fired: self.fired.iter().filter(|id| id.position > lowest).map(decision).collect(),
            end: self.end,
            records: self.records,
        }
    }
}

/// How far the shards had come, out of what they noted.
#[derive(Debug, Default)]
struct Cursors {
    /// Where every shard stands at least.
    base: Position,
    /// By shard; one that noted nothing stands at `base`.
    noted: BTreeMap<u32, Position>,
    /// How many shards divided the messages when these notes were made.
    shards: u32,
}

impl Cursors {
    /// A snapshot may know of a shard what a note written before and read after it does not: the
    /// furthest counts. A note that knows another number of shards begins a new division, at what
    /// all of the one before had reached.
    fn note(&mut self, cursor: Cursor) {
        if self.shards != cursor.shards {
            self.base = self.lowest();
            self.noted.clear();
            self.shards = cursor.shards;
        }
        let known = self.noted.entry(cursor.shard).or_insert(self.base);
        *known = cursor.up_to.max(*known);
    }

    fn of(&self, shard: u32) -> Position {
        self.noted.get(&shard).copied().unwrap_or(self.base)
    }

    fn lowest(&self) -> Position {
        (0..self.shards).map(|shard| self.of(shard)).min().unwrap_or(self.base)
    }

    /// Where `shards` shards go on: each at its own cursor, or, if there were another number of
    /// them, all at what every one of those had reached.
    fn starts(&self, shards: usize) -> Vec<Position> {
        match u32::try_from(shards) {
            Ok(count) if count == self.shards => (0..count).map(|shard| self.of(shard)).collect(),
            _ => vec![self.lowest(); shards],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Position {
        Position { epoch: 1, offset }
    }

    fn cursors(notes: &[(u32, u32, u64)]) -> Cursors {
        let mut cursors = Cursors::default();
        for (shard, shards, offset) in notes {
            cursors.note(Cursor { shard: *shard, shards: *shards, up_to: at(*offset) });
        }
        cursors
    }

    #[test]
    fn shard_that_noted_nothing_begins_at_the_beginning() {
        assert_eq!(cursors(&[(1, 2, 70)]).starts(2), [Position::START, at(70)]);
        assert_eq!(cursors(&[(1, 2, 70)]).starts(1), [Position::START]);
    }

    #[test]
    fn shards_of_another_number_begin_at_what_all_had_reached() {
        assert_eq!(cursors(&[(0, 2, 90), (1, 2, 70)]).starts(3), [at(70); 3]);
        // the new ones move on, the notes of the old ones stay what they were
        let moved = cursors(&[(0, 2, 90), (1, 2, 70), (0, 1, 95)]);
        assert_eq!(moved.starts(1), [at(95)]);
        let moved = cursors(&[(0, 1, 50), (2, 3, 80)]);
        assert_eq!(moved.starts(3), [at(50), at(50), at(80)]);
    }

    #[test]
    fn note_older_than_the_snapshot_takes_nothing_back() {
        assert_eq!(cursors(&[(0, 1, 90), (0, 1, 60)]).starts(1), [at(90)]);
    }
}

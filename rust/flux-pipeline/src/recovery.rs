//! From disk to where we were: the views from their snapshot and the log behind it.
//!
//! Owns the replay before the shards start. Must never cause an effect: what is still to be done
//! is handed to the outbox, and what is still to be decided is where the shards begin to read.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use flux_log::{Batch, Log, LogError, Record};
use flux_types::{Position, TenantId};

use crate::counters::{Counters, count};
use crate::error::PipelineError;
use crate::firing::{Action, Firing};
use crate::journal::{
    AlarmEvent, Cause, CommandEvent, Cursor, DecodedMessage, JournalError, PresenceEvent,
    RecordKind, WebhookEvent, read_event,
};
use crate::outbox::{OpenAlarmAction, pending_webhook, requested_by};
use crate::shard::Decider;
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
    pub(crate) fired: HashSet<String>,
    /// Up to where messages may have been decided before.
    pub(crate) end: Position,
    /// Records read.
    pub(crate) records: u64,
}

struct Replay<'a> {
    views: &'a Views,
    counters: &'a Counters,
    decider: &'a mut Decider,
    cursors: BTreeMap<u32, Cursor>,
    alarms: BTreeMap<Cause, OpenAlarmAction>,
    fired: Vec<(Position, String)>,
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
        cursors: BTreeMap::new(),
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
            replay.cursors =
                snapshot.cursors.iter().map(|cursor| (cursor.shard, *cursor)).collect();
            snapshot.restore(views);
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
                let cursor: Cursor = read_event(kind, record.body)?;
                self.cursor(cursor);
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
            RecordKind::Presence => {
                let event: PresenceEvent = read_event(kind, record.body)?;
                self.views.presence.lock().restore(event.device, event.at_ms);
            }
        }
        Ok(())
    }

    /// A snapshot may know of a shard what a note written before and read after it does not.
    fn cursor(&mut self, cursor: Cursor) {
        let known = self.cursors.entry(cursor.shard).or_insert(cursor);
        if known.shards != cursor.shards || known.up_to < cursor.up_to {
            *known = cursor;
        }
    }

    fn firing(&mut self, position: Position, firing: Firing) {
        self.fired.push((firing.position, firing.id.clone()));
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
                    self.alarms.insert(cause, open);
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

    /// Where the shards go on: each at its own cursor, or, if there were another number of shards,
    /// all at the last that every one of those had reached.
    fn finish(self, shards: usize) -> Recovered {
        let same = self.cursors.len() == shards
            && self.cursors.values().all(|cursor| cursor.shards as usize == shards);
        let lowest = self.cursors.values().map(|cursor| cursor.up_to).min();
        let lowest = lowest.unwrap_or(Position::START);
        let starts = if same {
            self.cursors.values().map(|cursor| cursor.up_to).collect()
        } else {
            vec![lowest; shards]
        };
        Recovered {
            starts,
            alarms: self.alarms.into_values().collect(),
            fired: self
                .fired
                .into_iter()
                .filter(|(message, _)| *message > lowest)
                .map(|(_, id)| id)
                .collect(),
            end: self.end,
            records: self.records,
        }
    }
}

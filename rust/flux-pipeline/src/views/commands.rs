//! Commands: from requested to replied, or too late.

use std::collections::HashMap;
use std::sync::Arc;

use flux_types::{CommandId, Position, TenantId};
use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::{Ended, ViewLimits, after};
use crate::journal::{Cause, CommandEvent};

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandStatus {
    /// It waits for the device to be there.
    Pending,
    /// The device's connection has it.
    Sent,
    /// The device replied that it is done.
    Succeeded,
    /// The device replied that it could not.
    Failed,
    /// It waited longer than its `max_age` and was never sent.
    Expired,
    /// It was sent and no reply came in time.
    Unanswered,
}

impl CommandStatus {
    /// Whether nothing more will happen to it.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Sent)
    }
}

/// One command to one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The command.
    pub id: CommandId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Key of the device.
    pub device: String,
    /// What to do.
    pub command: String,
    /// With what.
    pub params: serde_json::Value,
    /// The firing that asked for it; none when the API did.
    pub cause: Option<Cause>,
    /// Where it stands.
    pub status: CommandStatus,
    /// When it was asked for, ms since 1970.
    pub requested_ms: i64,
    /// How long it may wait to be sent, ms.
    pub max_age_ms: u64,
    /// When it was handed to the device's connection, ms since 1970.
    pub sent_ms: Option<i64>,
    /// When it ended, ms since 1970.
    pub finished_ms: Option<i64>,
    /// What the device said, or why not.
    pub result: Option<serde_json::Value>,
    /// The last record that changed it.
    pub position: Position,
}

impl Command {
    /// When it is too late to send it, ms since 1970.
    #[must_use]
    pub fn expires_ms(&self) -> i64 {
        self.requested_ms.saturating_add(i64::try_from(self.max_age_ms).unwrap_or(i64::MAX))
    }
}

/// All commands that are open, and the last that ended.
#[derive(Debug)]
pub struct Commands {
    open: HashMap<CommandId, Arc<Command>, RandomState>,
    ended: Ended<CommandId, Command>,
    open_len_max: usize,
}

/// Which commands are wanted.
#[derive(Debug, Clone, Default)]
pub struct CommandQuery {
    /// In that status only.
    pub status: Option<CommandStatus>,
    /// To the device with that key only.
    pub device: Option<String>,
    /// Behind the one of that id only; none if there is no such one any more.
    pub before: Option<String>,
    /// At most so many.
    pub limit: usize,
}

impl Commands {
    /// No commands.
    #[must_use]
    pub fn new(limits: &ViewLimits) -> Self {
        Self {
            open: HashMap::default(),
            ended: Ended::new(limits.commands_ended_len_max),
            open_len_max: limits.commands_open_len_max,
        }
    }

    /// The command of that id, open or among the last that ended.
    #[must_use]
    pub fn get(&self, id: CommandId) -> Option<&Arc<Command>> {
        self.open.get(&id).or_else(|| self.ended.get(id))
    }

    /// Whether one more can be taken.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.open.len() < self.open_len_max
    }

    /// How many are open.
    #[must_use]
    pub fn open_len(&self) -> usize {
        self.open.len()
    }

    /// The open ones, in no order.
    pub fn open(&self) -> impl Iterator<Item = &Arc<Command>> {
        self.open.values()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Command>> {
        self.ended.iter().chain(self.open.values())
    }

    /// Takes a command that was asked for; one that is there already is left as it is.
    pub fn request(&mut self, command: Command) -> Option<Arc<Command>> {
        if self.get(command.id).is_some() {
            return None;
        }
        let command = Arc::new(command);
        self.open.insert(command.id, Arc::clone(&command));
        Some(command)
    }

    /// Takes an event recorded at `position`; one that was taken already changes nothing. Gives
    /// the command as it is now, if it changed.
    pub fn apply(
        &mut self,
        tenant: TenantId,
        position: Position,
        event: &CommandEvent,
    ) -> Option<Arc<Command>> {
        match event {
            CommandEvent::Requested { id, device, command, params, max_age_ms, at_ms } => self
                .request(Command {
                    id: *id,
                    tenant,
                    device: device.clone(),
                    command: command.clone(),
                    params: params.clone(),
                    cause: None,
                    status: CommandStatus::Pending,
                    requested_ms: *at_ms,
                    max_age_ms: *max_age_ms,
                    sent_ms: None,
                    finished_ms: None,
                    result: None,
                    position,
                }),
            CommandEvent::Sent { id, at_ms } => {
                let entry = self.open.get_mut(id).filter(|known| known.position < position)?;
                let known = Arc::make_mut(entry);
                known.status = CommandStatus::Sent;
                known.sent_ms = Some(*at_ms);
                known.position = position;
                Some(Arc::clone(entry))
            }
            CommandEvent::Finished { id, status, result, at_ms } => {
                let mut command = Arc::unwrap_or_clone(self.open.remove(id)?);
                command.status = *status;
                command.result.clone_from(result);
                command.finished_ms = Some(*at_ms);
                command.position = position;
                let command = Arc::new(command);
                self.ended.push(*id, Arc::clone(&command));
                Some(command)
            }
        }
    }

    /// Puts back what a snapshot kept.
    pub fn restore(&mut self, command: Command) {
        if command.status.is_final() {
            self.ended.push(command.id, Arc::new(command));
        } else {
            self.open.insert(command.id, Arc::new(command));
        }
    }

    /// The last asked for first.
    #[must_use]
    pub fn list(&self, tenant: TenantId, query: &CommandQuery) -> Vec<Arc<Command>> {
        let wanted = |command: &&Arc<Command>| {
            command.tenant == tenant
                && query.status.is_none_or(|status| command.status == status)
                && query.device.as_ref().is_none_or(|device| command.device == *device)
        };
        let mut found: Vec<_> = self.iter().filter(wanted).cloned().collect();
        found.sort_unstable_by_key(|command| {
            std::cmp::Reverse((command.requested_ms, command.position))
        });
        let before = query.before.as_deref();
        let known = after(found.into_iter(), before, |command, id| command.id.to_string() == id);
        known.take(query.limit).collect()
    }
}

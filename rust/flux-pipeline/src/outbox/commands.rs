//! Sends commands to devices that are there, keeps them for devices that are not, and gives up
//! those that are too late.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flux_registry::Registry;
use flux_types::{
    CommandId, Key, Message, MessageProperties, Position, Qos, SourceId, TenantId, Topic,
};
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use serde::Deserialize;

use super::{Input, OutboxHandle};
use crate::counters::{Counters, count};
use crate::firing::{Action, Firing};
use crate::journal::{Cause, CommandEvent, RecordKind};
use crate::live::{Live, LiveEvent};
use crate::ports::Delivery;
use crate::recorder::{PATIENCE, RecordError, Recorder};
use crate::views::{Command, CommandStatus, Commands};

/// The longest a request waits for the disk before its caller is told that it is slow.
const COMMIT_WAIT: Duration = Duration::from_secs(10);
/// The largest reply that is kept, bytes.
const REPLY_BYTES_MAX: usize = 64 * 1024;

/// Why a command was not taken.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The tenant has no such device.
    #[error("no device has the key {0:?}")]
    UnknownDevice(String),
    /// Too many commands are open.
    #[error("too many commands are open; wait for some to end")]
    TooMany,
    /// It was taken, and is not on disk after a long wait: it may still be sent.
    #[error("the command is not on disk yet; it may still be sent")]
    Slow,
    /// It could not be recorded.
    #[error("the command could not be recorded")]
    Record(#[from] RecordError),
}

/// What the API and recovery share with the outbox about commands. Cheap to clone.
#[derive(Clone)]
pub(crate) struct CommandShared {
    pub(crate) recorder: Recorder,
    pub(crate) registry: Arc<Registry>,
    pub(crate) delivery: Arc<dyn Delivery>,
    pub(crate) commands: Arc<Mutex<Commands>>,
    pub(crate) live: Live,
    pub(crate) counters: Arc<Counters>,
    pub(crate) reply_timeout: Duration,
}

/// The outbox's commands, with what waits for which device and until when.
pub(crate) struct CommandDesk {
    shared: CommandShared,
    waiting: HashMap<(TenantId, String), BTreeSet<(i64, CommandId)>, RandomState>,
    /// When each open command is too late, to be sent or to be replied to; ms since 1970.
    deadlines: BTreeSet<(i64, CommandId)>,
}

#[derive(Deserialize)]
struct Reply {
    id: CommandId,
    #[serde(default = "yes")]
    ok: bool,
    #[serde(default)]
    result: Option<serde_json::Value>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

fn yes() -> bool {
    true
}

/// The command that a firing's action asks for, if it is one.
#[must_use]
pub(crate) fn requested_by(
    position: Position,
    firing: &Firing,
    index: u32,
    action: &Action,
) -> Option<Command> {
    let Action::Command { id, device, command, params, max_age_ms } = action else { return None };
    Some(Command {
        id: *id,
        tenant: firing.tenant,
        device: device.clone(),
        command: command.clone(),
        params: params.clone(),
        cause: Some(Cause { firing: firing.id.clone(), action: index }),
        status: CommandStatus::Pending,
        requested_ms: firing.at_ms,
        max_age_ms: *max_age_ms,
        sent_ms: None,
        finished_ms: None,
        result: None,
        position,
    })
}

impl CommandShared {
    /// Takes a command from the API: returns once it is on disk and the outbox knows of it.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was taken then, unless it says so.
    pub(crate) fn request(
        &self,
        outbox: &OutboxHandle,
        (tenant, device): (TenantId, &str),
        (command, params): (&str, serde_json::Value),
        max_age_ms: u64,
    ) -> Result<CommandId, CommandError> {
        if self.registry.current().device_by_key(tenant, device).is_none() {
            return Err(CommandError::UnknownDevice(device.to_owned()));
        }
        let id = CommandId::random();
        let event = CommandEvent::Requested {
            id,
            device: device.to_owned(),
            command: command.to_owned(),
            params,
            max_age_ms,
            at_ms: self.recorder.now_ms(),
        };
        let taken = self.recorder.until_room(Some(PATIENCE), || {
            let mut commands = self.commands.lock();
            if !commands.has_room() {
                return Ok(None);
            }
            self.apply(&mut commands, tenant, &event).map(Some)
        })?;
        let position = taken.ok_or(CommandError::TooMany)?;
        let log = self.recorder.log();
        let committed = log.wait_committed(position, COMMIT_WAIT).map_err(RecordError::from)?;
        outbox.hand(Input::Requested(id));
        if committed { Ok(id) } else { Err(CommandError::Slow) }
    }

    fn apply(
        &self,
        commands: &mut Commands,
        tenant: TenantId,
        event: &CommandEvent,
    ) -> Result<Position, RecordError> {
        let position = self.recorder.append_event(RecordKind::Command, tenant, event)?;
        if let Some(changed) = commands.apply(tenant, position, event) {
            self.live.tell(tenant, LiveEvent::Command(changed));
        }
        Ok(position)
    }

    /// Records an event, or complains: recovery finds the command as it was and goes on from there.
    fn note(&self, tenant: TenantId, event: &CommandEvent) {
        let attempt = || self.apply(&mut self.commands.lock(), tenant, event);
        if let Err(error) = self.recorder.until_room(None, attempt) {
            tracing::error!(error = ?error, "a command's progress was not recorded");
        }
    }

    /// What a device's reply means for its command; none when it means nothing, which is counted.
    /// `ending` knows the commands that end in the batch under way.
    pub(crate) fn finished_by_reply(
        &self,
        tenant: TenantId,
        device: &Key,
        payload: &[u8],
        ending: impl Fn(CommandId) -> bool,
    ) -> Option<CommandEvent> {
        let reply = match serde_json::from_slice::<Reply>(payload) {
            Ok(reply) if payload.len() <= REPLY_BYTES_MAX => reply,
            outcome => {
                count(&self.counters.replies_unmatched);
                let reason = outcome.err().map(|error| error.to_string());
                let reason = reason.unwrap_or_else(|| "it is over 64 KiB".to_owned());
                tracing::warn!(%device, reason, "a reply is not {{\"id\", \"ok\", \"result\"}}");
                return None;
            }
        };
        let open = self.commands.lock().get(reply.id).is_some_and(|command| {
            // a device answers for itself only
            command.tenant == tenant
                && command.device == device.as_str()
                && !command.status.is_final()
        });
        if !open || ending(reply.id) {
            count(&self.counters.replies_unmatched);
            return None;
        }
        count(&self.counters.commands_replied);
        let status = if reply.ok { CommandStatus::Succeeded } else { CommandStatus::Failed };
        let result = reply.result.or(reply.error);
        let at_ms = self.recorder.now_ms();
        Some(CommandEvent::Finished { id: reply.id, status, result, at_ms })
    }

    /// Shows an event that was recorded at `position`.
    pub(crate) fn show(&self, tenant: TenantId, position: Position, event: &CommandEvent) {
        if let Some(changed) = self.commands.lock().apply(tenant, position, event) {
            self.live.tell(tenant, LiveEvent::Command(changed));
        }
    }

    fn message(&self, command: &Command, topic: Topic, now_ms: i64) -> Message {
        let payload = serde_json::json!({
            "id": command.id, "command": command.command, "params": command.params,
        });
        let left_ms = command.expires_ms().saturating_sub(now_ms);
        let expiry_s = u32::try_from(left_ms.max(1_000) / 1_000).unwrap_or(u32::MAX);
        Message {
            tenant: command.tenant,
            source: SourceId::new("engine:outbox"),
            topic,
            payload: Bytes::from(payload.to_string()),
            qos: Qos::AtLeastOnce,
            retain: false,
            received: self.recorder.now(),
            hops: 0,
            properties: Some(Arc::new(MessageProperties {
                expiry_s: Some(expiry_s),
                content_type: Some("application/json".into()),
                ..MessageProperties::default()
            })),
        }
    }
}

impl CommandDesk {
    pub(crate) fn new(shared: CommandShared) -> Self {
        Self { shared, waiting: HashMap::default(), deadlines: BTreeSet::new() }
    }

    /// Takes up what was open when the engine last stopped.
    pub(crate) fn resume(&mut self) {
        let open: Vec<Arc<Command>> = self.shared.commands.lock().open().cloned().collect();
        for command in open {
            self.watch(&command);
        }
    }

    pub(crate) fn begin(&mut self, position: Position, firing: &Firing, action: &Action) {
        let index = firing.actions.iter().position(|other| std::ptr::eq(other, action));
        let index = index.and_then(|index| u32::try_from(index).ok()).unwrap_or(u32::MAX);
        let Some(command) = requested_by(position, firing, index, action) else { return };
        let taken = {
            let mut commands = self.shared.commands.lock();
            if commands.has_room() { Ok(commands.request(command)) } else { Err(command.id) }
        };
        match taken {
            Ok(Some(command)) => {
                let live = LiveEvent::Command(Arc::clone(&command));
                self.shared.live.tell(command.tenant, live);
                self.watch(&command);
                self.try_send(&command);
            }
            Ok(None) => {} // known already: told again after a crash
            Err(id) => {
                count(&self.shared.counters.actions_refused);
                tracing::warn!(command = %id, "not sent: too many commands are open");
            }
        }
    }

    pub(crate) fn requested(&mut self, id: CommandId) {
        let command = self.shared.commands.lock().get(id).cloned();
        if let Some(command) = command.filter(|command| !command.status.is_final()) {
            self.watch(&command);
            self.try_send(&command);
        }
    }

    fn watch(&mut self, command: &Command) {
        let deadline = match command.status {
            CommandStatus::Pending => {
                let device = (command.tenant, command.device.clone());
                self.waiting.entry(device).or_default().insert((command.requested_ms, command.id));
                command.expires_ms()
            }
            _ => self.reply_deadline(command.sent_ms.unwrap_or(command.requested_ms)),
        };
        self.deadlines.insert((deadline, command.id));
    }

    fn reply_deadline(&self, sent_ms: i64) -> i64 {
        let timeout_ms = i64::try_from(self.shared.reply_timeout.as_millis()).unwrap_or(i64::MAX);
        sent_ms.saturating_add(timeout_ms)
    }

    fn unwatch(&mut self, command: &Command) {
        let device = (command.tenant, command.device.clone());
        if let Some(waiting) = self.waiting.get_mut(&device) {
            waiting.remove(&(command.requested_ms, command.id));
            if waiting.is_empty() {
                self.waiting.remove(&device);
            }
        }
        self.deadlines.remove(&(command.expires_ms(), command.id));
        if let Some(sent_ms) = command.sent_ms {
            self.deadlines.remove(&(self.reply_deadline(sent_ms), command.id));
        }
    }

    /// Sends a command if its device is there and it is not too late.
    fn try_send(&mut self, command: &Command) {
        let now_ms = self.shared.recorder.now_ms();
        if command.status != CommandStatus::Pending || now_ms >= command.expires_ms() {
            return; // done with, or its deadline has come: `tick` records that
        }
        let snapshot = self.shared.registry.current();
        let device = snapshot.device_by_key(command.tenant, &command.device);
        let Some(device) = device.filter(|device| device.enabled) else { return };
        let topic = match snapshot.command_topic(device) {
            Ok(topic) => topic,
            Err(error) => {
                tracing::warn!(command = %command.id, %error, "a command has no topic");
                return;
            }
        };
        let message = Arc::new(self.shared.message(command, topic, now_ms));
        if !self.shared.delivery.route_to_connected(&message) {
            return;
        }
        self.unwatch(command);
        self.deadlines.insert((self.reply_deadline(now_ms), command.id));
        count(&self.shared.counters.commands_sent);
        self.shared.note(command.tenant, &CommandEvent::Sent { id: command.id, at_ms: now_ms });
    }

    pub(crate) fn device_ready(&mut self, tenant: TenantId, device: &Key) {
        let Some(waiting) = self.waiting.get(&(tenant, device.to_string())) else { return };
        let ids: Vec<CommandId> = waiting.iter().map(|(_, id)| *id).collect();
        for id in ids {
            let command = self.shared.commands.lock().get(id).cloned();
            if let Some(command) = command {
                if command.status == CommandStatus::Pending {
                    self.try_send(&command);
                } else {
                    self.unwatch(&command);
                }
            }
        }
    }

    fn finish(
        &mut self,
        command: &Command,
        status: CommandStatus,
        result: Option<serde_json::Value>,
    ) {
        self.unwatch(command);
        let at_ms = self.shared.recorder.now_ms();
        let event = CommandEvent::Finished { id: command.id, status, result, at_ms };
        self.shared.note(command.tenant, &event);
    }

    /// Gives up what is too late; tells how long until the next may be.
    pub(crate) fn tick(&mut self) -> Option<Duration> {
        loop {
            let (deadline, id) = *self.deadlines.first()?;
            let now_ms = self.shared.recorder.now_ms();
            if deadline > now_ms {
                let left = u64::try_from(deadline.saturating_sub(now_ms)).unwrap_or(0);
                return Some(Duration::from_millis(left));
            }
            self.deadlines.pop_first();
            let command = self.shared.commands.lock().get(id).cloned();
            match command {
                Some(command) if command.status == CommandStatus::Pending => {
                    count(&self.shared.counters.commands_expired);
                    self.finish(&command, CommandStatus::Expired, Some("too late".into()));
                }
                Some(command) if command.status == CommandStatus::Sent => {
                    count(&self.shared.counters.commands_unanswered);
                    self.finish(&command, CommandStatus::Unanswered, Some("no reply".into()));
                }
                _ => {}
            }
        }
    }
}

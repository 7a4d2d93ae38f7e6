//! Carries out what firings call for, once they are on disk.
//!
//! Owns the thread `outbox`, which sends commands, raises and clears alarms and lays webhooks out
//! for delivery. A firing's record is its entry here; what was done is recorded in turn, so that
//! after a crash what is missing is done and what is there is not done again. Must never wait for
//! a shard: shards wait for it.

mod alarms;
mod commands;
mod webhooks;

pub use alarms::{AlarmDesk, AlarmError};
pub use commands::CommandError;
pub(crate) use commands::{CommandDesk, CommandShared, requested_by};
pub use webhooks::WebhookDesk;
pub(crate) use webhooks::pending as pending_webhook;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use flux_bus::{Closed, Doorbell, Receiver, Sender};
use flux_log::Log;
use flux_types::{CommandId, Key, Position, TenantId};
use parking_lot::Mutex;

use crate::firing::{Action, Firing};
use crate::journal::Cause;
use crate::live::{Live, LiveEvent};
use crate::views::Firings;

/// What comes to the outbox.
#[derive(Debug)]
pub(crate) enum Input {
    /// Firings in the order recorded. With a gate, nothing is done before that position is on disk.
    Decided { firings: Vec<(Position, Arc<Firing>)>, gate: Option<Position> },
    /// A device can take commands now.
    DeviceReady { tenant: TenantId, device: Key },
    /// A command asked for by the API is on disk.
    Requested(CommandId),
    /// Answer once everything that came before has been done.
    Barrier(SyncSender<()>),
}

/// How others reach the outbox.
#[derive(Debug, Clone)]
pub(crate) struct OutboxHandle {
    inputs: Sender<Input>,
}

impl OutboxHandle {
    pub(crate) fn new(inputs: Sender<Input>) -> Self {
        Self { inputs }
    }

    /// Hands something over, waiting for room. A closed outbox takes nothing: the engine stops and
    /// recovery goes on from the log.
    pub(crate) fn hand(&self, input: Input) {
        let _ = self.inputs.send(input, None);
    }

    /// Waits until everything handed over before has been done; false if that takes too long.
    pub(crate) fn barrier(&self, timeout: Duration) -> bool {
        let (done, waiting) = std::sync::mpsc::sync_channel(1);
        self.hand(Input::Barrier(done));
        waiting.recv_timeout(timeout).is_ok()
    }
}

/// An alarm's action that a crash kept from being carried out.
#[derive(Debug, Clone)]
pub(crate) struct OpenAlarmAction {
    pub(crate) tenant: TenantId,
    pub(crate) device: Option<String>,
    pub(crate) cause: Cause,
    pub(crate) action: Action,
}

/// The thread's state.
pub(crate) struct Outbox {
    pub(crate) inputs: Receiver<Input>,
    pub(crate) bell: Doorbell,
    pub(crate) log: Log,
    pub(crate) firings: Arc<Mutex<Firings>>,
    pub(crate) alarms: AlarmDesk,
    pub(crate) commands: CommandDesk,
    pub(crate) webhooks: WebhookDesk,
    pub(crate) live: Live,
    pub(crate) gated: Gate,
    /// Set once everybody who hands things over has ended.
    pub(crate) stopping: Arc<AtomicBool>,
}

/// What waits for the log, by the position it waits for.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    waiting: BTreeMap<Position, VecDeque<Input>>,
}

impl Gate {
    fn put(&mut self, gate: Position, input: Input) {
        self.waiting.entry(gate).or_default().push_back(input);
    }

    fn last(&self) -> Option<Position> {
        self.waiting.last_key_value().map(|(gate, _)| *gate)
    }

    fn forget_after(&mut self, committed: Position) {
        self.waiting.retain(|gate, _| *gate <= committed);
    }

    fn release(&mut self, committed: Position) -> Option<Input> {
        let mut first = self.waiting.first_entry().filter(|entry| *entry.key() <= committed)?;
        let input = first.get_mut().pop_front();
        if first.get().is_empty() {
            first.remove();
        }
        input
    }
}

const BATCH: usize = 256;
const TICK: Duration = Duration::from_millis(250);

impl Outbox {
    /// Runs until it is told to stop and nothing is left that is on disk; recovery does the rest.
    pub(crate) fn run(mut self, recovered: Vec<OpenAlarmAction>) {
        for open in recovered {
            self.alarms.carry_out(open.tenant, open.device.as_deref(), &open.cause, &open.action);
        }
        self.commands.resume();
        let mut batch = Vec::new();
        loop {
            let last = self.stopping.load(Ordering::Acquire);
            let closed = self.inputs.try_recv_batch(&mut batch, BATCH) == Err(Closed);
            let idle = batch.is_empty();
            for input in batch.drain(..) {
                self.admit(input);
            }
            self.release(self.log.committed());
            let next = self.commands.tick();
            if closed || (last && idle) {
                return;
            }
            if idle {
                self.bell.wait(Some(next.map_or(TICK, |until| until.min(TICK))));
            }
        }
    }

    fn admit(&mut self, input: Input) {
        let gate = match &input {
            Input::Decided { gate, .. } => *gate,
            Input::Barrier(_) => self.gated.last(),
            _ => None,
        };
        let committed = self.log.committed();
        if let Some(gate) = gate.filter(|gate| *gate > committed) {
            self.gated.put(gate, input);
            return;
        }
        // what was waiting for the commit that lets this pass came before it
        self.release(committed);
        self.carry_out(input);
    }

    fn release(&mut self, committed: Position) {
        if self.log.stopped().is_some() {
            // nothing will be committed any more: recovery does the rest, and whoever waits behind
            // it is told at once
            self.gated.forget_after(committed);
        }
        while let Some(input) = self.gated.release(committed) {
            self.carry_out(input);
        }
    }

    fn carry_out(&mut self, input: Input) {
        match input {
            Input::Decided { firings, .. } => {
                for (position, firing) in firings {
                    self.fire(position, &firing);
                }
            }
            Input::DeviceReady { tenant, device } => self.commands.device_ready(tenant, &device),
            Input::Requested(id) => self.commands.requested(id),
            Input::Barrier(done) => {
                // who no longer waits no longer cares
                let _ = done.try_send(());
            }
        }
    }

    fn fire(&mut self, position: Position, firing: &Arc<Firing>) {
        self.firings.lock().apply(position, Arc::clone(firing));
        self.live.tell(firing.tenant, LiveEvent::Firing(Arc::clone(firing)));
        for (index, action) in firing.actions.iter().enumerate() {
            match action {
                Action::Command { .. } => self.commands.begin(position, firing, action),
                Action::RaiseAlarm { .. } | Action::ClearAlarm { .. } => {
                    let cause = Cause {
                        firing: firing.id.clone(),
                        action: u32::try_from(index).unwrap_or(u32::MAX),
                    };
                    self.alarms.carry_out(firing.tenant, firing.device.as_deref(), &cause, action);
                }
                Action::Webhook { .. } => self.webhooks.begin(position, firing, action),
                Action::Publish { .. } | Action::Refused { .. } => {}
            }
        }
    }
}

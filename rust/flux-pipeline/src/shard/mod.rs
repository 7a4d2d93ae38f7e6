//! Shards: the threads that decode and decide.
//!
//! Owns the loop of one shard. It reads its share of the log in order, takes what need not wait
//! from its rings, and writes what it decided, with how far it has come, as one batch. Must never
//! wait for a subscriber, a device or Python; it waits for the disk and the outbox only.

mod chained;
mod decide;
mod decoders;
mod draft;
mod judge;
mod plugins;
mod scripts;

pub(crate) use decide::{Change, Decider, DeciderPorts, Fired, decision};
pub(crate) use draft::Decided;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use flux_bus::{Closed, Doorbell, Receiver};
use flux_log::{Batch, LogError, Reader};
use flux_types::{Message, Position, TenantId};

use crate::counters::{Counters, count};
use crate::ingest::{AtOnce, Progress, shard_of};
use crate::journal::{Cursor, DecodedMessage, MessageFlags, RecordKind};
use crate::outbox::{CommandShared, Input, OutboxHandle};
use crate::ports::Delivery;
use crate::recorder::{RecordError, Recorder};

/// What a shard is told while it runs.
pub(crate) enum Control {
    /// Take a change of configuration; answer with the problems met.
    Configure(Box<Change>, SyncSender<Vec<flux_types::Problem>>),
}

/// What a shard shares with the other rooms of the pipeline.
pub(crate) struct ShardPorts {
    pub(crate) recorder: Recorder,
    pub(crate) outbox: OutboxHandle,
    pub(crate) commands: CommandShared,
    pub(crate) delivery: Arc<dyn Delivery>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) counters: Arc<Counters>,
    /// Messages that rules made of rules' messages, not yet decided.
    pub(crate) publications: Arc<AtomicUsize>,
    pub(crate) stopping: Arc<AtomicBool>,
}

/// One shard.
pub(crate) struct Shard {
    pub(crate) index: usize,
    pub(crate) shards: usize,
    pub(crate) batch_len_max: usize,
    pub(crate) cursor_interval: Duration,
    pub(crate) bell: Doorbell,
    pub(crate) rings: Vec<Receiver<AtOnce>>,
    pub(crate) control: Receiver<Control>,
    pub(crate) feed: Reader,
    /// The last position decided.
    pub(crate) up_to: Position,
    /// Whether a message was decided since the log last said how far we are.
    pub(crate) unnoted: bool,
    pub(crate) noted_at: Instant,
    pub(crate) decider: Decider,
    pub(crate) ports: ShardPorts,
    pub(crate) decided: Decided,
}

/// The longest a shard sleeps: bounds what a lost wake-up could cost.
const TICK: Duration = Duration::from_millis(250);

/// The shard cannot go on: the log has stopped, or the engine does.
struct Halt;

impl Shard {
    /// Runs until the engine stops or the log does.
    pub(crate) fn run(mut self) {
        while self.turn().is_ok() {}
        let _ = self.note();
    }

    fn turn(&mut self) -> Result<(), Halt> {
        self.take_orders();
        let hurried = self.take_at_once()?;
        let read = self.take_from_log()?;
        if self.noted_at.elapsed() >= self.cursor_interval {
            self.note()?;
        }
        if hurried || read {
            return Ok(());
        }
        if self.ports.stopping.load(Ordering::Acquire) {
            return Err(Halt);
        }
        self.bell.wait(Some(TICK));
        Ok(())
    }

    fn take_orders(&mut self) {
        let mut orders = Vec::new();
        if self.control.try_recv_batch(&mut orders, usize::MAX) == Err(Closed) {
            return;
        }
        for order in orders {
            let Control::Configure(change, answer) = order;
            let problems = self.decider.configure(*change);
            // who no longer waits no longer cares
            let _ = answer.try_send(problems);
        }
    }

    /// Decides what came without promise. It must be looked at before the log: what a source sent
    /// so comes before what it sent with a promise afterwards.
    fn take_at_once(&mut self) -> Result<bool, Halt> {
        let mut batch = Vec::new();
        for ring in &mut self.rings {
            // a closed ring: its worker has ended, what it left was taken
            let _ = ring.try_recv_batch(&mut batch, self.batch_len_max);
        }
        for AtOnce { position, message } in &batch {
            self.decider.decide(*position, message, &mut self.decided);
        }
        let any = !batch.is_empty();
        self.conclude(false)?;
        Ok(any)
    }

    fn take_from_log(&mut self) -> Result<bool, Halt> {
        let batch = match self.feed.next_batch() {
            Ok(Some(batch)) => batch,
            Ok(None) => return Ok(false),
            Err(error @ (LogError::Retired { .. } | LogError::DamagedRange(_))) => {
                count(&self.ports.counters.records_unreadable);
                tracing::error!(shard = self.index, error = %error, "records are missing");
                return Ok(true);
            }
            Err(error) => {
                tracing::error!(shard = self.index, error = ?error, "the log cannot be read");
                return Err(Halt);
            }
        };
        // what a source sent at once before it sent these is in our ring by now
        self.take_at_once()?;
        for record in &batch {
            if RecordKind::from_number(record.kind) == Some(RecordKind::Message) {
                self.decide_record(&batch, &record);
            }
            self.up_to = record.position;
            if self.decided.is_large() {
                self.conclude(true)?;
            }
        }
        self.conclude(true)?;
        self.ports.progress.set(self.index, self.up_to);
        Ok(true)
    }

    fn decide_record(&mut self, batch: &Batch, record: &flux_log::Record<'_>) {
        let outcome = DecodedMessage::peek(record).and_then(|(hash, flags)| {
            if flags.at_once || shard_of(hash, self.shards) != self.index {
                return Ok(None);
            }
            DecodedMessage::read(batch, record).map(Some)
        });
        match outcome {
            Ok(None) => {}
            Ok(Some(DecodedMessage { message, flags, .. })) => {
                self.unnoted = true;
                self.decide_message(record.position, message, flags);
            }
            Err(error) => {
                count(&self.ports.counters.records_unreadable);
                tracing::error!(position = %record.position, %error, "a message was passed over");
            }
        }
    }

    fn decide_message(&mut self, position: Position, message: Message, flags: MessageFlags) {
        if message.hops == 0 {
            self.decider.decide(position, &message, &mut self.decided);
            return;
        }
        // a rule published it: whether or not it went out at once, it is decided from here
        if judge::is_cascade(message.hops) {
            let pending = &self.ports.publications;
            let one_less = |n: usize| n.checked_sub(1);
            let _ = pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        }
        let message = Arc::new(message);
        if flags.route {
            self.ports.delivery.route(&message);
        }
        self.decider.decide(position, &message, &mut self.decided);
    }

    /// Writes what was decided as one batch and hands on what it calls for. `promised`: the
    /// messages came from the log, and nothing is done before the firings are there too.
    fn conclude(&mut self, promised: bool) -> Result<(), Halt> {
        self.decider.end_batch();
        self.match_replies();
        if self.decided.is_empty() {
            return Ok(());
        }
        if promised {
            self.decided.note_cursor(self.cursor());
        }
        let positions = match self.ports.recorder.record(self.decided.journal()) {
            Ok(positions) => positions,
            Err(error) => return self.halt(&error),
        };
        if promised {
            self.unnoted = false;
            self.noted_at = Instant::now();
        }
        let firings = self.decided.take_firings(&positions);
        for (position, tenant, event) in self.decided.take_finished(&positions) {
            self.ports.commands.show(tenant, position, &event);
        }
        for message in self.decided.take_publications() {
            self.ports.delivery.route(&message);
        }
        if !firings.is_empty() {
            let gate = positions.last().copied().filter(|_| promised);
            self.ports.outbox.hand(Input::Decided { firings, gate });
        }
        self.decided.clear();
        Ok(())
    }

    /// Replies become the end of their commands, in the same batch as the cursor that passes them.
    fn match_replies(&mut self) {
        for (tenant, device, payload) in self.decided.take_replies() {
            let known = |id| self.decided.has_finished(id);
            let event = self.ports.commands.finished_by_reply(tenant, &device, &payload, known);
            let Some(event) = event else { continue };
            let wall_ns = self.ports.recorder.now().wall_ns;
            if let Err(error) = self.decided.finish(tenant, event, wall_ns) {
                tracing::error!(%device, %error, "a reply was not recorded");
            }
        }
    }

    fn cursor(&self) -> Cursor {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Cursor { shard: number(self.index), shards: number(self.shards), up_to: self.up_to }
    }

    /// Notes how far the shard is although nothing fired, so that less is decided again after a
    /// crash.
    fn note(&mut self) -> Result<(), Halt> {
        self.noted_at = Instant::now();
        if !self.unnoted {
            return Ok(());
        }
        let cursor = self.cursor();
        match self.ports.recorder.record_event(RecordKind::Cursor, TenantId::DEFAULT, &cursor) {
            Ok(_) => self.unnoted = false,
            Err(error) => return self.halt(&error),
        }
        Ok(())
    }

    fn halt(&self, error: &RecordError) -> Result<(), Halt> {
        if !matches!(error, RecordError::Stopping) {
            tracing::error!(shard = self.index, error = ?error, "decisions cannot be recorded");
        }
        Err(Halt)
    }
}

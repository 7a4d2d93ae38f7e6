//! The pipeline as a whole: started over an open log, reconfigured while it runs, stopped in
//! bounded time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flux_bus::{Doorbell, Notify, Sender, channel};
use flux_log::{Log, Subscription};
use flux_registry::{Applied, Changes, Identity, Registry};
use flux_types::{CommandId, DeviceId, Instants, Key, Position, Problem, TenantId};
use parking_lot::Mutex;

use crate::counters::Counters;
use crate::error::PipelineError;
use crate::ingest::{AtOnce, Ingest, Progress};
use crate::journal::{PresenceEvent, RecordKind};
use crate::live::{Live, LiveEvent};
use crate::outbox::{
    AlarmDesk, CommandDesk, CommandError, CommandShared, Gate, Input, Outbox, OutboxHandle,
    WebhookDesk,
};
use crate::ports::Delivery;
use crate::recorder::Recorder;
use crate::recovery::{Recovered, recover};
use crate::refusals::Refusals;
use crate::settings::PipelineSettings;
use crate::shard::{Change, Control, Decided, Decider, DeciderPorts, Shard, ShardPorts};
use crate::snapshotter::Snapshotter;
use crate::views::{Moment, PluginStates, Views};

/// What the pipeline is started with.
pub struct PipelineParts {
    /// The open log.
    pub log: Log,
    /// The configuration in force.
    pub registry: Arc<Registry>,
    /// Who hands messages to subscribers.
    pub delivery: Arc<dyn Delivery>,
    /// The clock of receive times.
    pub clock: Instants,
    /// How many hands bring messages in: one [`Ingest`] each.
    pub ingests: usize,
    /// Limits of scripts.
    pub rule_limits: flux_rules::Limits,
    /// The plugins that decode and look at messages.
    pub plugins: flux_wasm::Plugins,
    /// Where samples are kept; `None`: nowhere.
    pub series: Option<flux_tsdb::Store>,
}

/// A running pipeline.
pub struct Pipeline {
    settings: PipelineSettings,
    views: Views,
    live: Live,
    refusals: Refusals,
    counters: Arc<Counters>,
    alarms: AlarmDesk,
    commands: CommandShared,
    webhooks: WebhookDesk,
    recorder: Recorder,
    outbox: OutboxHandle,
    progress: Arc<Progress>,
    controls: Vec<Sender<Control>>,
    bells: Vec<Doorbell>,
    /// Shards stop first, then the outbox, then the snapshots.
    stopping: Arc<AtomicBool>,
    outbox_stopping: Arc<AtomicBool>,
    outbox_bell: Doorbell,
    threads: Mutex<Threads>,
    snapshotter: Arc<Snapshotter>,
    series: Option<flux_tsdb::Store>,
    recovered_records: u64,
    _subscriptions: Vec<Subscription>,
}

#[derive(Default)]
struct Threads {
    shards: Vec<JoinHandle<()>>,
    outbox: Option<JoinHandle<()>>,
    snapshots: Option<JoinHandle<()>>,
}

/// How the pipeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineHealth {
    /// Shards that run.
    pub shards_alive: usize,
    /// Shards there should be.
    pub shards: usize,
    /// Whether the outbox runs.
    pub outbox_alive: bool,
    /// Records committed and not yet decided.
    pub lag_records: u64,
}

/// How long a shard may take to take up a configuration.
const CONFIGURE_TIMEOUT: Duration = Duration::from_secs(10);

impl Pipeline {
    /// Restores the views, starts the threads, and gives the ways in.
    ///
    /// # Errors
    /// [`PipelineError`]; nothing runs then.
    pub fn start(
        settings: PipelineSettings,
        parts: PipelineParts,
    ) -> Result<(Self, Vec<Ingest>), PipelineError> {
        check(&settings)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let (log, clock) = (parts.log, parts.clock);
        let recorder = Recorder::new(log.clone(), clock, Arc::clone(&stopping));
        let views = Views::new(&settings.views);
        let live =
            Live::new(settings.ring_capacity).map_err(|error| setting("ring_capacity", &error))?;
        let refusals = Refusals::new(live.clone(), clock);
        let counters = Arc::new(Counters::default());
        let publications = Arc::new(AtomicUsize::new(0));
        let decider_ports = DeciderPorts {
            latest: Arc::clone(&views.latest),
            plugins: parts.plugins,
            plugin_states: Arc::clone(&views.plugin_states),
            series: parts.series.clone(),
            live: live.clone(),
            refusals: refusals.clone(),
            counters: Arc::clone(&counters),
            clock,
            publications: Arc::clone(&publications),
            publications_max: settings.publications_pending_max,
            hops_max: settings.hops_max,
            complained_s: Arc::new(AtomicU64::new(u64::MAX)),
            command_max_age_ms: duration_ms(settings.command_max_age),
            webhook_max_age_ms: duration_ms(settings.webhook_max_age),
        };
        let snapshot = parts.registry.snapshot();
        let everything = Arc::new(everything(&snapshot));
        let decider = |ports: DeciderPorts| {
            let snapshot = Arc::clone(&snapshot);
            let mut decider = Decider::new(ports, &parts.rule_limits, Arc::clone(&snapshot));
            let change = Change { snapshot, changes: Arc::clone(&everything) };
            for problem in decider.configure(change) {
                tracing::error!(%problem, "a part of the configuration does not work");
            }
            decider
        };
        // what is decided again after the cursors must find states as they were there: those that
        // come of reviewing are kept apart
        let states = PluginStates::new(settings.views.plugin_states_bytes_max);
        let reviewing = DeciderPorts { plugin_states: Arc::new(states), ..decider_ports.clone() };
        let mut reviewer = decider(reviewing);
        let durable = parts.series.as_ref().map(flux_tsdb::Store::durable_position);
        let recovered = recover(&log, &views, &counters, &mut reviewer, settings.shards, durable)?;
        refusals.forget(); // those were refused before

        let outbox_bell = Doorbell::new();
        let (inputs, outbox_in) = channel(settings.outbox_len_max, outbox_bell.clone())
            .map_err(|error| setting("outbox_len_max", &error))?;
        let outbox = OutboxHandle::new(inputs);
        let progress = Arc::new(Progress::new(settings.shards, settings.lag_records_max));
        let commands = CommandShared {
            recorder: recorder.clone(),
            registry: Arc::clone(&parts.registry),
            delivery: Arc::clone(&parts.delivery),
            commands: Arc::clone(&views.commands),
            live: live.clone(),
            counters: Arc::clone(&counters),
            reply_timeout: settings.reply_timeout,
        };
        let alarms = AlarmDesk {
            recorder: recorder.clone(),
            alarms: Arc::clone(&views.alarms),
            live: live.clone(),
            counters: Arc::clone(&counters),
        };
        let webhooks = WebhookDesk {
            recorder: recorder.clone(),
            webhooks: Arc::clone(&views.webhooks),
            counters: Arc::clone(&counters),
            waiting: Arc::default(),
        };
        let snapshotter = Arc::new(Snapshotter::new(
            recorder.clone(),
            views.clone(),
            Arc::clone(&progress),
            outbox.clone(),
            Arc::clone(&counters),
            parts.series.clone(),
            &settings,
        ));
        let outbox_stopping = Arc::new(AtomicBool::new(false));
        let outbox_thread = Outbox {
            inputs: outbox_in,
            bell: outbox_bell.clone(),
            log: log.clone(),
            firings: Arc::clone(&views.firings),
            alarms: alarms.clone(),
            commands: CommandDesk::new(commands.clone()),
            webhooks: webhooks.clone(),
            live: live.clone(),
            gated: Gate::default(),
            stopping: Arc::clone(&outbox_stopping),
        };
        let mut pipeline = Self {
            settings,
            views,
            live,
            refusals,
            counters,
            alarms,
            commands,
            webhooks,
            recorder,
            outbox,
            progress,
            controls: Vec::new(),
            bells: Vec::new(),
            stopping,
            outbox_stopping,
            outbox_bell,
            threads: Mutex::default(),
            snapshotter,
            series: parts.series,
            recovered_records: recovered.records,
            _subscriptions: Vec::new(),
        };
        let rings = pipeline.start_shards(&recovered, parts.ingests, &publications, || {
            decider(decider_ports.clone())
        })?;
        // their writers are there now: what it has reviewed is theirs
        reviewer.retire();
        pipeline.wake_on_commit(&log);
        let open_alarms = recovered.alarms;
        let outbox = spawn("outbox", move || outbox_thread.run(open_alarms))?;
        pipeline.threads.lock().outbox = Some(outbox);
        let snapshotter = Arc::clone(&pipeline.snapshotter);
        let snapshots = spawn("snapshots", move || snapshotter.run())?;
        pipeline.threads.lock().snapshots = Some(snapshots);
        let ingest = |rings| {
            let (progress, counters) = (&pipeline.progress, &pipeline.counters);
            Ingest::new(log.clone(), Arc::clone(progress), rings, Arc::clone(counters))
        };
        let ingests = rings.into_iter().map(ingest).collect();
        Ok((pipeline, ingests))
    }

    /// Starts the shards; gives the rings to each of them for each way in.
    fn start_shards(
        &mut self,
        recovered: &Recovered,
        ingests: usize,
        publications: &Arc<AtomicUsize>,
        decider: impl Fn() -> Decider,
    ) -> Result<Vec<Vec<Sender<AtOnce>>>, PipelineError> {
        let mut rings: Vec<Vec<Sender<AtOnce>>> = (0..ingests).map(|_| Vec::new()).collect();
        for index in 0..self.settings.shards {
            let bell = Doorbell::new();
            let mut receivers = Vec::new();
            for ring in &mut rings {
                let (sender, receiver) = channel(self.settings.ring_capacity, bell.clone())
                    .map_err(|error| setting("ring_capacity", &error))?;
                ring.push(sender);
                receivers.push(receiver);
            }
            let (control, control_in) =
                channel(64, bell.clone()).map_err(|error| setting("shards", &error))?;
            let up_to = recovered.starts.get(index).copied().unwrap_or(Position::START);
            let mut decider = decider();
            decider.already_fired(recovered.fired.clone(), recovered.end);
            self.progress.set(index, up_to);
            let shard = Shard {
                index,
                shards: self.settings.shards,
                batch_len_max: self.settings.batch_len_max,
                cursor_interval: self.settings.cursor_interval,
                bell: bell.clone(),
                rings: receivers,
                control: control_in,
                feed: self.recorder.log().reader_after(up_to),
                up_to,
                unnoted: false,
                noted_at: Instant::now(),
                decider,
                ports: ShardPorts {
                    recorder: self.recorder.clone(),
                    outbox: self.outbox.clone(),
                    commands: self.commands.clone(),
                    delivery: Arc::clone(&self.commands.delivery),
                    progress: Arc::clone(&self.progress),
                    counters: Arc::clone(&self.counters),
                    publications: Arc::clone(publications),
                    stopping: Arc::clone(&self.stopping),
                },
                decided: Decided::default(),
            };
            self.controls.push(control);
            self.bells.push(bell);
            let thread = spawn(&format!("shard-{index}"), move || shard.run())?;
            self.threads.lock().shards.push(thread);
        }
        Ok(rings)
    }

    fn wake_on_commit(&mut self, log: &Log) {
        let mut bells = self.bells.clone();
        bells.push(self.outbox_bell.clone());
        let subscription = log.on_commit(move |_| bells.iter().for_each(Doorbell::ring));
        self._subscriptions.push(subscription);
    }

    /// Gives a change of configuration to every shard, and waits until all have taken it up. Tells
    /// what of it does not work, which runs as if it were not there.
    pub fn configure(&self, applied: &Applied) -> Vec<Problem> {
        let changes = Arc::new(applied.changes.clone());
        let mut answers = Vec::new();
        for control in &self.controls {
            let (answer, waiting) = std::sync::mpsc::sync_channel(1);
            let snapshot = Arc::clone(&applied.snapshot);
            let change = Change { snapshot, changes: Arc::clone(&changes) };
            let order = Control::Configure(Box::new(change), answer);
            if control.send(order, CONFIGURE_TIMEOUT).is_ok() {
                answers.push(waiting);
            }
        }
        for identity in &changes.removed {
            if let Identity::Device(device) = *identity {
                self.forget_history(device);
                self.views.latest.forget(device);
                self.views.presence.lock().forget(device);
            }
        }
        let mut problems = Vec::new();
        for waiting in answers {
            match waiting.recv_timeout(CONFIGURE_TIMEOUT) {
                // every shard compiles the same: one answer tells it all
                Ok(found) => problems = found,
                Err(_) => tracing::error!("a shard has not taken up the configuration"),
            }
        }
        problems
    }

    /// Deletes what a device has told; what it told and was not decided yet finds no device.
    fn forget_history(&self, device: DeviceId) {
        let (Some(series), Some(known)) = (&self.series, self.views.latest.device(device)) else {
            return;
        };
        let up_to = self.recorder.log().committed();
        if let Err(error) = series.delete_device(known.tenant, device, up_to) {
            tracing::error!(%device, %error, "a removed device's history was not deleted");
        }
    }

    /// The time-series store.
    #[must_use]
    pub fn series(&self) -> Option<&flux_tsdb::Store> {
        self.series.as_ref()
    }

    /// A device's connection was accepted.
    pub fn device_connected(&self, tenant: TenantId, device: DeviceId) {
        let now = self.moment();
        if self.views.presence.lock().connected(tenant, device, now) {
            self.note_presence(tenant, device, true, now);
        }
    }

    /// A device's connection is gone. It is told only if the device is not back within
    /// [`PipelineSettings::offline_after`].
    pub fn device_disconnected(&self, tenant: TenantId, device: DeviceId) {
        let now = self.moment();
        let patience_ms = duration_ms(self.settings.offline_after);
        if self.views.presence.lock().disconnected(device, now, patience_ms) {
            self.note_presence(tenant, device, false, now);
        }
    }

    /// A device was heard over a protocol without connections: it is there for so long at least, by
    /// default for [`PipelineSettings::silent_after`].
    pub fn device_seen(&self, tenant: TenantId, device: DeviceId, silent_after_ms: Option<u64>) {
        let now = self.moment();
        let silent_ms = silent_after_ms.unwrap_or(duration_ms(self.settings.silent_after));
        if self.views.presence.lock().seen(tenant, device, now, silent_ms) {
            self.note_presence(tenant, device, true, now);
        }
    }

    /// Tells of devices that are gone by now. To be called a few times a second.
    pub fn settle_presence(&self) {
        let now = self.moment();
        let gone = self.views.presence.lock().expire(now);
        for (tenant, device) in gone {
            self.note_presence(tenant, device, false, now);
        }
    }

    fn moment(&self) -> Moment {
        let now = self.recorder.now();
        Moment { wall_ms: now.wall_ns / 1_000_000, mono_ms: now.mono_ns / 1_000_000 }
    }

    /// Presence is told without waiting and lost without harm: what cannot be appended is left out.
    fn note_presence(&self, tenant: TenantId, device: DeviceId, online: bool, now: Moment) {
        let event = PresenceEvent { device, online, at_ms: now.wall_ms };
        let mut draft = crate::journal::Draft::default();
        let wall_ns = self.recorder.now().wall_ns;
        if draft.event(RecordKind::Presence, tenant, wall_ns, &event).is_ok() {
            let _ = self.recorder.log().append_batch(&draft.appends());
        }
        let event = LiveEvent::Presence { device, online, at_ms: now.wall_ms };
        self.live.tell(tenant, event);
    }

    /// A device has subscribed to its commands, or is back with a session that has.
    pub fn device_ready(&self, tenant: TenantId, device: &Key) {
        if self.views.commands.lock().open_len() > 0 {
            self.outbox.hand(Input::DeviceReady { tenant, device: device.clone() });
        }
    }

    /// Takes a command; returns once it is on disk.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was taken then.
    pub fn send_command(
        &self,
        tenant: TenantId,
        device: &str,
        command: &str,
        params: serde_json::Value,
        max_age: Option<Duration>,
    ) -> Result<CommandId, CommandError> {
        let max_age = max_age.unwrap_or(self.settings.command_max_age);
        let what = (command, params);
        self.commands.request(&self.outbox, (tenant, device), what, duration_ms(max_age))
    }

    /// What people look at.
    #[must_use]
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// Where people acknowledge and clear alarms.
    #[must_use]
    pub fn alarms(&self) -> &AlarmDesk {
        &self.alarms
    }

    /// Where webhooks wait for whoever delivers them.
    #[must_use]
    pub fn webhooks(&self) -> &WebhookDesk {
        &self.webhooks
    }

    /// What happens, as it happens.
    #[must_use]
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// What was refused lately.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Records read to restore the views at start.
    #[must_use]
    pub fn recovered_records(&self) -> u64 {
        self.recovered_records
    }

    /// Has somebody told whenever a webhook waits.
    pub fn on_webhook(&self, notify: Arc<dyn Notify>) {
        self.webhooks.on_waiting(notify);
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> PipelineHealth {
        let threads = self.threads.lock();
        PipelineHealth {
            shards_alive: threads.shards.iter().filter(|shard| !shard.is_finished()).count(),
            shards: self.settings.shards,
            outbox_alive: threads.outbox.as_ref().is_some_and(|outbox| !outbox.is_finished()),
            lag_records: self.progress.lag_records(self.recorder.log().committed()),
        }
    }

    /// Stops: decides and does what is on disk, writes the views down, ends the threads. What does
    /// not end in time is left to recovery. Doing it twice does nothing; false if something was
    /// left.
    pub fn stop(&self) -> bool {
        let deadline = Instant::now() + self.settings.stop_timeout;
        self.stopping.store(true, Ordering::Release);
        self.bells.iter().for_each(Doorbell::ring);
        let mut threads = std::mem::take(&mut *self.threads.lock());
        let mut clean = threads.shards.drain(..).all(|shard| join_by(shard, deadline));
        self.outbox_stopping.store(true, Ordering::Release);
        self.outbox_bell.ring();
        clean &= threads.outbox.take().is_none_or(|outbox| join_by(outbox, deadline));
        self.snapshotter.stop(clean);
        clean & threads.snapshots.take().is_none_or(|snapshots| join_by(snapshots, deadline))
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop();
    }
}

fn check(settings: &PipelineSettings) -> Result<(), PipelineError> {
    if settings.shards == 0 || settings.shards > 256 {
        let problem = format!("{} is not 1 to 256", settings.shards);
        return Err(PipelineError::Settings { name: "shards", problem });
    }
    Ok(())
}

fn setting(name: &'static str, error: &flux_bus::BusError) -> PipelineError {
    PipelineError::Settings { name, problem: error.to_string() }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, PipelineError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|source| PipelineError::Thread { name: name.to_owned(), source })
}

fn join_by(thread: JoinHandle<()>, deadline: Instant) -> bool {
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    thread.join().is_ok()
}

fn duration_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A first configuration as a change from nothing.
fn everything(snapshot: &flux_registry::Snapshot) -> Changes {
    Changes {
        products: snapshot.products().map(|product| product.id).collect(),
        rules: snapshot.rules().map(|rule| rule.id).collect(),
        env: true,
        ..Changes::default()
    }
}

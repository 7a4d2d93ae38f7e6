//! A pipeline over a simulated disk, with devices, rules that do everything rules can do, and a spy
//! in the place of subscribers. Shared by the tests of this crate.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flux_log::disk::{Disk, SimDisk};
use flux_log::{Log, LogError, LogOptions, View};
use flux_pipeline::ports::Delivery;
use flux_pipeline::{
    Incoming, Ingest, Pipeline, PipelineParts, PipelineSettings, SERIES_NAME, VIEWS_NAME,
};
use flux_registry::{Limits, Registry, ScriptCheck, ScriptKind};
use flux_tsdb::{LogSpan, Store, StoreOptions, Upkeep};
use flux_types::{Instants, Message, Position, Problem, Qos, SourceId, TenantId, Topic};
use parking_lot::Mutex;
use serde_json::{Value, json};

pub(crate) const TENANT: TenantId = TenantId::DEFAULT;
/// Devices that count; the first two only with promise.
pub(crate) const COUNTERS: usize = 4;
pub(crate) const PROMISING: usize = 2;
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const COUNTER: &str = "11111111-1111-4111-8111-111111111111";
const VALVE: &str = "11111111-1111-4111-8111-111111111112";
pub(crate) const THIRD: &str = "33333333-3333-4333-8333-333333333331";
pub(crate) const SEVENTH: &str = "33333333-3333-4333-8333-333333333332";
pub(crate) const ECHO: &str = "33333333-3333-4333-8333-333333333333";

struct AnyScript;

impl ScriptCheck for AnyScript {
    fn check(&self, _kind: ScriptKind, _source: &str) -> Vec<Problem> {
        Vec::new()
    }
}

/// The id of the counter of that number.
pub(crate) fn counter_id(device: usize) -> String {
    format!("22222222-2222-4222-8222-22222222222{device}")
}

/// Every third message raises an alarm, queues a webhook and is published on; every seventh of the
/// devices that promise clears the alarm and commands the valve; whatever is published under
/// `plant/` queues a webhook.
pub(crate) fn everything(version: u32) -> Value {
    json!([
        {"id": THIRD, "tenant": 1, "version": version, "name": "third", "enabled": true,
         "trigger_script": "if seq % 3 == 0 { \
            publish(\"plant/third/\" + msg.device_id, #{\"seq\": seq}, #{\"qos\": 1}); } \
            seq % 3 == 0",
         "sources": {"products": [COUNTER]},
         "actions": [
            {"type": "raise_alarm", "alarm": "third", "severity": "warning", "text": ""},
            {"type": "webhook", "url": "http://127.0.0.1:9/"},
         ]},
        {"id": SEVENTH, "tenant": 1, "version": version, "name": "seventh", "enabled": true,
         "trigger_script": "seq % 7 == 0",
         "sources": {"devices": [counter_id(0), counter_id(1)]},
         "actions": [
            {"type": "clear_alarm", "alarm": "third"},
            {"type": "command", "device": "valve", "command": "close", "params": {},
             "max_age_ms": 3_600_000},
         ]},
        {"id": ECHO, "tenant": 1, "version": version, "name": "echo", "enabled": true,
         "trigger_script": "true", "sources": {"topics": ["plant/#"]},
         "actions": [{"type": "webhook", "url": "http://127.0.0.1:9/echo"}]},
    ])
}

/// A registry with the plant's devices and these rules.
pub(crate) fn registry(rules: &Value) -> Arc<Registry> {
    let counters = (0..COUNTERS).map(|number| {
        json!({"id": counter_id(number), "tenant": 1, "product": COUNTER,
               "key": format!("c{number}")})
    });
    let valve = json!({"id": "22222222-2222-4222-8222-222222222229", "tenant": 1,
                       "product": VALVE, "key": "valve"});
    let document = json!({
        "generation": 1,
        "tenants": [{"id": 1, "name": "default"}],
        "products": [{"id": COUNTER, "tenant": 1, "key": "counter"},
                     {"id": VALVE, "tenant": 1, "key": "valve"}],
        "devices": counters.chain([valve]).collect::<Vec<_>>(),
        "rules": rules,
    });
    let registry = Registry::new(Arc::new(AnyScript), Limits::default());
    registry.replace(serde_json::from_value(document).unwrap()).unwrap();
    Arc::new(registry)
}

/// Small segments, so that a little traffic goes through everything.
pub(crate) fn log_options(disk: &SimDisk) -> LogOptions {
    let mut options = LogOptions::new(Path::new("/log"));
    options.disk = Arc::new(disk.clone());
    options.segment_bytes = 128 << 10;
    options.record_bytes_max = 32 << 10;
    options.batch_bytes_max = 64 << 10;
    options.inflight_bytes_max = 128 << 10;
    options.hot_bytes_max = 64 << 10;
    options.commit_align_bytes = 512;
    options.mark_idle_ms = 5;
    options.upkeep_interval_ms = 5;
    options.views = [VIEWS_NAME, SERIES_NAME].map(|name| View::pinning(name, 1 << 30)).into();
    options
}

/// Something that reached a subscriber, with the watermark at that moment.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    pub(crate) message: Arc<Message>,
    pub(crate) committed: Position,
}

/// In the place of subscribers.
pub(crate) struct Spy {
    log: Log,
    pub(crate) valve_connected: AtomicBool,
    pub(crate) routed: Mutex<Vec<Delivered>>,
    pub(crate) commands: Mutex<Vec<Delivered>>,
}

impl Delivery for Spy {
    fn route(&self, message: &Arc<Message>) {
        let committed = self.log.committed();
        self.routed.lock().push(Delivered { message: Arc::clone(message), committed });
    }

    fn route_to_connected(&self, message: &Arc<Message>) -> bool {
        let committed = self.log.committed();
        let connected = self.valve_connected.load(Ordering::Relaxed);
        if connected {
            self.commands.lock().push(Delivered { message: Arc::clone(message), committed });
        }
        connected
    }
}

/// A running pipeline.
pub(crate) struct Plant {
    pub(crate) log: Log,
    pub(crate) pipeline: Pipeline,
    pub(crate) ingest: Ingest,
    pub(crate) spy: Arc<Spy>,
    pub(crate) clock: Instants,
    pub(crate) series: Store,
    upkeep: Upkeep,
}

impl Plant {
    /// Opens the log and starts over it; the error is the disk's.
    pub(crate) fn start(
        options: LogOptions,
        settings: PipelineSettings,
        registry: &Arc<Registry>,
    ) -> Result<Self, String> {
        let disk = Arc::clone(&options.disk);
        let log = Log::open(options).map_err(|error| format!("{error:?}"))?;
        let opened = open_series(disk, &log).and_then(|series| {
            let upkeep = Upkeep::start(&series).map_err(|error| format!("{error:?}"))?;
            Ok((series, upkeep))
        });
        let (series, upkeep) = opened.inspect_err(|_| drop(log.close()))?;
        let spy = Arc::new(Spy {
            log: log.clone(),
            valve_connected: AtomicBool::new(true),
            routed: Mutex::default(),
            commands: Mutex::default(),
        });
        let clock = Instants::start();
        let parts = PipelineParts {
            log: log.clone(),
            registry: Arc::clone(registry),
            delivery: Arc::clone(&spy) as Arc<dyn Delivery>,
            clock,
            ingests: 1,
            rule_limits: flux_rules::Limits::default(),
            plugins: no_plugins(),
            series: Some(series.clone()),
        };
        match Pipeline::start(settings, parts) {
            Ok((pipeline, mut ingests)) => {
                let ingest = ingests.pop().unwrap();
                Ok(Self { log, pipeline, ingest, spy, clock, series, upkeep })
            }
            Err(error) => {
                let _ = log.close();
                Err(format!("{error:?}"))
            }
        }
    }

    pub(crate) fn message(&self, source: &str, topic: &str, payload: &Value, qos: Qos) -> Message {
        Message {
            tenant: TENANT,
            source: SourceId::new(source),
            topic: Topic::new(topic).unwrap(),
            payload: payload.to_string().into(),
            qos,
            retain: false,
            received: self.clock.now(),
            hops: 0,
            properties: None,
        }
    }

    /// A message of a counter.
    pub(crate) fn count(&self, device: usize, seq: u64, qos: Qos) -> Incoming {
        let topic = format!("v1/devices/c{device}/telemetry");
        let source = format!("device:c{device}/a");
        let message = self.message(&source, &topic, &json!({"seq": seq}), qos);
        Incoming { message: Arc::new(message), at_once: false }
    }

    /// Ends it all, whatever state it is in; whether in order.
    pub(crate) fn stop(self) -> bool {
        let clean = self.pipeline.stop();
        drop(self.pipeline);
        drop(self.upkeep);
        clean & self.series.close().is_ok() & self.log.close().is_ok()
    }

    /// Waits until all that is on disk has been read by the shards.
    pub(crate) fn wait_decided(&self) {
        eventually("all is decided", || {
            let health = self.pipeline.health();
            (self.log.stats().inflight_bytes == 0 && health.lag_records == 0).then_some(())
        });
    }
}

/// Whether the log refused for its own reasons and not for good.
pub(crate) fn is_for_now(error: &LogError) -> bool {
    matches!(error, LogError::Busy { .. } | LogError::Full { .. })
}

/// Asks until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): a seed printed by a failure gives the same traffic again.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn us(&mut self, most: u64) -> Duration {
        Duration::from_micros(1 + self.below(most))
    }
}

/// Heads that are soon full, flushed all the time.
fn open_series(disk: Arc<dyn Disk>, log: &Log) -> Result<Store, String> {
    let mut options = StoreOptions::new(Path::new("/series"));
    options.disk = disk;
    options.log = Some(LogSpan { oldest: log.oldest(), committed: log.committed() });
    options.flush_interval = Duration::from_millis(5);
    Store::open(options).map_err(|error| format!("{error:?}"))
}

fn no_plugins() -> flux_wasm::Plugins {
    flux_wasm::Plugins::open(flux_wasm::Options::new(flux_wasm::Limits::default())).unwrap()
}

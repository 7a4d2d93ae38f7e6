//! How fast points are stored, how many bytes they take, how soon questions are answered.
//!
//! ```text
//! cargo run --release -p flux-tsdb --example series_rate -- [name=value ...]
//!   dir=<temporary>   where the files are; a directory series-rate is made and removed there
//!   devices=1000 values=10   series are the product
//!   ticks=3600        seconds of data, one sample of each device each
//!   data=walk         walk, gauge, noise, counter or state
//!   head_mib=64       head_bytes_max
//!   log=0             bytes of a message in the log; 0: no log beside the store
//!   jitter_ms=0       devices' clocks tick unevenly by up to this
//!   questions=2000    of each kind
//!   emit=<file>       write the same data as line protocol and end
//! ```
//! One thread appends, flushes and merges; the rate counts from the first point to when the last is
//! on disk. With `log`, each tick's messages are committed to a log first, as in the engine, and the
//! store takes them then: the rate of points of which each is durable within its tick. Prints one
//! JSON object.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flux_log::{Append, Log, LogOptions};
use flux_tsdb::{
    AggregateQuery, Aggregation, Fill, RangeQuery, SeriesId, Store, StoreOptions, Writer,
};
use flux_types::{DeviceId, Key, Position, ProductId, Telemetry, TenantId, Value};
use serde_json::{Value as Json, json};

const SECOND: i64 = 1_000_000_000;
const BEGIN: i64 = 1_760_000_000 * SECOND;

type Failure = Box<dyn std::error::Error>;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Data {
    /// Each value moves by up to 0.20, in hundredths.
    Walk,
    /// A slow sine with a noise of up to 0.05, in hundredths.
    Gauge,
    /// Anything from 0.00 to 99.99.
    Noise,
    /// A whole number that grows by 0 to 9.
    Counter,
    /// One of four words, changing every few minutes.
    State,
}

struct Settings {
    dir: PathBuf,
    devices: usize,
    values: usize,
    ticks: i64,
    data: Data,
    head_bytes_max: usize,
    log_bytes: usize,
    jitter_ms: u64,
    questions: usize,
    emit: Option<PathBuf>,
}

fn settings() -> Result<Settings, Failure> {
    let mut settings = Settings {
        dir: std::env::temp_dir(),
        devices: 1000,
        values: 10,
        ticks: 3600,
        data: Data::Walk,
        head_bytes_max: 64 << 20,
        log_bytes: 0,
        jitter_ms: 0,
        questions: 2000,
        emit: None,
    };
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').ok_or("arguments are name=value")?;
        match name {
            "dir" => settings.dir = value.into(),
            "devices" => settings.devices = value.parse()?,
            "values" => settings.values = value.parse()?,
            "ticks" => settings.ticks = value.parse()?,
            "head_mib" => settings.head_bytes_max = value.parse::<usize>()? << 20,
            "log" => settings.log_bytes = value.parse()?,
            "jitter_ms" => settings.jitter_ms = value.parse()?,
            "questions" => settings.questions = value.parse()?,
            "emit" => settings.emit = Some(value.into()),
            "data" => {
                settings.data = match value {
                    "walk" => Data::Walk,
                    "gauge" => Data::Gauge,
                    "noise" => Data::Noise,
                    "counter" => Data::Counter,
                    "state" => Data::State,
                    other => return Err(format!("data={other} is not known").into()),
                }
            }
            other => return Err(format!("{other} is no setting").into()),
        }
    }
    Ok(settings)
}

/// Numbers from a seed (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// The plant: what every device reports, tick by tick.
struct Plant {
    samples: Vec<Telemetry>,
    states: Vec<i64>,
    data: Data,
    jitter_ms: u64,
    random: Random,
    words: Vec<Arc<str>>,
}

impl Plant {
    fn new(settings: &Settings) -> Self {
        let names: Vec<Arc<str>> = (0..settings.values).map(|i| format!("v{i}").into()).collect();
        let sample = |number: usize| {
            let id = DeviceId(uuid::Uuid::from_u128(
                (number as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) | 1,
            ));
            Telemetry {
                tenant: TenantId::DEFAULT,
                device: id,
                device_key: Key::from(id),
                product: ProductId(id.0),
                ts_ns: BEGIN,
                values: names.iter().map(|name| (Arc::clone(name), Value::F64(0.0))).collect(),
            }
        };
        let mut random = Random(0x1234_5678_9ABC_DEF1);
        let series = settings.devices * settings.values;
        Self {
            samples: (0..settings.devices).map(sample).collect(),
            states: (0..series).map(|_| 1000 + random.below(8000) as i64).collect(),
            data: settings.data,
            jitter_ms: settings.jitter_ms,
            random,
            words: ["off", "idle", "running", "fault: no water"].map(Arc::from).into(),
        }
    }

    fn tick(&mut self, tick: i64) -> &[Telemetry] {
        let Self { samples, states, data, jitter_ms, random, words } = self;
        let mut states = states.iter_mut();
        for sample in samples.iter_mut() {
            let jitter = if *jitter_ms > 0 { random.below(*jitter_ms) as i64 } else { 0 };
            sample.ts_ns = BEGIN + tick * SECOND + jitter * 1_000_000;
            for (_, value) in &mut sample.values {
                let Some(state) = states.next() else { break };
                *value = next(*data, state, tick, random, words);
            }
        }
        samples
    }
}

fn next(data: Data, state: &mut i64, tick: i64, random: &mut Random, words: &[Arc<str>]) -> Value {
    let hundredths = match data {
        Data::Walk => {
            *state += random.below(41) as i64 - 20;
            *state
        }
        Data::Gauge => {
            let phase = (tick + *state) as f64 / 3600.0 * std::f64::consts::TAU;
            (5000.0 + 2000.0 * phase.sin()) as i64 + random.below(11) as i64 - 5
        }
        Data::Noise => random.below(10_000) as i64,
        Data::Counter => {
            *state += random.below(10) as i64;
            return Value::I64(*state);
        }
        Data::State => {
            if random.below(300) == 0 {
                *state += 1;
            }
            return Value::Str(Arc::clone(&words[*state as usize % words.len()]));
        }
    };
    Value::F64(hundredths as f64 / 100.0)
}

fn main() -> Result<(), Failure> {
    let settings = settings()?;
    if let Some(path) = &settings.emit {
        return emit(&settings, path);
    }
    let dir = settings.dir.join("series-rate");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    let result = measure(&settings, &dir);
    std::fs::remove_dir_all(&dir)?;
    println!("{}", result?);
    Ok(())
}

fn measure(settings: &Settings, dir: &Path) -> Result<Json, Failure> {
    let mut options = StoreOptions::new(dir.join("series"));
    options.head_bytes_max = settings.head_bytes_max;
    options.series_len_max = settings.devices * settings.values;
    let store = Store::open(options.clone())?;
    let mut plant = Plant::new(settings);
    let (wrote, cpu) = write(settings, dir, &store, &mut plant)?;
    let stats = store.stats();
    let points = (settings.devices * settings.values) as i64 * settings.ticks;
    let disk_bytes = stats.disk_bytes;
    let questions = ask(settings, &store, &plant)?;
    drop(store);
    let opening = Instant::now();
    let store = Store::open(options)?;
    let opened = opening.elapsed();
    Ok(json!({
        "points": points,
        "points_per_s": points as f64 / wrote.as_secs_f64(),
        "cpu_ns_per_point": cpu.as_nanos() as f64 / points as f64,
        "bytes_per_point": disk_bytes as f64 / points as f64,
        "written_bytes_per_point": stats.written_bytes as f64 / points as f64,
        "flushes": stats.flushes,
        "merges": stats.merges,
        "blocks": store.stats().blocks,
        "index_bytes": store.stats().index_bytes,
        "open_ms": opened.as_secs_f64() * 1e3,
        "questions": questions,
    }))
}

/// Appends everything and makes it durable; how long that took, and the processor's time.
fn write(
    settings: &Settings,
    dir: &Path,
    store: &Store,
    plant: &mut Plant,
) -> Result<(Duration, Duration), Failure> {
    let log = if settings.log_bytes > 0 {
        let mut options = LogOptions::new(dir.join("log"));
        options.inflight_bytes_max = 64 << 20;
        options.batch_bytes_max = 16 << 20;
        Some(Log::open(options)?)
    } else {
        None
    };
    let mut writer = store.writer();
    let body = vec![b'x'; settings.log_bytes];
    let (begun, cpu) = (Instant::now(), cpu_time());
    for tick in 0..settings.ticks {
        let samples = plant.tick(tick);
        let first = match &log {
            Some(log) => {
                let batch = vec![Append::new(1, TenantId(1), &body); samples.len()];
                let appended = log.append_batch(&batch)?;
                log.wait_committed(appended.last, Duration::from_secs(10))?;
                appended.first
            }
            None => Position { epoch: 1, offset: 1 + tick as u64 * samples.len() as u64 },
        };
        append_tick(store, &mut writer, samples, first)?;
    }
    store.flush()?;
    store.merge()?;
    let outcome = (begun.elapsed(), cpu_time() - cpu);
    if let Some(log) = log {
        log.close()?;
    }
    Ok(outcome)
}

fn append_tick(
    store: &Store,
    writer: &mut Writer,
    samples: &[Telemetry],
    first: Position,
) -> Result<(), Failure> {
    let mut position = first;
    for sample in samples {
        writer.append(sample, position)?;
        position.offset += 1;
    }
    writer.applied(Position { offset: position.offset - 1, ..position });
    store.upkeep()?;
    Ok(())
}

/// Processor time of the whole process, as Linux tells it in ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<i64> = after_name.split_whitespace().filter_map(|f| f.parse().ok()).collect();
    // without the state, which is a letter, user and system time are fields 10 and 11
    let ticks: i64 = fields.iter().skip(10).take(2).sum();
    Duration::from_millis(ticks.unsigned_abs() * 10)
}

fn ask(settings: &Settings, store: &Store, plant: &Plant) -> Result<Json, Failure> {
    let mut series: Vec<SeriesId> = Vec::new();
    for sample in &plant.samples {
        series.extend(store.series_of(sample.tenant, sample.device).iter().map(|info| info.id));
    }
    let mut random = Random(77);
    let end = BEGIN + settings.ticks * SECOND;
    let mut pick = |series: &[SeriesId]| series[random.below(series.len() as u64) as usize];
    let last =
        timed(settings.questions * 10, || Ok(usize::from(store.last(pick(&series))?.is_some())))?;
    let five_minutes = 300 * SECOND.min(settings.ticks * SECOND);
    let range = timed(settings.questions, || {
        let from = end - five_minutes;
        let page = store.range(&RangeQuery::of(pick(&series), from, end))?;
        Ok(page.series.first().map_or(0, |series| series.samples.len()))
    })?;
    let old_range = timed(settings.questions, || {
        let page = store.range(&RangeQuery::of(pick(&series), BEGIN, BEGIN + five_minutes))?;
        Ok(page.series.first().map_or(0, |series| series.samples.len()))
    })?;
    let downsample = timed(settings.questions / 10, || {
        let query = AggregateQuery {
            series: (0..10).map(|_| pick(&series)).collect(),
            from_ns: (end - 3600 * SECOND).max(BEGIN),
            to_ns: end,
            step_ns: 60 * SECOND,
            aggregations: vec![Aggregation::Min, Aggregation::Avg, Aggregation::Max],
            fill: Fill::Skip,
            limit: usize::MAX,
            after: None,
        };
        Ok(store.aggregate(&query)?.series.iter().map(|series| series.buckets.len()).sum())
    })?;
    Ok(json!({
        "last": last,
        "range_5_minutes": range,
        "range_5_minutes_oldest": old_range,
        "downsample_10_series": downsample,
    }))
}

/// Asks again and again; milliseconds, and how much one answer held.
fn timed(
    times: usize,
    mut question: impl FnMut() -> Result<usize, Failure>,
) -> Result<Json, Failure> {
    let mut took = Vec::with_capacity(times);
    let mut answered = 0;
    for _ in 0..times.max(1) {
        let begun = Instant::now();
        answered = question()?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    Ok(json!({
        "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0), "rows": answered,
    }))
}

/// The same data in InfluxDB's line protocol, a line a sample, for others to store.
fn emit(settings: &Settings, path: &Path) -> Result<(), Failure> {
    let mut plant = Plant::new(settings);
    let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut line = String::new();
    for tick in 0..settings.ticks {
        for (number, sample) in plant.tick(tick).iter().enumerate() {
            line.clear();
            write!(line, "plant,device=d{number} ")?;
            for (index, (name, value)) in sample.values.iter().enumerate() {
                let comma = if index > 0 { "," } else { "" };
                match value {
                    Value::F64(number) => write!(line, "{comma}{name}={number:?}")?,
                    Value::I64(number) => write!(line, "{comma}{name}={number}i")?,
                    Value::Str(text) => write!(line, "{comma}{name}=\"{text}\"")?,
                    other => return Err(format!("{other:?} has no line").into()),
                }
            }
            writeln!(out, "{line} {}", sample.ts_ns)?;
        }
    }
    Ok(out.flush()?)
}

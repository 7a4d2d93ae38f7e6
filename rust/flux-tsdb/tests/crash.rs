//! The promise, put to the test with the log beside it on one disk: whatever a power cut does to
//! what was not synced, the store and the replay of the log behind it together come to exactly what
//! was committed.
//!
//! `FLUX_CRASHES` sets how many power cuts are simulated (default 300), `FLUX_SEED` which seed
//! begins.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use flux_log::disk::{CrashModel, SimDisk};
use flux_log::{Append, Log, LogError, LogOptions, View};
use flux_tsdb::{LogSpan, Order, Store, StoreOptions, Writer};
use flux_types::{Position, Telemetry, TenantId, Value};
use support::{Random, TENANT, device, sample, small};

const VIEW: &str = "series";
const CRASHES_PER_DISK: u64 = 6;
const DEVICES: u64 = 5;

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn log_options(disk: &SimDisk) -> LogOptions {
    let mut options = LogOptions::new("/log");
    options.disk = Arc::new(disk.clone());
    options.segment_bytes = 64 << 10;
    options.record_bytes_max = 12 << 10;
    options.batch_bytes_max = 32 << 10;
    options.inflight_bytes_max = 96 << 10;
    // everything that no view holds back goes: what the store called durable had better be
    options.retention.bytes_max = 0;
    options.views = vec![View::pinning(VIEW, 1 << 20)];
    options
}

fn store_options(disk: &SimDisk, log: &Log) -> StoreOptions {
    let mut options = small(disk);
    options.head_bytes_max = 64 << 10;
    options.log = Some(LogSpan { oldest: log.oldest(), committed: log.committed() });
    options
}

/// What a message says: two values of one device.
fn decode(body: &[u8]) -> Telemetry {
    let number = |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().unwrap());
    let (seed, ts) = (number(0), number(8).cast_signed());
    let text = "x".repeat(usize::try_from(seed % 1500).unwrap()) + &seed.to_string();
    let values = [("n", Value::I64(seed.cast_signed())), ("s", Value::from(text.as_str()))];
    sample((seed % DEVICES) as u8, ts, &values)
}

/// What has to hold, kept beside log and store.
#[derive(Default)]
struct Model {
    /// Committed, or seen after a restart.
    kept: BTreeMap<Position, Vec<u8>>,
    /// Appended, never committed, not restarted since.
    open: BTreeMap<Position, Vec<u8>>,
}

impl Model {
    fn committed(&mut self, watermark: Position) {
        let later = self.open.split_off(&Position { offset: watermark.offset + 1, ..watermark });
        self.kept.append(&mut self.open);
        self.open = later;
    }

    /// What every series has to be.
    fn truth(&self) -> BTreeMap<(u8, &'static str), BTreeMap<i64, Value>> {
        let mut truth: BTreeMap<_, BTreeMap<i64, Value>> = BTreeMap::new();
        for body in self.kept.values() {
            let told = decode(body);
            let number = told.device.0.as_bytes()[15];
            for (name, value) in told.values {
                let name = if &*name == "n" { "n" } else { "s" };
                truth.entry((number, name)).or_default().insert(told.ts_ns, value);
            }
        }
        truth
    }

    fn check(&self, store: &Store, seed: u64) {
        let truth = self.truth();
        for number in 0..DEVICES as u8 {
            for name in ["n", "s"] {
                let expected = truth.get(&(number, name)).cloned().unwrap_or_default();
                let found: BTreeMap<i64, Value> =
                    store.find(TENANT, device(number), name).map_or_else(BTreeMap::new, |id| {
                        let stream =
                            store.samples(id, i64::MIN, i64::MAX, Order::Ascending).unwrap();
                        stream.map(|s| s.map(|s| (s.ts_ns, s.value)).unwrap()).collect()
                    });
                assert_eq!(found.len(), expected.len(), "seed {seed}: {number} {name}");
                assert!(found == expected, "seed {seed}: {number} {name} has wrong values");
            }
        }
        let stats = store.stats();
        assert_eq!((stats.damaged_blocks, stats.damaged_chunks), (0, 0), "seed {seed}");
        assert_eq!(stats.missing_blocks, 0, "seed {seed}");
    }
}

/// Reads what the log has behind `from` into the store, up to the watermark.
fn feed(
    log: &Log,
    from: &mut Position,
    writer: &mut Writer,
    mut see: impl FnMut(Position, &[u8]),
) -> Result<(), flux_tsdb::TsdbError> {
    let mut reader = log.reader_after(*from);
    while let Some(batch) = match reader.next_batch() {
        Ok(batch) => batch,
        Err(LogError::Io { .. } | LogError::Stopped { .. }) => None,
        Err(other) => panic!("the log has let go of what the store needs: {other}"),
    } {
        for record in &batch {
            see(record.position, record.body);
            writer.append(&decode(record.body), record.position)?;
            *from = record.position;
        }
        writer.applied(*from);
    }
    Ok(())
}

fn append_some(log: &Log, model: &mut Model, random: &mut Random) {
    let bodies: Vec<Vec<u8>> = (0..1 + random.below(6))
        .map(|_| {
            // few times, so that many samples share one
            let (seed, ts) = (random.next(), random.below(60));
            [seed.to_le_bytes(), ts.to_le_bytes()].concat()
        })
        .collect();
    let batch: Vec<_> = bodies.iter().map(|body| Append::new(1, TenantId(1), body)).collect();
    match log.append_batch(&batch) {
        Ok(appended) => model.open.extend(appended.positions().zip(bodies)),
        Err(LogError::Busy { .. } | LogError::Stopped { .. } | LogError::Full { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

/// Works until the power goes, the process dies or there is nothing left to do.
fn live(
    log: &Log,
    store: &Store,
    disk: &SimDisk,
    model: &mut Model,
    random: &mut Random,
    seed: u64,
) {
    let mut writer = store.writer();
    let mut from = store.durable_position();
    // another thread of the pipeline that lags at times: heads must then go early
    let mut other = store.writer();
    for _ in 0..10 + random.below(150) {
        match random.below(12) {
            0..=4 => append_some(log, model, random),
            5 | 6 => log.step_commit(),
            7 => {
                let fed = feed(log, &mut from, &mut writer, |_, _| {});
                assert!(fed.is_ok() || disk.is_down(), "seed {seed}: {fed:?}");
                if random.one_in(2) {
                    other.applied(from);
                }
            }
            8 => drop(store.flush()),
            9 => drop(store.merge()),
            10 => {
                // what the pipeline does: the log may let go of what the store has
                drop(log.save_snapshot(VIEW, store.durable_position(), &[]));
            }
            _ => log.step_upkeep(),
        }
        if disk.is_down() {
            break;
        }
    }
    model.committed(log.committed());
    if !disk.is_down() && random.one_in(2) {
        let fed = feed(log, &mut from, &mut writer, |_, _| {});
        assert!(fed.is_ok() || disk.is_down(), "seed {seed}: {fed:?}");
        if !disk.is_down() {
            model.check(store, seed);
        }
    }
}

/// Opens log and store, replays, and compares with what has to be there. False: the power went.
fn open_and_check(disk: &SimDisk, model: &mut Model, seed: u64) -> Option<(Log, Store)> {
    let log = match Log::open_stepped(log_options(disk)) {
        Ok(log) => log,
        Err(error) => {
            assert!(disk.is_down(), "seed {seed}: the log did not open: {error}");
            return None;
        }
    };
    let store = match Store::open(store_options(disk, &log)) {
        Ok(store) => store,
        Err(error) => {
            assert!(disk.is_down(), "seed {seed}: the store did not open: {error}");
            log.abandon();
            return None;
        }
    };
    assert!(store.report().damaged.is_empty(), "seed {seed}: {:?}", store.report());
    let mut from = store.durable_position();
    let mut writer = store.writer();
    let open = std::mem::take(&mut model.open);
    let mut seen = BTreeMap::new();
    let fed = feed(&log, &mut from, &mut writer, |position, body| {
        seen.insert(position, body.to_vec());
    });
    writer.retire();
    if fed.is_err() || disk.is_down() {
        assert!(disk.is_down(), "seed {seed}: {fed:?}");
        model.open = open;
        log.abandon();
        return None;
    }
    model.kept.extend(seen);
    model.check(&store, seed);
    Some((log, store))
}

/// What the runs went through, so that they cannot have passed by it.
#[derive(Default)]
struct Seen {
    crashes: u64,
    flushes: u64,
    early_flushes: u64,
    merges: u64,
    late_points: u64,
}

fn one_disk(seed: u64, seen: &mut Seen) {
    let mut random = Random(seed);
    let disk = SimDisk::new(random.next());
    let sector_bytes = if random.one_in(2) { 512 } else { 4096 };
    disk.set_crash_model(CrashModel { sector_bytes, spoil_sectors: random.one_in(2) });
    let mut model = Model::default();
    let mut crashes = 0;
    while crashes < CRASHES_PER_DISK {
        disk.restart();
        let within = if random.one_in(3) { 1 + random.below(15) } else { 1 + random.below(250) };
        let fate = random.below(6);
        match fate {
            0 => {}
            1 | 2 => disk.kill_after(within),
            _ => disk.crash_after(within),
        }
        if let Some((log, store)) = open_and_check(&disk, &mut model, seed) {
            live(&log, &store, &disk, &mut model, &mut random, seed);
            let stats = store.stats();
            seen.flushes += stats.flushes;
            seen.early_flushes += stats.early_flushes;
            seen.merges += stats.merges;
            seen.late_points += stats.late_points;
            if fate == 0 && !disk.is_down() {
                drop(store.close());
                drop(log.close());
            }
            drop(store);
            log.abandon();
        }
        if fate > 2 {
            crashes += 1;
            disk.crash();
        }
    }
    disk.restart();
    let opened = open_and_check(&disk, &mut model, seed);
    assert!(opened.is_some(), "seed {seed}");
    seen.crashes += crashes;
}

#[test]
fn store_and_replay_together_are_what_was_committed() {
    let wanted = from_env("FLUX_CRASHES", 300);
    let mut seed = from_env("FLUX_SEED", 1);
    let mut seen = Seen::default();
    while seen.crashes < wanted {
        one_disk(seed, &mut seen);
        seed += 1;
    }
    let Seen { crashes, flushes, early_flushes, merges, late_points } = seen;
    let each = [flushes, early_flushes, merges, late_points];
    assert!(each.iter().all(|count| *count > crashes / 10), "{crashes}: {each:?}");
}

#[test]
fn the_same_seed_comes_out_the_same() {
    let run = |seed| {
        let mut random = Random(seed);
        let disk = SimDisk::new(seed);
        let mut model = Model::default();
        let (log, store) = open_and_check(&disk, &mut model, seed).unwrap();
        live(&log, &store, &disk, &mut model, &mut random, seed);
        disk.changes()
    };
    assert_eq!(run(7), run(7));
}

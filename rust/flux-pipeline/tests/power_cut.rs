//! The power goes at any moment, and the disk keeps of what was not synced whatever it likes:
//! nothing acknowledged is lost, nothing is decided twice, nothing is done twice or too early.
//!
//! `FLUX_CRASHES` sets how many power cuts are simulated (default 60), `FLUX_SEED` which seed
//! begins. Traffic and the moment of the cut, counted in changes of the disk, come from the seed;
//! threads run as they like.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod plant;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flux_log::disk::{CrashModel, SimDisk};
use flux_pipeline::{Incoming, PipelineSettings, Refusal};
use flux_types::{Position, Qos};
use plant::{COUNTERS, PATIENCE, PROMISING, Plant, Random, everything, log_options, registry};
use serde_json::json;
use told::Told;

const CRASHES_PER_DISK: u64 = 4;

/// What was seen from outside.
#[derive(Default)]
struct Promises {
    /// Counter and number of each acknowledged message.
    acknowledged: BTreeMap<Position, (usize, u64)>,
    /// The last number given out, by counter.
    numbers: [u64; COUNTERS],
    /// Firings seen after a restart, by what they decided: they may never go or change.
    fired: BTreeMap<(String, Position), String>,
    /// Commands and publications that reached somebody, with the watermark then.
    commanded: Vec<(String, Position)>,
    published: Vec<(usize, u64, Position)>,
    /// How often each rule of the plant has been changed.
    version: u32,
}

/// What the last hours brought, to be printed.
#[derive(Default, Debug)]
struct Sum {
    crashes: u64,
    /// Of them while opening or recovering.
    early: u64,
    acknowledged: usize,
    fired: usize,
    snapshots: u64,
    rollovers: u64,
}

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |n| n.parse().unwrap())
}

#[test]
fn power_cut_loses_nothing_acknowledged_and_repeats_nothing() {
    let crashes = from_env("FLUX_CRASHES", 60);
    let first = from_env("FLUX_SEED", 1);
    let began = Instant::now();
    let mut sum = Sum::default();
    for seed in first.. {
        if sum.crashes >= crashes {
            break;
        }
        one_disk(seed, &mut sum);
        if seed % 50 == 0 {
            println!("seed {seed}, {:?}: {sum:?}", began.elapsed());
        }
    }
    println!("{:?}: {sum:?}", began.elapsed());
    let all_met = sum.snapshots > 0 && sum.rollovers > 0 && sum.early > 0;
    assert!(all_met || crashes < 50, "{sum:?}");
}

fn settings(random: &mut Random) -> PipelineSettings {
    PipelineSettings {
        shards: 1 + usize::try_from(random.below(3)).unwrap(),
        ring_capacity: 1 << random.below(6),
        cursor_interval: random.us(5_000),
        snapshot_interval: random.us(3_000),
        snapshot_records: 1 + random.below(200),
        stop_timeout: Duration::from_secs(5),
        ..PipelineSettings::default()
    }
}

fn one_disk(seed: u64, sum: &mut Sum) {
    let mut random = Random(seed);
    let disk = SimDisk::new(seed);
    let spoil_sectors = random.one_in(2);
    disk.set_crash_model(CrashModel { sector_bytes: 512, spoil_sectors });
    let align = if spoil_sectors { 4096 } else { 512 };
    let mut promises = Promises { version: 1, ..Promises::default() };
    for _ in 0..CRASHES_PER_DISK {
        promises.version += u32::from(random.one_in(3));
        let rules = registry(&everything(promises.version));
        let mut options = log_options(&disk);
        options.commit_align_bytes = align;
        let changes = if random.one_in(4) { 30 } else { 400 };
        if random.one_in(5) {
            disk.kill_after(1 + random.below(changes));
        } else {
            disk.crash_after(1 + random.below(changes));
        }
        match Plant::start(options.clone(), settings(&mut random), &rules) {
            Ok(mut plant) => {
                live(&mut plant, &mut promises, &mut random);
                if !disk.is_down() {
                    disk.crash();
                }
                sum.rollovers += plant.log.stats().rollovers;
                sum.snapshots += plant.pipeline.counters().read().snapshots_written;
                remember(&plant, &mut promises);
                plant.stop();
            }
            Err(error) => {
                assert!(disk.is_down(), "seed {seed}: {error}");
                sum.early += 1;
            }
        }
        disk.restart();
        sum.crashes += 1;
        let plant = Plant::start(options, settings(&mut random), &rules)
            .unwrap_or_else(|error| panic!("seed {seed}: it does not start again: {error}"));
        check(&plant, &mut promises, seed);
        remember(&plant, &mut promises);
        sum.snapshots += plant.pipeline.counters().read().snapshots_written;
        if random.one_in(3) {
            assert!(plant.stop(), "seed {seed}: not stopped in order");
        } else {
            disk.crash();
            plant.stop();
            disk.restart();
        }
    }
    sum.acknowledged += promises.acknowledged.len();
    sum.fired += promises.fired.len();
}

/// Traffic until the power goes or enough has been sent. QoS 0 goes at once while nothing promised
/// is under way from its source, as network workers have it.
fn live(plant: &mut Plant, promises: &mut Promises, random: &mut Random) {
    let mut pending: Vec<(Position, usize, u64)> = Vec::new();
    let mut under_way = [0_usize; COUNTERS];
    let until = Instant::now() + PATIENCE;
    plant.spy.valve_connected.store(random.one_in(2), std::sync::atomic::Ordering::Relaxed);
    for _ in 0..20 + random.below(100) {
        let mut batch = Vec::new();
        let mut whose = Vec::new();
        for _ in 0..1 + random.below(6) {
            let device = usize::try_from(random.below(COUNTERS as u64)).unwrap();
            promises.numbers[device] += 1;
            let number = promises.numbers[device];
            let promised = device < PROMISING || random.one_in(2);
            let qos = if promised { Qos::AtLeastOnce } else { Qos::AtMostOnce };
            let mut incoming = plant.count(device, number, qos);
            incoming.at_once = !promised && under_way[device] == 0;
            if !incoming.at_once {
                under_way[device] += 1;
            }
            whose.push((device, number, promised, incoming.at_once));
            batch.push(incoming);
        }
        let Some(positions) = accepted(plant, &batch, until) else { break };
        for (position, (device, number, _, at_once)) in positions.into_iter().zip(whose) {
            if !at_once {
                pending.push((position, device, number));
            }
        }
        something_else(plant, random);
        acknowledge(plant, promises, &mut pending, &mut under_way);
    }
    acknowledge(plant, promises, &mut pending, &mut under_way);
}

fn accepted(plant: &mut Plant, batch: &[Incoming], until: Instant) -> Option<Vec<Position>> {
    loop {
        let mut positions = Vec::new();
        match plant.ingest.accept(batch, |_, position| positions.push(position)) {
            Ok(()) => return Some(positions),
            Err(Refusal::Busy) => {
                assert!(Instant::now() < until, "busy for {PATIENCE:?}");
                plant.log.wait_room(Duration::from_millis(1));
            }
            // full: the power went just when room was being reserved
            Err(Refusal::Stopped | Refusal::Full) => return None,
            Err(other) => panic!("{other}"),
        }
    }
}

/// What is committed is acknowledged: from then on it is owed. QoS 0 that went the long way was
/// promised to nobody, and is kept like everything that is on disk.
fn acknowledge(
    plant: &Plant,
    promises: &mut Promises,
    pending: &mut Vec<(Position, usize, u64)>,
    under_way: &mut [usize; COUNTERS],
) {
    let committed = plant.ingest.committed();
    pending.retain(|(position, device, number)| {
        if *position <= committed {
            promises.acknowledged.insert(*position, (*device, *number));
            under_way[*device] -= 1;
        }
        *position > committed
    });
}

/// Replies of the valve, and webhooks that were delivered.
fn something_else(plant: &mut Plant, random: &mut Random) {
    if random.one_in(8) {
        for webhook in plant.pipeline.webhooks().take(1 + usize::try_from(random.below(5)).unwrap())
        {
            let _ = plant.pipeline.webhooks().complete(webhook.id, true, "200", 1);
        }
    }
    if random.one_in(8) {
        let last = plant.spy.commands.lock().last().cloned();
        if let Some(command) = last {
            let command: serde_json::Value =
                serde_json::from_slice(&command.message.payload).unwrap();
            let payload = json!({"id": command["id"], "ok": true});
            let topic = "v1/devices/valve/replies";
            let reply = plant.message("device:valve/a", topic, &payload, Qos::AtLeastOnce);
            let reply = Incoming { message: Arc::new(reply), at_once: false };
            // refused or not: the valve promises nothing
            let _ = plant.ingest.accept(&[reply], |_, _| {});
        }
    }
    if random.one_in(30) {
        std::thread::sleep(random.us(3_000));
    }
}

/// What reached somebody in this life, once nothing more can.
fn remember(plant: &Plant, promises: &mut Promises) {
    for sent in plant.spy.commands.lock().drain(..) {
        let command: serde_json::Value = serde_json::from_slice(&sent.message.payload).unwrap();
        promises.commanded.push((command["id"].as_str().unwrap().to_owned(), sent.committed));
    }
    for sent in plant.spy.routed.lock().drain(..) {
        let topic = sent.message.topic.as_str();
        let device = topic.strip_prefix("plant/third/c").unwrap().parse().unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&sent.message.payload).unwrap();
        let number = payload["seq"].as_u64().unwrap();
        promises.published.push((device, number, sent.committed));
    }
}

/// After a restart: waits until everything that is on disk has been decided and done, and compares
/// with what was promised.
fn check(plant: &Plant, promises: &mut Promises, seed: u64) {
    let until = Instant::now() + PATIENCE;
    let told = loop {
        plant.wait_decided();
        let told = Told::read(plant);
        match told.undone(plant) {
            None => break told,
            Some(what) => assert!(
                Instant::now() < until,
                "seed {seed}: {what}; {:?}",
                plant.pipeline.counters().read()
            ),
        }
        std::thread::sleep(Duration::from_micros(500));
    };
    if let Some(wrong) = told.wrong().or_else(|| told.missing_in_history(plant)) {
        panic!("seed {seed}: {wrong}");
    }
    for (position, (device, number)) in &promises.acknowledged {
        let there = told.messages.get(position).map(|message| (message.device, message.number));
        assert_eq!(there, Some((Some(*device), *number)), "seed {seed}: {position} is lost");
    }
    for (key, id) in &promises.fired {
        assert_eq!(told.fired.get(key).map(|firing| &firing.id), Some(id), "seed {seed}: {key:?}");
    }
    promises.fired =
        told.fired.iter().map(|(key, firing)| (key.clone(), firing.id.clone())).collect();
    for (command, committed) in &promises.commanded {
        let firing = told.commands.get(command).copied();
        let firing = firing.unwrap_or_else(|| panic!("seed {seed}: {command} was never on disk"));
        assert!(firing <= *committed, "seed {seed}: {command} was sent before it was on disk");
    }
    for (device, number, committed) in &promises.published {
        if *device >= PROMISING {
            continue; // what came without promise acts at once
        }
        let record = told.publications.get(&(*device, *number)).copied();
        let record = record.unwrap_or_else(|| panic!("seed {seed}: c{device} #{number} published"));
        assert!(record <= *committed, "seed {seed}: c{device} #{number} published too early");
    }
}

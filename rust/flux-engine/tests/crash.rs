//! The whole process, killed at any moment: what was acknowledged is there, what had to fire has
//! fired once.
//!
//! `FLUX_KILLS=500 cargo test --release -p flux-engine --test crash` is the long run.
#![allow(clippy::unwrap_used, clippy::expect_used)] // whole files of tests

mod child;
mod client;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use client::Client;
use serde_json::Value;

const DEVICES: usize = 3;
const WINDOW: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(30);
/// The engine lists so many firings at most: older ones would look lost.
const FIRINGS_LISTED_MAX: usize = 10_000;
/// Firings after which a data directory is left for a new one.
const FIRINGS_PER_LIFE: usize = 3_000;
/// What a device sends under one load, at most; every fifth message fires. With the firings of the
/// loads before that stays below what is listed.
const MESSAGES_PER_LOAD: u64 = 10_000;

struct Engine {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

impl Engine {
    /// Starts one; none if it was killed before it said its address.
    fn start(dir: &Path, configured: bool, kill_after: Option<Duration>) -> Option<Self> {
        let mut command = Command::new(child::path());
        command.arg(dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        if configured {
            command.env("CRASH_CHILD_CONFIGURED", "1");
        }
        let mut child = command.spawn().unwrap();
        if let Some(after) = kill_after {
            std::thread::sleep(after);
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let address = line.trim().parse().unwrap_or_else(|_| panic!("no address but {line:?}"));
        Some(Self { child, answers, address })
    }

    fn state(&mut self) -> Value {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(b"state\n").unwrap();
        stdin.flush().unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Publishes numbered messages of one device until the connection breaks; notes what was sent and
/// what was acknowledged.
fn publish(address: SocketAddr, device: usize, sent: &AtomicU64, acked: &AtomicU64) {
    let Some(mut client) = Client::try_anonymous(address, &format!("writer-{device}")) else {
        return;
    };
    let topic = format!("v1/devices/c{device}/telemetry");
    let mut waiting = std::collections::VecDeque::new();
    let last = sent.load(Ordering::SeqCst) + MESSAGES_PER_LOAD;
    loop {
        while (waiting.len() as u64) < WINDOW && sent.load(Ordering::SeqCst) < last {
            let number = sent.fetch_add(1, Ordering::SeqCst) + 1;
            let id = client.send_publish(&topic, format!("{{\"seq\": {number}}}").as_bytes(), 1);
            waiting.push_back((id, number));
        }
        let Some(id) = client.acknowledged() else { return };
        let (expected, number) = waiting.pop_front().unwrap();
        assert_eq!(id, expected, "acknowledged in order [MQTT-4.6.0-2]");
        acked.store(number, Ordering::SeqCst);
    }
}

/// Random enough, and the same for the same seed.
struct Dice(u64);

impl Dice {
    fn ms(&mut self, most: u64) -> Duration {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((self.0 >> 33) % most)
    }
}

/// What the engine says, sorted for questions.
struct Told<'a> {
    /// The firing's id by device and number.
    fired: BTreeMap<(usize, u64), &'a str>,
    /// Ids of the firings whose webhook waits.
    webhooks: BTreeSet<&'a str>,
    /// How often each device's alarm was raised.
    raised: Vec<u64>,
    latest: Vec<u64>,
}

impl<'a> Told<'a> {
    fn read(state: &'a Value) -> Self {
        let device_of =
            |entry: &Value| entry["device_id"].as_str().unwrap()[1..].parse::<usize>().unwrap();
        let mut fired = BTreeMap::new();
        for firing in state["firings"].as_array().unwrap() {
            let (device, number) = (device_of(firing), firing["values"]["seq"].as_u64().unwrap());
            let id = firing["id"].as_str().unwrap();
            let before = fired.insert((device, number), id);
            assert_eq!(before, None, "c{device} #{number} fired under two ids");
        }
        let mut raised = vec![0; DEVICES];
        for alarm in state["alarms"].as_array().unwrap() {
            raised[device_of(alarm)] += alarm["count"].as_u64().unwrap();
        }
        let webhooks = state["webhooks"].as_array().unwrap().iter();
        let value = |device: usize| state["latest"][device]["values"]["seq"]["value"].as_u64();
        Self {
            fired,
            webhooks: webhooks.map(|webhook| webhook["firing_id"].as_str().unwrap()).collect(),
            raised,
            latest: (0..DEVICES).map(|device| value(device).unwrap_or(0)).collect(),
        }
    }

    /// The first thing that is missing of what was acknowledged, or not yet done of what fired.
    fn missing(&self, acked: &[BTreeSet<u64>]) -> Option<String> {
        for (device, acked) in acked.iter().enumerate() {
            let last = acked.last().copied().unwrap_or(0);
            if self.latest[device] < last {
                return Some(format!(
                    "c{device}: {last}; its last value is {}",
                    self.latest[device]
                ));
            }
            let lost =
                acked.iter().find(|n| *n % 5 == 0 && !self.fired.contains_key(&(device, **n)));
            if let Some(number) = lost {
                return Some(format!("c{device}: the firing of #{number}"));
            }
            let fired = self.fired.keys().filter(|(of, _)| *of == device).count() as u64;
            if self.raised[device] != fired {
                let raised = self.raised[device];
                return Some(format!(
                    "c{device}: fired {fired} times, alarm raised {raised} times"
                ));
            }
        }
        let lost = self.fired.values().find(|id| !self.webhooks.contains(**id));
        lost.map(|id| format!("the webhook of {id}"))
    }
}

/// What has to hold once everything was decided: `acked` holds every number acknowledged.
fn check(
    state: &Value,
    sent: &[u64],
    acked: &[BTreeSet<u64>],
    seen: &mut BTreeMap<(usize, u64), String>,
) {
    let told = Told::read(state);
    assert!(told.fired.len() < FIRINGS_LISTED_MAX, "the list is full: nothing can be told of it");
    assert_eq!(told.missing(acked), None, "missing after {PATIENCE:?}");
    for (device, (latest, sent)) in told.latest.iter().zip(sent).enumerate() {
        assert!(latest <= sent, "c{device}: a value nobody sent");
    }
    for (of, id) in &told.fired {
        // ids survive crashes: no message may come back under another
        let known = seen.entry(*of).or_insert_with(|| (*id).to_owned());
        assert_eq!(known, id, "c{} #{} changed its firing's id", of.0, of.1);
    }
    for of in seen.keys() {
        assert!(told.fired.contains_key(of), "c{} #{} had fired and is gone", of.0, of.1);
    }
}

/// What the log did to its files, seen from outside at every crash: the proof that segments were
/// begun and retired and snapshots written while it was being killed.
#[derive(Default)]
struct Files {
    openings: usize,
    known: BTreeSet<String>,
    begun: usize,
    retired: usize,
    snapshots: usize,
}

impl Files {
    fn look(&mut self, dir: &Path) {
        let names: BTreeSet<String> = std::fs::read_dir(dir.join("log"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let count = |names: &BTreeSet<String>, other: &BTreeSet<String>, ending: &str| {
            names.difference(other).filter(|name| name.ends_with(ending)).count()
        };
        self.begun += count(&names, &self.known, ".flog");
        self.retired += count(&self.known, &names, ".flog");
        self.snapshots += count(&names, &self.known, ".snap");
        self.known = names;
    }
}

#[test]
fn kill_9_loses_nothing_acknowledged_and_fires_nothing_twice() {
    let kills: u64 = std::env::var("FLUX_KILLS").ok().map_or(6, |n| n.parse().unwrap());
    let seed: u64 = std::env::var("FLUX_SEED").ok().map_or(1, |n| n.parse().unwrap());
    let mut dice = Dice(seed);
    let (mut done, mut fired, mut acked, mut lives) = (0, 0, 0, 0);
    let mut files = Files::default();
    while done < kills {
        let life = one_life(&mut dice, (kills - done).min(25), &mut files);
        (done, fired, acked, lives) =
            (done + life.kills, fired + life.fired, acked + life.acked, lives + 1);
        println!(
            "{done} kills in {lives} lives: {acked} messages acknowledged, {fired} fired, \
             {} openings, {} segments begun, {} retired, {} snapshots seen",
            files.openings, files.begun, files.retired, files.snapshots
        );
    }
    assert!(files.begun > files.openings, "no segment ran full");
    assert!(files.retired > 0, "no segment was retired");
    assert!(files.snapshots > 0, "no snapshot was written");
}

struct Life {
    kills: u64,
    fired: usize,
    acked: usize,
}

/// Up to `kills` crashes over one data directory.
fn one_life(dice: &mut Dice, kills: u64, files: &mut Files) -> Life {
    let dir = tempfile::tempdir().unwrap();
    let sent: Arc<Vec<AtomicU64>> = Arc::new((0..DEVICES).map(|_| AtomicU64::new(0)).collect());
    let mut acked: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); DEVICES];
    let mut seen = BTreeMap::new();
    let mut engine = Engine::start(dir.path(), false, None).unwrap();
    let mut killed = 0;
    files.known.clear();
    while killed < kills && seen.len() < FIRINGS_PER_LIFE {
        files.look(dir.path());
        load_and_kill(engine, dice.ms(400), &sent, &mut acked);
        killed += 1;
        files.openings += 1;
        // now and then while it recovers, too
        while dice.ms(4).is_zero() && killed < kills {
            assert!(Engine::start(dir.path(), true, Some(dice.ms(120))).is_none());
            killed += 1;
            files.openings += 1;
        }
        files.look(dir.path());
        engine = Engine::start(dir.path(), true, None).unwrap();
        let state = settled(&mut engine, &acked);
        let sent: Vec<u64> = sent.iter().map(|sent| sent.load(Ordering::SeqCst)).collect();
        check(&state, &sent, &acked, &mut seen);
    }
    engine.kill();
    Life { kills: killed, fired: seen.len(), acked: acked.iter().map(BTreeSet::len).sum() }
}

/// Lets one writer for each device publish for a while, kills the engine in the midst of it, and
/// notes what had been acknowledged.
fn load_and_kill(
    engine: Engine,
    after: Duration,
    sent: &Arc<Vec<AtomicU64>>,
    acked: &mut [BTreeSet<u64>],
) {
    let address = engine.address;
    let before: Vec<u64> = sent.iter().map(|sent| sent.load(Ordering::SeqCst)).collect();
    let acknowledged: Arc<Vec<AtomicU64>> =
        Arc::new(before.iter().map(|number| AtomicU64::new(*number)).collect());
    let writers: Vec<_> = (0..DEVICES)
        .map(|device| {
            let (sent, acknowledged) = (Arc::clone(sent), Arc::clone(&acknowledged));
            std::thread::spawn(move || {
                publish(address, device, &sent[device], &acknowledged[device]);
            })
        })
        .collect();
    std::thread::sleep(after);
    engine.kill();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    for (device, acked) in acked.iter_mut().enumerate() {
        let last = acknowledged[device].load(Ordering::SeqCst);
        acked.extend(before[device] + 1..=last);
    }
}

/// Recovery goes on while the engine serves: waits until all that is on disk has been decided and
/// done.
fn settled(engine: &mut Engine, acked: &[BTreeSet<u64>]) -> Value {
    let until = Instant::now() + PATIENCE;
    // asking takes the webhooks out; they come again only after a restart
    let mut webhooks = Vec::new();
    let mut before = None;
    loop {
        let mut state = engine.state();
        webhooks.extend(state["webhooks"].as_array().unwrap().iter().cloned());
        state["webhooks"] = webhooks.clone().into();
        // twice the same: whatever fires too much would do so in between
        let now = state["firings"].as_array().unwrap().len();
        let done =
            state["lag"] == 0 && before == Some(now) && Told::read(&state).missing(acked).is_none();
        if done || Instant::now() > until {
            return state;
        }
        before = Some(now);
        std::thread::sleep(Duration::from_millis(10));
    }
}

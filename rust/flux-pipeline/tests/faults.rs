//! A disk that is full, broken or slow, and a configuration that changes between crash and restart.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod plant;
#[allow(dead_code, reason = "what the power cuts also look at")]
mod told;

use std::time::{Duration, Instant};

use flux_log::disk::{FaultOperation, SimDisk};
use flux_pipeline::{PipelineSettings, Refusal};
use flux_types::{Position, Qos};
use plant::{PATIENCE, Plant, THIRD, eventually, everything, log_options, registry};
use told::Told;

const EIO: i32 = 5;

fn start(disk: &SimDisk, version: u32) -> Plant {
    let settings = PipelineSettings {
        cursor_interval: Duration::from_millis(2),
        snapshot_interval: Duration::from_millis(5),
        ..PipelineSettings::default()
    };
    Plant::start(log_options(disk), settings, &registry(&everything(version))).unwrap()
}

/// Takes one message in, waiting while too much is under way.
fn accept(plant: &mut Plant, number: u64) -> Result<Position, Refusal> {
    let incoming = [plant.count(0, number, Qos::AtLeastOnce)];
    let until = Instant::now() + PATIENCE;
    loop {
        let mut at = Position::START;
        match plant.ingest.accept(&incoming, |_, position| at = position) {
            Ok(()) => return Ok(at),
            Err(Refusal::Busy) if Instant::now() < until => {
                plant.log.wait_room(Duration::from_millis(1));
            }
            Err(other) => return Err(other),
        }
    }
}

fn wait_done(plant: &Plant) -> Told {
    let until = Instant::now() + PATIENCE;
    loop {
        plant.wait_decided();
        let told = Told::read(plant);
        let Some(undone) = told.undone(plant) else { return told };
        assert!(Instant::now() < until, "{undone}; {:?}", plant.pipeline.counters().read());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn full_disk_refuses_and_goes_on_with_room_losing_nothing() {
    let disk = SimDisk::new(1);
    let mut plant = start(&disk, 1);
    let first = accept(&mut plant, 1).unwrap();
    assert!(plant.log.wait_committed(first, PATIENCE).unwrap());
    disk.set_capacity(Some(600 << 10));
    let mut taken = vec![first];
    let refusal = loop {
        match accept(&mut plant, taken.len() as u64 + 1) {
            Ok(position) => taken.push(position),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal, Refusal::Full);
    // what is looked at does not wait for the disk, though much waits there to be recorded
    let views = plant.pipeline.views();
    let _ = (views.alarms.lock().active_len(), views.commands.lock().open_len());
    assert!(!views.latest.is_empty());
    // everything taken is acknowledged all the same: its room was there
    assert!(plant.log.wait_committed(*taken.last().unwrap(), PATIENCE).unwrap());

    disk.set_capacity(None);
    let after =
        eventually("there is room again", || match accept(&mut plant, taken.len() as u64 + 1) {
            Ok(position) => Some(position),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Full);
                None
            }
        });
    assert!(plant.log.wait_committed(after, PATIENCE).unwrap());
    taken.push(after);
    let told = wait_done(&plant);
    assert_eq!(told.wrong(), None);
    for (number, position) in (1..).zip(&taken) {
        assert_eq!(told.messages[position].number, number);
    }
    assert!(plant.stop());
}

/// One failure is enough, of whatever the commit does: a second attempt could seem to succeed.
fn fails_for_good(operation: FaultOperation) {
    let disk = SimDisk::new(2);
    let mut plant = start(&disk, 1);
    let mut acknowledged = Vec::new();
    for number in 1..=30 {
        let position = accept(&mut plant, number).unwrap();
        assert!(plant.log.wait_committed(position, PATIENCE).unwrap());
        acknowledged.push(position);
    }
    plant.wait_decided();
    disk.fail(operation, 0, EIO, false);
    let mut number = 30;
    let refusal = eventually("the log stops", || {
        number += 1;
        accept(&mut plant, number).err()
    });
    assert_eq!(refusal, Refusal::Stopped);
    let committed = plant.ingest.committed();
    disk.heal();
    for number in 1000..1010 {
        assert_eq!(accept(&mut plant, number), Err(Refusal::Stopped));
    }
    assert_eq!(plant.ingest.committed(), committed, "acknowledged after the failure");
    plant.stop();
    disk.crash();
    disk.restart();
    let plant = start(&disk, 1);
    let told = wait_done(&plant);
    assert_eq!(told.wrong(), None);
    for (number, position) in (1..).zip(&acknowledged) {
        assert_eq!(told.messages[position].number, number);
    }
    assert!(told.messages.values().all(|message| message.number < 1000));
    assert!(plant.stop());
}

#[test]
fn failed_sync_stops_acknowledging_for_good() {
    fails_for_good(FaultOperation::Sync);
}

#[test]
fn failed_write_stops_acknowledging_for_good() {
    fails_for_good(FaultOperation::Write);
}

#[test]
fn slow_disk_bounds_what_waits_and_goes_on() {
    let disk = SimDisk::new(3);
    let mut plant = start(&disk, 1);
    disk.set_sync_delay(Duration::from_millis(20));
    let most = log_options(&disk).inflight_bytes_max as u64;
    let (mut number, mut busy) = (0, 0);
    let mut last = Position::START;
    while number < 3_000 {
        let batch: Vec<_> =
            (1..=50).map(|n| plant.count(0, number + n, Qos::AtLeastOnce)).collect();
        match plant.ingest.accept(&batch, |_, position| last = position) {
            Ok(()) => number += 50,
            Err(Refusal::Busy) => {
                busy += 1;
                plant.log.wait_room(PATIENCE);
            }
            Err(other) => panic!("{other}"),
        }
        assert!(plant.log.stats().inflight_bytes <= most);
    }
    assert!(busy > 0, "it was never too much");
    assert!(plant.log.wait_committed(last, PATIENCE).unwrap());
    disk.set_sync_delay(Duration::ZERO);
    let told = wait_done(&plant);
    assert_eq!((told.wrong(), told.messages[&last].number), (None, number));
    assert!(plant.stop());
}

#[test]
fn decided_before_a_crash_is_not_decided_again_under_another_version() {
    let disk = SimDisk::new(4);
    let mut plant = start(&disk, 1);
    for number in 1..=100 {
        accept(&mut plant, number).unwrap();
    }
    let before = wait_done(&plant);
    let last = *before.messages.keys().next_back().unwrap();
    assert!(plant.log.wait_committed(last, PATIENCE).unwrap());
    disk.crash();
    plant.stop();
    disk.restart();

    let mut plant = start(&disk, 2);
    for number in 101..=200 {
        accept(&mut plant, number).unwrap();
    }
    let after = wait_done(&plant);
    assert_eq!(after.wrong(), None, "each message was decided once by each rule");
    let by_version = |version: u32| {
        let of = |(key, firing): &(&(String, Position), &flux_pipeline::firing::Firing)| {
            key.0 == THIRD && firing.version == version
        };
        after.fired.iter().filter(of).count()
    };
    assert_eq!((by_version(1), by_version(2)), (33, 33));
    for (key, firing) in &before.fired {
        assert_eq!(after.fired[key].id, firing.id);
    }
    assert!(plant.stop());
}

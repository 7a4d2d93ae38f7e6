//! What the log does when the disk refuses: stop for good, wait for room, or be slow.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flux_log::disk::{Disk, FaultOperation, SimDisk};
use flux_log::{Append, Log, LogError, LogOptions};
use flux_types::{Coded, ErrorKind, Position, TenantId};
use support::{append, read_all, small};

const DIR: &str = "/log";
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const LONG: Duration = Duration::from_secs(20);

fn options(disk: &SimDisk) -> LogOptions {
    let mut options = small(Arc::new(disk.clone()), Path::new(DIR));
    options.upkeep_interval_ms = 5;
    options
}

fn record(body: &[u8]) -> Append<'_> {
    Append::new(1, TenantId(1), body)
}

/// After the failure nothing is accepted, nobody waits in vain, and what was acknowledged stays.
fn check_stopped(disk: &SimDisk, log: &Log, acknowledged: Position, told: &AtomicU64) {
    let refused = log.append_batch(&[record(b"more")]).unwrap_err();
    let LogError::Stopped { cause } = &refused else { panic!("{refused}") };
    assert_eq!(cause.os_error, Some(EIO));
    assert_eq!((refused.code(), refused.kind()), ("log.stopped", ErrorKind::Unavailable));
    let next = Position { offset: acknowledged.offset + 1, ..acknowledged };
    assert!(matches!(log.wait_committed(next, LONG), Err(LogError::Stopped { .. })));
    assert_eq!(log.committed(), acknowledged);
    assert_eq!(told.load(Ordering::SeqCst), 1);
    assert!(log.stats().stopped);
    assert!(log.wait_room(LONG), "nobody waits for room that never comes");
    // The disk is well again; the log is not: what it wrote last may be gone.
    disk.heal();
    assert!(matches!(log.append_batch(&[record(b"x")]), Err(LogError::Stopped { .. })));
    assert!(matches!(log.close(), Err(LogError::Stopped { .. })));
    assert_eq!(read_all(log, Position::START).len() as u64, acknowledged.offset);

    disk.crash();
    disk.restart();
    let log = Log::open(options(disk)).unwrap();
    assert_eq!(log.committed(), acknowledged, "what the failed sync lost was never acknowledged");
    let on = append(&log, 9).last;
    assert!(log.wait_committed(on, LONG).unwrap());
}

#[test]
fn a_failed_sync_stops_the_log_and_is_not_tried_again() {
    let disk = SimDisk::new(3);
    let log = Log::open_stepped(options(&disk)).unwrap();
    let told = Arc::new(AtomicU64::new(0));
    let hears = Arc::clone(&told);
    log.on_stop(move |_| {
        hears.fetch_add(1, Ordering::SeqCst);
    })
    .keep();
    let acknowledged = append(&log, 1).last;
    log.step_commit();
    // One failure alone: a second sync would succeed, without having written anything.
    disk.fail(FaultOperation::Sync, 0, EIO, false);
    append(&log, 2);
    log.step_commit();
    log.step_commit();
    check_stopped(&disk, &log, acknowledged, &told);
}

#[test]
fn a_failed_write_stops_the_log() {
    let disk = SimDisk::new(3);
    let log = Log::open(options(&disk)).unwrap();
    let told = Arc::new(AtomicU64::new(0));
    let hears = Arc::clone(&told);
    log.on_stop(move |_| {
        hears.fetch_add(1, Ordering::SeqCst);
    })
    .keep();
    let acknowledged = append(&log, 1).last;
    assert!(log.wait_committed(acknowledged, LONG).unwrap());
    disk.fail(FaultOperation::Write, 0, EIO, true);
    // The idle mark may be what meets the fault; then this is turned away at once.
    if let Ok(appended) = log.append_batch(&[record(b"lost")]) {
        assert!(matches!(log.wait_committed(appended.last, LONG), Err(LogError::Stopped { .. })));
    }
    while log.stopped().is_none() {
        std::thread::yield_now();
    }
    let _ = log.close();
    check_stopped(&disk, &log, acknowledged, &told);
}

#[test]
fn a_full_disk_refuses_cleanly_and_goes_on_when_space_returns() {
    let disk = SimDisk::new(3);
    let segment = options(&disk).segment_bytes;
    // Room for the first segment and one spare.
    disk.set_capacity(Some(2 * segment + 1000));
    let log = Log::open(options(&disk)).unwrap();
    let told = Arc::new(AtomicU64::new(0));
    let hears = Arc::clone(&told);
    log.on_room(move || {
        hears.fetch_add(1, Ordering::SeqCst);
    })
    .keep();
    let body = vec![5; 9000];
    let mut taken = 0;
    let refused = loop {
        match log.append_batch(&[record(&body)]) {
            Ok(appended) => {
                taken = appended.last.offset;
                assert!(log.wait_committed(appended.last, LONG).unwrap());
            }
            Err(LogError::Busy { .. }) => std::thread::yield_now(),
            Err(other) => break other,
        }
    };
    assert!(matches!(refused, LogError::Full { .. }), "{refused}");
    assert_eq!((refused.code(), refused.kind()), ("log.full", ErrorKind::Unavailable));
    assert!(taken > 15, "both segments were used: {taken}");
    assert!(log.stats().full && log.stopped().is_none());
    assert_eq!(read_all(&log, Position::START).len() as u64, taken);

    disk.set_capacity(None);
    // there *may* be room after each wait: whoever was turned away tries again
    let until = Instant::now() + LONG;
    let on = loop {
        match log.append_batch(&[record(&body)]) {
            Ok(appended) => break appended.last,
            Err(LogError::Full { .. } | LogError::Busy { .. }) => {
                assert!(Instant::now() < until, "it goes on when space returns");
                let _ = log.wait_room(Duration::from_millis(50));
            }
            Err(other) => panic!("{other}"),
        }
    };
    while told.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < until, "listeners are told that there is room");
        std::thread::yield_now();
    }
    assert_eq!(on.offset, taken + 1);
    assert!(log.wait_committed(on, LONG).unwrap());
    assert!(!log.stats().full);
}

#[test]
fn a_snapshot_that_finds_no_space_leaves_the_one_before() {
    let disk = SimDisk::new(3);
    let log = Log::open_stepped(options(&disk)).unwrap();
    let first = append(&log, 1).last;
    log.step_commit();
    log.save_snapshot("v", first, b"good").unwrap();
    let second = append(&log, 2).last;
    log.step_commit();
    for (operation, after) in [
        (FaultOperation::Create, 0),
        (FaultOperation::Write, 0),
        (FaultOperation::Write, 1),
        (FaultOperation::Sync, 0),
        (FaultOperation::Rename, 0),
    ] {
        disk.fail(operation, after, ENOSPC, false);
        let failed = log.save_snapshot("v", second, b"never");
        assert!(matches!(failed, Err(LogError::Io { .. })), "{operation:?}: {failed:?}");
        assert_eq!(log.load_snapshot("v").unwrap().unwrap().bytes, b"good");
    }
    assert!(log.stopped().is_none(), "the log itself has lost nothing");
    let names: Vec<_> = disk.list(Path::new(DIR)).unwrap().into_iter().map(|e| e.name).collect();
    assert!(names.iter().all(|name| !name.ends_with(".tmp")), "{names:?}");
    log.save_snapshot("v", second, b"better").unwrap();
    assert_eq!(log.load_snapshot("v").unwrap().unwrap().bytes, b"better");
}

#[test]
fn a_slow_disk_makes_commits_larger_not_more() {
    let disk = SimDisk::new(3);
    let log = Log::open(options(&disk)).unwrap();
    disk.set_sync_delay(Duration::from_millis(20));
    let mut last = Position::START;
    for id in 1..=1000_u64 {
        last = append(&log, id).last;
    }
    assert!(log.wait_committed(last, LONG).unwrap());
    let stats = log.stats();
    assert_eq!(stats.records, 1000);
    // 1000 records are far below the limit in flight: they wait for one sync or a few.
    assert!(stats.commits < 100, "{stats:?}");
    let slow: u64 = stats.sync_buckets[8..].iter().sum();
    assert!(slow > 0, "{stats:?}");
}

#[test]
fn lingering_gathers_what_comes_a_little_later() {
    let disk = SimDisk::new(3);
    let mut lingering = options(&disk);
    lingering.commit_linger_us = 300_000;
    let log = Log::open(lingering).unwrap();
    let mut last = Position::START;
    for id in 1..=100_u64 {
        last = append(&log, id).last;
        std::thread::yield_now();
    }
    assert!(log.wait_committed(last, LONG).unwrap());
    assert!(log.stats().commits < 20, "{:?}", log.stats());
}

#[test]
fn a_reader_reports_a_read_that_failed_and_tries_again() {
    let disk = SimDisk::new(3);
    let mut no_memory = options(&disk);
    no_memory.hot_bytes_max = 0;
    let log = Log::open_stepped(no_memory).unwrap();
    append(&log, 1);
    log.step_commit();
    let mut reader = log.reader(Position::START);
    disk.fail(FaultOperation::Read, 0, EIO, false);
    assert!(matches!(reader.next_batch(), Err(LogError::Io { operation: "read", .. })));
    assert_eq!(reader.next_batch().unwrap().unwrap().len(), 1);
}

#[test]
fn opening_a_full_disk_without_a_spare_is_refused_as_full() {
    let disk = SimDisk::new(3);
    disk.set_capacity(Some(1000));
    let error = Log::open(options(&disk)).unwrap_err();
    assert!(matches!(error, LogError::Full { .. }), "{error}");
    disk.set_capacity(None);
    Log::open(options(&disk)).unwrap();
}

#[test]
fn a_faulty_opening_changes_nothing_that_the_next_one_needs() {
    for operation in [
        FaultOperation::Write,
        FaultOperation::Sync,
        FaultOperation::SyncDir,
        FaultOperation::Create,
        FaultOperation::Rename,
        FaultOperation::Allocate,
        FaultOperation::Read,
    ] {
        for after in 0..6 {
            let disk = SimDisk::new(3);
            let log = Log::open_stepped(options(&disk)).unwrap();
            for id in 1..=20_u64 {
                append(&log, id);
            }
            log.close().unwrap();
            drop(log);
            disk.fail(operation, after, EIO, false);
            let _ = Log::open_stepped(options(&disk));
            disk.heal();
            disk.crash();
            disk.restart();
            let log = Log::open_stepped(options(&disk)).unwrap();
            assert_eq!(read_all(&log, Position::START).len(), 20, "{operation:?} {after}");
        }
    }
}

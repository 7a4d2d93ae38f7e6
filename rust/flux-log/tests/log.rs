//! What the log does while nothing goes wrong, and with what is put before it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flux_log::disk::{Disk, RealDisk};
use flux_log::{Append, Durability, Log, LogError, LogOptions};
use flux_types::{Coded, ErrorKind, Position, TenantId};
use support::{append, append_body, body, read_all, read_bodies, small};

const LONG: Duration = Duration::from_secs(20);

fn real(dir: &Path) -> LogOptions {
    let mut options = small(Arc::new(RealDisk), dir);
    options.upkeep_interval_ms = 20;
    options
}

#[test]
fn records_come_back_as_they_were_given() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(real(dir.path())).unwrap();
    let record = Append {
        kind: 7,
        flags: 0x81,
        tenant: TenantId(42),
        wall_ns: -5,
        mono_ns: 99,
        body: b"head",
        body_rest: b"tail",
    };
    let empty = Append::new(0, TenantId(1), b"");
    let appended = log.append_batch(&[record, empty]).unwrap();
    assert_eq!(appended.positions().count(), 2);
    assert_eq!(appended.position(1), Some(appended.last));
    assert_eq!(appended.position(2), None);
    assert!(log.wait_committed(appended.last, LONG).unwrap());

    for _ in 0..2 {
        let mut reader = log.reader(appended.first);
        let batch = reader.next_batch().unwrap().unwrap();
        let records: Vec<_> = batch.iter().collect();
        assert_eq!(records.len(), 2);
        let first = records[0];
        assert_eq!((first.kind, first.flags, first.tenant), (7, 0x81, TenantId(42)));
        assert_eq!((first.wall_ns, first.mono_ns), (-5, 99));
        assert_eq!(first.body, b"headtail");
        assert_eq!(&batch.share(&first)[..], b"headtail");
        assert_eq!(first.position, appended.first);
        assert_eq!(records[1].body, b"");
        assert!(reader.next_batch().unwrap().is_none(), "caught up");
    }
    log.close().unwrap();
    let again = Log::open(real(dir.path())).unwrap();
    assert_eq!(again.committed(), appended.last);
    assert_eq!(again.epoch(), appended.last.epoch + 1);
    assert_eq!(again.open_report().oldest, Some(appended.first));
    let bodies = read_bodies(&again, Position::START);
    assert_eq!(bodies, [b"headtail".to_vec(), Vec::new()]);
}

#[test]
fn offsets_grow_through_epochs_and_epochs_never_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = Position::START;
    for opening in 1..=5 {
        let log = Log::open(real(dir.path())).unwrap();
        assert_eq!(log.epoch(), opening);
        // Every second opening commits nothing.
        if opening % 2 == 1 {
            let position = append(&log, u64::from(opening)).last;
            assert!(position > last);
            assert_eq!(position.offset, last.offset + 1);
            last = position;
            assert!(log.wait_committed(last, LONG).unwrap());
        }
    }
    let log = Log::open(real(dir.path())).unwrap();
    assert_eq!(log.committed(), last);
    assert_eq!(read_all(&log, Position::START).len(), 3);
    let files: Vec<_> = RealDisk.list(dir.path()).unwrap();
    let segments = files.iter().filter(|f| f.name.starts_with("segment-")).count();
    assert_eq!(segments, 4, "empty epochs leave no file: {files:?}");
}

#[test]
fn readers_follow_the_tail_through_memory_and_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = real(dir.path());
    options.hot_bytes_max = 16 << 10;
    let log = Log::open(options).unwrap();
    let writer = log.clone();
    let total = 20_000_u64;
    let thread = std::thread::spawn(move || {
        let mut id = 1;
        while id <= total {
            let bodies: Vec<Vec<u8>> = (id..=total.min(id + 15)).map(body).collect();
            let batch: Vec<_> = bodies.iter().map(|b| Append::new(1, TenantId(1), b)).collect();
            match writer.append_batch(&batch) {
                Ok(_) => id += batch.len() as u64,
                Err(LogError::Busy { .. }) => {
                    writer.wait_room(LONG);
                }
                Err(other) => panic!("{other}"),
            }
        }
    });
    let mut reader = log.reader(Position::START);
    let mut next = 1;
    while next <= total {
        assert!(reader.wait(LONG).unwrap(), "stuck at {next}");
        while let Some(batch) = reader.next_batch().unwrap() {
            for record in &batch {
                assert_eq!(record.position.offset, next);
                assert_eq!(record.body, body(next));
                next += 1;
            }
        }
    }
    thread.join().unwrap();
    let mut late = log.reader(Position { epoch: 1, offset: total / 2 });
    let batch = late.next_batch().unwrap().unwrap();
    assert_eq!(batch.first().offset, total / 2);
    let stats = log.stats();
    assert!(stats.rollovers > 3, "{stats:?}");
    assert!(stats.file_reads > 0);
    assert_eq!(stats.records, total);
}

#[test]
fn concurrent_appenders_get_positions_of_their_own_in_their_own_order() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(real(dir.path())).unwrap();
    let threads: Vec<_> = (0..4_u64)
        .map(|who| {
            let log = log.clone();
            std::thread::spawn(move || {
                let mut mine = Vec::new();
                for n in 0..500_u64 {
                    let text = (who << 32 | n).to_le_bytes();
                    let batch = [Append::new(1, TenantId(1), &text); 3];
                    loop {
                        match log.append_batch(&batch) {
                            Ok(appended) => break mine.push((appended, text)),
                            Err(LogError::Busy { .. }) => {
                                log.wait_room(LONG);
                            }
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
                mine
            })
        })
        .collect();
    let mut all = Vec::new();
    for thread in threads {
        let mine = thread.join().unwrap();
        assert!(mine.windows(2).all(|pair| pair[0].0.last < pair[1].0.first));
        all.extend(mine);
    }
    log.close().unwrap();
    let read = read_all(&log, Position::START);
    assert_eq!(read.len(), 4 * 500 * 3);
    for (appended, text) in all {
        for position in appended.positions() {
            assert_eq!(read[&position], text);
        }
    }
}

#[test]
fn listeners_hear_every_commit_in_order_until_they_leave() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(real(dir.path())).unwrap();
    let heard = Arc::new(AtomicU64::new(0));
    let hears = Arc::clone(&heard);
    let subscription = log.on_commit(move |position| {
        let before = hears.swap(position.offset, Ordering::SeqCst);
        assert!(before < position.offset);
    });
    log.on_commit(|_| panic!("a listener that panics does not end the commit thread")).keep();
    let first = append(&log, 1).last;
    assert!(log.wait_committed(first, LONG).unwrap());
    let second = append(&log, 2).last;
    assert!(log.wait_committed(second, LONG).unwrap());
    drop(subscription);
    log.close().unwrap();
    assert!(heard.load(Ordering::SeqCst) >= first.offset);
    assert!(matches!(
        log.append_batch(&[Append::new(1, TenantId(1), b"x")]),
        Err(LogError::Closed)
    ));
}

#[test]
fn what_is_over_a_limit_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = real(dir.path());
    options.record_bytes_max = 1000;
    options.batch_bytes_max = 2000;
    options.inflight_bytes_max = 2000;
    let log = Log::open_stepped(options).unwrap();
    let large = vec![0; 1001];
    let fits = vec![0; 900];
    let record = Append::new(1, TenantId(1), &fits);
    let refused = log.append_batch(&[record, Append::new(1, TenantId(1), &large)]);
    assert!(matches!(refused, Err(LogError::RecordTooLarge { index: 1, bytes: 1001, .. })));
    assert!(matches!(log.append_batch(&[record; 3]), Err(LogError::BatchTooLarge { .. })));
    assert!(matches!(log.append_batch(&[]), Err(LogError::EmptyBatch)));
    assert_eq!(log.append_batch(&[record]).unwrap().first.offset, 1);
    let busy = log.append_batch(&[record; 2]).unwrap_err();
    assert!(matches!(busy, LogError::Busy { .. }));
    assert_eq!((busy.code(), busy.kind()), ("log.busy", ErrorKind::Unavailable));
    assert!(!log.wait_room(Duration::from_millis(1)));
    let told = Arc::new(AtomicU64::new(0));
    let hears = Arc::clone(&told);
    log.on_room(move || {
        hears.fetch_add(1, Ordering::SeqCst);
    })
    .keep();
    log.step_commit();
    assert_eq!(told.load(Ordering::SeqCst), 1);
    assert!(log.wait_room(Duration::ZERO));
    assert_eq!(log.append_batch(&[record; 2]).unwrap().first.offset, 2);
    assert_eq!(log.stats().busy, 1);
}

#[test]
fn options_out_of_range_are_named() {
    let dir = tempfile::tempdir().unwrap();
    type Change = fn(&mut LogOptions);
    let cases: [(&str, Change); 6] = [
        ("segment_bytes", |o| o.segment_bytes = 5000),
        ("commit_align_bytes", |o| o.commit_align_bytes = 100),
        ("batch_bytes_max", |o| o.batch_bytes_max = 1 << 30),
        ("record_bytes_max", |o| o.record_bytes_max = o.batch_bytes_max),
        ("inflight_bytes_max", |o| o.inflight_bytes_max = 1),
        ("spare_segments", |o| o.spare_segments = 0),
    ];
    for (expected, change) in cases {
        let mut options = real(dir.path());
        change(&mut options);
        match Log::open(options) {
            Err(LogError::Options { name, .. }) => assert_eq!(name, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn a_second_opener_is_told_who_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(real(dir.path())).unwrap();
    match Log::open(real(dir.path())) {
        Err(LogError::Locked { pid, path }) => {
            assert_eq!(pid, Some(std::process::id()));
            assert!(path.ends_with("LOCK"));
        }
        other => panic!("{other:?}"),
    }
    log.close().unwrap();
    Log::open(real(dir.path())).unwrap();
}

/// The path of the only segment that holds records.
fn segment(dir: &Path, nth: usize) -> std::path::PathBuf {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with("segment-"))
        .collect();
    names.sort();
    names.swap_remove(nth)
}

fn filled(dir: &Path, records: u64) {
    let log = Log::open(real(dir)).unwrap();
    for id in 1..=records {
        append_body(&log, &[id as u8; 3000]);
    }
    log.close().unwrap();
}

#[test]
fn a_foreign_file_with_our_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    std::fs::write(dir.path().join("segment-0000000009-1.flog"), b"%PDF-1.7 not ours").unwrap();
    let error = Log::open(real(dir.path())).unwrap_err();
    assert!(matches!(error, LogError::Foreign { .. }), "{error}");
    std::fs::remove_file(dir.path().join("segment-0000000009-1.flog")).unwrap();
    std::fs::write(dir.path().join("notes.txt"), b"left alone").unwrap();
    let log = Log::open(real(dir.path())).unwrap();
    assert_eq!(log.open_report().unknown_files, ["notes.txt"]);
}

#[test]
fn a_segment_of_another_log_is_refused() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path(), 3);
    filled(other.path(), 3);
    drop(Log::open(real(other.path())).map(|log| append(&log, 1)));
    let stray = segment(other.path(), 1);
    std::fs::copy(&stray, dir.path().join(stray.file_name().unwrap())).unwrap();
    let error = Log::open(real(dir.path())).unwrap_err();
    assert!(matches!(error, LogError::Foreign { what, .. } if what.contains("another log")));
}

#[test]
fn a_newer_format_is_refused_by_version() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    let path = segment(dir.path(), 0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 9;
    std::fs::write(&path, bytes).unwrap();
    let error = Log::open(real(dir.path())).unwrap_err();
    assert!(matches!(error, LogError::NewerVersion { found: 9, supported: 1, .. }), "{error}");
}

#[test]
fn a_damaged_header_is_read_from_its_copy() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    let path = segment(dir.path(), 0);
    for at in [0, 20, 100] {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] ^= 0x10;
        std::fs::write(&path, bytes).unwrap();
    }
    let log = Log::open(real(dir.path())).unwrap();
    assert_eq!(read_all(&log, Position::START).len(), 3);
}

#[test]
fn a_truncated_header_is_damage_that_repair_sets_aside() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    filled(dir.path(), 2);
    let path = segment(dir.path(), 0);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..100]).unwrap();
    let LogError::Damaged(report) = Log::open(real(dir.path())).unwrap_err() else {
        panic!("expected damage")
    };
    let at = |offset| Position { epoch: 1, offset };
    assert_eq!((report.ranges[0].from, report.ranges[0].to), (at(1), at(3)));

    let mut options = real(dir.path());
    options.repair = true;
    let log = Log::open(options).unwrap();
    let report = log.open_report();
    assert_eq!(report.damage.ranges.len(), 1);
    assert!(report.set_aside[0].exists());
    assert_eq!(log.append_batch(&[Append::new(1, TenantId(1), b"on")]).unwrap().first.offset, 6);
    let left = support::read_lossy(&log, Position::START);
    assert!(left.records.keys().all(|p| p.epoch == 2));
    assert_eq!(left.records.len(), 2);
}

#[test]
fn a_missing_middle_segment_is_damage_with_its_range() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 100);
    std::fs::remove_file(segment(dir.path(), 1)).unwrap();
    let LogError::Damaged(report) = Log::open(real(dir.path())).unwrap_err() else {
        panic!("expected damage")
    };
    assert_eq!(report.ranges.len(), 1, "{report}");
    let lost = (report.ranges[0].from, report.ranges[0].to);

    let mut options = real(dir.path());
    options.repair = true;
    let log = Log::open(options).unwrap();
    let left = support::read_lossy(&log, Position::START);
    assert_eq!(left.damaged, [lost]);
    assert_eq!(left.records.len() as u64, 100 - (lost.1.offset - lost.0.offset + 1));
    assert_eq!(left.records.keys().last().unwrap().offset, 100);
}

#[test]
fn snapshots_survive_and_fall_back_a_generation() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(real(dir.path())).unwrap();
    assert_eq!(log.load_snapshot("alarms").unwrap(), None);
    let mut positions = Vec::new();
    for id in 1..=3 {
        let position = append(&log, id).last;
        assert!(log.wait_committed(position, LONG).unwrap());
        log.save_snapshot("alarms", position, &body(id)).unwrap();
        positions.push(position);
    }
    let ahead = Position { offset: 99, ..positions[2] };
    assert!(matches!(log.save_snapshot("alarms", ahead, b""), Err(LogError::SnapshotAhead { .. })));
    let behind = log.save_snapshot("alarms", positions[0], b"");
    assert!(matches!(behind, Err(LogError::SnapshotBehind { .. })));
    assert!(matches!(log.save_snapshot("a/b", ahead, b""), Err(LogError::SnapshotName { .. })));
    let loaded = log.load_snapshot("alarms").unwrap().unwrap();
    assert_eq!((loaded.position, loaded.bytes, loaded.fell_back), (positions[2], body(3), false));
    log.close().unwrap();

    let file = |generation| dir.path().join(format!("snapshot-alarms-{generation:010}.snap"));
    assert!(!file(1).exists(), "only two generations are kept");
    let mut bytes = std::fs::read(file(3)).unwrap();
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    std::fs::write(file(3), bytes).unwrap();
    let log = Log::open(real(dir.path())).unwrap();
    let loaded = log.load_snapshot("alarms").unwrap().unwrap();
    assert_eq!((loaded.position, loaded.bytes, loaded.fell_back), (positions[1], body(2), true));
    assert_eq!(log.stats().snapshot_fallbacks, 1);
    // What replaces the damaged one may be older than it claimed to be.
    log.save_snapshot("alarms", positions[1], b"rebuilt").unwrap();
    assert_eq!(log.load_snapshot("alarms").unwrap().unwrap().bytes, b"rebuilt");
    log.close().unwrap();

    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "snap") {
            std::fs::write(path, b"short").unwrap();
        }
    }
    let log = Log::open(real(dir.path())).unwrap();
    let error = log.load_snapshot("alarms").unwrap_err();
    assert!(matches!(error, LogError::SnapshotDamaged { .. }), "{error}");
}

#[test]
fn without_durability_the_watermark_moves_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = real(dir.path());
    options.durability = Durability::None;
    let log = Log::open(options).unwrap();
    let position = append(&log, 1).last;
    assert!(log.wait_committed(position, LONG).unwrap());
    assert!(log.stats().not_durable);
    log.save_snapshot("v", position, b"").unwrap();
    log.close().unwrap();
    assert_eq!(read_all(&Log::open(real(dir.path())).unwrap(), Position::START).len(), 1);
}

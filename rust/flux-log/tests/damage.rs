//! Damage to what was acknowledged is found, reported with its range, and passed over; what was
//! never acknowledged goes quietly.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flux_log::disk::{Disk, SimDisk};
use flux_log::{Log, LogError, LogOptions};
use flux_types::{Coded, ErrorKind, Position};
use proptest::prelude::*;
use support::{append, append_body, read_all, read_lossy, small};

const DIR: &str = "/log";

fn options(disk: &SimDisk) -> LogOptions {
    small(Arc::new(disk.clone()), Path::new(DIR))
}

/// Some segments of acknowledged records, closed.
fn filled(disk: &SimDisk, records: u64) -> BTreeMap<Position, Vec<u8>> {
    let log = Log::open_stepped(options(disk)).unwrap();
    for id in 1..=records {
        append_body(&log, &vec![id as u8; 700]);
        if id % 5 == 0 {
            log.step_commit();
            log.step_upkeep();
        }
    }
    log.close().unwrap();
    read_all(&log, Position::START)
}

fn segments(disk: &SimDisk) -> Vec<(PathBuf, usize)> {
    let mut found: Vec<_> = disk
        .list(Path::new(DIR))
        .unwrap()
        .into_iter()
        .filter(|entry| entry.name.starts_with("segment-"))
        .map(|entry| (Path::new(DIR).join(entry.name), usize::try_from(entry.bytes).unwrap()))
        .collect();
    found.sort();
    found
}

fn covered(ranges: &[(Position, Position)], position: Position) -> bool {
    ranges.iter().any(|(from, to)| (*from..=*to).contains(&position))
}

/// Opens after damage: everything is as it was, or refused with ranges and, repaired, readable
/// but for exactly these.
fn check_damaged(disk: &SimDisk, before: &BTreeMap<Position, Vec<u8>>) -> u64 {
    let report = match Log::open_stepped(options(disk)) {
        Ok(log) => {
            assert_eq!(&read_all(&log, Position::START), before);
            return 0;
        }
        Err(LogError::Damaged(report)) => report,
        Err(other) => panic!("{other}"),
    };
    let told: Vec<_> = report.ranges.iter().map(|d| (d.from, d.to)).collect();
    let mut repairing = options(disk);
    repairing.repair = true;
    let log = Log::open_stepped(repairing).unwrap();
    let left = read_lossy(&log, Position::START);
    for (position, body) in before {
        match left.records.get(position) {
            Some(there) => assert_eq!(there, body, "{position} has changed"),
            None => assert!(covered(&told, *position), "{position} is gone, told: {told:?}"),
        }
    }
    let lost = before.keys().filter(|p| !left.records.contains_key(p)).count() as u64;
    let counted: u64 = left.damaged.iter().map(|(f, t)| t.offset - f.offset + 1).sum();
    assert_eq!(counted, lost, "readers are told of exactly what is lost: {:?}", left.damaged);
    let next = append(&log, 1).first;
    assert!(before.keys().all(|p| *p < next));
    lost
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bits_are_found_reported_and_passed_over(
        flips in prop::collection::vec((0_usize..4, 0.0_f64..1.0, 0_u32..8), 1..6),
    ) {
        let disk = SimDisk::new(1);
        let before = filled(&disk, 400);
        let segments = segments(&disk);
        for (segment, place, bit) in flips {
            let (path, bytes) = &segments[segment % segments.len()];
            // Behind the headers: those have a test of their own.
            let at = 8192 + (place * (bytes - 8192) as f64) as usize;
            prop_assert!(disk.flip(path, at, 1 << bit));
        }
        check_damaged(&disk, &before);
    }

    #[test]
    fn truncated_segments_are_found_and_reported(segment in 0_usize..4, place in 0.0_f64..1.0) {
        let disk = SimDisk::new(1);
        let before = filled(&disk, 400);
        let (path, bytes) = segments(&disk).swap_remove(segment % segments(&disk).len());
        let file = disk.open(&path, true).unwrap();
        file.set_len(8192 + (place * (bytes - 8192) as f64) as u64).unwrap();
        let end = before.keys().next_back().copied().unwrap();
        let last = segments(&disk).last().unwrap().0 == path;
        if last {
            // The newest segment cut short looks like a crash: what is left has to be a prefix.
            match Log::open_stepped(options(&disk)) {
                Ok(log) => {
                    let left = read_all(&log, Position::START);
                    prop_assert!(before.iter().zip(&left).all(|(a, b)| a == b));
                    prop_assert!(left.keys().all(|p| *p <= end));
                }
                Err(other) => prop_assert!(matches!(other, LogError::Damaged(_)), "{other}"),
            }
        } else {
            check_damaged(&disk, &before);
        }
    }

    #[test]
    fn garbage_for_a_segment_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..20_000)) {
        let disk = SimDisk::new(1);
        let before = filled(&disk, 400);
        let (path, _) = segments(&disk).swap_remove(1);
        let file = disk.open(&path, true).unwrap();
        file.set_len(0).unwrap();
        file.write_at(0, &bytes).unwrap();
        match Log::open_stepped(options(&disk)) {
            Ok(_) => prop_assert!(false, "opened without one of its segments"),
            Err(LogError::Damaged(_)) => { check_damaged(&disk, &before); }
            Err(other) => prop_assert!(matches!(other, LogError::Foreign { .. }), "{other}"),
        }
    }
}

#[test]
fn one_flipped_bit_costs_one_frame_and_is_internal() {
    let disk = SimDisk::new(1);
    let before = filled(&disk, 400);
    let (path, _) = segments(&disk).swap_remove(1);
    assert!(disk.flip(&path, 40_000, 1));
    let error = Log::open_stepped(options(&disk)).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("log.damaged", ErrorKind::Internal));
    assert!(error.to_string().contains("segment-"), "{error}");
    let lost = check_damaged(&disk, &before);
    assert!((1..=5).contains(&lost), "{lost}");
}

#[test]
fn damage_to_the_very_last_commit_is_told_from_a_torn_tail_after_a_mark() {
    let disk = SimDisk::new(1);
    let log = Log::open_stepped(options(&disk)).unwrap();
    append(&log, 1);
    log.step_commit();
    append(&log, 2);
    log.step_commit();
    // Idle: the mark.
    log.step_commit();
    assert_eq!(log.stats().marks, 1);
    log.abandon();
    drop(log);
    let (path, _) = segments(&disk).swap_remove(0);
    assert!(disk.flip(&path, 8192 + 4096 + 70, 1));
    let LogError::Damaged(report) = Log::open_stepped(options(&disk)).unwrap_err() else {
        panic!("expected damage")
    };
    let second = Position { epoch: 1, offset: 2 };
    assert_eq!((report.ranges[0].from, report.ranges[0].to), (second, second));
}

#[test]
fn a_torn_tail_goes_quietly_and_is_counted() {
    let disk = SimDisk::new(1);
    let log = Log::open_stepped(options(&disk)).unwrap();
    append(&log, 1);
    log.step_commit();
    append_body(&log, &[7; 9000]);
    append_body(&log, &[8; 9000]);
    log.step_commit();
    log.abandon();
    drop(log);
    // As if the sync of the second commit had never finished: its first frame is not whole.
    let (path, _) = segments(&disk).swap_remove(0);
    assert!(disk.flip(&path, 8192 + 4096 + 5000, 1));
    let log = Log::open_stepped(options(&disk)).unwrap();
    let report = log.open_report();
    assert!(report.torn_tail && report.torn_frames == 1, "{report:?}");
    assert_eq!(log.committed(), Position { epoch: 1, offset: 1 });
    assert_eq!(log.stats().torn_tails, 1);
    assert_eq!(read_all(&log, Position::START).len(), 1);
}

#[test]
fn a_reader_meets_damage_that_comes_while_the_log_is_open() {
    let disk = SimDisk::new(1);
    let mut small_hot = options(&disk);
    small_hot.hot_bytes_max = 0;
    let log = Log::open_stepped(small_hot).unwrap();
    for id in 1..=400_u64 {
        append_body(&log, &vec![id as u8; 700]);
        log.step_commit();
        log.step_upkeep();
    }
    let (path, _) = segments(&disk).swap_remove(0);
    assert!(disk.flip(&path, 8192 + 10 * 4096 + 300, 4));
    let left = read_lossy(&log, Position::START);
    assert_eq!(left.damaged.len(), 1);
    assert_eq!(left.records.len(), 399);
    assert_eq!(log.stats().damaged_records, 1);
}

#[test]
fn damage_not_looked_for_when_opening_is_told_by_readers() {
    let disk = SimDisk::new(1);
    let before = filled(&disk, 400);
    let (path, _) = segments(&disk).swap_remove(0);
    assert!(disk.flip(&path, 40_000, 1));
    let mut quick = options(&disk);
    quick.verify = flux_log::Verify::Tail;
    let log = Log::open_stepped(quick).unwrap();
    let left = read_lossy(&log, Position::START);
    let [(from, to)] = left.damaged[..] else { panic!("{:?}", left.damaged) };
    let lost = to.offset - from.offset + 1;
    assert_eq!(left.records.len() as u64 + lost, before.len() as u64);
}

#[test]
fn a_log_that_ends_before_a_durable_snapshot_is_damaged() {
    let disk = SimDisk::new(1);
    let log = Log::open_stepped(options(&disk)).unwrap();
    append(&log, 1);
    append(&log, 2);
    log.step_commit();
    log.save_snapshot("v", log.committed(), b"").unwrap();
    log.abandon();
    drop(log);
    let (path, _) = segments(&disk).swap_remove(0);
    // The only commit, unmarked: by itself this looks like a torn tail.
    assert!(disk.flip(&path, 8192 + 60, 1));
    let LogError::Damaged(report) = Log::open_stepped(options(&disk)).unwrap_err() else {
        panic!("expected damage")
    };
    assert_eq!(report.ranges[0].cause, flux_log::DamageCause::EndsBeforeSnapshot);
    let mut repairing = options(&disk);
    repairing.repair = true;
    let log = Log::open_stepped(repairing).unwrap();
    assert_eq!(append(&log, 3).first, Position { epoch: 2, offset: 3 });
}

#[test]
fn bodies_that_look_like_frames_are_not_taken_for_frames() {
    let disk = SimDisk::new(1);
    let log = Log::open_stepped(options(&disk)).unwrap();
    append(&log, 1);
    log.step_commit();
    let (path, _) = segments(&disk).swap_remove(0);
    // A frame of another segment, at every place where one could begin.
    let mut block = [0; 64];
    disk.open(&path, false).unwrap().read_at(8192, &mut block).unwrap();
    log.close().unwrap();
    let log = Log::open_stepped(options(&disk)).unwrap();
    append_body(&log, &block.repeat(300));
    append(&log, 2);
    log.step_commit();
    log.close().unwrap();
    let before = read_all(&log, Position::START);
    let (path, _) = segments(&disk).swap_remove(1);
    // The real frame's header: now only false ones follow.
    assert!(disk.flip(&path, 8192 + 5, 1));
    let lost = check_damaged(&disk, &before);
    assert_eq!(lost, 1);
}

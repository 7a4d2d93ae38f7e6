//! What views hold back, what retention removes, and who is told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use flux_log::disk::RealDisk;
use flux_log::{Log, LogError, LogOptions, ManualClock, Retention, Stamp, View, ViewEvent};
use flux_types::Position;
use support::{append_body, small};

struct Kept {
    log: Log,
    clock: Arc<ManualClock>,
    _dir: tempfile::TempDir,
}

/// A log that keeps at most about three segments, stepped by hand.
fn retaining(change: impl FnOnce(&mut LogOptions)) -> Kept {
    let dir = tempfile::tempdir().unwrap();
    let start = Stamp { boot_id: 1, wall_ns: 1_700_000_000_000_000_000, mono_ns: 1 };
    let clock = Arc::new(ManualClock::new(start));
    let mut options = small(Arc::new(RealDisk), dir.path());
    options.clock = Arc::clone(&clock) as _;
    options.retention.bytes_max = 3 * options.segment_bytes;
    change(&mut options);
    let log = Log::open_stepped(options).unwrap();
    Kept { log, clock, _dir: dir }
}

fn fill(log: &Log, records: u64) -> Position {
    let mut last = log.committed();
    for id in 0..records {
        log.step_upkeep();
        last = append_body(log, &[id as u8; 5000]).last;
        log.step_commit();
    }
    log.step_upkeep();
    last
}

#[test]
fn retention_removes_the_oldest_segments_and_readers_are_told() {
    let Kept { log, _dir, .. } = retaining(|_| {});
    let mut early = log.reader(Position::START);
    fill(&log, 200);
    let stats = log.stats();
    assert!(stats.segments <= 4 && stats.retired_segments > 5, "{stats:?}");
    assert!(stats.recycled_segments > 3, "{stats:?}");
    let oldest = log.oldest().unwrap();
    match early.next_batch() {
        Err(LogError::Retired { from, to }) => {
            assert_eq!(from.offset, 1);
            assert_eq!(to.offset + 1, oldest.offset);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(early.next_batch().unwrap().unwrap().first(), oldest);
}

#[test]
fn a_pinning_view_holds_its_records_and_is_reported_over_budget() {
    let Kept { log, _dir, .. } = retaining(|o| o.views = vec![View::pinning("rules", 400_000)]);
    let events = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let hears = Arc::clone(&events);
    log.on_view(move |event| hears.lock().push(event.clone())).keep();
    fill(&log, 200);
    assert_eq!(log.oldest().unwrap().offset, 1);
    let status = log.views().remove(0);
    assert!(status.over_budget && status.behind_bytes > 900_000, "{status:?}");
    assert!(matches!(events.lock()[..], [ViewEvent::OverBudget { .. }]), "{events:?}");
    let committed = log.committed();
    log.save_snapshot("rules", committed, b"one").unwrap();
    log.step_upkeep();
    assert_eq!(log.oldest().unwrap().offset, 1, "the first snapshot has none to fall back to");
    log.save_snapshot("rules", committed, b"two").unwrap();
    log.step_upkeep();
    assert!(log.oldest().unwrap().offset > 100);
    assert!(!log.views().remove(0).over_budget);
    assert!(matches!(events.lock()[..], [_, ViewEvent::WithinBudget { .. }]));
}

#[test]
fn an_evictable_view_keeps_its_budget_and_is_told_what_it_lost() {
    let budget = 8 * 128 * 1024;
    let Kept { log, _dir, .. } =
        retaining(|o| o.views = vec![View::evictable("north", budget, None)]);
    let events = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let hears = Arc::clone(&events);
    log.on_view(move |event| hears.lock().push(event.clone())).keep();
    fill(&log, 90);
    assert_eq!(log.oldest().unwrap().offset, 1, "within its budget nothing goes");
    fill(&log, 150);
    let oldest = log.oldest().unwrap();
    assert!(oldest.offset > 1);
    assert!(log.stats().disk_bytes > 5 * 128 * 1024, "the budget holds beyond retention's own");
    let events = events.lock();
    let ViewEvent::Evicted { name, from, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!((name.as_str(), from.offset), ("north", 1));
    let Some(ViewEvent::Evicted { to, .. }) = events.last() else { panic!("{events:?}") };
    assert_eq!(to.offset + 1, oldest.offset);
    assert_eq!(log.views()[0].evicted.unwrap().1, *to);
}

#[test]
fn age_retires_by_time_that_passed_and_not_by_a_clock_jump() {
    let week = Duration::from_secs(7 * 24 * 3600);
    let Kept { log, clock, _dir } = retaining(|o| {
        o.retention = Retention { bytes_max: u64::MAX, age_max: Some(week), ..o.retention };
    });
    fill(&log, 100);
    clock.set_wall_ns(1_900_000_000_000_000_000);
    fill(&log, 1);
    assert_eq!(log.oldest().unwrap().offset, 1, "the wall clock jumped six years");
    clock.advance(week / 2);
    fill(&log, 50);
    assert_eq!(log.oldest().unwrap().offset, 1);
    clock.advance(week / 2 + Duration::from_secs(1));
    fill(&log, 1);
    let oldest = log.oldest().unwrap().offset;
    assert!((50..=102).contains(&oldest), "{oldest}");
}

#[test]
fn a_view_that_nobody_registered_pins_until_it_is_forgotten() {
    let Kept { log, _dir, .. } = retaining(|_| {});
    let first = fill(&log, 1);
    log.save_snapshot("left", first, b"1").unwrap();
    log.save_snapshot("left", first, b"2").unwrap();
    fill(&log, 200);
    assert_eq!(log.oldest().unwrap().offset, 1);
    assert!(!log.views()[0].registered);
    log.forget_view("left").unwrap();
    log.step_upkeep();
    assert!(log.oldest().unwrap().offset > 100);
    assert!(matches!(log.forget_view("left"), Err(LogError::UnknownView { .. })));
}

#[test]
fn views_are_limited_in_number() {
    let Kept { log, _dir, .. } = retaining(|o| o.views_max = 2);
    log.register_view(View::pinning("a", 1)).unwrap();
    log.register_view(View::pinning("b", 1)).unwrap();
    log.register_view(View::evictable("b", 1, None)).unwrap();
    assert!(matches!(
        log.register_view(View::pinning("c", 1)),
        Err(LogError::TooManyViews { views_max: 2 })
    ));
}

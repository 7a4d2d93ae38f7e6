//! What the store does while nothing goes wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flux_log::disk::{FaultOperation, RealDisk, SimDisk};
use flux_log::{ManualClock, Stamp};
use flux_tsdb::{LogSpan, Point, Store, StoreOptions, TsdbError, Upkeep};
use flux_types::{Coded, ErrorKind, Position, TenantId, Value};
use serde_json::json;
use support::{
    DIR, SECOND, TENANT, all, at, clock, device, files, numbers, put, sample, series, small,
};

const ENOSPC: i32 = 28;
/// By how much one sample may overstep the budget: its runs grow by less than this.
const ONE_STEP: u64 = 32 << 10;

#[test]
fn points_come_back_from_heads_blocks_and_both() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    let expected: Vec<(i64, f64)> = (0..3000).map(|i| (i * SECOND, i as f64 / 4.0)).collect();
    for (i, (ts, value)) in expected.iter().enumerate() {
        put(&mut writer, *ts, i as u64 + 1, *value);
        if i == 1000 {
            writer.applied(at(i as u64 + 1));
            assert_eq!(store.flush().unwrap(), at(1001));
        }
    }
    assert_eq!(numbers(&store), expected);
    writer.applied(at(3000));
    store.close().unwrap();
    drop((writer, store));
    let store = Store::open(small(&disk)).unwrap();
    assert_eq!(store.durable_position(), at(3000));
    assert_eq!(numbers(&store), expected);
    assert_eq!((store.report().blocks, store.report().series, store.report().points), (2, 1, 3000));
}

#[test]
fn every_kind_of_value_survives_a_block() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    let values = [
        Value::Bool(true),
        Value::I64(i64::MIN),
        Value::F64(-0.0),
        Value::F64(f64::NEG_INFINITY),
        Value::F64(21.37),
        Value::Time(-5),
        Value::from("läuft"),
        Value::Bytes(Bytes::from_static(&[0, 255])),
        Value::Json(Arc::new(json!({"a": [null, 1.5]}))),
        Value::Json(Arc::new(json!(null))),
    ];
    for (i, value) in values.iter().enumerate() {
        writer.append(&sample(1, i as i64, &[("v", value.clone())]), at(i as u64 + 1)).unwrap();
    }
    writer.applied(at(10));
    store.flush().unwrap();
    let series = series(&store, 1, "v");
    let found: Vec<Value> = all(&store, series).into_iter().map(|(_, value)| value).collect();
    assert_eq!(found, values);
    let Value::F64(zero) = found[2] else { panic!() };
    assert!(zero.is_sign_negative());
}

#[test]
fn late_and_repeated_points_come_out_once_and_in_order() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    for (ts, offset, value) in
        [(10, 1, 1.0), (30, 2, 3.0), (20, 3, 2.0), (30, 5, 5.0), (30, 4, 4.0)]
    {
        put(&mut writer, ts, offset, value);
    }
    writer.applied(at(5));
    store.flush().unwrap();
    let expected = [(5, 0.5), (10, 9.0), (20, 2.0), (30, 5.0)];
    put(&mut writer, 5, 6, 0.5); // late: the block begins later
    put(&mut writer, 10, 7, 9.0); // told anew: the later message wins over the block
    put(&mut writer, 30, 5, 5.0); // told again
    put(&mut writer, 30, 2, 3.0); // told again, and long outdone
    assert_eq!(numbers(&store), expected);
    writer.applied(at(7));
    assert_eq!(store.stats().late_points, 3);
    store.flush().unwrap();
    assert_eq!(numbers(&store), expected);
    store.merge().unwrap();
    assert_eq!(numbers(&store), expected);
}

#[test]
fn of_samples_of_one_message_the_last_wins() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    put(&mut writer, 7, 1, 1.0);
    put(&mut writer, 7, 1, 2.0);
    assert_eq!(numbers(&store), [(7, 2.0)]);
    assert_eq!(store.last(series(&store, 1, "t")).unwrap().unwrap().value, Value::F64(2.0));
}

#[test]
fn durable_position_is_what_every_writer_has_applied() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let (mut fast, mut slow) = (store.writer(), store.writer());
    put(&mut fast, 1, 10, 1.0);
    put(&mut fast, 2, 30, 2.0);
    fast.applied(at(30));
    slow.applied(at(20));
    assert_eq!(store.flush().unwrap(), at(20));
    assert_eq!(store.stats().block_points, 1, "what is beyond stays in memory");
    assert_eq!(numbers(&store), [(1, 1.0), (2, 2.0)]);
    slow.applied(at(5));
    assert_eq!(store.flush().unwrap(), at(20), "nobody goes back");
    drop(slow);
    assert_eq!(store.flush().unwrap(), at(20), "a dropped writer stays where it was");
    let mut shard = store.writer();
    shard.applied(at(25));
    shard.retire();
    fast.retire();
    assert_eq!(store.flush().unwrap(), at(20));
}

#[test]
fn position_moves_without_points_too_and_is_known_after_opening() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    put(&mut writer, 1, 1, 1.0);
    writer.applied(at(1));
    store.flush().unwrap();
    writer.applied(at(500));
    assert_eq!(store.flush().unwrap(), at(500));
    assert_eq!(store.stats().blocks, 1);
    drop((writer, store));
    let store = Store::open(small(&disk)).unwrap();
    assert_eq!(store.durable_position(), at(500));
    let mut writer = store.writer();
    put(&mut writer, 2, 501, 2.0);
    writer.applied(at(501));
    store.flush().unwrap();
    drop((writer, store));
    assert_eq!(Store::open(small(&disk)).unwrap().durable_position(), at(501));
}

#[test]
fn heads_stay_within_their_budget_while_points_pour_in() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    let budget = store.options().head_bytes_max as u64;
    for i in 0..40_000_u64 {
        let values =
            [("t", Value::F64(i as f64)), ("s", Value::from(format!("state {i}").as_str()))];
        writer.append(&sample((i % 7) as u8, i as i64, &values), at(i)).unwrap();
        writer.applied(at(i));
        assert!(store.stats().head_bytes <= budget + ONE_STEP, "{}", store.stats().head_bytes);
    }
    assert!(store.stats().flushes > 3);
    assert_eq!(store.stats().early_flushes, 0);
    let points: usize = (0..7).map(|d| all(&store, series(&store, d, "s")).len()).sum();
    assert_eq!(points, 40_000);
}

#[test]
fn writer_that_lags_cannot_make_memory_grow() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let (mut fast, mut slow) = (store.writer(), store.writer());
    let budget = store.options().head_bytes_max as u64;
    for i in 100..30_000_u64 {
        put(&mut fast, i as i64, i, i as f64);
        fast.applied(at(i));
        assert!(store.stats().head_bytes <= budget + ONE_STEP);
    }
    assert!(store.stats().early_flushes > 0);
    assert_eq!(store.durable_position(), Position::START);
    // the slow one tells older messages of the same times: they lose against those already written
    for i in 100..200_u64 {
        put(&mut slow, i as i64, i - 50, -1.0);
    }
    put(&mut slow, 50, 60, -2.0);
    slow.applied(at(29_999));
    assert_eq!(store.flush().unwrap(), at(29_999));
    let mut expected = vec![(50, -2.0)];
    expected.extend((100..30_000).map(|i| (i, i as f64)));
    assert_eq!(numbers(&store), expected);
    store.merge().unwrap();
    assert_eq!(numbers(&store), expected);
    drop((fast, slow, store));
    let store = Store::open(small(&disk)).unwrap();
    assert_eq!(numbers(&store), expected);
}

#[test]
fn full_disk_refuses_only_once_memory_is_full_and_loses_nothing() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    disk.fail(FaultOperation::Write, 0, ENOSPC, true);
    let mut told = 0;
    let refused = loop {
        let appended = writer.append(&sample(1, told, &[("t", Value::I64(told))]), at(told as u64));
        match appended {
            Ok(_) => told += 1,
            Err(error) => break error,
        }
        writer.applied(at(told as u64 - 1));
    };
    assert!(told > 4000, "{told}");
    assert!(matches!(refused, TsdbError::HeadsFull { .. }), "{refused}");
    assert_eq!((refused.code(), refused.kind()), ("series.heads_full", ErrorKind::Unavailable));
    assert!(store.flush().is_err());
    assert_eq!(store.durable_position(), Position::START);
    assert_eq!(numbers(&store).len() as i64, told, "what is in memory is still served");
    disk.heal();
    put(&mut writer, told, told as u64, 0.0);
    assert_eq!(numbers(&store).len() as i64, told + 1);
    assert!(files(&disk).keys().all(|name| !name.ends_with(".tmp")));
}

#[test]
fn each_step_of_a_flush_may_fail_and_the_next_flush_has_it_all() {
    for operation in [
        FaultOperation::Create,
        FaultOperation::Write,
        FaultOperation::Sync,
        FaultOperation::Rename,
        FaultOperation::SyncDir,
    ] {
        let disk = SimDisk::new(1);
        let store = Store::open(small(&disk)).unwrap();
        let mut writer = store.writer();
        put(&mut writer, 1, 1, 1.0);
        writer.applied(at(1));
        disk.fail(operation, 0, 5, false);
        assert!(store.flush().is_err(), "{operation:?}");
        assert_eq!(store.durable_position(), Position::START);
        put(&mut writer, 2, 2, 2.0);
        writer.applied(at(2));
        assert_eq!(numbers(&store), [(1, 1.0), (2, 2.0)], "{operation:?}");
        assert_eq!(store.flush().unwrap(), at(2));
        disk.crash();
        disk.restart();
        drop((writer, store));
        let store = Store::open(small(&disk)).unwrap();
        assert_eq!(numbers(&store), [(1, 1.0), (2, 2.0)], "{operation:?}");
        assert_eq!(store.report().missing, 0);
    }
}

#[test]
fn limits_on_series_and_values_refuse_and_count() {
    let disk = SimDisk::new(1);
    let mut options = small(&disk);
    options.series_per_device_max = 2;
    options.series_len_max = 3;
    let store = Store::open(options).unwrap();
    let mut writer = store.writer();
    let one = |name| (name, Value::Bool(true));
    let three = sample(1, 1, &[one("a"), one("b"), one("c")]);
    let appended = writer.append(&three, at(1)).unwrap();
    assert_eq!((appended.taken, appended.refused), (2, 1));
    let appended = writer.append(&sample(2, 1, &[one("a"), one("b")]), at(2)).unwrap();
    assert_eq!((appended.taken, appended.refused), (1, 1));
    let error = store.series_id(TENANT, device(3), &"x".into()).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("series.too_many", ErrorKind::Unavailable));
    assert!(error.to_string().contains("series_len_max"), "{error}");
    let long = Value::from("x".repeat(5000).as_str());
    assert_eq!(writer.append(&sample(1, 2, &[("a", long)]), at(3)).unwrap().refused, 1);
    let never = sample(1, i64::MAX, &[one("a")]);
    assert_eq!(writer.append(&never, at(4)).unwrap().refused, 1);
    writer.applied(at(4));
    assert_eq!(store.stats().refused_values, 4);
    assert_eq!(store.stats().series, 3);
}

#[test]
fn tenants_do_not_see_one_another() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    put(&mut writer, 1, 1, 1.0);
    let mut other = sample(1, 1, &[("t", 2.0.into())]);
    other.tenant = TenantId(2);
    writer.append(&other, at(2)).unwrap();
    writer.applied(at(2));
    store.flush().unwrap();
    assert_eq!(numbers(&store), [(1, 1.0)]);
    let theirs = store.find(TenantId(2), device(1), "t").unwrap();
    assert_eq!(all(&store, theirs), [(1, Value::F64(2.0))]);
    assert_eq!(store.find(TenantId(3), device(1), "t"), None);
}

#[test]
fn points_by_number_are_taken_and_stale_numbers_refused() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    let a = writer.series_id(TENANT, device(1), &"t".into()).unwrap();
    let b = writer.series_id(TENANT, device(2), &"t".into()).unwrap();
    let point = |series, ts_ns| Point { series, ts_ns, position: at(1), value: Value::I64(ts_ns) };
    let appended = writer.append_points(&[point(a, 1), point(b, 1), point(a, 2)]).unwrap();
    assert_eq!(appended.taken, 3);
    assert_eq!(all(&store, a).len(), 2);
    store.delete_device(TENANT, device(1), at(1)).unwrap();
    let appended = writer.append_points(&[point(a, 3), point(b, 3)]).unwrap();
    assert_eq!((appended.taken, appended.refused), (1, 1));
    // by name the number is asked for again
    let appended = writer.append(&sample(1, 9, &[("t", 9.0.into())]), at(2)).unwrap();
    assert_eq!(appended.taken, 1);
    assert_eq!(numbers(&store), [(9, 9.0)]);
}

#[test]
fn number_of_files_stays_bounded_and_nothing_is_lost_by_merging() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    let mut expected = Vec::new();
    for i in 0..300_i64 {
        let ts = if i % 10 == 9 { i - 200 } else { i } * SECOND;
        put(&mut writer, ts, i as u64 + 1, i as f64);
        expected.push((ts, i as f64));
        writer.applied(at(i as u64 + 1));
        store.flush().unwrap();
        store.merge().unwrap();
        assert!(files(&disk).len() < 20, "{:?}", files(&disk).keys());
    }
    // of equal times the later
    let expected: Vec<_> =
        std::collections::BTreeMap::from_iter(expected.iter().map(|(ts, v)| (*ts, *v)))
            .into_iter()
            .collect();
    assert_eq!(numbers(&store), expected);
    drop((writer, store));
    let store = Store::open(small(&disk)).unwrap();
    assert_eq!(numbers(&store), expected);
    assert_eq!(store.durable_position(), at(300));
    assert_eq!(store.report().missing, 0);
}

#[test]
fn deleted_device_is_gone_from_answers_blocks_and_replay() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    let secret = Value::from("keep this to yourself");
    let told = sample(1, 1, &[("t", secret.clone())]);
    writer.append(&told, at(1)).unwrap();
    writer.append(&sample(2, 1, &[("t", 2.0.into())]), at(2)).unwrap();
    writer.applied(at(2));
    store.flush().unwrap();
    let told_later = sample(1, 2, &[("t", secret)]);
    writer.append(&told_later, at(3)).unwrap();
    assert_eq!(store.delete_device(TENANT, device(1), at(3)).unwrap(), 1);
    assert!(store.series_of(TENANT, device(1)).is_empty());
    assert_eq!(store.find(TENANT, device(1), "t"), None);
    // told again, as after a crash
    assert_eq!(writer.append(&told, at(1)).unwrap().deleted, 1);
    assert_eq!(writer.append(&told_later, at(3)).unwrap().deleted, 1);
    drop((writer, store));

    disk.crash();
    disk.restart();
    let store = Store::open(small(&disk)).unwrap();
    assert_eq!(store.find(TENANT, device(1), "t"), None);
    let mut writer = store.writer();
    assert_eq!(writer.append(&told_later, at(3)).unwrap().deleted, 1);
    assert_eq!(store.stats().deletions, 1);
    store.merge().unwrap();
    let on_disk = files(&disk);
    let found = on_disk.values().any(|bytes| bytes.windows(9).any(|w| w == b"keep this"));
    assert!(!found, "its bytes are erased");
    assert_eq!(store.stats().deletions, 1, "the log still tells of it");
    // the device is used again
    put(&mut writer, 9, 4, 4.0);
    writer.applied(at(4));
    store.flush().unwrap();
    assert_eq!(numbers(&store), [(9, 4.0)]);
    assert_eq!(all(&store, series(&store, 2, "t")).len(), 1);
    for i in 5..9 {
        put(&mut writer, i as i64 * 10, i, 0.0);
        writer.applied(at(i));
        store.flush().unwrap();
    }
    store.merge().unwrap();
    assert_eq!(store.stats().deletions, 0);
    drop((writer, store));
    assert_eq!(numbers(&Store::open(small(&disk)).unwrap()).len(), 5);
}

#[test]
fn deletions_beyond_the_limit_are_refused() {
    let disk = SimDisk::new(1);
    let mut options = small(&disk);
    options.deletions_len_max = 1;
    let store = Store::open(options).unwrap();
    store.delete_device(TENANT, device(1), at(9)).unwrap();
    store.delete_device(TENANT, device(1), at(10)).unwrap();
    let error = store.delete_device(TENANT, device(2), at(9)).unwrap_err();
    assert_eq!(error.code(), "series.too_many_deletions");
}

/// A store whose blocks are of known age, each with one point.
fn aged(clock: &Arc<ManualClock>, disk: &SimDisk, change: impl Fn(&mut StoreOptions)) -> Store {
    let mut options = small(disk);
    options.clock = Arc::clone(clock) as _;
    options.merge_len = 100;
    change(&mut options);
    Store::open(options).unwrap()
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn old_blocks_go_by_time_stored_whatever_times_devices_tell() {
    let (clock, disk) = (clock(), SimDisk::new(1));
    let change = |options: &mut StoreOptions| options.retention.age_max = Some(10 * HOUR);
    let store = aged(&clock, &disk, change);
    let mut writer = store.writer();
    for (i, ts) in [i64::MAX - 1, 0, 5 * SECOND, i64::MIN].into_iter().enumerate() {
        let i = i as u64;
        writer.append(&sample(i as u8, ts, &[("t", Value::Bool(true))]), at(i + 1)).unwrap();
        writer.applied(at(i + 1));
        store.flush().unwrap();
        clock.advance(4 * HOUR);
    }
    assert_eq!(store.retain().unwrap(), 2, "of 16, 12, 8 and 4 hours");
    assert_eq!(store.stats().series, 2, "series without points are forgotten");
    assert_eq!(store.durable_position(), at(4));
    // an hour later by the wall clock, after a boot, with the wall clock years ahead for a while
    clock.set_wall_ns(i64::MAX / 2);
    assert_eq!(store.retain().unwrap(), 0, "a jump while running counts as nothing");
    drop((writer, store));
    clock.reboot();
    let store = aged(&clock, &disk, change);
    assert_eq!(store.retain().unwrap(), 0, "nor a jump while off");
    clock.advance(20 * HOUR);
    assert_eq!(store.retain().unwrap(), 1, "the newest stays");
    assert_eq!(store.stats().blocks, 1);
}

#[test]
fn oldest_blocks_go_by_bytes() {
    let (clock, disk) = (clock(), SimDisk::new(1));
    let store = aged(&clock, &disk, |options| options.retention.bytes_max = 2000);
    let mut writer = store.writer();
    for i in 1..=20 {
        put(&mut writer, i, i.cast_unsigned(), 0.5);
        writer.applied(at(i.cast_unsigned()));
        store.flush().unwrap();
        store.retain().unwrap();
        assert!(store.stats().disk_bytes <= 2000);
    }
    assert!(store.stats().expired_blocks > 10);
    assert_eq!(numbers(&store).last(), Some(&(20, 0.5)));
    assert_eq!(numbers(&store).len() as u64, store.stats().blocks);
}

#[test]
fn second_store_in_a_directory_is_refused() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let error = Store::open(small(&disk)).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("series.locked", ErrorKind::Conflict));
    drop(store);
    Store::open(small(&disk)).unwrap();
}

#[test]
fn closed_store_takes_nothing_and_still_answers() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    put(&mut writer, 1, 1, 1.0);
    writer.applied(at(1));
    store.close().unwrap();
    store.close().unwrap();
    let told = sample(1, 2, &[("t", 2.0.into())]);
    assert!(matches!(writer.append(&told, at(2)), Err(TsdbError::Closed)));
    assert_eq!(numbers(&store), [(1, 1.0)]);
}

#[test]
fn upkeep_thread_flushes_merges_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = StoreOptions::new(dir.path().join("series"));
    options.disk = Arc::new(RealDisk);
    options.flush_interval = Duration::ZERO;
    options.merge_len = 2;
    let store = Store::open(options.clone()).unwrap();
    let upkeep = Upkeep::start(&store).unwrap();
    let mut writer = store.writer();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let mut told = 0;
    while store.stats().merges == 0 {
        assert!(std::time::Instant::now() < deadline, "{:?}", store.stats());
        told += 1;
        put(&mut writer, told, told.cast_unsigned(), 1.0);
        writer.applied(at(told.cast_unsigned()));
        store.flush().unwrap();
        std::thread::yield_now();
        if told % 8 == 0 {
            // its round comes within a second
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    drop(upkeep);
    store.close().unwrap();
    drop((writer, store));
    let store = Store::open(options).unwrap();
    assert_eq!(numbers(&store).len() as i64, told);
    assert_eq!(store.durable_position(), at(told.cast_unsigned()));
}

#[test]
fn readers_see_every_point_while_it_moves_from_head_to_block() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = StoreOptions::new(dir.path());
    options.merge_len = 2;
    let store = Store::open(options).unwrap();
    let mut writer = store.writer();
    put(&mut writer, 0, 1, 0.0);
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, done) = (store.clone(), Arc::clone(&done));
        std::thread::spawn(move || {
            let (mut seen, mut rounds) = (0, 0);
            while !done.load(Ordering::Acquire) {
                let now = numbers(&store);
                assert!(now.iter().enumerate().all(|(i, (ts, _))| *ts == i as i64), "a gap");
                assert!(now.len() >= seen, "{} after {seen}", now.len());
                (seen, rounds) = (now.len(), rounds + 1);
            }
            rounds
        })
    };
    for i in 1..3000_i64 {
        put(&mut writer, i, i.cast_unsigned() + 1, i as f64);
        writer.applied(at(i.cast_unsigned() + 1));
        if i % 50 == 0 {
            store.flush().unwrap();
            store.merge().unwrap();
        }
    }
    done.store(true, Ordering::Release);
    assert!(reader.join().unwrap() > 0);
}

#[test]
fn directory_of_a_newer_program_is_left_alone() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    put(&mut writer, 1, 1, 1.0);
    writer.applied(at(1));
    store.close().unwrap();
    drop((writer, store));
    let mut found = files(&disk);
    let (_, bytes) = found.iter_mut().find(|(name, _)| name.ends_with(".blk")).unwrap();
    bytes[8] = 2;
    let crc = crc32c_of(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc);
    let disk = support::disk_with(&found);
    let error = Store::open(small(&disk)).unwrap_err();
    assert!(matches!(error, TsdbError::NewerVersion { found: 2, supported: 1, .. }), "{error}");
    assert_eq!(files(&disk), found, "in {DIR}");
}

/// CRC32C bit by bit (RFC 3720, appendix B.4), so that the test does not rest on what it tests.
fn crc32c_of(bytes: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    (!crc).to_le_bytes()
}

#[test]
fn clock_of_the_store_starts_with_its_first_block() {
    let stamp = Stamp { boot_id: 1, wall_ns: 0, mono_ns: 0 };
    let (clock, disk) = (Arc::new(ManualClock::new(stamp)), SimDisk::new(1));
    let change = |options: &mut StoreOptions| options.retention.age_max = Some(HOUR);
    let store = aged(&clock, &disk, change);
    clock.advance(100 * HOUR);
    let mut writer = store.writer();
    for i in 1..=2 {
        put(&mut writer, i, i.cast_unsigned(), 1.0);
        writer.applied(at(i.cast_unsigned()));
        store.flush().unwrap();
    }
    assert_eq!(store.retain().unwrap(), 0);
}

#[test]
fn log_that_ends_earlier_is_followed_from_its_end() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    put(&mut writer, 1, 900, 1.0);
    writer.applied(at(900));
    store.close().unwrap();
    drop((writer, store));
    let span = |oldest, committed| Some(LogSpan { oldest, committed });
    let open = |log| {
        let mut options = small(&disk);
        options.log = log;
        Store::open(options).unwrap()
    };
    // records 801 to 900 were lost with a log that does not sync; the next opening is epoch 2
    let store = open(span(Some(at(1)), at(800)));
    assert_eq!(store.durable_position(), at(800));
    let mut writer = store.writer();
    let later = |offset| Position { epoch: 2, offset };
    writer.append(&sample(1, 2, &[("t", 2.0.into())]), later(801)).unwrap();
    writer.append(&sample(1, 1, &[("t", 9.0.into())]), later(802)).unwrap();
    drop((writer, store));
    // after a crash what was in memory is told again, although older blocks cover such offsets
    let store = open(span(Some(at(1)), later(802)));
    assert_eq!(store.durable_position(), at(800));
    let mut writer = store.writer();
    writer.append(&sample(1, 2, &[("t", 2.0.into())]), later(801)).unwrap();
    writer.append(&sample(1, 1, &[("t", 9.0.into())]), later(802)).unwrap();
    writer.applied(later(802));
    store.flush().unwrap();
    assert_eq!(numbers(&store), [(1, 9.0), (2, 2.0)]);
    drop((writer, store));
    let store = open(span(Some(at(1)), later(802)));
    assert_eq!(store.durable_position(), later(802));
    assert_eq!(numbers(&store), [(1, 9.0), (2, 2.0)]);
    assert_eq!(store.report().missing, 0);
}

#[test]
fn deletions_during_merges_and_flushes_are_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = StoreOptions::new(dir.path());
    options.merge_len = 2;
    let store = Store::open(options.clone()).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let merger = {
        let (store, done) = (store.clone(), Arc::clone(&done));
        std::thread::spawn(move || {
            while !done.load(Ordering::Acquire) {
                store.merge().unwrap();
            }
        })
    };
    let mut writer = store.writer();
    let mut offset = 0;
    for round in 0..60 {
        for number in 0..20 {
            offset += 1;
            let told = sample(number, i64::from(round), &[("t", Value::I64(1))]);
            writer.append(&told, at(offset)).unwrap();
        }
        writer.applied(at(offset));
        store.flush().unwrap();
        // the device of this round and the one after it are deleted in its midst
        if round % 3 == 2 {
            let number = (round / 3) as u8;
            store.delete_device(TENANT, device(number), at(offset)).unwrap();
            assert_eq!(store.find(TENANT, device(number), "t"), None);
        }
    }
    done.store(true, Ordering::Release);
    merger.join().unwrap();
    writer.applied(at(offset));
    store.flush().unwrap();
    store.merge().unwrap();
    let counts = |store: &Store| -> Vec<usize> {
        let count = |number| store.find(TENANT, device(number), "t").map(|id| all(store, id).len());
        (0..20).map(|number| count(number).unwrap_or(0)).collect()
    };
    let expected: Vec<usize> = (0..20).map(|number| 60 - (number * 3 + 3)).collect();
    assert_eq!(counts(&store), expected);
    drop((writer, store));
    let store = Store::open(options).unwrap();
    assert_eq!(counts(&store), expected);
    store.merge().unwrap();
    assert_eq!((counts(&store), store.stats().deletions), (expected, 0));
}

//! Files that are cut, flipped or gone: found, set aside, counted, the rest served, nothing made
//! up; and made anew where the log still can.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;

use flux_log::disk::{FaultOperation, SimDisk};
use flux_tsdb::{LogSpan, Order, Store, Writer};
use flux_types::{Telemetry, Value};
use support::{Random, TENANT, at, device, disk_with, files, sample, small};

type Files = BTreeMap<String, Vec<u8>>;
/// By device and name: what each series is.
type Content = BTreeMap<(u8, &'static str), BTreeMap<i64, Value>>;

const NAMES: [&str; 2] = ["t", "state"];
const DEVICES: u8 = 3;
const MESSAGES: u64 = 90;

/// The message at a position; times repeat, so that later messages overwrite earlier ones.
fn message(offset: u64) -> Telemetry {
    let ts = (offset * 7 % 61).cast_signed();
    let number = Value::F64((offset * 13 % 1000) as f64 / 100.0);
    let state = if offset.is_multiple_of(5) { Value::from("fault") } else { Value::I64(1) };
    sample((offset % 3) as u8, ts, &[("t", number), ("state", state)])
}

fn told(offsets: impl Iterator<Item = u64>) -> Content {
    let mut content = Content::new();
    for offset in offsets {
        let number = (offset % 3) as u8;
        let message = message(offset);
        for name in NAMES {
            let value = message.value(name).unwrap().clone();
            content.entry((number, name)).or_default().insert(message.ts_ns, value);
        }
    }
    content
}

fn append(writer: &mut Writer, offsets: impl Iterator<Item = u64>) {
    for offset in offsets {
        writer.append(&message(offset), at(offset)).unwrap();
        writer.applied(at(offset));
    }
}

/// A directory with a merged block, two of single flushes and state, and the positions each flush
/// ends with.
fn directory() -> Files {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    for end in (10..=60).step_by(10) {
        append(&mut writer, end - 9..=end);
        store.flush().unwrap();
    }
    store.merge().unwrap();
    append(&mut writer, 61..=75);
    store.flush().unwrap();
    append(&mut writer, 76..=MESSAGES);
    store.flush().unwrap();
    store.close().unwrap();
    let found = files(&disk);
    assert!(found.len() >= 3, "{:?}", found.keys());
    found
}

fn content(store: &Store) -> Content {
    let mut content = Content::new();
    for number in 0..DEVICES {
        for name in NAMES {
            let Some(id) = store.find(TENANT, device(number), name) else { continue };
            for order in [Order::Descending, Order::Ascending] {
                let stream = store.samples(id, i64::MIN, i64::MAX, order).unwrap();
                let samples = stream.map(|s| s.map(|s| (s.ts_ns, s.value)).unwrap()).collect();
                content.insert((number, name), samples);
            }
        }
    }
    content
}

/// Each sample found is one that some message told for that series and time.
fn assert_nothing_made_up(found: &Content, what: &str) {
    let mut all: BTreeMap<(u8, &str, i64), Vec<Value>> = BTreeMap::new();
    for offset in 1..=MESSAGES {
        let message = message(offset);
        for name in NAMES {
            let values = all.entry(((offset % 3) as u8, name, message.ts_ns)).or_default();
            values.push(message.value(name).unwrap().clone());
        }
    }
    for ((number, name), samples) in found {
        for (ts, value) in samples {
            let told = all.get(&(*number, *name, *ts));
            assert!(told.is_some_and(|told| told.contains(value)), "{what}: {number} {name} {ts}");
        }
    }
}

/// Opens what was damaged without a log, and checks that damage is told and the rest is served.
fn check_without_log(given: &Files, what: &str) {
    let truth = told(1..=MESSAGES);
    let disk = disk_with(given);
    let store = Store::open(small(&disk)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = content(&store);
    assert_nothing_made_up(&found, what);
    let stats = store.stats();
    let told = stats.damaged_blocks + stats.missing_blocks + stats.damaged_chunks;
    let told = told + store.report().missing;
    if told == 0 {
        assert!(found == truth, "{what}: damage was not noticed");
    }
    let aside = files(&disk).keys().filter(|name| name.ends_with(".damaged")).count() as u64;
    assert_eq!(aside, stats.damaged_blocks, "{what}");
    // what can be read is written anew, and reads the same
    store.merge().unwrap();
    assert!(content(&store) == found, "{what}: writing anew changed something");
    drop(store);
    let store = Store::open(small(&disk)).unwrap();
    assert!(content(&store) == found, "{what}: opening again changed something");
    if stats.damaged_chunks > 0 {
        assert_eq!(store.stats().damaged_blocks, stats.damaged_blocks + 1, "{what}");
    }
}

/// Opens what was damaged with a log that has everything after `begins`, and replays.
fn check_with_log(given: &Files, begins: u64, what: &str) {
    let disk = disk_with(given);
    let mut options = small(&disk);
    let oldest = (begins < MESSAGES).then(|| at(begins + 1));
    options.log = Some(LogSpan { oldest, committed: at(MESSAGES) });
    let store = Store::open(options.clone()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let from = store.durable_position().offset;
    assert!(from >= begins, "{what}: asks for what the log has not");
    let mut writer = store.writer();
    append(&mut writer, from + 1..=MESSAGES);
    let found = content(&store);
    assert_nothing_made_up(&found, what);
    if begins == 0 {
        assert!(found == told(1..=MESSAGES), "{what}: not made anew from {from}");
    } else if found != told(1..=MESSAGES) {
        assert!(store.report().missing + store.stats().damaged_chunks > 0, "{what}: not told");
    }
    store.flush().unwrap();
    store.merge().unwrap();
    assert!(content(&store) == found, "{what}: flushing changed something");
    drop((writer, store));
    let store = Store::open(options).unwrap();
    let mut writer = store.writer();
    append(&mut writer, store.durable_position().offset + 1..=MESSAGES);
    assert!(content(&store) == found, "{what}: opening again changed something");
}

fn blocks(files: &Files) -> Vec<String> {
    files.keys().filter(|name| name.ends_with(".blk")).cloned().collect()
}

#[test]
fn flipped_byte_anywhere_is_noticed_and_only_its_points_are_missing() {
    let given = directory();
    for (name, bytes) in &given {
        for place in 0..bytes.len() {
            let mut damaged = given.clone();
            damaged.get_mut(name).unwrap()[place] ^= 1 << (place % 8);
            check_without_log(&damaged, &format!("{name} flipped at {place}"));
        }
    }
}

#[test]
fn file_cut_anywhere_is_set_aside_and_the_rest_is_served() {
    let given = directory();
    for name in blocks(&given) {
        for len in 0..given[&name].len() {
            let mut damaged = given.clone();
            damaged.get_mut(&name).unwrap().truncate(len);
            check_without_log(&damaged, &format!("{name} cut to {len}"));
        }
        let mut damaged = given.clone();
        damaged.get_mut(&name).unwrap().push(0);
        check_without_log(&damaged, &format!("{name} with a byte more"));
    }
}

#[test]
fn missing_files_are_told_and_the_rest_is_served() {
    let given = directory();
    for name in given.keys() {
        let mut damaged = given.clone();
        damaged.remove(name);
        let disk = disk_with(&damaged);
        let store = Store::open(small(&disk)).unwrap();
        assert_nothing_made_up(&content(&store), name);
        // that the newest is missing shows by the log, or by the next flush
        if name.ends_with(".blk") && Some(name) != blocks(&given).last() {
            assert!(store.report().missing > 0, "{name}");
        }
    }
    let disk = disk_with(&Files::new());
    assert!(content(&Store::open(small(&disk)).unwrap()).is_empty());
}

#[test]
fn log_that_has_everything_makes_good_for_any_damage() {
    let given = directory();
    for name in blocks(&given) {
        let len = given[&name].len();
        for place in (0..len).step_by(3) {
            let mut damaged = given.clone();
            damaged.get_mut(&name).unwrap()[place] ^= 0x40;
            check_with_log(&damaged, 0, &format!("{name} flipped at {place}"));
        }
        for cut in (0..len).step_by(11) {
            let mut damaged = given.clone();
            damaged.get_mut(&name).unwrap().truncate(cut);
            check_with_log(&damaged, 0, &format!("{name} cut to {cut}"));
        }
    }
    for name in given.keys() {
        let mut damaged = given.clone();
        damaged.remove(name);
        check_with_log(&damaged, 0, &format!("{name} missing"));
    }
}

#[test]
fn log_that_has_some_is_asked_for_no_more() {
    let given = directory();
    for begins in [15, 60, 70, 75, 80, MESSAGES] {
        for name in blocks(&given) {
            let mut damaged = given.clone();
            damaged.get_mut(&name).unwrap()[20] ^= 1;
            check_with_log(&damaged, begins, &format!("{name} flipped, log from {begins}"));
            damaged.remove(&name);
            check_with_log(&damaged, begins, &format!("{name} missing, log from {begins}"));
        }
    }
}

#[test]
fn damage_at_random_in_several_files_never_makes_anything_up() {
    let given = directory();
    let mut random = Random(5);
    for round in 0..300 {
        let mut damaged = given.clone();
        for _ in 0..1 + random.below(4) {
            let names: Vec<String> = damaged.keys().cloned().collect();
            let name = &names[usize::try_from(random.below(names.len() as u64)).unwrap()];
            let bytes = damaged.get_mut(name).unwrap();
            let place = usize::try_from(random.below(bytes.len().max(1) as u64)).unwrap();
            match random.below(4) {
                0 => bytes.truncate(place),
                1 => bytes.iter_mut().skip(place).for_each(|byte| *byte = random.next() as u8),
                2 => {
                    let other = given.values().next().unwrap().clone();
                    *bytes = other;
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte = random.next() as u8;
                    }
                }
            }
        }
        let disk = disk_with(&damaged);
        let store = Store::open(small(&disk)).unwrap();
        assert_nothing_made_up(&content(&store), &format!("round {round}"));
        check_with_log(&damaged, 0, &format!("round {round}"));
    }
}

#[test]
fn merged_block_that_is_damaged_leaves_what_it_was_merged_from() {
    // the power went after the merged block was there and before its sources were gone
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    for end in [10, 20, 30] {
        append(&mut writer, end - 9..=end);
        store.flush().unwrap();
    }
    let before = files(&disk);
    store.merge().unwrap();
    let mut both = files(&disk);
    let merged = blocks(&both).into_iter().next().unwrap();
    both.extend(before);
    let sound = disk_with(&both);
    let store = Store::open(small(&sound)).unwrap();
    assert_eq!(store.report().blocks, 1);
    assert_eq!(content(&store), told(1..=30));
    assert_eq!(blocks(&files(&sound)), std::slice::from_ref(&merged));
    let footer = both[&merged].len() - 30;
    both.get_mut(&merged).unwrap()[footer] ^= 1;
    let damaged = disk_with(&both);
    let store = Store::open(small(&damaged)).unwrap();
    assert_eq!((store.report().blocks, store.report().damaged.len()), (3, 1));
    assert_eq!(content(&store), told(1..=30));
}

#[test]
fn damaged_state_falls_back_to_the_generation_before() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    append(&mut writer, 1..=9);
    store.flush().unwrap();
    store.delete_device(TENANT, device(1), at(9)).unwrap();
    store.delete_device(TENANT, device(2), at(9)).unwrap();
    drop((writer, store));
    let given = files(&disk);
    let newest = given.keys().rfind(|name| name.starts_with("state-")).unwrap();
    let mut damaged = given.clone();
    damaged.get_mut(newest).unwrap()[15] ^= 1;
    let disk = disk_with(&damaged);
    let store = Store::open(small(&disk)).unwrap();
    assert_eq!(store.find(TENANT, device(1), "t"), None);
    assert!(store.find(TENANT, device(2), "t").is_some());
    assert_eq!(store.stats().damaged_blocks, 1);
}

#[test]
fn block_that_cannot_be_read_just_now_is_an_error_and_not_damage() {
    let disk = disk_with(&directory());
    let store = Store::open(small(&disk)).unwrap();
    let id = store.find(TENANT, device(1), "t").unwrap();
    disk.fail(FaultOperation::Read, 0, 5, true);
    let mut stream = store.samples(id, i64::MIN, i64::MAX, Order::Ascending).unwrap();
    assert!(stream.next().unwrap().is_err());
    drop(stream);
    disk.heal();
    assert_eq!(content(&store), told(1..=MESSAGES));
    assert_eq!(store.stats().damaged_chunks, 0);
}

//! What the tests of the log share.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use flux_log::disk::Disk;
use flux_log::{Append, Appended, Log, LogError, LogOptions};
use flux_types::{Position, TenantId};

/// Small segments and limits, so that little data goes through everything.
pub(crate) fn small(disk: Arc<dyn Disk>, dir: &Path) -> LogOptions {
    let mut options = LogOptions::new(dir);
    options.disk = disk;
    options.segment_bytes = 128 << 10;
    options.record_bytes_max = 32 << 10;
    options.batch_bytes_max = 64 << 10;
    options.inflight_bytes_max = 128 << 10;
    options.hot_bytes_max = 64 << 10;
    options.read_bytes = 24 << 10;
    options.mark_idle_ms = 5;
    options
}

/// A body that says which it is, of a length that varies.
pub(crate) fn body(id: u64) -> Vec<u8> {
    let mut bytes = id.to_le_bytes().to_vec();
    let len = 8 + usize::try_from(id.wrapping_mul(0x9E37_79B9) % 120).unwrap();
    bytes.resize(len, id as u8);
    bytes
}

pub(crate) fn append_body(log: &Log, body: &[u8]) -> Appended {
    loop {
        match log.append_batch(&[Append::new(1, TenantId(1), body)]) {
            Ok(appended) => return appended,
            Err(LogError::Busy { .. }) => {
                log.wait_room(std::time::Duration::from_secs(20));
            }
            Err(other) => panic!("{other}"),
        }
    }
}

pub(crate) fn append(log: &Log, id: u64) -> Appended {
    append_body(log, &body(id))
}

/// Everything from a position on; fails on any damage.
pub(crate) fn read_all(log: &Log, from: Position) -> BTreeMap<Position, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut reader = log.reader(from);
    while let Some(batch) = reader.next_batch().unwrap() {
        for record in &batch {
            assert!(all.insert(record.position, record.body.to_vec()).is_none());
        }
    }
    all
}

pub(crate) fn read_bodies(log: &Log, from: Position) -> Vec<Vec<u8>> {
    read_all(log, from).into_values().collect()
}

/// What can be read, and what cannot.
#[derive(Debug, Default)]
pub(crate) struct Lossy {
    pub(crate) records: BTreeMap<Position, Vec<u8>>,
    pub(crate) damaged: Vec<(Position, Position)>,
    pub(crate) retired: Vec<(Position, Position)>,
}

pub(crate) fn read_lossy(log: &Log, from: Position) -> Lossy {
    let mut lossy = Lossy::default();
    let mut reader = log.reader(from);
    for _ in 0..1_000_000 {
        match reader.next_batch() {
            Ok(Some(batch)) => {
                for record in &batch {
                    assert!(lossy.records.insert(record.position, record.body.to_vec()).is_none());
                }
            }
            Ok(None) => return lossy,
            Err(LogError::DamagedRange(range)) => lossy.damaged.push((range.from, range.to)),
            Err(LogError::Retired { from, to }) => lossy.retired.push((from, to)),
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the reader never caught up");
}

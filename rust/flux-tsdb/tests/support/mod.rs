//! What the tests of the store share.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use flux_log::disk::{Disk, SimDisk};
use flux_log::{ManualClock, Stamp};
use flux_tsdb::{Order, SeriesId, Store, StoreOptions, Writer};
use flux_types::{DeviceId, Key, Position, ProductId, Telemetry, TenantId, Value};

pub(crate) const DIR: &str = "/series";
pub(crate) const TENANT: TenantId = TenantId::DEFAULT;
pub(crate) const SECOND: i64 = 1_000_000_000;

/// Small limits, so that little data goes through everything.
pub(crate) fn small(disk: &SimDisk) -> StoreOptions {
    let mut options = StoreOptions::new(DIR);
    options.disk = Arc::new(disk.clone());
    options.clock = clock();
    options.head_bytes_max = 256 << 10;
    options.value_bytes_max = 4 << 10;
    options.merge_len = 3;
    options
}

/// A clock that stands still.
pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Stamp { boot_id: 1, wall_ns: 1 << 60, mono_ns: 1 << 40 }))
}

pub(crate) fn device(number: u8) -> DeviceId {
    format!("00000000-0000-4000-8000-0000000000{number:02x}").parse().unwrap()
}

pub(crate) fn at(offset: u64) -> Position {
    Position { epoch: 1, offset }
}

pub(crate) fn sample(device_number: u8, ts_ns: i64, values: &[(&str, Value)]) -> Telemetry {
    let id = device(device_number);
    Telemetry {
        tenant: TENANT,
        device: id,
        device_key: Key::from(id),
        product: ProductId(id.0),
        ts_ns,
        values: values.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
    }
}

/// Appends one number of device 1's `t`.
pub(crate) fn put(writer: &mut Writer, ts_ns: i64, offset: u64, value: f64) {
    let appended = writer.append(&sample(1, ts_ns, &[("t", value.into())]), at(offset)).unwrap();
    assert_eq!(appended.refused, 0);
}

pub(crate) fn series(store: &Store, device_number: u8, name: &str) -> SeriesId {
    store.find(TENANT, device(device_number), name).expect("the series is there")
}

/// All samples of a series.
pub(crate) fn all(store: &Store, series: SeriesId) -> Vec<(i64, Value)> {
    let stream = store.samples(series, i64::MIN, i64::MAX, Order::Ascending).unwrap();
    stream.map(|sample| sample.map(|s| (s.ts_ns, s.value)).unwrap()).collect()
}

/// All samples of device 1's `t`, as numbers.
pub(crate) fn numbers(store: &Store) -> Vec<(i64, f64)> {
    let Some(series) = store.find(TENANT, device(1), "t") else { return Vec::new() };
    all(store, series).into_iter().map(|(ts, value)| (ts, value.as_f64().unwrap())).collect()
}

/// The block files of a disk, by name, with their bytes.
pub(crate) fn files(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in disk.list(Path::new(DIR)).unwrap() {
        if entry.name == "lock" {
            continue;
        }
        let file = disk.open(&Path::new(DIR).join(&entry.name), false).unwrap();
        let mut bytes = vec![0; usize::try_from(entry.bytes).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        files.insert(entry.name, bytes);
    }
    files
}

/// A new disk that has these files, durably.
pub(crate) fn disk_with(files: &BTreeMap<String, Vec<u8>>) -> SimDisk {
    let disk = SimDisk::new(1);
    for (name, bytes) in files {
        let file = disk.create(&Path::new(DIR).join(name)).unwrap();
        file.write_at(0, bytes).unwrap();
        file.sync_all().unwrap();
    }
    disk.sync_dir(Path::new(DIR)).unwrap();
    disk
}

/// SplitMix64, so that a seed printed by a failure runs the same again.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

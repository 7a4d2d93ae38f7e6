//! The last value of each name of each device.

use std::collections::HashMap;
use std::sync::Arc;

use flux_types::{DeviceId, Key, Position, ProductId, Telemetry, TenantId, Value};
use foldhash::fast::RandomState;
use parking_lot::Mutex;

const PARTS: usize = 16;

/// One value with its time.
#[derive(Debug, Clone, PartialEq)]
pub struct LatestValue {
    /// The sample's time, ns since 1970.
    pub ts_ns: i64,
    /// Which message told it; decides between samples of one time: the last wins.
    pub position: Position,
    /// The value.
    pub value: Value,
}

/// What is known last of one device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceLatest {
    /// Whose it is.
    pub tenant: TenantId,
    /// What people call it.
    pub device_key: Key,
    /// Its product.
    pub product: ProductId,
    /// By name.
    pub values: HashMap<Arc<str>, LatestValue, RandomState>,
    /// When the last message reached us, ns since 1970.
    pub received_ns: i64,
}

type Part = HashMap<DeviceId, DeviceLatest, RandomState>;

/// Last values of all devices, in parts so that shards and readers seldom meet at a lock.
#[derive(Debug)]
pub struct Latest {
    parts: [Mutex<Part>; PARTS],
    values_per_device_max: usize,
}

impl Latest {
    /// An empty table.
    #[must_use]
    pub fn new(values_per_device_max: usize) -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()), values_per_device_max }
    }

    fn part(&self, device: DeviceId) -> &Mutex<Part> {
        // UUIDs of versions 4 and 5 are random in their last byte
        let index = usize::from(device.0.as_bytes()[15]) % PARTS;
        &self.parts[index]
    }

    /// Takes a sample; tells how many values found no room. An older or equal sample than the one
    /// known changes nothing, so that samples may be told again.
    pub fn apply(&self, telemetry: &Telemetry, position: Position, received_ns: i64) -> usize {
        let mut part = self.part(telemetry.device).lock();
        let device = part.entry(telemetry.device).or_insert_with(|| DeviceLatest {
            tenant: telemetry.tenant,
            device_key: telemetry.device_key.clone(),
            product: telemetry.product,
            values: HashMap::default(),
            received_ns,
        });
        device.received_ns = device.received_ns.max(received_ns);
        if device.device_key != telemetry.device_key {
            device.device_key = telemetry.device_key.clone();
        }
        let mut refused = 0;
        for (name, value) in &telemetry.values {
            if let Some(known) = device.values.get_mut(name) {
                if (known.ts_ns, known.position) < (telemetry.ts_ns, position) {
                    known.ts_ns = telemetry.ts_ns;
                    known.position = position;
                    known.value.clone_from(value);
                }
            } else if device.values.len() < self.values_per_device_max {
                let value = value.clone();
                let latest = LatestValue { ts_ns: telemetry.ts_ns, position, value };
                device.values.insert(Arc::clone(name), latest);
            } else {
                refused += 1;
            }
        }
        refused
    }

    /// What is known of a device.
    #[must_use]
    pub fn device(&self, device: DeviceId) -> Option<DeviceLatest> {
        self.part(device).lock().get(&device).cloned()
    }

    /// Forgets a device that was deleted.
    pub fn forget(&self, device: DeviceId) {
        self.part(device).lock().remove(&device);
    }

    /// How many devices have told anything.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().len()).sum()
    }

    /// Whether no device has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything known, part by part: each part is of one moment, the whole is not.
    pub fn for_each(&self, mut visit: impl FnMut(DeviceId, &DeviceLatest)) {
        for part in &self.parts {
            for (id, device) in &*part.lock() {
                visit(*id, device);
            }
        }
    }

    /// Puts back what a snapshot kept.
    pub fn restore(&self, id: DeviceId, device: DeviceLatest) {
        self.part(id).lock().insert(id, device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(device: DeviceId, ts_ns: i64, value: f64) -> Telemetry {
        Telemetry {
            tenant: TenantId::DEFAULT,
            device,
            device_key: Key::from(device),
            product: ProductId::random(),
            ts_ns,
            values: vec![("t".into(), value.into())],
        }
    }

    fn at(offset: u64) -> Position {
        Position { epoch: 1, offset }
    }

    #[test]
    fn last_sample_wins_and_telling_again_changes_nothing() {
        let latest = Latest::new(10);
        let device = DeviceId::random();
        latest.apply(&sample(device, 100, 1.0), at(1), 0);
        latest.apply(&sample(device, 100, 2.0), at(2), 0); // the same time: the later message
        latest.apply(&sample(device, 50, 3.0), at(3), 0); // arrived late
        latest.apply(&sample(device, 100, 1.0), at(1), 0); // told again
        let known = latest.device(device).unwrap();
        assert_eq!(known.values["t"].value, Value::F64(2.0));
    }

    #[test]
    fn values_beyond_the_limit_are_refused_and_counted() {
        let latest = Latest::new(1);
        let device = DeviceId::random();
        let mut telemetry = sample(device, 1, 1.0);
        telemetry.values.push(("u".into(), Value::Bool(true)));
        assert_eq!(latest.apply(&telemetry, at(1), 0), 1);
        assert_eq!(latest.device(device).unwrap().values.len(), 1);
    }
}

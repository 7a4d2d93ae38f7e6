//! All views in one piece of JSON, with the position up to which the log stands in it.
//!
//! The tables go on moving while they are copied: a snapshot holds everything up to its position
//! and perhaps some of what came after, which applying again does not change.

use std::sync::Arc;

use flux_types::{DeviceId, Key, Position, ProductId, TenantId, Value, hex};
use serde::{Deserialize, Serialize};

use super::{Alarm, Command, DeviceLatest, LatestValue, PendingWebhook, Views};
use crate::firing::Firing;
use crate::journal::Cursor;

const VERSION: u32 = 1;

/// A snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is not what this program writes.
    #[error("the snapshot of the views cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// A newer program wrote it.
    #[error("the snapshot of the views has version {found}, this program reads up to {VERSION}")]
    NewerVersion {
        /// Its version.
        found: u32,
    },
}

/// Everything the views hold.
#[derive(Debug, Serialize, Deserialize)]
pub struct Snapshot {
    version: u32,
    /// How far each shard had decided.
    pub cursors: Vec<Cursor>,
    latest: Vec<StoredDevice>,
    firings: Vec<(Position, Arc<Firing>)>,
    alarms: Vec<Arc<Alarm>>,
    commands: Vec<Arc<Command>>,
    webhooks: Vec<Arc<PendingWebhook>>,
    presence: Vec<(DeviceId, i64)>,
    /// Tenant, plugin, source, and the bytes as hexadecimal.
    #[serde(default)]
    plugin_states: Vec<(TenantId, Arc<str>, Arc<str>, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredDevice {
    id: DeviceId,
    tenant: TenantId,
    key: Key,
    product: ProductId,
    received_ns: i64,
    values: Vec<(Arc<str>, i64, Position, StoredValue)>,
}

#[derive(Debug, Serialize, Deserialize)]
enum StoredValue {
    #[serde(rename = "b")]
    Bool(bool),
    #[serde(rename = "i")]
    I64(i64),
    /// As bits: JSON has no NaN and rounds nothing, but readers may.
    #[serde(rename = "f")]
    F64(u64),
    #[serde(rename = "s")]
    Str(Arc<str>),
    #[serde(rename = "x")]
    Bytes(Vec<u8>),
    #[serde(rename = "j")]
    Json(Arc<serde_json::Value>),
    #[serde(rename = "t")]
    Time(i64),
}

impl From<&Value> for StoredValue {
    fn from(value: &Value) -> Self {
        match value {
            Value::Bool(yes) => Self::Bool(*yes),
            Value::I64(number) => Self::I64(*number),
            Value::F64(number) => Self::F64(number.to_bits()),
            Value::Str(text) => Self::Str(Arc::clone(text)),
            Value::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
            Value::Json(json) => Self::Json(Arc::clone(json)),
            Value::Time(ns) => Self::Time(*ns),
        }
    }
}

impl From<StoredValue> for Value {
    fn from(stored: StoredValue) -> Self {
        match stored {
            StoredValue::Bool(yes) => Self::Bool(yes),
            StoredValue::I64(number) => Self::I64(number),
            StoredValue::F64(bits) => Self::F64(f64::from_bits(bits)),
            StoredValue::Str(text) => Self::Str(text),
            StoredValue::Bytes(bytes) => Self::Bytes(bytes.into()),
            StoredValue::Json(json) => Self::Json(json),
            StoredValue::Time(ns) => Self::Time(ns),
        }
    }
}

impl Snapshot {
    /// Copies all views.
    #[must_use]
    pub fn take(views: &Views, cursors: Vec<Cursor>) -> Self {
        let mut latest = Vec::new();
        views.latest.for_each(|id, device| {
            let value = |(name, latest): (&Arc<str>, &LatestValue)| {
                (Arc::clone(name), latest.ts_ns, latest.position, (&latest.value).into())
            };
            latest.push(StoredDevice {
                id,
                tenant: device.tenant,
                key: device.device_key.clone(),
                product: device.product,
                received_ns: device.received_ns,
                values: device.values.iter().map(value).collect(),
            });
        });
        Self {
            version: VERSION,
            cursors,
            latest,
            firings: views.firings.lock().iter().cloned().collect(),
            alarms: views.alarms.lock().iter().cloned().collect(),
            commands: views.commands.lock().iter().cloned().collect(),
            webhooks: views.webhooks.lock().iter().cloned().collect(),
            presence: views.presence.lock().iter().map(|(id, known)| (id, known.last_ms)).collect(),
            plugin_states: views
                .plugin_states
                .to_vec()
                .into_iter()
                .map(|(tenant, plugin, source, state)| (tenant, plugin, source, hex::encode(&state)))
                .collect(),
        }
    }

    /// The newest record that stands in it. The log must have that on disk first: a snapshot that
    /// knows what the log lost in a crash would count twice what is then done again.
    #[must_use]
    pub fn newest(&self) -> Position {
        let values = self.latest.iter().flat_map(|device| &device.values);
        values
            .map(|(_, _, position, _)| *position)
            .chain(self.firings.iter().map(|(position, _)| *position))
            .chain(self.alarms.iter().map(|alarm| alarm.position))
            .chain(self.commands.iter().map(|command| command.position))
            .chain(self.webhooks.iter().map(|webhook| webhook.position))
            .max()
            .unwrap_or(Position::START)
    }

    /// The snapshot as bytes.
    ///
    /// # Errors
    /// [`SnapshotError::Malformed`] if a part has no JSON form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SnapshotError> {
        serde_json::to_vec(self).map_err(SnapshotError::Malformed)
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// [`SnapshotError`] if this program did not write it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } =
            serde_json::from_slice(bytes).map_err(SnapshotError::Malformed)?;
        if version > VERSION {
            return Err(SnapshotError::NewerVersion { found: version });
        }
        serde_json::from_slice(bytes).map_err(SnapshotError::Malformed)
    }

    /// Fills empty views.
    pub fn restore(self, views: &Views) {
        for stored in self.latest {
            let values = stored.values.into_iter().map(|(name, ts_ns, position, value)| {
                (name, LatestValue { ts_ns, position, value: value.into() })
            });
            let device = DeviceLatest {
                tenant: stored.tenant,
                device_key: stored.key,
                product: stored.product,
                received_ns: stored.received_ns,
                values: values.collect(),
            };
            views.latest.restore(stored.id, device);
        }
        let mut firings = views.firings.lock();
        for (position, firing) in self.firings {
            firings.apply(position, firing);
        }
        let mut alarms = views.alarms.lock();
        self.alarms.into_iter().for_each(|alarm| alarms.restore(Arc::unwrap_or_clone(alarm)));
        let mut commands = views.commands.lock();
        for command in self.commands {
            commands.restore(Arc::unwrap_or_clone(command));
        }
        let mut webhooks = views.webhooks.lock();
        for webhook in self.webhooks {
            webhooks.add(Arc::unwrap_or_clone(webhook));
        }
        for (tenant, plugin, source, state) in self.plugin_states {
            let state = hex::decode(&state).unwrap_or_default();
            views.plugin_states.set(tenant, &source, &plugin, state.into());
        }
        let mut presence = views.presence.lock();
        for (device, last_ms) in self.presence {
            presence.restore(device, last_ms);
        }
    }
}

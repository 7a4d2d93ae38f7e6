//! What a plugin knows of a device's protocol: how a command is written, and what answers it.
//!
//! Owns the settings of each product as its plugin is told them. Called on network threads: a call
//! has the plugins' deadline. Must never keep an instance longer than a call.

use std::collections::HashMap;
use std::sync::Arc;

use flux_gateway::{CodecError, Frame, LineCodec, Reply};
use flux_registry::{Device, PluginUse, Product, Registry};
use flux_types::{Coded, DeviceId, ProductId, TenantId, Value as Datum};
use flux_wasm::{Context, Lease, PluginError, Plugins, Settings, Sink};
use parking_lot::Mutex;
use serde_json::{Map, Value};

/// What a plugin says of an answer to another's request.
const NOT_MINE: [&str; 2] = ["not_mine", "mismatch"];

/// Asks the plugins of products.
pub(crate) struct PluginCodec {
    registry: Arc<Registry>,
    plugins: Plugins,
    /// By product, as it was when they were made.
    settings: Mutex<HashMap<ProductId, (Arc<Product>, Settings)>>,
}

impl PluginCodec {
    pub(crate) fn new(registry: Arc<Registry>, plugins: Plugins) -> Self {
        Self { registry, plugins, settings: Mutex::default() }
    }

    fn device(&self, id: DeviceId) -> Option<(Arc<Device>, Arc<Product>)> {
        let snapshot = self.registry.current();
        let device = snapshot.device(id)?;
        let product = snapshot.product(device.product)?;
        Some((Arc::clone(device), Arc::clone(product)))
    }

    fn settings(&self, product: &Arc<Product>, used: &PluginUse) -> Settings {
        let mut known = self.settings.lock();
        if let Some((of, settings)) = known.get(&product.id)
            && Arc::ptr_eq(of, product)
        {
            return settings.clone();
        }
        let settings = Settings::new(&Value::Object(used.settings.clone()));
        known.insert(product.id, (Arc::clone(product), settings.clone()));
        settings
    }

    fn lease(&self, used: &PluginUse) -> Result<Lease, PluginError> {
        let unknown = || PluginError::Unknown { id: used.plugin.clone() };
        self.plugins.get(&used.plugin).ok_or_else(unknown)?.lease()
    }
}

fn failed(error: &PluginError) -> CodecError {
    CodecError::new(error.code(), error.to_string())
}

impl LineCodec for PluginCodec {
    fn speaks(&self, device: DeviceId) -> bool {
        self.device(device).is_some_and(|(_, product)| product.decode.plugin().is_some())
    }

    fn encode(
        &self,
        _tenant: TenantId,
        device: DeviceId,
        command: &Value,
    ) -> Result<Vec<Frame>, CodecError> {
        let unknown = || CodecError::new("no_codec", "the device's product has no plugin");
        let (device, product) = self.device(device).ok_or_else(unknown)?;
        let used = product.decode.plugin().ok_or_else(unknown)?;
        let settings = self.settings(&product, used);
        let context = Context {
            settings: settings.view(),
            device: device.key.as_str().into(),
            ..Context::default()
        };
        let mut sink = Sink::new(self.plugins.limits());
        let mut lease = self.lease(used).map_err(|error| failed(&error))?;
        let command = command.to_string();
        let outcome = lease
            .encode(&context, command.as_bytes(), &mut sink)
            .map_err(|error| failed(&error))?;
        let mut frames = Vec::new();
        for item in outcome.items.filter_map(|index| sink.item(index)) {
            if let Some(reported) = item.reported() {
                return Err(CodecError::new(&reported.code, &*reported.text));
            }
            frames.extend(item.frames().iter().cloned());
        }
        if frames.is_empty() {
            return Err(CodecError::new("unknown_command", "the plugin made nothing of it"));
        }
        Ok(frames)
    }

    fn check_reply(&self, device: DeviceId, request: &[u8], frame: &[u8]) -> Reply {
        let Some((device, product)) = self.device(device) else { return Reply::NotMine };
        let Some(used) = product.decode.plugin() else { return Reply::NotMine };
        let settings = self.settings(&product, used);
        let context = Context {
            settings: settings.view(),
            device: device.key.as_str().into(),
            request: Some(request),
            ..Context::default()
        };
        let mut sink = Sink::new(self.plugins.limits());
        let outcome = self.lease(used).and_then(|mut l| l.decode(&context, frame, &mut sink));
        match outcome {
            Ok(outcome) => read(&sink, outcome.items),
            Err(error) => Reply::Failed(error.code().to_owned(), error.to_string()),
        }
    }
}

/// What the plugin makes of an answer: its values, its own error, or nothing of ours.
fn read(sink: &Sink, items: std::ops::Range<usize>) -> Reply {
    let mut values = Map::new();
    for item in items.filter_map(|index| sink.item(index)) {
        if let Some(reported) = item.reported() {
            if NOT_MINE.contains(&&*reported.code) {
                return Reply::NotMine;
            }
            return Reply::Failed(reported.code.to_string(), reported.text.to_string());
        }
        let pairs = item.messages().flat_map(|message| message.to_values());
        values.extend(
            pairs.map(|(name, value): (Arc<str>, Datum)| (name.to_string(), value.to_json())),
        );
    }
    Reply::Ok(values.into())
}

//! Payloads into telemetry, by a plugin.

use std::sync::Arc;

use flux_registry::{Device, PluginUse, Resolved};
use flux_rules::Effect;
use flux_types::{Message, Telemetry};
use flux_wasm::{Context, Item, Plugins, Sink};

use super::{Used, principal};
use crate::counters::{Counters, count, count_many};
use crate::decode::Decoded;
use crate::views::PluginStates;

/// The plugin that decodes a product's payloads.
pub(crate) struct PluginDecoder {
    used: Used,
    sink: Sink,
}

/// What a plugin is given beside the payload, and where what it asks for goes.
pub(crate) struct PluginPorts<'p> {
    pub(crate) plugins: &'p Plugins,
    pub(crate) states: &'p PluginStates,
    pub(crate) counters: &'p Counters,
    /// The device of a key that the payload names, if the source may speak for it.
    pub(crate) named: &'p dyn Fn(&str) -> Option<Arc<Device>>,
    /// What the plugin asks for and may have.
    pub(crate) effects: &'p mut Vec<Effect>,
}

impl PluginDecoder {
    pub(crate) fn new(used: &PluginUse) -> Self {
        Self { used: Used::new(used), sink: Sink::default() }
    }

    /// Decodes a payload; appends its samples to `out`. The source's state is changed where the
    /// plugin says so: given as the second.
    ///
    /// # Errors
    /// Why nothing was decoded, for people.
    pub(crate) fn decode(
        &mut self,
        message: &Message,
        found: &Resolved<'_>,
        ports: &mut PluginPorts<'_>,
        out: &mut Vec<Telemetry>,
    ) -> Result<(Decoded, Option<Vec<u8>>), String> {
        self.sink.clear();
        let source = principal(&message.source);
        let state = ports.states.get(message.tenant, source, &self.used.id);
        let (lease, settings) = self.used.take(ports.plugins).map_err(|error| error.to_string())?;
        let request = message.properties.as_deref().and_then(|p| p.correlation_data.as_deref());
        let context = Context {
            settings: settings.view(),
            source: source.into(),
            topic: message.topic.as_str().into(),
            device: found.device.key.as_str().into(),
            received_ns: message.received.wall_ns,
            request,
            state: state.as_deref().unwrap_or_default(),
            ..Context::default()
        };
        let outcome = lease
            .decode(&context, &message.payload, &mut self.sink)
            .map_err(|error| error.to_string())?;
        count_many(&ports.counters.values_refused, outcome.values_dropped);
        let state = self.sink.state().filter(|_| outcome.state_changed).map(<[u8]>::to_vec);
        let mut decoded = Decoded::default();
        for item in outcome.items.filter_map(|index| self.sink.item(index)) {
            self.used.ask(item, ports);
            self.used.samples(item, message, found, ports, out, &mut decoded);
            let Some(reported) = item.reported() else { continue };
            if decoded.samples == 0 && decoded.refused == 0 && state.is_none() {
                return Err(format!("{}: {} ({})", self.used.id, reported.text, reported.code));
            }
            count(&ports.counters.decode_failures);
            tracing::debug!(plugin = %self.used.id, code = %reported.code, "{}", reported.text);
        }
        Ok((decoded, state))
    }

    pub(crate) fn id(&self) -> &Arc<str> {
        &self.used.id
    }

    pub(crate) fn end_batch(&mut self) {
        self.used.end_batch();
    }
}

impl Used {
    fn samples(
        &self,
        item: Item<'_>,
        message: &Message,
        found: &Resolved<'_>,
        ports: &PluginPorts<'_>,
        out: &mut Vec<Telemetry>,
        decoded: &mut Decoded,
    ) {
        for view in item.messages() {
            let own = found.device.key.as_str();
            let device = match view.device().filter(|key| &***key != own) {
                None => Arc::clone(found.device),
                Some(key) => match (ports.named)(key) {
                    Some(device) => device,
                    None => {
                        decoded.refused += 1;
                        continue;
                    }
                },
            };
            let sample = Telemetry {
                tenant: message.tenant,
                device: device.id,
                device_key: device.key.clone(),
                product: device.product,
                ts_ns: view.ts_ns().unwrap_or(message.received.wall_ns),
                values: view.to_values(),
            };
            if !sample.values.is_empty() {
                out.push(sample);
                decoded.samples += 1;
            }
        }
    }

    /// Takes what the plugin asks for and may have.
    pub(super) fn ask(&self, item: Item<'_>, ports: &mut PluginPorts<'_>) {
        for asked in item.effects() {
            match self.granted.effect(asked) {
                Ok(effect) => ports.effects.push(effect),
                Err(reason) => {
                    count(&ports.counters.plugin_effects_refused);
                    tracing::warn!(target: "wasm_plugin", plugin = %self.id, reason,
                        "an effect is refused");
                }
            }
        }
    }
}

//! Plugins that look at samples one after the other (`on_msg`), and at firings (`on_action`).

use std::sync::Arc;

use flux_registry::PluginUse;
use flux_types::{Message, Telemetry};
use flux_wasm::{Context, Function, PluginError, Sink, write_message};

use super::decode::PluginPorts;
use super::{Used, principal};
use crate::counters::count;

/// The chain of one product or rule.
#[derive(Default)]
pub(crate) struct Chain {
    uses: Vec<Used>,
    sink: Sink,
    message: Vec<u8>,
}

impl Chain {
    pub(crate) fn new(uses: &[PluginUse]) -> Self {
        Self { uses: uses.iter().map(Used::new).collect(), ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.uses.is_empty()
    }

    pub(crate) fn end_batch(&mut self) {
        self.uses.iter_mut().for_each(Used::end_batch);
    }

    /// Lets each plugin change a sample's values. One that fails is passed over: the sample goes on
    /// as it was.
    pub(crate) fn on_msg(
        &mut self,
        message: &Message,
        sample: &mut Telemetry,
        ports: &mut PluginPorts<'_>,
    ) {
        for used in &mut self.uses {
            encode(sample, &mut self.message);
            let call = Call { message, device: sample.device_key.as_str(), subject: "" };
            let input = &self.message;
            match used.call(Function::OnMsg, &call, input, &mut self.sink, ports) {
                Ok(Some(values)) => sample.values = values,
                Ok(None) => {}
                Err(error) => used.failed(&error, ports),
            }
        }
    }

    /// Tells each plugin of a firing.
    pub(crate) fn on_action(
        &mut self,
        message: &Message,
        sample: Option<&Telemetry>,
        firing: &str,
        ports: &mut PluginPorts<'_>,
    ) {
        self.message.clear();
        if let Some(sample) = sample {
            encode(sample, &mut self.message);
        }
        let device = sample.map_or("", |sample| sample.device_key.as_str());
        let call = Call { message, device, subject: firing };
        for used in &mut self.uses {
            let input = &self.message;
            let outcome = used.call(Function::OnAction, &call, input, &mut self.sink, ports);
            if let Err(error) = outcome {
                used.failed(&error, ports);
            }
        }
    }
}

struct Call<'c> {
    message: &'c Message,
    device: &'c str,
    subject: &'c str,
}

impl Used {
    /// Calls the plugin if it has the function; the values it gives in place of the sample's.
    #[allow(clippy::type_complexity)] // the values of a sample
    fn call(
        &mut self,
        function: Function,
        call: &Call<'_>,
        input: &[u8],
        sink: &mut Sink,
        ports: &mut PluginPorts<'_>,
    ) -> Result<Option<Vec<(Arc<str>, flux_types::Value)>>, PluginError> {
        sink.clear();
        let (lease, settings) = self.take(ports.plugins)?;
        if !lease.has(function) {
            return Ok(None);
        }
        let context = Context {
            settings: settings.view(),
            source: principal(&call.message.source).into(),
            topic: call.message.topic.as_str().into(),
            device: call.device.into(),
            received_ns: call.message.received.wall_ns,
            subject: call.subject.into(),
            ..Context::default()
        };
        let outcome = lease.call_into(function, &context, input, sink)?;
        let mut values = None;
        for item in outcome.items.filter_map(|index| sink.item(index)) {
            self.ask(item, ports);
            values = item.messages().last().map(|view| view.to_values()).or(values);
        }
        Ok(values)
    }

    fn failed(&self, error: &PluginError, ports: &PluginPorts<'_>) {
        count(&ports.counters.plugin_phase_failures);
        tracing::debug!(target: "wasm_plugin", plugin = %self.id, %error, "a plugin is passed over");
    }
}

/// The sample as plugins read it. What is too large for that is cut off: the sample stays whole.
fn encode(sample: &Telemetry, into: &mut Vec<u8>) {
    let values = sample.values.iter().map(|(name, value)| (name, value));
    let written = write_message(sample.device_key.as_str(), Some(sample.ts_ns), values, into);
    if let Err(error) = written {
        tracing::debug!(target: "wasm_plugin", %error, "a plugin is not shown the whole sample");
    }
}

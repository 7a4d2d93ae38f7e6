//! Each product's decoder and transform, compiled for one shard.

use std::collections::HashMap;
use std::sync::Arc;

use flux_registry::{DecodeSpec, Device, Product, Resolved, Snapshot};
use flux_rules::{Effect, Environment, Input, Limits, Transform, TransformOutcome};
use flux_types::{Message, PrincipalId, Problem, ProductId, Telemetry};
use flux_wasm::Plugins;
use foldhash::fast::RandomState;

use super::plugins::{Chain, PluginDecoder, PluginPorts, principal};
use crate::counters::{Counters, count, count_many};
use crate::decode::{DecodeContext, Decoder};
use crate::views::PluginStates;

struct Stage {
    decoder: How,
    chain: Chain,
    transform: Option<Transform>,
}

/// What turns a product's payloads into samples.
enum How {
    Json(Decoder),
    Plugin(Box<PluginDecoder>),
}

/// What a payload came to beside its samples.
#[derive(Default)]
pub(crate) struct Aside {
    /// What the product's plugins ask for and may have.
    pub(crate) effects: Vec<Effect>,
    /// The plugin that keeps something else of the source from here on, and what.
    pub(crate) state: Option<(Arc<str>, Vec<u8>)>,
}

/// What decoding needs to know, and to reach.
pub(crate) struct Surroundings<'s> {
    pub(crate) snapshot: &'s Snapshot,
    pub(crate) counters: &'s Counters,
    pub(crate) plugins: &'s Plugins,
    pub(crate) states: &'s PluginStates,
}

/// The decoders of all products.
#[derive(Default)]
pub(crate) struct Decoders {
    stages: HashMap<ProductId, Stage, RandomState>,
    /// Products whose plugins were called in this batch.
    leased: Vec<ProductId>,
}

impl Decoders {
    pub(crate) fn remove(&mut self, product: ProductId) {
        self.stages.remove(&product);
    }

    /// Takes a product in, in place of what was known of it; tells what of it does not work.
    pub(crate) fn insert(
        &mut self,
        product: &Product,
        limits: &Limits,
        env: &Environment,
    ) -> Vec<Problem> {
        let decoder = match &product.decode {
            DecodeSpec::Plugin(used) => How::Plugin(Box::new(PluginDecoder::new(used))),
            DecodeSpec::Json(mapping) => match Decoder::compile(mapping) {
                Ok(decoder) => How::Json(decoder),
                Err(problems) => {
                    self.stages.remove(&product.id);
                    return problems;
                }
            },
        };
        let compiled =
            product.transform.as_deref().map(|source| Transform::compile(source, limits, env));
        let (transform, problem) = match compiled.transpose() {
            Ok(transform) => (transform, None),
            Err(error) => (None, Some(error.to_problem())),
        };
        let chain = Chain::new(&product.plugin_chain);
        self.stages.insert(product.id, Stage { decoder, chain, transform });
        problem.into_iter().collect()
    }

    /// Gives back what plugins were leased for the batch.
    pub(crate) fn end_batch(&mut self) {
        for product in self.leased.drain(..) {
            let Some(stage) = self.stages.get_mut(&product) else { continue };
            stage.chain.end_batch();
            if let How::Plugin(plugin) = &mut stage.decoder {
                plugin.end_batch();
            }
        }
    }

    /// Decodes a message, lets the product's plugins look at its samples, and transforms them, to
    /// the end of `samples`.
    ///
    /// # Errors
    /// Why it cannot be decoded, for people.
    pub(crate) fn decode(
        &mut self,
        message: &Message,
        found: &Resolved<'_>,
        around: &Surroundings<'_>,
        samples: &mut Vec<Telemetry>,
        aside: &mut Aside,
    ) -> Result<(), String> {
        let Some(stage) = self.stages.get_mut(&found.product.id) else {
            return Err("the product's decoder does not work".to_owned());
        };
        let counters = around.counters;
        let named = |key: &str| named(around.snapshot, message, key);
        let Aside { effects, state } = aside;
        let mut ports = PluginPorts {
            plugins: around.plugins,
            states: around.states,
            counters,
            named: &named,
            effects,
        };
        let decoded = match &mut stage.decoder {
            How::Json(decoder) => {
                let received_ns = message.received.wall_ns;
                let context = DecodeContext { device: found.device, received_ns, named: &named };
                let decoded = decoder.decode(&context, &message.payload, samples);
                decoded.map_err(|error| error.to_string())?
            }
            How::Plugin(plugin) => {
                self.leased.push(found.product.id);
                let (decoded, kept) = plugin.decode(message, found, &mut ports, samples)?;
                *state = kept.map(|kept| (Arc::clone(plugin.id()), kept));
                decoded
            }
        };
        count_many(&counters.samples_refused, decoded.refused);
        if !stage.chain.is_empty() {
            self.leased.push(found.product.id);
            for sample in samples.iter_mut() {
                stage.chain.on_msg(message, sample, &mut ports);
            }
        }
        if let Some(transform) = &mut stage.transform {
            samples.retain_mut(|sample| keep(transform, message, found, sample, counters));
        }
        Ok(())
    }
}

/// Runs the transform over one sample; false if it is to be dropped.
fn keep(
    transform: &mut Transform,
    message: &Message,
    found: &Resolved<'_>,
    sample: &mut Telemetry,
    counters: &Counters,
) -> bool {
    let input = Input {
        device_id: Some(sample.device_key.as_str()),
        product: Some(found.product.key.as_str()),
        topic: message.topic.as_str(),
        ts_ns: sample.ts_ns,
        values: &sample.values,
        payload: Some(&message.payload),
    };
    match transform.apply(&input) {
        TransformOutcome::Values(values) => sample.values = values,
        TransformOutcome::Unchanged(None) => {}
        TransformOutcome::Unchanged(Some(error)) => {
            count(&counters.transform_failures);
            tracing::debug!(target: "rule", product = %found.product.key, %error, "a transform failed");
        }
        TransformOutcome::Dropped => {
            count(&counters.samples_dropped_by_transform);
            return false;
        }
    }
    true
}

/// The tag by which a device says who may speak for it: the key of a gateway, a serial line's
/// server, an edge node.
const GATEWAY_TAG: &str = "gateway";

/// The device of a key that a payload names, if the message's source may speak for it: an account
/// for the devices on whose telemetry topics it may publish, an anonymous client (where there are
/// such) for any, a device for those whose tag `gateway` names it.
fn named(snapshot: &Snapshot, message: &Message, key: &str) -> Option<Arc<Device>> {
    let device = snapshot.device_by_key(message.tenant, key).filter(|device| device.enabled)?;
    let may = match principal(&message.source).split_once(':') {
        Some(("account", id)) => {
            let id: PrincipalId = id.parse().ok()?;
            let topic = snapshot.telemetry_topic(device).ok()?;
            let account = snapshot.account(id)?;
            account.publish.iter().any(|grant| grant.matches(topic.as_str()))
        }
        Some(("device", id)) => {
            let gateway = snapshot.device(id.parse().ok()?)?;
            device.tags.get(GATEWAY_TAG) == Some(gateway.key.as_str())
        }
        Some(_) => false,
        None => principal(&message.source) == "anonymous",
    };
    may.then(|| Arc::clone(device))
}

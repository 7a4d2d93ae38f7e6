//! Each product's decoder and transform, compiled for one shard.

use std::collections::HashMap;
use std::sync::Arc;

use flux_registry::{Device, Product, Resolved, Snapshot};
use flux_rules::{Environment, Input, Limits, Transform, TransformOutcome};
use flux_types::{Message, PrincipalId, Problem, ProductId, Telemetry};
use foldhash::fast::RandomState;

use crate::counters::{Counters, count, count_many};
use crate::decode::{DecodeContext, Decoder};

struct Stage {
    decoder: Decoder,
    transform: Option<Transform>,
}

/// The decoders of all products.
#[derive(Default)]
pub(crate) struct Decoders {
    stages: HashMap<ProductId, Stage, RandomState>,
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
        let decoder = match Decoder::compile(&product.decode) {
            Ok(decoder) => decoder,
            Err(problems) => {
                self.stages.remove(&product.id);
                return problems;
            }
        };
        let compiled =
            product.transform.as_deref().map(|source| Transform::compile(source, limits, env));
        let (transform, problem) = match compiled.transpose() {
            Ok(transform) => (transform, None),
            Err(error) => (None, Some(error.to_problem())),
        };
        self.stages.insert(product.id, Stage { decoder, transform });
        problem.into_iter().collect()
    }

    /// Decodes and transforms a message's samples to the end of `samples`.
    ///
    /// # Errors
    /// Why it cannot be decoded, for people.
    pub(crate) fn decode(
        &mut self,
        message: &Message,
        found: &Resolved<'_>,
        snapshot: &Snapshot,
        counters: &Counters,
        samples: &mut Vec<Telemetry>,
    ) -> Result<(), String> {
        let Some(stage) = self.stages.get_mut(&found.product.id) else {
            return Err("the product's decoder does not work".to_owned());
        };
        let context = DecodeContext {
            device: found.device,
            received_ns: message.received.wall_ns,
            named: &|key| named(snapshot, message, key),
        };
        let decoded = stage
            .decoder
            .decode(&context, &message.payload, samples)
            .map_err(|error| error.to_string())?;
        count_many(&counters.samples_refused, decoded.refused);
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

/// The device of a key that a payload names, if the message's source may speak for it: an account
/// for the devices on whose telemetry topics it may publish, an anonymous client (where there are
/// such) for any, a device for none but itself, whom the topic names.
fn named(snapshot: &Snapshot, message: &Message, key: &str) -> Option<Arc<Device>> {
    let device = snapshot.device_by_key(message.tenant, key).filter(|device| device.enabled)?;
    let source = message.source.as_str();
    let principal = source.split_once('/').map_or(source, |(principal, _)| principal);
    let may = match principal.split_once(':') {
        Some(("account", id)) => {
            let id: PrincipalId = id.parse().ok()?;
            let topic = snapshot.telemetry_topic(device).ok()?;
            let account = snapshot.account(id)?;
            account.publish.iter().any(|grant| grant.matches(topic.as_str()))
        }
        Some(_) => false,
        None => principal == "anonymous",
    };
    may.then(|| Arc::clone(device))
}

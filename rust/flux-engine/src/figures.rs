//! The engine's work in a few numbers, for people: `/metrics` has all of them.

use serde_json::{Value as Json, json};

use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// Counters since the start (`_total`) and how things are now. Counters are the process's,
    /// whoever's messages they count; `refusals_unlisted_total` too.
    ///
    /// # Errors
    /// The engine does not run.
    pub fn figures(&self) -> Result<Json, EngineError> {
        let running = self.running()?;
        let pipeline = &running.pipeline;
        let counted = pipeline.counters().read();
        let mqtt = running.broker.counters();
        let log = running.log.stats();
        let snapshot = self.registry().current();
        Ok(json!({
            "messages_in_total": counted.messages_accepted,
            "messages_out_total": mqtt.publishes_out.iter().map(flux_mqtt::Counter::get).sum::<u64>(),
            "samples_total": counted.samples_decoded,
            "rules_executed_total": counted.rules_executed,
            "firings_total": counted.firings,
            "decode_failures_total": counted.decode_failures,
            "refusals_unlisted_total": pipeline.refusals().unlisted(),
            "lag_records": pipeline.health().lag_records,
            "clients": mqtt.connected.get(),
            "devices": snapshot.devices().len(),
            "devices_online": pipeline.views().presence.lock().online_len(),
            "log_bytes": log.disk_bytes,
            "log_full": log.full,
            "durable": !log.not_durable,
        }))
    }
}

//! Every limit and delay of the pipeline, with its default.

use std::time::Duration;

use crate::views::ViewLimits;

/// How the pipeline is set up.
#[derive(Debug, Clone)]
pub struct PipelineSettings {
    /// Worker threads that decode and decide.
    pub shards: usize,
    /// Messages per ring from a network worker to a shard.
    pub ring_capacity: usize,
    /// Messages a shard takes at a time.
    pub batch_len_max: usize,
    /// Records committed and not yet decided; beyond it sources are paused.
    pub lag_records_max: u64,
    /// How often a message may be published on by rules.
    pub hops_max: u8,
    /// Messages that rules made of rules' messages, not yet decided; beyond it more are refused.
    pub publications_pending_max: usize,
    /// How long a device may take to reply to a command that was sent.
    pub reply_timeout: Duration,
    /// How long a command may wait to be sent where its rule does not say.
    pub command_max_age: Duration,
    /// How long a webhook may be tried where its rule does not say.
    pub webhook_max_age: Duration,
    /// Inputs waiting for the outbox.
    pub outbox_len_max: usize,
    /// How often the views are written down.
    pub snapshot_interval: Duration,
    /// Records after which they are written down earlier.
    pub snapshot_records: u64,
    /// How often a shard notes how far it has decided when nothing fires.
    pub cursor_interval: Duration,
    /// How long stopping may take before what is left is abandoned to recovery.
    pub stop_timeout: Duration,
    /// How much the views keep.
    pub views: ViewLimits,
}

impl Default for PipelineSettings {
    fn default() -> Self {
        Self {
            shards: 1,
            ring_capacity: 1024,
            batch_len_max: 256,
            lag_records_max: 200_000,
            hops_max: 8,
            publications_pending_max: 4096,
            reply_timeout: Duration::from_secs(30),
            command_max_age: Duration::from_secs(30),
            webhook_max_age: Duration::from_secs(24 * 3600),
            outbox_len_max: 4096,
            snapshot_interval: Duration::from_secs(30),
            snapshot_records: 2_000_000,
            cursor_interval: Duration::from_secs(1),
            stop_timeout: Duration::from_secs(5),
            views: ViewLimits::default(),
        }
    }
}

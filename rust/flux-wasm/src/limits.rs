//! Every limit of a plugin, with its name and its default.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::breaker::BreakerLimits;

/// What plugins may use. Every field has a default and can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a `.wasm`.
    pub module_bytes_max: usize,
    /// Bytes of one instance's linear memory.
    pub max_memory_bytes: usize,
    /// Elements of one instance's table.
    pub max_table_elements: usize,
    /// Tables of one instance.
    pub max_tables: u32,
    /// Memories of one instance.
    pub max_memories: u32,
    /// Instances of one plugin there may be at one time, those at work and those kept.
    pub max_instances: usize,
    /// Instances of one plugin that are kept for the next batch.
    pub pool_size: usize,
    /// How long a batch waits for an instance when all `max_instances` are at work.
    pub lease_wait_ms: u64,
    /// Time of one call, start functions included.
    pub deadline_ms: u64,
    /// Bytes of stack one call may use.
    pub stack_bytes_max: usize,
    /// Bytes of an input; of all inputs of a batch together.
    pub input_bytes_max: usize,
    /// Bytes of a context: settings, request, state and the rest.
    pub context_bytes_max: usize,
    /// Inputs handed to one `decode_batch`; longer batches are cut.
    pub batch_items_max: usize,
    /// Bytes of an output.
    pub output_bytes_max: usize,
    /// Messages of an output.
    pub messages_max: usize,
    /// Values of a message.
    pub values_max: usize,
    /// Tags of a message.
    pub tags_max: usize,
    /// Effects of an output.
    pub effects_max: usize,
    /// Frames of an output.
    pub frames_max: usize,
    /// Bytes of a source's state.
    pub state_bytes_max: usize,
    /// Names a [`Sink`](crate::Sink) keeps so that they need not be allocated again.
    pub names_kept_max: usize,
    /// Bytes of one line of log; what is longer is cut.
    pub log_bytes_max: usize,
    /// Lines of log of one plugin in a second; more are counted and left out.
    pub log_lines_per_second_max: u32,
    /// Bytes of an input buffer that an instance keeps between calls.
    pub buffer_kept_bytes_max: usize,
    /// Calls after which an instance is replaced.
    pub instance_calls_max: u64,
    /// Bytes by which an instance's memory may have grown before it is replaced.
    pub instance_growth_bytes_max: usize,
    /// Plugins there may be at one time.
    pub plugins_max: usize,
    /// Bytes of compiled code kept on disk; the oldest go first.
    pub cache_bytes_max: u64,
    /// Vectors a plugin is tested with when it is loaded.
    pub vectors_max: usize,
    /// When a plugin is set aside.
    pub breaker: BreakerLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            module_bytes_max: 4 << 20,
            max_memory_bytes: 16 << 20,
            max_table_elements: 1000,
            max_tables: 1,
            max_memories: 1,
            max_instances: 10,
            pool_size: 4,
            lease_wait_ms: 20,
            deadline_ms: 5,
            stack_bytes_max: 256 << 10,
            input_bytes_max: 1 << 20,
            context_bytes_max: 512 << 10,
            batch_items_max: 256,
            output_bytes_max: 1 << 20,
            messages_max: 4096,
            values_max: 1024,
            tags_max: 64,
            effects_max: 64,
            frames_max: 256,
            state_bytes_max: 64 << 10,
            names_kept_max: 4096,
            log_bytes_max: flux_plugin_abi::limits::LOG_BYTES_MAX,
            log_lines_per_second_max: 100,
            buffer_kept_bytes_max: 64 << 10,
            instance_calls_max: 1_000_000,
            instance_growth_bytes_max: 4 << 20,
            plugins_max: 256,
            cache_bytes_max: 256 << 20,
            vectors_max: 1000,
            breaker: BreakerLimits::default(),
        }
    }
}

impl Limits {
    /// Ticks of a millisecond that a call has.
    pub(crate) fn deadline_ticks(&self) -> u64 {
        self.deadline_ms.max(1)
    }

    /// [`Limits::lease_wait_ms`].
    pub(crate) fn lease_wait(&self) -> Duration {
        Duration::from_millis(self.lease_wait_ms)
    }
}

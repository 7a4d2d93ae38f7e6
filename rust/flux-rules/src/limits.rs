//! What one call of a script may take.

use std::time::Duration;

/// The limits of one evaluation and of one source text. Every field is a hard stop.
///
/// A thread that evaluates scripts needs [`Limits::STACK_BYTES_MIN`] of stack at the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a source text.
    pub script_bytes_max: usize,
    /// Functions one source text may define.
    pub functions_max: usize,
    /// Nesting of expressions in the source.
    pub expression_depth_max: usize,
    /// Operations of one evaluation, those inside callbacks included.
    pub operations_max: u64,
    /// The same for a script that keeps a closure with captured variables (in a variable, a map, an
    /// array): such closures can hold one another in chains, which this keeps short.
    pub kept_closure_operations_max: u64,
    /// Nesting of function calls.
    pub call_depth_max: usize,
    /// Variables alive at once.
    pub variables_max: usize,
    /// Bytes of a string, and of all strings within one array or map.
    pub string_bytes_max: usize,
    /// Elements of an array or bytes of a blob, nested ones included.
    pub array_len_max: usize,
    /// Entries of a map, nested ones included.
    pub map_len_max: usize,
    /// Time of one evaluation. Time in which the thread had no core counts once at most: what is
    /// late by the clock on the wall may run as long again in processor time. Looked at every [`Limits::OPERATIONS_PER_CLOCK_READING`] operations.
    pub deadline: Duration,
    /// Effects one evaluation may ask for.
    pub effects_per_evaluation_max: usize,
    /// Log lines of one evaluation; the rest is counted, not kept.
    pub log_lines_max: usize,
    /// Bytes of a log line; the rest is cut off.
    pub log_line_bytes_max: usize,
}

impl Limits {
    /// The least stack of a thread that evaluates scripts, in bytes.
    pub const STACK_BYTES_MIN: usize = 2 * 1024 * 1024;
    /// How many operations may pass between two looks at the clock.
    pub const OPERATIONS_PER_CLOCK_READING: u64 = 16;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            script_bytes_max: 64 * 1024,
            functions_max: 64,
            expression_depth_max: 64,
            operations_max: 100_000,
            kept_closure_operations_max: 5_000,
            call_depth_max: 32,
            variables_max: 256,
            string_bytes_max: 64 * 1024,
            array_len_max: 10_000,
            map_len_max: 1_000,
            deadline: Duration::from_millis(5),
            effects_per_evaluation_max: 64,
            log_lines_max: 64,
            log_line_bytes_max: 4096,
        }
    }
}

//! Lines of log that guests write.
//!
//! Owns what becomes of them: cut at `log_bytes_max`, made printable, counted, held to
//! `log_lines_per_second_max`, and written under the tracing target `wasm_plugin`. What the filter
//! would drop costs a guest next to nothing and is not even read.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use flux_plugin_abi::Level;
use parking_lot::Mutex;
use wasmtime::{Caller, Extern, Result};

use crate::Limits;
use crate::sandbox::Guest;

/// The tracing target of all that plugins write.
pub const LOG_TARGET: &str = "wasm_plugin";

/// Failed calls of one plugin that are told of in a second; all are counted.
const FAILURES_TOLD_PER_SECOND: u32 = 5;

/// What is known of one plugin's lines.
#[derive(Debug)]
pub(crate) struct LogGate {
    plugin: Arc<str>,
    bytes_max: usize,
    lines_per_second_max: u32,
    window: Mutex<Window>,
    failures: Mutex<Window>,
    pub(crate) lines: AtomicU64,
    pub(crate) suppressed: AtomicU64,
    pub(crate) malformed: AtomicU64,
}

/// A second, and how much was let through in it.
#[derive(Debug)]
struct Window {
    began: Instant,
    lines: u32,
    left_out: u64,
}

impl Window {
    fn new() -> Self {
        Self { began: Instant::now(), lines: 0, left_out: 0 }
    }

    /// Whether one more is let through; how many were not, where a new second begins.
    fn admits(&mut self, max: u32) -> (bool, u64) {
        let mut left_out = 0;
        if self.began.elapsed().as_secs() >= 1 {
            left_out = self.left_out;
            *self = Self::new();
        }
        let admitted = self.lines < max;
        if admitted {
            self.lines += 1;
        } else {
            self.left_out += 1;
        }
        (admitted, left_out)
    }
}

/// A guest logged from where it has no memory.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a line of log at {ptr} of {len} bytes is no place in the guest's memory")]
pub(crate) struct LogPointer {
    pub(crate) ptr: u32,
    pub(crate) len: u32,
    pub(crate) memory: usize,
}

impl LogGate {
    pub(crate) fn new(plugin: Arc<str>, limits: &Limits) -> Self {
        Self {
            plugin,
            bytes_max: limits.log_bytes_max,
            lines_per_second_max: limits.log_lines_per_second_max,
            window: Mutex::new(Window::new()),
            failures: Mutex::new(Window::new()),
            lines: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
        }
    }

    /// Whether one more line may be written in this second.
    fn admits(&self) -> bool {
        let (admitted, left_out) = self.window.lock().admits(self.lines_per_second_max);
        if left_out > 0 {
            let plugin = &*self.plugin;
            tracing::warn!(target: LOG_TARGET, plugin, left_out, "lines of log were left out");
        }
        let counter = if admitted { &self.lines } else { &self.suppressed };
        counter.fetch_add(1, Ordering::Relaxed);
        admitted
    }

    /// Whether one more failed call may be told of in this second.
    pub(crate) fn admits_failure(&self) -> bool {
        self.failures.lock().admits(FAILURES_TOLD_PER_SECOND).0
    }

    fn write(&self, level: Level, bytes: &[u8]) {
        let kept = bytes.get(..self.bytes_max).unwrap_or(bytes);
        let text = match std::str::from_utf8(kept) {
            Ok(text) => Cow::Borrowed(text),
            // A cut may fall within a character: that is ours, not the guest's fault.
            Err(error) if kept.len() < bytes.len() && error.error_len().is_none() => {
                String::from_utf8_lossy(kept.get(..error.valid_up_to()).unwrap_or_default())
            }
            Err(_) => {
                self.malformed.fetch_add(1, Ordering::Relaxed);
                String::from_utf8_lossy(kept)
            }
        };
        let text = printable(&text);
        let plugin = &*self.plugin;
        match level {
            Level::Trace => tracing::trace!(target: LOG_TARGET, plugin, "{text}"),
            Level::Debug => tracing::debug!(target: LOG_TARGET, plugin, "{text}"),
            Level::Info => tracing::info!(target: LOG_TARGET, plugin, "{text}"),
            Level::Warn => tracing::warn!(target: LOG_TARGET, plugin, "{text}"),
            Level::Error => tracing::error!(target: LOG_TARGET, plugin, "{text}"),
        }
    }
}

/// The text with control characters escaped: a guest must not write lines, or to the terminal, as
/// somebody else.
fn printable(text: &str) -> Cow<'_, str> {
    let text = text.trim_end();
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    Cow::Owned(text.chars().map(escape).collect())
}

fn enabled(level: Level) -> bool {
    match level {
        Level::Trace => tracing::enabled!(target: LOG_TARGET, tracing::Level::TRACE),
        Level::Debug => tracing::enabled!(target: LOG_TARGET, tracing::Level::DEBUG),
        Level::Info => tracing::enabled!(target: LOG_TARGET, tracing::Level::INFO),
        Level::Warn => tracing::enabled!(target: LOG_TARGET, tracing::Level::WARN),
        Level::Error => tracing::enabled!(target: LOG_TARGET, tracing::Level::ERROR),
    }
}

/// The import itself. An address outside the guest's memory ends the call.
pub(crate) fn host_log(
    mut caller: Caller<'_, Guest>,
    level: Option<Level>,
    ptr: i32,
    len: i32,
) -> Result<()> {
    let gate = Arc::clone(&caller.data().log);
    let (ptr, len) = (ptr.cast_unsigned(), len.cast_unsigned());
    let memory = caller.get_export(flux_plugin_abi::exports::MEMORY).and_then(Extern::into_memory);
    let data = memory.as_ref().map_or(&[][..], |memory| memory.data(&caller));
    let start = ptr as usize;
    let Some(bytes) = start.checked_add(len as usize).and_then(|end| data.get(start..end)) else {
        return Err(LogPointer { ptr, len, memory: data.len() }.into());
    };
    // a level that is none is somebody's mistake: let it be seen
    let level = level.unwrap_or(Level::Warn);
    if enabled(level) && gate.admits() {
        gate.write(level, bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_the_rest_is_left() {
        assert_eq!(printable("all \u{e9} well\n"), "all \u{e9} well");
        assert_eq!(printable("a\nERROR b\x1b[2J"), "a\\nERROR b\\u{1b}[2J");
    }

    #[test]
    fn lines_beyond_the_rate_are_counted_and_left_out() {
        let limits = Limits { log_lines_per_second_max: 3, ..Limits::default() };
        let gate = LogGate::new("p".into(), &limits);
        let admitted = (0..10).filter(|_| gate.admits()).count();
        assert_eq!(admitted, 3);
        assert_eq!(gate.suppressed.load(Ordering::Relaxed), 7);
    }
}

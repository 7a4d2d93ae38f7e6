//! Lines of log, handed to the host.

use std::cell::RefCell;
use std::fmt::{self, Write};

use flux_plugin_abi::Level;
use flux_plugin_abi::limits::LOG_BYTES_MAX;

thread_local! {
    /// Kept from line to line, so that logging allocates once.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Writes one line, of which the first 4096 bytes are kept; for the macros.
pub fn write(level: Level, text: fmt::Arguments<'_>) {
    if let Some(text) = text.as_str() {
        return host::line(level, cut(text, LOG_BYTES_MAX));
    }
    LINE.with(|line| match line.try_borrow_mut() {
        Ok(mut line) => {
            line.clear();
            formatted(level, &mut line, text);
        }
        // A value that is being formatted logs something itself.
        Err(_) => formatted(level, &mut String::new(), text),
    });
}

fn formatted(level: Level, line: &mut String, text: fmt::Arguments<'_>) {
    // An error means no more than that the line is full.
    let _ = Bounded(line).write_fmt(text);
    host::line(level, line);
}

/// Text up to the limit; what is longer is not even formatted.
struct Bounded<'a>(&'a mut String);

impl Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let kept = cut(text, LOG_BYTES_MAX.saturating_sub(self.0.len()));
        self.0.push_str(kept);
        if kept.len() == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// At most so many bytes of it, in whole characters.
fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(target_family = "wasm")]
mod host {
    use flux_plugin_abi::Level;

    #[link(wasm_import_module = "flux")]
    unsafe extern "C" {
        #[link_name = "log"]
        fn flux_log(level: i32, ptr: *const u8, len: usize);
    }

    pub(super) fn line(level: Level, text: &str) {
        // SAFETY: the host reads these bytes during the call, and keeps nothing.
        unsafe { flux_log(level.as_i32(), text.as_ptr(), text.len()) }
    }
}

#[cfg(not(target_family = "wasm"))]
mod host {
    pub(super) use crate::testing::log_line as line;
}

/// Logs a line at the level `trace`: for whoever follows every step.
///
/// ```
/// flux_plugin_sdk::trace!("{} bytes", 12);
/// ```
#[macro_export]
macro_rules! trace {
    ($($text:tt)+) => { $crate::write_log($crate::Level::Trace, ::core::format_args!($($text)+)) };
}

/// Logs a line at the level `debug`: for whoever looks for a fault.
///
/// ```
/// flux_plugin_sdk::debug!("unit {unit} answers", unit = 3);
/// ```
#[macro_export]
macro_rules! debug {
    ($($text:tt)+) => { $crate::write_log($crate::Level::Debug, ::core::format_args!($($text)+)) };
}

/// Logs a line at the level `info`: worth knowing.
///
/// ```
/// flux_plugin_sdk::info!("the meter restarted");
/// ```
#[macro_export]
macro_rules! info {
    ($($text:tt)+) => { $crate::write_log($crate::Level::Info, ::core::format_args!($($text)+)) };
}

/// Logs a line at the level `warn`: unexpected, but handled.
///
/// ```
/// flux_plugin_sdk::warn!("clock is {} s behind", 90);
/// ```
#[macro_export]
macro_rules! warn {
    ($($text:tt)+) => { $crate::write_log($crate::Level::Warn, ::core::format_args!($($text)+)) };
}

/// Logs a line at the level `error`: something failed.
///
/// What makes a call fail is better returned as a [`PluginError`](crate::PluginError): the host
/// logs it with source and topic.
///
/// ```
/// flux_plugin_sdk::error!("battery empty");
/// ```
#[macro_export]
macro_rules! error {
    ($($text:tt)+) => { $crate::write_log($crate::Level::Error, ::core::format_args!($($text)+)) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::written;

    struct Endless;

    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str("é")?;
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let logs = written(|_| crate::info!("x{Endless}")).logs;
        assert_eq!(logs[0].1.len(), LOG_BYTES_MAX - 1);
        assert!(logs[0].1.ends_with('é'));
    }

    struct Chatty;

    impl fmt::Display for Chatty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            crate::debug!("formatting {}", 1);
            f.write_str("done")
        }
    }

    #[test]
    fn a_value_may_log_while_it_is_logged() {
        let logs = written(|_| crate::warn!("{Chatty}")).logs;
        assert_eq!(
            logs,
            [(Level::Debug, "formatting 1".to_owned()), (Level::Warn, "done".to_owned())]
        );
    }
}

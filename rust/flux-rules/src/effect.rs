//! What a script can ask for, as data.

use bytes::Bytes;
use flux_types::{Key, Qos, Severity, Topic};
use serde::{Deserialize, Serialize};

/// Something a script asked for. The caller carries it out, and knows rule, message and device.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send a command to a device.
    Command {
        /// The device's key.
        device: Key,
        /// The command's name.
        command: String,
        /// Its parameters: always a JSON object.
        params: serde_json::Value,
    },
    /// Publish a message.
    Publish {
        /// Where.
        topic: Topic,
        /// The bytes: text and blobs as they are, anything else as JSON, `()` as nothing.
        payload: Bytes,
        /// The promise it carries.
        qos: Qos,
        /// Whether it is to be retained.
        retain: bool,
    },
    /// Raise an alarm, or renew it where it is already raised.
    RaiseAlarm {
        /// The alarm's name.
        alarm: String,
        /// How bad it is.
        severity: Severity,
        /// What people are told; may be empty.
        text: String,
    },
    /// Clear an alarm.
    ClearAlarm {
        /// The alarm's name.
        alarm: String,
    },
    /// Call a webhook.
    Webhook {
        /// An absolute `http` or `https` URL.
        url: String,
        /// The body to send, as JSON.
        payload: serde_json::Value,
    },
}

/// How much a log line matters, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// `log_trace`
    Trace,
    /// `log_debug`, and Rhai's `debug`
    Debug,
    /// `log_info`, and Rhai's `print`
    Info,
    /// `log_warn`
    Warn,
    /// `log_error`
    Error,
}

impl LogLevel {
    /// The word used in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One line for the rule's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// At most `log_line_bytes_max` bytes; a longer one ends in `…`.
    pub text: String,
}

//! Why a call failed, in the plugin's own words.

use std::borrow::Cow;
use std::fmt;

use crate::json::JsonError;

/// Why a call failed: a short stable code for programs, a sentence for people.
///
/// The host counts it, logs it with source and topic, and goes on with the next message.
///
/// ```
/// use flux_plugin_sdk::PluginError;
///
/// fn checked(frame: &[u8]) -> Result<&[u8], PluginError> {
///     frame.split_last().map(|(_, rest)| rest).ok_or_else(|| {
///         PluginError::new("meter.length", format!("{} bytes are no frame", frame.len()))
///     })
/// }
///
/// assert_eq!(checked(&[]).unwrap_err().to_string(), "0 bytes are no frame");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginError {
    /// Short, stable, dotted: `meter.crc`. Tests and alarms go by it.
    pub code: Cow<'static, str>,
    /// What is wrong, with the figures that help to find it.
    pub text: Cow<'static, str>,
}

impl PluginError {
    /// An error of this code.
    #[must_use]
    pub fn new(code: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: code.into(), text: text.into() }
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for PluginError {}

/// Of JSON that is no settings: the code is `sdk.json`, the text begins with the place.
impl From<JsonError> for PluginError {
    fn from(error: JsonError) -> Self {
        Self::new("sdk.json", error.to_string())
    }
}

/// Bytes of the host's that do not follow the ABI, which no host of this project sends.
impl From<flux_plugin_abi::Malformed> for PluginError {
    fn from(error: flux_plugin_abi::Malformed) -> Self {
        Self::new("sdk.input", error.to_string())
    }
}

/// More than the ABI has room for.
impl From<flux_plugin_abi::TooLong> for PluginError {
    fn from(error: flux_plugin_abi::TooLong) -> Self {
        Self::new("sdk.output", error.to_string())
    }
}

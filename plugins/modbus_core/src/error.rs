//! Why a frame or a command is refused: stable codes, sentences for people.

use flux_plugin_sdk::PluginError;

/// Codes of errors; programs and alarms go by them.
pub mod code {
    /// A serial frame's check does not fit its bytes: noise, or two frames in one.
    pub const CRC: &str = "crc";
    /// A frame is shorter or longer than it says, or than any frame is.
    pub const LENGTH: &str = "length";
    /// The header of a TCP frame names another protocol than Modbus.
    pub const PROTOCOL: &str = "protocol";
    /// A frame answers somebody else's request: another unit, function or transaction.
    pub const NOT_MINE: &str = "not_mine";
    /// A frame answers with this request's function, but not this request: another number of bytes,
    /// another address. A late answer to an earlier request looks like this.
    pub const MISMATCH: &str = "mismatch";
    /// The unit answered that it cannot: an exception response.
    pub const EXCEPTION: &str = "exception";
    /// The settings do not know the unit.
    pub const UNIT: &str = "unit";
    /// A frame nobody asked for, and no setting says what it means.
    pub const UNASKED: &str = "unasked";
    /// A register holds what its type cannot: a digit above 9.
    pub const VALUE: &str = "value";
    /// The request in the context is no Modbus request.
    pub const REQUEST: &str = "request";
    /// The settings are wrong.
    pub const SETTINGS: &str = "settings.invalid";
    /// A command's parameters are wrong.
    pub const PARAMS: &str = "command.params";
}

/// An error of this code.
#[cold]
pub(crate) fn error(code: &'static str, text: impl Into<String>) -> PluginError {
    PluginError::new(code, text.into())
}

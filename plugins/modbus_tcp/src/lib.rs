//! Modbus TCP: frames with a header that counts their bytes.
//!
//! All of it but that header is [`modbus_core`]'s.

#![deny(unsafe_code)]

use flux_plugin_sdk::{
    Command, Context, Description, Output, PluginError, PluginHandler, StandardMessage,
    export_plugin,
};
use modbus_core::Tcp;

/// The plugin.
#[derive(Debug)]
pub struct ModbusTcp;

impl PluginHandler for ModbusTcp {
    fn on_decode(raw: &[u8]) -> StandardMessage {
        flux_plugin_sdk::standard_message::<Self>(raw)
    }

    fn decode(ctx: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        modbus_core::decode::<Tcp>(ctx, raw, out)
    }

    fn encode(
        ctx: &Context<'_>,
        command: &Command<'_>,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        modbus_core::encode::<Tcp>(ctx, command, out)
    }

    fn describe() -> Description {
        modbus_core::describe::<Tcp>(
            "The header says how long a frame is: framing `length`, `offset` 4, `width` 2, \
             `frame_bytes_max` 260.",
        )
    }
}

export_plugin!(ModbusTcp, encode);

#[cfg(test)]
mod tests {
    use flux_plugin_sdk::testing::{Call, check_vectors};

    use super::*;

    #[test]
    fn vectors_hold() {
        check_vectors::<ModbusTcp>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"));
    }

    #[test]
    fn the_settings_of_the_guide_are_good() {
        let guide = include_str!("../README.md");
        let settings = guide.split("```json").nth(1).and_then(|text| text.split("```").next());
        let settings = settings.unwrap();
        // What is wrong is the empty frame, not the settings.
        assert_eq!(Call::new().settings(settings).decode::<ModbusTcp>(&[]).error_code(), "length");
        let read = Call::new().settings(settings).encode::<ModbusTcp>("read", r#"{"unit": 255}"#);
        assert_eq!(read.frames.len(), 5, "{read:?}");
    }

    #[test]
    fn without_a_context_nothing_is_made_of_a_frame() {
        assert!(ModbusTcp::on_decode(&[1, 3, 2, 0, 1, 0x79, 0x84]).values.is_empty());
    }
}

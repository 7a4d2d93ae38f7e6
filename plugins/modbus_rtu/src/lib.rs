//! Modbus RTU: frames of a serial line, also where a gateway carries them over a socket.
//!
//! All of it but the frame's ends is [`modbus_core`]'s.

#![deny(unsafe_code)]

use flux_plugin_sdk::{
    Command, Context, Description, Output, PluginError, PluginHandler, StandardMessage,
    export_plugin,
};
use modbus_core::Rtu;

/// The plugin.
#[derive(Debug)]
pub struct ModbusRtu;

impl PluginHandler for ModbusRtu {
    fn on_decode(raw: &[u8]) -> StandardMessage {
        flux_plugin_sdk::standard_message::<Self>(raw)
    }

    fn decode(ctx: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        modbus_core::decode::<Rtu>(ctx, raw, out)
    }

    fn encode(
        ctx: &Context<'_>,
        command: &Command<'_>,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        modbus_core::encode::<Rtu>(ctx, command, out)
    }

    fn describe() -> Description {
        modbus_core::describe::<Rtu>(
            "On a serial line silence ends a frame: framing `idle`, `gap_ms` 20 or more behind \
             a gateway.",
        )
    }
}

export_plugin!(ModbusRtu, encode);

#[cfg(test)]
mod tests {
    use flux_plugin_sdk::testing::{Call, check_vectors};

    use super::*;

    #[test]
    fn vectors_hold() {
        check_vectors::<ModbusRtu>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"));
    }

    #[test]
    fn the_settings_of_the_guide_are_good() {
        let guide = include_str!("../README.md");
        let settings = guide.split("```json").nth(1).and_then(|text| text.split("```").next());
        let settings = settings.unwrap();
        // What is wrong is the empty frame, not the settings.
        assert_eq!(Call::new().settings(settings).decode::<ModbusRtu>(&[]).error_code(), "length");
        let read = Call::new().settings(settings).encode::<ModbusRtu>("read", r#"{"unit": 3}"#);
        assert_eq!(read.frames.len(), 4, "{read:?}");
    }

    #[test]
    fn without_a_context_nothing_is_made_of_a_frame() {
        assert!(ModbusRtu::on_decode(&[1, 3, 2, 0, 1, 0x79, 0x84]).values.is_empty());
    }
}

//! Cayenne Low Power Payload: what LoRaWAN nodes send that nobody wrote a codec for.
//!
//! A payload is records behind one another: channel, type, data; the type tells how many bytes of
//! data there are, all of them most significant first. Each record becomes a value named after type
//! and channel (`temperature_1`), or as the settings say.
//!
//! Sources: *Cayenne Low Power Payload* in the documentation of myDevices (LPP 1.0, "LPP" below);
//! the constants of the `CayenneLPP` library of Electronic Cats (the extensions); *Cayenne LPP 2.0*,
//! a draft in the myDevices community, and the library that implements it ("LPP 2.0").
//!
//! `kinds` owns the types, `records` the reading of a payload, `plan` the settings,
//! `downlink` the writing of commands.

#![deny(unsafe_code)]

mod downlink;
mod kinds;
mod plan;
mod records;
mod uplink;

use flux_plugin_sdk::{
    Command, Context, Description, Output, PluginError, PluginHandler, StandardMessage,
    export_plugin,
};

pub use plan::Settings;

/// Bytes of a payload. LoRaWAN carries 242 at most; other radios, and MQTT, carry more.
pub const PAYLOAD_BYTES_MAX: usize = 1024;

/// The plugin.
#[derive(Debug)]
pub struct CayenneLpp;

impl PluginHandler for CayenneLpp {
    fn on_decode(raw: &[u8]) -> StandardMessage {
        flux_plugin_sdk::standard_message::<Self>(raw)
    }

    fn decode(ctx: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        uplink::decode(ctx, raw, out)
    }

    fn encode(
        ctx: &Context<'_>,
        command: &Command<'_>,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        downlink::encode(ctx, command, out)
    }

    fn describe() -> Description {
        Description::default()
            .decoding("records of channel, type and data; one value for each, or one for each axis")
            .settings::<Settings>()
            .command_with::<downlink::DigitalOutput>("digital_output", "sets a digital output")
            .command_with::<downlink::AnalogOutput>("analog_output", "sets an analog output")
    }
}

export_plugin!(CayenneLpp, encode);

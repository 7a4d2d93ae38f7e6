//! Sparkplug B (Eclipse Sparkplug 3.0.0): edge nodes and their devices, as devices and values.
//!
//! A birth certificate names metrics, gives them aliases and datatypes; the data that follow may
//! carry nothing but the aliases. What births define is kept in the source's state by the host:
//! guest memory may be thrown away between any two messages. See README.md for settings, limits
//! and errors.

#![deny(unsafe_code)]

mod datatype;
mod decode;
mod definitions;
mod encode;
mod payload;
mod report;
mod setup;
mod state;
mod structured;
mod topic;
mod wire;

use flux_plugin_sdk::{
    Command, Context, Description, Output, PluginError, PluginHandler, StandardMessage,
    export_plugin,
};

/// The plugin.
#[derive(Debug)]
pub struct SparkplugB;

impl PluginHandler for SparkplugB {
    fn on_decode(raw: &[u8]) -> StandardMessage {
        flux_plugin_sdk::standard_message::<Self>(raw)
    }

    fn decode(ctx: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        decode::decode(ctx, raw, out)
    }

    fn encode(
        ctx: &Context<'_>,
        command: &Command<'_>,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        encode::encode(ctx, command, out)
    }

    fn describe() -> Description {
        Description::default()
            .decoding(
                "payloads of the topics spBv1.0/{group}/{NBIRTH, DBIRTH, NDATA, DDATA, NDEATH, \
                 DDEATH}/{edge node}[/{device}]: metrics become values of their names",
            )
            .settings::<setup::Settings>()
            .command_with::<encode::WriteParams>("write", "writes metrics (NCMD, DCMD)")
            .command("rebirth", "asks an edge node for its births (NCMD)")
    }
}

export_plugin!(SparkplugB, encode);

#[cfg(test)]
mod tests {
    use flux_plugin_sdk::testing::check_vectors;

    use super::SparkplugB;

    #[test]
    fn vectors_hold() {
        check_vectors::<SparkplugB>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"));
    }
}

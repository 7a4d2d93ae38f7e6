//! `MessagePack`: what JSON would say, in fewer bytes.
//!
//! Values get the names the platform's JSON decoder would give them, with the same settings; see
//! README.md. What is read is `reader`'s to say, what it means the crate `flux-plugin-mapping`'s.

#![deny(unsafe_code)]

mod reader;
mod writer;

use flux_plugin_mapping::{Mapping, MappingSettings, decode};
use flux_plugin_sdk::{
    Command, Context, Description, Json, Output, PluginError, PluginHandler, StandardMessage,
    export_plugin,
};

/// The plugin.
#[derive(Debug)]
pub struct MessagePack;

impl PluginHandler for MessagePack {
    fn on_decode(raw: &[u8]) -> StandardMessage {
        flux_plugin_sdk::standard_message::<Self>(raw)
    }

    fn decode(ctx: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        let mapping = ctx.compiled(|settings: MappingSettings| Mapping::compile(&settings))?;
        decode(&mapping, reader::Reader::new(raw), out)
    }

    fn encode(
        _: &Context<'_>,
        command: &Command<'_>,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        let command =
            Json::object([("command", command.name.into()), ("params", command.params.clone())]);
        out.frame(&writer::write(&command));
        Ok(())
    }

    fn describe() -> Description {
        Description::default()
            .decoding(
                "MessagePack maps, or an array of them: values by the names JSON would give them",
            )
            .settings::<MappingSettings>()
            .command("*", "any command, as a map of `command` and `params`")
    }
}

export_plugin!(MessagePack, encode);

#[cfg(test)]
mod tests {
    use flux_plugin_sdk::testing::check_vectors;

    use super::MessagePack;

    #[test]
    fn vectors_hold() {
        check_vectors::<MessagePack>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"));
    }
}

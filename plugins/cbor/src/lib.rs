//! CBOR (RFC 8949): what JSON would say, in fewer bytes; and `SenML` in it (RFC 8428).
//!
//! Values get the names the platform's JSON decoder would give them, with the same settings; see
//! README.md. What is read is `reader`'s to say, what it means the crate `flux-plugin-mapping`'s
//! or, of packs of records, `senml`'s.

#![deny(unsafe_code)]

mod number;
mod reader;
mod senml;
mod setup;
mod writer;

use flux_plugin_mapping::decode;
use flux_plugin_sdk::{
    Command, Context, Description, Json, Output, PluginError, PluginHandler, StandardMessage,
    export_plugin,
};

use crate::setup::Setup;

/// The plugin.
#[derive(Debug)]
pub struct Cbor;

impl PluginHandler for Cbor {
    fn on_decode(raw: &[u8]) -> StandardMessage {
        flux_plugin_sdk::standard_message::<Self>(raw)
    }

    fn decode(ctx: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        let setup = ctx.compiled(Setup::compile)?;
        let reader = reader::Reader::new(raw);
        match &*setup {
            Setup::Paths(mapping) => decode(mapping, reader, out),
            Setup::Senml(naming) => senml::decode(*naming, reader, ctx.received_ns(), out),
        }
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
                "CBOR maps, or an array of them: values by the names JSON would give them; or \
                 SenML packs",
            )
            .settings::<setup::Settings>()
            .command("*", "any command, as a map of `command` and `params`")
    }
}

export_plugin!(Cbor, encode);

#[cfg(test)]
mod tests {
    use flux_plugin_sdk::testing::check_vectors;

    use super::Cbor;

    #[test]
    fn vectors_hold() {
        check_vectors::<Cbor>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"));
    }
}

//! BACnet over IP: values read, values reported, values written (ASHRAE 135; clauses and annexes
//! are those of 135-2016).
//!
//! A frame is a BVLC header (annex J), an NPDU (clause 6) and an APDU (clause 20). What devices
//! answer and report names its objects and properties: an answer can be read without its request,
//! which serves to tell whether it is the answer at all.
//!
//! `link` and `network` own the headers, `apdu` the kinds of APDU, `tags` and `value`
//! the encoding, `services` what answers and notifications say, `report` what becomes of
//! their values, `request` what is asked, `plan` the settings, `names` the words.

#![deny(unsafe_code)]

mod apdu;
mod datatype;
mod link;
mod names;
mod network;
mod plan;
mod report;
mod request;
mod services;
mod tags;
mod value;

use flux_plugin_sdk::{
    Command, Context, Description, Output, PluginError, PluginHandler, StandardMessage,
    export_plugin,
};

pub use plan::Settings;

/// Bytes of a frame. The standard's largest APDU has 1476, the headers a few dozen at most.
pub const FRAME_BYTES_MAX: usize = 2048;

/// The plugin.
#[derive(Debug)]
pub struct BacnetIp;

impl PluginHandler for BacnetIp {
    fn on_decode(raw: &[u8]) -> StandardMessage {
        flux_plugin_sdk::standard_message::<Self>(raw)
    }

    fn decode(ctx: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        services::decode(ctx, raw, out)
    }

    fn encode(
        ctx: &Context<'_>,
        command: &Command<'_>,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        request::encode(ctx, command, out)
    }

    fn describe() -> Description {
        Description::default()
            .decoding(
                "answers to read-property and read-property-multiple, COV notifications, I-Am; \
                errors, rejects and aborts as errors",
            )
            .settings::<Settings>()
            .command_with::<request::Read>("read", "reads the named objects, or all of them")
            .command_with::<request::Write>("write", "writes one property")
            .command_with::<request::Subscribe>("subscribe_cov", "asks for notifications")
            .command_with::<request::WhoIs>("who_is", "asks devices to say who they are")
    }
}

export_plugin!(BacnetIp, encode);

/// Bytes that are not what they should be.
fn malformed(at: usize, what: impl std::fmt::Display) -> PluginError {
    PluginError::new("bacnet.malformed", format!("byte {at}: {what}"))
}

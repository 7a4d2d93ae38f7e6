//! Binary formats of devices' own, described in the settings: no code.
//!
//! A layout is a list of fields: where each is, what type it has, what becomes of its number.
//! Around it stand a length, a checksum, whose the frame is and when it was measured; beside it,
//! variants by the first bytes, and commands, which are layouts written instead of read.
//!
//! `settings` owns what people write, `compile` checks it once and makes a `program` of it,
//! `run` reads frames by the program, `command` writes them; `bits`, `checksum` and `clock`
//! own numbers, checksums and dates, `draft` messages on their way out.

#![deny(unsafe_code)]

mod bits;
mod checksum;
mod clock;
mod command;
mod compile;
mod draft;
mod number;
mod program;
mod run;
mod settings;

use flux_plugin_sdk::{
    Command, Context, Description, Output, PluginError, PluginHandler, StandardMessage,
    export_plugin,
};

pub use settings::Settings;

/// Limits on what layouts and frames may ask for.
pub mod limits {
    /// Bytes of a frame.
    pub const FRAME_BYTES_MAX: usize = 65_536;
    /// Fields of the settings, those within others counted as well.
    pub const FIELDS_MAX: usize = 1_000;
    /// Variants of the settings, and commands.
    pub const VARIANTS_MAX: usize = 256;
    /// Fields within fields.
    pub const DEPTH_MAX: usize = 4;
    /// Repetitions of one field.
    pub const REPEAT_MAX: usize = 1_024;
    /// Fields that are looked at in one frame, each as often as it is repeated.
    pub const STEPS_MAX: u32 = 16_384;
    /// Values of one frame.
    pub const VALUES_MAX: usize = 1_024;
}

/// The plugin.
#[derive(Debug)]
pub struct BinaryLayout;

impl PluginHandler for BinaryLayout {
    fn on_decode(raw: &[u8]) -> StandardMessage {
        flux_plugin_sdk::standard_message::<Self>(raw)
    }

    fn decode(ctx: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        run::decode(ctx, raw, out)
    }

    fn encode(
        ctx: &Context<'_>,
        command: &Command<'_>,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        command::encode(ctx, command, out)
    }

    fn describe() -> Description {
        Description::default()
            .decoding("frames as the settings describe them; commands are the settings' `commands`")
            .settings::<Settings>()
    }
}

export_plugin!(BinaryLayout, encode);

//! Write fluxhybrid plugins in Rust.
//!
//! A plugin turns a device's bytes into values, commands into bytes, and may look at messages before
//! and after the rules. It runs in a WebAssembly sandbox: no clock, no files, no network, a few
//! milliseconds for each call. What it knows comes with the call; what it wants is written to the
//! output.
//!
//! The smallest one:
//!
//! ```
//! use std::collections::HashMap;
//!
//! use flux_plugin_sdk::{PluginHandler, StandardMessage, export_plugin};
//!
//! struct Thermometer;
//!
//! impl PluginHandler for Thermometer {
//!     fn on_decode(raw: &[u8]) -> StandardMessage {
//!         let mut values = HashMap::new();
//!         if let [high, low, ..] = raw {
//!             let tenths = i16::from_be_bytes([*high, *low]);
//!             values.insert("temperature".to_owned(), f64::from(tenths) / 10.0);
//!         }
//!         StandardMessage { device_id: String::new(), values }
//!     }
//! }
//!
//! export_plugin!(Thermometer);
//! # fn main() {
//! # assert_eq!(Thermometer::on_decode(&[0x00, 0xd7]).values["temperature"], 21.5);
//! # }
//! ```
//!
//! Most decoders want more: settings, several values of several types, errors with a reason. They
//! implement [`PluginHandler::decode`] as well:
//!
//! ```
//! use flux_plugin_sdk::{Context, Output, PluginError, PluginHandler, StandardMessage, settings};
//!
//! settings! {
//!     /// How this thermometer is set up.
//!     pub struct Settings {
//!         /// What the value is called.
//!         name: String = "temperature".to_owned(),
//!         /// Added to what was measured, in degrees.
//!         offset: f64 = 0.0,
//!     }
//! }
//!
//! struct Thermometer;
//!
//! impl PluginHandler for Thermometer {
//!     fn on_decode(raw: &[u8]) -> StandardMessage {
//!         flux_plugin_sdk::standard_message::<Self>(raw)
//!     }
//!
//!     fn decode(ctx: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
//!         let settings = ctx.settings::<Settings>()?;
//!         let [high, low] = raw else {
//!             return Err(PluginError::new("thermometer.length", "two bytes are expected"));
//!         };
//!         let measured = f64::from(i16::from_be_bytes([*high, *low])) / 10.0;
//!         out.message("").value(&settings.name, measured + settings.offset);
//!         Ok(())
//!     }
//! }
//!
//! use flux_plugin_sdk::testing::Call;
//! let decoded = Call::new().settings(r#"{"offset": -0.5}"#).decode::<Thermometer>(&[0x00, 0xd7]);
//! assert_eq!(decoded.messages[0].number("temperature"), Some(21.0));
//! ```
//!
//! The same code builds for the machine at hand, so that `cargo test` needs no sandbox; see
//! [`testing`]. What crosses the border, byte by byte, is `flux-plugin-abi`'s to say.
//!
//! This crate owns what is pleasant about writing a plugin. It must never need anything of the host
//! but the one function `flux.log`, and nothing that is not in the standard library: a plugin then
//! builds without a network.

mod context;
mod describe;
mod effect;
mod error;
mod export;
#[doc(hidden)]
pub mod guest;
mod handler;
pub mod json;
mod log;
mod message;
mod output;
mod scale;
pub mod setting;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use context::Context;
pub use describe::{CommandDescription, Description};
pub use effect::Effect;
pub use error::PluginError;
pub use flux_plugin_abi::{EffectKind, Level, ValueRef};
pub use guest::{GuestAddress, GuestLength, read_string_from_host};
pub use handler::{Command, Frames, PluginHandler, standard_message};
pub use json::Json;
#[doc(hidden)]
pub use log::write as write_log;
pub use message::{Message, StandardMessage, Value};
pub use output::{MessageOutput, Output};
pub use scale::Scale;
pub use setting::Setting;

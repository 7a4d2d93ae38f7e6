//! Plugin host: WebAssembly modules in a sandbox, pooled, limited, swapped while running.
//!
//! Owns everything between the bytes of a `.wasm` and the messages it decodes: compilation and its
//! cache, the ABI as the host sees it, instances and their pool, limits, deadlines, the breaker, and
//! the set of plugins with hot reload and rollback. Must never carry out an effect, know a product or
//! a device, or open a socket; a guest gets nothing but a log, and nothing it does stops the host.
//!
//! A worker takes a [`Lease`] of a [`Plugin`] for a batch and calls it into its [`Sink`]:
//!
//! ```no_run
//! # fn main() -> Result<(), flux_wasm::PluginError> {
//! use flux_wasm::{Context, Limits, Options, Plugins, Settings, Sink};
//!
//! let plugins = Plugins::open(Options::new(Limits::default()))?;
//! plugins.install("meter", &flux_wasm::Package::new(std::fs::read("meter.wasm").unwrap()))?;
//! let plugin = plugins.get("meter").unwrap();
//! let settings = Settings::new(&serde_json::json!({ "unit": 1 }));
//! let mut sink = Sink::default();
//! let mut lease = plugin.lease()?;
//! let context = Context { settings: settings.view(), ..Context::default() };
//! lease.decode(&context, &[1, 3, 2, 0, 7], &mut sink)?;
//! for message in sink.items().flat_map(|item| item.messages()) {
//!     println!("{:?}", message.to_values());
//! }
//! # Ok(()) }
//! ```

#![deny(unsafe_code)] // one place may: running code that was compiled before, in sandbox/cache.rs

mod breaker;
mod error;
mod hex;
mod instance;
mod interface;
mod lease;
mod limits;
mod output;
mod plugin;
mod pool;
mod sandbox;
mod set;
mod settings;
mod stats;
mod words;

pub use breaker::{BreakerLimits, BreakerState, TripCause};
pub use error::{FailureReason, OutputFault, PluginError};
pub use flux_plugin_abi::{Batch, Context, EffectKind};
pub use interface::{Abi, Function, Interface};
pub use lease::Lease;
pub use limits::Limits;
pub use output::{Effect, Item, MessageView, Outcome, Reported, Sink, write_message};
pub use plugin::{Mode, Plugin};
pub use sandbox::log::LOG_TARGET;
pub use set::{
    CacheStats, Health, Options, Package, PluginStatus, Plugins, Report, SelfTest, VectorResult,
};
pub use settings::Settings;
pub use stats::{CallStats, DURATION_BUCKETS_NS, PoolStats};

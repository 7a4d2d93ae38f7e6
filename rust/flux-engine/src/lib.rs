//! Composition root of the data plane: start, reconfigure, stop.
//!
//! Owns which organ is wired to which, and the adapters between their ports. Must never do an
//! organ's work: what is decided about messages is decided below.
//!
//! ```no_run
//! use flux_engine::{Engine, EngineSettings};
//! # fn main() -> Result<(), flux_engine::EngineError> {
//! let engine = Engine::new(EngineSettings::new("./fluxhybrid-data"));
//! engine.apply(r#"{"generation": 1, "tenants": [{"id": 1, "name": "default"}]}"#)?;
//! engine.start()?;
//! engine.stop();
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

mod access;
mod clockwork;
mod delivery;
mod engine;
mod error;
mod keeper;
mod metrics;
mod mqtt;
mod people;
mod plugins;
mod publisher;
mod records;
mod scripts;
mod settings;

pub use engine::{Engine, Health};
pub use error::EngineError;
pub use people::Paging;
pub use records::live_event;
pub use settings::{
    DataPlaneSettings, DurabilityWord, EngineSettings, EventbusSettings, MqttSettings, PluginSettings,
    RuleSettings,
};

//! MQTT packets, sessions and routing; no sockets.
#![forbid(unsafe_code)]

pub mod codec;
mod error;

pub use error::Error;

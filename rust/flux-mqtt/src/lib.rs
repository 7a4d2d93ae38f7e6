//! MQTT packets, sessions and routing; no sockets.
//!
//! Owns what MQTT 3.1.1 and 5.0 say: packets ([`codec`]), one [`Connection`] per socket, sessions
//! that outlive connections, and the [`Router`] from topics to sessions. Pure: bytes, time and
//! rights come in as arguments and through [`ports`]. Must never open a socket, read a clock, or
//! wait.
//!
//! A connection's owner calls, always on the same thread:
//! 1. [`Connection::on_bytes`] with what was read. Publications come out as [`Inbound`] in a vector
//!    of the owner's, to be appended to the log in one batch; replies are in the output buffer.
//! 2. [`Connection::acknowledge`] for each of them that carries a packet identifier, in order, once
//!    its position is committed; and [`Router::route`], from whichever thread.
//! 3. [`Connection::on_deliverable`] after a [`Wake`], and after output was written when the last
//!    step said there is more.
//! 4. [`Connection::on_tick`] at [`Connection::deadline_ms`], [`Broker::tick`] at the time it says.
//! 5. [`Connection::on_close`] once, when the socket is gone or was told to close.
//!
//! Not offered yet, and refused in the protocol's words: QoS 2 from and to clients, retained
//! messages, shared subscriptions. Sessions live in memory.

#![forbid(unsafe_code)]

mod broker;
pub mod codec;
mod connection;
mod counters;
mod error;
mod limits;
pub mod ports;
mod router;
mod session;

use flux_types::Received;

pub use broker::Broker;
pub use connection::{Close, Connection, Flow, Progress};
pub use counters::{ByReason, Counter, Counters, DropReason, Gauge};
pub use error::Error;
pub use limits::{Limits, OverflowPolicy};
pub use ports::{Access, Attempt, Denial, Inbound, Principal, Refused, SignIn, Wake};
pub use router::{Routed, Router};
pub use session::{QUEUED_MESSAGE_BYTES, SessionKey, Sessions};

/// Monotonic milliseconds, in which every deadline of this crate is told.
pub(crate) fn ms(now: Received) -> u64 {
    now.mono_ns / 1_000_000
}

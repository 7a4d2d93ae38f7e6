//! Listeners, timeouts, byte budgets and rate limits for every device protocol.
//!
//! Owns sockets and the threads that serve them: accepting, reading, writing, pausing, waking,
//! timing and closing, each within a named limit. Knows no protocol: what bytes mean is told to it
//! through [`WorkerProtocol`]. Must never block a worker, let one peer starve another, or grow with
//! what a peer sends.
//!
//! A worker is one thread around one `mio` poll: a readiness loop, not a task per connection, so
//! that an idle connection costs its table entry alone, one turn serves many connections with one
//! batch ([`WorkerProtocol::on_turn_end`]), and waking a busy worker takes no system call.
//! The reasons and figures are in `docs/decisions/0003-network-workers.md`.

#![forbid(unsafe_code)]

mod accept;
mod connection;
mod counters;
mod datagram;
mod dirty;
mod error;
mod limits;
mod listener;
mod peers;
mod ports;
mod server;
mod slots;
mod transport;
mod waker;
mod wheel;
mod worker;

pub use counters::{Counters, CountersSnapshot};
pub use error::NetError;
pub use limits::{CONNECTIONS_CEILING, Limits, WORKERS_MAX};
pub use listener::{Listeners, resolve};
pub use ports::{
    CloseReason, ConnectionId, Context, Datagram, Peer, Protocol, Verdict, WorkerProtocol,
};
pub use server::{Server, ServerConfig};
pub use waker::{ConnectionHandle, WorkerWaker};
pub use worker::WorkerIo;

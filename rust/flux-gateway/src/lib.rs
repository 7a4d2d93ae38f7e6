//! Raw TCP, UDP and HTTP device protocols; no sockets.
//!
//! Owns what lies between bytes and messages where devices do not speak MQTT: [`framing`], who a
//! packet is from ([`Identify`]), one connection of a device ([`Link`]), requests and answers on a
//! [`Line`], poll plans ([`PollWheel`]), and [`http`]. Pure: bytes, time and names come in as
//! arguments and through [`ports`]. Must never open a socket, read a clock, or wait.
//!
//! A connection's owner calls [`Link::on_bytes`] with what was read, and [`Link::on_tick`] at
//! [`Link::deadline_ms`]. Frames come out as [`LinkEvent`]; those that come over a line on which
//! something is asked go through [`Line::on_frame`], which tells answers from the rest.

#![forbid(unsafe_code)]

mod counters;
pub mod framing;
mod front;
pub mod http;
mod identify;
mod json_codec;
mod lateness;
pub mod limits;
mod line;
mod link;
mod listener;
mod network;
mod pattern;
mod poll;
pub mod ports;
mod rate;
mod settings;
pub mod telemetry;

pub use counters::{Counters, count, count_many};
pub use identify::Stranger;
pub use json_codec::JsonCodec;
pub use lateness::{LATENESS_BUCKETS_MS, Lateness};
pub use line::{Line, LineEvent, LinePorts, LineSettings, Request, What};
pub use link::{Link, LinkError, LinkEvent, LinkPorts, count_stranger};
pub use listener::{
    By, Encoding, HeadEntry, Identify, IdentifyEntry, ListenerEntry, ListenerSpec, Takeover,
    Transport, Where,
};
pub use network::Network;
pub use pattern::Pattern;
pub use poll::{PollWheel, first_due_ms, next_due_ms};
pub use ports::{
    CodecError, Directory, Frame, FrameScanner, LineCodec, LinkDevice, LinkProduct, NoScanner,
    Reply, Scan,
};
pub use rate::Rate;
pub use settings::{
    ConnectTemplate, Heartbeat, HeartbeatEntry, LinkEntry, LinkSpec, PollEntry, PollSpec,
};

//! Modbus, as its two plugins share it.
//!
//! `modbus_rtu` and `modbus_tcp` differ in what stands around a PDU, which is a [`Transport`]; what
//! stands in it, and what it means, is here. By the *Modbus Application Protocol Specification
//! V1.1b3*, whose clauses are cited by their numbers, *Modbus over Serial Line V1.02* and *Modbus
//! Messaging on TCP/IP Implementation Guide V1.0b*.
//!
//! | module | owns |
//! |---|---|
//! | `transport`, `rtu`, `tcp`, `crc` | frames: taking them apart, making them, finding their ends |
//! | `function`, `request` | function codes, exceptions, layouts of requests |
//! | `table`, `settings`, `map` | addresses, settings, and the register map made of them |
//! | `point` | types, orders, scaling: registers into values and back |
//! | `decode` | replies held against their requests, frames nobody asked for |
//! | `encode`, `plan` | commands into requests, as few as the limits allow |
//!
//! It keeps nothing from call to call but settings it has checked. It must never make values of a
//! frame that does not fit its request, nor a frame the specification forbids.

#![forbid(unsafe_code)]

mod crc;
mod decode;
mod describe;
mod encode;
mod error;
mod function;
mod map;
mod plan;
mod point;
mod request;
mod rtu;
mod settings;
mod table;
mod tcp;
mod transport;

pub use crc::crc16;
pub use decode::decode;
pub use describe::describe;
pub use encode::{FRAMES_MAX, encode};
pub use error::code;
pub use map::{REGISTERS_MAX, UNSOLICITED_MAX};
pub use rtu::Rtu;
pub use settings::Settings;
pub use tcp::Tcp;
pub use transport::{Adu, PDU_BYTES_MAX, Scan, Transport};

//! The words that fluxhybrid and its WebAssembly plugins exchange: ABI v1.
//!
//! Owns tags, layouts, readers and writers of what crosses the border: [`Packed`] results,
//! [`Context`], [`Batch`] inputs, [`Sections`] of an output. Both sides use it: the host reads what
//! a guest wrote, the guest reads what the host wrote. Readers are total: any bytes give a value or
//! a [`Malformed`], never a panic, never an allocation. Must never know the host, an allocator's
//! layout or JSON, and must never change what an existing tag means: the ABI is frozen, and grows
//! by new tags only.
//!
//! `docs/PLUGIN_DEV.md` is the same in prose, for authors who write in another language.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod batch;
mod buffer;
mod context;
mod cursor;
mod effect;
mod level;
mod message;
mod output;
mod packed;
mod value;

pub use batch::{Batch, write_batch};
pub use buffer::{Append, Buffer};
pub use context::{Context, Settings};
pub use cursor::{Cursor, Fault, Malformed, Text, TooLong};
pub use effect::EffectKind;
pub use level::Level;
pub use message::{MessageReader, MessageWriter, Values};
pub use output::{FORM_BINARY, OutputWriter, Section, Sections};
pub use packed::Packed;
pub use value::ValueRef;

/// What `abi_version` returns.
pub const ABI_VERSION: i32 = 1;

/// What [`alloc`](exports::ALLOC) aligns to, in bytes.
pub const ALIGNMENT: usize = 8;

/// The time of a message that has none.
pub const NO_TIME: i64 = i64::MIN;

/// Names of what a guest exports.
pub mod exports {
    /// The linear memory.
    pub const MEMORY: &str = "memory";
    /// `() -> i32`: [`ABI_VERSION`](crate::ABI_VERSION). Absent in ABI 0.
    pub const ABI_VERSION: &str = "abi_version";
    /// `(len: i32) -> i32`: room for an input; 0 when there is none.
    pub const ALLOC: &str = "alloc";
    /// `(ptr: i32, len: i32)`: gives back what `alloc` or a call returned.
    pub const DEALLOC: &str = "dealloc";
    /// Bytes into messages.
    pub const DECODE: &str = "decode";
    /// Several inputs under one context into messages. Optional.
    pub const DECODE_BATCH: &str = "decode_batch";
    /// A command into frames. Optional.
    pub const ENCODE: &str = "encode";
    /// A message into another, before the rules. Optional.
    pub const ON_MSG: &str = "on_msg";
    /// A message and a firing into effects, after a rule fired. Optional.
    pub const ON_ACTION: &str = "on_action";
    /// JSON about the plugin. Optional.
    pub const DESCRIBE: &str = "describe";
}

/// Names of what a guest may import.
pub mod imports {
    /// The module of [`LOG`].
    pub const MODULE: &str = "flux";
    /// `(level: i32, ptr: i32, len: i32)`: a line of log; see [`Level`](crate::Level).
    pub const LOG: &str = "log";
}

/// Limits that belong to the layout itself. What a host allows beyond is the host's to say.
pub mod limits {
    /// Bytes of a name: of a value, a tag or a device.
    pub const NAME_BYTES_MAX: usize = 255;
    /// Tags of one message, and values of one message, as far as the layout goes.
    pub const COUNT_MAX: usize = u16::MAX as usize;
    /// Bytes of a tag's value, and of an error's code.
    pub const TAG_VALUE_BYTES_MAX: usize = u16::MAX as usize;
    /// Bytes of a log line that are kept; what is longer is cut.
    pub const LOG_BYTES_MAX: usize = 4096;
}

//! Structured payloads into values, by the rules of the platform's own JSON decoder.
//!
//! Formats such as CBOR and `MessagePack` carry what JSON carries, and devices that change from one to
//! another shall keep the names of their values. Owns those rules: which value is called what, the
//! envelope, paths, times, limits, and the words of the settings. A format gives [`Source`]: its
//! items one after the other. Must never know a format, or build a tree of a payload.
//!
//! # The rules
//! Without `values` in the settings, every scalar of an object is a value of its own name; nested
//! objects are joined by dots (`{"a": {"b": 1}}` is `a.b`), arrays are kept as JSON, and null is no
//! value. An object of nothing but `values` (an object) and perhaps `ts` is the common envelope.
//! With `values`, the values are what stands at the paths. `ts` and `device` name where time and
//! device stand. An array at the top is several samples, unless a path begins with an index: then
//! it is one. A name that stands twice has the value that came last. A payload of which nothing can
//! be read, or that breaks a limit, gives an error and nothing else.

#![forbid(unsafe_code)]

mod json;
mod path;
mod sample;
mod settings;
mod source;
mod time;
mod walk;

pub use settings::{Mapping, MappingSettings, TimeUnit};
pub use source::{Item, Left, NESTING_MAX, Source};
pub use time::{real_ns, rfc3339_ns};
pub use walk::decode;

/// Objects within objects.
pub const DEPTH_MAX: usize = 16;
/// Values of one sample.
pub const VALUES_MAX: usize = 1024;
/// Samples of one payload.
pub const SAMPLES_MAX: usize = 4096;
/// Values of all samples together: they lie in a sandbox's memory until the payload is read.
pub const VALUES_TOTAL_MAX: usize = 65_536;
/// Bytes of a value's name, dots included.
pub const NAME_BYTES_MAX: usize = 255;
/// Bytes of the texts, bytes and arrays of all samples: an output has a megabyte.
pub const BYTES_TOTAL_MAX: usize = 900 * 1024;
/// Bytes of one array or object that is kept, as JSON.
pub const JSON_BYTES_MAX: usize = 512 * 1024;

//! Payloads into telemetry.
//!
//! Owns what a product's `decode` setting means. Must never look a device up: whom a payload may
//! name is the caller's to say ([`DecodeContext::named`]).
//!
//! # JSON
//! Without a mapping, every scalar of a JSON object is a value of its own name; nested objects are
//! joined by dots (`{"a": {"b": 1}}` is `a.b`), arrays are kept as JSON, and `null` is no value.
//! An object of nothing but `values` (an object) and perhaps `ts` is the common envelope: the
//! values are what `values` holds, and `ts` is the time.
//!
//! With a mapping of `values`, the values are what stands at the paths; what is not there is no
//! value. `ts` and `device` name where time and device stand, with or without mapped values.
//!
//! An array at the top is several samples, each read by itself, unless a path begins with an
//! index: then the array is one sample. A name that stands twice has the value that came last. A
//! message of which nothing can be read, or that breaks a limit, gives an error and no samples.

mod json;
mod names;
mod path;
#[cfg(test)]
mod tests;
mod time;

use std::cell::RefCell;
use std::sync::Arc;

use flux_registry::{Device, JsonMapping, TimeUnit};
use flux_types::{Coded, ErrorKind, Problem, Telemetry};

use names::Names;
use path::{Node, Path, Target};

/// What one payload may come to. Every field has a default and can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeLimits {
    /// Bytes of a payload.
    pub payload_bytes_max: usize,
    /// Objects within objects; arrays within values are bounded by 128.
    pub depth_max: usize,
    /// Values of one sample.
    pub values_max: usize,
    /// Samples of one payload.
    pub samples_max: usize,
    /// Bytes of a value's name, dots included.
    pub name_bytes_max: usize,
    /// Names a decoder keeps so that they need not be allocated again.
    pub names_kept_max: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            payload_bytes_max: 1024 * 1024,
            depth_max: 16,
            values_max: 1024,
            samples_max: 4096,
            name_bytes_max: 256,
            names_kept_max: 4096,
        }
    }
}

/// Why a payload gives no telemetry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than [`DecodeLimits::payload_bytes_max`].
    #[error("the payload has {bytes} bytes, more than {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// JSON is UTF-8 (RFC 8259 section 8.1).
    #[error("the payload is not JSON: byte {offset} is not UTF-8")]
    NotUtf8 {
        /// Where, from 0.
        offset: usize,
    },
    /// Not JSON, or a number beyond what a double can hold.
    #[error("the payload is not JSON: {message} (line {line}, column {column})")]
    Malformed {
        /// What is wrong.
        message: String,
        /// Where, from 1.
        line: usize,
        /// Where in the line, from 1; 0 when the payload ends too early at a line's beginning.
        column: usize,
    },
    /// Neither an object nor an array of objects.
    #[error("expected an object or an array of objects, found {found}")]
    NotAnObject {
        /// What is there.
        found: &'static str,
    },
    /// More objects within objects than [`DecodeLimits::depth_max`].
    #[error("objects are nested deeper than {max}")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// More values in a sample than [`DecodeLimits::values_max`].
    #[error("a sample has more than {max} values")]
    TooManyValues {
        /// The limit.
        max: usize,
    },
    /// More samples than [`DecodeLimits::samples_max`].
    #[error("the payload has more than {max} samples")]
    TooManySamples {
        /// The limit.
        max: usize,
    },
    /// A value's name longer than [`DecodeLimits::name_bytes_max`].
    #[error("a value's name has more than {max} bytes: {start}...")]
    NameTooLong {
        /// The limit.
        max: usize,
        /// How it begins.
        start: String,
    },
    /// The time is not written as the mapping says.
    #[error("the time {found} is not {expected}")]
    Time {
        /// What is there.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The device's name is neither text nor a whole number.
    #[error("the device is named by {found}; expected text or a whole number")]
    DeviceName {
        /// What is there.
        found: String,
    },
    /// Not one value.
    #[error("the payload has none of the values that are looked for")]
    Nothing,
}

impl Coded for DecodeError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "decode.too_large",
            Self::NotUtf8 { .. } => "decode.not_utf8",
            Self::Malformed { .. } => "decode.malformed",
            Self::NotAnObject { .. } => "decode.not_an_object",
            Self::TooDeep { .. } => "decode.too_deep",
            Self::TooManyValues { .. } => "decode.too_many_values",
            Self::TooManySamples { .. } => "decode.too_many_samples",
            Self::NameTooLong { .. } => "decode.name_too_long",
            Self::Time { .. } => "decode.time",
            Self::DeviceName { .. } => "decode.device_name",
            Self::Nothing => "decode.nothing",
        }
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// What a decoder has to know beside the payload.
pub struct DecodeContext<'c> {
    /// The device the topic names; that of every sample in which the payload names none.
    pub device: &'c Device,
    /// When the message reached us, nanoseconds since 1970.
    pub received_ns: i64,
    /// The device of a key that the payload names; `None` when there is none or the source may
    /// not speak for it. Asked only for keys other than [`DecodeContext::device`]'s own.
    pub named: &'c dyn Fn(&str) -> Option<Arc<Device>>,
}

/// What became of a payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Samples that were given out.
    pub samples: usize,
    /// Samples left out because they name a device the source may not speak for.
    pub refused: usize,
}

/// Decodes the payloads of one product. Of one thread: it keeps names between payloads.
#[derive(Debug)]
pub struct Decoder {
    limits: DecodeLimits,
    ts_unit: TimeUnit,
    /// Where in a sample something is looked for.
    paths: Node,
    /// Whether whatever the paths do not name becomes a value.
    flat: bool,
    /// Whether the common envelope is looked for.
    envelope: bool,
    names: RefCell<Names>,
}

impl Decoder {
    /// Makes the decoder of a product within the default limits.
    ///
    /// # Errors
    /// Every path that is none, with its pointer from the `decode` setting on.
    pub fn compile(mapping: &JsonMapping) -> Result<Self, Vec<Problem>> {
        Self::compile_within(mapping, DecodeLimits::default())
    }

    /// Makes the decoder of a product.
    ///
    /// # Errors
    /// Every path that is none, with its pointer from the `decode` setting on.
    pub fn compile_within(
        mapping: &JsonMapping,
        limits: DecodeLimits,
    ) -> Result<Self, Vec<Problem>> {
        let mut paths = Node::default();
        let mut problems = Vec::new();
        let mut add = |pointer: String, path: &str, target| match Path::parse(path) {
            Ok(path) => paths.add(&path, target),
            Err(error) => {
                problems.push(Problem::new("decode.path", error.to_string()).at(pointer));
            }
        };
        if let Some(path) = &mapping.device {
            add("/device".to_owned(), path, Target::Device);
        }
        if let Some(path) = &mapping.ts {
            add("/ts".to_owned(), path, Target::Time);
        }
        for (name, path) in mapping.values.iter().flatten() {
            let pointer = format!("/values/{}", name.replace('~', "~0").replace('/', "~1"));
            add(pointer, path, Target::Value(name.as_str().into()));
        }
        for name in mapping.values.iter().flatten().map(|(name, _)| name) {
            if name.is_empty() || name.len() > limits.name_bytes_max {
                let message = format!("a name has 1 to {} bytes", limits.name_bytes_max);
                problems.push(Problem::new("decode.name", message).at("/values"));
            }
        }
        if mapping.values.as_ref().is_some_and(std::collections::BTreeMap::is_empty) {
            let hint = "leave `values` out, or null, to take every value";
            let problem = Problem::new("decode.values", "nothing is mapped").at("/values");
            problems.push(problem.hint(hint));
        }
        let flat = mapping.values.is_none();
        if flat && paths.has_items() {
            let message = "a payload that is one array has no names: its values have to be mapped";
            problems.push(Problem::new("decode.values", message).at("/values"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let names = RefCell::new(Names::new(limits.names_kept_max));
        let (ts_unit, envelope) = (mapping.ts_unit, flat && mapping.ts.is_none());
        Ok(Self { limits, ts_unit, paths, flat, envelope, names })
    }

    /// Decodes one payload; appends its samples to `out`, in their order.
    ///
    /// # Errors
    /// Why it cannot be decoded; `out` is as it was then.
    pub fn decode(
        &self,
        context: &DecodeContext<'_>,
        payload: &[u8],
        out: &mut Vec<Telemetry>,
    ) -> Result<Decoded, DecodeError> {
        let before = out.len();
        let decoded = json::decode(self, context, payload, out);
        if decoded.is_err() {
            out.truncate(before);
        }
        decoded
    }
}

//! A payload and its metrics, as they lie in the message.
//!
//! Owns `org.eclipse.tahu.protobuf.Payload` (specification section 6.4.1). Nothing is copied:
//! texts and nested messages are borrowed. Must never resolve an alias or judge a value: what a
//! metric means depends on its birth.

use flux_plugin_sdk::PluginError;

use crate::wire::{Fault, Malformed, Reader, Wire};

/// Metrics of one payload. One takes two bytes at least and two hundred of memory.
pub(crate) const METRICS_MAX: usize = 16_384;
/// Properties of one metric.
const PROPERTIES_MAX: usize = 256;

/// Tahu's mark of a payload whose body is compressed.
const COMPRESSED: &str = "SPBV1.0_COMPRESSED";

/// A payload.
#[derive(Debug, Default)]
pub(crate) struct Payload<'a> {
    /// When it was sent, milliseconds since 1970.
    pub(crate) timestamp_ms: Option<u64>,
    pub(crate) seq: Option<u64>,
    pub(crate) metrics: Vec<Metric<'a>>,
}

/// A metric.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metric<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) alias: Option<u64>,
    /// When the value was so, milliseconds since 1970.
    pub(crate) timestamp_ms: Option<u64>,
    pub(crate) datatype: Option<u32>,
    pub(crate) historical: bool,
    pub(crate) transient: bool,
    pub(crate) null: bool,
    /// A `PropertySet`.
    properties: Option<Reader<'a>>,
    pub(crate) value: Option<Raw<'a>>,
}

/// What a value comes as; the datatype tells what it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Raw<'a> {
    Int(u32),
    Long(u64),
    Float(f32),
    Double(f64),
    Bool(bool),
    Text(&'a str),
    Bytes(&'a [u8]),
    DataSet(Reader<'a>),
    Template(Reader<'a>),
    /// A third party's.
    Extension,
}

impl<'a> Raw<'a> {
    /// One of the six kinds that metrics, properties, parameters and cells have in common, in the
    /// order all of them have. `None` for another field, or one of the wrong wire type, which
    /// readers of Protocol Buffers pass over as if it were not known.
    pub(crate) fn scalar(place: u32, wire: Wire<'a>) -> Result<Option<Self>, Malformed> {
        Ok(Some(match (place, wire) {
            #[allow(clippy::cast_possible_truncation)] // what uint32 means on the wire
            (0, Wire::Varint(value)) => Self::Int(value as u32),
            (1, Wire::Varint(value)) => Self::Long(value),
            (2, Wire::Fixed32(bits)) => Self::Float(f32::from_bits(bits)),
            (3, Wire::Fixed64(bits)) => Self::Double(f64::from_bits(bits)),
            (4, Wire::Varint(value)) => Self::Bool(value != 0),
            (5, Wire::Bytes(text)) => Self::Text(text.text()?),
            _ => return Ok(None),
        }))
    }

    fn of_metric(field: u32, wire: Wire<'a>) -> Result<Option<Self>, Malformed> {
        match (field, wire) {
            (10..=15, wire) => Self::scalar(field - 10, wire),
            (16, Wire::Bytes(bytes)) => Ok(Some(Self::Bytes(bytes.bytes()))),
            (17, Wire::Bytes(message)) => Ok(Some(Self::DataSet(message))),
            (18, Wire::Bytes(message)) => Ok(Some(Self::Template(message))),
            (19, Wire::Bytes(_)) => Ok(Some(Self::Extension)),
            _ => Ok(None),
        }
    }

    /// The field's name in the protocol, for messages.
    pub(crate) const fn field(&self) -> &'static str {
        match self {
            Self::Int(_) => "int_value",
            Self::Long(_) => "long_value",
            Self::Float(_) => "float_value",
            Self::Double(_) => "double_value",
            Self::Bool(_) => "boolean_value",
            Self::Text(_) => "string_value",
            Self::Bytes(_) => "bytes_value",
            Self::DataSet(_) => "dataset_value",
            Self::Template(_) => "template_value",
            Self::Extension => "extension_value",
        }
    }
}

impl From<Malformed> for PluginError {
    fn from(error: Malformed) -> Self {
        Self::new("sparkplug.payload", format!("the payload is no Sparkplug B: {error}"))
    }
}

impl<'a> Payload<'a> {
    /// Reads a whole payload, so that a broken one changes nothing.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, PluginError> {
        let mut payload = Self::default();
        let mut compressed = false;
        let mut reader = Reader::new(bytes);
        while let Some((field, wire)) = reader.next()? {
            match (field, wire) {
                (1, Wire::Varint(ms)) => payload.timestamp_ms = known_time(ms),
                (2, Wire::Bytes(metric)) => {
                    if payload.metrics.len() == METRICS_MAX {
                        let text = format!("the payload has more than {METRICS_MAX} metrics");
                        return Err(PluginError::new("sparkplug.limit", text));
                    }
                    payload.metrics.push(Metric::read(metric)?);
                }
                (3, Wire::Varint(seq)) => payload.seq = Some(seq),
                (4, Wire::Bytes(uuid)) => compressed = uuid.bytes() == COMPRESSED.as_bytes(),
                _ => {}
            }
        }
        if compressed {
            let text = "the payload is compressed (its uuid is SPBV1.0_COMPRESSED), which is not \
                        read; switch compression off in the edge node";
            return Err(PluginError::new("sparkplug.compressed", text));
        }
        Ok(payload)
    }

    /// The number of birth and death (section 6.4.23): a metric of this name.
    pub(crate) fn bd_seq(&self) -> Option<u64> {
        let metric = self.metrics.iter().find(|metric| metric.name == Some("bdSeq"))?;
        match metric.value? {
            Raw::Int(value) => Some(value.into()),
            Raw::Long(value) => Some(value),
            _ => None,
        }
    }
}

/// Some encoders write 0 for what they do not know.
fn known_time(ms: u64) -> Option<u64> {
    (ms != 0).then_some(ms)
}

impl<'a> Metric<'a> {
    /// Reads a metric, of a payload or of a template.
    pub(crate) fn read(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let mut metric = Self::default();
        while let Some((field, wire)) = reader.next()? {
            match (field, wire) {
                (1, Wire::Bytes(name)) => metric.name = Some(name.text()?),
                (2, Wire::Varint(alias)) => metric.alias = Some(alias),
                (3, Wire::Varint(ms)) => metric.timestamp_ms = known_time(ms),
                #[allow(clippy::cast_possible_truncation)] // what uint32 means on the wire
                (4, Wire::Varint(number)) => metric.datatype = Some(number as u32),
                (5, Wire::Varint(yes)) => metric.historical = yes != 0,
                (6, Wire::Varint(yes)) => metric.transient = yes != 0,
                (7, Wire::Varint(yes)) => metric.null = yes != 0,
                (9, Wire::Bytes(set)) => metric.properties = Some(set),
                (field, wire) => {
                    if let Some(value) = Raw::of_metric(field, wire)? {
                        metric.value = Some(value);
                    }
                }
            }
        }
        // proto2 tells an absent name from an empty one; no metric is called nothing
        metric.name = metric.name.filter(|name| !name.is_empty());
        Ok(metric)
    }

    /// Whether it has no properties.
    pub(crate) const fn plain(&self) -> bool {
        self.properties.is_none()
    }

    /// Calls `found` with the properties that have a value: name, datatype, value.
    pub(crate) fn properties(
        &self,
        mut found: impl FnMut(&'a str, Option<u32>, Raw<'a>),
    ) -> Result<(), Malformed> {
        let Some(set) = self.properties else { return Ok(()) };
        let (mut keys, mut values, mut reader) = (Vec::new(), Vec::new(), set);
        while let Some((field, wire)) = reader.next()? {
            match (field, wire) {
                (1, Wire::Bytes(key)) => keys.push(key.text()?),
                (2, Wire::Bytes(value)) => values.push(value),
                _ => {}
            }
            if keys.len().max(values.len()) > PROPERTIES_MAX {
                return Err(reader.malformed(Fault::TooMuch));
            }
        }
        for (key, value) in keys.into_iter().zip(values) {
            if let (datatype, Some(value)) = property(value)? {
                found(key, datatype, value);
            }
        }
        Ok(())
    }
}

/// A `PropertyValue` (section 6.4.9): datatype, and the value where there is one.
fn property(mut reader: Reader<'_>) -> Result<(Option<u32>, Option<Raw<'_>>), Malformed> {
    let (mut datatype, mut null, mut value) = (None, false, None);
    while let Some((field, wire)) = reader.next()? {
        match (field, wire) {
            #[allow(clippy::cast_possible_truncation)] // what uint32 means on the wire
            (1, Wire::Varint(number)) => datatype = Some(number as u32),
            (2, Wire::Varint(yes)) => null = yes != 0,
            (3..=8, wire) => value = Raw::scalar(field - 3, wire)?.or(value),
            _ => {}
        }
    }
    Ok((datatype, value.filter(|_| !null)))
}

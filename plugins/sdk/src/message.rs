//! What a device reported, as values a program can keep.

use std::collections::HashMap;

use flux_plugin_abi::{Malformed, MessageReader, Text, ValueRef};

/// Numbers of one device: the simplest message, and what [`PluginHandler::on_decode`] returns.
///
/// Exactly these two fields. What needs more (other types, a time, tags, several devices) writes
/// to [`Output`](crate::Output) in [`PluginHandler::decode`].
///
/// ```
/// use flux_plugin_sdk::StandardMessage;
///
/// let message = StandardMessage {
///     device_id: "meter-7".to_owned(),
///     values: [("voltage".to_owned(), 230.4)].into(),
/// };
/// # assert_eq!(message.values.len(), 1);
/// ```
///
/// [`PluginHandler::on_decode`]: crate::PluginHandler::on_decode
/// [`PluginHandler::decode`]: crate::PluginHandler::decode
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StandardMessage {
    /// The device's key; empty: the source's own device.
    pub device_id: String,
    /// Value by name.
    pub values: HashMap<String, f64>,
}

/// A value of any type.
///
/// ```
/// use flux_plugin_sdk::Value;
///
/// assert_eq!(Value::from(42_u16), Value::I64(42));
/// assert_eq!(Value::from("open").as_f64(), None);
/// assert_eq!(Value::from(true).as_f64(), Some(1.0));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    I64(i64),
    /// A number. The host drops and counts what is not finite.
    F64(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// JSON text, for what is structured.
    Json(String),
    /// A time, nanoseconds since 1970-01-01T00:00:00Z.
    Time(i64),
}

impl Value {
    /// As a number; yes is 1, no is 0. `None` for what is no number.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // what a number in a message means to its readers
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Bool(yes) => Some(f64::from(u8::from(*yes))),
            Self::I64(number) => Some(*number as f64),
            Self::F64(number) => Some(*number),
            _ => None,
        }
    }

    /// As the ABI writes it.
    #[must_use]
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Bool(yes) => ValueRef::Bool(*yes),
            Self::I64(number) => ValueRef::I64(*number),
            Self::F64(number) => ValueRef::F64(*number),
            Self::Text(text) => ValueRef::Str(Text::from(text.as_str())),
            Self::Bytes(bytes) => ValueRef::Bytes(bytes),
            Self::Json(text) => ValueRef::Json(Text::from(text.as_str())),
            Self::Time(ns) => ValueRef::Time(*ns),
        }
    }

    /// A value of its own out of one that was read.
    ///
    /// # Errors
    /// Text that is not UTF-8.
    pub fn read(value: ValueRef<'_>) -> Result<Self, Malformed> {
        Ok(match value {
            ValueRef::Bool(yes) => Self::Bool(yes),
            ValueRef::I64(number) => Self::I64(number),
            ValueRef::F64(number) => Self::F64(number),
            ValueRef::Str(text) => Self::Text(text.as_str()?.to_owned()),
            ValueRef::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
            ValueRef::Json(text) => Self::Json(text.as_str()?.to_owned()),
            ValueRef::Time(ns) => Self::Time(ns),
        })
    }
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        value.as_ref()
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),+ $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )+};
}
from!(
    bool => Bool,
    i8 => I64, i16 => I64, i32 => I64, i64 => I64, u8 => I64, u16 => I64, u32 => I64,
    f32 => F64, f64 => F64,
    &str => Text, String => Text,
    &[u8] => Bytes, Vec<u8> => Bytes,
);

/// What one device reported for one moment: any value type, a time, tags.
///
/// ```
/// use flux_plugin_sdk::Message;
///
/// let message = Message::of("press-3")
///     .at(1_700_000_000_000_000_000)
///     .tagged("line", "north")
///     .with("running", true)
///     .with("cycles", 1_204);
/// assert_eq!(message.number("cycles"), Some(1204.0));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message {
    /// The device's key; empty: the source's own device.
    pub device: String,
    /// The device's own time, nanoseconds since 1970; `None`: when it was received.
    pub time_ns: Option<i64>,
    /// What goes with all the values: name and text.
    pub tags: Vec<(String, String)>,
    /// Names and values, in the order they were reported.
    pub values: Vec<(String, Value)>,
}

impl Message {
    /// An empty message of this device.
    #[must_use]
    pub fn of(device: impl Into<String>) -> Self {
        Self { device: device.into(), ..Self::default() }
    }

    /// With the device's own time, nanoseconds since 1970.
    #[must_use]
    pub fn at(mut self, time_ns: i64) -> Self {
        self.time_ns = Some(time_ns);
        self
    }

    /// With one tag more.
    #[must_use]
    pub fn tagged(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((name.into(), value.into()));
        self
    }

    /// With one value more.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.values.push((name.into(), value.into()));
        self
    }

    /// The value of this name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The value of this name as a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.value(name).and_then(Value::as_f64)
    }

    /// Puts a value in place of the one of this name, or behind the others.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.values.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.values.push((name.to_owned(), value)),
        }
    }

    /// Takes the value of this name away.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.values.iter().position(|(known, _)| known == name)?;
        Some(self.values.remove(at).1)
    }

    /// Reads what the host wrote.
    ///
    /// # Errors
    /// Bytes that do not follow the ABI.
    pub fn read(mut reader: MessageReader<'_>) -> Result<Self, Malformed> {
        let mut message =
            Self { time_ns: reader.ts_ns(), ..Self::of(reader.device().as_str()?.to_owned()) };
        while let Some((name, value)) = reader.next_tag()? {
            message.tags.push((name.as_str()?.to_owned(), value.as_str()?.to_owned()));
        }
        while let Some((name, value)) = reader.next_value()? {
            message.values.push((name.as_str()?.to_owned(), Value::read(value)?));
        }
        Ok(message)
    }
}

/// The numbers of it; what is no number is left out, and so are time and tags.
impl From<Message> for StandardMessage {
    fn from(message: Message) -> Self {
        let numbers = message.values.into_iter();
        Self {
            device_id: message.device,
            values: numbers.filter_map(|(name, v)| Some((name, v.as_f64()?))).collect(),
        }
    }
}

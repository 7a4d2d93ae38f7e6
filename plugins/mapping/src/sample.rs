//! Samples: what one object of a payload comes to.

use std::borrow::Cow;
use std::ops::Range;

use flux_plugin_sdk::{Output, PluginError, ValueRef};

/// A value, borrowed from the payload where it can be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Time(i64),
    Json(Cow<'a, str>),
}

impl Value<'_> {
    fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Bool(yes) => ValueRef::Bool(*yes),
            Self::Int(number) => ValueRef::I64(*number),
            Self::Real(number) => ValueRef::F64(*number),
            Self::Text(text) => ValueRef::Str(text.as_ref().into()),
            Self::Bytes(bytes) => ValueRef::Bytes(bytes),
            Self::Time(ns) => ValueRef::Time(*ns),
            Self::Json(text) => ValueRef::Json(text.as_ref().into()),
        }
    }

    /// Bytes it borrows or holds.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Text(text) | Self::Json(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
    }

    /// For people, not at any length.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Text(text) => format!("{:.40?}", text.chars().take(40).collect::<String>()),
            Self::Int(number) => number.to_string(),
            Self::Real(number) => number.to_string(),
            Self::Bool(yes) => yes.to_string(),
            Self::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Self::Time(_) => "a time".to_owned(),
            Self::Json(text) => text.chars().take(40).collect(),
        }
    }
}

/// What a value is called.
#[derive(Debug, Clone)]
pub(crate) enum Name<'m> {
    /// As the mapping says.
    Mapped(&'m str),
    /// As it was put together while reading: a part of [`Names`].
    Read(Range<usize>),
}

/// Names that were put together, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Names(String);

impl Names {
    pub(crate) fn push(&mut self, name: &str) -> Range<usize> {
        let start = self.0.len();
        self.0.push_str(name);
        start..self.0.len()
    }

    pub(crate) fn get<'n>(&'n self, name: &'n Name<'_>) -> &'n str {
        match name {
            Name::Mapped(name) => name,
            Name::Read(range) => self.0.get(range.clone()).unwrap_or_default(),
        }
    }
}

/// One sample.
#[derive(Debug, Default)]
pub(crate) struct Sample<'m, 'a> {
    pub(crate) values: Vec<(Name<'m>, Value<'a>)>,
    pub(crate) ts: Option<Value<'a>>,
    pub(crate) device: Option<Value<'a>>,
    /// What the object called `values` at the top gave, of `values`.
    pub(crate) enveloped: Option<Range<usize>>,
    /// Whether a name other than the envelope's was at the top.
    pub(crate) other: bool,
}

impl Sample<'_, '_> {
    /// Keeps the last of the values with the same name, in the place of the first.
    pub(crate) fn keep_last(&mut self, names: &Names) {
        // most samples: every name is another, and few of them
        const SEARCHED_MAX: usize = 32;
        let values = &mut self.values;
        if values.len() <= SEARCHED_MAX {
            let mut index = 1;
            while index < values.len() {
                let name = names.get(&values[index].0);
                match values[..index].iter().position(|(known, _)| names.get(known) == name) {
                    Some(first) => values[first].1 = values.remove(index).1,
                    None => index += 1,
                }
            }
            return;
        }
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by_key(|index| names.get(&values[*index].0)); // stable
        let mut kept = vec![true; values.len()];
        let mut moved = Vec::new();
        for same in order.chunk_by(|a, b| names.get(&values[*a].0) == names.get(&values[*b].0)) {
            if let [first, .., last] = *same {
                moved.push((first, last));
                same[1..].iter().for_each(|index| kept[*index] = false);
            }
        }
        for (first, last) in moved {
            values[first].1 = values[last].1.clone();
        }
        let mut kept = kept.into_iter();
        values.retain(|_| kept.next().unwrap_or(true));
    }
}

/// A sample that is whole: what will be a message.
#[derive(Debug)]
pub(crate) struct Message<'m, 'a> {
    pub(crate) device: String,
    pub(crate) time_ns: Option<i64>,
    pub(crate) values: Vec<(Name<'m>, Value<'a>)>,
}

impl Message<'_, '_> {
    pub(crate) fn write(&self, names: &Names, out: &mut Output<'_>) {
        let mut message = match self.time_ns {
            Some(time_ns) => out.message_at(&self.device, time_ns),
            None => out.message(&self.device),
        };
        for (name, value) in &self.values {
            message.value(names.get(name), value.as_ref());
        }
    }
}

/// The key a payload names.
///
/// # Errors
/// `decode.device_name`: it is neither text nor a whole number, or has no room.
pub(crate) fn device_name(value: &Value<'_>) -> Result<String, PluginError> {
    let key = match value {
        Value::Text(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        other => {
            let found = other.shown();
            let text = format!("the device is named by {found}; expected text or a whole number");
            return Err(PluginError::new("decode.device_name", text));
        }
    };
    if (1..=crate::NAME_BYTES_MAX).contains(&key.len()) {
        return Ok(key);
    }
    let text = format!("the device's name has {} bytes; expected 1 to 255", key.len());
    Err(PluginError::new("decode.device_name", text))
}

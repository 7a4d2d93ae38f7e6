//! JSON: settings, commands, firings and effects are written in it.
//!
//! Owns a small reader and writer, because a plugin is downloaded, compiled and copied into pools:
//! the general library would be more code than most decoders. Must never be on the path of a
//! frame.

mod read;
mod write;

use std::fmt;

pub use read::{DEPTH_MAX, parse};
pub(crate) use write::Base64;
pub use write::Quoted;

/// A JSON value. Objects keep the order they were written in.
///
/// ```
/// use flux_plugin_sdk::Json;
///
/// let json: Json = r#"{"unit": 1, "names": ["a", "b"], "scale": 0.1}"#.parse().unwrap();
/// assert_eq!(json.get("unit").and_then(Json::as_i64), Some(1));
/// assert_eq!(json.at("/names/1").and_then(Json::as_str), Some("b"));
/// assert_eq!(json.to_string(), r#"{"unit":1,"names":["a","b"],"scale":0.1}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Json {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number written without fraction and exponent, if it fits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// An object of these members.
    pub fn object<'k>(members: impl IntoIterator<Item = (&'k str, Json)>) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The member of an object; `None` for what is no object, or has none of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.members()?.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// What stands at a JSON pointer (RFC 6901) such as `/registers/0/name`.
    #[must_use]
    pub fn at(&self, pointer: &str) -> Option<&Json> {
        pointer.split('/').skip(1).try_fold(self, |json, word| match json {
            Self::List(items) => items.get(word.parse::<usize>().ok()?),
            _ => json.get(&word.replace("~1", "/").replace("~0", "~")),
        })
    }

    /// Sets a member of an object. What is no object becomes one.
    pub fn set(&mut self, name: &str, value: impl Into<Json>) {
        if !matches!(self, Self::Object(_)) {
            *self = Self::Object(Vec::new());
        }
        let Self::Object(members) = self else { return };
        match members.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.into(),
            None => members.push((name.to_owned(), value.into())),
        }
    }

    /// The members of an object.
    #[must_use]
    pub fn members(&self) -> Option<&[(String, Json)]> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// The items of an array.
    #[must_use]
    pub fn items(&self) -> Option<&[Json]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// A whole number; `2.0` is one.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // checked: whole, and within 2^53
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Float(number) if number.fract() == 0.0 && number.abs() <= 9.0e15 => {
                Some(*number as i64)
            }
            _ => None,
        }
    }

    /// A number.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // JSON knows one kind of number
    pub const fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// Yes or no.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(yes) = self { Some(*yes) } else { None }
    }

    /// What it is, for messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl std::str::FromStr for Json {
    type Err = JsonError;

    fn from_str(text: &str) -> Result<Self, JsonError> {
        parse(text)
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),+ $(,)?) => {$(
        impl From<$from> for Json {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )+};
}
from!(
    bool => Bool,
    i8 => Int, i16 => Int, i32 => Int, i64 => Int, u8 => Int, u16 => Int, u32 => Int,
    f32 => Float, f64 => Float,
    &str => Text, String => Text,
);

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

/// What is wrong with JSON, and where.
///
/// ```
/// use flux_plugin_sdk::json::JsonError;
///
/// let error = JsonError::new("must be a number").within("scale").within(3).within("registers");
/// assert_eq!(error.to_string(), "/registers/3/scale: must be a number");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// JSON pointer (RFC 6901) to it; empty: the whole.
    pub pointer: String,
    /// What is wrong.
    pub text: String,
}

impl JsonError {
    /// Something wrong with the whole.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { pointer: String::new(), text: text.into() }
    }

    /// The same, seen from one level further out: in the member or item of that name or number.
    #[must_use]
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        let word = place.to_string().replace('~', "~0").replace('/', "~1");
        self.pointer = format!("/{word}{}", self.pointer);
        self
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            f.write_str(&self.text)
        } else {
            write!(f, "{}: {}", self.pointer, self.text)
        }
    }
}

impl std::error::Error for JsonError {}

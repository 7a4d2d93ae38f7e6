//! Numbers, bytes and lists of them, as people write them in settings.

use std::collections::BTreeMap;

use flux_plugin_sdk::json::JsonError;
use flux_plugin_sdk::{Json, Setting};

use crate::settings::FieldSettings;

/// A whole number, also written `"0x7fff"`. What is negative is the same bits as in the frame,
/// carried to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub(crate) u64);

impl Number {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("0x") {
            // `from_str_radix` takes a sign, which says nothing here.
            Some(digits) if digits.starts_with('+') => None,
            Some(digits) => u64::from_str_radix(digits, 16).ok().map(Self),
            None => {
                text.parse::<i64>().ok().map(Self::from).or_else(|| text.parse().ok().map(Self))
            }
        }
    }
}

impl From<i64> for Number {
    #[allow(clippy::cast_sign_loss)] // the bits are meant
    fn from(number: i64) -> Self {
        Self(number as u64)
    }
}

impl Setting for Number {
    fn from_json(json: &Json) -> Result<Self, JsonError> {
        let read = json.as_i64().map(Self::from).or_else(|| Self::parse(json.as_str()?));
        read.ok_or_else(|| JsonError::new("must be a whole number, or a string such as \"0x7fff\""))
    }

    fn to_json(&self) -> Json {
        #[allow(clippy::cast_possible_wrap)] // read back, it is the same bits
        Json::Int(self.0 as i64)
    }

    fn schema() -> Json {
        Json::object([("type", vec!["integer", "string"].into())])
    }
}

/// One number or several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Numbers(pub(crate) Vec<u64>);

impl Setting for Numbers {
    fn from_json(json: &Json) -> Result<Self, JsonError> {
        let numbers = match json {
            Json::List(_) => Vec::<Number>::from_json(json)?,
            one => vec![Number::from_json(one)?],
        };
        Ok(Self(numbers.into_iter().map(|number| number.0).collect()))
    }

    fn to_json(&self) -> Json {
        Json::List(self.0.iter().map(|number| Number(*number).to_json()).collect())
    }

    fn schema() -> Json {
        Json::object([("type", vec!["integer", "string", "array"].into())])
    }
}

/// How much there is of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// So much.
    Fixed(u32),
    /// As much as a field before says.
    Field(String),
    /// As much as there is.
    End,
}

impl Setting for Amount {
    fn from_json(json: &Json) -> Result<Self, JsonError> {
        let wrong = || JsonError::new("must be a number, {\"field\": \"…\"} or \"end\"");
        match json {
            Json::Text(word) if word == "end" => Ok(Self::End),
            Json::Object(members) => match members.as_slice() {
                [(name, Json::Text(field))] if name == "field" => Ok(Self::Field(field.clone())),
                _ => Err(wrong()),
            },
            other => u32::from_json(other).map(Self::Fixed).map_err(|_| wrong()),
        }
    }

    fn to_json(&self) -> Json {
        match self {
            Self::Fixed(number) => (*number).into(),
            Self::Field(field) => Json::object([("field", field.as_str().into())]),
            Self::End => "end".into(),
        }
    }

    fn schema() -> Json {
        Json::object([("type", vec!["integer", "object", "string"].into())])
    }
}

/// Bytes, as hexadecimal text; white space between them is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HexBytes(pub(crate) Vec<u8>);

impl Setting for HexBytes {
    fn from_json(json: &Json) -> Result<Self, JsonError> {
        let read = json.as_str().and_then(parse_hex);
        read.map(Self).ok_or_else(|| {
            JsonError::new("must be hexadecimal text, two digits for each byte, such as \"01 ff\"")
        })
    }

    fn to_json(&self) -> Json {
        hex(&self.0).into()
    }

    fn schema() -> Json {
        Json::object([("type", "string".into())])
    }
}

/// Bytes of hexadecimal text; white space is passed over.
pub(crate) fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16));
    let digits: Vec<u32> = digits.collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    let byte = |pair: &[u32]| pair.iter().fold(0, |byte, digit| byte << 4 | digit);
    let bytes = pairs.map(|pair| u8::try_from(byte(pair)).ok()).collect::<Option<_>>()?;
    whole.then_some(bytes)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 0x0f)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// Fields within a field. Their schema is that of the others, and says so instead of repeating it
/// without end.
#[derive(Debug, Clone, Default)]
pub struct Nested(pub(crate) Vec<FieldSettings>);

impl Setting for Nested {
    fn from_json(json: &Json) -> Result<Self, JsonError> {
        Vec::from_json(json).map(Self)
    }

    fn to_json(&self) -> Json {
        self.0.to_json()
    }

    fn schema() -> Json {
        let field = Json::object([
            ("type", "object".into()),
            ("description", "A field, as in /properties/fields/items.".into()),
        ]);
        Json::object([("type", "array".into()), ("items", field)])
    }
}

/// Words for numbers. Names of members are numbers, also written `0x7f`.
#[derive(Debug, Clone, Default)]
pub struct ByNumber<T>(pub(crate) Vec<(u64, String, T)>);

impl<T: Setting> Setting for ByNumber<T> {
    fn from_json(json: &Json) -> Result<Self, JsonError> {
        let members = BTreeMap::<String, T>::from_json(json)?;
        let mut read: Vec<(u64, String, T)> = Vec::new();
        for (key, value) in members {
            let number = Number::parse(&key).ok_or_else(|| {
                JsonError::new("the name of this member must be a whole number, such as 1 or 0x7f")
                    .within(&key)
            })?;
            if read.iter().any(|(known, ..)| *known == number.0) {
                return Err(JsonError::new("this number is there already").within(&key));
            }
            read.push((number.0, key, value));
        }
        Ok(Self(read))
    }

    fn to_json(&self) -> Json {
        Json::object(self.0.iter().map(|(_, key, value)| (key.as_str(), value.to_json())))
    }

    fn schema() -> Json {
        Json::object([("type", "object".into()), ("additionalProperties", T::schema())])
    }
}

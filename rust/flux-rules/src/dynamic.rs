//! Between the house's values and the language's.
//!
//! Owns the mapping both ways. Whole numbers stay whole, text text, bytes blobs; times are whole
//! milliseconds; JSON becomes maps and arrays.

use std::sync::Arc;

use bytes::Bytes;
use flux_types::Value;
use rhai::{Array, Blob, Dynamic, ImmutableString, Map};

use crate::Limits;

/// Deepest nesting taken out of a script, as deep as JSON is read.
const DEPTH_MAX: usize = 128;
const NS_PER_MS: i64 = 1_000_000;

/// Whole milliseconds of a time in nanoseconds, rounded towards the past.
pub(crate) fn ms(ns: i64) -> i64 {
    ns.div_euclid(NS_PER_MS)
}

/// A value as a script sees it; `()` where it is larger than a script may hold.
pub(crate) fn from_value(value: &Value, limits: &Limits) -> Dynamic {
    match value {
        Value::Bool(yes) => (*yes).into(),
        Value::I64(number) => (*number).into(),
        Value::F64(number) => (*number).into(),
        Value::Str(text) if text.len() <= limits.string_bytes_max => (&**text).into(),
        Value::Bytes(bytes) if bytes.len() <= limits.array_len_max => {
            Dynamic::from_blob(bytes.to_vec())
        }
        Value::Json(json) if Budget::of(limits).takes(json, 0) => from_json(json),
        Value::Time(ns) => ms(*ns).into(),
        Value::Str(_) | Value::Bytes(_) | Value::Json(_) => Dynamic::UNIT,
    }
}

/// Bytes as a script sees them: text where they are UTF-8; `()` where too large.
pub(crate) fn from_payload(payload: &[u8], limits: &Limits) -> Dynamic {
    match std::str::from_utf8(payload) {
        Ok(text) if text.len() <= limits.string_bytes_max => text.into(),
        Err(_) if payload.len() <= limits.array_len_max => Dynamic::from_blob(payload.to_vec()),
        _ => Dynamic::UNIT,
    }
}

/// What is left of the size limits while a JSON value is walked.
struct Budget {
    string_bytes: usize,
    array_len: usize,
    map_len: usize,
}

impl Budget {
    fn of(limits: &Limits) -> Self {
        Self {
            string_bytes: limits.string_bytes_max,
            array_len: limits.array_len_max,
            map_len: limits.map_len_max,
        }
    }

    fn takes(&mut self, json: &serde_json::Value, depth: usize) -> bool {
        fn spend(left: &mut usize, amount: usize) -> bool {
            left.checked_sub(amount).map(|rest| *left = rest).is_some()
        }
        if depth > DEPTH_MAX {
            return false;
        }
        match json {
            serde_json::Value::String(text) => spend(&mut self.string_bytes, text.len()),
            serde_json::Value::Array(items) => {
                spend(&mut self.array_len, items.len())
                    && items.iter().all(|item| self.takes(item, depth + 1))
            }
            serde_json::Value::Object(entries) => {
                spend(&mut self.map_len, entries.len())
                    && entries.values().all(|item| self.takes(item, depth + 1))
            }
            _ => true,
        }
    }
}

/// JSON as a script sees it: null is `()`; numbers beyond `i64` are floating.
pub(crate) fn from_json(json: &serde_json::Value) -> Dynamic {
    match json {
        serde_json::Value::Null => Dynamic::UNIT,
        serde_json::Value::Bool(yes) => (*yes).into(),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(real)) => real.into(),
            (None, None) => Dynamic::UNIT,
        },
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) => {
            Dynamic::from_array(items.iter().map(from_json).collect())
        }
        serde_json::Value::Object(entries) => Dynamic::from_map(
            entries.iter().map(|(name, item)| (name.as_str().into(), from_json(item))).collect(),
        ),
    }
}

/// What of a script's value has no counterpart outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoCounterpart {
    #[error("a value of type `{0}` cannot leave the script")]
    Type(String),
    #[error("the value is nested deeper than {DEPTH_MAX}")]
    TooDeep,
    #[error("the number is not finite")]
    NotFinite,
}

/// A script's value as JSON. Blobs become lower-case hexadecimal, characters strings, `()` null.
pub(crate) fn to_json(value: &Dynamic) -> Result<serde_json::Value, NoCounterpart> {
    json_below(value, 0)
}

fn json_below(value: &Dynamic, depth: usize) -> Result<serde_json::Value, NoCounterpart> {
    if depth > DEPTH_MAX {
        return Err(NoCounterpart::TooDeep);
    }
    if value.is_unit() {
        return Ok(serde_json::Value::Null);
    }
    if let Ok(yes) = value.as_bool() {
        return Ok(yes.into());
    }
    if let Ok(whole) = value.as_int() {
        return Ok(whole.into());
    }
    if let Ok(real) = value.as_float() {
        let number = serde_json::Number::from_f64(real).ok_or(NoCounterpart::NotFinite)?;
        return Ok(serde_json::Value::Number(number));
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(serde_json::Value::String(text.as_str().to_owned()));
    }
    if let Ok(letter) = value.as_char() {
        return Ok(serde_json::Value::String(letter.to_string()));
    }
    if let Some(items) = value.read_lock::<Array>() {
        let items: Result<_, _> = items.iter().map(|item| json_below(item, depth + 1)).collect();
        return Ok(serde_json::Value::Array(items?));
    }
    if let Some(entries) = value.read_lock::<Map>() {
        let entries: Result<_, _> = entries
            .iter()
            .map(|(name, item)| Ok((name.to_string(), json_below(item, depth + 1)?)))
            .collect();
        return Ok(serde_json::Value::Object(entries?));
    }
    if let Some(bytes) = value.read_lock::<Blob>() {
        return Ok(Value::Bytes(Bytes::copy_from_slice(&bytes)).to_json());
    }
    Err(NoCounterpart::Type(value.type_name().to_owned()))
}

/// A script's value as one of the house; `None` for `()`.
///
/// `before` is what stood under the name when the script began: a time stays a time, to the
/// nanosecond where the script left it alone.
pub(crate) fn to_value(
    value: &Dynamic,
    before: Option<&Value>,
) -> Result<Option<Value>, NoCounterpart> {
    if value.is_unit() {
        return Ok(None);
    }
    if let Ok(whole) = value.as_int() {
        return Ok(Some(match before {
            Some(Value::Time(ns)) if ms(*ns) == whole => Value::Time(*ns),
            Some(Value::Time(_)) => Value::Time(whole.saturating_mul(NS_PER_MS)),
            _ => Value::I64(whole),
        }));
    }
    if let Ok(real) = value.as_float() {
        return if real.is_finite() {
            Ok(Some(Value::F64(real)))
        } else {
            Err(NoCounterpart::NotFinite)
        };
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(Some(Value::from(text.as_str())));
    }
    if let Some(bytes) = value.read_lock::<Blob>() {
        return Ok(Some(Value::Bytes(Bytes::copy_from_slice(&bytes))));
    }
    Ok(Some(match to_json(value)? {
        serde_json::Value::Bool(yes) => Value::Bool(yes),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        json => Value::Json(Arc::new(json)),
    }))
}

/// The bytes a script means when it publishes a value: text and blobs as they are, `()` nothing,
/// the rest as JSON.
pub(crate) fn to_payload(value: &Dynamic) -> Result<Bytes, NoCounterpart> {
    if value.is_unit() {
        return Ok(Bytes::new());
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(Bytes::copy_from_slice(text.as_bytes()));
    }
    if let Some(bytes) = value.read_lock::<Blob>() {
        return Ok(Bytes::copy_from_slice(&bytes));
    }
    Ok(Bytes::from(to_json(value)?.to_string()))
}

/// Text of a thrown value, as people read it.
pub(crate) fn thrown_text(value: &Dynamic) -> String {
    match value.as_immutable_string_ref() {
        Ok(text) => text.as_str().to_owned(),
        Err(_) => match to_json(value) {
            Ok(json) => json.to_string(),
            Err(_) => value.to_string(),
        },
    }
}

/// A string for a script, made once where the same text came before.
pub(crate) fn text_again(before: &mut ImmutableString, text: &str) -> ImmutableString {
    if before.as_str() != text {
        *before = text.into();
    }
    before.clone()
}

//! The values a device can report.

use std::sync::Arc;

use bytes::Bytes;

/// One value of one device at one time.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    I64(i64),
    /// A number; never NaN when it came from JSON.
    F64(f64),
    /// Text.
    Str(Arc<str>),
    /// Raw bytes.
    Bytes(Bytes),
    /// A structured value: JSON null, array or object.
    Json(Arc<serde_json::Value>),
    /// A point in time, nanoseconds since 1970-01-01T00:00:00Z.
    Time(i64),
}

/// A JSON number that fits neither `i64` nor `f64`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the number {0} is out of range")]
pub struct ValueError(pub String);

impl Value {
    /// The value as a number, where it is one (`true` is not).
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            #[allow(clippy::cast_precision_loss)] // telemetry above 2^53 is shown rounded
            Self::I64(number) => Some(*number as f64),
            Self::F64(number) => Some(*number),
            _ => None,
        }
    }

    /// Takes a JSON value: scalars become their own kind, the rest stays [`Value::Json`].
    ///
    /// # Errors
    /// [`ValueError`] for an integer beyond `u64`/`f64` that cannot be held.
    pub fn from_json(json: serde_json::Value) -> Result<Self, ValueError> {
        Ok(match json {
            serde_json::Value::Bool(yes) => Self::Bool(yes),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Self::I64(whole),
                (None, Some(real)) if real.is_finite() => Self::F64(real),
                _ => return Err(ValueError(number.to_string())),
            },
            serde_json::Value::String(text) => Self::Str(text.into()),
            other => Self::Json(Arc::new(other)),
        })
    }

    /// The value as JSON. Bytes become lower-case hexadecimal, times integers of
    /// nanoseconds, and a non-finite number becomes `null`, which JSON has no word for.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Bool(yes) => (*yes).into(),
            Self::I64(number) | Self::Time(number) => (*number).into(),
            Self::F64(number) => serde_json::Number::from_f64(*number)
                .map_or(serde_json::Value::Null, serde_json::Value::Number),
            Self::Str(text) => serde_json::Value::String(text.to_string()),
            Self::Bytes(bytes) => serde_json::Value::String(crate::hex::encode(bytes)),
            Self::Json(json) => (**json).clone(),
        }
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::I64(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::F64(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_scalars_keep_their_kind() {
        assert_eq!(Value::from_json(json!(true)), Ok(Value::Bool(true)));
        assert_eq!(Value::from_json(json!(7)), Ok(Value::I64(7)));
        assert_eq!(Value::from_json(json!(7.5)), Ok(Value::F64(7.5)));
        assert_eq!(Value::from_json(json!("on")), Ok(Value::from("on")));
        assert_eq!(Value::from_json(json!([1])), Ok(Value::Json(Arc::new(json!([1])))));
        assert_eq!(Value::from_json(json!(u64::MAX)), Ok(Value::F64(18_446_744_073_709_551_615.0)));
    }

    #[test]
    fn bytes_show_as_hexadecimal_and_nan_as_null() {
        assert_eq!(Value::Bytes(Bytes::from_static(&[0, 0xab])).to_json(), json!("00ab"));
        assert_eq!(Value::F64(f64::NAN).to_json(), json!(null));
    }
}

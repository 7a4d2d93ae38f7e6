//! A point as the store handles it: time, position, and a value in 64 bits or a text.
//!
//! Owns the step between [`Value`] and what columns hold. Must never lose anything of a value.

use std::sync::Arc;

use bytes::Bytes;
use flux_types::{Position, Value};

use crate::codec::texts::Text;

/// What a value is. The numbers stand in files and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Kind {
    Bool = 0,
    I64 = 1,
    F64 = 2,
    Time = 3,
    Str = 4,
    Bytes = 5,
    /// JSON null, arrays and objects, as their text.
    Json = 6,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] =
        [Self::Bool, Self::I64, Self::F64, Self::Time, Self::Str, Self::Bytes, Self::Json];

    pub(crate) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Its values are texts: `bits` says which.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Str | Self::Bytes | Self::Json)
    }
}

/// A value on its way in: 64 bits, or a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Datum {
    pub(crate) kind: Kind,
    pub(crate) bits: u64,
    pub(crate) text: Option<Text>,
}

impl Datum {
    #[inline]
    fn number(kind: Kind, bits: u64) -> Self {
        Self { kind, bits, text: None }
    }

    fn text(kind: Kind, text: Text) -> Self {
        Self { kind, bits: 0, text: Some(text) }
    }

    /// Takes a value; `None` when it is over `value_bytes_max` or JSON nested too deep to be read
    /// again.
    pub(crate) fn from_value(value: &Value, value_bytes_max: usize) -> Option<Self> {
        let datum = match value {
            Value::Bool(yes) => return Some(Self::number(Kind::Bool, u64::from(*yes))),
            Value::I64(number) => return Some(Self::number(Kind::I64, number.cast_unsigned())),
            Value::F64(number) => return Some(Self::number(Kind::F64, number.to_bits())),
            Value::Time(ns) => return Some(Self::number(Kind::Time, ns.cast_unsigned())),
            Value::Str(text) => Self::text(Kind::Str, Arc::<[u8]>::from(Arc::clone(text))),
            Value::Bytes(bytes) => Self::text(Kind::Bytes, Text::from(&**bytes)),
            Value::Json(json) => {
                let text = serde_json::to_vec(&**json).ok()?;
                serde_json::from_slice::<serde_json::Value>(&text).ok()?;
                Self::text(Kind::Json, text.into())
            }
        };
        datum.text.as_ref().is_some_and(|text| text.len() <= value_bytes_max).then_some(datum)
    }
}

/// A point on its way out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RawPoint {
    pub(crate) ts: i64,
    /// Its message, or, where that is not known to the record, the last its block covers.
    pub(crate) position: Position,
    /// The position is its message's own.
    pub(crate) exact: bool,
    pub(crate) kind: Kind,
    pub(crate) bits: u64,
    pub(crate) text: Option<Text>,
}

impl RawPoint {
    /// The value as it was given.
    pub(crate) fn value(&self) -> Value {
        let text = || self.text.as_deref().unwrap_or_default();
        match self.kind {
            Kind::Bool => Value::Bool(self.bits != 0),
            Kind::I64 => Value::I64(self.bits.cast_signed()),
            Kind::F64 => Value::F64(f64::from_bits(self.bits)),
            Kind::Time => Value::Time(self.bits.cast_signed()),
            Kind::Str => Value::Str(String::from_utf8_lossy(text()).into()),
            Kind::Bytes => Value::Bytes(Bytes::copy_from_slice(text())),
            Kind::Json => {
                let json = serde_json::from_slice(text()).unwrap_or(serde_json::Value::Null);
                Value::Json(Arc::new(json))
            }
        }
    }

    /// What can be reckoned with: numbers, and booleans as 0 and 1. NaN cannot.
    #[inline]
    #[allow(clippy::cast_precision_loss)] // as `Value::as_f64`
    pub(crate) fn number(&self) -> Option<f64> {
        match self.kind {
            Kind::I64 => Some(self.bits.cast_signed() as f64),
            Kind::F64 => Some(f64::from_bits(self.bits)).filter(|number| !number.is_nan()),
            Kind::Bool => Some(if self.bits == 0 { 0.0 } else { 1.0 }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn back(value: &Value) -> Option<Value> {
        let Datum { kind, bits, text } = Datum::from_value(value, 64)?;
        let point = RawPoint { ts: 0, position: Position::START, exact: true, kind, bits, text };
        Some(point.value())
    }

    #[test]
    fn every_kind_of_value_comes_back() {
        for value in [
            Value::Bool(true),
            Value::Bool(false),
            Value::I64(i64::MIN),
            Value::F64(-0.0),
            Value::F64(f64::INFINITY),
            Value::Time(-1),
            Value::from("é"),
            Value::from(""),
            Value::Bytes(Bytes::from_static(&[0, 0xFF])),
            Value::Json(Arc::new(json!({"a": [1, null, 2.5]}))),
            Value::Json(Arc::new(json!(null))),
        ] {
            let found = back(&value);
            assert_eq!(found.as_ref(), Some(&value));
            if let (Some(Value::F64(found)), Value::F64(given)) = (found, value) {
                assert_eq!(found.to_bits(), given.to_bits());
            }
        }
    }

    #[test]
    fn values_over_the_limit_or_nested_too_deep_are_refused() {
        assert_eq!(back(&Value::from("x".repeat(65).as_str())), None);
        assert!(back(&Value::from("x".repeat(64).as_str())).is_some());
        let nested = (0..200).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(Datum::from_value(&Value::Json(Arc::new(nested)), 4096), None);
    }
}

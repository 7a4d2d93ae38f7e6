//! Datatypes, and what a value of each is.
//!
//! Owns the table of section 6.4.16 and how values come: encoders disagree about the field a number
//! stands in and about signs, so that what cannot be misread is taken, and the rest refused. Must
//! never guess.

use std::borrow::Cow;
use std::fmt::Write;

use flux_plugin_sdk::{PluginError, ValueRef};

use crate::payload::Raw;
use crate::structured::{self, Written};
use crate::wire::Reader;

macro_rules! datatypes {
    ($($name:ident = $number:literal),+ $(,)?) => {
        /// What a value is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(clippy::upper_case_acronyms)] // the protocol's own names
        pub(crate) enum DataType {
            $($name = $number,)+
        }

        impl DataType {
            /// By its number in the protocol; `None`: there is none.
            pub(crate) const fn of(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// By its name.
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// Its name in the protocol.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}
datatypes! {
    Unknown = 0,
    Int8 = 1, Int16 = 2, Int32 = 3, Int64 = 4,
    UInt8 = 5, UInt16 = 6, UInt32 = 7, UInt64 = 8,
    Float = 9, Double = 10, Boolean = 11, String = 12, DateTime = 13, Text = 14,
    UUID = 15, DataSet = 16, Bytes = 17, File = 18, Template = 19,
    PropertySet = 20, PropertySetList = 21,
    Int8Array = 22, Int16Array = 23, Int32Array = 24, Int64Array = 25,
    UInt8Array = 26, UInt16Array = 27, UInt32Array = 28, UInt64Array = 29,
    FloatArray = 30, DoubleArray = 31, BooleanArray = 32, StringArray = 33, DateTimeArray = 34,
}

impl DataType {
    /// Bits and sign of a whole number.
    pub(crate) const fn whole(self) -> Option<(u32, bool)> {
        Some(match self {
            Self::Int8 => (8, true),
            Self::Int16 => (16, true),
            Self::Int32 => (32, true),
            Self::Int64 => (64, true),
            Self::UInt8 => (8, false),
            Self::UInt16 => (16, false),
            Self::UInt32 => (32, false),
            Self::UInt64 | Self::DateTime => (64, false),
            _ => return None,
        })
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Bool(bool),
    Int(i64),
    /// Of `UInt64`, beyond what a signed number holds.
    Long(u64),
    Real(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Nanoseconds since 1970.
    Time(i64),
    Json(Cow<'a, str>),
}

impl Value<'_> {
    /// As the host reads it. A whole number beyond `i64` is as near as a double comes, as in JSON.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Bool(yes) => ValueRef::Bool(*yes),
            Self::Int(number) => ValueRef::I64(*number),
            Self::Long(number) => ValueRef::F64(*number as f64),
            Self::Real(number) => ValueRef::F64(*number),
            Self::Text(text) => ValueRef::Str((*text).into()),
            Self::Bytes(bytes) => ValueRef::Bytes(bytes),
            Self::Time(ns) => ValueRef::Time(*ns),
            Self::Json(text) => ValueRef::Json(text.as_ref().into()),
        }
    }

    /// How many bytes it takes in an output, about.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Json(text) => text.len(),
            _ => 8,
        }
    }
}

/// Why a value cannot be told.
pub(crate) fn refused(text: impl Into<Cow<'static, str>>) -> PluginError {
    PluginError::new("sparkplug.value", text)
}

/// What a value is. `None`: there is nothing to keep (a template's definition).
///
/// # Errors
/// `sparkplug.value`: it is none of its datatype; `sparkplug.datatype`: nothing tells what it is.
pub(crate) fn value<'a>(
    datatype: Option<u32>,
    raw: Raw<'a>,
) -> Result<Option<Value<'a>>, PluginError> {
    let number = datatype.unwrap_or(0);
    let datatype = DataType::of(number).ok_or_else(|| {
        PluginError::new("sparkplug.datatype", format!("there is no datatype {number}"))
    })?;
    let value = match (datatype, raw) {
        (DataType::Unknown, raw) => return untyped(raw),
        (DataType::Float | DataType::Double, Raw::Float(real)) => Value::Real(real.into()),
        (DataType::Float | DataType::Double, Raw::Double(real)) => Value::Real(real),
        (DataType::Boolean, Raw::Bool(yes)) => Value::Bool(yes),
        (DataType::Boolean, Raw::Int(number @ 0..=1)) => Value::Bool(number == 1),
        (DataType::String | DataType::Text | DataType::UUID, Raw::Text(text)) => Value::Text(text),
        (DataType::Bytes | DataType::File, Raw::Bytes(bytes)) => Value::Bytes(bytes),
        (DataType::DataSet, Raw::DataSet(set)) => Value::Json(structured::data_set(set)?.into()),
        (DataType::Template, Raw::Template(template)) => return instance(template),
        (datatype, Raw::Bytes(bytes)) if datatype as u32 >= DataType::Int8Array as u32 => {
            Value::Json(array(datatype, bytes)?.into())
        }
        (datatype, raw) => match (datatype.whole(), raw) {
            (Some(kind), Raw::Int(number)) => whole(datatype, kind, number.into(), 32)?,
            (Some(kind), Raw::Long(number)) => whole(datatype, kind, number, 64)?,
            _ => {
                let (name, field) = (datatype.name(), raw.field());
                return Err(refused(format!("a {name} does not come as {field}")));
            }
        },
    };
    Ok(Some(value))
}

/// An instance of a template; its definition is no value.
fn instance(template: Reader<'_>) -> Result<Option<Value<'_>>, PluginError> {
    Ok(structured::template(template)?.map(|text| Value::Json(text.into())))
}

/// What is clear without a datatype. A whole number is not, where its highest bit may be a sign.
fn untyped(raw: Raw<'_>) -> Result<Option<Value<'_>>, PluginError> {
    Ok(Some(match raw {
        Raw::Int(number @ 0..=127) => Value::Int(number.into()),
        Raw::Long(number) if i64::try_from(number).is_ok() => Value::Int(number as i64),
        Raw::Float(real) => Value::Real(real.into()),
        Raw::Double(real) => Value::Real(real),
        Raw::Bool(yes) => Value::Bool(yes),
        Raw::Text(text) => Value::Text(text),
        Raw::Bytes(bytes) => Value::Bytes(bytes),
        Raw::DataSet(set) => Value::Json(structured::data_set(set)?.into()),
        Raw::Template(template) => return instance(template),
        Raw::Int(_) | Raw::Long(_) | Raw::Extension => {
            let text =
                format!("its datatype is not known, and an {} alone is unclear", raw.field());
            return Err(PluginError::new("sparkplug.datatype", text));
        }
    }))
}

/// A whole number that came in a field of 32 or 64 bits. Negative ones come sign-extended to the
/// field, or as the datatype's own bits: `Int8` -1 as 0xffffffff or 0xff. Anything else is none of
/// the datatype.
#[allow(clippy::cast_possible_wrap)] // the bits are what is meant
fn whole(
    datatype: DataType,
    (bits, signed): (u32, bool),
    number: u64,
    field_bits: u32,
) -> Result<Value<'static>, PluginError> {
    let fits = bits == 64 || number >> bits == 0;
    let extended = (number << (64 - field_bits)) as i64 >> (64 - field_bits);
    let value = if signed && (extended << (64 - bits)) >> (64 - bits) == extended {
        Value::Int(extended)
    } else if signed && fits {
        Value::Int((number << (64 - bits)) as i64 >> (64 - bits))
    } else if !signed && fits {
        i64::try_from(number).map_or(Value::Long(number), Value::Int)
    } else {
        return Err(refused(format!("{number} is no {}", datatype.name())));
    };
    if datatype == DataType::DateTime { date_time(number) } else { Ok(value) }
}

fn date_time(ms: u64) -> Result<Value<'static>, PluginError> {
    let beyond = || refused(format!("the time {ms} ms lies beyond the year 2262"));
    time_ns(ms).map(Value::Time).ok_or_else(beyond)
}

/// Nanoseconds since 1970; `None` beyond the year 2262.
pub(crate) fn time_ns(ms: u64) -> Option<i64> {
    i64::try_from(ms).ok()?.checked_mul(1_000_000)
}

/// An array: packed little-endian (section 6.4.16.4), as JSON.
fn array(datatype: DataType, bytes: &[u8]) -> Result<String, PluginError> {
    match datatype {
        DataType::Int8Array => numbers(datatype, bytes, |b| i8::from_le_bytes(b).into()),
        DataType::Int16Array => numbers(datatype, bytes, |b| i16::from_le_bytes(b).into()),
        DataType::Int32Array => numbers(datatype, bytes, |b| i32::from_le_bytes(b).into()),
        DataType::Int64Array => numbers(datatype, bytes, |b| i64::from_le_bytes(b).into()),
        DataType::UInt8Array => numbers(datatype, bytes, |b| u8::from_le_bytes(b).into()),
        DataType::UInt16Array => numbers(datatype, bytes, |b| u16::from_le_bytes(b).into()),
        DataType::UInt32Array => numbers(datatype, bytes, |b| u32::from_le_bytes(b).into()),
        DataType::UInt64Array => numbers(datatype, bytes, |b| u64::from_le_bytes(b).into()),
        DataType::FloatArray => reals(datatype, bytes, |b| f32::from_le_bytes(b).into()),
        DataType::DoubleArray => reals(datatype, bytes, f64::from_le_bytes),
        DataType::BooleanArray => booleans(bytes),
        DataType::StringArray => strings(bytes),
        _ => date_times(bytes),
    }
}

/// The items of an array, each of `N` bytes.
fn items<const N: usize>(
    datatype: DataType,
    bytes: &[u8],
) -> Result<impl Iterator<Item = [u8; N]> + '_, PluginError> {
    if bytes.len() % N != 0 {
        let (name, len) = (datatype.name(), bytes.len());
        return Err(refused(format!("{len} bytes are no {name}: its items have {N} bytes")));
    }
    Ok(bytes.chunks_exact(N).filter_map(|item| item.try_into().ok()))
}

fn numbers<const N: usize>(
    datatype: DataType,
    bytes: &[u8],
    read: fn([u8; N]) -> i128,
) -> Result<String, PluginError> {
    let mut written = Written::default();
    written.list(items(datatype, bytes)?, |text, item| {
        let _ = write!(text, "{}", read(item)); // a String takes all
    })
}

fn reals<const N: usize>(
    datatype: DataType,
    bytes: &[u8],
    read: fn([u8; N]) -> f64,
) -> Result<String, PluginError> {
    let mut written = Written::default();
    written.list(items(datatype, bytes)?, |text, item| structured::put_real(text, read(item)))
}

fn date_times(bytes: &[u8]) -> Result<String, PluginError> {
    let mut times = Vec::new();
    for item in items::<8>(DataType::DateTimeArray, bytes)? {
        times.push(date_time(u64::from_le_bytes(item))?);
    }
    Written::default().list(times.iter(), structured::put_value)
}

/// Four bytes that count, and bits, the first of them the highest: so it is in the specification's
/// example.
fn booleans(bytes: &[u8]) -> Result<String, PluginError> {
    let wrong = || refused(format!("{} bytes are no BooleanArray", bytes.len()));
    let (count, bits) = bytes.split_first_chunk::<4>().ok_or_else(wrong)?;
    let count = u32::from_le_bytes(*count) as usize;
    if bits.len() != count.div_ceil(8) {
        return Err(wrong());
    }
    let yes =
        |index: usize| bits.get(index / 8).is_some_and(|byte| byte << (index % 8) & 0x80 != 0);
    Written::default().list((0..count).map(yes), |text, yes| {
        text.push_str(if yes { "true" } else { "false" });
    })
}

/// Texts, each ended by a zero byte; encoders leave the last one out.
fn strings(bytes: &[u8]) -> Result<String, PluginError> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| refused("a StringArray is not UTF-8"))?;
    let texts = text.split('\0').take(if text.is_empty() { 0 } else { usize::MAX });
    Written::default().list(texts, structured::put_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(datatype: DataType, raw: Raw<'_>) -> Result<Option<Value<'_>>, PluginError> {
        value(Some(datatype as u32), raw)
    }

    fn json(datatype: DataType, bytes: &[u8]) -> String {
        match of(datatype, Raw::Bytes(bytes)) {
            Ok(Some(Value::Json(text))) => text.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn signs_come_in_the_fields_width_or_in_the_datatypes_own() {
        use DataType::{Int8, Int16, Int32, Int64};
        for (datatype, raw, expected) in [
            (Int8, Raw::Int(0xff), -1),
            (Int8, Raw::Int(0xffff_ffff), -1),
            (Int8, Raw::Int(0x7f), 127),
            (Int8, Raw::Int(0x80), -128),
            (Int16, Raw::Int(0x8ad0), -30_000),
            (Int16, Raw::Int(0xffff_8ad0), -30_000),
            (Int32, Raw::Int(0xffff_fffe), -2),
            (Int32, Raw::Long(0xffff_fffe), -2),
            (Int32, Raw::Long(0xffff_ffff_ffff_fffe), -2),
            (Int64, Raw::Long(0xffff_ffff_ffff_fffe), -2),
            (Int64, Raw::Int(7), 7),
        ] {
            assert_eq!(of(datatype, raw), Ok(Some(Value::Int(expected))), "{datatype:?} {raw:?}");
        }
        for (datatype, raw) in [
            (Int8, Raw::Int(0x100)),
            (Int8, Raw::Int(0xffff_ff7f)),
            (Int32, Raw::Long(0x1_0000_0000)),
            (DataType::UInt8, Raw::Int(256)),
            (DataType::UInt16, Raw::Long(65_536)),
            (DataType::UInt32, Raw::Long(1 << 32)),
        ] {
            assert_eq!(of(datatype, raw).unwrap_err().code, "sparkplug.value", "{raw:?}");
        }
    }

    #[test]
    fn unsigned_numbers_beyond_i64_keep_their_digits_in_json_and_are_doubles_outside() {
        let large = of(DataType::UInt64, Raw::Long(u64::MAX)).unwrap().unwrap();
        assert_eq!(large, Value::Long(u64::MAX));
        assert_eq!(large.as_ref(), ValueRef::F64(18_446_744_073_709_551_615.0));
        assert_eq!(json(DataType::UInt64Array, &[0xff; 8]), "[18446744073709551615]");
    }

    #[test]
    fn what_has_no_datatype_is_taken_where_it_is_clear() {
        assert_eq!(value(None, Raw::Int(127)), Ok(Some(Value::Int(127))));
        assert_eq!(value(Some(0), Raw::Bool(true)), Ok(Some(Value::Bool(true))));
        for raw in [Raw::Int(128), Raw::Long(1 << 63), Raw::Extension] {
            assert_eq!(value(None, raw).unwrap_err().code, "sparkplug.datatype");
        }
        assert_eq!(value(Some(35), Raw::Int(1)).unwrap_err().code, "sparkplug.datatype");
    }

    #[test]
    fn arrays_are_read_as_in_the_specifications_examples() {
        // section 6.4.16.4. The examples of FloatArray and DoubleArray are printed big-endian there
        // and that of DateTimeArray without its highest bytes; the text says little-endian and 8.
        use DataType as D;
        assert_eq!(json(D::Int8Array, &[0xef, 0x7b]), "[-17,123]"); // printed as -23
        assert_eq!(json(D::Int16Array, &[0xd0, 0x8a, 0x30, 0x75]), "[-30000,30000]");
        let bytes = [0xff, 0xff, 0xff, 0xff, 0xfa, 0xaf, 0xcb, 0x12];
        assert_eq!(json(D::Int32Array, &bytes), "[-1,315338746]");
        let bytes = [
            0xce, 0x06, 0x72, 0xac, 0x18, 0x9c, 0xba, 0xc4, 0xc4, 0xba, 0x9c, 0x18, 0xac, 0x72,
            0x06, 0xce,
        ];
        let expected = "[-4270929666821191986,-3601064768563266876]";
        assert_eq!(json(D::Int64Array, &bytes), expected);
        assert_eq!(json(D::UInt8Array, &[0x17, 0xfa]), "[23,250]");
        assert_eq!(json(D::UInt16Array, &[0x1e, 0x00, 0x88, 0xcc]), "[30,52360]");
        let bytes = [0x34, 0, 0, 0, 0x49, 0xfb, 0x55, 0xc4];
        assert_eq!(json(D::UInt32Array, &bytes), "[52,3293969225]");
        let bytes = [0x34, 0, 0, 0, 0, 0, 0, 0, 0xd9, 0x9e, 0x02, 0xd1, 0xb2, 0x76, 0x37, 0xe4];
        assert_eq!(json(D::UInt64Array, &bytes), "[52,16444743074749521625]");
        let expected = "[false,false,true,true,false,true,false,false,true,true,false,true]";
        for last in [0xd0, 0xdf] {
            assert_eq!(json(D::BooleanArray, &[0x0c, 0, 0, 0, 0x34, last]), expected);
        }
        assert_eq!(json(D::StringArray, b"ABC\0hello\0"), r#"["ABC","hello"]"#);
        let ms = [1_256_102_875_335_u64, 1_656_107_875_000].map(u64::to_le_bytes).concat();
        let expected = "[1256102875335000000,1656107875000000000]";
        assert_eq!(json(D::DateTimeArray, &ms), expected);
    }

    #[test]
    fn arrays_that_do_not_come_out_even_are_refused() {
        for (datatype, bytes) in [
            (DataType::Int16Array, &[0; 3][..]),
            (DataType::DoubleArray, &[0; 12]),
            (DataType::DateTimeArray, &[0; 7]),
            (DataType::BooleanArray, &[]),
            (DataType::BooleanArray, &[1, 0, 0, 0]),
            (DataType::BooleanArray, &[0xff, 0xff, 0xff, 0xff, 0]),
            (DataType::StringArray, b"\xff\0"),
        ] {
            let error = of(datatype, Raw::Bytes(bytes)).unwrap_err();
            assert_eq!(error.code, "sparkplug.value", "{datatype:?}");
        }
        assert_eq!(json(DataType::StringArray, b""), "[]");
        assert_eq!(json(DataType::StringArray, b"a"), r#"["a"]"#);
        assert_eq!(json(DataType::BooleanArray, &[0; 4]), "[]");
        assert_eq!(json(DataType::FloatArray, &f32::NAN.to_le_bytes()), "[null]");
    }

    #[test]
    fn values_that_come_in_the_wrong_field_are_refused_by_its_name() {
        let error = of(DataType::Int32, Raw::Text("7")).unwrap_err();
        assert_eq!(error.text, "a Int32 does not come as string_value");
        assert!(of(DataType::String, Raw::Bytes(b"x")).is_err());
        assert!(of(DataType::PropertySet, Raw::Int(1)).is_err());
        assert!(of(DataType::DateTime, Raw::Long(u64::MAX)).is_err());
    }
}

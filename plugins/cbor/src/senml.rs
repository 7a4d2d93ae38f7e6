//! `SenML` packs in CBOR (RFC 8428 section 6).
//!
//! Owns labels and how records are resolved (sections 4.1 to 4.6). Must never read a record by
//! another version's rules.

use std::borrow::Cow;

use flux_plugin_mapping::{Item, NAME_BYTES_MAX, SAMPLES_MAX, Source, VALUES_MAX, real_ns};
use flux_plugin_sdk::{Output, PluginError, ValueRef};

use crate::reader::Reader;
use crate::setup::Senml;

/// The version of this document; a pack without one has it.
const VERSION: i64 = 10;
/// Times below it are relative to now, in seconds (section 4.5.3).
const RELATIVE_BELOW_NS: i64 = (1 << 28) * 1_000_000_000;
/// The name of a value whose record has none, where the base name is the device's.
const NAMELESS: &str = "value";

/// A number of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Int(i64),
    Real(f64),
}

impl Number {
    #[allow(clippy::cast_precision_loss)] // as near as a double comes
    fn real(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Real(number) => number,
        }
    }

    fn plus(self, other: Option<Self>) -> Self {
        match (self, other) {
            (number, None) => number,
            (Self::Int(a), Some(Self::Int(b))) => {
                a.checked_add(b).map_or(Self::Real(self.real() + b as f64), Self::Int)
            }
            (a, Some(b)) => Self::Real(a.real() + b.real()),
        }
    }

    fn value(self) -> ValueRef<'static> {
        match self {
            Self::Int(number) => ValueRef::I64(number),
            Self::Real(number) => ValueRef::F64(number),
        }
    }

    fn seconds_ns(self) -> Option<i64> {
        match self {
            Self::Int(seconds) => seconds.checked_mul(1_000_000_000),
            Self::Real(seconds) => real_ns(seconds, 1_000_000_000),
        }
    }
}

/// What holds for a record and those behind it.
#[derive(Debug, Default)]
struct Base<'a> {
    name: Cow<'a, str>,
    time: Option<Number>,
    value: Option<Number>,
    sum: Option<Number>,
    version: Option<i64>,
}

/// A value that is no number.
#[derive(Debug)]
enum Other<'a> {
    Bool(bool),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
}

/// A record.
#[derive(Debug, Default)]
struct Record<'a> {
    name: Cow<'a, str>,
    time: Option<Number>,
    value: Option<Number>,
    other: Option<Other<'a>>,
    sum: Option<Number>,
}

/// A record that stands for itself.
#[derive(Debug)]
struct Resolved<'a> {
    device: String,
    name: String,
    time_ns: Option<i64>,
    value: Option<Number>,
    other: Option<Other<'a>>,
    sum: Option<Number>,
}

fn refused(what: impl Into<Cow<'static, str>>) -> PluginError {
    PluginError::new("cbor.senml", what)
}

/// Decodes a pack.
///
/// # Errors
/// `cbor.senml`: it is none; `cbor.malformed`; nothing is written then.
pub(crate) fn decode(
    naming: Senml,
    mut reader: Reader<'_>,
    received_ns: i64,
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let Item::List(mut left) = reader.item()? else {
        return Err(refused("a SenML pack is an array of records"));
    };
    let (mut base, mut records) = (Base::default(), Vec::new());
    while reader.more(&mut left)? {
        let record = read(&mut reader, &mut base)?;
        if records.len() == SAMPLES_MAX {
            let text = format!("the pack has more than {SAMPLES_MAX} records");
            return Err(PluginError::new("decode.too_many_samples", text));
        }
        records.push(resolve(record, &base, naming, received_ns)?);
    }
    reader.end()?;
    if records.is_empty() {
        return Err(PluginError::new("decode.nothing", "the pack has no records"));
    }
    let same =
        |a: &Resolved<'_>, b: &Resolved<'_>| (a.time_ns, &a.device) == (b.time_ns, &b.device);
    for records in records.chunk_by(same).flat_map(|records| records.chunks(VALUES_MAX / 2)) {
        write(records, out);
    }
    Ok(())
}

fn write(records: &[Resolved<'_>], out: &mut Output<'_>) {
    let Some(first) = records.first() else { return };
    let mut message = match first.time_ns {
        Some(time_ns) => out.message_at(&first.device, time_ns),
        None => out.message(&first.device),
    };
    for record in records {
        let value = match &record.other {
            Some(Other::Bool(yes)) => Some(ValueRef::Bool(*yes)),
            Some(Other::Text(text)) => Some(ValueRef::Str(text.as_ref().into())),
            Some(Other::Bytes(bytes)) => Some(ValueRef::Bytes(bytes)),
            None => record.value.map(Number::value),
        };
        if let Some(value) = value {
            message.value(&record.name, value);
        }
        if let Some(sum) = record.sum {
            message.value(&format!("{}.sum", record.name), sum.value());
        }
    }
}

/// A record, and what it says of those behind it. Labels are those of table 4.
fn read<'a>(reader: &mut Reader<'a>, base: &mut Base<'a>) -> Result<Record<'a>, PluginError> {
    let Item::Map(mut left) = reader.item()? else { return Err(refused("a record is no map")) };
    let mut record = Record::default();
    while reader.more(&mut left)? {
        match reader.item()? {
            Item::Int(-1) => base.version = Some(version(reader, base.version)?),
            Item::Int(-2) => base.name = text(reader, "base name")?,
            Item::Int(-3) => base.time = Some(number(reader, "base time")?),
            Item::Int(-5) => base.value = Some(number(reader, "base value")?),
            Item::Int(-6) => base.sum = Some(number(reader, "base sum")?),
            Item::Int(0) => record.name = text(reader, "name")?,
            Item::Int(2) => record.value = Some(number(reader, "value")?),
            Item::Int(3) => record.other = Some(Other::Text(text(reader, "string value")?)),
            Item::Int(4) => match reader.item()? {
                Item::Bool(yes) => record.other = Some(Other::Bool(yes)),
                _ => return Err(refused("a boolean value is none")),
            },
            Item::Int(5) => record.sum = Some(number(reader, "sum")?),
            Item::Int(6) => record.time = Some(number(reader, "time")?),
            Item::Int(8) => match reader.item()? {
                Item::Bytes(bytes) => record.other = Some(Other::Bytes(bytes)),
                _ => return Err(refused("a data value is no byte string")),
            },
            // section 4.4: fields that must be understood end with this sign
            Item::Text(label) if label.ends_with('_') => {
                return Err(refused(format!("the field {label:?} must be understood, and is not")));
            }
            // units, update times, and what others have added
            Item::Int(_) | Item::Text(_) => reader.skip(2)?,
            _ => return Err(refused("a field's label is neither a whole number nor text")),
        }
    }
    Ok(record)
}

fn version(reader: &mut Reader<'_>, before: Option<i64>) -> Result<i64, PluginError> {
    let Item::Int(version) = reader.item()? else { return Err(refused("a version is no number")) };
    if !(1..=VERSION).contains(&version) {
        let text = format!("the pack has version {version}; {VERSION} and those before are read");
        return Err(refused(text));
    }
    if before.is_some_and(|before| before != version) {
        return Err(refused("records of a pack differ in version"));
    }
    Ok(version)
}

fn text<'a>(reader: &mut Reader<'a>, what: &str) -> Result<Cow<'a, str>, PluginError> {
    match reader.item()? {
        Item::Text(text) => Ok(text),
        _ => Err(refused(format!("a {what} is no text"))),
    }
}

#[allow(clippy::cast_precision_loss)] // as near as a double comes
fn number(reader: &mut Reader<'_>, what: &str) -> Result<Number, PluginError> {
    match reader.item()? {
        Item::Int(number) => Ok(Number::Int(number)),
        Item::Long(number) => Ok(Number::Real(number as f64)),
        Item::Real(number) => Ok(Number::Real(number)),
        _ => Err(refused(format!("a {what} is no number"))),
    }
}

/// Applies what holds for a record (section 4.6).
fn resolve<'a>(
    record: Record<'a>,
    base: &Base<'a>,
    naming: Senml,
    received_ns: i64,
) -> Result<Resolved<'a>, PluginError> {
    let (device, name) = names(naming, &base.name, &record.name)?;
    let value = match (record.value, &record.other) {
        (Some(value), None) => Some(value.plus(base.value)),
        (None, None) => base.value,
        (None, Some(_)) => None,
        (Some(_), Some(_)) => return Err(refused(format!("the record {name} has two values"))),
    };
    let sum = match (record.sum, base.sum) {
        (Some(sum), base) => Some(sum.plus(base)),
        (None, base) => base,
    };
    if value.is_none() && record.other.is_none() && sum.is_none() {
        return Err(refused(format!("the record {name} has no value")));
    }
    let time_ns = time(base.time, record.time, received_ns)?;
    Ok(Resolved { device, name, time_ns, value, other: record.other, sum })
}

/// Device and name of a value.
fn names(naming: Senml, base: &str, own: &str) -> Result<(String, String), PluginError> {
    let (device, name) = if naming == Senml::Devices {
        let name = if own.is_empty() { NAMELESS } else { own };
        (base.trim_end_matches([':', '/', '.', '-', '_']).to_owned(), name.to_owned())
    } else {
        (String::new(), format!("{base}{own}"))
    };
    if name.is_empty() {
        return Err(refused("a record has neither name nor base name"));
    }
    // room for what follows a sum's name
    if name.len() > NAME_BYTES_MAX - ".sum".len() || device.len() > NAME_BYTES_MAX {
        let start: String = name.chars().take(40).collect();
        return Err(refused(format!("the name of a record is too long: {start}...")));
    }
    Ok((device, name))
}

/// When it was; `None`: now.
fn time(
    base: Option<Number>,
    own: Option<Number>,
    received_ns: i64,
) -> Result<Option<i64>, PluginError> {
    let ns = |number: Option<Number>| number.map_or(Some(0), Number::seconds_ns);
    let sum = ns(base).zip(ns(own)).and_then(|(base, own)| base.checked_add(own));
    match sum {
        Some(0) => Ok(None),
        Some(relative) if relative < RELATIVE_BELOW_NS => received_ns
            .checked_add(relative)
            .map(Some)
            .ok_or_else(|| refused("a time lies beyond the years 1677 to 2262")),
        Some(ns) => Ok(Some(ns)),
        None => Err(refused("a time lies beyond the years 1677 to 2262")),
    }
}

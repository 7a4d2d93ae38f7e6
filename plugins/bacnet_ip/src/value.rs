//! Values: clauses 20.2.2 to 20.2.14, and 20.2.16 to 20.2.19 for what is made of them.

use std::borrow::Cow;
use std::fmt;

use flux_plugin_sdk::{Json, PluginError};

use crate::malformed;
use crate::names::OBJECT_TYPES;
use crate::tags::{Class, Tag, Tags, unsigned};

/// Application types that are made one of the other.
const DATE: u8 = 10;
const TIME: u8 = 11;

/// How deep values may be made of values.
pub(crate) const DEPTH_MAX: usize = 8;

/// An object: ten bits of type, twenty-two of instance (20.2.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ObjectId(pub(crate) u32);

impl ObjectId {
    pub(crate) const INSTANCE_MAX: u32 = 0x3f_ffff;
    pub(crate) const TYPE_MAX: u32 = 0x3ff;

    pub(crate) const fn new(kind: u32, instance: u32) -> Self {
        Self((kind & Self::TYPE_MAX) << 22 | (instance & Self::INSTANCE_MAX))
    }

    pub(crate) const fn kind(self) -> u32 {
        self.0 >> 22
    }

    pub(crate) const fn instance(self) -> u32 {
        self.0 & Self::INSTANCE_MAX
    }

    /// # Errors
    /// `bacnet.malformed`: not four bytes.
    pub(crate) fn read(content: &[u8], at: usize) -> Result<Self, PluginError> {
        let bytes = content.try_into().map_err(|_| malformed(at, "an object has four bytes"))?;
        Ok(Self(u32::from_be_bytes(bytes)))
    }

    /// `analog-input,1`; the type may be a number.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, instance) = text.split_once(',')?;
        let kind = OBJECT_TYPES.number(kind.trim()).filter(|kind| *kind <= Self::TYPE_MAX)?;
        let instance = instance.trim().parse().ok().filter(|one| *one <= Self::INSTANCE_MAX)?;
        Some(Self::new(kind, instance))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", OBJECT_TYPES.text(self.kind()), self.instance())
    }
}

/// Bits, the first one first (20.2.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    len: usize,
}

impl Bits<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        let bits = |byte: &u8| {
            let byte = *byte;
            (0..8).rev().map(move |bit| byte >> bit & 1 == 1)
        };
        self.bytes.iter().flat_map(bits).take(self.len)
    }
}

/// A date (20.2.12): year less 1900, month, day, day of the week; 255 is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date(pub(crate) [u8; 4]);

/// A time of day (20.2.13): hour, minute, second, hundredths; 255 is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) [u8; 4]);

/// A value of one of the standard's types.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(bool),
    Unsigned(u64),
    Integer(i64),
    Real(f32),
    Double(f64),
    Octets(&'a [u8]),
    Text(Cow<'a, str>),
    Bits(Bits<'a>),
    Enumerated(u64),
    Date(Date),
    Time(Time),
    Object(ObjectId),
}

impl<'a> Value<'a> {
    /// # Errors
    /// `bacnet.malformed`; `bacnet.charset` for text nobody can read.
    pub(crate) fn read(tag: &Tag<'a>) -> Result<Self, PluginError> {
        let Tag { content, at, .. } = *tag;
        let four =
            || <[u8; 4]>::try_from(content).map_err(|_| malformed(at, "four bytes are expected"));
        let eight =
            || <[u8; 8]>::try_from(content).map_err(|_| malformed(at, "eight bytes are expected"));
        Ok(match tag.number {
            0 => Self::Null,
            1 => Self::Boolean(tag.length != 0),
            2 => Self::Unsigned(unsigned(content, at)?),
            3 => Self::Integer(signed(content, at)?),
            4 => Self::Real(f32::from_be_bytes(four()?)),
            5 => Self::Double(f64::from_be_bytes(eight()?)),
            6 => Self::Octets(content),
            7 => Self::Text(text(content, at)?),
            8 => Self::Bits(bits(content, at)?),
            9 => Self::Enumerated(unsigned(content, at)?),
            DATE => Self::Date(Date(four()?)),
            TIME => Self::Time(Time(four()?)),
            12 => Self::Object(ObjectId::read(content, at)?),
            other => return Err(malformed(at, format_args!("there is no type {other} of value"))),
        })
    }

    /// As JSON, within what is made of several.
    fn json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Boolean(yes) => (*yes).into(),
            Self::Unsigned(number) | Self::Enumerated(number) => whole(*number),
            Self::Integer(number) => (*number).into(),
            Self::Real(number) => (*number).into(),
            Self::Double(number) => (*number).into(),
            Self::Octets(bytes) => hex(bytes).into(),
            other => other.to_string().into(),
        }
    }
}

/// A number as JSON has it; beyond 2^63 as one with a fraction.
#[allow(clippy::cast_precision_loss)]
fn whole(number: u64) -> Json {
    i64::try_from(number).map_or_else(|_| Json::Float(number as f64), Json::Int)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Two's complement, as few bytes as hold it (20.2.5).
fn signed(content: &[u8], at: usize) -> Result<i64, PluginError> {
    let number = unsigned(content, at)?;
    let unused = 64 - 8 * content.len();
    #[allow(clippy::cast_possible_wrap)] // the sign is carried up and down again
    Ok(((number << unused) as i64) >> unused)
}

/// The character sets of 20.2.9: UTF-8, UCS-4, UCS-2 and ISO 8859-1. What is said to be UTF-8 and
/// is not is read as ISO 8859-1, which devices mean when they do that.
fn text(content: &[u8], at: usize) -> Result<Cow<'_, str>, PluginError> {
    let Some((charset, bytes)) = content.split_first() else {
        return Err(malformed(at, "text begins with its character set"));
    };
    let unreadable = |what: &str| PluginError::new("bacnet.charset", format!("byte {at}: {what}"));
    let latin = |bytes: &[u8]| -> String { bytes.iter().map(|byte| char::from(*byte)).collect() };
    match charset {
        0 => Ok(std::str::from_utf8(bytes).map_or_else(|_| latin(bytes).into(), Cow::Borrowed)),
        3 => {
            let units = bytes.chunks_exact(4);
            let whole = units.remainder().is_empty();
            let code = |unit: &[u8]| char::from_u32(u32::from_be_bytes(unit.try_into().ok()?));
            let read = units.map(code).collect::<Option<String>>().filter(|_| whole);
            read.map(Cow::Owned).ok_or_else(|| unreadable("not UCS-4, as it is said to be"))
        }
        4 => {
            let units = bytes.chunks_exact(2);
            let whole = units.remainder().is_empty();
            let units: Vec<u16> = units
                .map(|unit| unit.iter().fold(0, |code, byte| code << 8 | u16::from(*byte)))
                .collect();
            let read = String::from_utf16(&units).ok().filter(|_| whole);
            read.map(Cow::Owned).ok_or_else(|| unreadable("not UCS-2, as it is said to be"))
        }
        5 => Ok(latin(bytes).into()),
        other => Err(unreadable(&format!("character set {other} cannot be read"))),
    }
}

fn bits(content: &[u8], at: usize) -> Result<Bits<'_>, PluginError> {
    match content.split_first() {
        Some((&unused @ 0..=7, bytes)) if !bytes.is_empty() || unused == 0 => {
            Ok(Bits { bytes, len: 8 * bytes.len() - usize::from(unused) })
        }
        _ => Err(malformed(at, "bits begin with how many of the last byte's are unused, 0 to 7")),
    }
}

/// As people read it. Numbers and the like never come here.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Bits(bits) => {
                bits.iter().try_for_each(|bit| f.write_str(if bit { "1" } else { "0" }))
            }
            Self::Date(date) => date.fmt(f),
            Self::Time(time) => time.fmt(f),
            Self::Object(object) => object.fmt(f),
            other => write!(f, "{}", other.json()),
        }
    }
}

/// `2026-03-29`; what is any is `*`, and so are the words for odd months and last days.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([year, month, day, weekday]) = *self;
        match year {
            255 => f.write_str("*")?,
            year => write!(f, "{}", 1900 + u16::from(year))?,
        }
        match month {
            255 => f.write_str("-*")?,
            13 => f.write_str("-odd")?,
            14 => f.write_str("-even")?,
            month => write!(f, "-{month:02}")?,
        }
        match day {
            255 => f.write_str("-*")?,
            32 => f.write_str("-last")?,
            33 => f.write_str("-odd")?,
            34 => f.write_str("-even")?,
            day => write!(f, "-{day:02}")?,
        }
        // The day of the week says something of its own where the date is a pattern.
        let is_pattern = year == 255 || month > 12 || day > 31;
        match weekday {
            1..=7 if is_pattern => {
                let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
                write!(f, " {}", names[usize::from(weekday) - 1])
            }
            _ => Ok(()),
        }
    }
}

/// `13:05:00.25`; what is any is `*`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(parts) = *self;
        for (part, separator) in parts.into_iter().zip(["", ":", ":", "."]) {
            f.write_str(separator)?;
            match part {
                255 => f.write_str("*")?,
                part => write!(f, "{part:02}")?,
            }
        }
        Ok(())
    }
}

/// What a property holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content<'a> {
    /// One value.
    One(Value<'a>),
    /// A list, an array, something made of parts: as JSON.
    Many(Json),
}

impl<'a> Content<'a> {
    /// Reads what stands between the opening and the closing tag of this number.
    ///
    /// # Errors
    /// As [`Value::read`].
    pub(crate) fn read(tags: &mut Tags<'a>, number: u8) -> Result<Self, PluginError> {
        tags.pass(Class::Opening, number)?;
        let mut ahead = *tags;
        let first = ahead.next()?;
        if first.class == Class::Application && ahead.passes(Class::Closing, number)? {
            *tags = ahead;
            return Value::read(&first).map(Self::One);
        }
        if let Some(moment) = date_time(&first, &mut ahead, number)? {
            *tags = ahead;
            return Ok(Self::One(moment));
        }
        Ok(Self::Many(Json::List(items(tags, number, 0)?)))
    }
}

/// A date and a time alone are a moment (clause 21, BACnetDateTime), in the device's own time.
fn date_time<'a>(
    first: &Tag<'a>,
    tags: &mut Tags<'a>,
    number: u8,
) -> Result<Option<Value<'a>>, PluginError> {
    if (first.class, first.number) != (Class::Application, DATE) {
        return Ok(None);
    }
    let second = tags.next()?;
    let is_time = (second.class, second.number) == (Class::Application, TIME);
    if !is_time || !tags.passes(Class::Closing, number)? {
        return Ok(None);
    }
    let moment = format!("{}T{}", Value::read(first)?, Value::read(&second)?);
    Ok(Some(Value::Text(moment.into())))
}

/// Everything up to the closing tag, which is passed.
fn items(tags: &mut Tags<'_>, number: u8, depth: usize) -> Result<Vec<Json>, PluginError> {
    if depth == DEPTH_MAX {
        return Err(malformed(tags.at(), "values are made of values too deeply"));
    }
    let mut items = Vec::new();
    loop {
        let tag = tags.next()?;
        match tag.class {
            Class::Application => items.push(Value::read(&tag)?.json()),
            Class::Context => items.push(part(tag.number, hex(tag.content).into())),
            Class::Opening => {
                let inner = self::items(tags, tag.number, depth + 1)?;
                items.push(part(tag.number, Json::List(inner)));
            }
            Class::Closing if tag.number == number => return Ok(items),
            Class::Closing => {
                return Err(malformed(
                    tag.at,
                    format_args!("the closing tag [{number}] is expected"),
                ));
            }
        }
    }
}

/// A part of something: its number says which, and only the standard's text says what.
fn part(number: u8, json: Json) -> Json {
    Json::object([(number.to_string().as_str(), json)])
}

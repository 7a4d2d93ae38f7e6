//! Checking what registers mean.

use std::collections::BTreeMap;

use flux_plugin_sdk::json::JsonError;
use flux_plugin_sdk::{Json, Scale};

use super::{Map, REGISTERS_MAX};
use crate::point::{Kind, Labels, Layout, Point, UnitSet};
use crate::settings::{Order, RegisterEntry, Settings, Type};
use crate::table::{PLACES, Table};

/// Bytes of a value's name: what a message has room for.
const NAME_BYTES_MAX: usize = 255;
/// Bits of one value made of coils or discrete inputs.
const COILS_MAX: u16 = 32;

/// Every register as a point.
pub(super) fn points(settings: &Settings, map: &Map) -> Result<Vec<Point>, JsonError> {
    if settings.registers.len() > REGISTERS_MAX {
        let text = format!("has {} registers, at most {REGISTERS_MAX}", settings.registers.len());
        return Err(JsonError::new(text).within("registers"));
    }
    let compiled = settings.registers.iter().enumerate().map(|(index, entry)| {
        let point = point(entry, settings, map);
        point.map_err(|error| error.within(index).within("registers"))
    });
    let points = compiled.collect::<Result<Vec<_>, _>>()?;
    no_name_twice(&points)?;
    Ok(points)
}

fn no_name_twice(points: &[Point]) -> Result<(), JsonError> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, point) in points.iter().enumerate() {
        let same = by_name.entry(&point.name).or_default();
        for other in same.iter() {
            let text = match (&points[*other].units, &point.units) {
                (Some(a), Some(b)) => match a.common(b) {
                    Some(unit) => format!("is register {other} of unit {unit} already"),
                    None => continue,
                },
                _ => format!("is register {other} already"),
            };
            return Err(JsonError::new(text).within("name").within(index).within("registers"));
        }
        same.push(index);
    }
    Ok(())
}

fn point(entry: &RegisterEntry, settings: &Settings, map: &Map) -> Result<Point, JsonError> {
    if entry.name.is_empty() || entry.name.len() > NAME_BYTES_MAX {
        let text = format!("must have 1 to {NAME_BYTES_MAX} bytes");
        return Err(JsonError::new(text).within("name"));
    }
    let (table, start) =
        map.base.locate(entry.table, entry.address).map_err(|error| error.within("address"))?;
    let of = entry.r#type.unwrap_or(if table.is_bits() { Type::Bool } else { Type::U16 });
    let (kind, len) = kind(entry, of, table)?;
    if start + len > PLACES {
        let text = format!("its {len} places reach beyond the table's last");
        return Err(JsonError::new(text).within("address"));
    }
    if len > map.read_max(table) {
        let limit = if table.is_bits() { "bits_max" } else { "registers_max" };
        let text = format!("has {len} places, more than {limit} lets a request read");
        return Err(JsonError::new(text));
    }
    let mut point = Point {
        name: entry.name.as_str().into(),
        table,
        start,
        end: start + len,
        kind,
        plain: None,
        is_certain: entry.null.is_none() && kind != Kind::Bcd,
        layout: layout(entry, settings, table, kind, len)?,
        scale: scale(entry, kind, of)?,
        null: None,
        labels: labels(entry, kind)?,
        group: entry.group.as_deref().map(Into::into),
        units: units(entry, map)?.map(Box::new),
    };
    point.null = match &entry.null {
        None => None,
        Some(json) => Some(point.null_bits(json).map_err(|error| error.within("null"))?),
    };
    point.plain = point.plain();
    Ok(point)
}

/// What is there, and in how many places.
fn kind(entry: &RegisterEntry, of: Type, table: Table) -> Result<(Kind, u32), JsonError> {
    let wrong = |what: &str, text: &str| Err(JsonError::new(text).within(what));
    match (entry.bit, of) {
        (Some(_), _) if table.is_bits() => return wrong("bit", "belongs to registers"),
        (Some(16..), _) => return wrong("bit", "must be from 0 to 15"),
        (Some(_), Type::Bool | Type::Bits) | (None, _) => {}
        (Some(_), _) => return wrong("bit", "belongs to the types bool and bits"),
    }
    match (entry.length, of) {
        (Some(_), Type::Bits | Type::String) | (None, _) => {}
        (Some(_), _) => return wrong("length", "belongs to the types bits and string"),
    }
    if table.is_bits() {
        return match (of, entry.length) {
            (Type::Bool, _) => Ok((Kind::Coil, 1)),
            (Type::Bits, Some(length @ 1..=COILS_MAX)) => Ok((Kind::Coils, length.into())),
            (Type::Bits, _) => wrong("length", "must be from 1 to 32: so many bits are one number"),
            _ => wrong("type", "must be bool or bits: the table holds bits"),
        };
    }
    let bit = entry.bit.unwrap_or_default();
    Ok(match of {
        Type::Bool if entry.bit.is_none() => (Kind::Flag, 1),
        Type::Bool => (Kind::Bit(bit), 1),
        Type::Bits => match entry.length.unwrap_or(16 - u16::from(bit)) {
            length if length >= 1 && length + u16::from(bit) <= 16 => {
                (Kind::Field { shift: bit, mask: u16::MAX >> (16 - length) }, 1)
            }
            _ => return wrong("length", "must leave `bit` and `length` within 16 bits"),
        },
        Type::U16 => (Kind::Unsigned, 1),
        Type::U32 => (Kind::Unsigned, 2),
        Type::U64 => (Kind::Unsigned, 4),
        Type::I16 => (Kind::Signed, 1),
        Type::I32 => (Kind::Signed, 2),
        Type::I64 => (Kind::Signed, 4),
        Type::F32 => (Kind::Float, 2),
        Type::F64 => (Kind::Float, 4),
        Type::Bcd16 => (Kind::Bcd, 1),
        Type::Bcd32 => (Kind::Bcd, 2),
        Type::Epoch32 => (Kind::Epoch, 2),
        Type::String => match entry.length {
            Some(length @ 1..=250) => (Kind::Text(length), u32::from(length.div_ceil(2))),
            _ => return wrong("length", "must be from 1 to 250: bytes of the text"),
        },
    })
}

fn layout(
    entry: &RegisterEntry,
    settings: &Settings,
    table: Table,
    kind: Kind,
    len: u32,
) -> Result<Layout, JsonError> {
    if entry.words.is_some() && (len == 1 || table.is_bits() || matches!(kind, Kind::Text(_))) {
        return Err(JsonError::new("belongs to numbers of several registers").within("words"));
    }
    if entry.bytes.is_some() && table.is_bits() {
        return Err(JsonError::new("belongs to registers").within("bytes"));
    }
    Ok(Layout {
        words_swapped: entry.words.unwrap_or(settings.words) == Order::Little,
        bytes_swapped: entry.bytes.unwrap_or(settings.bytes) == Order::Little,
    })
}

fn scale(entry: &RegisterEntry, kind: Kind, of: Type) -> Result<Option<Scale>, JsonError> {
    let what = match (entry.scale, entry.offset) {
        (None, None) => return Ok(None),
        (Some(_), _) => "scale",
        (None, Some(_)) => "offset",
    };
    if of == Type::Bool || matches!(kind, Kind::Text(_) | Kind::Epoch) {
        return Err(JsonError::new("belongs to numbers").within(what));
    }
    let scale = entry.scale.unwrap_or(1.0);
    if scale == 0.0 {
        return Err(JsonError::new("must not be 0: nothing could be read").within("scale"));
    }
    let scale = Scale::new(scale, entry.offset.unwrap_or_default());
    Ok(scale.changes().then_some(scale))
}

fn labels(entry: &RegisterEntry, kind: Kind) -> Result<Labels, JsonError> {
    let Some(labels) = &entry.r#enum else { return Ok(Labels::default()) };
    if matches!(kind, Kind::Text(_) | Kind::Epoch | Kind::Float) {
        return Err(JsonError::new("belongs to whole numbers").within("enum"));
    }
    let mut all: Vec<(i64, Box<str>)> = Vec::new();
    for (number, text) in labels {
        let wrong = |text: &str| Err(JsonError::new(text).within(number).within("enum"));
        match number.parse::<i64>() {
            Ok(parsed) if parsed.to_string() == *number => {
                if all.iter().any(|(_, known)| **known == **text) {
                    return wrong("another number means the same: it could not be written");
                }
                let at = all.partition_point(|(number, _)| *number < parsed);
                all.insert(at, (parsed, text.as_str().into()));
            }
            _ => return wrong("is no whole number"),
        }
    }
    Ok(all.into())
}

fn units(entry: &RegisterEntry, map: &Map) -> Result<Option<UnitSet>, JsonError> {
    let Some(units) = &entry.units else { return Ok(None) };
    if units.is_empty() {
        return Err(JsonError::new("names at least one unit").within("units"));
    }
    let (known, mut set) = (map.known_units(), UnitSet::default());
    for (index, unit) in units.iter().enumerate() {
        let wrong = |text: &str| Err(JsonError::new(text).within(index).within("units"));
        if !known.contains(*unit) {
            return wrong("is neither \"unit\" nor one of \"devices\"");
        }
        if set.contains(*unit) {
            return wrong("stands twice");
        }
        set.insert(*unit);
    }
    Ok(Some(set))
}

impl Point {
    /// The bits a unit sends for "no value".
    fn null_bits(&self, json: &Json) -> Result<u64, JsonError> {
        let Some(number) = json.as_f64() else { return Err(JsonError::new("must be a number")) };
        let width = 16 * (self.end - self.start);
        match self.kind {
            Kind::Coil | Kind::Coils | Kind::Flag | Kind::Bit(_) | Kind::Text(_) => {
                Err(JsonError::new("belongs to numbers of registers"))
            }
            #[allow(clippy::cast_possible_truncation)] // what single precision has
            Kind::Float if width == 32 => Ok((number as f32).to_bits().into()),
            Kind::Float => Ok(number.to_bits()),
            Kind::Field { mask, .. } => within(json, width, mask.into()),
            _ => within(json, width, u64::MAX >> (64 - width)),
        }
    }
}

/// A whole number as bits: as the type reads it, or as bits without sign.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked, or two's complement
fn within(json: &Json, width: u32, most: u64) -> Result<u64, JsonError> {
    let least = if width == 64 { i64::MIN } else { -(1 << (width - 1)) };
    match json {
        Json::Int(number) if *number >= 0 && *number as u64 <= most => Ok(*number as u64),
        Json::Int(number) if (least..0).contains(number) => Ok(*number as u64 & most),
        // 2^63 and more: whole numbers beyond `i64` are read with fractions; the greatest is meant
        // by what rounds to it.
        Json::Float(number) if most == u64::MAX && *number >= 9.2e18 && *number <= 1.9e19 => {
            Ok(*number as u64)
        }
        _ => Err(JsonError::new(format!("must be a whole number from {least} to {most}"))),
    }
}

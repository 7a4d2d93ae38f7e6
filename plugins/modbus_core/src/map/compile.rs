//! Checking settings as a whole.

use flux_plugin_sdk::json::JsonError;

use super::registers::points;
use super::{Map, UNSOLICITED_MAX, Unit, Unsolicited};
use crate::function::code as function;
use crate::settings::{Settings, Unmapped, UnsolicitedEntry};
use crate::table::Table;
use crate::transport::Transport;

/// The most registers one request may read (Application Protocol V1.1b3, 6.3).
const READ_REGISTERS_MAX: u8 = 125;
/// The most bits one request may read (6.1).
const READ_BITS_MAX: u16 = 2000;
/// Bytes of a device's key: what a message has room for.
const KEY_BYTES_MAX: usize = 255;

/// Settings into a map.
pub(super) fn compile<T: Transport>(settings: &Settings) -> Result<Map, JsonError> {
    let units = units::<T>(settings)?;
    let unit = settings.unit.or_else(|| settings.devices.is_empty().then_some(1));
    if !(1..=READ_REGISTERS_MAX).contains(&settings.registers_max) {
        return Err(JsonError::new("must be from 1 to 125").within("registers_max"));
    }
    if !(1..=READ_BITS_MAX).contains(&settings.bits_max) {
        return Err(JsonError::new("must be from 1 to 2000").within("bits_max"));
    }
    let unmapped = settings.unmapped.unwrap_or(match settings.registers.is_empty() {
        true => Unmapped::Raw,
        false => Unmapped::Skip,
    });
    let mut map = Map {
        units,
        unit,
        tables: Default::default(),
        longest: [0; 4],
        base: settings.address_base,
        gap_max: settings.gap_max.into(),
        registers_max: settings.registers_max.into(),
        bits_max: settings.bits_max.into(),
        single_writes: settings.single_writes,
        unmapped,
        exception_values: settings.exception_values,
        unsolicited: Vec::new(),
    };
    map.unsolicited = unsolicited(settings, &map)?;
    for point in points(settings, &map)? {
        let longest = &mut map.longest[point.table.index()];
        *longest = (*longest).max(point.end - point.start);
        map.tables[point.table.index()].push(point);
    }
    // Stable: points of one place stay in the order they were written in.
    map.tables.iter_mut().for_each(|points| points.sort_by_key(|point| point.start));
    Ok(map)
}

fn units<T: Transport>(settings: &Settings) -> Result<Vec<Unit>, JsonError> {
    let mut units: Vec<Unit> = Vec::new();
    for (number, key) in &settings.devices {
        let wrong = |text: String| Err(JsonError::new(text).within(number).within("devices"));
        let Some(unit) = plain_number(number) else {
            return wrong("is no unit: write a number from 0 to 255".to_owned());
        };
        check_unit::<T>(unit).map_err(|error| error.within(number).within("devices"))?;
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return wrong(format!("must be a device's key, of 1 to {KEY_BYTES_MAX} bytes"));
        }
        if let Some(other) = units.iter().find(|other| &*other.key == key) {
            return wrong(format!("{key:?} is unit {} already", other.number));
        }
        insert(&mut units, unit, key);
    }
    let own = settings.unit.or_else(|| settings.devices.is_empty().then_some(1));
    if let Some(own) = own {
        check_unit::<T>(own).map_err(|error| error.within("unit"))?;
        if units.iter().all(|unit| unit.number != own) {
            insert(&mut units, own, "");
        }
    }
    Ok(units)
}

/// Keeps the order of numbers.
fn insert(units: &mut Vec<Unit>, number: u8, key: &str) {
    let at = units.partition_point(|unit| unit.number < number);
    units.insert(at, Unit { number, key: key.into() });
}

/// A unit as a name in JSON: written in one way only, so that none stands twice.
fn plain_number(text: &str) -> Option<u8> {
    text.parse::<u8>().ok().filter(|unit| unit.to_string() == text)
}

/// Units on a serial line are 1 to 247; 248 to 255 are reserved, and in use all the same (Modbus
/// over Serial Line V1.02, 2.2).
fn check_unit<T: Transport>(unit: u8) -> Result<(), JsonError> {
    match (unit, T::HAS_BROADCAST) {
        (0, true) => Err(JsonError::new("0 is every unit at once, which none of them answers")),
        _ => Ok(()),
    }
}

fn unsolicited(settings: &Settings, map: &Map) -> Result<Vec<Unsolicited>, JsonError> {
    if settings.unsolicited.len() > UNSOLICITED_MAX {
        let text = format!("has more than {UNSOLICITED_MAX} entries");
        return Err(JsonError::new(text).within("unsolicited"));
    }
    let mut all: Vec<Unsolicited> = Vec::new();
    for (index, entry) in settings.unsolicited.iter().enumerate() {
        let place = |error: JsonError| error.within(index).within("unsolicited");
        let one = unsolicited_one(entry, map).map_err(place)?;
        if let Some(first) = all.iter().position(|other| covers(other, &one)) {
            let text = format!("never counts: entry {first} comes first");
            return Err(place(JsonError::new(text)));
        }
        all.push(one);
    }
    Ok(all)
}

/// Whether what fits `later` fits `first` already.
fn covers(first: &Unsolicited, later: &Unsolicited) -> bool {
    first.function == later.function
        && (first.unit.is_none() || first.unit == later.unit)
        && (first.count.is_none() || first.count == later.count)
}

fn unsolicited_one(entry: &UnsolicitedEntry, map: &Map) -> Result<Unsolicited, JsonError> {
    if let Some(unit) = entry.unit.filter(|unit| !map.known_units().contains(*unit)) {
        let text = format!("unit {unit} is neither \"unit\" nor one of \"devices\"");
        return Err(JsonError::new(text).within("unit"));
    }
    let one =
        |start, count| Unsolicited { unit: entry.unit, function: entry.function, start, count };
    let Some(table) = Table::read_by(entry.function) else {
        return match entry.function {
            function::WRITE_SINGLE_COIL
            | function::WRITE_SINGLE_REGISTER
            | function::WRITE_MULTIPLE_COILS
            | function::WRITE_MULTIPLE_REGISTERS => match (entry.address, entry.count) {
                (None, None) => Ok(one(0, None)),
                (Some(_), _) => {
                    Err(JsonError::new("such frames say it themselves").within("address"))
                }
                (None, Some(_)) => {
                    Err(JsonError::new("such frames say it themselves").within("count"))
                }
            },
            _ => Err(JsonError::new("must be 1 to 6, 15 or 16").within("function")),
        };
    };
    let address = entry.address.ok_or_else(|| {
        JsonError::new("is missing: where what the frame brings begins").within("address")
    })?;
    let (_, start) =
        map.base.locate(Some(table), address).map_err(|error| error.within("address"))?;
    let most = if table.is_bits() { READ_BITS_MAX } else { READ_REGISTERS_MAX.into() };
    match entry.count {
        Some(count) if !(1..=most).contains(&count) => {
            Err(JsonError::new(format!("must be from 1 to {most}")).within("count"))
        }
        count => Ok(one(start, count.map(u32::from))),
    }
}

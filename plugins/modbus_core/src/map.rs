//! Settings, checked once and laid out for the frames that follow.
//!
//! Owns what a use of the plugin knows: units, points by table and place, limits of requests. Must
//! never let settings pass that could only fail later.

use std::marker::PhantomData;

use flux_plugin_sdk::{Context, PluginError};

use crate::error::{code, error};
use crate::point::{Places, Point, UnitSet};
use crate::settings::Unmapped;
use crate::table::{AddressBase, Table};
use crate::transport::Transport;

mod compile;
mod registers;

/// Registers in one use's settings: what one message has room for.
pub const REGISTERS_MAX: usize = 1000;
/// Entries of `unsolicited`.
pub const UNSOLICITED_MAX: usize = 256;

/// What a frame means that nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unsolicited {
    pub(crate) unit: Option<u8>,
    pub(crate) function: u8,
    /// Of reads: where what it brings begins.
    pub(crate) start: u32,
    pub(crate) count: Option<u32>,
}

/// One unit and the key of its device; empty: the source's own device.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) number: u8,
    pub(crate) key: Box<str>,
}

/// What a use of the plugin knows.
#[derive(Debug)]
pub(crate) struct Map {
    /// In order of their numbers.
    pub(crate) units: Vec<Unit>,
    /// The unit of commands that name none.
    pub(crate) unit: Option<u8>,
    /// By table, in order of places.
    tables: [Vec<Point>; 4],
    /// The places of the longest point of each table.
    longest: [u32; 4],
    pub(crate) base: AddressBase,
    pub(crate) gap_max: u32,
    pub(crate) registers_max: u32,
    pub(crate) bits_max: u32,
    pub(crate) single_writes: bool,
    pub(crate) unmapped: Unmapped,
    pub(crate) exception_values: bool,
    pub(crate) unsolicited: Vec<Unsolicited>,
}

/// A map for one transport: what is kept under the settings' id.
#[derive(Debug)]
pub(crate) struct Setup<T> {
    pub(crate) map: Map,
    transport: PhantomData<fn() -> T>,
}

/// The map of a call.
///
/// # Errors
/// What is wrong with the settings, with its place.
#[inline]
pub(crate) fn of<T: Transport>(ctx: &Context<'_>) -> Result<std::rc::Rc<Setup<T>>, PluginError> {
    ctx.compiled(|settings| {
        let map = compile::compile::<T>(&settings)
            .map_err(|wrong| PluginError::new(code::SETTINGS, wrong.to_string()))?;
        Ok(Setup { map, transport: PhantomData })
    })
}

impl Map {
    /// The key of a unit's device; empty: the source's own.
    #[inline]
    pub(crate) fn device(&self, unit: u8) -> Result<&str, PluginError> {
        match self.units.iter().find(|known| known.number == unit) {
            Some(known) => Ok(&known.key),
            None => Err(self.unknown_unit(unit)),
        }
    }

    #[cold]
    pub(crate) fn unknown_unit(&self, unit: u8) -> PluginError {
        let known: Vec<_> = self.units.iter().map(|unit| unit.number.to_string()).collect();
        let text = format!("the settings do not know unit {unit}; there is {}", known.join(", "));
        error(code::UNIT, text)
    }

    /// The points of a table, in order of places.
    #[inline]
    pub(crate) fn points(&self, table: Table) -> &[Point] {
        &self.tables[table.index()]
    }

    /// Every point.
    pub(crate) fn all_points(&self) -> impl Iterator<Item = &Point> {
        self.tables.iter().flatten()
    }

    /// The points that begin in some places, in order.
    #[inline]
    pub(crate) fn starting_in(&self, places: &Places<'_>) -> &[Point] {
        let points = self.points(places.table);
        let first = points.partition_point(|point| point.start < places.start);
        let rest = points.get(first..).unwrap_or_default();
        let count = rest.partition_point(|point| point.start < places.end);
        rest.get(..count).unwrap_or_default()
    }

    /// The first point of a unit that begins before a place and ends behind it.
    pub(crate) fn across(&self, table: Table, place: u32, unit: u8) -> Option<&Point> {
        let from = place.saturating_sub(self.longest[table.index()]);
        let points = self.points(table);
        let first = points.partition_point(|point| point.start < from);
        let rest = points.get(first..).unwrap_or_default();
        rest.iter()
            .take_while(|point| point.start < place)
            .find(|point| point.end > place && point.is_of(unit))
    }

    /// How many places of a table one request may read.
    pub(crate) fn read_max(&self, table: Table) -> u32 {
        if table.is_bits() { self.bits_max } else { self.registers_max }
    }

    /// Every unit that is known.
    pub(crate) fn known_units(&self) -> UnitSet {
        let mut set = UnitSet::default();
        self.units.iter().for_each(|unit| set.insert(unit.number));
        set
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! `read`: values by name or group, all of them, or places of a table.

use flux_plugin_sdk::json::JsonError;
use flux_plugin_sdk::settings;

use super::{Pdus, Wanted, pdu, wire};
use crate::plan;
use crate::point::Point;
use crate::request::Range;
use crate::table::{PLACES, Table};

settings! {
    /// What is to be read: everything the settings describe, or what one of these says.
    #[derive(Debug)]
    pub struct ReadParams {
        /// The unit; left out, that of the device the command is for, or that of the settings.
        unit: Option<u8>,
        /// Of TCP: the number of the first request's transaction; left out, the plugin counts.
        transaction: Option<u16>,
        /// One value of the settings.
        name: Option<String>,
        /// Some values of the settings.
        names: Option<Vec<String>>,
        /// The values of a group.
        group: Option<String>,
        /// Places of this table, described or not.
        table: Option<Table>,
        /// The first place, counted as the settings' `address_base` says.
        address: Option<u32>,
        /// How many places.
        count: Option<u32>,
    }
}

impl Wanted<'_> {
    pub(super) fn read(&self) -> Pdus {
        let params: ReadParams = self.typed()?;
        let ranges = match params {
            ReadParams { name: Some(name), names: None, group: None, address: None, .. } => {
                self.named(std::slice::from_ref(&name), "name")?
            }
            ReadParams { name: None, names: Some(names), group: None, address: None, .. } => {
                self.named(&names, "names")?
            }
            ReadParams { name: None, names: None, group: Some(group), address: None, .. } => {
                self.grouped(&group)?
            }
            ReadParams { name: None, names: None, group: None, address: Some(address), .. } => {
                let range = self.range(params.table, address, params.count.unwrap_or(1))?;
                plan::cut(self.map, range, self.unit)
            }
            ReadParams { name: None, names: None, group: None, address: None, .. } => {
                self.everything()?
            }
            _ => return Err(JsonError::new("one of name, names, group and address is enough")),
        };
        let request = |range: Range| {
            pdu(range.table.read_function(), &[wire(range.start), wire(range.count)])
        };
        Ok(ranges.into_iter().map(request).collect())
    }

    fn everything(&self) -> Result<Vec<Range>, JsonError> {
        let ranges = self.planned(|_| true);
        if ranges.is_empty() {
            return Err(JsonError::new("the settings describe no register: give an address"));
        }
        Ok(ranges)
    }

    fn grouped(&self, group: &str) -> Result<Vec<Range>, JsonError> {
        let ranges = self.planned(|point| point.group.as_deref() == Some(group));
        if ranges.is_empty() {
            return Err(JsonError::new("no register is of this group").within("group"));
        }
        Ok(ranges)
    }

    fn named(&self, names: &[String], parameter: &str) -> Result<Vec<Range>, JsonError> {
        if names.is_empty() {
            return Err(JsonError::new("names no value").within(parameter));
        }
        for name in names {
            self.point(name).map_err(|error| error.within(parameter))?;
        }
        Ok(self.planned(|point| names.iter().any(|name| **name == *point.name)))
    }

    fn planned(&self, wanted: impl Fn(&Point) -> bool) -> Vec<Range> {
        plan::ranges(self.map, |point| point.is_of(self.unit) && wanted(point))
    }

    /// The point of the unit that is called so.
    pub(super) fn point(&self, name: &str) -> Result<&Point, JsonError> {
        let mut points = self.map.all_points();
        points.find(|point| &*point.name == name && point.is_of(self.unit)).ok_or_else(|| {
            JsonError::new(format!("no register of unit {} is called {name:?}", self.unit))
        })
    }

    /// Places of a table, all of which there are.
    pub(super) fn range(
        &self,
        table: Option<Table>,
        address: u32,
        count: u32,
    ) -> Result<Range, JsonError> {
        let (table, start) =
            self.map.base.locate(table, address).map_err(|error| error.within("address"))?;
        if count == 0 || count > PLACES - start {
            let text = format!("must be from 1 to {}: there are no more places", PLACES - start);
            return Err(JsonError::new(text).within("count"));
        }
        Ok(Range { table, start, count })
    }
}

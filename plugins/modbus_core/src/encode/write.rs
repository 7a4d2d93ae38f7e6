//! `write`: a value by its name, or coils and registers as they are.

use flux_plugin_sdk::json::JsonError;
use flux_plugin_sdk::{Json, settings};

use super::{Pdus, Wanted, pdu, wire};
use crate::function::code as function;
use crate::point::Write;
use crate::table::Table;

/// Registers one request may write (Application Protocol V1.1b3, 6.12).
const WRITE_REGISTERS_MAX: usize = 123;
/// Coils one request may write (6.11).
const WRITE_COILS_MAX: usize = 1968;

settings! {
    /// What is to be written: a value by its name, or coils and registers as they are.
    #[derive(Debug)]
    pub struct WriteParams {
        /// The unit; left out, that of the device the command is for, or that of the settings.
        unit: Option<u8>,
        /// Of TCP: the number of the request's transaction; left out, the plugin counts.
        transaction: Option<u16>,
        /// The value of the settings that is meant.
        name: Option<String>,
        /// What it shall be, in its unit of measurement; or one of its words.
        value: Option<Json>,
        /// The table, `coil` or `holding`.
        table: Option<Table>,
        /// The first place, counted as the settings' `address_base` says.
        address: Option<u32>,
        /// What the places from there on shall hold: yes or no for coils, 0 to 65535 for registers.
        values: Option<Vec<Json>>,
    }
}

impl Wanted<'_> {
    pub(super) fn write(&self) -> Pdus {
        let params: WriteParams = self.typed()?;
        let write = match params {
            WriteParams {
                name: Some(name),
                value: Some(value),
                table: None,
                address: None,
                values: None,
                ..
            } => self.named_value(&name, &value)?,
            WriteParams {
                name: None,
                value: None,
                address: Some(address),
                values: Some(values),
                ..
            } => self.places(params.table, address, &values)?,
            _ => {
                return Err(JsonError::new("give either name and value, or address and values"));
            }
        };
        Ok(vec![self.request(&write)])
    }

    fn named_value(&self, name: &str, value: &Json) -> Result<Write, JsonError> {
        let point = self.point(name).map_err(|error| error.within("name"))?;
        if !point.table.is_writable() {
            let text = format!("is in the table {:?}, which can only be read", point.table.word());
            return Err(JsonError::new(text).within("name"));
        }
        point.write(value).map_err(|error| error.within("value"))
    }

    fn places(
        &self,
        table: Option<Table>,
        address: u32,
        values: &[Json],
    ) -> Result<Write, JsonError> {
        let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
        let range = self.range(table, address, count);
        let range = range.map_err(|error| match error.pointer.as_str() {
            "/count" => JsonError::new(error.text).within("values"),
            _ => error,
        })?;
        let most = match range.table {
            Table::Coil => WRITE_COILS_MAX,
            Table::Holding => WRITE_REGISTERS_MAX,
            other => {
                let text = format!("the table {:?} can only be read", other.word());
                return Err(JsonError::new(text).within("table"));
            }
        };
        if values.len() > most {
            let text = format!("has {} values, a request writes at most {most}", values.len());
            return Err(JsonError::new(text).within("values"));
        }
        match range.table {
            Table::Coil => Ok(Write::Coils(range.start, coils(values)?)),
            _ => Ok(Write::Registers(range.start, registers(values, "values")?)),
        }
    }

    /// The request that writes it.
    fn request(&self, write: &Write) -> Vec<u8> {
        match write {
            Write::Coils(place, coils) => match coils[..] {
                // 6.5: FF00 is on, 0000 is off.
                [on] if self.map.single_writes => {
                    pdu(function::WRITE_SINGLE_COIL, &[wire(*place), if on { 0xff00 } else { 0 }])
                }
                _ => write_coils(*place, coils),
            },
            Write::Registers(place, registers) => match registers[..] {
                [register] if self.map.single_writes => {
                    pdu(function::WRITE_SINGLE_REGISTER, &[wire(*place), register])
                }
                _ => write_registers(*place, registers),
            },
            Write::Mask { place, and, or } => {
                pdu(function::MASK_WRITE_REGISTER, &[wire(*place), *and, *or])
            }
        }
    }
}

/// 6.11: the first coil in the lowest bit of the first byte.
fn write_coils(place: u32, coils: &[bool]) -> Vec<u8> {
    let count = u16::try_from(coils.len()).unwrap_or(u16::MAX);
    let mut pdu = pdu(function::WRITE_MULTIPLE_COILS, &[wire(place), count]);
    pdu.push(u8::try_from(coils.len().div_ceil(8)).unwrap_or(u8::MAX));
    pdu.extend(
        coils
            .chunks(8)
            .map(|eight| eight.iter().rev().fold(0, |byte, on| byte << 1 | u8::from(*on))),
    );
    pdu
}

/// 6.12
fn write_registers(place: u32, registers: &[u16]) -> Vec<u8> {
    let count = u16::try_from(registers.len()).unwrap_or(u16::MAX);
    let mut pdu = pdu(function::WRITE_MULTIPLE_REGISTERS, &[wire(place), count]);
    pdu.push(u8::try_from(registers.len() * 2).unwrap_or(u8::MAX));
    pdu.extend(registers.iter().flat_map(|register| register.to_be_bytes()));
    pdu
}

fn coils(values: &[Json]) -> Result<Vec<bool>, JsonError> {
    let coil = |(index, value): (usize, &Json)| {
        let number = value.as_i64().filter(|number| (0..=1).contains(number));
        let on = value.as_bool().or(number.map(|number| number == 1));
        on.ok_or_else(|| JsonError::new("must be true or false").within(index).within("values"))
    };
    values.iter().enumerate().map(coil).collect()
}

/// Registers as they are written: 0 to 65535, or −32768 to −1 for what is meant with a sign.
pub(super) fn registers(values: &[Json], parameter: &str) -> Result<Vec<u16>, JsonError> {
    let register = |(index, value): (usize, &Json)| {
        let number = value.as_i64();
        let unsigned = number.and_then(|number| u16::try_from(number).ok());
        let signed = number.and_then(|number| i16::try_from(number).ok());
        #[allow(clippy::cast_sign_loss)] // two's complement
        let signed = signed.map(|number| number as u16);
        unsigned.or(signed).ok_or_else(|| {
            JsonError::new("must be from 0 to 65535, or from -32768 on with a sign")
                .within(index)
                .within(parameter)
        })
    };
    values.iter().enumerate().map(register).collect()
}

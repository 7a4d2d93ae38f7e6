//! Commands into frames.
//!
//! Owns the commands' names and parameters. Must never make a frame that the specification's
//! limits forbid.

use flux_plugin_sdk::json::JsonError;
use flux_plugin_sdk::{Command, Context, Json, Output, PluginError, Setting};

use crate::error::code;
use crate::function::{self, code as functions};
use crate::map::{self, Map};
use crate::transport::{Adu, PDU_BYTES_MAX, Transport};

mod orders;
mod read;
mod transaction;
mod write;

use transaction::Numbers;

pub(crate) use orders::{
    DiagnosticsParams, IdentifyParams, MaskWriteParams, RawParams, ReadFifoParams, ReadFileParams,
    ReadWriteParams, UnitParams, WriteFileParams,
};
pub(crate) use read::ReadParams;
pub(crate) use write::WriteParams;

/// Frames one command may become: what hosts take by default.
pub const FRAMES_MAX: usize = 256;

/// Whom a command is for, whatever else it takes.
#[derive(Debug, Clone, Copy)]
struct Recipient {
    unit: Option<u8>,
    transaction: Option<u16>,
}

/// Encodes one command: a frame for each request.
///
/// # Errors
/// Codes `command.unknown`, `command.params` with the parameter's place, `settings.invalid`.
pub fn encode<T: Transport>(
    ctx: &Context<'_>,
    command: &Command<'_>,
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let setup = map::of::<T>(ctx)?;
    let (map, params) = (&setup.map, command.params);
    let recipient = recipient(params).map_err(|error| wrong(&error))?;
    let unit = unit::<T>(map, ctx, recipient.unit).map_err(|error| wrong(&error))?;
    let wanted = Wanted { map, unit, params };
    let pdus = match command.name {
        "read" => wanted.read(),
        "write" => wanted.write(),
        "mask_write" => wanted.mask_write(),
        "read_write" => wanted.read_write(),
        "read_file" => wanted.read_file(),
        "write_file" => wanted.write_file(),
        "read_fifo" => wanted.read_fifo(),
        "identify" => wanted.identify(),
        "diagnostics" => wanted.diagnostics(),
        "exception_status" => wanted.plain(functions::READ_EXCEPTION_STATUS),
        "event_counter" => wanted.plain(functions::GET_COMM_EVENT_COUNTER),
        "event_log" => wanted.plain(functions::GET_COMM_EVENT_LOG),
        "server_id" => wanted.plain(functions::REPORT_SERVER_ID),
        "raw" => wanted.raw(),
        _ => return Err(command.unknown()),
    };
    let pdus = pdus.map_err(|error| wrong(&error))?;
    check::<T>(unit, command.name, &pdus).map_err(|error| wrong(&error))?;
    let mut numbers =
        Numbers::of::<T>(ctx, recipient.transaction).map_err(|error| wrong(&error))?;
    let mut frame = Vec::with_capacity(PDU_BYTES_MAX + 8);
    for pdu in &pdus {
        frame.clear();
        T::seal(Adu { transaction: numbers.next(unit, pdu), unit, pdu }, &mut frame);
        out.frame(&frame);
    }
    Ok(())
}

fn wrong(error: &JsonError) -> PluginError {
    PluginError::new(code::PARAMS, error.clone().within("params").to_string())
}

fn recipient(params: &Json) -> Result<Recipient, JsonError> {
    let field = |name: &str| params.get(name).cloned().unwrap_or_default();
    Ok(Recipient {
        unit: Setting::from_json(&field("unit"))
            .map_err(|error: JsonError| error.within("unit"))?,
        transaction: Setting::from_json(&field("transaction"))
            .map_err(|error: JsonError| error.within("transaction"))?,
    })
}

/// The unit a command goes to.
fn unit<T: Transport>(map: &Map, ctx: &Context<'_>, named: Option<u8>) -> Result<u8, JsonError> {
    let of_device = || {
        let key = ctx.device();
        let found = map.units.iter().find(|unit| !key.is_empty() && &*unit.key == key);
        found.map(|unit| unit.number)
    };
    let Some(unit) = named.or_else(of_device).or(map.unit) else {
        let known: Vec<_> = map.units.iter().map(|unit| unit.number.to_string()).collect();
        let text = format!("is missing; there is {}", known.join(", "));
        return Err(JsonError::new(text).within("unit"));
    };
    let everybody = T::HAS_BROADCAST && unit == 0;
    if everybody || map.known_units().contains(unit) {
        return Ok(unit);
    }
    Err(JsonError::new(map.unknown_unit(unit).text).within("unit"))
}

/// Whether these requests may be sent to the unit.
fn check<T: Transport>(unit: u8, command: &str, pdus: &[Vec<u8>]) -> Result<(), JsonError> {
    if pdus.len() > FRAMES_MAX {
        let text = format!("needs {} requests, at most {FRAMES_MAX}: name a group", pdus.len());
        return Err(JsonError::new(text));
    }
    let asks = |pdu: &Vec<u8>| pdu.first().is_some_and(|function| !function::writes(*function));
    if T::HAS_BROADCAST && unit == 0 && command != "raw" && pdus.iter().any(asks) {
        let text = "0 is every unit at once, which none of them answers: only writes go there";
        return Err(JsonError::new(text).within("unit"));
    }
    Ok(())
}

/// What a command wants, and of whom.
pub(crate) struct Wanted<'a> {
    pub(crate) map: &'a Map,
    pub(crate) unit: u8,
    pub(crate) params: &'a Json,
}

/// Requests, or which parameter is wrong.
type Pdus = Result<Vec<Vec<u8>>, JsonError>;

impl Wanted<'_> {
    /// The parameters as what they should be.
    fn typed<P: Setting>(&self) -> Result<P, JsonError> {
        match self.params {
            Json::Null => P::from_json(&Json::Object(Vec::new())),
            params => P::from_json(params),
        }
    }
}

/// A function code and numbers of two bytes.
fn pdu(function: u8, numbers: &[u16]) -> Vec<u8> {
    let mut pdu = vec![function];
    pdu.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    pdu
}

/// A place as frames have it; places are below 65 536.
#[allow(clippy::cast_possible_truncation)]
const fn wire(place: u32) -> u16 {
    place as u16
}

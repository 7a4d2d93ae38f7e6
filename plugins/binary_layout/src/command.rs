//! Commands into frames: fields in reverse.

use flux_plugin_sdk::json::JsonError;
use flux_plugin_sdk::{Command, Context, Json, Output, PluginError};

use crate::bits::{low_bits, to_decimal, with_sign};
use crate::clock::put;
use crate::compile::compile;
use crate::number::parse_hex;
use crate::program::{Amount, Convert, Kind, Param};
use crate::settings::Endian;

/// What stands for the moment a command is written.
const NOW: &str = "now";
const NS_PER_S: i64 = 1_000_000_000;

/// Encodes one command.
///
/// # Errors
/// `settings.invalid`, `command.unknown`, `command.params`.
pub(crate) fn encode(
    ctx: &Context<'_>,
    command: &Command<'_>,
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let program = ctx.compiled(compile)?;
    let known = program.commands.get(command.name).ok_or_else(|| command.unknown())?;
    let frame = known
        .frame(command.params, ctx.received_ns())
        .map_err(|error| PluginError::new("command.params", error.within("params").to_string()))?;
    out.frame(&frame);
    Ok(())
}

impl crate::program::Command {
    fn frame(&self, params: &Json, now_ns: i64) -> Result<Vec<u8>, JsonError> {
        let given = match params {
            Json::Null => &[],
            params => params.members().ok_or_else(|| JsonError::new("must be an object"))?,
        };
        if let Some((name, _)) =
            given.iter().find(|(name, _)| self.params.iter().all(|param| param.name != *name))
        {
            let known: Vec<_> = self.params.iter().map(|param| param.name.as_str()).collect();
            let text = format!("is not known; there is {}", known.join(", "));
            return Err(JsonError::new(text).within(name));
        }
        let mut frame = self.template.clone();
        for param in &self.params {
            let value = params.get(&param.name).or(param.default.as_ref());
            let written = value
                .ok_or_else(|| JsonError::new("is missing"))
                .and_then(|value| write_param(param, value, now_ns, &mut frame));
            written.map_err(|error| error.within(&param.name))?;
        }
        if let Some(checksum) = &self.checksum {
            if let Some((at, covered)) = checksum.span(frame.len()) {
                let computed = checksum.kind.of(frame.get(covered).unwrap_or_default());
                let place = frame.get_mut(at..at + checksum.kind.bytes());
                place.and_then(|place| put(computed.into(), checksum.endian, place));
            }
        }
        Ok(frame)
    }
}

/// Writes one value into a frame, which is long enough: that was checked with the settings.
///
/// # Errors
/// What is wrong with the value.
pub(crate) fn write_param(
    param: &Param,
    value: &Json,
    now_ns: i64,
    frame: &mut [u8],
) -> Result<(), JsonError> {
    let too_large = || JsonError::new("does not fit the field");
    match &param.kind {
        Kind::Whole { bytes: len, endian, signed, convert } => {
            #[allow(clippy::cast_possible_truncation)] // eight at most
            let width = 8 * *len as u32;
            let place = room(frame, param.at, *len)?;
            let raw = merged(convert, raw(convert, value, width, *signed)?, width, place, *endian)?;
            put(raw & low_bits(width), *endian, place).ok_or_else(too_large)
        }
        Kind::Bits { width, signed, is_bool, convert, .. } => {
            let number = match value.as_bool().filter(|_| *is_bool) {
                Some(yes) => yes.into(),
                None => raw(convert, value, *width, *signed)?,
            };
            let span = param.span.ok_or_else(too_large)?;
            span.write(room(frame, param.at, span.bytes)?, number);
            Ok(())
        }
        Kind::Bool => {
            let yes = value.as_bool().ok_or_else(|| JsonError::new("must be true or false"))?;
            room(frame, param.at, 1)?.fill(yes.into());
            Ok(())
        }
        Kind::Float { bytes: len, endian, scale } => {
            let number = value.as_f64().ok_or_else(|| JsonError::new("must be a number"))?;
            let number = scale.undo(number);
            let bits = match len {
                4 => {
                    #[allow(clippy::cast_possible_truncation)] // checked: not infinite
                    let single = number as f32;
                    if !single.is_finite() {
                        return Err(too_large());
                    }
                    single.to_bits().into()
                }
                8 => number.to_bits(),
                _ => return Err(JsonError::new("half precision can be read only")),
            };
            put(bits, *endian, room(frame, param.at, *len)?).ok_or_else(too_large)
        }
        Kind::Decimal { bytes: len, endian, convert } => {
            let digits = to_decimal(raw(convert, value, 64, false)?, *len).ok_or_else(too_large)?;
            put(digits, *endian, room(frame, param.at, *len)?).ok_or_else(too_large)
        }
        Kind::Text(Amount::Fixed(len)) => {
            let text = value.as_str().ok_or_else(|| JsonError::new("must be text"))?;
            padded(text.as_bytes(), room(frame, param.at, *len)?)
        }
        Kind::Hex(Amount::Fixed(len)) | Kind::Bytes(Amount::Fixed(len)) => {
            let read = value.as_str().and_then(parse_hex);
            let read = read.ok_or_else(|| JsonError::new("must be hexadecimal text"))?;
            if read.len() != *len {
                return Err(JsonError::new(format!("must have {len} bytes")));
            }
            padded(&read, room(frame, param.at, *len)?)
        }
        Kind::Time(clock) => {
            let time_ns = match value.as_str() {
                Some(NOW) => Some(now_ns),
                _ => value.as_i64().and_then(|seconds| seconds.checked_mul(NS_PER_S)),
            };
            let time_ns =
                time_ns.ok_or_else(|| JsonError::new("must be seconds since 1970, or \"now\""))?;
            clock.write(time_ns, room(frame, param.at, clock.bytes)?).ok_or_else(too_large)
        }
        _ => Err(JsonError::new("a field of this type or length can be read only")),
    }
}

/// The bytes of a field.
fn room(frame: &mut [u8], at: usize, len: usize) -> Result<&mut [u8], JsonError> {
    let place = frame.get_mut(at..).and_then(|rest| rest.get_mut(..len));
    place.ok_or_else(|| JsonError::new("does not lie within the frame"))
}

/// Text or bytes, zeros behind them.
fn padded(from: &[u8], place: &mut [u8]) -> Result<(), JsonError> {
    let Some((head, tail)) = place.split_at_mut_checked(from.len()) else {
        return Err(JsonError::new(format!("must have at most {} bytes", place.len())));
    };
    head.copy_from_slice(from);
    tail.fill(0);
    Ok(())
}

/// The whole number of a value: words become theirs, scales are undone, what lies between two
/// goes to the nearer one.
fn raw(convert: &Convert, value: &Json, width: u32, signed: bool) -> Result<u64, JsonError> {
    if let Some(word) = value.as_str() {
        let found = convert.labels.iter().find(|(_, known)| *known == word);
        return found.map(|(number, _)| *number).ok_or_else(|| {
            let known: Vec<_> = convert.labels.values().map(String::as_str).collect();
            let known = if known.is_empty() { "a number".to_owned() } else { known.join(", ") };
            JsonError::new(format!("must be {known}"))
        });
    }
    let fits = |raw: u64| {
        let read = if signed { with_sign(raw, width) } else { raw & low_bits(width) };
        (read == raw).then_some(raw)
    };
    #[allow(clippy::cast_sign_loss)] // the bits are meant
    let raw = match value.as_i64().filter(|_| !convert.scale.changes()) {
        Some(whole) if signed || whole >= 0 => Some(whole as u64),
        Some(_) => None,
        None => {
            let number = value.as_f64().ok_or_else(|| JsonError::new("must be a number"))?;
            nearest(convert.scale.undo(number), signed)
        }
    };
    raw.and_then(fits).ok_or_else(|| {
        let (low, high) = range(convert, width, signed);
        JsonError::new(format!("must be from {low} to {high}"))
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the range
fn nearest(number: f64, signed: bool) -> Option<u64> {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    let number = number.round();
    match signed {
        true if (-TWO_TO_63..TWO_TO_63).contains(&number) => Some(number as i64 as u64),
        false if (0.0..2.0 * TWO_TO_63).contains(&number) => Some(number as u64),
        _ => None,
    }
}

/// What a field can hold, in what people measure in.
#[allow(clippy::cast_precision_loss)]
fn range(convert: &Convert, width: u32, signed: bool) -> (f64, f64) {
    let all = low_bits(width);
    let (low, high) = if signed {
        (-((all / 2) as f64) - 1.0, (all / 2) as f64)
    } else {
        (0.0, (convert.mask.unwrap_or(all) >> convert.shift) as f64)
    };
    let (a, b) = (convert.scale.apply(low), convert.scale.apply(high));
    (a.min(b), a.max(b))
}

/// With a mask, the other bits stay as they are.
fn merged(
    convert: &Convert,
    raw: u64,
    width: u32,
    place: &[u8],
    endian: Endian,
) -> Result<u64, JsonError> {
    if convert.mask.is_none() && convert.shift == 0 {
        return Ok(raw);
    }
    let mask = convert.mask.unwrap_or(low_bits(width));
    let shifted = raw << convert.shift;
    if shifted & !mask != 0 || shifted >> convert.shift != raw {
        let (low, high) = range(convert, width, false);
        return Err(JsonError::new(format!("must be from {low} to {high}")));
    }
    Ok(crate::bits::unsigned(place, endian) & !mask | shifted)
}

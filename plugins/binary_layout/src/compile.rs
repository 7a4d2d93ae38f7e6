//! Settings into programs: everything is checked here, once, and said with its place.

mod fields;

use flux_plugin_sdk::PluginError;
use flux_plugin_sdk::json::JsonError;

use crate::command::write_param;
use crate::limits::{FRAME_BYTES_MAX, VARIANTS_MAX};
use crate::program::{
    Checksum, Command, Device, Field, Head, Kind, Layout, Moment, Param, Place, Program,
};
use crate::settings::{
    ChecksumSettings, ChecksumType, CommandSettings, DeviceFormat, DeviceSettings, Endian,
    HeadSettings, Settings, TimeFormat, TimeSettings, VariantSettings,
};
use fields::Compiler;

type Checked<T> = Result<T, JsonError>;

fn wrong(text: impl Into<String>) -> JsonError {
    JsonError::new(text)
}

/// Makes a program of settings.
///
/// # Errors
/// Code `settings.invalid`, with the JSON pointer of what is wrong.
pub(crate) fn compile(settings: Settings) -> Result<Program, PluginError> {
    program(&settings).map_err(|error| PluginError::new("settings.invalid", error.to_string()))
}

fn program(settings: &Settings) -> Checked<Program> {
    if settings.fields.is_empty() && settings.variants.is_empty() && settings.commands.is_empty() {
        return Err(wrong("describes nothing: there are neither fields nor variants nor commands")
            .within("fields"));
    }
    for (name, count) in
        [("variants", settings.variants.len()), ("commands", settings.commands.len())]
    {
        if count > VARIANTS_MAX {
            return Err(wrong(format!("must be at most {VARIANTS_MAX}")).within(name));
        }
    }
    let mut compiler = Compiler::new(settings.endian, settings.bit_order);
    let fields = compiler.fields(&settings.fields).map_err(|error| error.within("fields"))?;
    let common = Common {
        length: length(settings.length)?,
        endian: settings.endian,
        checksum: settings.checksum.as_ref().map(checksum).transpose()?.flatten(),
        device: settings.device.as_ref().map(|one| device(one, settings.endian)).transpose()?,
        ts: settings.ts.as_ref().map(|one| moment(one, settings.endian)).transpose()?,
    };
    let base = Layout {
        length: common.length,
        fields,
        checksum: common.checksum,
        device: common.device.clone(),
        ts: common.ts,
        slots: compiler.slots(),
    };
    check_places(&base).map_err(|error| error.within("fields"))?;
    let mut variants = Vec::new();
    let mut counted = compiler.counted();
    for (index, one) in settings.variants.iter().enumerate() {
        let mut own = compiler.clone();
        own.count_from(counted);
        let compiled = variant(one, settings, &common, &mut own);
        variants.push(compiled.map_err(|error| error.within(index).within("variants"))?);
        counted = own.counted();
    }
    let mut commands = std::collections::BTreeMap::new();
    for (name, one) in &settings.commands {
        let compiled = command(one, settings, &mut counted);
        let compiled = compiled.map_err(|error| error.within(name).within("commands"))?;
        commands.insert(name.clone(), compiled);
    }
    Ok(Program { base, variants, commands })
}

/// What variants have if they do not say otherwise.
struct Common {
    length: Option<usize>,
    endian: Endian,
    checksum: Option<Checksum>,
    device: Option<Device>,
    ts: Option<Moment>,
}

fn variant(
    one: &VariantSettings,
    settings: &Settings,
    common: &Common,
    compiler: &mut Compiler,
) -> Checked<(Head, Layout)> {
    let endian = one.endian.unwrap_or(common.endian);
    compiler.with_orders(endian, one.bit_order.unwrap_or(settings.bit_order));
    let layout = Layout {
        length: length(one.length)?.or(common.length),
        fields: compiler.fields(&one.fields).map_err(|error| error.within("fields"))?,
        checksum: match &one.checksum {
            Some(own) => checksum(own)?,
            None => common.checksum,
        },
        device: match &one.device {
            Some(own) => Some(device(own, endian)?),
            None => common.device.clone(),
        },
        ts: match &one.ts {
            Some(own) => Some(moment(own, endian)?),
            None => common.ts,
        },
        slots: compiler.slots(),
    };
    check_places(&layout).map_err(|error| error.within("fields"))?;
    Ok((head(&one.head).map_err(|error| error.within("head"))?, layout))
}

/// Fields at a fixed place lie within frames of a fixed length.
fn check_places(layout: &Layout) -> Checked<()> {
    let Some(length) = layout.length else { return Ok(()) };
    for (index, field) in layout.fields.iter().enumerate() {
        let Some(place) = field.place else { continue };
        let end = place.within(0, length).and_then(|at| at.checked_add(size(&field.kind)));
        if end.is_none_or(|end| end > length) {
            let text = format!("does not lie within the frame's {length} bytes");
            return Err(wrong(text).within("offset").within(index));
        }
    }
    Ok(())
}

/// Bytes that a field takes at least, behind its place.
fn size(kind: &Kind) -> usize {
    let amount = |amount: crate::program::Amount| match amount {
        crate::program::Amount::Fixed(bytes) => bytes,
        _ => 0,
    };
    match kind {
        Kind::Whole { bytes, .. } | Kind::Float { bytes, .. } | Kind::Decimal { bytes, .. } => {
            *bytes
        }
        Kind::Bits { first, width, .. } => (first.unwrap_or(0) + width).div_ceil(8) as usize,
        Kind::Bool => 1,
        Kind::Text(len) | Kind::Hex(len) | Kind::Bytes(len) | Kind::Pad(len) => amount(*len),
        Kind::Time(clock) => clock.bytes,
        Kind::Group { .. } | Kind::Switch { .. } => 0,
    }
}

fn length(length: Option<u32>) -> Checked<Option<usize>> {
    match length.map(|length| length as usize) {
        Some(0) => Err(wrong("must be at least 1").within("length")),
        Some(length) if length > FRAME_BYTES_MAX => {
            Err(wrong(format!("must be at most {FRAME_BYTES_MAX}")).within("length"))
        }
        length => Ok(length),
    }
}

fn place(offset: i64) -> Checked<Place> {
    let bytes = usize::try_from(offset.unsigned_abs()).ok().filter(|at| *at <= FRAME_BYTES_MAX);
    let bytes = bytes.ok_or_else(|| {
        wrong(format!("must be from -{FRAME_BYTES_MAX} to {FRAME_BYTES_MAX}")).within("offset")
    })?;
    Ok(if offset < 0 { Place::End(bytes) } else { Place::Start(bytes) })
}

/// `None` for the type that is none.
fn checksum(one: &ChecksumSettings) -> Checked<Option<Checksum>> {
    let named = |name: &'static str| {
        move |error: JsonError| wrong(error.text).within(name).within("checksum")
    };
    let kind = one.r#type;
    if kind == ChecksumType::None {
        return Ok(None);
    }
    Ok(Some(Checksum {
        kind,
        place: match one.offset {
            Some(offset) => place(offset).map_err(named("offset"))?,
            None => Place::End(kind.bytes()),
        },
        from: place(one.from).map_err(named("from"))?,
        to: one.to.map(place).transpose().map_err(named("to"))?,
        endian: one.endian.unwrap_or(kind.usual_endian()),
    }))
}

fn device(one: &DeviceSettings, endian: Endian) -> Checked<Device> {
    let max = if one.format == DeviceFormat::Unsigned { 8 } else { 64 };
    let within = |error: JsonError| error.within("device");
    if !(1..=max).contains(&one.length) {
        return Err(within(wrong(format!("must be 1 to {max}")).within("length")));
    }
    if one.prefix.len() > 100 {
        return Err(within(wrong("must have at most 100 bytes").within("prefix")));
    }
    Ok(Device {
        place: place(one.offset).map_err(within)?,
        bytes: one.length as usize,
        format: one.format,
        endian: one.endian.unwrap_or(endian),
        prefix: one.prefix.clone(),
    })
}

fn moment(one: &TimeSettings, endian: Endian) -> Checked<Moment> {
    let clock = clock(one, endian).map_err(|error| error.within("ts"))?;
    Ok(Moment { place: place(one.offset).map_err(|error| error.within("ts"))?, clock })
}

fn clock(one: &TimeSettings, endian: Endian) -> Checked<crate::clock::Clock> {
    let (allowed, usual) = match one.format {
        TimeFormat::EpochS => (4..=8, 4),
        TimeFormat::EpochMs => (6..=8, 8),
        TimeFormat::Bcd => (6..=7, 6),
        TimeFormat::Bytes => (6..=6, 6),
    };
    let bytes = one.length.unwrap_or(usual);
    if !allowed.contains(&bytes) {
        let text = format!("must be {} to {} for this format", allowed.start(), allowed.end());
        return Err(wrong(text).within("length"));
    }
    // A day and a half: further from UTC no clock is set.
    if one.utc_offset_min.abs() > 36 * 60 {
        return Err(wrong("must be from -2160 to 2160").within("utc_offset_min"));
    }
    Ok(crate::clock::Clock {
        format: one.format,
        bytes: bytes as usize,
        endian: one.endian.unwrap_or(endian),
        since_s: one.since_s,
        utc_offset_s: i64::from(one.utc_offset_min) * 60,
    })
}

fn head(one: &HeadSettings) -> Checked<Head> {
    let bytes = one.bytes.0.clone();
    if bytes.is_empty() || bytes.len() > 64 {
        return Err(wrong("must have 1 to 64 bytes").within("bytes"));
    }
    let mask = one.mask.as_ref().map_or_else(|| vec![0xff; bytes.len()], |mask| mask.0.clone());
    if mask.len() != bytes.len() {
        return Err(wrong("must have as many bytes as `bytes`").within("mask"));
    }
    Ok(Head { place: place(one.offset)?, bytes, mask })
}

fn command(one: &CommandSettings, settings: &Settings, counted: &mut usize) -> Checked<Command> {
    let endian = one.endian.unwrap_or(settings.endian);
    let order = one.bit_order.unwrap_or(settings.bit_order);
    let mut compiler = Compiler::of_command(endian, order);
    compiler.count_from(*counted);
    let fields = compiler.fields(&one.fields).map_err(|error| error.within("fields"))?;
    *counted = compiler.counted();
    let checksum = one.checksum.as_ref().map(checksum).transpose()?.flatten();
    let given = length(one.length)?.or(Some(one.template.0.len()).filter(|len| *len > 0));
    let (places, end) = places(&fields, given).map_err(|error| error.within("fields"))?;
    let at_end = checksum.map_or(0, |checksum| checksum.at_end());
    let length = given.unwrap_or(end + at_end);
    if length == 0 || length > FRAME_BYTES_MAX {
        return Err(wrong(format!("must be 1 to {FRAME_BYTES_MAX}")).within("length"));
    }
    if one.template.0.len() > length {
        return Err(wrong(format!("has more than the frame's {length} bytes")).within("template"));
    }
    if checksum.is_some_and(|checksum| checksum.span(length).is_none()) {
        return Err(wrong(format!("does not fit the frame's {length} bytes")).within("checksum"));
    }
    let mut command = Command { template: one.template.0.clone(), params: Vec::new(), checksum };
    command.template.resize(length, 0);
    for (index, (field, at)) in fields.into_iter().zip(places).enumerate() {
        let settings = &one.fields[index];
        let placed = place_param(&mut command, field, at, settings);
        placed.map_err(|error| error.within(index).within("fields"))?;
    }
    Ok(command)
}

/// Where each field of a command begins, in bits, and where the last one ends, in bytes.
fn places(fields: &[Field], length: Option<usize>) -> Checked<(Vec<usize>, usize)> {
    let mut places = Vec::new();
    let (mut bit, mut end) = (0, 0);
    for (index, field) in fields.iter().enumerate() {
        let at = |error: JsonError| error.within(index);
        if let Some(place) = field.place {
            let missing = || at(wrong("needs a length to count back from").within("offset"));
            let byte = match place {
                Place::Start(byte) => byte,
                Place::End(_) => {
                    length.and_then(|length| place.within(0, length)).ok_or_else(missing)?
                }
            };
            bit = 8 * byte;
        }
        let begin = match &field.kind {
            Kind::Bits { first: Some(first), .. } => bit + *first as usize,
            Kind::Bits { .. } => bit,
            _ => bit.div_ceil(8) * 8,
        };
        bit = match &field.kind {
            Kind::Bits { width, .. } => begin + *width as usize,
            kind => begin + 8 * size(kind),
        };
        end = end.max(bit.div_ceil(8));
        if length.is_some_and(|length| end > length) {
            let length = length.unwrap_or_default();
            return Err(at(wrong(format!("ends behind the frame's {length} bytes"))));
        }
        places.push(begin);
    }
    Ok((places, end))
}

/// What always stands there is written into the template; what has a name becomes a parameter.
fn place_param(
    command: &mut Command,
    field: Field,
    begin: usize,
    settings: &crate::settings::FieldSettings,
) -> Checked<()> {
    let name = settings.name.clone();
    let span = match &field.kind {
        #[allow(clippy::cast_possible_truncation)] // below 8
        Kind::Bits { width, order, .. } => {
            Some(crate::bits::Span::new((begin % 8) as u32, *width, *order))
        }
        _ => None,
    };
    if let Kind::Pad(_) = field.kind {
        return Ok(());
    }
    let param = Param {
        name: name.clone().unwrap_or_default(),
        at: begin / 8,
        span,
        kind: field.kind,
        default: settings.default.clone(),
    };
    if let Some(value) = &settings.value {
        let written = write_param(&param, value, 0, &mut command.template);
        return written.map_err(|error| error.within("value"));
    }
    if name.is_none() {
        return Err(wrong("must have a name, or a value that always stands there"));
    }
    if let Some(default) = &param.default {
        let mut scratch = command.template.clone();
        let written = write_param(&param, default, 0, &mut scratch);
        written.map_err(|error| error.within("default"))?;
    }
    if command.params.iter().any(|known| known.name == param.name) {
        return Err(wrong("another field has this name already").within("name"));
    }
    command.params.push(param);
    Ok(())
}

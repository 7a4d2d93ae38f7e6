//! Reading frames by a program.
//!
//! Must never trust a number of the frame: every place is looked up within the frame, every count
//! ends at a limit, and so does the sum of all work.

use std::borrow::Cow;

use flux_plugin_sdk::{Context, Output, PluginError, debug};

use crate::bits::{Span, decimal, half, unsigned, with_sign};
use crate::compile::compile;
use crate::draft::{Draft, Value};
use crate::limits::{FRAME_BYTES_MAX, REPEAT_MAX, STEPS_MAX, VALUES_MAX};
use crate::number::hex;
use crate::program::{
    Amount, Checksum, Condition, Convert, Device, Field, Kind, Layout, Moment, Place, Program,
    Repeat, When,
};
use crate::settings::DeviceFormat;

/// Decodes one frame.
///
/// # Errors
/// `settings.invalid`, `layout.length`, `layout.head`, `layout.checksum`, `layout.device`: nothing is
/// taken. `layout.truncated`, `layout.value`, `layout.case`, `layout.limit`: what was read before
/// counts.
pub(crate) fn decode(
    ctx: &Context<'_>,
    raw: &[u8],
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let program = ctx.compiled(compile)?;
    if raw.len() > FRAME_BYTES_MAX {
        return Err(length(format!("{} bytes; a frame has at most {FRAME_BYTES_MAX}", raw.len())));
    }
    let layout = choose(&program, raw)?;
    if let Some(expected) = layout.length.filter(|expected| *expected != raw.len()) {
        return Err(length(format!("{} bytes, {expected} are expected", raw.len())));
    }
    if let Some(checksum) = &layout.checksum {
        prove(checksum, raw)?;
    }
    let device = layout.device.as_ref().map_or(Ok(String::new()), |device| key(device, raw))?;
    let mut run = Run {
        frame: raw,
        end: raw.len() - layout.checksum.map_or(0, |checksum| checksum.at_end()).min(raw.len()),
        device: &device,
        out,
        slots: vec![None; layout.slots],
        steps: 0,
        values: 0,
        problem: None,
    };
    let time_ns = layout.ts.and_then(|ts| run.moment(&ts, 0));
    let mut draft = Draft::new(time_ns);
    let mut at = Position { base: 0, bit: 0, index: 0 };
    let mut read = run.fields(&program.base.fields, &mut at, &mut draft);
    if !program.variants.is_empty() {
        read = read.and_then(|()| run.fields(&layout.fields, &mut at, &mut draft));
    }
    draft.write(&device, run.out);
    read?;
    run.problem.map_or(Ok(()), Err)
}

fn length(text: String) -> PluginError {
    PluginError::new("layout.length", text)
}

fn choose<'p>(program: &'p Program, frame: &[u8]) -> Result<&'p Layout, PluginError> {
    if program.variants.is_empty() {
        return Ok(&program.base);
    }
    let fits = program.variants.iter().find(|(head, _)| head.fits(frame));
    fits.map(|(_, layout)| layout).ok_or_else(|| {
        let head = hex(frame.get(..8).unwrap_or(frame));
        let text = format!("the frame begins with {head}, which is none of the variants");
        PluginError::new("layout.head", text)
    })
}

fn prove(checksum: &Checksum, frame: &[u8]) -> Result<(), PluginError> {
    let span = checksum.span(frame.len());
    let found = span.and_then(|(at, covered)| {
        let written = frame.get(at..at + checksum.kind.bytes())?;
        Some((unsigned(written, checksum.endian), frame.get(covered)?))
    });
    let Some((written, covered)) = found else {
        return Err(length(format!("{} bytes leave no room for the checksum", frame.len())));
    };
    let computed = u64::from(checksum.kind.of(covered));
    if written == computed {
        return Ok(());
    }
    let digits = 2 * checksum.kind.bytes();
    let text = format!("the checksum is {computed:0digits$x}, the frame says {written:0digits$x}");
    Err(PluginError::new("layout.checksum", text))
}

fn key(device: &Device, frame: &[u8]) -> Result<String, PluginError> {
    let wrong = |text: &str| PluginError::new("layout.device", text.to_owned());
    let at = device.place.within(0, frame.len());
    let bytes = at.and_then(|at| frame.get(at..)?.get(..device.bytes));
    let bytes = bytes.ok_or_else(|| wrong("the frame ends before the device's key"))?;
    let key: Cow<'_, str> = match device.format {
        DeviceFormat::Hex => hex(bytes).into(),
        DeviceFormat::Unsigned => unsigned(bytes, device.endian).to_string().into(),
        DeviceFormat::Bcd => {
            let key = hex(bytes);
            if key.bytes().any(|digit| !digit.is_ascii_digit()) {
                return Err(wrong("the device's key is not made of decimal digits"));
            }
            key.into()
        }
        DeviceFormat::Ascii => {
            let text = text(bytes);
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(wrong("the device's key is no text"));
            }
            text
        }
    };
    Ok(format!("{}{key}", device.prefix))
}

/// Up to a zero byte, without white space at the end; what is not UTF-8 is read as ISO 8859-1.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii_end();
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
    }
}

/// Where the next field is.
#[derive(Debug, Clone, Copy)]
struct Position {
    /// Where the frame or the group begins, in bytes.
    base: usize,
    /// Behind the field before, in bits of the frame.
    bit: usize,
    /// The number of the repetition.
    index: u32,
}

/// A frame being read: `'a` is how long the frame and the program are there.
struct Run<'a, 'r, 'o> {
    frame: &'a [u8],
    /// Where the checksum at the end begins.
    end: usize,
    device: &'r str,
    out: &'r mut Output<'o>,
    slots: Vec<Option<u64>>,
    steps: u32,
    values: usize,
    /// The first value that cannot be; the others count.
    problem: Option<PluginError>,
}

type Read<T> = Result<T, PluginError>;

impl<'a> Run<'a, '_, '_> {
    fn fields(
        &mut self,
        fields: &'a [Field],
        at: &mut Position,
        draft: &mut Draft<'a>,
    ) -> Read<()> {
        for field in fields {
            if field.when.as_ref().is_some_and(|when| !self.is_met(when, at.base)) {
                if let Some(slot) = field.slot {
                    self.slots[slot] = None;
                }
                continue;
            }
            match &field.repeat {
                None => self.field(field, at, draft)?,
                Some(repeat) => self.repeated(field, repeat, at, draft)?,
            }
        }
        Ok(())
    }

    fn is_met(&self, when: &When, base: usize) -> bool {
        let number = match when.what {
            Condition::Slot(slot) => self.slots.get(slot).copied().flatten(),
            Condition::Byte(place) => {
                let at = place.within(base, self.frame.len());
                at.and_then(|at| self.frame.get(at)).map(|byte| u64::from(*byte))
            }
        };
        number.is_some_and(|number| when.equals.contains(&(number & when.mask)))
    }

    fn repeated(
        &mut self,
        field: &'a Field,
        repeat: &'a Repeat,
        at: &mut Position,
        draft: &mut Draft<'a>,
    ) -> Read<()> {
        let count = match repeat.count {
            Amount::End => None,
            amount => Some(self.amount(amount, 0)?),
        };
        if count.is_some_and(|count| count > REPEAT_MAX) {
            return Err(limit(format!("a field is repeated more than {REPEAT_MAX} times")));
        }
        let first = match field.place {
            Some(place) => self.start(place, at.base)?,
            None => at.bit.div_ceil(8),
        };
        let mut inner = Position { bit: 8 * first, ..*at };
        let mut is_at_end = count.is_some();
        // One round more than there may be: it finds the end, or that there is none.
        for round in 0..count.unwrap_or(REPEAT_MAX + 1) {
            let begin = match repeat.stride {
                Some(stride) => first.saturating_add(stride.saturating_mul(round)),
                None => inner.bit.div_ceil(8),
            };
            if count.is_none() && begin >= self.end {
                is_at_end = true;
                break;
            }
            if round == REPEAT_MAX {
                break;
            }
            inner.bit = 8 * begin;
            #[allow(clippy::cast_possible_truncation)] // REPEAT_MAX at most
            let index = repeat.from.saturating_add(round as u32);
            inner.index = index;
            self.body(field, &mut inner, draft)?;
            // Whatever takes no room would be there for ever.
            if count.is_none() && repeat.stride.is_none() && inner.bit <= 8 * begin {
                return Err(limit(format!("what is repeated at byte {begin} takes no room")));
            }
        }
        if !is_at_end {
            return Err(limit(format!("a field is repeated more than {REPEAT_MAX} times")));
        }
        at.bit = inner.bit;
        Ok(())
    }

    fn field(&mut self, field: &'a Field, at: &mut Position, draft: &mut Draft<'a>) -> Read<()> {
        if let Some(place) = field.place {
            at.bit = 8 * self.start(place, at.base)?;
        }
        self.body(field, at, draft)
    }

    /// A field that begins where the position is.
    fn body(&mut self, field: &'a Field, at: &mut Position, draft: &mut Draft<'a>) -> Read<()> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(limit(format!("more than {STEPS_MAX} fields are looked at")));
        }
        match &field.kind {
            Kind::Group { fields, ts } => self.group(fields, ts.as_ref(), at, draft),
            Kind::Switch { on, cases, otherwise } => {
                let number = self.slots.get(*on).copied().flatten();
                let chosen = number.and_then(|number| cases.get(&number)).or(otherwise.as_ref());
                match (chosen, number) {
                    (Some(fields), _) => self.fields(fields, at, draft),
                    (None, Some(number)) => Err(PluginError::new(
                        "layout.case",
                        format!("byte {}: there is no case for 0x{number:x}", at.bit / 8),
                    )),
                    (None, None) => Ok(()),
                }
            }
            _ => {
                let value = self.value(field, at)?;
                if let (Some(name), Some(value)) = (&field.name, value) {
                    if self.values == VALUES_MAX {
                        return Err(limit(format!("the frame has more than {VALUES_MAX} values")));
                    }
                    self.values += 1;
                    draft.add(name, at.index, value, self.device, self.out);
                }
                Ok(())
            }
        }
    }

    /// Offsets within a group count from where it begins.
    fn group(
        &mut self,
        fields: &'a [Field],
        ts: Option<&Moment>,
        at: &mut Position,
        draft: &mut Draft<'a>,
    ) -> Read<()> {
        let base = at.bit.div_ceil(8);
        let mut inner = Position { base, bit: 8 * base, index: at.index };
        let read = match ts {
            None => self.fields(fields, &mut inner, draft),
            Some(ts) => {
                let time_ns = self.moment(ts, base);
                let mut own = Draft::new(time_ns);
                let read = self.fields(fields, &mut inner, &mut own);
                own.write(self.device, self.out);
                // The moment itself takes room, wherever in the group it is.
                if let Place::Start(offset) = ts.place {
                    inner.bit = inner.bit.max(8 * (base + offset + ts.clock.bytes));
                }
                read
            }
        };
        at.bit = inner.bit;
        read
    }

    fn start(&self, place: Place, base: usize) -> Read<usize> {
        let found = place.within(base, self.frame.len()).filter(|at| *at <= self.frame.len());
        found.ok_or_else(|| truncated(self.frame.len()))
    }

    /// A count or a length; as much as there is from that byte on.
    fn amount(&self, amount: Amount, from: usize) -> Read<usize> {
        match amount {
            Amount::Fixed(number) => Ok(number),
            Amount::End => Ok(self.end.saturating_sub(from)),
            // What was left out counts nothing; what no memory holds is not in the frame either.
            Amount::Slot(slot) => Ok(self
                .slots
                .get(slot)
                .copied()
                .flatten()
                .map_or(0, |number| usize::try_from(number).unwrap_or(usize::MAX))),
        }
    }

    /// The next bytes, from the next whole byte on.
    fn take(&self, at: &mut Position, len: usize) -> Read<&'a [u8]> {
        let begin = at.bit.div_ceil(8);
        let found = self.frame.get(begin..).and_then(|rest| rest.get(..len));
        let found = found.ok_or_else(|| truncated(begin))?;
        at.bit = 8 * (begin + len);
        Ok(found)
    }

    /// A moment; `None` if it is none, or not there.
    fn moment(&mut self, moment: &Moment, base: usize) -> Option<i64> {
        let at = moment.place.within(base, self.frame.len())?;
        let bytes = self.frame.get(at..)?.get(..moment.clock.bytes)?;
        let read = moment.clock.read(bytes);
        if read.is_none() {
            self.wrong(at, &format!("{} is no moment", hex(bytes)));
        }
        read
    }

    fn wrong(&mut self, at: usize, what: &str) {
        debug!("byte {at}: {what}");
        self.problem
            .get_or_insert_with(|| PluginError::new("layout.value", format!("byte {at}: {what}")));
    }

    /// What a field says; `None` if it says nothing.
    fn value(&mut self, field: &'a Field, at: &mut Position) -> Read<Option<Value<'a>>> {
        let begin = at.bit.div_ceil(8);
        match &field.kind {
            Kind::Whole { bytes, endian, signed, convert } => {
                let raw = unsigned(self.take(at, *bytes)?, *endian);
                #[allow(clippy::cast_possible_truncation)] // eight at most
                let raw = if *signed { with_sign(raw, 8 * *bytes as u32) } else { raw };
                Ok(self.number(field.slot, convert, *signed, raw))
            }
            Kind::Bits { first, width, order, signed, is_bool, convert } => {
                let from = first.map_or(at.bit, |first| at.bit.div_ceil(8) * 8 + first as usize);
                #[allow(clippy::cast_possible_truncation)] // below 8
                let span = Span::new((from % 8) as u32, *width, *order);
                let mut bytes = Position { bit: from / 8 * 8, ..*at };
                let raw = span.read(self.take(&mut bytes, span.bytes)?);
                at.bit = from + *width as usize;
                if *is_bool {
                    self.keep(field.slot, raw);
                    return Ok(Some(Value::Bool(raw != 0)));
                }
                let raw = if *signed { with_sign(raw, *width) } else { raw };
                Ok(self.number(field.slot, convert, *signed, raw))
            }
            Kind::Bool => {
                let yes = self.take(at, 1)? != [0];
                self.keep(field.slot, yes.into());
                Ok(Some(Value::Bool(yes)))
            }
            Kind::Float { bytes, endian, scale } => {
                let bits = unsigned(self.take(at, *bytes)?, *endian);
                #[allow(clippy::cast_possible_truncation)] // as many as were read
                let number = match bytes {
                    2 => half(bits),
                    4 => f64::from(f32::from_bits(bits as u32)),
                    _ => f64::from_bits(bits),
                };
                let number = if scale.changes() { scale.apply(number) } else { number };
                Ok(number.is_finite().then_some(Value::Number(number)))
            }
            Kind::Decimal { bytes, endian, convert } => {
                let digits = unsigned(self.take(at, *bytes)?, *endian);
                if convert.nulls.contains(&digits) {
                    self.forget(field.slot);
                    return Ok(None);
                }
                let Some(number) = decimal(digits, *bytes) else {
                    self.forget(field.slot);
                    self.wrong(begin, "not decimal digits");
                    return Ok(None);
                };
                Ok(self.number(field.slot, convert, false, number))
            }
            Kind::Text(len) => Ok(Some(Value::Text(text(self.counted(*len, at)?)))),
            Kind::Hex(len) => Ok(Some(Value::Text(hex(self.counted(*len, at)?).into()))),
            Kind::Bytes(len) => Ok(Some(Value::Bytes(self.counted(*len, at)?))),
            Kind::Pad(len) => self.counted(*len, at).map(|_| None),
            Kind::Time(clock) => {
                let bytes = self.take(at, clock.bytes)?;
                let read = clock.read(bytes);
                if read.is_none() {
                    self.wrong(begin, &format!("{} is no moment", hex(bytes)));
                }
                Ok(read.map(Value::Time))
            }
            Kind::Group { .. } | Kind::Switch { .. } => Ok(None),
        }
    }

    fn counted(&self, len: Amount, at: &mut Position) -> Read<&'a [u8]> {
        let len = self.amount(len, at.bit.div_ceil(8))?;
        self.take(at, len)
    }

    fn keep(&mut self, slot: Option<usize>, number: u64) {
        if let Some(slot) = slot.and_then(|slot| self.slots.get_mut(slot)) {
            *slot = Some(number);
        }
    }

    fn forget(&mut self, slot: Option<usize>) {
        if let Some(slot) = slot.and_then(|slot| self.slots.get_mut(slot)) {
            *slot = None;
        }
    }

    /// A whole number as the settings want it.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_wrap)] // what measuring is about
    fn number(
        &mut self,
        slot: Option<usize>,
        convert: &'a Convert,
        signed: bool,
        raw: u64,
    ) -> Option<Value<'a>> {
        let raw = convert.apply(raw);
        if convert.nulls.contains(&raw) {
            self.forget(slot);
            return None;
        }
        self.keep(slot, raw);
        if let Some(word) = convert.labels.get(&raw) {
            return Some(Value::Text(word.as_str().into()));
        }
        let whole = raw as i64;
        let fits = signed || whole >= 0;
        if fits && !convert.scale.changes() {
            return Some(Value::Whole(whole));
        }
        let number = convert.scale.apply(if fits { whole as f64 } else { raw as f64 });
        number.is_finite().then_some(Value::Number(number))
    }
}

fn truncated(at: usize) -> PluginError {
    let text = format!("the frame ends within the field at byte {at}, or before it");
    PluginError::new("layout.truncated", text)
}

fn limit(text: String) -> PluginError {
    PluginError::new("layout.limit", text)
}

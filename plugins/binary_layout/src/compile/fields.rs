//! Fields, one by one.

use std::collections::{BTreeMap, BTreeSet};

use flux_plugin_sdk::Scale;

use super::{Checked, clock, moment, place, wrong};
use crate::bits::{low_bits, with_sign};
use crate::limits::{DEPTH_MAX, FIELDS_MAX, FRAME_BYTES_MAX, REPEAT_MAX};
use crate::number::{Amount as AmountSettings, ByNumber, Numbers};
use crate::program::{Amount, Condition, Convert, Field, Kind, Name, Repeat, When};
use crate::settings::{
    BitOrder, Endian, FieldSettings, FieldType, RepeatSettings, TimeSettings, WhenSettings,
};

/// Bytes of a name; the number of a repetition fits behind it.
const NAME_BYTES_MAX: usize = 200;
const INDEX: &str = "{i}";

/// What is known on the way through the fields.
#[derive(Debug, Clone)]
pub(super) struct Compiler {
    endian: Endian,
    order: BitOrder,
    /// Names whose numbers other fields can look at, and where those are kept.
    visible: Vec<(String, usize)>,
    /// Names of values.
    names: BTreeSet<String>,
    fields: usize,
    depth: usize,
    in_repeat: bool,
    /// Within a field that is not always there.
    is_conditional: bool,
    /// Whether the fields are to be written.
    is_command: bool,
}

/// What is asked of a field beside its type.
struct Whole<'s> {
    field: &'s FieldSettings,
    width: u32,
    signed: bool,
}

impl Compiler {
    pub(super) fn new(endian: Endian, order: BitOrder) -> Self {
        Self {
            endian,
            order,
            visible: Vec::new(),
            names: BTreeSet::new(),
            fields: 0,
            depth: 0,
            in_repeat: false,
            is_conditional: false,
            is_command: false,
        }
    }

    pub(super) fn of_command(endian: Endian, order: BitOrder) -> Self {
        Self { is_command: true, ..Self::new(endian, order) }
    }

    /// From here on.
    pub(super) fn with_orders(&mut self, endian: Endian, order: BitOrder) {
        (self.endian, self.order) = (endian, order);
    }

    /// Fields so far, of all the settings.
    pub(super) const fn counted(&self) -> usize {
        self.fields
    }

    pub(super) fn count_from(&mut self, fields: usize) {
        self.fields = fields;
    }

    /// Numbers that are kept.
    pub(super) fn slots(&self) -> usize {
        self.visible.len()
    }

    pub(super) fn fields(&mut self, fields: &[FieldSettings]) -> Checked<Vec<Field>> {
        if self.depth > DEPTH_MAX {
            return Err(wrong(format!("fields can be at most {DEPTH_MAX} deep within fields")));
        }
        let compile = |(index, field)| self.field(field).map_err(|error| error.within(index));
        fields.iter().enumerate().map(compile).collect()
    }

    fn nested(&mut self, fields: &[FieldSettings]) -> Checked<Vec<Field>> {
        self.depth += 1;
        let compiled = self.fields(fields);
        self.depth -= 1;
        compiled
    }

    fn field(&mut self, field: &FieldSettings) -> Checked<Field> {
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            return Err(wrong(format!("there are more than {FIELDS_MAX} fields")));
        }
        check_members(field)?;
        if self.is_command {
            check_written(field)?;
        } else if let Some(name) =
            first_of(&[("value", field.value.is_some()), ("default", field.default.is_some())])
        {
            return Err(wrong("is for commands only").within(name));
        }
        let place = field.offset.map(place).transpose()?;
        let when = field.when.as_ref().map(|when| self.when(when)).transpose();
        let when = when.map_err(|error| error.within("when"))?;
        let repeat = field.repeat.as_ref().map(|repeat| self.repeat(repeat)).transpose();
        let repeat = repeat.map_err(|error| error.within("repeat"))?;

        let outer = (self.in_repeat, self.is_conditional);
        self.in_repeat |= repeat.is_some();
        self.is_conditional |= when.is_some();
        let kind = self.kind(field);
        let name = kind.as_ref().ok().map(|_| self.name(field)).transpose();
        (self.in_repeat, self.is_conditional) = outer;

        let (kind, name) = (kind?, name?.flatten());
        let slot = self.slot(field, &kind);
        Ok(Field { place, when, kind, name, slot, repeat })
    }

    /// A whole number with a name can be looked at by what comes behind it.
    fn slot(&mut self, field: &FieldSettings, kind: &Kind) -> Option<usize> {
        let is_whole = matches!(
            kind,
            Kind::Whole { .. } | Kind::Bits { .. } | Kind::Bool | Kind::Decimal { .. }
        );
        let name = field.name.as_ref().filter(|_| is_whole)?;
        let slot = self.visible.len();
        self.visible.push((name.clone(), slot));
        Some(slot)
    }

    fn look_up(&self, name: &str) -> Checked<usize> {
        let found = self.visible.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, slot)| *slot).ok_or_else(|| {
            wrong(format!("no field before is called {name:?} and has a whole number"))
        })
    }

    /// `None`: it is no value.
    fn name(&mut self, field: &FieldSettings) -> Checked<Option<Name>> {
        let Some(text) = &field.name else { return Ok(None) };
        let at = |text: String| wrong(text).within("name");
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            return Err(at(format!("must have 1 to {NAME_BYTES_MAX} bytes")));
        }
        let (before, after) = match text.split_once(INDEX) {
            None => (text.as_str(), None),
            Some((_, after)) if after.contains(INDEX) => {
                return Err(at("can have {i} only once".to_owned()));
            }
            Some((before, after)) if self.in_repeat => (before, Some(after.to_owned())),
            Some(_) => return Err(at("has {i}, and nothing is repeated".to_owned())),
        };
        if field.hidden {
            return Ok(None);
        }
        let is_new = self.names.insert(text.clone());
        if !is_new && !self.is_conditional {
            return Err(at("another field has this name already".to_owned()));
        }
        let repeats = !is_new || (self.in_repeat && after.is_none());
        Ok(Some(Name { before: before.to_owned(), after, repeats }))
    }

    fn when(&self, when: &WhenSettings) -> Checked<When> {
        let what = match (&when.field, when.offset) {
            (Some(field), None) => {
                Condition::Slot(self.look_up(field).map_err(|error| error.within("field"))?)
            }
            (None, Some(offset)) => Condition::Byte(place(offset)?),
            _ => return Err(wrong("must have either `field` or `offset`")),
        };
        if when.equals.0.is_empty() {
            return Err(wrong("must have at least one number").within("equals"));
        }
        let mask = when.mask.map_or(u64::MAX, |mask| mask.0);
        Ok(When { what, mask, equals: when.equals.0.clone() })
    }

    fn repeat(&self, repeat: &RepeatSettings) -> Checked<Repeat> {
        if self.in_repeat {
            return Err(wrong("cannot be within something that is repeated"));
        }
        if repeat.stride == Some(0) {
            return Err(wrong("must be at least 1").within("stride"));
        }
        let count = match &repeat.count {
            AmountSettings::Fixed(count) if !(1..=REPEAT_MAX).contains(&(*count as usize)) => {
                return Err(wrong(format!("must be 1 to {REPEAT_MAX}")).within("count"));
            }
            count => self.amount(count).map_err(|error| error.within("count"))?,
        };
        let stride = repeat.stride.map(|stride| stride as usize);
        Ok(Repeat { count, stride, from: repeat.from })
    }

    fn amount(&self, amount: &AmountSettings) -> Checked<Amount> {
        Ok(match amount {
            AmountSettings::Fixed(number) => Amount::Fixed(*number as usize),
            AmountSettings::Field(name) => Amount::Slot(self.look_up(name)?),
            AmountSettings::End => Amount::End,
        })
    }

    fn length(&self, field: &FieldSettings) -> Checked<Amount> {
        let at = |text: &str| wrong(text).within("length");
        match &field.length {
            None => Err(at("is missing")),
            Some(AmountSettings::Fixed(0)) => Err(at("must be at least 1")),
            Some(AmountSettings::Fixed(bytes)) if *bytes as usize > FRAME_BYTES_MAX => {
                Err(at("is more than a frame can have"))
            }
            Some(amount) => self.amount(amount).map_err(|error| error.within("length")),
        }
    }

    /// A length that is a number.
    fn bytes(field: &FieldSettings, max: u32) -> Checked<Option<u32>> {
        match &field.length {
            None => Ok(None),
            Some(AmountSettings::Fixed(bytes)) if (1..=max).contains(bytes) => Ok(Some(*bytes)),
            Some(_) => Err(wrong(format!("must be a number from 1 to {max}")).within("length")),
        }
    }

    fn kind(&mut self, field: &FieldSettings) -> Checked<Kind> {
        let endian = field.endian.unwrap_or(self.endian);
        let order = field.bit_order.unwrap_or(self.order);
        if let Some((bytes, signed)) = whole(field.r#type) {
            let convert = convert(&Whole { field, width: 8 * bytes, signed })?;
            return Ok(Kind::Whole { bytes: bytes as usize, endian, signed, convert });
        }
        Ok(match field.r#type {
            FieldType::F16 => Kind::Float { bytes: 2, endian, scale: scale(field)? },
            FieldType::F32 => Kind::Float { bytes: 4, endian, scale: scale(field)? },
            FieldType::F64 => Kind::Float { bytes: 8, endian, scale: scale(field)? },
            FieldType::Bcd => {
                let bytes = Self::bytes(field, 8)?;
                let bytes = bytes.ok_or_else(|| wrong("is missing").within("length"))?;
                let convert = convert(&Whole { field, width: 8 * bytes, signed: false })?;
                Kind::Decimal { bytes: bytes as usize, endian, convert }
            }
            FieldType::String => Kind::Text(self.length(field)?),
            FieldType::Hex => Kind::Hex(self.length(field)?),
            FieldType::Bytes => Kind::Bytes(self.length(field)?),
            FieldType::Pad => Kind::Pad(self.length(field)?),
            FieldType::Bits | FieldType::Bool => return bits(field, order),
            FieldType::Time => Kind::Time(clock(
                &TimeSettings {
                    offset: 0,
                    format: field.format.unwrap_or(crate::settings::TimeFormat::EpochS),
                    length: Self::bytes(field, 8)?,
                    endian: field.endian,
                    since_s: field.since_s,
                    utc_offset_min: field.utc_offset_min,
                },
                endian,
            )?),
            FieldType::Group => self.group(field, endian)?,
            _ => self.switch(field)?,
        })
    }

    fn group(&mut self, field: &FieldSettings, endian: Endian) -> Checked<Kind> {
        let fields = field.fields.as_ref().map(|fields| &fields.0).filter(|list| !list.is_empty());
        let fields = fields.ok_or_else(|| wrong("must have at least one").within("fields"))?;
        let ts = field.ts.as_ref().map(|ts| moment(ts, endian)).transpose()?;
        let fields = self.nested(fields).map_err(|error| error.within("fields"))?;
        Ok(Kind::Group { fields, ts })
    }

    fn switch(&mut self, field: &FieldSettings) -> Checked<Kind> {
        let on = field.on.as_ref().ok_or_else(|| wrong("is missing").within("on"))?;
        let on = self.look_up(on).map_err(|error| error.within("on"))?;
        if field.cases.0.is_empty() {
            return Err(wrong("must have at least one").within("cases"));
        }
        let outer = std::mem::replace(&mut self.is_conditional, true);
        let mut cases = BTreeMap::new();
        for (number, key, fields) in &field.cases.0 {
            let compiled = self.nested(&fields.0);
            cases.insert(*number, compiled.map_err(|error| error.within(key).within("cases"))?);
        }
        let otherwise = field.otherwise.as_ref().map(|fields| self.nested(&fields.0)).transpose();
        let otherwise = otherwise.map_err(|error| error.within("otherwise"))?;
        self.is_conditional = outer;
        Ok(Kind::Switch { on, cases, otherwise })
    }
}

/// Bytes and sign of types that are whole numbers.
fn whole(of: FieldType) -> Option<(u32, bool)> {
    use FieldType as T;
    Some(match of {
        T::U8 => (1, false),
        T::U16 => (2, false),
        T::U24 => (3, false),
        T::U32 => (4, false),
        T::U40 => (5, false),
        T::U48 => (6, false),
        T::U56 => (7, false),
        T::U64 => (8, false),
        T::I8 => (1, true),
        T::I16 => (2, true),
        T::I24 => (3, true),
        T::I32 => (4, true),
        T::I40 => (5, true),
        T::I48 => (6, true),
        T::I56 => (7, true),
        T::I64 => (8, true),
        _ => return None,
    })
}

fn bits(field: &FieldSettings, order: BitOrder) -> Checked<Kind> {
    let is_bool = field.r#type == FieldType::Bool;
    if is_bool && field.bit.is_none() {
        return Ok(Kind::Bool);
    }
    let width = match field.width {
        None if is_bool => 1,
        None => return Err(wrong("is missing").within("width")),
        Some(width @ 1..=64) => width,
        Some(_) => return Err(wrong("must be 1 to 64").within("width")),
    };
    match field.bit {
        Some(_) if field.offset.is_none() => {
            return Err(wrong("is counted from `offset`, which is missing").within("bit"));
        }
        Some(bit) if bit > 1024 => return Err(wrong("must be 0 to 1024").within("bit")),
        _ => {}
    }
    let convert = convert(&Whole { field, width, signed: field.signed })?;
    let (first, signed) = (field.bit, field.signed);
    Ok(Kind::Bits { first, width, order, signed, is_bool, convert })
}

fn scale(field: &FieldSettings) -> Checked<Scale> {
    if field.scale.is_finite() && field.scale != 0.0 {
        return Ok(Scale::new(field.scale, field.add));
    }
    Err(wrong("must not be 0").within("scale"))
}

fn convert(of: &Whole<'_>) -> Checked<Convert> {
    let field = of.field;
    let mask = field.mask.map(|mask| mask.0);
    if of.signed && (mask.is_some() || field.shift != 0) {
        let member = if mask.is_some() { "mask" } else { "shift" };
        return Err(wrong("has no meaning for a signed number; `bits` have a sign").within(member));
    }
    if mask.is_some_and(|mask| mask == 0 || mask > low_bits(of.width)) {
        return Err(wrong(format!("must have some of the lowest {} bits", of.width)).within("mask"));
    }
    if u32::from(field.shift) >= of.width {
        return Err(wrong(format!("must be less than {}", of.width)).within("shift"));
    }
    Ok(Convert {
        mask,
        shift: field.shift.into(),
        nulls: of.nulls(&field.null)?,
        labels: of.labels(&field.r#enum)?,
        scale: scale(field)?,
    })
}

impl Whole<'_> {
    /// A number of the settings as it is read: what is negative may be written as its bits.
    fn as_read(&self, number: u64) -> Option<u64> {
        let read = if self.signed { with_sign(number, self.width) } else { number };
        (number <= low_bits(self.width) || (self.signed && read == number)).then_some(read)
    }

    fn misfit(&self) -> flux_plugin_sdk::json::JsonError {
        let sign = if self.signed { "signed" } else { "unsigned" };
        wrong(format!("is no number of {} bits, {sign}", self.width))
    }

    fn nulls(&self, numbers: &Numbers) -> Checked<Vec<u64>> {
        let read = |number: &u64| self.as_read(*number).ok_or_else(|| self.misfit().within("null"));
        numbers.0.iter().map(read).collect()
    }

    fn labels(&self, words: &ByNumber<String>) -> Checked<BTreeMap<u64, String>> {
        let mut labels = BTreeMap::new();
        for (number, key, word) in &words.0 {
            let read =
                self.as_read(*number).ok_or_else(|| self.misfit().within(key).within("enum"))?;
            labels.insert(read, word.clone());
        }
        Ok(labels)
    }
}

/// The first member of a list that is given.
fn first_of(members: &[(&'static str, bool)]) -> Option<&'static str> {
    members.iter().find(|(_, given)| *given).map(|(name, _)| *name)
}

/// What can be written is where it is and as long as it is, whatever is written.
fn check_written(field: &FieldSettings) -> Checked<()> {
    let readable_only = [
        ("type", matches!(field.r#type, FieldType::Group | FieldType::Switch | FieldType::F16)),
        ("when", field.when.is_some()),
        ("repeat", field.repeat.is_some()),
        ("hidden", field.hidden),
        ("null", !field.null.0.is_empty()),
        ("length", !matches!(field.length, None | Some(AmountSettings::Fixed(_)))),
    ];
    match first_of(&readable_only) {
        None => Ok(()),
        Some(name) => Err(wrong("is for reading only").within(name)),
    }
}

/// Every member that is given has to mean something for the type.
fn check_members(field: &FieldSettings) -> Checked<()> {
    use FieldType as T;
    const WHOLE: &[&str] = &["endian", "scale", "add", "mask", "shift", "enum", "null"];
    let allowed: &[&str] = match field.r#type {
        T::F16 | T::F32 | T::F64 => &["endian", "scale", "add"],
        T::Bcd => &["length", "endian", "scale", "add", "enum", "null"],
        T::String | T::Hex | T::Bytes => &["length"],
        T::Pad => &["length", "-name"],
        T::Bits => &["bit_order", "bit", "width", "signed", "scale", "add", "enum", "null"],
        T::Bool => &["bit_order", "bit"],
        T::Time => &["format", "length", "endian", "since_s", "utc_offset_min"],
        T::Group => &["fields", "ts", "-name"],
        T::Switch => &["on", "cases", "otherwise", "-name"],
        _ => WHOLE,
    };
    let given = [
        ("endian", field.endian.is_some()),
        ("bit_order", field.bit_order.is_some()),
        ("bit", field.bit.is_some()),
        ("width", field.width.is_some()),
        ("signed", field.signed),
        ("length", field.length.is_some()),
        ("scale", field.scale != 1.0),
        ("add", field.add != 0.0),
        ("mask", field.mask.is_some()),
        ("shift", field.shift != 0),
        ("enum", !field.r#enum.0.is_empty()),
        ("null", !field.null.0.is_empty()),
        ("fields", field.fields.is_some()),
        ("ts", field.ts.is_some()),
        ("on", field.on.is_some()),
        ("cases", !field.cases.0.is_empty()),
        ("otherwise", field.otherwise.is_some()),
        ("format", field.format.is_some()),
        ("since_s", field.since_s != 0),
        ("utc_offset_min", field.utc_offset_min != 0),
    ];
    let stray = given.map(|(name, given)| (name, given && !allowed.contains(&name)));
    let unnamed = (allowed.contains(&"-name") && field.name.is_some()).then_some("name");
    match first_of(&stray).or(unnamed) {
        None => Ok(()),
        Some(name) => Err(wrong("has no meaning for a field of this type").within(name)),
    }
}

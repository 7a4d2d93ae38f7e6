//! One value in a table: how its registers or bits become a value, and the other way round.
//!
//! Owns types, orders and scaling. Must never know who asked.

use std::borrow::Cow;
use std::fmt;

use flux_plugin_sdk::{MessageOutput, Scale, ValueRef};

use crate::table::Table;

mod write;

pub(crate) use write::Write;

/// What is in the registers or bits of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One bit of a table of bits.
    Coil,
    /// Several, the first the lowest.
    Coils,
    /// A register that is not 0.
    Flag,
    /// One bit of a register, from 0, the lowest.
    Bit(u8),
    /// Some bits of a register: how far they are shifted, and the mask once they are.
    Field { shift: u8, mask: u16 },
    /// Whole numbers, of as many bytes as the point has.
    Unsigned,
    /// Two's complement.
    Signed,
    /// IEEE 754.
    Float,
    /// Decimal digits, four bits each.
    Bcd,
    /// Seconds since 1970.
    Epoch,
    /// So many bytes of text.
    Text(u16),
}

/// In which order registers and their bytes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Layout {
    /// The less significant register first.
    pub(crate) words_swapped: bool,
    /// The less significant byte of a register first.
    pub(crate) bytes_swapped: bool,
}

/// What most points are: numbers of one or two registers that mean nothing but themselves. They are
/// read by a shorter way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    U16,
    I16,
    U32,
    I32,
    F32,
}

/// Whole numbers and the words for them.
pub(crate) type Labels = Box<[(i64, Box<str>)]>;

/// One value, ready to be read and written.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// What it is called.
    pub(crate) name: Box<str>,
    /// Its table.
    pub(crate) table: Table,
    /// The first of its places.
    pub(crate) start: u32,
    /// The place behind its last.
    pub(crate) end: u32,
    /// What it holds.
    pub(crate) kind: Kind,
    /// The shorter way it is read by; see [`Point::plain`].
    pub(crate) plain: Option<Plain>,
    /// Whether it has a value whatever its bits are.
    pub(crate) is_certain: bool,
    /// In which order.
    pub(crate) layout: Layout,
    /// How numbers are scaled.
    pub(crate) scale: Option<Scale>,
    /// The bits that mean "no value".
    pub(crate) null: Option<u64>,
    /// What whole numbers mean, in order of the numbers.
    pub(crate) labels: Labels,
    /// The group it belongs to.
    pub(crate) group: Option<Box<str>>,
    /// The units that have it; all if `None`.
    pub(crate) units: Option<Box<UnitSet>>,
}

/// A set of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct UnitSet([u64; 4]);

impl UnitSet {
    pub(crate) fn insert(&mut self, unit: u8) {
        self.0[usize::from(unit / 64)] |= 1 << (unit % 64);
    }

    #[inline]
    pub(crate) const fn contains(&self, unit: u8) -> bool {
        self.0[(unit / 64) as usize] & (1 << (unit % 64)) != 0
    }

    /// One unit that is in both.
    pub(crate) fn common(&self, other: &Self) -> Option<u8> {
        (0..=u8::MAX).find(|unit| self.contains(*unit) && other.contains(*unit))
    }
}

/// What a point was read as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reading<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    /// What a number means.
    Label(&'a str),
    /// The bytes of its registers.
    Text(&'a [u8]),
    /// Nanoseconds since 1970.
    Time(i64),
}

/// A digit above 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotDecimal(u64);

impl fmt::Display for NotDecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "holds {:x}, which has a digit above 9", self.0)
    }
}

/// Some places of a table, as frames bring them: two bytes for each register, one bit for each coil
/// (the first in the lowest bit of the first byte).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    pub(crate) table: Table,
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) data: &'a [u8],
}

impl<'a> Places<'a> {
    /// The bytes of some registers.
    #[inline]
    fn registers(&self, start: u32, end: u32) -> Option<&'a [u8]> {
        let from = start.checked_sub(self.start)? as usize * 2;
        let to = end.checked_sub(self.start)? as usize * 2;
        self.data.get(from..to)
    }

    /// The bytes from a register on.
    #[inline]
    fn from(&self, start: u32) -> &'a [u8] {
        let at = start.saturating_sub(self.start) as usize * 2;
        self.data.get(at..).unwrap_or_default()
    }

    /// Some bits as a number, at most 64 of them.
    #[inline]
    fn bits(&self, start: u32, end: u32) -> Option<u64> {
        (start..end).rev().try_fold(0, |bits, place| Some(bits << 1 | u64::from(self.bit(place)?)))
    }

    #[inline]
    pub(crate) fn bit(&self, place: u32) -> Option<bool> {
        let at = place.checked_sub(self.start)?;
        Some(self.data.get(at as usize / 8)? >> (at % 8) & 1 == 1)
    }
}

impl Point {
    /// Whether a unit has it.
    #[inline]
    pub(crate) fn is_of(&self, unit: u8) -> bool {
        self.units.as_ref().is_none_or(|units| units.contains(unit))
    }

    /// The bits of its register it is made of, as they stand there.
    pub(crate) const fn bits_used(&self) -> u16 {
        let bits = match self.kind {
            Kind::Bit(shift) => 1 << shift,
            Kind::Field { shift, mask } => mask << shift,
            _ => u16::MAX,
        };
        if self.layout.bytes_swapped { bits.swap_bytes() } else { bits }
    }

    /// How many bits whole numbers have here.
    #[inline]
    const fn width(&self) -> u32 {
        match self.kind {
            Kind::Coil | Kind::Bit(_) => 1,
            Kind::Coils => self.end - self.start,
            Kind::Field { mask, .. } => mask.count_ones(),
            _ => 16 * (self.end - self.start),
        }
    }

    /// The shorter way there is to read it, if there is one.
    pub(crate) fn plain(&self) -> Option<Plain> {
        if self.null.is_some() || !self.labels.is_empty() {
            return None;
        }
        match (self.kind, self.end - self.start) {
            (Kind::Unsigned, 1) => Some(Plain::U16),
            (Kind::Signed, 1) => Some(Plain::I16),
            (Kind::Unsigned, 2) => Some(Plain::U32),
            (Kind::Signed, 2) => Some(Plain::I32),
            (Kind::Float, 2) => Some(Plain::F32),
            _ => None,
        }
    }

    /// Reads it the shorter way, and writes its value.
    #[inline]
    pub(crate) fn report_plain(
        &self,
        plain: Plain,
        places: &Places<'_>,
        message: &mut MessageOutput<'_>,
    ) {
        let bytes = places.from(self.start);
        let word = || bytes.first_chunk().map(|word| self.layout.word(*word));
        let double = || bytes.first_chunk().map(|double| self.layout.double(*double));
        #[allow(clippy::cast_possible_wrap)] // two's complement
        let number = match plain {
            Plain::U16 => word().map(i64::from),
            Plain::I16 => word().map(|word| i64::from(word as i16)),
            Plain::U32 => double().map(i64::from),
            Plain::I32 => double().map(|double| i64::from(double as i32)),
            Plain::F32 => {
                if let Some(bits) = double() {
                    message.value(&self.name, self.scaled(f32::from_bits(bits).into()));
                }
                return;
            }
        };
        match (number, &self.scale) {
            (Some(number), None) => message.value(&self.name, number),
            #[allow(clippy::cast_precision_loss)] // of 32 bits none is lost
            (Some(number), Some(scale)) => message.value(&self.name, scale.apply(number as f64)),
            (None, _) => message,
        };
    }

    /// What it is in these places; `None` where it says that there is no value.
    ///
    /// # Errors
    /// [`NotDecimal`].
    pub(crate) fn read<'a>(
        &'a self,
        places: &Places<'a>,
    ) -> Result<Option<Reading<'a>>, NotDecimal> {
        if let Kind::Text(_) = self.kind {
            return Ok(places.registers(self.start, self.end).map(Reading::Text));
        }
        match self.bits(places) {
            Some(bits) if self.null != Some(bits) => self.reading(bits).map(Some),
            _ => Ok(None),
        }
    }

    /// Its bits, the most significant register and byte first.
    #[inline]
    fn bits(&self, places: &Places<'_>) -> Option<u64> {
        if matches!(self.kind, Kind::Coil | Kind::Coils) {
            return places.bits(self.start, self.end);
        }
        let bits = match *places.registers(self.start, self.end)? {
            [a, b] => u64::from(self.layout.word([a, b])),
            [a, b, c, d] => u64::from(self.layout.double([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => {
                let first = self.layout.double([a, b, c, d]);
                let second = self.layout.double([e, f, g, h]);
                let swapped = self.layout.words_swapped;
                let (high, low) = if swapped { (second, first) } else { (first, second) };
                u64::from(high) << 32 | u64::from(low)
            }
            _ => return None,
        };
        Some(match self.kind {
            Kind::Bit(shift) => bits >> shift & 1,
            Kind::Field { shift, mask } => (bits >> shift) & u64::from(mask),
            _ => bits,
        })
    }

    #[inline]
    fn reading(&self, bits: u64) -> Result<Reading<'_>, NotDecimal> {
        let number = match self.kind {
            Kind::Float => return Ok(Reading::Float(self.scaled(self.float(bits)))),
            Kind::Epoch => {
                let seconds = u32::try_from(bits).unwrap_or_default();
                return Ok(Reading::Time(i64::from(seconds) * 1_000_000_000));
            }
            Kind::Unsigned => match i64::try_from(bits) {
                Ok(number) => number,
                #[allow(clippy::cast_precision_loss)] // there is no larger whole number
                Err(_) => return Ok(Reading::Float(self.scaled(bits as f64))),
            },
            Kind::Signed => signed(bits, self.width()),
            Kind::Bcd => decimal(bits)?,
            #[allow(clippy::cast_possible_wrap)] // at most 32 bits
            _ => bits as i64,
        };
        if !self.labels.is_empty() {
            if let Some(text) = self.label(number) {
                return Ok(Reading::Label(text));
            }
        }
        if self.is_bool() {
            return Ok(Reading::Bool(number != 0));
        }
        Ok(match &self.scale {
            #[allow(clippy::cast_precision_loss)] // 2^53 and more have no fraction to lose
            Some(scale) => Reading::Float(scale.apply(number as f64)),
            None => Reading::Int(number),
        })
    }

    /// Whether it is yes or no.
    const fn is_bool(&self) -> bool {
        matches!(self.kind, Kind::Coil | Kind::Flag | Kind::Bit(_))
    }

    fn float(&self, bits: u64) -> f64 {
        match u32::try_from(bits) {
            Ok(bits) if self.width() == 32 => f64::from(f32::from_bits(bits)),
            _ => f64::from_bits(bits),
        }
    }

    fn scaled(&self, raw: f64) -> f64 {
        self.scale.as_ref().map_or(raw, |scale| scale.apply(raw))
    }

    fn label(&self, number: i64) -> Option<&str> {
        let at = self.labels.binary_search_by_key(&number, |(known, _)| *known).ok()?;
        self.labels.get(at).map(|(_, text)| &**text)
    }

    /// Writes a reading under the point's name.
    #[inline]
    pub(crate) fn report(&self, reading: Reading<'_>, message: &mut MessageOutput<'_>) {
        let value = match reading {
            Reading::Int(number) => ValueRef::I64(number),
            Reading::Float(number) => ValueRef::F64(number),
            Reading::Bool(yes) => ValueRef::Bool(yes),
            Reading::Label(text) => ValueRef::from(text),
            Reading::Time(ns) => ValueRef::Time(ns),
            Reading::Text(bytes) => return self.report_text(bytes, message),
        };
        message.value(&self.name, value);
    }

    fn report_text(&self, bytes: &[u8], message: &mut MessageOutput<'_>) {
        message.value(&self.name, &*self.text(bytes));
    }

    /// The text of a point's bytes: up to a zero byte, without blanks around it; what is not UTF-8
    /// is taken for Latin-1.
    fn text<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        let len = match self.kind {
            Kind::Text(len) => len.into(),
            _ => bytes.len(),
        };
        if self.layout.bytes_swapped {
            let pairs = bytes.chunks_exact(2).flat_map(|pair| pair.iter().rev());
            let bytes: Vec<u8> = pairs.take(len).copied().collect();
            return Cow::Owned(text(&bytes).into_owned());
        }
        text(bytes.get(..len).unwrap_or(bytes))
    }
}

impl Layout {
    #[inline]
    const fn word(self, bytes: [u8; 2]) -> u16 {
        if self.bytes_swapped { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    }

    #[inline]
    const fn double(self, [a, b, c, d]: [u8; 4]) -> u32 {
        let (first, second) = (self.word([a, b]), self.word([c, d]));
        let (high, low) = if self.words_swapped { (second, first) } else { (first, second) };
        (high as u32) << 16 | low as u32
    }
}

/// The number these bits are in two's complement.
#[inline]
#[allow(clippy::cast_possible_wrap)] // meant
const fn signed(bits: u64, width: u32) -> i64 {
    let unused = 64 - width;
    (bits << unused) as i64 >> unused
}

fn decimal(bits: u64) -> Result<i64, NotDecimal> {
    (0..16).rev().try_fold(0, |number, place| match bits >> (4 * place) & 0xf {
        #[allow(clippy::cast_possible_wrap)] // below 10
        digit @ 0..=9 => Ok(number * 10 + digit as i64),
        _ => Err(NotDecimal(bits)),
    })
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text.trim()),
        Err(_) => {
            let latin: String = bytes.iter().map(|byte| char::from(*byte)).collect();
            Cow::Owned(latin.trim().to_owned())
        }
    }
}

#[cfg(test)]
mod tests;

//! A value into what has to be written.

use flux_plugin_sdk::Json;
use flux_plugin_sdk::json::JsonError;

use super::{Kind, Point};

/// What has to be written so that a point has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    /// Coils from a place on.
    Coils(u32, Vec<bool>),
    /// Holding registers from a place on.
    Registers(u32, Vec<u16>),
    /// `register = (register & and) | (or & !and)` (Application Protocol V1.1b3, 6.16): what is not
    /// meant stays.
    Mask { place: u32, and: u16, or: u16 },
}

impl Point {
    /// A value, as people write it, into what has to be written.
    ///
    /// # Errors
    /// The value is of the wrong type, or out of range.
    pub(crate) fn write(&self, value: &Json) -> Result<Write, JsonError> {
        if let Kind::Text(len) = self.kind {
            return Ok(Write::Registers(self.start, self.text_words(value, len)?));
        }
        let bits = self.bits_of(value)?;
        Ok(match self.kind {
            Kind::Coil | Kind::Coils => {
                let bit = |place| bits >> place & 1 == 1;
                Write::Coils(self.start, (0..self.end - self.start).map(bit).collect())
            }
            Kind::Bit(shift) => self.masked(1, shift, bits),
            Kind::Field { shift, mask } => self.masked(mask, shift, bits),
            _ => Write::Registers(self.start, self.words(bits)),
        })
    }

    fn masked(&self, mask: u16, shift: u8, bits: u64) -> Write {
        let (mask, or) = (mask << shift, self.ordered(low_word(bits) << shift));
        match mask {
            u16::MAX => Write::Registers(self.start, vec![or]),
            _ => Write::Mask { place: self.start, and: self.ordered(!mask), or },
        }
    }

    fn bits_of(&self, value: &Json) -> Result<u64, JsonError> {
        if let Some(text) = value.as_str() {
            return self.labelled(text).map(|number| self.cut(number.into()));
        }
        if self.is_bool() {
            let number = value.as_i64().filter(|number| (0..=1).contains(number));
            let yes = value.as_bool().or(number.map(|number| number == 1));
            return yes.map(u64::from).ok_or_else(|| JsonError::new("must be true or false"));
        }
        if value.as_f64().is_none() {
            return Err(JsonError::new("must be a number"));
        }
        match self.kind {
            Kind::Float => self.float_bits(value),
            _ => self.whole(value).map(|number| self.cut(number)),
        }
    }

    /// The number a text stands for.
    fn labelled(&self, text: &str) -> Result<i64, JsonError> {
        let found = self.labels.iter().find(|(_, known)| &**known == text);
        found.map(|(number, _)| *number).ok_or_else(|| {
            let known: Vec<_> = self.labels.iter().map(|(_, text)| format!("{text:?}")).collect();
            JsonError::new(match known.is_empty() {
                true => "must be a number, not a string".to_owned(),
                false => format!("must be a number, or one of {}", known.join(", ")),
            })
        })
    }

    /// A whole number as bits.
    fn cut(&self, number: i128) -> u64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // two's complement
        let bits = number as u64 & low_bits(self.width());
        if self.kind == Kind::Bcd { to_decimal(bits) } else { bits }
    }

    /// The whole number a value becomes, in range.
    fn whole(&self, value: &Json) -> Result<i128, JsonError> {
        let (least, most) = self.range();
        let number = match (value, &self.scale) {
            (Json::Int(number), None) => i128::from(*number),
            (Json::Float(number), None) if number.fract() != 0.0 => {
                return Err(JsonError::new("must be a whole number"));
            }
            (_, None) => rounded(value.as_f64().unwrap_or_default()),
            (_, Some(scale)) => rounded(scale.undo(value.as_f64().unwrap_or_default())),
        };
        if (least..=most).contains(&number) {
            return Ok(number);
        }
        #[allow(clippy::cast_precision_loss)] // for people
        let (a, b) = (self.scaled(least as f64), self.scaled(most as f64));
        let text = match self.scale {
            Some(_) => format!("must be from {} to {}", a.min(b), a.max(b)),
            None => format!("must be from {least} to {most}"),
        };
        Err(JsonError::new(text))
    }

    /// The whole numbers there is room for.
    pub(super) fn range(&self) -> (i128, i128) {
        let width = self.width();
        match self.kind {
            Kind::Signed => (-(1 << (width - 1)), (1 << (width - 1)) - 1),
            Kind::Bcd => (0, 10_i128.pow(width / 4) - 1),
            _ => (0, (1 << width) - 1),
        }
    }

    fn float_bits(&self, value: &Json) -> Result<u64, JsonError> {
        let measured = value.as_f64().unwrap_or_default();
        let raw = self.scale.as_ref().map_or(measured, |scale| scale.undo(measured));
        #[allow(clippy::cast_possible_truncation)] // what single precision has
        let single = raw as f32;
        match self.width() {
            32 if single.is_finite() => Ok(single.to_bits().into()),
            64 if raw.is_finite() => Ok(raw.to_bits()),
            _ => Err(JsonError::new("is too large for the register's type")),
        }
    }

    fn text_words(&self, value: &Json, len: u16) -> Result<Vec<u16>, JsonError> {
        let text = value.as_str().ok_or_else(|| JsonError::new("must be a string"))?;
        if text.len() > usize::from(len) {
            return Err(JsonError::new(format!("has {} bytes, at most {len} fit", text.len())));
        }
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize((self.end - self.start) as usize * 2, 0);
        let pairs = bytes.chunks_exact(2);
        Ok(pairs.map(|pair| self.ordered(u16::from_be_bytes([pair[0], pair[1]]))).collect())
    }

    /// The registers of a number, in the order they stand in.
    fn words(&self, bits: u64) -> Vec<u16> {
        let places = 0..self.end - self.start;
        let word = |place: u32| self.ordered(low_word(bits >> (16 * place)));
        match self.layout.words_swapped {
            true => places.map(word).collect(),
            false => places.rev().map(word).collect(),
        }
    }

    fn ordered(&self, word: u16) -> u16 {
        if self.layout.bytes_swapped { word.swap_bytes() } else { word }
    }
}

#[allow(clippy::cast_possible_truncation)] // meant
const fn low_word(bits: u64) -> u16 {
    bits as u16
}

const fn low_bits(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

/// The nearest whole number; what is beyond every register stays beyond.
#[allow(clippy::cast_possible_truncation)] // saturates
fn rounded(number: f64) -> i128 {
    number.round() as i128
}

fn to_decimal(number: u64) -> u64 {
    let (mut rest, mut bits) = (number, 0);
    for place in 0..16 {
        bits |= (rest % 10) << (4 * place);
        rest /= 10;
    }
    bits
}

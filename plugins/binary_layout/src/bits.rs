//! Numbers in bytes: whole ones, some bits of them, floating ones, decimal digits.

use crate::settings::{BitOrder, Endian};

/// The bits of up to eight bytes.
pub(crate) fn unsigned(bytes: &[u8], endian: Endian) -> u64 {
    let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    match endian {
        Endian::Big => bytes.iter().fold(0, add),
        Endian::Little => bytes.iter().rev().fold(0, add),
    }
}

/// The lowest `width` bits (1 to 64), their sign carried to all of them.
#[allow(clippy::cast_possible_wrap, clippy::cast_sign_loss)] // the bits are meant
pub(crate) const fn with_sign(number: u64, width: u32) -> u64 {
    let unused = 64 - width;
    ((number << unused) as i64 >> unused) as u64
}

/// The lowest `width` bits, 1 to 64.
pub(crate) const fn low_bits(width: u32) -> u64 {
    u64::MAX >> (64 - width)
}

/// Where bits are, within the bytes that hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// Bytes that hold them: 1 to 9.
    pub(crate) bytes: usize,
    /// How far the lowest of them is from the lowest of all.
    shift: u32,
    width: u32,
    order: BitOrder,
}

impl Span {
    /// `width` (1 to 64) bits from that one of the first byte (0 to 7) on.
    pub(crate) fn new(first: u32, width: u32, order: BitOrder) -> Self {
        let bytes = (first + width).div_ceil(8);
        let shift = match order {
            BitOrder::Msb => 8 * bytes - first - width,
            BitOrder::Lsb => first,
        };
        Self { bytes: bytes as usize, shift, width, order }
    }

    fn gathered(&self, bytes: &[u8]) -> u128 {
        let add = |all: u128, byte: &u8| all << 8 | u128::from(*byte);
        match self.order {
            BitOrder::Msb => bytes.iter().fold(0, add),
            BitOrder::Lsb => bytes.iter().rev().fold(0, add),
        }
    }

    /// The bits as a number. `bytes` are as many as the span has.
    #[allow(clippy::cast_possible_truncation)] // 64 at most are kept
    pub(crate) fn read(&self, bytes: &[u8]) -> u64 {
        (self.gathered(bytes) >> self.shift) as u64 & low_bits(self.width)
    }

    /// Puts the lowest bits of a number there, and leaves the others as they are.
    #[allow(clippy::cast_possible_truncation)] // byte by byte
    pub(crate) fn write(&self, bytes: &mut [u8], number: u64) {
        let mask = u128::from(low_bits(self.width)) << self.shift;
        let all = self.gathered(bytes) & !mask | (u128::from(number) << self.shift & mask);
        let len = bytes.len();
        for (index, byte) in bytes.iter_mut().enumerate() {
            let place = match self.order {
                BitOrder::Msb => len - 1 - index,
                BitOrder::Lsb => index,
            };
            *byte = (all >> (8 * place)) as u8;
        }
    }
}

/// Half precision (IEEE 754 binary16).
pub(crate) fn half(bits: u64) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = (bits >> 10 & 0x1f) as i32;
    #[allow(clippy::cast_precision_loss)] // ten bits
    let fraction = (bits & 0x3ff) as f64 / 1024.0;
    sign * match exponent {
        0 => fraction * 2.0_f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction) * 2.0_f64.powi(exponent - 15),
    }
}

/// The number of decimal digits, two in a byte, the first ones highest; `None` if one is no digit.
/// Eight bytes at most.
pub(crate) fn decimal(mut digits: u64, bytes: usize) -> Option<u64> {
    let mut number = 0_u64;
    let mut place = 1_u64;
    for _ in 0..2 * bytes {
        let digit = digits & 0x0f;
        if digit > 9 {
            return None;
        }
        number += digit * place;
        place = place.wrapping_mul(10);
        digits >>= 4;
    }
    Some(number)
}

/// Decimal digits of a number; `None` if it has more than `bytes` hold.
pub(crate) fn to_decimal(mut number: u64, bytes: usize) -> Option<u64> {
    let mut digits = 0_u64;
    for place in 0..2 * bytes {
        digits |= (number % 10) << (4 * place);
        number /= 10;
    }
    (number == 0).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_across_bytes_are_read_in_both_orders() {
        let bytes = [0b1010_0011, 0b0101_1100, 0b1111_0000];
        for (first, width, order, expected) in [
            (0, 4, BitOrder::Msb, 0b1010),
            (4, 8, BitOrder::Msb, 0b0011_0101),
            (6, 12, BitOrder::Msb, 0b1101_0111_0011),
            (0, 4, BitOrder::Lsb, 0b0011),
            (4, 8, BitOrder::Lsb, 0b1100_1010),
            (7, 1, BitOrder::Lsb, 1),
        ] {
            let span = Span::new(first, width, order);
            assert_eq!(span.read(&bytes[..span.bytes]), expected, "{first} {width} {order:?}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same_and_leaves_the_rest() {
        for order in [BitOrder::Msb, BitOrder::Lsb] {
            for first in 0..8 {
                for width in [1, 3, 8, 11, 17, 63, 64] {
                    for background in [0x00, 0xff] {
                        let span = Span::new(first, width, order);
                        let mut bytes = vec![background; span.bytes];
                        let number = 0x5aa5_c33c_9669_f00f & low_bits(width);
                        span.write(&mut bytes, number);
                        assert_eq!(span.read(&bytes), number);
                        let empty = if background == 0 { 0 } else { low_bits(width) };
                        span.write(&mut bytes, empty);
                        assert!(bytes.iter().all(|byte| *byte == background));
                    }
                }
            }
        }
    }

    #[test]
    fn halves_are_those_of_the_standard() {
        for (bits, number) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (0x3555, 0.333_251_953_125),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x0400, 6.103_515_625e-5),
        ] {
            assert_eq!(half(bits), number);
        }
        assert_eq!(half(0x7c00), f64::INFINITY);
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn decimal_digits_go_both_ways() {
        assert_eq!(decimal(0x1234, 2), Some(1234));
        assert_eq!(decimal(0x9999_9999_9999_9999, 8), Some(9_999_999_999_999_999));
        assert_eq!(decimal(0x12a4, 2), None);
        assert_eq!(to_decimal(1234, 2), Some(0x1234));
        assert_eq!(to_decimal(12_345, 2), None);
    }

    #[test]
    fn signs_are_carried_up() {
        assert_eq!(with_sign(0x800, 12), u64::MAX - 0x7ff);
        assert_eq!(with_sign(0x7ff, 12), 0x7ff);
        assert_eq!(with_sign(u64::MAX, 64), u64::MAX);
    }
}

//! Numbers that are more than one item: bignums, decimal fractions, halves.
//!
//! Owns RFC 8949 sections 3.4.3, 3.4.4 and appendix D. What fits a whole number is one, everything
//! else is the nearest double. Must never make a number that is not finite of one that is.

use flux_plugin_mapping::Item;

/// A half-precision float, exactly (appendix D).
pub(crate) fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (fraction + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

/// A whole number of major type 0.
pub(crate) fn unsigned(number: u64) -> Item<'static> {
    i64::try_from(number).map_or(Item::Long(number), Item::Int)
}

/// A whole number of major type 1: -1 less what is written.
#[allow(clippy::cast_precision_loss)] // beyond i64: as near as a double comes
pub(crate) fn negative(number: u64) -> Item<'static> {
    match i64::try_from(number) {
        Ok(number) => Item::Int(-1 - number),
        Err(_) => Item::Real(-1.0 - number as f64),
    }
}

/// A bignum; `None`: it is beyond what a double holds.
pub(crate) fn big(bytes: &[u8], is_negative: bool) -> Option<Item<'static>> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = bytes.get(zeros..).unwrap_or_default();
    if bytes.len() <= 8 {
        let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        return Some(if is_negative { negative(number) } else { unsigned(number) });
    }
    let size = big_real(bytes)?;
    // one less is the same double
    Some(Item::Real(if is_negative { -size } else { size }))
}

/// The nearest double of more than eight bytes that begin with one that is not zero: the first eight
/// decide, and whether anything follows.
#[allow(clippy::cast_precision_loss)]
fn big_real(bytes: &[u8]) -> Option<f64> {
    let (first, rest) = bytes.split_first_chunk::<8>()?;
    let follows = u64::from(rest.iter().any(|byte| *byte != 0));
    let bits = i32::try_from(rest.len().checked_mul(8)?).ok()?;
    let size = (u64::from_be_bytes(*first) | follows) as f64 * 2f64.powi(bits);
    size.is_finite().then_some(size)
}

/// `mantissa * 10^exponent`, correctly rounded; `None`: it is beyond what a double holds.
pub(crate) fn decimal(mantissa: &Item<'_>, exponent: i64) -> Option<f64> {
    let text = match mantissa {
        Item::Int(number) => format!("{number}e{exponent}"),
        Item::Long(number) => format!("{number}e{exponent}"),
        Item::Real(number) => {
            format!("{number:e}").split_once('e').and_then(|(digits, shift)| {
                let exponent = shift.parse::<i64>().ok()?.checked_add(exponent)?;
                Some(format!("{digits}e{exponent}"))
            })?
        }
        _ => return None,
    };
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// `mantissa * 2^exponent`; `None`: it is beyond what a double holds.
#[allow(clippy::cast_precision_loss)] // as near as a double comes
pub(crate) fn binary(mantissa: &Item<'_>, exponent: i64) -> Option<f64> {
    let mantissa = match mantissa {
        Item::Int(number) => *number as f64,
        Item::Long(number) => *number as f64,
        Item::Real(number) => *number,
        _ => return None,
    };
    // 1100 steps in two halves reach from the largest to zero; more come to the same
    let exponent = exponent.clamp(-2200, 2200) as i32;
    let number = mantissa * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2);
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_exact() {
        // RFC 8949 appendix A
        for (bits, expected) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0x3e00, 1.5),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x0400, 0.000_061_035_156_25),
            (0xc400, -4.0),
            (0x7c00, f64::INFINITY),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), expected, "{bits:04x}");
        }
        assert!(half(0x7e00).is_nan());
        assert!(half(0x8000).is_sign_negative());
    }

    #[test]
    fn bignums_are_whole_where_they_fit() {
        assert_eq!(big(&[], false), Some(Item::Int(0)));
        assert_eq!(big(&[], true), Some(Item::Int(-1)));
        assert_eq!(big(&[0, 0, 1, 0], false), Some(Item::Int(256)));
        assert_eq!(big(&[0xff; 8], false), Some(Item::Long(u64::MAX)));
        // RFC 8949 appendix A: 2^64 and -2^64 - 1
        let beyond = [1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(big(&beyond, false), Some(Item::Real(18_446_744_073_709_551_616.0)));
        assert_eq!(big(&beyond, true), Some(Item::Real(-18_446_744_073_709_551_616.0)));
        assert_eq!(big(&[0xff; 128], false), None, "2^1024 - 1 is rounded up");
        assert!(big(&[0x7f; 128], false).is_some());
        assert_eq!(big(&[1; 100_000], false), None);
    }

    #[test]
    fn bignums_are_rounded_by_what_follows_their_first_bytes() {
        // 2^64 + 2^11 lies just between two doubles and goes to the even one, a bit more upwards
        let mut bytes = [1, 0, 0, 0, 0, 0, 0, 8, 0];
        assert_eq!(big(&bytes, false), Some(Item::Real(2f64.powi(64))));
        bytes[8] = 1;
        assert_eq!(big(&bytes, false), Some(Item::Real(2f64.powi(64) + 4096.0)));
    }

    #[test]
    fn fractions_are_the_nearest_double() {
        assert_eq!(decimal(&Item::Int(27_315), -2), Some(273.15)); // RFC 8949 section 3.4.4
        assert_eq!(binary(&Item::Int(3), -1), Some(1.5));
        assert_eq!(decimal(&Item::Int(1), 400), None);
        assert_eq!(decimal(&Item::Int(1), i64::MIN), Some(0.0));
        assert_eq!(decimal(&Item::Real(2f64.powi(70)), -21), Some(1.180_591_620_717_411_3));
        assert_eq!(binary(&Item::Int(1), -1074), Some(f64::from_bits(1)));
        assert_eq!(binary(&Item::Int(1), i64::MAX), None);
        assert_eq!(binary(&Item::Int(0), i64::MAX), None, "0 times what is not finite");
        assert_eq!(binary(&Item::Int(1), i64::MIN), Some(0.0));
    }
}

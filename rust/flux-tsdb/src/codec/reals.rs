//! Columns of floating-point numbers.
//!
//! Owns three forms; the first is tried first, because sensors report decimals:
//!
//! ```text
//! 0  decimal   exponent · whole numbers · exceptions      value = whole / 10^exponent
//! 1  xor       length · bits (see `xor`)
//! 2  raw       8 bytes each
//! ```
//! A decimal is used only where the division gives the very bits that were there: with a whole
//! number below 2^53 and a power of ten up to 10^22 both sides are exact, and IEEE 754 rounds their
//! quotient as a correct parser rounds the decimal's text. What does not come back so (-0.0, NaN,
//! infinities, numbers with more digits) is an exception: its index and its bits; too many of them
//! make a column xor. Must never change a bit.

use super::{Input, ints, put_varint, xor};

const DECIMAL: u8 = 0;
const XOR: u8 = 1;
const RAW: u8 = 2;

/// The largest exponent tried: more digits than a sensor has are no decimals but computed.
const EXPONENT_MAX: usize = 12;
/// Numbers from which the exponent is chosen.
const SAMPLE_LEN: usize = 64;
/// A decimal column has at most this share of exceptions.
const EXCEPTIONS_ONE_IN: usize = 8;

const POWERS: [f64; EXPONENT_MAX + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];

/// Adding and subtracting this rounds a number below 2^51 to a whole one (ties to even), many times
/// faster than asking for it.
const ROUNDING: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
const WHOLE_MAX: f64 = 2_251_799_813_685_248.0; // 2^51

/// The number as a whole one over a power of ten, if that gives it back bit by bit.
#[inline]
#[allow(clippy::cast_possible_truncation)] // whole, and below 2^51
fn scaled(value: f64, power: f64) -> Option<i64> {
    let shifted = value * power;
    if shifted.abs() < WHOLE_MAX {
        let whole = (shifted + ROUNDING) - ROUNDING;
        if (whole / power).to_bits() == value.to_bits() {
            return Some(whole as i64);
        }
    }
    None
}

/// The least exponent with which nearly all of the sample come back.
fn exponent(values: &[u64]) -> Option<usize> {
    let step = values.len().div_ceil(SAMPLE_LEN).max(1);
    let sample = || values.iter().step_by(step).map(|bits| f64::from_bits(*bits));
    let mut least = [0_usize; EXPONENT_MAX + 1];
    let mut seen = 0;
    for value in sample() {
        seen += 1;
        let fits = POWERS.iter().position(|power| scaled(value, *power).is_some());
        if let Some(count) = fits.and_then(|fits| least.get_mut(fits)) {
            *count += 1;
        }
    }
    let enough = seen - seen / (2 * EXCEPTIONS_ONE_IN);
    let mut covered = 0;
    least.iter().position(|count| {
        covered += count;
        covered >= enough
    })
}

/// Writes a column of numbers given as their bits.
pub(crate) fn encode(values: &[u64], out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let start = out.len();
    if exponent(values).is_some_and(|exponent| encode_decimal(values, exponent, out)) {
        return;
    }
    out.truncate(start);
    let mut bits = Vec::with_capacity(values.len() * 8);
    xor::encode(values, &mut bits);
    if bits.len() < values.len() * 8 {
        out.push(XOR);
        put_varint(out, bits.len() as u64);
        out.extend_from_slice(&bits);
    } else {
        out.push(RAW);
        values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
    }
}

/// False, with rubbish written, when too many are exceptions.
fn encode_decimal(values: &[u64], exponent: usize, out: &mut Vec<u8>) -> bool {
    let Some(power) = POWERS.get(exponent).copied() else { return false };
    let mut wholes = Vec::with_capacity(values.len());
    let mut exceptions = Vec::new();
    let mut last = 0;
    for (index, bits) in values.iter().enumerate() {
        match scaled(f64::from_bits(*bits), power) {
            Some(whole) => last = whole,
            // the column goes on as if it stood still
            None => exceptions.push((index, *bits)),
        }
        wholes.push(last);
    }
    if exceptions.len() * EXCEPTIONS_ONE_IN > values.len() {
        return false;
    }
    out.push(DECIMAL);
    out.push(exponent as u8);
    ints::encode(&wholes, out);
    put_varint(out, exceptions.len() as u64);
    let mut after = 0;
    for (index, bits) in exceptions {
        put_varint(out, (index - after) as u64);
        out.extend_from_slice(&bits.to_le_bytes());
        after = index;
    }
    true
}

/// Reads a column of `count` numbers as their bits; `None` when the bytes are not one.
pub(crate) fn decode(input: &mut Input<'_>, count: usize) -> Option<Vec<u64>> {
    if count == 0 {
        return Some(Vec::new());
    }
    match input.u8()? {
        DECIMAL => decode_decimal(input, count),
        XOR => {
            let len = input.count()?;
            xor::decode(input.take(len)?, count)
        }
        RAW => {
            let bytes = input.take(count.checked_mul(8)?)?;
            let words = bytes.chunks_exact(8).filter_map(|word| word.first_chunk());
            Some(words.map(|word| u64::from_le_bytes(*word)).collect())
        }
        _ => None,
    }
}

#[allow(clippy::cast_precision_loss)] // what was written is below 2^51
fn decode_decimal(input: &mut Input<'_>, count: usize) -> Option<Vec<u64>> {
    let power = *POWERS.get(usize::from(input.u8()?))?;
    let wholes = ints::decode(input, count)?;
    let mut values: Vec<u64> =
        wholes.iter().map(|whole| (*whole as f64 / power).to_bits()).collect();
    let mut index = 0_usize;
    for _ in 0..input.count()?.min(count) {
        index = index.checked_add(input.count()?)?;
        *values.get_mut(index)? = input.u64()?;
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[f64]) -> (u8, usize) {
        let bits: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
        let mut bytes = Vec::new();
        encode(&bits, &mut bytes);
        let mut input = Input::new(&bytes);
        assert_eq!(decode(&mut input, bits.len()), Some(bits));
        assert!(input.is_empty(), "all of the column is read");
        (bytes.first().copied().unwrap_or(DECIMAL), bytes.len())
    }

    /// A walk in steps of a hundredth, as text would be parsed.
    fn two_decimals(count: usize) -> Vec<f64> {
        let steps = (0..count as i64).map(|i| (i * 7919) % 41 - 20);
        let walk = steps.scan(2150, |at, step| {
            *at += step;
            Some(*at)
        });
        walk.map(|hundredths: i64| {
            let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
            text.parse().unwrap()
        })
        .collect()
    }

    /// What a device that reckons in single precision reports.
    fn single_precision_wave(count: u16) -> Vec<f64> {
        (0..count).map(|i| f64::from((f32::from(i) * 0.01).sin())).collect()
    }

    #[test]
    fn two_decimals_take_less_than_a_byte_each() {
        let (form, bytes) = round_trip(&two_decimals(4096));
        assert_eq!(form, DECIMAL);
        assert!(bytes < 4096, "{bytes} bytes");
    }

    #[test]
    fn what_is_no_decimal_is_an_exception_among_decimals() {
        let mut values = two_decimals(600);
        let odd = [
            -0.0,
            f64::NAN,
            f64::from_bits(0xFFF8_0000_0000_1234),
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
            5e-324,
            f64::MAX,
            0.1 + 0.2,
            1e300,
        ];
        for (i, value) in odd.into_iter().enumerate() {
            values[i * 50 + 3] = value;
        }
        values[0] = -0.0;
        values[599] = f64::NAN;
        let (form, bytes) = round_trip(&values);
        assert_eq!(form, DECIMAL);
        assert!(bytes < 900, "{bytes} bytes");
    }

    #[test]
    fn computed_numbers_are_written_by_their_differences() {
        let wave = single_precision_wave(500);
        assert_eq!(round_trip(&wave).0, XOR);
        let mut state = 7_u64;
        let noise: Vec<f64> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            f64::from_bits(state)
        })
        .take(500)
        .collect();
        assert_eq!(round_trip(&noise).0, RAW);
    }

    #[test]
    fn few_numbers_and_none_come_back() {
        assert_eq!(round_trip(&[]).1, 0);
        round_trip(&[f64::NAN]);
        round_trip(&[21.5]);
        round_trip(&[-0.0, 0.0, -0.0]);
        round_trip(&[4_503_599_627_370_497.5, 9_007_199_254_740_993.0]);
    }

    #[test]
    fn column_that_is_cut_anywhere_is_refused() {
        let mut values = two_decimals(100);
        values[50] = f64::NAN;
        let wave = single_precision_wave(100);
        for values in [values, wave] {
            let bits: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
            let mut bytes = Vec::new();
            encode(&bits, &mut bytes);
            for len in 0..bytes.len() {
                assert_eq!(decode(&mut Input::new(&bytes[..len]), bits.len()), None, "{len}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bits_come_back(bits in prop::collection::vec(any::<u64>(), 0..200)) {
            round_trip(&bits.iter().map(|bits| f64::from_bits(*bits)).collect::<Vec<_>>());
        }

        #[test]
        fn any_decimals_come_back(
            wholes in prop::collection::vec(-10_000_000_i64..10_000_000, 1..200), places in 0_usize..12,
        ) {
            let values: Vec<f64> = wholes.iter()
                .map(|whole| format!("{whole}e-{places}").parse().unwrap()).collect();
            let (form, _) = round_trip(&values);
            prop_assert_eq!(form, if wholes.iter().any(|w| *w != 0) { DECIMAL } else { form });
        }

        #[test]
        fn hostile_bytes_are_refused_or_read(
            bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0_usize..300,
        ) {
            if let Some(values) = decode(&mut Input::new(&bytes), count) {
                prop_assert_eq!(values.len(), count);
            }
        }
    }
}

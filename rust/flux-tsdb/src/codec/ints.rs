//! Columns of whole numbers: times, integers, scaled decimals, indices, positions.
//!
//! Owns six forms, of which the smallest is written:
//!
//! ```text
//! 0  constant            first
//! 1  linear              first · difference               a clock that ticks evenly
//! 2  plain               least · groups of (value - least)
//! 3  delta               first · groups of differences
//! 4  delta of delta      first · difference · groups of differences of differences
//! 5  climb               first · least difference · groups of (difference - least)
//! ```
//! Differences wrap around, and those of forms 3 and 4 are written with their sign in the lowest
//! bit, so every sequence of 64-bit numbers comes back. Form 5 saves that bit where all go one way,
//! as counters and clocks do. How many numbers there are is known from elsewhere.

use super::pack::{GROUP, packed_len, put_groups, take_group};
use super::{Input, put_signed, unzigzag, zigzag};

const CONSTANT: u8 = 0;
const LINEAR: u8 = 1;
const PLAIN: u8 = 2;
const DELTA: u8 = 3;
const DELTA_OF_DELTA: u8 = 4;
const CLIMB: u8 = 5;

fn deltas(values: &[i64]) -> impl Iterator<Item = i64> {
    values.iter().zip(values.iter().skip(1)).map(|(a, b)| b.wrapping_sub(*a))
}

fn deltas_of_deltas(values: &[i64]) -> impl Iterator<Item = u64> {
    let later = deltas(values).skip(1);
    deltas(values).zip(later).map(|(a, b)| zigzag(b.wrapping_sub(a)))
}

fn over(value: i64, least: i64) -> u64 {
    value.wrapping_sub(least).cast_unsigned()
}

fn above(values: &[i64], least: i64) -> impl Iterator<Item = u64> {
    values.iter().map(move |value| over(*value, least))
}

/// Writes a column.
pub(crate) fn encode(values: &[i64], out: &mut Vec<u8>) {
    let Some(first) = values.first().copied() else { return };
    let step = deltas(values).next().unwrap_or(0);
    if deltas(values).all(|delta| delta == step) {
        out.push(if step == 0 { CONSTANT } else { LINEAR });
        put_signed(out, first);
        if step != 0 {
            put_signed(out, step);
        }
        return;
    }
    let least = values.iter().min().copied().unwrap_or(first);
    let least_step = deltas(values).min().unwrap_or(0);
    let forms = [
        (packed_len(above(values, least)), PLAIN),
        (packed_len(deltas(values).map(zigzag)), DELTA),
        (packed_len(deltas_of_deltas(values)), DELTA_OF_DELTA),
        (packed_len(deltas(values).map(|delta| over(delta, least_step))), CLIMB),
    ];
    let form = forms.iter().min().map_or(PLAIN, |(_, form)| *form);
    out.push(form);
    match form {
        DELTA_OF_DELTA => {
            put_signed(out, first);
            put_signed(out, step);
            put_groups(deltas_of_deltas(values), out);
        }
        DELTA => {
            put_signed(out, first);
            put_groups(deltas(values).map(zigzag), out);
        }
        CLIMB => {
            put_signed(out, first);
            put_signed(out, least_step);
            put_groups(deltas(values).map(|delta| over(delta, least_step)), out);
        }
        _ => {
            put_signed(out, least);
            put_groups(above(values, least), out);
        }
    }
}

/// Reads a column of `count` numbers; `None` when the bytes are not one.
pub(crate) fn decode(input: &mut Input<'_>, count: usize) -> Option<Vec<i64>> {
    let mut values = Vec::new();
    if count == 0 {
        return Some(values);
    }
    let form = input.u8()?;
    let first = input.signed()?;
    // a form that takes no bytes for its numbers is bounded by whoever knows the count
    values.reserve_exact(count);
    match form {
        CONSTANT => values.resize(count, first),
        LINEAR => {
            let step = input.signed()?;
            let mut next = first;
            values.extend((0..count).map(|_| {
                let value = next;
                next = next.wrapping_add(step);
                value
            }));
        }
        PLAIN => each_group(input, count, |number| {
            values.push(first.wrapping_add(number.cast_signed()));
        })?,
        DELTA => {
            values.push(first);
            let mut value = first;
            each_group(input, count - 1, |number| {
                value = value.wrapping_add(unzigzag(number));
                values.push(value);
            })?;
        }
        CLIMB => {
            let least_step = input.signed()?;
            values.push(first);
            let mut value = first;
            each_group(input, count - 1, |number| {
                let delta = least_step.wrapping_add(number.cast_signed());
                value = value.wrapping_add(delta);
                values.push(value);
            })?;
        }
        DELTA_OF_DELTA => {
            let mut delta = input.signed()?;
            let mut value = first;
            values.push(value);
            if count > 1 {
                value = value.wrapping_add(delta);
                values.push(value);
            }
            each_group(input, count.saturating_sub(2), |number| {
                delta = delta.wrapping_add(unzigzag(number));
                value = value.wrapping_add(delta);
                values.push(value);
            })?;
        }
        _ => return None,
    }
    Some(values)
}

fn each_group(input: &mut Input<'_>, count: usize, mut take: impl FnMut(u64)) -> Option<()> {
    let mut group = [0; GROUP];
    let mut left = count;
    while left > 0 {
        let here = left.min(GROUP);
        take_group(input, here, &mut group)?;
        group.iter().take(here).for_each(|number| take(*number));
        left -= here;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[i64]) -> usize {
        let mut bytes = Vec::new();
        encode(values, &mut bytes);
        let mut input = Input::new(&bytes);
        assert_eq!(decode(&mut input, values.len()).as_deref(), Some(values));
        assert!(input.is_empty(), "all of the column is read");
        bytes.len()
    }

    #[test]
    fn even_ticks_and_constants_take_a_few_bytes_however_many() {
        let ticks: Vec<i64> = (0..4096).map(|i| 1_700_000_000 + i).collect();
        assert!(round_trip(&ticks) <= 7);
        assert!(round_trip(&[-5; 4096]) <= 2);
        assert_eq!(round_trip(&[]), 0);
        assert!(round_trip(&[i64::MAX]) <= 11);
    }

    #[test]
    fn each_shape_is_written_in_its_form() {
        let form = |values: &[i64]| {
            let mut bytes = Vec::new();
            encode(values, &mut bytes);
            round_trip(values);
            bytes[0]
        };
        let noise: Vec<i64> = (0..500).map(|i| (i * i * i * 7919 + i * i) % 101).collect();
        assert_eq!(form(&noise), PLAIN);
        let pseudo = |i: i64, below: u64| {
            let mixed = (i.cast_unsigned() + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            ((mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40).cast_signed()
                % below.cast_signed()
        };
        let walk = |below: u64, least: i64| -> Vec<i64> {
            let steps = (0..500).scan(1 << 40, |at, i| {
                *at += pseudo(i, below) + least;
                Some(*at)
            });
            steps.collect()
        };
        assert_eq!(form(&walk(17, 0)), CLIMB);
        assert_eq!(form(&walk(16, -8)), DELTA);
        let ramp: Vec<i64> = (0..500).map(|i| i * i * 50 + pseudo(i, 17)).collect();
        assert_eq!(form(&ramp), DELTA_OF_DELTA);
    }

    #[test]
    fn extremes_wrap_around_and_come_back() {
        round_trip(&[i64::MIN, i64::MAX, 0, i64::MAX, i64::MIN, -1, 1]);
        round_trip(&[i64::MAX, i64::MIN]);
    }

    #[test]
    fn column_that_is_cut_anywhere_is_refused() {
        let values: Vec<i64> = (0..200).map(|i| (i * i * 37) % 1009).collect();
        let mut bytes = Vec::new();
        encode(&values, &mut bytes);
        for len in 0..bytes.len() {
            assert_eq!(decode(&mut Input::new(&bytes[..len]), values.len()), None, "{len}");
        }
    }

    proptest! {
        #[test]
        fn any_column_comes_back(values in prop::collection::vec(any::<i64>(), 0..300)) {
            round_trip(&values);
        }

        #[test]
        fn any_walk_comes_back(start: i64, steps in prop::collection::vec(-300_i64..300, 0..300)) {
            let walk: Vec<i64> = steps.iter().scan(start, |at, step| {
                *at = at.wrapping_add(*step);
                Some(*at)
            }).collect();
            round_trip(&walk);
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

//! Groups of 64 numbers, each group in as few bits a number as nearly all of it need.
//!
//! Owns the layout of a group:
//!
//! ```text
//! group = width · numbers, lowest bits first, in whole bytes · exceptions, if width has bit 7
//! exceptions = how many · (which · the bits above)…
//! ```
//! One large number among small ones, as a sensor's spike, is an exception and does not make the
//! others wide. Must never read behind the group.

use super::{Input, put_varint};

/// Numbers in a group. Larger groups save width bytes, smaller ones confine what one large number
/// costs.
pub(crate) const GROUP: usize = 64;
const WITH_EXCEPTIONS: u8 = 0x80;

/// Bits of a number.
#[inline]
fn width(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()) as usize
}

/// Bytes of a number with so many bits, seven of them a byte.
fn varint_len(width: usize) -> usize {
    width.div_ceil(7).max(1)
}

/// How a group is best written: bits of each number, how many exceptions, bytes altogether.
fn plan(numbers: &[u64]) -> (usize, usize, usize) {
    let mut of_width = [0_u8; 65];
    let mut widest = 0;
    for number in numbers {
        let width = width(*number);
        widest = widest.max(width);
        if let Some(count) = of_width.get_mut(width) {
            *count += 1;
        }
    }
    let packed = |bits: usize| (bits * numbers.len()).div_ceil(8);
    let mut best = (widest, 0, 1 + packed(widest));
    let mut exceptions = 0;
    for bits in (0..widest).rev() {
        exceptions += usize::from(of_width.get(bits + 1).copied().unwrap_or(0));
        // each takes two bytes at least
        if 2 * exceptions >= best.2 {
            break;
        }
        if 2 + packed(bits) + 2 * exceptions >= best.2 {
            continue;
        }
        let wider = of_width.iter().enumerate().take(widest + 1).skip(bits + 1);
        let above: usize =
            wider.map(|(width, count)| usize::from(*count) * (1 + varint_len(width - bits))).sum();
        let bytes = 2 + packed(bits) + above;
        if bytes < best.2 {
            best = (bits, exceptions, bytes);
        }
    }
    best
}

/// Calls `each` with the numbers, group by group.
fn groups(mut numbers: impl Iterator<Item = u64>, mut each: impl FnMut(&[u64])) {
    let mut group = [0; GROUP];
    loop {
        let mut filled = 0;
        for (slot, number) in group.iter_mut().zip(&mut numbers) {
            *slot = number;
            filled += 1;
        }
        match group.get(..filled) {
            Some([]) | None => return,
            Some(full) => each(full),
        }
    }
}

/// Bytes the groups of these numbers take.
pub(crate) fn packed_len(numbers: impl Iterator<Item = u64>) -> usize {
    let mut bytes = 0;
    groups(numbers, |group| bytes += plan(group).2);
    bytes
}

/// Writes numbers in groups.
pub(crate) fn put_groups(numbers: impl Iterator<Item = u64>, out: &mut Vec<u8>) {
    groups(numbers, |group| put_group(group, out));
}

fn put_group(numbers: &[u64], out: &mut Vec<u8>) {
    let (bits, exceptions, _) = plan(numbers);
    let mark = if exceptions > 0 { WITH_EXCEPTIONS } else { 0 };
    out.push(bits as u8 | mark);
    if bits > 0 {
        pack(numbers, bits as u32, out);
    }
    if exceptions > 0 {
        out.push(exceptions as u8);
        let wider = numbers.iter().enumerate().filter(|(_, number)| width(**number) > bits);
        for (at, number) in wider {
            out.push(at as u8);
            put_varint(out, number >> bits);
        }
    }
}

/// Writes the lowest `width` bits, 1 to 64, of each number.
fn pack(numbers: &[u64], width: u32, out: &mut Vec<u8>) {
    let mask = u64::MAX >> (u64::BITS - width);
    let (mut word, mut filled) = (0_u64, 0_u32);
    for number in numbers {
        let number = number & mask;
        word |= number << filled;
        filled += width;
        if filled >= u64::BITS {
            out.extend_from_slice(&word.to_le_bytes());
            filled -= u64::BITS;
            // what of the number found no room; none is left when it filled the word exactly
            word = if filled == 0 { 0 } else { number >> (width - filled) };
        }
    }
    let rest = filled.div_ceil(8) as usize;
    out.extend_from_slice(word.to_le_bytes().get(..rest).unwrap_or_default());
}

/// Reads a group of `count` numbers, at most [`GROUP`], into the front of `group`.
pub(crate) fn take_group(
    input: &mut Input<'_>,
    count: usize,
    group: &mut [u64; GROUP],
) -> Option<()> {
    let head = input.u8()?;
    let width = u32::from(head & !WITH_EXCEPTIONS);
    let numbers = group.get_mut(..count)?;
    if width == 0 {
        numbers.fill(0);
    } else {
        unpack(input, width, numbers)?;
    }
    if head & WITH_EXCEPTIONS != 0 {
        for _ in 0..input.u8()? {
            let number = numbers.get_mut(usize::from(input.u8()?))?;
            let above = input.varint()?;
            // bits that would fall out at the top are none that were written
            *number |= above.checked_shl(width).filter(|bits| bits >> width == above)?;
        }
    }
    Some(())
}

fn unpack(input: &mut Input<'_>, width: u32, numbers: &mut [u64]) -> Option<()> {
    if width > u64::BITS {
        return None;
    }
    let packed = input.take((numbers.len() * width as usize).div_ceil(8))?;
    // room behind the last number, so that each can be read with one load
    let mut bytes = [0_u8; GROUP * 8 + 16];
    bytes.get_mut(..packed.len())?.copy_from_slice(packed);
    let mask = u64::MAX >> (u64::BITS - width);
    for (index, number) in numbers.iter_mut().enumerate() {
        let bit = index * width as usize;
        let from = bytes.get(bit / 8..)?;
        let shift = bit % 8;
        *number = if width <= 56 {
            u64::from_le_bytes(*from.first_chunk()?) >> shift & mask
        } else {
            (u128::from_le_bytes(*from.first_chunk()?) >> shift) as u64 & mask
        };
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(numbers: &[u64]) -> usize {
        let mut bytes = Vec::new();
        put_groups(numbers.iter().copied(), &mut bytes);
        assert_eq!(bytes.len(), packed_len(numbers.iter().copied()), "{numbers:?}");
        let mut input = Input::new(&bytes);
        let mut back = Vec::new();
        while back.len() < numbers.len() {
            let count = GROUP.min(numbers.len() - back.len());
            let mut group = [7; GROUP];
            take_group(&mut input, count, &mut group).unwrap();
            back.extend_from_slice(&group[..count]);
        }
        assert!(input.is_empty());
        assert_eq!(back, numbers);
        bytes.len()
    }

    #[test]
    fn groups_of_every_width_and_length_come_back() {
        for width in 0..=64_u32 {
            let most = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
            for count in [1, 2, 7, 8, 63, 64, 65, 129] {
                let numbers: Vec<u64> = (0..count)
                    .map(|i: u64| most.wrapping_sub(i.wrapping_mul(0x9E37_79B9_7F4A_7C15)) & most)
                    .collect();
                round_trip(&numbers);
            }
        }
    }

    #[test]
    fn one_spike_does_not_make_its_neighbours_wide() {
        let mut numbers = [3_u64; 64];
        assert_eq!(round_trip(&numbers), 1 + 16);
        numbers[17] = 9_000;
        assert_eq!(round_trip(&numbers), 1 + 16 + 1 + 1 + 2);
        numbers[63] = u64::MAX;
        assert!(round_trip(&numbers) < 35);
    }

    #[test]
    fn group_that_is_cut_or_too_wide_is_refused() {
        let mut bytes = Vec::new();
        put_groups([1, 2, u64::MAX, 3, 2, 1, 0, 1].into_iter(), &mut bytes);
        assert_ne!(bytes[0] & WITH_EXCEPTIONS, 0);
        for len in 0..bytes.len() {
            assert_eq!(take_group(&mut Input::new(&bytes[..len]), 8, &mut [0; GROUP]), None);
        }
        assert_eq!(take_group(&mut Input::new(&[65; 600]), 3, &mut [0; GROUP]), None);
        assert_eq!(take_group(&mut Input::new(&[1; 600]), 65, &mut [0; GROUP]), None);
        // an exception of a number that is not there, and one that has too many bits
        assert_eq!(take_group(&mut Input::new(&[0x80, 1, 3, 1]), 3, &mut [0; GROUP]), None);
        let too_high = [0x84, 0, 0, 1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1];
        assert_eq!(take_group(&mut Input::new(&too_high), 3, &mut [0; GROUP]), None);
    }

    proptest! {
        #[test]
        fn any_numbers_of_any_widths_come_back(
            numbers in prop::collection::vec((any::<u64>(), 0_u32..64), 0..200),
        ) {
            round_trip(&numbers.iter().map(|(n, shift)| n >> shift).collect::<Vec<_>>());
        }
    }
}

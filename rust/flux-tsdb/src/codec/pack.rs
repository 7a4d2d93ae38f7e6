//! Groups of 64 numbers, each group in as few bits a number as its largest needs.
//!
//! Owns the layout of a group: its width in a byte, then the numbers, lowest bits first, in whole
//! bytes. Must never read behind the group.

use super::Input;

/// Numbers in a group. Larger groups save width bytes, smaller ones confine what one large number
/// costs.
pub(crate) const GROUP: usize = 64;

/// Bits that hold every number whose bits are in `union`.
#[inline]
fn width(union: u64) -> u32 {
    u64::BITS - union.leading_zeros()
}

/// Bytes the groups of these numbers take.
pub(crate) fn packed_len(numbers: impl Iterator<Item = u64>) -> usize {
    let (mut bytes, mut union, mut filled) = (0, 0, 0_usize);
    for number in numbers {
        union |= number;
        filled += 1;
        if filled == GROUP {
            bytes += 1 + width(union) as usize * GROUP / 8;
            (union, filled) = (0, 0);
        }
    }
    if filled > 0 {
        bytes += 1 + (width(union) as usize * filled).div_ceil(8);
    }
    bytes
}

/// Writes numbers in groups.
pub(crate) fn put_groups(mut numbers: impl Iterator<Item = u64>, out: &mut Vec<u8>) {
    let mut group = [0; GROUP];
    loop {
        let mut filled = 0;
        for (slot, number) in group.iter_mut().zip(&mut numbers) {
            *slot = number;
            filled += 1;
        }
        match group.get(..filled) {
            Some([]) | None => return,
            Some(full) => put_group(full, out),
        }
        if filled < GROUP {
            return;
        }
    }
}

fn put_group(numbers: &[u64], out: &mut Vec<u8>) {
    let width = width(numbers.iter().fold(0, |union, number| union | number));
    out.push(width as u8);
    if width == 0 {
        return;
    }
    let (mut word, mut filled) = (0_u64, 0_u32);
    for number in numbers {
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
    let width = u32::from(input.u8()?);
    let numbers = group.get_mut(..count)?;
    if width == 0 {
        numbers.fill(0);
        return Some(());
    }
    if width > u64::BITS {
        return None;
    }
    let packed = input.take((count * width as usize).div_ceil(8))?;
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

    #[test]
    fn groups_of_every_width_and_length_come_back() {
        for width in 0..=64_u32 {
            let most = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
            for count in [1, 2, 7, 8, 63, 64, 65, 129] {
                let numbers: Vec<u64> = (0..count)
                    .map(|i: u64| most.wrapping_sub(i.wrapping_mul(0x9E37_79B9_7F4A_7C15)) & most)
                    .collect();
                let mut bytes = Vec::new();
                put_groups(numbers.iter().copied(), &mut bytes);
                assert_eq!(bytes.len(), packed_len(numbers.iter().copied()), "{width} {count}");
                let mut input = Input::new(&bytes);
                let mut back = Vec::new();
                while back.len() < numbers.len() {
                    let count = GROUP.min(numbers.len() - back.len());
                    let mut group = [7; GROUP];
                    take_group(&mut input, count, &mut group).unwrap();
                    back.extend_from_slice(&group[..count]);
                }
                assert!(input.is_empty());
                assert_eq!(back, numbers, "{width} bits, {count} numbers");
            }
        }
    }

    #[test]
    fn group_that_is_cut_or_too_wide_is_refused() {
        let mut bytes = Vec::new();
        put_groups([1000, 2000, 3000].into_iter(), &mut bytes);
        for len in 0..bytes.len() {
            assert_eq!(take_group(&mut Input::new(&bytes[..len]), 3, &mut [0; GROUP]), None);
        }
        assert_eq!(take_group(&mut Input::new(&[65; 600]), 3, &mut [0; GROUP]), None);
        assert_eq!(take_group(&mut Input::new(&[1; 600]), 65, &mut [0; GROUP]), None);
    }
}

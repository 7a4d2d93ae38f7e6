//! Floating-point numbers by how their bits differ from those before.
//!
//! Owns the form of Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database"
//! (VLDB 2015), section 4.1.3, with bits from the highest down: the first number whole; then `0`
//! for the same again, `10` and the meaningful bits where they lie within the last window, `11`
//! with a new window (five bits of leading zeros, six of length less one) and the bits. Must never
//! read behind its bytes.

/// At most this many leading zeros can be said in five bits.
const LEADING_MAX: u32 = 31;

struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    word: u64,
    filled: u32,
}

impl BitWriter<'_> {
    /// Writes the lowest `count` bits, 1 to 64.
    fn put(&mut self, bits: u64, count: u32) {
        let room = u64::BITS - self.filled;
        if count < room {
            self.word |= bits << (room - count);
            self.filled += count;
            return;
        }
        let over = count - room;
        self.out.extend_from_slice(&(self.word | bits >> over).to_be_bytes());
        self.word = if over == 0 { 0 } else { bits << (u64::BITS - over) };
        self.filled = over;
    }

    fn finish(self) {
        let bytes = self.filled.div_ceil(8) as usize;
        self.out.extend_from_slice(self.word.to_be_bytes().get(..bytes).unwrap_or_default());
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl BitReader<'_> {
    /// Reads `count` bits, 1 to 64.
    fn take(&mut self, count: u32) -> Option<u64> {
        let end = self.at.checked_add(count as usize)?;
        if end > self.bytes.len() * 8 {
            return None;
        }
        let from = self.bytes.get(self.at / 8..)?;
        let mut window = [0; 16];
        let len = from.len().min(window.len());
        window.get_mut(..len)?.copy_from_slice(from.get(..len)?);
        let shifted = u128::from_be_bytes(window) << (self.at % 8);
        self.at = end;
        Some((shifted >> (u128::BITS - count)) as u64)
    }
}

pub(crate) fn encode(values: &[u64], out: &mut Vec<u8>) {
    let mut bits = BitWriter { out, word: 0, filled: 0 };
    let mut values = values.iter().copied();
    let Some(mut last) = values.next() else { return };
    bits.put(last, 64);
    let (mut leading, mut trailing) = (u64::BITS, 0);
    for value in values {
        let differs = value ^ last;
        last = value;
        if differs == 0 {
            bits.put(0, 1);
            continue;
        }
        let (zeros, ends) = (differs.leading_zeros().min(LEADING_MAX), differs.trailing_zeros());
        if leading <= zeros && trailing <= ends {
            bits.put(0b10, 2);
            bits.put(differs >> trailing, u64::BITS - leading - trailing);
            continue;
        }
        (leading, trailing) = (zeros, ends);
        let len = u64::BITS - leading - trailing;
        bits.put(0b11, 2);
        bits.put(u64::from(leading), 5);
        bits.put(u64::from(len - 1), 6);
        bits.put(differs >> trailing, len);
    }
    bits.finish();
}

pub(crate) fn decode(bytes: &[u8], count: usize) -> Option<Vec<u64>> {
    // each number takes at least a bit: memory is bounded by the bytes that are there
    if count > bytes.len() * 8 {
        return None;
    }
    let mut bits = BitReader { bytes, at: 0 };
    let mut values = Vec::with_capacity(count);
    let mut last = bits.take(64)?;
    values.push(last);
    let (mut len, mut trailing) = (u64::BITS, 0);
    while values.len() < count {
        if bits.take(1)? == 1 {
            if bits.take(1)? == 1 {
                let leading = u32::try_from(bits.take(5)?).ok()?;
                len = u32::try_from(bits.take(6)?).ok()? + 1;
                trailing = u64::BITS.checked_sub(leading + len)?;
            }
            last ^= bits.take(len)? << trailing;
        }
        values.push(last);
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[u64]) -> usize {
        let mut bytes = Vec::new();
        encode(values, &mut bytes);
        assert_eq!(decode(&bytes, values.len()).as_deref(), Some(values).filter(|v| !v.is_empty()));
        bytes.len()
    }

    #[test]
    fn the_same_again_takes_a_bit() {
        assert_eq!(round_trip(&[0x4035_0000_0000_0000; 81]), 8 + 10);
    }

    #[test]
    fn numbers_that_differ_everywhere_come_back() {
        round_trip(&[0, u64::MAX, 0, 1, 1 << 63, 3 << 40, 0]);
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(values in prop::collection::vec(any::<u64>(), 1..100)) {
            round_trip(&values);
        }

        #[test]
        fn numbers_with_few_differences_come_back(
            start: u64, flips in prop::collection::vec((0_u32..64, 0_u64..16), 1..100),
        ) {
            let values: Vec<u64> = flips.iter().scan(start, |at, (shift, bits)| {
                *at ^= bits << shift;
                Some(*at)
            }).collect();
            round_trip(&values);
        }

        #[test]
        fn hostile_bytes_are_refused_or_read(
            bytes in prop::collection::vec(any::<u8>(), 0..100), count in 1_usize..2000,
        ) {
            if let Some(values) = decode(&bytes, count) {
                prop_assert_eq!(values.len(), count);
            }
        }
    }
}

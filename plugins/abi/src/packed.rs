//! The one number a call returns.

/// Where a call's output lies: bits 0 to 31 are its length, bits 32 to 62 its address, bit 63 tells
/// that it stays the guest's. The number 0 is no output at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Address in the guest's memory; below 2^31.
    pub ptr: u32,
    /// Bytes.
    pub len: u32,
    /// Set: the guest's own buffer, valid until the next call into the instance. Clear: the host
    /// calls `dealloc(ptr, len)` once it has read it.
    pub borrowed: bool,
}

const BORROWED: u64 = 1 << 63;

impl Packed {
    /// Takes a call's result apart; `None` for 0, no output.
    #[must_use]
    #[inline]
    pub const fn unpack(result: i64) -> Option<Self> {
        if result == 0 {
            return None;
        }
        let bits = result as u64;
        Some(Self {
            ptr: ((bits & !BORROWED) >> 32) as u32,
            len: (bits & 0xffff_ffff) as u32,
            borrowed: bits & BORROWED != 0,
        })
    }

    /// The number to return; `None` when the address needs 32 bits, or when everything is 0 and
    /// would read as no output.
    #[must_use]
    #[inline]
    pub const fn pack(self) -> Option<i64> {
        if self.ptr >> 31 != 0 {
            return None;
        }
        let borrowed = if self.borrowed { BORROWED } else { 0 };
        match borrowed | (self.ptr as u64) << 32 | self.len as u64 {
            0 => None,
            bits => Some(bits as i64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_results_survive_the_trip() {
        for (ptr, len, borrowed) in
            [(8, 0, false), (0, 1, false), (0x7fff_ffff, u32::MAX, true), (0, 0, true)]
        {
            let packed = Packed { ptr, len, borrowed };
            let number = packed.pack().unwrap();
            assert_eq!(number < 0, borrowed);
            assert_eq!(Packed::unpack(number), Some(packed));
        }
    }

    #[test]
    fn zero_is_no_output_and_high_addresses_do_not_fit() {
        assert_eq!(Packed::unpack(0), None);
        assert_eq!(Packed { ptr: 0, len: 0, borrowed: false }.pack(), None);
        assert_eq!(Packed { ptr: 1 << 31, len: 1, borrowed: false }.pack(), None);
    }
}

//! Checksums.

use crate::settings::{ChecksumType, Endian};

/// A polynomial, where it begins, and in which order bits go in.
struct Crc {
    bits: u32,
    /// As it is written in books; turned around where bits go in lowest first.
    polynomial: u32,
    initial: u32,
    reflected: bool,
    /// Laid over the result.
    last: u32,
}

impl Crc {
    /// Bit by bit: frames are short, and a table would be larger than what reads them.
    fn of(&self, bytes: &[u8]) -> u32 {
        let top = 1_u32 << (self.bits - 1);
        let mask = top | (top - 1);
        let mut crc = self.initial;
        if self.reflected {
            let polynomial = self.polynomial.reverse_bits() >> (32 - self.bits);
            for byte in bytes {
                crc ^= u32::from(*byte);
                for _ in 0..8 {
                    crc = if crc & 1 == 1 { crc >> 1 ^ polynomial } else { crc >> 1 };
                }
            }
        } else {
            for byte in bytes {
                crc ^= u32::from(*byte) << (self.bits - 8);
                for _ in 0..8 {
                    crc = if crc & top != 0 { crc << 1 ^ self.polynomial } else { crc << 1 };
                }
            }
        }
        (crc ^ self.last) & mask
    }
}

impl ChecksumType {
    /// Bytes of the checksum.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::None => 0,
            Self::Crc8 | Self::Sum8 | Self::Lrc8 | Self::Xor8 => 1,
            Self::Crc16Modbus | Self::Crc16Ccitt | Self::Crc16Xmodem | Self::Crc16Kermit => 2,
            Self::Sum16 => 2,
            Self::Crc32 => 4,
        }
    }

    /// The order of bytes it is usually sent in.
    pub(crate) const fn usual_endian(self) -> Endian {
        match self {
            Self::Crc16Modbus | Self::Crc16Kermit => Endian::Little,
            _ => Endian::Big,
        }
    }

    /// The checksum of bytes.
    pub(crate) fn of(self, bytes: &[u8]) -> u32 {
        let sum =
            |bytes: &[u8]| bytes.iter().fold(0_u32, |sum, byte| sum.wrapping_add((*byte).into()));
        let crc16 = |polynomial, initial, reflected| {
            Crc { bits: 16, polynomial, initial, reflected, last: 0 }.of(bytes)
        };
        match self {
            Self::None => 0,
            Self::Crc8 => {
                Crc { bits: 8, polynomial: 0x07, initial: 0, reflected: false, last: 0 }.of(bytes)
            }
            Self::Crc16Modbus => crc16(0x8005, 0xffff, true),
            Self::Crc16Ccitt => crc16(0x1021, 0xffff, false),
            Self::Crc16Xmodem => crc16(0x1021, 0, false),
            Self::Crc16Kermit => crc16(0x1021, 0, true),
            Self::Crc32 => {
                let (initial, last) = (u32::MAX, u32::MAX);
                Crc { bits: 32, polynomial: 0x04c1_1db7, initial, reflected: true, last }.of(bytes)
            }
            Self::Sum8 => sum(bytes) & 0xff,
            Self::Lrc8 => sum(bytes).wrapping_neg() & 0xff,
            Self::Sum16 => sum(bytes) & 0xffff,
            Self::Xor8 => bytes.iter().fold(0, |xor, byte| xor ^ u32::from(*byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the catalogue of parametrised CRC algorithms, over "123456789".
    #[test]
    fn check_values_are_those_of_the_catalogue() {
        for (kind, check) in [
            (ChecksumType::Crc8, 0xf4),
            (ChecksumType::Crc16Modbus, 0x4b37),
            (ChecksumType::Crc16Ccitt, 0x29b1),
            (ChecksumType::Crc16Xmodem, 0x31c3),
            (ChecksumType::Crc16Kermit, 0x2189),
            (ChecksumType::Crc32, 0xcbf4_3926),
            (ChecksumType::Sum8, 0xdd),
            (ChecksumType::Lrc8, 0x23),
            (ChecksumType::Sum16, 0x01dd),
            (ChecksumType::Xor8, 0x31),
        ] {
            assert_eq!(kind.of(b"123456789"), check, "{kind:?}");
        }
    }
}

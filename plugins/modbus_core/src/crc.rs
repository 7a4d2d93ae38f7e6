//! The check behind every serial frame: CRC-16 with the polynomial 0x8005, reflected, begun at
//! 0xFFFF (Modbus over Serial Line V1.02, 2.5.1.2 and appendix B).

/// `TABLES[k][b]`: what byte `b` does to the check when `k` more bytes follow it in the same step.
static TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation)] // below 256
        let mut crc = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xa001 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut step = 1;
    while step < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before: u16 = tables[step - 1][byte];
            tables[step][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        step += 1;
    }
    tables
}

/// The check of no bytes.
pub(crate) const START: u16 = 0xffff;

/// The check of `bytes`, which is sent low byte first.
///
/// Eight bytes a step: a table for each place, so that no look-up waits for the one before.
///
/// ```
/// // Modbus over Serial Line V1.02, appendix B: 02 07 is followed by 41 12.
/// assert_eq!(modbus_core::crc16(&[0x02, 0x07]), 0x1241);
/// ```
#[must_use]
#[inline]
pub fn crc16(bytes: &[u8]) -> u16 {
    extend(START, bytes)
}

/// The check of what `crc` is the check of, followed by `bytes`.
#[inline]
fn extend(mut crc: u16, bytes: &[u8]) -> u16 {
    let mut rest = bytes;
    while let [a, b, c, d, e, f, g, h, behind @ ..] = rest {
        let [low, high] = crc.to_le_bytes();
        crc = at(7, a ^ low)
            ^ at(6, b ^ high)
            ^ at(5, *c)
            ^ at(4, *d)
            ^ at(3, *e)
            ^ at(2, *f)
            ^ at(1, *g)
            ^ at(0, *h);
        rest = behind;
    }
    while let [a, b, behind @ ..] = rest {
        let [low, high] = crc.to_le_bytes();
        crc = at(1, a ^ low) ^ at(0, b ^ high);
        rest = behind;
    }
    rest.iter().fold(crc, |crc, byte| extend_by(crc, *byte))
}

/// The check of what `crc` is the check of, followed by one byte.
#[inline]
pub(crate) fn extend_by(crc: u16, byte: u8) -> u16 {
    let [low, _] = crc.to_le_bytes();
    (crc >> 8) ^ at(0, byte ^ low)
}

#[inline]
fn at(step: usize, byte: u8) -> u16 {
    TABLES[step][usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit, as the flowchart of 2.5.1.2 has it.
    fn bit_by_bit(bytes: &[u8]) -> u16 {
        bytes.iter().fold(START, |crc, byte| {
            (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xa001 } else { crc >> 1 }
            })
        })
    }

    #[test]
    fn the_specifications_example_holds() {
        // Modbus over Serial Line V1.02, appendix B.
        assert_eq!(crc16(&[0x02, 0x07]), 0x1241);
    }

    #[test]
    fn the_catalogues_check_value_holds() {
        // CRC-16/MODBUS in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc16(b"123456789"), 0x4b37);
    }

    #[test]
    fn steps_of_eight_agree_with_steps_of_a_bit() {
        let bytes: Vec<u8> = (0..=255).map(|byte: u8| byte.wrapping_mul(37) ^ 0x5a).collect();
        for len in 0..bytes.len() {
            assert_eq!(crc16(&bytes[..len]), bit_by_bit(&bytes[..len]), "{len} bytes");
        }
    }

    #[test]
    fn a_frame_with_its_check_has_the_check_zero() {
        let mut frame = vec![0x01, 0x03, 0x02, 0x12, 0x34];
        frame.extend(crc16(&frame).to_le_bytes());
        assert_eq!(crc16(&frame), 0);
    }
}

//! Frames on TCP: a header that counts what follows, unit, PDU (Messaging on TCP/IP V1.0b, 3.1).
//!
//! The header: transaction, protocol (0), the number of bytes behind it; two bytes each, the high
//! one first. TCP keeps bytes whole, so there is no check.

use flux_plugin_sdk::PluginError;

use crate::error::{code, error};
use crate::transport::{Adu, PDU_BYTES_MAX, Scan, Transport};

/// Bytes before the unit.
const HEADER_BYTES: usize = 6;
/// Bytes of the shortest frame: header, unit, function code.
pub(crate) const FRAME_BYTES_MIN: usize = HEADER_BYTES + 2;
/// Bytes of the longest frame.
pub(crate) const FRAME_BYTES_MAX: usize = HEADER_BYTES + 1 + PDU_BYTES_MAX;

/// Modbus TCP.
#[derive(Debug)]
pub struct Tcp;

impl Transport for Tcp {
    const NAME: &'static str = "Modbus TCP";
    const HAS_TRANSACTIONS: bool = true;
    const HAS_BROADCAST: bool = false;

    #[inline]
    fn open(frame: &[u8]) -> Result<Adu<'_>, PluginError> {
        match frame {
            [t1, t0, 0, 0, l1, l0, unit, pdu @ ..]
                if (1..=PDU_BYTES_MAX).contains(&pdu.len())
                    && usize::from(u16::from_be_bytes([*l1, *l0])) == pdu.len() + 1 =>
            {
                Ok(Adu { transaction: u16::from_be_bytes([*t1, *t0]), unit: *unit, pdu })
            }
            _ => Err(wrong(frame)),
        }
    }

    #[inline]
    fn sent(frame: &[u8]) -> Option<Adu<'_>> {
        match frame {
            [t1, t0, _, _, _, _, unit, pdu @ ..] if !pdu.is_empty() => {
                Some(Adu { transaction: u16::from_be_bytes([*t1, *t0]), unit: *unit, pdu })
            }
            _ => None,
        }
    }

    fn seal(adu: Adu<'_>, frame: &mut Vec<u8>) {
        #[allow(clippy::cast_possible_truncation)] // at most 253 bytes
        let len = adu.pdu.len() as u16 + 1;
        let ([t1, t0], [l1, l0]) = (adu.transaction.to_be_bytes(), len.to_be_bytes());
        frame.extend_from_slice(&[t1, t0, 0, 0, l1, l0, adu.unit]);
        frame.extend_from_slice(adu.pdu);
    }

    /// The header says how long a frame is, whoever sent it: the request does not matter.
    fn scan(bytes: &[u8], _: Option<&[u8]>) -> Scan {
        let protocol = bytes.get(2..4.min(bytes.len())).unwrap_or_default();
        if protocol.iter().any(|byte| *byte != 0) {
            return Scan::Skip(1);
        }
        let Some([l1, l0]) = bytes.get(4..HEADER_BYTES) else { return Scan::NeedMore };
        let len = HEADER_BYTES + usize::from(u16::from_be_bytes([*l1, *l0]));
        if !(FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&len) {
            return Scan::Skip(1);
        }
        if bytes.len() < len { Scan::NeedMore } else { Scan::Frame(len) }
    }
}

#[cold]
fn wrong(frame: &[u8]) -> PluginError {
    if let [_, _, p1, p0, ..] = frame {
        let protocol = u16::from_be_bytes([*p1, *p0]);
        if protocol != 0 {
            return error(code::PROTOCOL, format!("the header names protocol {protocol}, not 0"));
        }
    }
    let (len, (min, max)) = (frame.len(), (FRAME_BYTES_MIN, FRAME_BYTES_MAX));
    match frame.get(4..HEADER_BYTES) {
        Some([l1, l0]) if (min..=max).contains(&len) => {
            let says = u16::from_be_bytes([*l1, *l0]);
            let follow = len - HEADER_BYTES;
            error(code::LENGTH, format!("the header announces {says} bytes, {follow} follow it"))
        }
        _ => error(code::LENGTH, format!("{len} bytes; a frame has {min} to {max}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: [u8; 12] = [0x15, 0x01, 0, 0, 0, 6, 0xff, 0x03, 0, 4, 0, 1];

    #[test]
    fn a_frame_is_opened_and_sealed() {
        let adu = Tcp::open(&FRAME).unwrap();
        assert_eq!((adu.transaction, adu.unit, adu.pdu), (0x1501, 0xff, &FRAME[7..]));
        let mut sealed = Vec::new();
        Tcp::seal(adu, &mut sealed);
        assert_eq!(sealed, FRAME);
    }

    #[test]
    fn what_the_header_says_has_to_be_true() {
        let with = |at: usize, byte: u8| {
            let mut frame = FRAME;
            frame[at] = byte;
            Tcp::open(&frame).unwrap_err()
        };
        assert_eq!(with(3, 1).text, "the header names protocol 1, not 0");
        assert_eq!(with(5, 7).text, "the header announces 7 bytes, 6 follow it");
        assert_eq!(with(2, 0xff).code, code::PROTOCOL);
        for len in 0..FRAME.len() {
            assert_eq!(Tcp::open(&FRAME[..len]).unwrap_err().code, code::LENGTH, "{len}");
        }
        let long = [&[0, 0, 0, 0, 1, 0, 1][..], &[3; 255]].concat();
        assert_eq!(Tcp::open(&long).unwrap_err().text, "262 bytes; a frame has 8 to 260");
    }

    #[test]
    fn a_stream_is_cut_by_its_headers() {
        let stream = [FRAME, FRAME].concat();
        for len in 0..FRAME.len() {
            assert_eq!(Tcp::scan(&stream[..len], None), Scan::NeedMore, "{len}");
        }
        for len in FRAME.len()..=stream.len() {
            assert_eq!(Tcp::scan(&stream[..len], None), Scan::Frame(FRAME.len()), "{len}");
        }
    }

    #[test]
    fn what_is_no_header_is_passed_over() {
        assert_eq!(Tcp::scan(&[0x47, 0x45, 0x54], None), Scan::Skip(1));
        assert_eq!(Tcp::scan(&[0, 0, 0, 0, 0, 1], None), Scan::Skip(1));
        assert_eq!(Tcp::scan(&[0, 0, 0, 0, 0, 255], None), Scan::Skip(1));
        assert_eq!(Tcp::scan(&[0, 0, 0, 0, 0, 254], None), Scan::NeedMore);
    }
}

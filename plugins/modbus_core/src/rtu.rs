//! Frames on a serial line, and on sockets that carry a serial line's bytes: unit, PDU, check
//! (Modbus over Serial Line V1.02, 2.2 and 2.5.1).
//!
//! Silence ends a frame on a line. A socket knows no silence: there a frame's length follows from
//! its function code, and its check says whether that was right.

use flux_plugin_sdk::PluginError;

use crate::crc::crc16;
use crate::error::{code, error};
use crate::function::{MEI_DEVICE_IDENTIFICATION, code as function};
use crate::transport::{Adu, PDU_BYTES_MAX, Scan, Transport};

/// Bytes of the shortest frame: unit, function code, check.
pub(crate) const FRAME_BYTES_MIN: usize = 4;
/// Bytes of the longest frame.
pub(crate) const FRAME_BYTES_MAX: usize = PDU_BYTES_MAX + 3;

/// Modbus RTU.
#[derive(Debug)]
pub struct Rtu;

impl Transport for Rtu {
    const NAME: &'static str = "Modbus RTU";
    const HAS_TRANSACTIONS: bool = false;
    const HAS_BROADCAST: bool = true;

    #[inline]
    fn open(frame: &[u8]) -> Result<Adu<'_>, PluginError> {
        let adu = Self::sent(frame).ok_or_else(|| wrong_length(frame.len()))?;
        // The check of a frame with its check is zero, unless a byte was changed on the way.
        if crc16(frame) == 0 { Ok(adu) } else { Err(wrong_check(frame)) }
    }

    #[inline]
    fn sent(frame: &[u8]) -> Option<Adu<'_>> {
        match frame {
            [unit, pdu @ .., _, _] if (1..=PDU_BYTES_MAX).contains(&pdu.len()) => {
                Some(Adu { transaction: 0, unit: *unit, pdu })
            }
            _ => None,
        }
    }

    fn seal(adu: Adu<'_>, frame: &mut Vec<u8>) {
        let start = frame.len();
        frame.push(adu.unit);
        frame.extend_from_slice(adu.pdu);
        let crc = crc16(frame.get(start..).unwrap_or_default());
        frame.extend_from_slice(&crc.to_le_bytes());
    }

    fn scan(bytes: &[u8], request: Option<&[u8]>) -> Scan {
        match request.and_then(Self::sent) {
            Some(request) => scan_reply(bytes, &request),
            None => scan_any(bytes),
        }
    }
}

#[cold]
fn wrong_length(len: usize) -> PluginError {
    let text = format!("{len} bytes; a frame has {FRAME_BYTES_MIN} to {FRAME_BYTES_MAX}");
    error(code::LENGTH, text)
}

#[cold]
fn wrong_check(frame: &[u8]) -> PluginError {
    let [body @ .., low, high] = frame else { return wrong_length(frame.len()) };
    let (is, should) = (u16::from_le_bytes([*low, *high]), crc16(body));
    error(code::CRC, format!("the check is {is:04x}, the bytes before it make {should:04x}"))
}

/// What is known about how long a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    /// So many bytes, unit and check included.
    Bytes(usize),
    /// Not before more bytes are there.
    NeedMore,
    /// The function's frames say nothing of it.
    Unsaid,
    /// No frame begins like this.
    Never,
}

fn scan_reply(bytes: &[u8], request: &Adu<'_>) -> Scan {
    let Some(unit) = bytes.first() else { return Scan::NeedMore };
    if *unit != request.unit {
        return Scan::Skip(1);
    }
    let Some(answered) = bytes.get(1) else { return Scan::NeedMore };
    if answered & !function::EXCEPTION != request.function() {
        return Scan::Skip(1);
    }
    // 6.8: sub-function 0 sends back whatever data it was sent.
    let echoes = *answered == function::DIAGNOSTICS && request.pdu.get(1..3) == Some(&[0, 0]);
    let length =
        if echoes { Length::Bytes(request.pdu.len() + 3) } else { reply_length(bytes, *answered) };
    checked(bytes, &[length])
}

/// Without a request: replies of any unit, and written values that a unit sends of its own accord.
/// Functions that are not public are not found; noise would too often look like them.
fn scan_any(bytes: &[u8]) -> Scan {
    let Some(answered) = bytes.get(1) else { return Scan::NeedMore };
    let reply = match reply_length(bytes, *answered) {
        Length::Unsaid => Length::Never,
        length => length,
    };
    checked(bytes, &[reply, written_length(bytes, *answered)])
}

/// The first of the lengths at which the check is right.
fn checked(bytes: &[u8], lengths: &[Length]) -> Scan {
    for length in lengths {
        match length {
            Length::NeedMore => return Scan::NeedMore,
            Length::Never => {}
            Length::Unsaid => match searched(bytes) {
                Scan::Skip(_) => {}
                found => return found,
            },
            Length::Bytes(len) if *len > FRAME_BYTES_MAX => {}
            Length::Bytes(len) => match bytes.get(..*len) {
                None => return Scan::NeedMore,
                Some(frame) if crc16(frame) == 0 => return Scan::Frame(*len),
                Some(_) => {}
            },
        }
    }
    Scan::Skip(1)
}

/// The shortest beginning that ends with its check.
fn searched(bytes: &[u8]) -> Scan {
    let mut crc = crate::crc::START;
    for (len, byte) in (1..=FRAME_BYTES_MAX).zip(bytes) {
        crc = crate::crc::extend_by(crc, *byte);
        if crc == 0 && len >= FRAME_BYTES_MIN {
            return Scan::Frame(len);
        }
    }
    if bytes.len() < FRAME_BYTES_MAX { Scan::NeedMore } else { Scan::Skip(1) }
}

/// How long a reply is that begins with these bytes.
fn reply_length(bytes: &[u8], answered: u8) -> Length {
    match answered {
        function::READ_COILS | function::READ_DISCRETE_INPUTS => counted(bytes, |count| count > 0),
        function::READ_HOLDING_REGISTERS
        | function::READ_INPUT_REGISTERS
        | function::READ_WRITE_MULTIPLE_REGISTERS => {
            counted(bytes, |count| count > 0 && count % 2 == 0)
        }
        function::GET_COMM_EVENT_LOG
        | function::REPORT_SERVER_ID
        | function::READ_FILE_RECORD
        | function::WRITE_FILE_RECORD => counted(bytes, |_| true),
        function::WRITE_SINGLE_COIL
        | function::WRITE_SINGLE_REGISTER
        | function::DIAGNOSTICS
        | function::GET_COMM_EVENT_COUNTER
        | function::WRITE_MULTIPLE_COILS
        | function::WRITE_MULTIPLE_REGISTERS => Length::Bytes(8),
        function::READ_EXCEPTION_STATUS => Length::Bytes(5),
        function::MASK_WRITE_REGISTER => Length::Bytes(10),
        function::READ_FIFO_QUEUE => match bytes.get(2..4) {
            None => Length::NeedMore,
            Some(count) => Length::Bytes(6 + big_endian(count)),
        },
        function::ENCAPSULATED_INTERFACE => identification_length(bytes),
        0 => Length::Never,
        _ if answered & function::EXCEPTION != 0 => Length::Bytes(5),
        _ => Length::Unsaid,
    }
}

/// Of frames that count their data's bytes behind the function code.
fn counted(bytes: &[u8], plausible: fn(usize) -> bool) -> Length {
    match bytes.get(2) {
        None => Length::NeedMore,
        Some(count) if plausible(usize::from(*count)) => Length::Bytes(5 + usize::from(*count)),
        Some(_) => Length::Never,
    }
}

/// 6.21: unit, function, interface, code, conformity, more, next, number of objects; each object
/// has a number, a length and as many bytes.
fn identification_length(bytes: &[u8]) -> Length {
    match bytes.get(2) {
        None => return Length::NeedMore,
        Some(&MEI_DEVICE_IDENTIFICATION) => {}
        Some(_) => return Length::Unsaid,
    }
    let Some(objects) = bytes.get(7) else { return Length::NeedMore };
    let mut len = 8;
    for _ in 0..*objects {
        let Some(bytes) = bytes.get(len + 1) else { return Length::NeedMore };
        len += 2 + usize::from(*bytes);
        if len + 2 > FRAME_BYTES_MAX {
            return Length::Never;
        }
    }
    Length::Bytes(len + 2)
}

/// How long a request to write several values is, as units send it that speak of their own accord.
fn written_length(bytes: &[u8], asked: u8) -> Length {
    if !matches!(asked, function::WRITE_MULTIPLE_COILS | function::WRITE_MULTIPLE_REGISTERS) {
        return Length::Never;
    }
    match bytes.get(6) {
        None => Length::NeedMore,
        Some(count) => Length::Bytes(9 + usize::from(*count)),
    }
}

fn big_endian(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte))
}

#[cfg(test)]
mod tests;

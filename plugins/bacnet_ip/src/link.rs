//! BVLC: the header of annex J.2.

use flux_plugin_sdk::PluginError;

use crate::{FRAME_BYTES_MAX, malformed};

/// What marks BACnet/IP.
const TYPE: u8 = 0x81;
const HEADER_BYTES: usize = 4;

/// The functions that carry an NPDU, and the one that carries a result.
mod function {
    pub(super) const RESULT: u8 = 0x00;
    pub(super) const FORWARDED_NPDU: u8 = 0x04;
    pub(super) const DISTRIBUTE_BROADCAST: u8 = 0x09;
    pub(super) const ORIGINAL_UNICAST: u8 = 0x0a;
    pub(super) const ORIGINAL_BROADCAST: u8 = 0x0b;
    pub(super) const SECURE_BVLL: u8 = 0x0c;
}

/// Whom a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cast {
    One,
    All,
}

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link<'a> {
    /// An NPDU, and where it begins.
    Npdu(&'a [u8], usize),
    /// Tables of broadcast and foreign devices: no values.
    Management(u8),
}

/// Takes the header off.
///
/// # Errors
/// `bacnet.length`, `bacnet.malformed`, `bacnet.secure`; `bacnet.bvlc` for a result that says no.
pub(crate) fn read(frame: &[u8]) -> Result<Link<'_>, PluginError> {
    if frame.len() > FRAME_BYTES_MAX {
        let text = format!("{} bytes; a frame has at most {FRAME_BYTES_MAX}", frame.len());
        return Err(PluginError::new("bacnet.length", text));
    }
    let Some((&[kind, function, high, low], body)) = frame.split_first_chunk::<HEADER_BYTES>()
    else {
        let text = format!("{} bytes; a frame has at least {HEADER_BYTES}", frame.len());
        return Err(PluginError::new("bacnet.length", text));
    };
    if kind != TYPE {
        return Err(malformed(0, format_args!("0x{kind:02x} is not BACnet/IP, which is 0x81")));
    }
    let announced = usize::from(u16::from_be_bytes([high, low]));
    if announced != frame.len() {
        let text = format!("{} bytes, and the header announces {announced}", frame.len());
        return Err(PluginError::new("bacnet.length", text));
    }
    match function {
        function::ORIGINAL_UNICAST
        | function::ORIGINAL_BROADCAST
        | function::DISTRIBUTE_BROADCAST => Ok(Link::Npdu(body, HEADER_BYTES)),
        // J.2.5: the address of who sent it first stands before the NPDU.
        function::FORWARDED_NPDU => match body.split_at_checked(6) {
            Some((_, npdu)) => Ok(Link::Npdu(npdu, HEADER_BYTES + 6)),
            None => {
                Err(malformed(HEADER_BYTES, "a forwarded NPDU begins with six bytes of address"))
            }
        },
        function::RESULT => result(body),
        function::SECURE_BVLL => {
            Err(PluginError::new("bacnet.secure", "secured frames (function 0x0c) cannot be read"))
        }
        function => Ok(Link::Management(function)),
    }
}

/// J.2.1: zero is success; the others say which request a BBMD refused.
fn result(body: &[u8]) -> Result<Link<'_>, PluginError> {
    let &[high, low] = body else {
        return Err(malformed(HEADER_BYTES, "a result has two bytes"));
    };
    let what = match u16::from_be_bytes([high, low]) {
        0x0000 => return Ok(Link::Management(function::RESULT)),
        0x0010 => "write-broadcast-distribution-table".to_owned(),
        0x0020 => "read-broadcast-distribution-table".to_owned(),
        0x0030 => "register-foreign-device".to_owned(),
        0x0040 => "read-foreign-device-table".to_owned(),
        0x0050 => "delete-foreign-device-table-entry".to_owned(),
        0x0060 => "distribute-broadcast-to-network".to_owned(),
        code => format!("0x{code:04x}"),
    };
    Err(PluginError::new("bacnet.bvlc", format!("{what} was refused")))
}

/// Puts the header on. The NPDU is one of ours, and a few hundred bytes.
pub(crate) fn frame(cast: Cast, npdu: &[u8]) -> Vec<u8> {
    let function = match cast {
        Cast::One => function::ORIGINAL_UNICAST,
        Cast::All => function::ORIGINAL_BROADCAST,
    };
    let len = u16::try_from(HEADER_BYTES + npdu.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut frame = Vec::with_capacity(HEADER_BYTES + npdu.len());
    frame.extend_from_slice(&[TYPE, function, len[0], len[1]]);
    frame.extend_from_slice(npdu);
    frame
}

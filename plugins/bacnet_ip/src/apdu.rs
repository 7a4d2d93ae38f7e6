//! The kinds of APDU: clause 20.1.

use flux_plugin_sdk::PluginError;

use crate::malformed;
use crate::tags::Tags;

/// An APDU.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Apdu<'a> {
    /// 20.1.2: something we are asked.
    ConfirmedRequest { invoke_id: u8, service: u8, body: Tags<'a> },
    /// 20.1.3: something everybody is told.
    UnconfirmedRequest { service: u8, body: Tags<'a> },
    /// 20.1.4: done.
    SimpleAck { invoke_id: u8, service: u8 },
    /// 20.1.5: done, and this came of it.
    ComplexAck { invoke_id: u8, service: u8, body: Tags<'a> },
    /// A part of a request or an answer, or the word for one that arrived (20.1.6).
    Segment { invoke_id: u8 },
    /// 20.1.7: not done.
    Error { invoke_id: u8, service: u8, body: Tags<'a> },
    /// 20.1.8: not understood.
    Reject { invoke_id: u8, reason: u8 },
    /// 20.1.9: given up.
    Abort { invoke_id: u8, reason: u8 },
}

/// Reads the header of an APDU that begins at `base`.
///
/// # Errors
/// `bacnet.malformed`.
pub(crate) fn read(apdu: &[u8], base: usize) -> Result<Apdu<'_>, PluginError> {
    let truncated = || malformed(base + apdu.len(), "the frame ends within the APDU's header");
    header(apdu, base).ok_or_else(truncated)?
}

/// `None`: it ends too early.
fn header(apdu: &[u8], base: usize) -> Option<Result<Apdu<'_>, PluginError>> {
    let first = *apdu.first()?;
    let byte = |at: usize| apdu.get(at).copied();
    let body = |at: usize| Some(Tags::new(apdu.get(at..)?, base + at));
    let segmented = first & 0x08 != 0;
    Some(Ok(match first >> 4 {
        0 if segmented => Apdu::Segment { invoke_id: byte(2)? },
        0 => Apdu::ConfirmedRequest { invoke_id: byte(2)?, service: byte(3)?, body: body(4)? },
        1 => Apdu::UnconfirmedRequest { service: byte(1)?, body: body(2)? },
        2 => Apdu::SimpleAck { invoke_id: byte(1)?, service: byte(2)? },
        3 if segmented => Apdu::Segment { invoke_id: byte(1)? },
        3 => Apdu::ComplexAck { invoke_id: byte(1)?, service: byte(2)?, body: body(3)? },
        4 => Apdu::Segment { invoke_id: byte(1)? },
        5 => Apdu::Error { invoke_id: byte(1)?, service: byte(2)?, body: body(3)? },
        6 => Apdu::Reject { invoke_id: byte(1)?, reason: byte(2)? },
        7 => Apdu::Abort { invoke_id: byte(1)?, reason: byte(2)? },
        other => {
            return Some(Err(malformed(base, format_args!("there is no APDU of type {other}"))));
        }
    }))
}

impl Apdu<'_> {
    /// The number of the request this answers; `None` for what answers nothing.
    pub(crate) const fn answers(&self) -> Option<u8> {
        match *self {
            Self::SimpleAck { invoke_id, .. }
            | Self::ComplexAck { invoke_id, .. }
            | Self::Segment { invoke_id }
            | Self::Error { invoke_id, .. }
            | Self::Reject { invoke_id, .. }
            | Self::Abort { invoke_id, .. } => Some(invoke_id),
            Self::ConfirmedRequest { .. } | Self::UnconfirmedRequest { .. } => None,
        }
    }

    /// The service this answers, where the answer tells.
    pub(crate) const fn service(&self) -> Option<u8> {
        match *self {
            Self::SimpleAck { service, .. }
            | Self::ComplexAck { service, .. }
            | Self::Error { service, .. } => Some(service),
            _ => None,
        }
    }
}

/// The largest answer we take, as the confirmed request's second octet says it (20.1.2.4, 20.1.2.5):
/// not in segments, and of 1476 bytes.
const ACCEPTED: u8 = 0x05;

/// The beginning of a confirmed request.
pub(crate) fn confirmed(invoke_id: u8, service: u8) -> Vec<u8> {
    vec![0x00, ACCEPTED, invoke_id, service]
}

/// The beginning of an unconfirmed request.
pub(crate) fn unconfirmed(service: u8) -> Vec<u8> {
    vec![0x10, service]
}

/// The whole of a simple acknowledgement.
pub(crate) const fn simple_ack(invoke_id: u8, service: u8) -> [u8; 3] {
    [0x20, invoke_id, service]
}

//! NPDU: the header of clause 6.2.

use flux_plugin_sdk::PluginError;

use crate::malformed;

const VERSION: u8 = 1;
/// All networks there are (6.2.2).
const GLOBAL_BROADCAST: u16 = 0xffff;
/// How many routers a frame may still pass (6.2.3).
const HOP_COUNT: u8 = 255;

/// Bits of the control octet (6.2.2).
mod control {
    pub(super) const NETWORK_MESSAGE: u8 = 0x80;
    pub(super) const DESTINATION: u8 = 0x20;
    pub(super) const SOURCE: u8 = 0x08;
    pub(super) const EXPECTING_REPLY: u8 = 0x04;
}

/// A device behind a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Station {
    pub(crate) network: u16,
    /// As long as addresses are there: one byte for MS/TP, six for IP.
    pub(crate) address: Vec<u8>,
}

/// What is behind the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Npdu<'a> {
    /// `None`: a message of the network layer, between routers.
    pub(crate) apdu: Option<&'a [u8]>,
    /// Where the APDU begins.
    pub(crate) at: usize,
    /// Who sent it, where a router stands between.
    pub(crate) source: Option<Station>,
}

/// Takes the header off; `base` is where the NPDU begins.
///
/// # Errors
/// `bacnet.malformed`.
pub(crate) fn read(npdu: &[u8], base: usize) -> Result<Npdu<'_>, PluginError> {
    let truncated = || malformed(base + npdu.len(), "the frame ends within the NPDU's header");
    let (&[version, control], mut rest) = npdu.split_first_chunk::<2>().ok_or_else(truncated)?;
    if version != VERSION {
        return Err(malformed(base, format_args!("version {version} of the NPDU is not known")));
    }
    let mut source = None;
    if control & control::DESTINATION != 0 {
        rest = station(rest).ok_or_else(truncated)?.1;
    }
    if control & control::SOURCE != 0 {
        let (station, behind) = station(rest).ok_or_else(truncated)?;
        (source, rest) = (Some(station), behind);
    }
    if control & control::DESTINATION != 0 {
        rest = rest.split_first().ok_or_else(truncated)?.1;
    }
    let at = base + npdu.len() - rest.len();
    let apdu = (control & control::NETWORK_MESSAGE == 0).then_some(rest);
    Ok(Npdu { apdu, at, source })
}

fn station(bytes: &[u8]) -> Option<(Station, &[u8])> {
    let (&[high, low, len], rest) = bytes.split_first_chunk::<3>()?;
    let (address, rest) = rest.split_at_checked(usize::from(len))?;
    let network = u16::from_be_bytes([high, low]);
    Some((Station { network, address: address.to_vec() }, rest))
}

/// Whom an NPDU is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination<'d> {
    /// Who is reached directly.
    Local,
    /// Who is behind a router.
    Remote(&'d Station),
    /// Everybody, on all networks.
    Everybody,
}

/// Puts the header on.
pub(crate) fn write(destination: Destination<'_>, expecting_reply: bool, apdu: &[u8]) -> Vec<u8> {
    let reply = if expecting_reply { control::EXPECTING_REPLY } else { 0 };
    let mut npdu = Vec::with_capacity(apdu.len() + 12);
    let address: Option<(u16, &[u8])> = match destination {
        Destination::Local => None,
        Destination::Remote(station) => Some((station.network, &station.address)),
        Destination::Everybody => Some((GLOBAL_BROADCAST, &[])),
    };
    match address {
        None => npdu.extend_from_slice(&[VERSION, reply]),
        Some((network, address)) => {
            let [high, low] = network.to_be_bytes();
            // Checked where it was read: from one byte's length, or by the settings.
            let len = u8::try_from(address.len()).unwrap_or(u8::MAX);
            npdu.extend_from_slice(&[VERSION, reply | control::DESTINATION, high, low, len]);
            npdu.extend_from_slice(address);
            npdu.push(HOP_COUNT);
        }
    }
    npdu.extend_from_slice(apdu);
    npdu
}

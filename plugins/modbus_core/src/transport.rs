//! What a frame is made of, whatever carries it.
//!
//! Owns the words both transports share. Must never look behind the function code.

use flux_plugin_sdk::PluginError;

use crate::error::{code, error};

/// Bytes of a PDU: function code and data (Application Protocol V1.1b3, 4.1).
pub const PDU_BYTES_MAX: usize = 253;

/// What stands in a frame beside what only serves the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adu<'a> {
    /// The transaction's number; 0 where the transport has none.
    pub transaction: u16,
    /// The unit that is asked, or that answers.
    pub unit: u8,
    /// Function code and data: 1 to 253 bytes.
    pub pdu: &'a [u8],
}

impl Adu<'_> {
    /// The function code, with the bit of an exception response.
    #[inline]
    pub(crate) fn function(&self) -> u8 {
        self.pdu.first().copied().unwrap_or_default()
    }
}

/// What the beginning of a stream of bytes is.
///
/// The answer depends on the bytes it speaks of alone: more bytes behind them do not change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// More bytes are needed before anything can be said.
    NeedMore,
    /// The first so many bytes are a frame.
    Frame(usize),
    /// The first so many bytes are no frame and no beginning of one.
    Skip(usize),
}

/// One way of carrying Modbus.
pub trait Transport: 'static {
    /// What people call it.
    const NAME: &'static str;
    /// Whether frames carry the number of their transaction.
    const HAS_TRANSACTIONS: bool;
    /// Whether unit 0 is every unit at once, which nobody answers.
    const HAS_BROADCAST: bool;

    /// Takes a frame apart and checks it.
    ///
    /// # Errors
    /// Codes `length`, `crc`, `protocol`.
    fn open(frame: &[u8]) -> Result<Adu<'_>, PluginError>;

    /// Takes apart a frame that was sent; what guards against noise is not looked at.
    fn sent(frame: &[u8]) -> Option<Adu<'_>>;

    /// Appends a frame. The PDU has 1 to 253 bytes.
    fn seal(adu: Adu<'_>, frame: &mut Vec<u8>);

    /// Where the first frame of a stream ends. With the request that was sent, only what may answer
    /// it is a frame.
    fn scan(bytes: &[u8], request: Option<&[u8]>) -> Scan;
}

/// The request a reply is held against.
pub(crate) fn request<T: Transport>(frame: &[u8]) -> Result<Adu<'_>, PluginError> {
    T::sent(frame).ok_or_else(|| {
        error(code::REQUEST, format!("the request, {} bytes, is no Modbus request", frame.len()))
    })
}

/// Whether a frame answers a request, as far as unit, function and transaction tell.
#[inline]
pub(crate) fn belongs<T: Transport>(request: &Adu<'_>, reply: &Adu<'_>) -> Result<(), PluginError> {
    let asked_all = T::HAS_BROADCAST && request.unit == 0;
    let same = request.transaction == reply.transaction
        && request.unit == reply.unit
        && request.function() == reply.function() & 0x7f;
    if same && !asked_all { Ok(()) } else { Err(not_mine::<T>(request, reply)) }
}

#[cold]
fn not_mine<T: Transport>(request: &Adu<'_>, reply: &Adu<'_>) -> PluginError {
    let text = if T::HAS_BROADCAST && request.unit == 0 {
        "a request to every unit (0) is not answered".to_owned()
    } else if request.transaction != reply.transaction {
        let (asked, answered) = (request.transaction, reply.transaction);
        format!("answers transaction {answered}, not {asked}")
    } else if request.unit != reply.unit {
        format!("unit {} answers, unit {} was asked", reply.unit, request.unit)
    } else {
        let (asked, answered) = (request.function(), reply.function() & 0x7f);
        format!("answers function {answered}, not {asked}")
    };
    error(code::NOT_MINE, text)
}

//! What was asked: requests taken apart, as far as their replies depend on them.
//!
//! Owns the layouts of requests (Application Protocol V1.1b3, 6). Must never look at a reply.

use crate::function::{MEI_DEVICE_IDENTIFICATION, code as function};
use crate::table::Table;

/// Some places of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) table: Table,
    pub(crate) start: u32,
    pub(crate) count: u32,
}

impl Range {
    /// What a request of functions 1 to 4 reads.
    #[inline]
    pub(crate) fn read(pdu: &[u8]) -> Option<Self> {
        match *pdu {
            [code @ 1..=4, s1, s0, c1, c0] => Some(Self::of(read_by(code), [s1, s0], [c1, c0])),
            _ => None,
        }
    }

    #[inline]
    fn of(table: Table, start: [u8; 2], count: [u8; 2]) -> Self {
        let (start, count) = (u16::from_be_bytes(start).into(), u16::from_be_bytes(count).into());
        Self { table, start, count }
    }

    /// Bytes its data has.
    pub(crate) const fn bytes(&self) -> usize {
        let count = self.count as usize;
        if self.table.is_bits() { count.div_ceil(8) } else { count * 2 }
    }
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    /// 6.1 to 6.4
    Read(Range),
    /// 6.5, 6.6: a coil or a register, and the two bytes it is given.
    WriteOne(Table, u32, [u8; 2]),
    /// 6.11, 6.12: with the data.
    WriteMany(Range, &'a [u8]),
    /// 6.16
    MaskWrite { place: u32, and: u16, or: u16 },
    /// 6.17: what is read.
    ReadWrite(Range),
    /// 6.14: seven bytes for each record: 6, file, record, number of registers.
    ReadFile(&'a [u8]),
    /// 6.15
    WriteFile,
    /// 6.18
    ReadFifo(u32),
    /// 6.21: the read code.
    Identify(u8),
    /// 6.8: the sub-function.
    Diagnostics(u16),
    /// Functions whose requests say nothing more: 6.7, 6.9, 6.10, 6.13.
    Plain,
    /// Any other function.
    Other,
}

impl<'a> Request<'a> {
    /// Takes a PDU apart; `None` where it is none that may be sent.
    pub(crate) fn read(pdu: &'a [u8]) -> Option<Self> {
        if let Some(range) = Range::read(pdu) {
            return Some(Self::Read(range));
        }
        let (code, data) = pdu.split_first()?;
        Some(match (*code, data) {
            (function::WRITE_SINGLE_COIL, &[p1, p0, v1, v0]) => {
                Self::WriteOne(Table::Coil, place(p1, p0), [v1, v0])
            }
            (function::WRITE_SINGLE_REGISTER, &[p1, p0, v1, v0]) => {
                Self::WriteOne(Table::Holding, place(p1, p0), [v1, v0])
            }
            (function::WRITE_MULTIPLE_COILS, [p1, p0, c1, c0, bytes, data @ ..]) => {
                let range = Range::of(Table::Coil, [*p1, *p0], [*c1, *c0]);
                Self::WriteMany(range, counted(*bytes, range.bytes(), data)?)
            }
            (function::WRITE_MULTIPLE_REGISTERS, [p1, p0, c1, c0, bytes, data @ ..]) => {
                let range = Range::of(Table::Holding, [*p1, *p0], [*c1, *c0]);
                Self::WriteMany(range, counted(*bytes, range.bytes(), data)?)
            }
            (function::MASK_WRITE_REGISTER, &[p1, p0, a1, a0, o1, o0]) => Self::MaskWrite {
                place: place(p1, p0),
                and: u16::from_be_bytes([a1, a0]),
                or: u16::from_be_bytes([o1, o0]),
            },
            (
                function::READ_WRITE_MULTIPLE_REGISTERS,
                [p1, p0, c1, c0, _, _, w1, w0, bytes, data @ ..],
            ) => {
                let written = usize::from(u16::from_be_bytes([*w1, *w0])) * 2;
                counted(*bytes, written, data)?;
                Self::ReadWrite(Range::of(Table::Holding, [*p1, *p0], [*c1, *c0]))
            }
            (function::READ_FILE_RECORD, [bytes, records @ ..]) if records.len() % 7 == 0 => {
                Self::ReadFile(counted(*bytes, records.len(), records)?)
            }
            (function::WRITE_FILE_RECORD, [bytes, records @ ..]) => {
                counted(*bytes, records.len(), records)?;
                Self::WriteFile
            }
            (function::READ_FIFO_QUEUE, &[p1, p0]) => Self::ReadFifo(place(p1, p0)),
            (function::ENCAPSULATED_INTERFACE, &[MEI_DEVICE_IDENTIFICATION, code @ 1..=4, _]) => {
                Self::Identify(code)
            }
            (function::DIAGNOSTICS, [s1, s0, ..]) => {
                Self::Diagnostics(u16::from_be_bytes([*s1, *s0]))
            }
            (
                function::READ_EXCEPTION_STATUS
                | function::GET_COMM_EVENT_COUNTER
                | function::GET_COMM_EVENT_LOG
                | function::REPORT_SERVER_ID,
                [],
            ) => Self::Plain,
            (known, _) if crate::function::is_public(known) => match known {
                // 6.19: other interfaces have layouts of their own.
                function::ENCAPSULATED_INTERFACE => Self::Other,
                _ => return None,
            },
            _ => Self::Other,
        })
    }
}

/// The table that functions 1 to 4 read.
const fn read_by(code: u8) -> Table {
    match code {
        function::READ_COILS => Table::Coil,
        function::READ_DISCRETE_INPUTS => Table::Discrete,
        function::READ_INPUT_REGISTERS => Table::Input,
        _ => Table::Holding,
    }
}

fn place(high: u8, low: u8) -> u32 {
    u16::from_be_bytes([high, low]).into()
}

/// The data, if the byte that counts it is right.
fn counted(bytes: u8, expected: usize, data: &[u8]) -> Option<&[u8]> {
    (usize::from(bytes) == expected && data.len() == expected).then_some(data)
}

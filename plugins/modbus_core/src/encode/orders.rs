//! Commands for functions that have no part in the register map.

use flux_plugin_sdk::json::JsonError;
use flux_plugin_sdk::settings;

use super::write::registers;
use super::{Pdus, Wanted, pdu, wire};
use crate::function::{MEI_DEVICE_IDENTIFICATION, code as function};
use crate::table::Table;
use crate::transport::PDU_BYTES_MAX;

/// Registers one request may read beside writing (Application Protocol V1.1b3, 6.17).
const READ_WRITE_READ_MAX: u32 = 125;
/// Registers one request may write beside reading.
const READ_WRITE_WRITE_MAX: u32 = 121;
/// Bytes of a request's or a reply's records together (6.14, 6.15).
const FILE_BYTES_MAX: usize = 245;
/// Bytes of a request's records to write, with their headers.
const WRITE_FILE_BYTES_MAX: usize = 251;
/// The last record of a file.
const RECORD_MAX: u16 = 9_999;

settings! {
    /// Whom it is for.
    #[derive(Debug)]
    pub struct UnitParams {
        /// The unit; left out, that of the device the command is for, or that of the settings.
        unit: Option<u8>,
        /// Of TCP: the number of the request's transaction; left out, the plugin counts.
        transaction: Option<u16>,
    }
}

settings! {
    /// Bits of one register, the others kept: `register & and | or & !and`.
    #[derive(Debug)]
    pub struct MaskWriteParams {
        /// The unit, as of every command.
        unit: Option<u8>,
        /// The transaction, as of every command.
        transaction: Option<u16>,
        /// The register, counted as the settings' `address_base` says.
        address: u32,
        /// Bits that are kept.
        and: u16,
        /// What the others become.
        or: u16,
    }
}

settings! {
    /// Registers written, then others read, in one request.
    #[derive(Debug)]
    pub struct ReadWriteParams {
        /// The unit, as of every command.
        unit: Option<u8>,
        /// The transaction, as of every command.
        transaction: Option<u16>,
        /// The first register to read.
        address: u32,
        /// How many: 1 to 125.
        count: u32,
        /// The first register to write.
        write_address: u32,
        /// What is written, 1 to 121 registers.
        values: Vec<flux_plugin_sdk::Json>,
    }
}

settings! {
    /// A part of a file.
    #[derive(Debug)]
    pub struct FilePart {
        /// The file, from 1.
        file: u16,
        /// The first record, 0 to 9999.
        record: u16,
        /// How many registers.
        count: u16,
    }
}

settings! {
    /// Records to read.
    #[derive(Debug)]
    pub struct ReadFileParams {
        /// The unit, as of every command.
        unit: Option<u8>,
        /// The transaction, as of every command.
        transaction: Option<u16>,
        /// Which.
        records: Vec<FilePart>,
    }
}

settings! {
    /// A part of a file, and what it shall hold.
    #[derive(Debug)]
    pub struct FileContent {
        /// The file, from 1.
        file: u16,
        /// The first record, 0 to 9999.
        record: u16,
        /// Registers.
        values: Vec<flux_plugin_sdk::Json>,
    }
}

settings! {
    /// Records to write.
    #[derive(Debug)]
    pub struct WriteFileParams {
        /// The unit, as of every command.
        unit: Option<u8>,
        /// The transaction, as of every command.
        transaction: Option<u16>,
        /// Which, and what they shall hold.
        records: Vec<FileContent>,
    }
}

settings! {
    /// A queue to read.
    #[derive(Debug)]
    pub struct ReadFifoParams {
        /// The unit, as of every command.
        unit: Option<u8>,
        /// The transaction, as of every command.
        transaction: Option<u16>,
        /// The register that counts the queue, as the settings' `address_base` says.
        address: u32,
    }
}

settings! {
    /// How much of the identification is wanted.
    #[derive(Debug, Clone, Copy)]
    pub enum Level {
        /// Vendor, product, revision.
        Basic = "basic",
        /// Names and addresses as well.
        Regular = "regular",
        /// Whatever the maker added.
        Extended = "extended",
        /// One object.
        Object = "object",
    }
}

settings! {
    /// What a unit is.
    #[derive(Debug)]
    pub struct IdentifyParams {
        /// The unit, as of every command.
        unit: Option<u8>,
        /// The transaction, as of every command.
        transaction: Option<u16>,
        /// How much is wanted.
        level: Level = Level::Basic,
        /// The object to begin with; of the level `object` the one.
        object: u8 = 0,
    }
}

settings! {
    /// A diagnostic function.
    #[derive(Debug)]
    pub struct DiagnosticsParams {
        /// The unit, as of every command.
        unit: Option<u8>,
        /// The transaction, as of every command.
        transaction: Option<u16>,
        /// The sub-function: 0 sends `data` back, 11 to 18 are counters, 10 clears them.
        function: u16,
        /// What goes with it.
        data: u16 = 0,
    }
}

settings! {
    /// A request as it is.
    #[derive(Debug)]
    pub struct RawParams {
        /// The unit, as of every command.
        unit: Option<u8>,
        /// The transaction, as of every command.
        transaction: Option<u16>,
        /// Function code and data, hexadecimal: 1 to 253 bytes.
        pdu: String,
    }
}

impl Wanted<'_> {
    /// A function that takes nothing.
    pub(super) fn plain(&self, function: u8) -> Pdus {
        self.typed::<UnitParams>()?;
        Ok(vec![vec![function]])
    }

    /// 6.16
    pub(super) fn mask_write(&self) -> Pdus {
        let params: MaskWriteParams = self.typed()?;
        let range = self.range(Some(Table::Holding), params.address, 1)?;
        let numbers = [wire(range.start), params.and, params.or];
        Ok(vec![pdu(function::MASK_WRITE_REGISTER, &numbers)])
    }

    /// 6.17
    pub(super) fn read_write(&self) -> Pdus {
        let params: ReadWriteParams = self.typed()?;
        let read = self.range(Some(Table::Holding), params.address, params.count)?;
        if read.count > READ_WRITE_READ_MAX {
            let text = format!("must be from 1 to {READ_WRITE_READ_MAX}");
            return Err(JsonError::new(text).within("count"));
        }
        let values = registers(&params.values, "values")?;
        let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
        if !(1..=READ_WRITE_WRITE_MAX).contains(&count) {
            let text = format!("must have 1 to {READ_WRITE_WRITE_MAX} values");
            return Err(JsonError::new(text).within("values"));
        }
        let written = self.range(Some(Table::Holding), params.write_address, count);
        let written =
            written.map_err(|error| JsonError::new(error.text).within("write_address"))?;
        let mut pdu = pdu(
            function::READ_WRITE_MULTIPLE_REGISTERS,
            &[wire(read.start), wire(read.count), wire(written.start), wire(written.count)],
        );
        pdu.push(u8::try_from(values.len() * 2).unwrap_or(u8::MAX));
        pdu.extend(values.iter().flat_map(|value| value.to_be_bytes()));
        Ok(vec![pdu])
    }

    /// 6.14: what the reply brings has to fit a frame as well.
    pub(super) fn read_file(&self) -> Pdus {
        let params: ReadFileParams = self.typed()?;
        let mut pdu = vec![function::READ_FILE_RECORD, 0];
        let mut replied = 0_usize;
        for (index, part) in params.records.iter().enumerate() {
            let place = |error: JsonError| error.within(index).within("records");
            header(&mut pdu, part.file, part.record, part.count.into()).map_err(place)?;
            replied += 2 + usize::from(part.count) * 2;
        }
        let asked = pdu.len() - 2;
        if asked == 0 || asked > FILE_BYTES_MAX || replied > FILE_BYTES_MAX {
            let text = format!(
                "asks with {asked} bytes for {replied}; 7 to {FILE_BYTES_MAX} of each fit a frame"
            );
            return Err(JsonError::new(text).within("records"));
        }
        pdu[1] = u8::try_from(asked).unwrap_or(u8::MAX);
        Ok(vec![pdu])
    }

    /// 6.15
    pub(super) fn write_file(&self) -> Pdus {
        let params: WriteFileParams = self.typed()?;
        let mut pdu = vec![function::WRITE_FILE_RECORD, 0];
        for (index, part) in params.records.iter().enumerate() {
            let place = |error: JsonError| error.within(index).within("records");
            let values = registers(&part.values, "values").map_err(place)?;
            header(&mut pdu, part.file, part.record, values.len()).map_err(place)?;
            pdu.extend(values.iter().flat_map(|value| value.to_be_bytes()));
        }
        let bytes = pdu.len() - 2;
        if bytes == 0 || bytes > WRITE_FILE_BYTES_MAX {
            let text = format!("has {bytes} bytes; 9 to {WRITE_FILE_BYTES_MAX} fit a frame");
            return Err(JsonError::new(text).within("records"));
        }
        pdu[1] = u8::try_from(bytes).unwrap_or(u8::MAX);
        Ok(vec![pdu])
    }

    /// 6.18
    pub(super) fn read_fifo(&self) -> Pdus {
        let params: ReadFifoParams = self.typed()?;
        let range = self.range(Some(Table::Holding), params.address, 1)?;
        Ok(vec![pdu(function::READ_FIFO_QUEUE, &[wire(range.start)])])
    }

    /// 6.21
    pub(super) fn identify(&self) -> Pdus {
        let params: IdentifyParams = self.typed()?;
        let level = match params.level {
            Level::Basic => 1,
            Level::Regular => 2,
            Level::Extended => 3,
            Level::Object => 4,
        };
        let interface = MEI_DEVICE_IDENTIFICATION;
        Ok(vec![vec![function::ENCAPSULATED_INTERFACE, interface, level, params.object]])
    }

    /// 6.8
    pub(super) fn diagnostics(&self) -> Pdus {
        let params: DiagnosticsParams = self.typed()?;
        Ok(vec![pdu(function::DIAGNOSTICS, &[params.function, params.data])])
    }

    /// A PDU as it is.
    pub(super) fn raw(&self) -> Pdus {
        let params: RawParams = self.typed()?;
        let wrong = || {
            let text = format!("must be pairs of hexadecimal digits, 1 to {PDU_BYTES_MAX} of them");
            JsonError::new(text).within("pdu")
        };
        let pdu = bytes(&params.pdu).ok_or_else(wrong)?;
        match pdu.first() {
            Some(0 | 0x80..) => {
                Err(JsonError::new("must begin with a function code, 01 to 7f").within("pdu"))
            }
            Some(_) if pdu.len() <= PDU_BYTES_MAX => Ok(vec![pdu]),
            _ => Err(wrong()),
        }
    }
}

/// What stands before each record: reference type 6, file, record, number of registers.
fn header(pdu: &mut Vec<u8>, file: u16, record: u16, count: usize) -> Result<(), JsonError> {
    if file == 0 {
        return Err(JsonError::new("must be from 1 to 65535").within("file"));
    }
    if record > RECORD_MAX {
        return Err(JsonError::new(format!("must be from 0 to {RECORD_MAX}")).within("record"));
    }
    let count = u16::try_from(count).ok().filter(|count| *count > 0);
    let count = count.ok_or_else(|| JsonError::new("names no register"))?;
    pdu.push(6);
    pdu.extend([file, record, count].iter().flat_map(|number| number.to_be_bytes()));
    Ok(())
}

/// Bytes written in hexadecimal, with white space between them or not.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    let even = pairs.remainder().is_empty();
    even.then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

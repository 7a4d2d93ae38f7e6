//! What file records and queues hold.

use flux_plugin_sdk::{Json, Output, PluginError};

use super::{Answer, mismatch, wrong_length};
use crate::table::Table;

impl Answer<'_> {
    /// Records of files (Application Protocol V1.1b3, 6.14): each a value `file_<file>_<record>`, an
    /// array of registers. The reply says only how long each is; the request says which.
    pub(super) fn files(
        &self,
        asked: &[u8],
        pdu: &[u8],
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        let [_, bytes, data @ ..] = pdu else { return Err(wrong_length(pdu)) };
        if data.len() != usize::from(*bytes) {
            return Err(wrong_length(pdu));
        }
        let records = records(asked, data)?;
        let mut message = out.message(self.device);
        for (name, registers) in &records {
            message.json(name, &registers.to_string());
        }
        Ok(())
    }

    /// A queue's registers (6.18), oldest first: a value `fifo_<address>`, an array.
    pub(super) fn fifo(
        &self,
        place: u32,
        pdu: &[u8],
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        let [_, b1, b0, c1, c0, data @ ..] = pdu else { return Err(wrong_length(pdu)) };
        let bytes = usize::from(u16::from_be_bytes([*b1, *b0]));
        let count = usize::from(u16::from_be_bytes([*c1, *c0]));
        if bytes != data.len() + 2 || count * 2 != data.len() {
            return Err(wrong_length(pdu));
        }
        let name = format!("fifo_{}", self.map.base.written(Table::Holding, place));
        out.message(self.device).json(&name, &registers(data).to_string());
        Ok(())
    }
}

/// Names and registers of records that answer what was asked.
fn records(asked: &[u8], data: &[u8]) -> Result<Vec<(String, Json)>, PluginError> {
    let mut rest = data;
    let mut records = Vec::with_capacity(asked.len() / 7);
    for asked in asked.chunks_exact(7) {
        let &[_, f1, f0, r1, r0, l1, l0] = asked else { break };
        let len = usize::from(u16::from_be_bytes([l1, l0])) * 2;
        let [bytes, 6, behind @ ..] = rest else { return Err(mismatch("a record is missing")) };
        if usize::from(*bytes) != len + 1 || behind.len() < len {
            return Err(mismatch("a record is of another length"));
        }
        let (record, behind) = behind.split_at(len);
        let (file, number) = (u16::from_be_bytes([f1, f0]), u16::from_be_bytes([r1, r0]));
        records.push((format!("file_{file}_{number}"), registers(record)));
        rest = behind;
    }
    if rest.is_empty() { Ok(records) } else { Err(mismatch("it brings more records")) }
}

fn registers(data: &[u8]) -> Json {
    let pairs = data.chunks_exact(2);
    Json::List(pairs.map(|pair| u16::from_be_bytes([pair[0], pair[1]]).into()).collect())
}

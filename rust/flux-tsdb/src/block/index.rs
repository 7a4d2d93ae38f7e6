//! The index of a block: which series it has, and where their chunks lie.
//!
//! Owns its layout. Must never panic on any bytes, nor take memory that their number does not
//! bound.
//!
//! ```text
//! index  = base time · names · (length · bytes)… · series · series…
//! series = name * 2 + 1 if the device is another than before · [tenant · device (16)]
//!        · chunks · (points · length · CRC32C · least time after the last · span)…
//! ```
//! Chunks lie in the order in which they stand here, from the header on, so their places follow
//! from their lengths. Series are in ascending order of tenant, device and name.

use std::collections::HashMap;
use std::sync::Arc;

use flux_types::{DeviceId, TenantId};
use foldhash::fast::RandomState;
use uuid::Uuid;

use super::ChunkMeta;
use super::format::HEADER_BYTES;
use crate::chunk::POINTS_MAX;
use crate::codec::{Input, put_signed, put_varint};
use crate::series::{Owner, SeriesKey};

/// Builds an index, series by series.
#[derive(Debug, Default)]
pub(crate) struct IndexWriter {
    base: Option<i64>,
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u64, RandomState>,
    owner: Option<Owner>,
    series: u64,
    entries: Vec<u8>,
}

impl IndexWriter {
    /// Puts a series in, which must come after the one before.
    pub(crate) fn put(&mut self, key: &SeriesKey, chunks: &[ChunkMeta]) {
        let next = self.names.len() as u64;
        let name = *self.numbers.entry(Arc::clone(&key.name)).or_insert(next);
        if name == next {
            self.names.push(Arc::clone(&key.name));
        }
        let owner = (key.tenant, key.device);
        let another = self.owner.replace(owner) != Some(owner);
        put_varint(&mut self.entries, name << 1 | u64::from(another));
        if another {
            put_varint(&mut self.entries, u64::from(key.tenant.0));
            self.entries.extend_from_slice(key.device.0.as_bytes());
        }
        put_varint(&mut self.entries, chunks.len() as u64);
        let mut before = match (self.base, chunks.first()) {
            (Some(base), _) => base,
            (None, Some(first)) => *self.base.insert(first.min_ts),
            (None, None) => 0,
        };
        for chunk in chunks {
            put_varint(&mut self.entries, u64::from(chunk.points));
            put_varint(&mut self.entries, u64::from(chunk.len));
            self.entries.extend_from_slice(&chunk.crc.to_le_bytes());
            put_signed(&mut self.entries, chunk.min_ts.wrapping_sub(before));
            put_varint(&mut self.entries, chunk.max_ts.wrapping_sub(chunk.min_ts).cast_unsigned());
            before = chunk.max_ts;
        }
        self.series += 1;
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() + 64);
        put_signed(&mut out, self.base.unwrap_or(0));
        put_varint(&mut out, self.names.len() as u64);
        for name in &self.names {
            put_varint(&mut out, name.len() as u64);
            out.extend_from_slice(name.as_bytes());
        }
        put_varint(&mut out, self.series);
        out.extend_from_slice(&self.entries);
        out
    }
}

/// Reads an index, and gives each series with its chunks to `found`. `None` when the bytes are not
/// one, or their chunks do not fill the file from the header to `index_offset`.
pub(crate) fn decode(
    bytes: &[u8],
    index_offset: u64,
    mut found: impl FnMut(SeriesKey, &[ChunkMeta]),
) -> Option<()> {
    let mut input = Input::new(bytes);
    let base = input.signed()?;
    let names = decode_names(&mut input)?;
    let series = input.count()?;
    let mut next = HEADER_BYTES as u64;
    let mut last: Option<SeriesKey> = None;
    let mut chunks = Vec::new();
    for _ in 0..series {
        let head = input.varint()?;
        let name = Arc::clone(names.get(usize::try_from(head >> 1).ok()?)?);
        let (tenant, device) = if head & 1 == 1 {
            let tenant = TenantId(u32::try_from(input.varint()?).ok()?);
            (tenant, DeviceId(Uuid::from_bytes(input.array()?)))
        } else {
            last.as_ref().map(|key| (key.tenant, key.device))?
        };
        let key = SeriesKey { tenant, device, name };
        if last.as_ref().is_some_and(|last| *last >= key) {
            return None;
        }
        decode_chunks(&mut input, base, &mut next, &mut chunks)?;
        found(key.clone(), &chunks);
        last = Some(key);
    }
    (input.is_empty() && next == index_offset).then_some(())
}

fn decode_names(input: &mut Input<'_>) -> Option<Vec<Arc<str>>> {
    let count = input.count().filter(|count| *count <= input.len())?;
    let mut names = Vec::new();
    for _ in 0..count {
        let len = input.count()?;
        names.push(Arc::from(std::str::from_utf8(input.take(len)?).ok()?));
    }
    Some(names)
}

fn decode_chunks(
    input: &mut Input<'_>,
    base: i64,
    next: &mut u64,
    chunks: &mut Vec<ChunkMeta>,
) -> Option<()> {
    chunks.clear();
    let count = input.count().filter(|count| *count <= input.len())?;
    let mut before = base;
    for _ in 0..count {
        let points = u32::try_from(input.varint()?).ok()?;
        let len = u32::try_from(input.varint()?).ok()?;
        let crc = input.u32()?;
        let min_ts = before.wrapping_add(input.signed()?);
        let max_ts = min_ts.wrapping_add(input.varint()?.cast_signed());
        if !(1..=POINTS_MAX as u32).contains(&points) || max_ts < min_ts {
            return None;
        }
        chunks.push(ChunkMeta { offset: *next, len, points, min_ts, max_ts, crc });
        *next = next.checked_add(u64::from(len))?;
        before = max_ts;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tenant: u32, device: u128, name: &str) -> SeriesKey {
        let device = DeviceId(Uuid::from_u128(device));
        SeriesKey { tenant: TenantId(tenant), device, name: name.into() }
    }

    fn chunk(offset: u64, len: u32, min_ts: i64, max_ts: i64) -> ChunkMeta {
        ChunkMeta { offset, len, points: 7, min_ts, max_ts, crc: len ^ 0x5555 }
    }

    fn sample() -> (Vec<(SeriesKey, Vec<ChunkMeta>)>, u64) {
        let all = vec![
            (key(1, 5, "humidity"), vec![chunk(16, 10, 1000, 2000), chunk(26, 20, 2001, 9000)]),
            (key(1, 5, "t"), vec![chunk(46, 30, i64::MIN, i64::MAX)]),
            (key(1, 6, "t"), vec![]),
            (key(2, 1, "humidity"), vec![chunk(76, 5, -7, -7)]),
        ];
        (all, 81)
    }

    fn encode(all: &[(SeriesKey, Vec<ChunkMeta>)]) -> Vec<u8> {
        let mut index = IndexWriter::default();
        all.iter().for_each(|(key, chunks)| index.put(key, chunks));
        index.finish()
    }

    fn read(bytes: &[u8], offset: u64) -> Option<Vec<(SeriesKey, Vec<ChunkMeta>)>> {
        let mut found = Vec::new();
        decode(bytes, offset, |key, chunks| found.push((key, chunks.to_vec())))?;
        Some(found)
    }

    #[test]
    fn index_comes_back() {
        let (all, offset) = sample();
        let bytes = encode(&all);
        assert_eq!(read(&bytes, offset), Some(all));
        assert_eq!(read(&bytes, offset + 1), None, "chunks must fill the file");
        for len in 0..bytes.len() {
            assert_eq!(read(&bytes[..len], offset), None, "{len}");
        }
        assert_eq!(read(&encode(&[]), 16), Some(vec![]));
    }

    #[test]
    fn series_that_stands_twice_or_out_of_order_is_refused() {
        let twice = [(key(1, 5, "t"), vec![]), (key(1, 5, "t"), vec![])];
        assert_eq!(read(&encode(&twice), 16), None);
        let unordered = [(key(1, 6, "t"), vec![]), (key(1, 5, "t"), vec![])];
        assert_eq!(read(&encode(&unordered), 16), None);
    }

    #[test]
    fn flipped_bytes_never_panic() {
        let (all, offset) = sample();
        let bytes = encode(&all);
        for at in 0..bytes.len() {
            for mask in 1..=255 {
                let mut flipped = bytes.clone();
                flipped[at] ^= mask;
                let _ = read(&flipped, offset);
            }
        }
    }
}

//! Writing a block: aside, synced, renamed, its directory synced.
//!
//! Owns the order of these steps. Must never leave a name on a file that is not whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flux_log::disk::{Disk, DiskFile};

use super::format::{Footer, HEADER_BYTES, encode_header};
use super::index::IndexWriter;
use super::{Block, BlockId, BlockInfo, ChunkMeta};
use crate::chunk::Points;
use crate::error::TsdbError;
use crate::series::{SeriesId, SeriesKey};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// A block in the making. Dropped unfinished, it removes what it wrote.
pub(crate) struct BlockWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    temporary: PathBuf,
    id: BlockId,
    file: Option<Arc<dyn DiskFile>>,
    /// Bytes not yet given to the file.
    buffer: Vec<u8>,
    /// Bytes given to it.
    written: u64,
    index: IndexWriter,
    series: Vec<(SeriesId, u32, u32)>,
    chunks: Vec<ChunkMeta>,
    points: u64,
    bounds: Option<(i64, i64)>,
}

impl BlockWriter {
    pub(crate) fn create(disk: &Arc<dyn Disk>, dir: &Path, id: BlockId) -> Result<Self, TsdbError> {
        let temporary = dir.join(id.file_name()).with_extension("tmp");
        let file = disk.create(&temporary).map_err(TsdbError::io("create", &temporary))?;
        let mut buffer = Vec::with_capacity(WRITE_BYTES + (64 << 10));
        buffer.extend_from_slice(&encode_header());
        Ok(Self {
            disk: Arc::clone(disk),
            dir: dir.to_owned(),
            temporary,
            id,
            file: Some(file),
            buffer,
            written: 0,
            index: IndexWriter::default(),
            series: Vec::new(),
            chunks: Vec::new(),
            points: 0,
            bounds: None,
        })
    }

    /// Writes a chunk of the series that [`BlockWriter::end_series`] names next.
    pub(crate) fn chunk(&mut self, points: &Points, positions: bool) -> Result<(), TsdbError> {
        let times = points.times();
        let (Some(min_ts), Some(max_ts)) = (times.first().copied(), times.last().copied()) else {
            return Ok(());
        };
        let start = self.buffer.len();
        points.encode(positions, &mut self.buffer);
        let encoded = self.buffer.get(start..).unwrap_or_default();
        let (len, crc) = (encoded.len() as u32, crc32c::crc32c(encoded));
        let (offset, count) = (self.written + start as u64, points.len() as u32);
        self.chunks.push(ChunkMeta { offset, len, points: count, min_ts, max_ts, crc });
        self.points += u64::from(count);
        let (least, greatest) = self.bounds.unwrap_or((min_ts, max_ts));
        self.bounds = Some((least.min(min_ts), greatest.max(max_ts)));
        if self.buffer.len() >= WRITE_BYTES { self.give() } else { Ok(()) }
    }

    /// The chunks since the last call are this series'. Series must come in order of their keys.
    pub(crate) fn end_series(&mut self, key: &SeriesKey, id: SeriesId) {
        let start = self.series.last().map_or(0, |(_, _, end)| *end);
        let chunks = self.chunks.get(start as usize..).unwrap_or_default();
        if !chunks.is_empty() {
            self.index.put(key, chunks);
            self.series.push((id, start, self.chunks.len() as u32));
        }
    }

    fn give(&mut self) -> Result<(), TsdbError> {
        if let Some(file) = &self.file {
            file.write_at(self.written, &self.buffer)
                .map_err(TsdbError::io("write", &self.temporary))?;
        }
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes it a block: durable when this returns. Points and bounds of time in `info` are filled
    /// in.
    pub(crate) fn finish(mut self, info: BlockInfo) -> Result<Block, TsdbError> {
        let index = std::mem::take(&mut self.index).finish();
        let (min_ts, max_ts) = self.bounds.unwrap_or((i64::MAX, i64::MIN));
        let info = BlockInfo { min_ts, max_ts, points: self.points, ..info };
        let footer = Footer {
            id: self.id,
            info,
            index_offset: self.written + self.buffer.len() as u64,
            index_len: index.len() as u64,
            index_crc: crc32c::crc32c(&index),
        };
        self.buffer.extend_from_slice(&index);
        self.buffer.extend_from_slice(&footer.encode());
        self.give()?;
        let file = self.file.as_ref().map(Arc::clone).ok_or(TsdbError::Closed)?;
        file.sync_all().map_err(TsdbError::io("sync", &self.temporary))?;
        let path = self.dir.join(self.id.file_name());
        self.disk
            .rename(&self.temporary, &path)
            .map_err(TsdbError::io("rename", &self.temporary))?;
        if let Err(error) = self.disk.sync_dir(&self.dir) {
            // whether the name lasts is unknown: its flush is made again, under the same name
            let _ = self.disk.remove(&path);
            return Err(TsdbError::io("sync", &self.dir)(error));
        }
        self.file = None;
        let mut series = std::mem::take(&mut self.series);
        series.sort_unstable_by_key(|(id, ..)| *id);
        series.shrink_to_fit();
        let mut chunks = std::mem::take(&mut self.chunks);
        chunks.shrink_to_fit();
        Ok(Block {
            id: self.id,
            info,
            bytes: self.written,
            file,
            series,
            chunks,
            damaged: AtomicBool::new(false),
            erase: AtomicBool::new(false),
        })
    }
}

const _: () = assert!(HEADER_BYTES == 16);

impl Drop for BlockWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Best effort: opening removes what is left of it.
            let _ = self.disk.remove(&self.temporary);
        }
    }
}

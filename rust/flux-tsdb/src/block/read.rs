//! Opening a block and reading its chunks.
//!
//! Owns the checks. Must never take a file for whole that is not, nor one that could not be read
//! just now for damaged.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use flux_log::disk::Disk;

use super::format::{FOOTER_BYTES, Footer, HEADER_BYTES, HeaderFault, check_header};
use super::{Block, BlockId, ChunkMeta, index};
use crate::chunk::Points;
use crate::error::TsdbError;
use crate::series::{SeriesId, SeriesKey};

/// What opening found.
pub(crate) enum Opened {
    Sound(Box<Block>),
    /// It cannot be used; what tells.
    Damaged(&'static str),
}

/// Why a chunk cannot be had.
#[derive(Debug)]
pub(crate) enum ChunkFault {
    /// Its bytes are not what was written.
    Damaged,
    /// They could not be read.
    Io(std::io::Error),
}

impl Block {
    /// Opens a block and checks all of it but its chunks. `number` gives each series its number, or
    /// none where its points are no longer there.
    ///
    /// # Errors
    /// It cannot be opened just now, or a newer program wrote it.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: &Path,
        id: BlockId,
        number: &mut dyn FnMut(SeriesKey) -> Option<SeriesId>,
    ) -> Result<Opened, TsdbError> {
        let file = disk.open(path, false).map_err(TsdbError::io("open", path))?;
        let bytes = file.length().map_err(TsdbError::io("read", path))?;
        let read = |offset: u64, len: usize| {
            let mut buffer = vec![0; len];
            // a sector that cannot be read is as lost as one that reads wrong
            let whole = file.read_at(offset, &mut buffer).is_ok_and(|read| read == len);
            whole.then_some(buffer)
        };
        let Some(header) = read(0, HEADER_BYTES) else { return Ok(Opened::Damaged("header")) };
        match check_header(&header) {
            Ok(()) => {}
            Err(HeaderFault::Newer(found)) => {
                let supported = super::format::BLOCK_VERSION;
                return Err(TsdbError::NewerVersion { path: path.to_owned(), found, supported });
            }
            Err(HeaderFault::Damaged) => return Ok(Opened::Damaged("header")),
        }
        let footer_at = bytes.saturating_sub(FOOTER_BYTES as u64);
        let footer = read(footer_at, FOOTER_BYTES).and_then(|bytes| Footer::decode(&bytes));
        let Some(footer) = footer.filter(|footer| footer.id == id) else {
            return Ok(Opened::Damaged("footer"));
        };
        // the length is checked against the file before memory is taken for it
        if footer.index_offset.checked_add(footer.index_len) != Some(footer_at) {
            return Ok(Opened::Damaged("length"));
        }
        let len = usize::try_from(footer.index_len).unwrap_or(usize::MAX);
        let index = read(footer.index_offset, len);
        let Some(index) = index.filter(|index| crc32c::crc32c(index) == footer.index_crc) else {
            return Ok(Opened::Damaged("index"));
        };
        let (mut series, mut chunks, mut erase) = (Vec::new(), Vec::new(), false);
        let whole = index::decode(&index, footer.index_offset, |key, found| {
            let Some(id) = number(key) else { return erase = true };
            let start = chunks.len() as u32;
            chunks.extend_from_slice(found);
            series.push((id, start, chunks.len() as u32));
        });
        if whole.is_none() {
            return Ok(Opened::Damaged("index"));
        }
        series.sort_unstable_by_key(|(id, ..)| *id);
        series.shrink_to_fit();
        chunks.shrink_to_fit();
        let (damaged, erase) = (AtomicBool::new(false), AtomicBool::new(erase));
        let info = footer.info;
        Ok(Opened::Sound(Box::new(Self { id, info, bytes, file, series, chunks, damaged, erase })))
    }

    /// Reads a chunk.
    pub(crate) fn read(&self, chunk: &ChunkMeta) -> Result<Points, ChunkFault> {
        let mut bytes = vec![0; chunk.len as usize];
        let read = self.file.read_at(chunk.offset, &mut bytes).map_err(ChunkFault::Io)?;
        if read != bytes.len() || crc32c::crc32c(&bytes) != chunk.crc {
            return Err(ChunkFault::Damaged);
        }
        let points = Points::decode(&bytes, self.info.cut).ok_or(ChunkFault::Damaged)?;
        let times = points.times();
        let as_said = times.len() == chunk.points as usize
            && times.first() == Some(&chunk.min_ts)
            && times.last() == Some(&chunk.max_ts);
        if as_said { Ok(points) } else { Err(ChunkFault::Damaged) }
    }

    /// Reads every chunk; false when one is damaged.
    pub(crate) fn verify(&self) -> bool {
        self.chunks.iter().all(|chunk| self.read(chunk).is_ok())
    }
}

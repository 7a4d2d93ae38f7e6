//! The state file: what blocks cannot say of themselves.
//!
//! Owns the mark (how far everything is durable when nothing was left to flush), the last flush
//! that retention removed, and the deletions (devices whose older points are no longer there, though
//! blocks and log still hold them). Kept in two generations; the newest whose checksum holds counts.
//! Must never replace the one before in place.
//!
//! ```text
//! state = "FLUXTSS\n" · version · generation · mark: position · flush · retired: flush · deletions
//!       · (tenant · device · position · flush)… · CRC32C
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flux_log::disk::{Disk, Entry};
use flux_types::{DeviceId, Position, TenantId};
use foldhash::fast::RandomState;
use uuid::Uuid;

use crate::block::DAMAGED_SUFFIX;
use crate::codec::{Input, put_varint};
use crate::error::TsdbError;
use crate::series::Owner;

const STATE_VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"FLUXTSS\n";
const GENERATIONS_KEPT: usize = 2;
/// Far above what any limit lets a state grow to.
const STATE_BYTES_MAX: u64 = 1 << 30;

/// A device's points that are no longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deletion {
    /// Up to this position they are not taken again.
    pub(crate) up_to: Position,
    /// In blocks of earlier flushes than this they are not read.
    pub(crate) before_flush: u64,
}

pub(crate) type Deletions = HashMap<Owner, Deletion, RandomState>;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// Up to here everything was durable …
    pub(crate) mark: Position,
    /// … in blocks up to this flush.
    pub(crate) mark_flush: u64,
    /// Blocks up to this flush are gone because retention wanted it.
    pub(crate) retired: u64,
    pub(crate) deletions: Arc<Deletions>,
}

/// Reads and writes the file.
pub(crate) struct StateFile {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    generation: u64,
    /// Generations on disk, newest first.
    kept: Vec<u64>,
}

fn file_name(generation: u64) -> String {
    format!("state-{generation:012}.st")
}

fn parse_file_name(name: &str) -> Option<u64> {
    name.strip_prefix("state-")?.strip_suffix(".st")?.parse().ok()
}

impl StateFile {
    /// Finds the newest that is whole; sets aside what is not. Tells how many were.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        entries: &[Entry],
    ) -> Result<(Self, State, usize), TsdbError> {
        let mut generations: Vec<u64> =
            entries.iter().filter_map(|entry| parse_file_name(&entry.name)).collect();
        generations.sort_unstable_by_key(|generation| std::cmp::Reverse(*generation));
        let generation = generations.first().copied().unwrap_or(0);
        let mut file =
            Self { disk: Arc::clone(disk), dir: dir.to_owned(), generation, kept: Vec::new() };
        let (mut state, mut damaged) = (None, 0);
        for generation in generations {
            if state.is_some() {
                file.kept.push(generation);
                continue;
            }
            state = file.read(generation)?;
            if state.is_some() {
                file.kept.push(generation);
            } else {
                damaged += 1;
                let path = file.dir.join(file_name(generation));
                let aside = file.dir.join(file_name(generation) + DAMAGED_SUFFIX);
                tracing::error!(path = %path.display(), "state of the series store is damaged");
                disk.rename(&path, &aside).map_err(TsdbError::io("rename", &path))?;
            }
        }
        Ok((file, state.unwrap_or_default(), damaged))
    }

    fn read(&self, generation: u64) -> Result<Option<State>, TsdbError> {
        let path = self.dir.join(file_name(generation));
        let file = self.disk.open(&path, false).map_err(TsdbError::io("open", &path))?;
        let len = file.length().map_err(TsdbError::io("read", &path))?;
        if len > STATE_BYTES_MAX {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        let read = file.read_at(0, &mut bytes).map_err(TsdbError::io("read", &path))?;
        let whole = bytes.get(..read).and_then(|bytes| decode(bytes, generation));
        match whole {
            Some(Ok(state)) => Ok(Some(state)),
            Some(Err(found)) => {
                Err(TsdbError::NewerVersion { path, found, supported: STATE_VERSION })
            }
            None => Ok(None),
        }
    }

    /// Writes a new generation, durably; the one before stays, older ones go.
    pub(crate) fn save(&mut self, state: &State) -> Result<(), TsdbError> {
        let generation = self.generation + 1;
        let path = self.dir.join(file_name(generation));
        let temporary = path.with_extension("tmp");
        let bytes = encode(state, generation);
        let written = self.write(&temporary, &bytes).and_then(|()| {
            self.disk.rename(&temporary, &path).map_err(TsdbError::io("rename", &temporary))?;
            self.disk.sync_dir(&self.dir).map_err(TsdbError::io("sync", &self.dir))
        });
        if let Err(error) = written {
            // Best effort: opening removes what is left of it.
            let _ = self.disk.remove(&temporary);
            return Err(error);
        }
        self.generation = generation;
        self.kept.insert(0, generation);
        while self.kept.len() > GENERATIONS_KEPT {
            let Some(old) = self.kept.pop() else { break };
            let path = self.dir.join(file_name(old));
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "old state was not removed");
            }
        }
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), TsdbError> {
        let file = self.disk.create(path).map_err(TsdbError::io("create", path))?;
        file.write_at(0, bytes).map_err(TsdbError::io("write", path))?;
        file.sync_all().map_err(TsdbError::io("sync", path))
    }
}

fn put_position(out: &mut Vec<u8>, position: Position) {
    put_varint(out, u64::from(position.epoch));
    put_varint(out, position.offset);
}

fn take_position(input: &mut Input<'_>) -> Option<Position> {
    Some(Position { epoch: u32::try_from(input.varint()?).ok()?, offset: input.varint()? })
}

fn encode(state: &State, generation: u64) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&STATE_VERSION.to_le_bytes());
    put_varint(&mut out, generation);
    put_position(&mut out, state.mark);
    put_varint(&mut out, state.mark_flush);
    put_varint(&mut out, state.retired);
    put_varint(&mut out, state.deletions.len() as u64);
    for ((tenant, device), deletion) in &*state.deletions {
        put_varint(&mut out, u64::from(tenant.0));
        out.extend_from_slice(device.0.as_bytes());
        put_position(&mut out, deletion.up_to);
        put_varint(&mut out, deletion.before_flush);
    }
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// `None` when it is damaged, the version when that is newer than ours.
fn decode(bytes: &[u8], generation: u64) -> Option<Result<State, u32>> {
    let (fields, crc) = bytes.split_last_chunk()?;
    if crc32c::crc32c(fields) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut input = Input::new(fields);
    if input.array::<8>()? != MAGIC {
        return None;
    }
    let version = input.u32()?;
    if version > STATE_VERSION {
        return Some(Err(version));
    }
    if input.varint()? != generation {
        return None;
    }
    let (mark, mark_flush) = (take_position(&mut input)?, input.varint()?);
    let retired = input.varint()?;
    let mut deletions = Deletions::default();
    for _ in 0..input.count()? {
        let tenant = TenantId(u32::try_from(input.varint()?).ok()?);
        let device = DeviceId(Uuid::from_bytes(input.array()?));
        let up_to = take_position(&mut input)?;
        deletions.insert((tenant, device), Deletion { up_to, before_flush: input.varint()? });
    }
    let state = State { mark, mark_flush, retired, deletions: Arc::new(deletions) };
    input.is_empty().then_some(Ok(state))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let at = |offset| Position { epoch: 2, offset };
        let deletion = Deletion { up_to: at(50), before_flush: 7 };
        let owner = (TenantId(3), DeviceId::random());
        let deletions = Deletions::from_iter([(owner, deletion)]);
        State { mark: at(90), mark_flush: 6, retired: 2, deletions: Arc::new(deletions) }
    }

    #[test]
    fn state_comes_back_and_any_flipped_bit_is_seen() {
        let state = state();
        let bytes = encode(&state, 5);
        assert_eq!(decode(&bytes, 5), Some(Ok(state)));
        assert_eq!(decode(&bytes, 6), None);
        for at in 0..bytes.len() {
            assert_eq!(decode(&bytes[..at], 5), None);
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(decode(&flipped, 5), None, "byte {at}");
            }
        }
    }

    #[test]
    fn newer_version_is_told() {
        let mut bytes = encode(&state(), 5);
        bytes.truncate(bytes.len() - 4);
        bytes[8] = 9;
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        assert_eq!(decode(&bytes, 5), Some(Err(9)));
    }
}

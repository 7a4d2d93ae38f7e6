//! Snapshots: what a view was at a position, kept in two generations.
//!
//! Owns the snapshot files. Must never remove a generation before a newer one is durable, nor give
//! out bytes whose checksum does not hold.
//!
//! ```text
//! snapshot = header block (512) · bytes
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flux_types::Position;
use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, Entry};
use crate::error::LogError;
use crate::format::{Parser, Writer};

/// The version of snapshot files this program writes.
const SNAPSHOT_VERSION: u32 = 1;
const SNAPSHOT_MAGIC: [u8; 8] = *b"FLUXSNP\n";
const HEADER_BYTES: usize = 512;
const FIELDS_BYTES: usize = 128;
const NAME_BYTES_MAX: usize = 64;
const GENERATIONS_KEPT: usize = 2;
const WRITE_BYTES: usize = 1 << 20;

/// A snapshot as loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The last record it contains.
    pub position: Position,
    /// What was saved.
    pub bytes: Vec<u8>,
    /// When it was saved by the wall clock, ns since 1970.
    pub saved_wall_ns: i64,
    /// The newest generation was damaged and this is the one before.
    pub fell_back: bool,
}

/// One generation on disk.
#[derive(Debug, Clone)]
struct Kept {
    generation: u64,
    position: Position,
    path: PathBuf,
    sound: bool,
}

struct Header {
    position: Position,
    len: u64,
    wall_ns: i64,
    body_crc: u32,
}

/// All snapshots of a log.
pub(crate) struct SnapshotStore {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    bytes_max: u64,
    /// Each name's generations, newest first.
    kept: Mutex<BTreeMap<String, Vec<Kept>>>,
    /// One save at a time; never held together with a wait for `kept`'s holder.
    saving: Mutex<()>,
}

/// `snapshot-<name>-<generation>.snap`
fn file_name(name: &str, generation: u64) -> String {
    format!("snapshot-{name}-{generation:010}.snap")
}

fn parse_file_name(file: &str) -> Option<(&str, u64)> {
    let (name, generation) =
        file.strip_prefix("snapshot-")?.strip_suffix(".snap")?.rsplit_once('-')?;
    Some((check_name(name).ok()?, generation.parse().ok()?))
}

/// The name, if files may be called so.
pub(crate) fn check_name(name: &str) -> Result<&str, LogError> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) {
        return Err(LogError::SnapshotName { name: name.chars().take(NAME_BYTES_MAX).collect() });
    }
    Ok(name)
}

impl SnapshotStore {
    /// Finds what is there.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        bytes_max: u64,
        entries: &[Entry],
    ) -> Result<Self, LogError> {
        let mut kept: BTreeMap<String, Vec<Kept>> = BTreeMap::new();
        for entry in entries {
            let Some((name, generation)) = parse_file_name(&entry.name) else { continue };
            let path = dir.join(&entry.name);
            let file = disk.open(&path, false).map_err(LogError::io("open", &path))?;
            let header = read_header(&*file, &path, name, generation)?;
            let sound = header.is_some();
            let position = header.map_or(Position::START, |h| h.position);
            kept.entry(name.to_owned()).or_default().push(Kept {
                generation,
                position,
                path,
                sound,
            });
        }
        for generations in kept.values_mut() {
            generations.sort_by_key(|k| std::cmp::Reverse(k.generation));
        }
        let dir = dir.to_owned();
        Ok(Self { disk, dir, bytes_max, kept: Mutex::new(kept), saving: Mutex::new(()) })
    }

    /// Names that have a snapshot.
    pub(crate) fn names(&self) -> Vec<String> {
        self.kept.lock().keys().cloned().collect()
    }

    /// Position of the newest sound generation.
    pub(crate) fn cursor(&self, name: &str) -> Option<Position> {
        let kept = self.kept.lock();
        kept.get(name)?.iter().find(|k| k.sound).map(|k| k.position)
    }

    /// Position from which the log must be kept for a fall-back: the older of two generations.
    pub(crate) fn fallback_position(&self, name: &str) -> Option<Position> {
        let kept = self.kept.lock();
        kept.get(name)?.iter().filter(|k| k.sound).nth(1).map(|k| k.position)
    }

    /// The furthest position of any sound generation, with its file.
    pub(crate) fn furthest(&self) -> Option<(Position, PathBuf)> {
        let kept = self.kept.lock();
        let sound = kept.values().flatten().filter(|k| k.sound);
        sound.max_by_key(|k| k.position).map(|k| (k.position, k.path.clone()))
    }

    /// Writes a new generation; the one before stays, older ones go.
    pub(crate) fn save(
        &self,
        name: &str,
        position: Position,
        bytes: &[u8],
        wall_ns: i64,
    ) -> Result<(), LogError> {
        check_name(name)?;
        if bytes.len() as u64 > self.bytes_max {
            return Err(LogError::SnapshotTooLarge {
                name: name.to_owned(),
                bytes: bytes.len() as u64,
                snapshot_bytes_max: self.bytes_max,
            });
        }
        let _one = self.saving.lock();
        if let Some(durable) = self.cursor(name).filter(|durable| *durable > position) {
            return Err(LogError::SnapshotBehind { name: name.to_owned(), position, durable });
        }
        let newest = |kept: &Vec<Kept>| kept.iter().map(|k| k.generation).max();
        let generation = self.kept.lock().get(name).and_then(newest).unwrap_or(0) + 1;
        let path = self.dir.join(file_name(name, generation));
        let temporary = self.dir.join(format!("snapshot-{name}.tmp"));
        let header =
            Header { position, len: bytes.len() as u64, wall_ns, body_crc: crc32c::crc32c(bytes) };
        let written = self.write(&temporary, &encode_header(&header, name, generation), bytes);
        if let Err(error) = written.and_then(|()| {
            self.disk.rename(&temporary, &path).map_err(LogError::io("rename", &temporary))?;
            self.disk.sync_dir(&self.dir).map_err(LogError::io("sync", &self.dir))
        }) {
            // Best effort: opening removes what is left of it.
            let _ = self.disk.remove(&temporary);
            return Err(error);
        }
        let mut kept = self.kept.lock();
        let generations = kept.entry(name.to_owned()).or_default();
        generations.insert(0, Kept { generation, position, path, sound: true });
        let dropped = drop_old(generations);
        drop(kept);
        for path in dropped {
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "old snapshot was not removed");
            }
        }
        Ok(())
    }

    fn write(&self, path: &Path, header: &[u8], bytes: &[u8]) -> Result<(), LogError> {
        let file = self.disk.create(path).map_err(LogError::io("create", path))?;
        file.write_at(0, header).map_err(LogError::io("write", path))?;
        let mut at = header.len() as u64;
        for part in bytes.chunks(WRITE_BYTES) {
            file.write_at(at, part).map_err(LogError::io("write", path))?;
            at += part.len() as u64;
        }
        file.sync_all().map_err(LogError::io("sync", path))
    }

    /// The newest generation whose checksums hold.
    pub(crate) fn load(&self, name: &str) -> Result<Option<Snapshot>, LogError> {
        check_name(name)?;
        let Some(generations) = self.kept.lock().get(name).cloned() else { return Ok(None) };
        let mut fell_back = false;
        for kept in &generations {
            if let Some(found) = kept.sound.then(|| self.read(kept, name)).transpose()?.flatten() {
                return Ok(Some(Snapshot { fell_back, ..found }));
            }
            tracing::error!(path = %kept.path.display(), "snapshot is damaged");
            self.condemn(name, kept.generation);
            fell_back = true;
        }
        Err(LogError::SnapshotDamaged { name: name.to_owned(), generations: generations.len() })
    }

    fn condemn(&self, name: &str, generation: u64) {
        let mut kept = self.kept.lock();
        let generations = kept.get_mut(name).into_iter().flatten();
        generations.filter(|k| k.generation == generation).for_each(|k| k.sound = false);
    }

    fn read(&self, kept: &Kept, name: &str) -> Result<Option<Snapshot>, LogError> {
        let path = &kept.path;
        let file = self.disk.open(path, false).map_err(LogError::io("open", path))?;
        let Some(header) = read_header(&*file, path, name, kept.generation)? else {
            return Ok(None);
        };
        // The length is checked against the file before memory is taken for it.
        let there = file.length().map_err(LogError::io("read", path))?;
        if there.checked_sub(HEADER_BYTES as u64) != Some(header.len) {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(header.len).unwrap_or(0)];
        let read = file.read_at(HEADER_BYTES as u64, &mut bytes);
        let read = read.map_err(LogError::io("read", path))?;
        if read != bytes.len() || crc32c::crc32c(&bytes) != header.body_crc {
            return Ok(None);
        }
        let (position, saved_wall_ns) = (header.position, header.wall_ns);
        Ok(Some(Snapshot { position, bytes, saved_wall_ns, fell_back: false }))
    }

    /// Removes all generations of a name; whether there were any.
    pub(crate) fn forget(&self, name: &str) -> Result<bool, LogError> {
        let _one = self.saving.lock();
        let Some(generations) = self.kept.lock().remove(name) else { return Ok(false) };
        for kept in &generations {
            self.disk.remove(&kept.path).map_err(LogError::io("remove", &kept.path))?;
        }
        self.disk.sync_dir(&self.dir).map_err(LogError::io("sync", &self.dir))?;
        Ok(true)
    }
}

/// Takes out what is no longer needed: all but the newest sound generations.
fn drop_old(generations: &mut Vec<Kept>) -> Vec<PathBuf> {
    let mut sound = 0;
    let mut dropped = Vec::new();
    generations.retain(|kept| {
        sound += usize::from(kept.sound);
        let keep = kept.sound && sound <= GENERATIONS_KEPT;
        if !keep {
            dropped.push(kept.path.clone());
        }
        keep
    });
    dropped
}

fn encode_header(header: &Header, name: &str, generation: u64) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(HEADER_BYTES));
    out.0.extend_from_slice(&SNAPSHOT_MAGIC);
    out.u32(SNAPSHOT_VERSION);
    out.u32(header.position.epoch);
    out.u64(header.position.offset);
    out.u64(header.len);
    out.u64(header.wall_ns.cast_unsigned());
    out.u64(generation);
    out.u32(header.body_crc);
    out.u32(name.len() as u32);
    out.0.extend_from_slice(name.as_bytes());
    out.0.resize(FIELDS_BYTES, 0);
    let crc = crc32c::crc32c(&out.0);
    out.u32(crc);
    out.0.resize(HEADER_BYTES, 0);
    out.0
}

/// `None` when it is damaged.
fn read_header(
    file: &dyn DiskFile,
    path: &Path,
    name: &str,
    generation: u64,
) -> Result<Option<Header>, LogError> {
    let mut block = [0; HEADER_BYTES];
    let read = file.read_at(0, &mut block).map_err(LogError::io("read", path))?;
    if read < HEADER_BYTES {
        return Ok(None);
    }
    let (magic, fields) = block.split_at(8);
    if magic != SNAPSHOT_MAGIC {
        if magic.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        return Err(LogError::Foreign { path: path.to_owned(), what: "not a snapshot" });
    }
    let version = Parser(fields).u32().unwrap_or(0);
    if version > SNAPSHOT_VERSION {
        let (path, supported) = (path.to_owned(), SNAPSHOT_VERSION);
        return Err(LogError::NewerVersion { path, found: version, supported });
    }
    Ok(parse_header(&block, name, generation))
}

fn parse_header(block: &[u8], name: &str, generation: u64) -> Option<Header> {
    let crc = Parser(block.get(FIELDS_BYTES..)?).u32()?;
    if crc32c::crc32c(block.get(..FIELDS_BYTES)?) != crc {
        return None;
    }
    let mut from = Parser(block.get(12..)?);
    let position = Position { epoch: from.u32()?, offset: from.u64()? };
    let (len, wall_ns) = (from.u64()?, from.u64()?.cast_signed());
    let its_generation = from.u64()?;
    let (body_crc, name_len) = (from.u32()?, from.u32()? as usize);
    let its_name = from.0.get(..name_len)?;
    let same = its_name == name.as_bytes() && its_generation == generation;
    same.then_some(Header { position, len, wall_ns, body_crc })
}

//! What the simulated disk holds: what programs see, and what would survive.
//!
//! Owns files, names and what of both is not synced yet. Must never let anything survive a crash
//! for certain that was not synced.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

/// How unkind a power cut is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashModel {
    /// What the device writes whole or not at all, bytes: 512 or 4096.
    pub sector_bytes: usize,
    /// A sector that was being written may hold garbage afterwards, also where bytes that had been
    /// synced lie in it. Without this it holds the old or the new bytes.
    pub spoil_sectors: bool,
}

impl Default for CrashModel {
    fn default() -> Self {
        Self { sector_bytes: 512, spoil_sectors: false }
    }
}

/// What a fault is injected into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultOperation {
    /// Writing bytes.
    Write,
    /// Syncing a file.
    Sync,
    /// Syncing a directory.
    SyncDir,
    /// Reading bytes.
    Read,
    /// Creating a file.
    Create,
    /// Reserving space.
    Allocate,
    /// Renaming.
    Rename,
    /// Removing.
    Remove,
}

#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) operation: FaultOperation,
    pub(super) after: u64,
    pub(super) os_error: i32,
    pub(super) lasting: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Bytes { at: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Link(PathBuf, u64),
    Unlink(PathBuf, u64),
    Rename(PathBuf, PathBuf, u64),
}

type Names = BTreeMap<PathBuf, u64>;

/// Numbers from a seed (SplitMix64; Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap_or(0)
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

pub(super) struct State {
    pub(super) random: Random,
    pub(super) model: CrashModel,
    inodes: HashMap<u64, Inode>,
    next_inode: u64,
    names: Names,
    durable_names: Names,
    pending_names: Vec<NameChange>,
    pub(super) locks: HashSet<PathBuf>,
    pub(super) capacity: Option<u64>,
    pub(super) faults: Vec<Fault>,
    /// Power is off.
    pub(super) down: bool,
    /// Grows with each crash; handles of an earlier one are dead.
    pub(super) generation: u64,
    /// Changes until the power goes, or the process.
    pub(super) changes_left: Option<u64>,
    /// What ends then is the process: what it wrote stays in the cache.
    pub(super) process_only: bool,
    pub(super) changes: u64,
}

fn os(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

/// Linux error numbers.
pub(super) const EIO: i32 = 5;
const ENOENT: i32 = 2;
const ENOSPC: i32 = 28;

fn write(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Bytes { at, bytes } => write(content, *at, bytes),
            Self::Length(len) => content.resize(*len, 0),
        }
    }
}

impl NameChange {
    /// Each change is about one file: when an earlier one was lost and another file has the name,
    /// that one stays.
    fn apply(&self, names: &mut Names) {
        let remove = |names: &mut Names, path: &PathBuf, inode: &u64| {
            if names.get(path) == Some(inode) {
                names.remove(path);
            }
        };
        match self {
            Self::Link(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Unlink(path, inode) => remove(names, path, inode),
            Self::Rename(from, to, inode) => {
                remove(names, from, inode);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            model: CrashModel::default(),
            inodes: HashMap::new(),
            next_inode: 1,
            names: Names::new(),
            durable_names: Names::new(),
            pending_names: Vec::new(),
            locks: HashSet::new(),
            capacity: None,
            faults: Vec::new(),
            down: false,
            generation: 0,
            changes_left: None,
            process_only: false,
            changes: 0,
        }
    }

    /// The operation may go on: power is on and no fault was injected.
    pub(super) fn begin(&mut self, operation: FaultOperation) -> io::Result<()> {
        if self.down {
            return Err(os(EIO));
        }
        let mut failed = None;
        self.faults.retain_mut(|fault| {
            if fault.operation != operation || failed.is_some() {
                return true;
            }
            if fault.after > 0 {
                fault.after -= 1;
                return true;
            }
            failed = Some(fault.os_error);
            fault.lasting
        });
        failed.map_or(Ok(()), |code| Err(os(code)))
    }

    /// Counts a change; true when the power goes in the midst of it.
    pub(super) fn change(&mut self) -> bool {
        self.changes += 1;
        let Some(left) = &mut self.changes_left else { return false };
        *left = left.saturating_sub(1);
        if *left > 0 {
            return false;
        }
        self.changes_left = None;
        self.down = true;
        true
    }

    pub(super) fn inode_of(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| os(ENOENT))
    }

    pub(super) fn list(&self, dir: &Path) -> Vec<(String, u64)> {
        let inside = self.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        inside
            .filter_map(|(path, inode)| {
                let name = path.file_name()?.to_str()?.to_owned();
                Some((name, self.inodes.get(inode)?.seen.len() as u64))
            })
            .collect()
    }

    pub(super) fn create(&mut self, path: &Path) -> u64 {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(inode, Inode::default());
        self.change_names(NameChange::Link(path.to_owned(), inode));
        inode
    }

    pub(super) fn unlink(&mut self, path: &Path) {
        if let Ok(inode) = self.inode_of(path) {
            self.change_names(NameChange::Unlink(path.to_owned(), inode));
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        if let Ok(inode) = self.inode_of(from) {
            self.change_names(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        }
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) {
        let inside = |path: &PathBuf| path.parent() == Some(dir);
        for change in std::mem::take(&mut self.pending_names) {
            let ours = match &change {
                NameChange::Link(path, _) | NameChange::Unlink(path, _) => inside(path),
                NameChange::Rename(from, ..) => inside(from),
            };
            if ours {
                change.apply(&mut self.durable_names);
            } else {
                self.pending_names.push(change);
            }
        }
    }

    fn used(&self) -> u64 {
        self.names.values().filter_map(|i| self.inodes.get(i)).map(|i| i.seen.len() as u64).sum()
    }

    fn room_for(&self, inode: u64, len: usize) -> io::Result<()> {
        let now = self.inodes.get(&inode).map_or(0, |i| i.seen.len());
        let Some(capacity) = self.capacity.filter(|_| len > now) else { return Ok(()) };
        if self.used() + (len - now) as u64 > capacity { Err(os(ENOSPC)) } else { Ok(()) }
    }

    pub(super) fn write(&mut self, inode: u64, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.room_for(inode, at + bytes.len())?;
        self.apply(inode, Change::Bytes { at, bytes: bytes.to_vec() })
    }

    pub(super) fn set_len(&mut self, inode: u64, len: usize) -> io::Result<()> {
        self.room_for(inode, len)?;
        self.apply(inode, Change::Length(len))
    }

    fn apply(&mut self, inode: u64, change: Change) -> io::Result<()> {
        let inode = self.inodes.get_mut(&inode).ok_or_else(|| os(EIO))?;
        change.apply(&mut inode.seen);
        inode.pending.push(change);
        Ok(())
    }

    pub(super) fn read(&self, inode: u64, at: usize, into: &mut [u8]) -> io::Result<usize> {
        let seen = &self.inodes.get(&inode).ok_or_else(|| os(EIO))?.seen;
        let there = seen.get(at..).unwrap_or_default();
        let n = there.len().min(into.len());
        into[..n].copy_from_slice(&there[..n]);
        Ok(n)
    }

    pub(super) fn len(&self, inode: u64) -> io::Result<u64> {
        Ok(self.inodes.get(&inode).ok_or_else(|| os(EIO))?.seen.len() as u64)
    }

    pub(super) fn sync(&mut self, inode: u64) -> io::Result<()> {
        let inode = self.inodes.get_mut(&inode).ok_or_else(|| os(EIO))?;
        for change in inode.pending.drain(..) {
            change.apply(&mut inode.durable);
        }
        Ok(())
    }

    /// A sync that fails: the pages count as clean and what was in them is gone, which shows only
    /// after the next crash.
    pub(super) fn lose_pending(&mut self, inode: u64) {
        if let Some(inode) = self.inodes.get_mut(&inode) {
            inode.pending.clear();
        }
    }

    pub(super) fn durable(&self, path: &Path) -> Option<Vec<u8>> {
        Some(self.inodes.get(self.durable_names.get(path)?)?.durable.clone())
    }

    pub(super) fn unsynced(&self, path: &Path) -> Option<usize> {
        Some(self.inodes.get(self.names.get(path)?)?.pending.len())
    }

    pub(super) fn flip(&mut self, path: &Path, at: usize, mask: u8) -> bool {
        let Some(inode) = self.names.get(path).and_then(|i| self.inodes.get_mut(i)) else {
            return false;
        };
        let mut flipped = false;
        for content in [&mut inode.seen, &mut inode.durable] {
            if let Some(byte) = content.get_mut(at) {
                *byte ^= mask;
                flipped = true;
            }
        }
        flipped
    }

    /// The process ends: its files and locks go, what it wrote stays in the cache.
    pub(super) fn kill(&mut self) {
        self.down = true;
        self.generation += 1;
        self.changes_left = None;
        self.process_only = false;
        self.locks.clear();
    }

    /// The power goes: decides what of the unsynced survives.
    pub(super) fn crash(&mut self) {
        self.kill();
        self.crash_names();
        let alive: HashSet<u64> = self.durable_names.values().copied().collect();
        self.inodes.retain(|id, _| alive.contains(id));
        let mut ids: Vec<u64> = self.inodes.keys().copied().collect();
        ids.sort_unstable();
        let model = self.model;
        for id in ids {
            if let Some(inode) = self.inodes.get_mut(&id) {
                inode.crash(&mut self.random, model);
            }
        }
    }

    /// Names survive in order up to some point, as in a journal, or any of them.
    fn crash_names(&mut self) {
        let pending = std::mem::take(&mut self.pending_names);
        let journal = self.random.coin();
        let kept = self.random.below(pending.len() + 1);
        for (i, change) in pending.iter().enumerate() {
            let survives = if journal { i < kept } else { self.random.coin() };
            if survives {
                change.apply(&mut self.durable_names);
            }
        }
        self.names.clone_from(&self.durable_names);
    }
}

impl Inode {
    fn crash(&mut self, random: &mut Random, model: CrashModel) {
        let pending = std::mem::take(&mut self.pending);
        let mode = random.below(4);
        let whole = random.below(pending.len() + 1);
        for (i, change) in pending.iter().enumerate() {
            match mode {
                0 => break,
                1 => change.apply(&mut self.durable),
                // In order up to a point where one is torn.
                2 if i < whole => change.apply(&mut self.durable),
                2 if i > whole => break,
                // Any sector of any write.
                _ => self.tear(change, random, model),
            }
        }
        self.seen.clone_from(&self.durable);
    }

    fn tear(&mut self, change: &Change, random: &mut Random, model: CrashModel) {
        let sector = model.sector_bytes.max(1);
        let (at, bytes) = match change {
            Change::Bytes { at, bytes } => (at, bytes),
            Change::Length(len) => {
                if random.coin() {
                    // What lies behind the cut within its sector is overwritten with zeros.
                    let cut = *len < self.durable.len() && len % sector != 0;
                    change.apply(&mut self.durable);
                    if cut && model.spoil_sectors && random.coin() {
                        self.durable.truncate(len / sector * sector);
                        self.durable.resize_with(*len, || random.next() as u8);
                    }
                }
                return;
            }
        };
        let mut from = *at;
        let end = at + bytes.len();
        while from < end {
            let to = end.min((from / sector + 1) * sector);
            match random.below(if model.spoil_sectors { 5 } else { 4 }) {
                0 | 1 => write(&mut self.durable, from, &bytes[from - at..to - at]),
                4 => {
                    let start = from / sector * sector;
                    let garbage: Vec<u8> = (0..sector).map(|_| random.next() as u8).collect();
                    write(&mut self.durable, start, &garbage);
                }
                _ => {}
            }
            from = to;
        }
    }
}

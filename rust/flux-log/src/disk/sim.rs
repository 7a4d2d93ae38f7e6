//! A disk in memory that forgets, tears and reorders what was not synced, by a seed. For tests.
//!
//! Owns the faults. Must never be kinder than a real disk: names not synced may be gone although
//! the file was synced, a failed sync loses what it was to write.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use super::sim_state::{CrashModel, FaultOperation};
use super::sim_state::{EIO, Fault, State};
use super::{DirLock, Disk, DiskFile, Entry, LockFailure};

/// The simulated disk. Clones are the same disk.
///
/// The same seed and the same operations in the same order come out the same each time.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    sync_delay: Arc<Mutex<Duration>>,
}

/// What would be left of a file if the power went now and nothing unsynced survived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncedFile {
    /// The content.
    pub bytes: Vec<u8>,
    /// Writes since its last sync.
    pub unsynced_changes: usize,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = Arc::new(Mutex::new(State::new(seed)));
        Self { state, sync_delay: Arc::default() }
    }

    /// How unkind crashes are from now on.
    pub fn set_crash_model(&self, model: CrashModel) {
        self.state.lock().model = model;
    }

    /// Cuts the power: what was not synced is lost, torn or kept at random, every open file and
    /// every operation answers with an I/O error until [`SimDisk::restart`].
    pub fn crash(&self) {
        self.state.lock().crash();
    }

    /// Cuts the power in the midst of the `changes`-th change from now (1: the next). What of it
    /// survives is decided by [`SimDisk::crash`] or [`SimDisk::restart`], whichever comes first.
    pub fn crash_after(&self, changes: u64) {
        let mut state = self.state.lock();
        state.changes_left = Some(changes.max(1));
        state.process_only = false;
    }

    /// Ends the process in the midst of the `changes`-th change from now, as `kill -9` does: from
    /// then on everything answers with an I/O error, but after [`SimDisk::restart`] all that was
    /// written is there, synced or not.
    pub fn kill_after(&self, changes: u64) {
        let mut state = self.state.lock();
        state.changes_left = Some(changes.max(1));
        state.process_only = true;
    }

    /// Power is off, or the process was ended.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.state.lock().down
    }

    /// Power is on again. Files opened before stay dead.
    pub fn restart(&self) {
        let mut state = self.state.lock();
        if state.down && state.process_only {
            state.kill();
        } else if state.down {
            state.crash();
        }
        state.down = false;
        state.faults.clear();
    }

    /// Makes an operation fail with an error number of the system: the one after `after` more of
    /// them; with `lasting` all later ones too, until [`SimDisk::heal`].
    pub fn fail(&self, operation: FaultOperation, after: u64, os_error: i32, lasting: bool) {
        self.state.lock().faults.push(Fault { operation, after, os_error, lasting });
    }

    /// Takes all injected faults away.
    pub fn heal(&self) {
        self.state.lock().faults.clear();
    }

    /// Limits the room, bytes; `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// Makes each sync sleep that long.
    pub fn set_sync_delay(&self, delay: Duration) {
        *self.sync_delay.lock() = delay;
    }

    /// How many changes were made so far.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.state.lock().changes
    }

    /// What is certain of a file; `None` when even its name is not.
    #[must_use]
    pub fn synced(&self, path: &Path) -> Option<SyncedFile> {
        let state = self.state.lock();
        let bytes = state.durable(path)?;
        Some(SyncedFile { bytes, unsynced_changes: state.unsynced(path).unwrap_or(0) })
    }

    /// Flips bits of one byte, on the medium and in the cache; false when it is not there.
    #[must_use]
    pub fn flip(&self, path: &Path, offset: usize, mask: u8) -> bool {
        self.state.lock().flip(path, offset, mask)
    }

    fn wait_for_sync(&self) {
        let delay = *self.sync_delay.lock();
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
    }

    fn file(&self, inode: u64, generation: u64) -> Arc<dyn DiskFile> {
        Arc::new(SimFile { disk: self.clone(), inode, generation })
    }
}

fn power_cut() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    generation: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state.lock();
        if state.generation == self.generation {
            state.locks.remove(&self.path);
        }
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        if self.is_down() { Err(power_cut()) } else { Ok(()) }
    }

    fn lock(&self, path: &Path) -> Result<DirLock, LockFailure> {
        let mut state = self.state.lock();
        if state.down {
            return Err(LockFailure::Io(power_cut()));
        }
        if !state.locks.insert(path.to_owned()) {
            return Err(LockFailure::Held(Some(std::process::id())));
        }
        let generation = state.generation;
        Ok(Box::new(SimLock { disk: self.clone(), path: path.to_owned(), generation }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.state.lock();
        state.begin(FaultOperation::Read)?;
        Ok(state.list(dir).into_iter().map(|(name, bytes)| Entry { name, bytes }).collect())
    }

    fn open(&self, path: &Path, _write: bool) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state.lock();
        if state.down {
            return Err(power_cut());
        }
        let inode = state.inode_of(path)?;
        Ok(self.file(inode, state.generation))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.begin(FaultOperation::Create)?;
        let inode = state.create(path);
        if state.change() { Err(power_cut()) } else { Ok(self.file(inode, state.generation)) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin(FaultOperation::Rename)?;
        state.inode_of(from)?;
        state.rename(from, to);
        if state.change() { Err(power_cut()) } else { Ok(()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin(FaultOperation::Remove)?;
        state.inode_of(path)?;
        state.unlink(path);
        if state.change() { Err(power_cut()) } else { Ok(()) }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.wait_for_sync();
        let mut state = self.state.lock();
        state.begin(FaultOperation::SyncDir)?;
        if state.change() {
            return Err(power_cut());
        }
        state.sync_dir(dir);
        Ok(())
    }

    fn entropy(&self) -> u64 {
        self.state.lock().random.next()
    }
}

struct SimFile {
    disk: SimDisk,
    inode: u64,
    generation: u64,
}

impl SimFile {
    fn state(&self) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let state = self.disk.state.lock();
        if state.down || state.generation != self.generation { Err(power_cut()) } else { Ok(state) }
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.wait_for_sync();
        let mut state = self.state()?;
        if let Err(error) = state.begin(FaultOperation::Sync) {
            state.lose_pending(self.inode);
            return Err(error);
        }
        if state.change() {
            return Err(power_cut());
        }
        state.sync(self.inode)
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state()?;
        state.begin(FaultOperation::Write)?;
        state.write(self.inode, place(offset), bytes)?;
        if state.change() { Err(power_cut()) } else { Ok(()) }
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state()?;
        state.begin(FaultOperation::Read)?;
        state.read(self.inode, place(offset), into)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.state().map(drop)
    }

    fn length(&self) -> io::Result<u64> {
        self.state()?.len(self.inode)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.begin(FaultOperation::Write)?;
        state.set_len(self.inode, place(bytes))?;
        if state.change() { Err(power_cut()) } else { Ok(()) }
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.begin(FaultOperation::Allocate)?;
        state.set_len(self.inode, place(bytes))?;
        if state.change() { Err(power_cut()) } else { Ok(()) }
    }
}

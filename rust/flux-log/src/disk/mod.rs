//! The disk as the log sees it: a few operations whose durability is spelled out.
//!
//! Owns the [`Disk`] port and its two implementations. Must never promise more than POSIX does:
//! what was not synced may be lost, torn or reordered, names as well as bytes.

mod real;
#[cfg(feature = "sim")]
mod sim;
#[cfg(feature = "sim")]
mod sim_state;

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use real::RealDisk;
pub(crate) use real::random_u64;
#[cfg(feature = "sim")]
pub use sim::{CrashModel, FaultOperation, SimDisk, SyncedFile};

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file's name, without its directory.
    pub name: String,
    /// Its length, bytes.
    pub bytes: u64,
}

/// Held as long as the directory is ours; dropping it lets go.
pub type DirLock = Box<dyn Any + Send + Sync>;

/// Why a directory could not be locked.
#[derive(Debug)]
pub enum LockFailure {
    /// Somebody else has it; their process id where the lock file tells.
    Held(Option<u32>),
    /// The lock file could not be opened or written.
    Io(io::Error),
}

/// A disk. All paths are absolute or relative to the process; directories are never nested by the
/// log.
pub trait Disk: Send + Sync + 'static {
    /// Makes a directory and its parents, durably; content that is there stays.
    ///
    /// # Errors
    /// What the operating system says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the advisory lock on `path`, creating it, and writes our process id into it.
    ///
    /// # Errors
    /// [`LockFailure::Held`] when another holds it.
    fn lock(&self, path: &Path) -> Result<DirLock, LockFailure>;

    /// All files of a directory, in no particular order.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Opens a file that exists, for reading and, where asked, writing.
    ///
    /// # Errors
    /// What the operating system says; `NotFound` when there is none.
    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates an empty file for reading and writing, emptying one that is there. The name is
    /// durable only after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the operating system says.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames within one directory, replacing what has the new name; atomic, durable only after
    /// [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name; durable only after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names of a directory durable.
    ///
    /// # Errors
    /// What the operating system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// A number nobody can foresee, for salts.
    fn entropy(&self) -> u64;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// What the operating system says; part of it may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads until `into` is full or the file ends; how many bytes were read.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Makes written bytes and the length durable (`fdatasync`).
    ///
    /// # Errors
    /// What the operating system says: what was written since the last sync may be lost for good.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes everything about the file durable (`fsync`); not its name.
    ///
    /// # Errors
    /// As [`DiskFile::sync_data`].
    fn sync_all(&self) -> io::Result<()>;

    /// Asks for synced bytes to be read from the device next time, not from memory. A failed
    /// attempt to write pages back can leave them in memory, looking clean, while the device has
    /// something else.
    ///
    /// # Errors
    /// What the operating system says.
    fn drop_cache(&self) -> io::Result<()>;

    /// Length, bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn length(&self) -> io::Result<u64>;

    /// Cuts or extends (with zeros) to a length.
    ///
    /// # Errors
    /// What the operating system says.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Reserves space for the first `bytes` bytes and extends the file to that length.
    ///
    /// # Errors
    /// `StorageFull` when there is no room; what the operating system says otherwise.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
}

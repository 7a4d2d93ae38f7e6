//! Compiled code on disk.
//!
//! Owns one directory that nobody but the process's user may enter. Executing an entry is executing
//! machine code, so an entry is believed only if it carries a seal made with a secret that only
//! this user can read: a file that was truncated, changed, or put there by somebody else is
//! compiled anew and counted, never executed. Must never write anywhere else.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, Module};

use crate::PluginError;
use crate::sandbox::ContentHash;

/// Begins each entry; ends with the version of the layout.
const MAGIC: &[u8; 8] = b"FLUXCWA\x01";
const SEAL_BYTES: usize = 32;
const SECRET_FILE: &str = "secret";
const SUFFIX: &str = "cwasm";

/// What the cache did.
#[derive(Debug, Default)]
pub(crate) struct CacheCounters {
    /// Entries taken.
    pub(crate) hits: AtomicU64,
    /// Modules compiled.
    pub(crate) misses: AtomicU64,
    /// Entries that were there and not believed.
    pub(crate) refused: AtomicU64,
    /// Entries that could not be written.
    pub(crate) unwritten: AtomicU64,
}

/// The directory and the secret of its seals.
pub(crate) struct Cache {
    directory: PathBuf,
    secret: [u8; 32],
    bytes_max: u64,
    pub(crate) counters: CacheCounters,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Cache {
    /// Opens the directory, makes it where it is not there.
    ///
    /// # Errors
    /// It belongs to somebody else, others may enter it, or it cannot be written.
    pub(crate) fn open(directory: &Path, bytes_max: u64) -> Result<Self, PluginError> {
        let failed = |source| PluginError::Store {
            action: "using the cache of compiled plugins",
            path: directory.to_owned(),
            source,
        };
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        let found = fs::symlink_metadata(directory).map_err(failed)?;
        require_private(&found, found.is_dir()).map_err(failed)?;
        let secret = secret(&directory.join(SECRET_FILE)).map_err(failed)?;
        Ok(Self {
            directory: directory.to_owned(),
            secret,
            bytes_max,
            counters: CacheCounters::default(),
        })
    }

    /// The module of that content: from its entry where that is believed, else compiled.
    pub(crate) fn get_or_compile(
        &self,
        engine: &Engine,
        content: &ContentHash,
        compile: impl FnOnce() -> Result<Module, PluginError>,
    ) -> Result<Module, PluginError> {
        let path = self.path(engine, content);
        if let Some(module) = self.read(engine, content, &path) {
            self.counters.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(module);
        }
        let module = compile()?;
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.write(&module, content, &path) {
            // A cache that cannot be written costs time at the next start, nothing else.
            self.counters.unwritten.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(target: "plugin", path = %path.display(), %error, "compiled code is not cached");
        }
        Ok(module)
    }

    /// Named after content, and after everything of the engine that compiled code depends on:
    /// version, flags, target, processor.
    fn path(&self, engine: &Engine, content: &ContentHash) -> PathBuf {
        let mut hash = Sha256::new();
        hash.update(MAGIC);
        hash.update(content);
        let mut compatible = HashInto(&mut hash);
        engine.precompile_compatibility_hash().hash(&mut compatible);
        let name: [u8; 32] = hash.finalize().into();
        self.directory.join(crate::hex::encode(&name)).with_extension(SUFFIX)
    }

    fn read(&self, engine: &Engine, content: &ContentHash, path: &Path) -> Option<Module> {
        let bytes = match read_private(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return self.refuse(path, &error.to_string()),
        };
        let Some(artefact) = self.unseal(content, &bytes) else {
            return self.refuse(path, "the seal does not hold");
        };
        match deserialize(engine, artefact) {
            Ok(module) => Some(module),
            Err(error) => self.refuse(path, &super::chain(&error)),
        }
    }

    fn refuse(&self, path: &Path, reason: &str) -> Option<Module> {
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(target: "plugin", path = %path.display(), reason, "compiled code is not believed");
        None
    }

    /// The compiled code of an entry whose seal holds for this content.
    fn unseal<'b>(&self, content: &ContentHash, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let sealed = bytes.strip_prefix(MAGIC)?;
        let (seal, artefact) = sealed.split_at_checked(SEAL_BYTES)?;
        self.mac(content, artefact)?.verify_slice(seal).ok()?;
        Some(artefact)
    }

    fn mac(&self, content: &ContentHash, artefact: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).ok()?;
        mac.update(MAGIC);
        mac.update(content);
        mac.update(artefact);
        Some(mac)
    }

    fn write(&self, module: &Module, content: &ContentHash, path: &Path) -> io::Result<()> {
        let artefact = module.serialize().map_err(|error| io::Error::other(error.to_string()))?;
        let seal = self.mac(content, &artefact).ok_or(io::ErrorKind::InvalidInput)?;
        self.make_room(artefact.len() as u64)?;
        // The name is one process's and thread's own; readers see the whole entry or none.
        let unique = format!("{}.{:?}", std::process::id(), std::thread::current().id());
        let draft = path.with_extension(unique.replace(['(', ')'], ""));
        let result = write_private(&draft, &[MAGIC, &seal.finalize().into_bytes(), &artefact])
            .and_then(|()| fs::rename(&draft, path));
        if result.is_err() {
            let _ = fs::remove_file(&draft);
        }
        result
    }

    /// Drops the oldest entries until so many bytes more fit.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name() != SECRET_FILE {
                let found = entry.metadata()?;
                entries.push((found.mtime(), found.len(), entry.path()));
            }
        }
        entries.sort();
        let mut held: u64 = entries.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in entries {
            if held.saturating_add(bytes) <= self.bytes_max {
                break;
            }
            fs::remove_file(path)?;
            held -= len;
        }
        Ok(())
    }
}

/// Machine code out of an entry's bytes.
#[allow(unsafe_code)]
fn deserialize(engine: &Engine, artefact: &[u8]) -> wasmtime::Result<Module> {
    // SAFETY: `Module::deserialize` executes what it is given, so the bytes must be what
    // `Module::serialize` made. They are: the caller has verified, over exactly this slice in our
    // own memory (it is copied, not mapped, so nobody can change it afterwards), an HMAC-SHA-256
    // with a 256-bit secret that only this user can read, and only `Cache::write` makes such seals,
    // over nothing but what `Module::serialize` returned for the content hash that is sealed too.
    // Compatibility with this engine (version, flags, processor) is checked by wasmtime itself.
    unsafe { Module::deserialize(engine, artefact) }
}

/// The secret in that file; a fresh one where there is none.
fn secret(path: &Path) -> io::Result<[u8; 32]> {
    match read_private(path) {
        Ok(bytes) => match bytes.try_into() {
            Ok(secret) => return Ok(secret),
            // a torn write: entries sealed with it will not be believed, and that is all
            Err(_) => fs::remove_file(path)?,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut secret = [0; 32];
    let mut filled = 0;
    while filled < secret.len() {
        let rest = secret.get_mut(filled..).unwrap_or_default();
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
    }
    match write_private(path, &[&secret]) {
        Ok(()) => Ok(secret),
        // another process was quicker
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read_private(path)?.try_into().map_err(|_| io::ErrorKind::InvalidData.into())
        }
        Err(error) => Err(error),
    }
}

/// Writes a new file that only this user may read, and has it on disk.
fn write_private(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
}

/// Reads a file that is this user's own and nobody else's, and no link.
fn read_private(path: &Path) -> io::Result<Vec<u8>> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    require_private(&found, found.is_file())?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn require_private(found: &fs::Metadata, of_its_kind: bool) -> io::Result<()> {
    let refuse = |reason: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    if !of_its_kind {
        return refuse("it is something else than it should be");
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return refuse("it belongs to another user");
    }
    if found.mode() & 0o077 != 0 {
        return refuse("others may use it: chmod go= mends that");
    }
    Ok(())
}

/// Feeds what is hashed to SHA-256: the standard hashers are neither stable nor wide.
struct HashInto<'h>(&'h mut Sha256);

impl Hasher for HashInto<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

//! The set of plugins: by name, from a directory or from bytes, replaced while they run.
//!
//! Owns which version of which plugin is in force. A version is compiled, held against the ABI,
//! started and tried with its vectors by whoever brings it (the watching thread, or the thread that
//! installs), never by a worker; only then it takes over, between batches. What fails on the way
//! leaves everything as it was, with the reason in the plugin's status. Must never lose the version
//! that runs because of one that does not.

mod archive;
mod bundled;
mod directory;
mod files;
mod force;
mod package;
mod status;
mod vectors;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use flux_types::Problem;
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use crate::plugin::{Plugin, Version};
use crate::sandbox::Sandbox;
use crate::sandbox::cache::Cache;
use crate::sandbox::log::LogGate;
use crate::{Function, Limits, PluginError, hex};
use archive::Archive;
use directory::Directory;
pub use package::Package;
use package::{Files, Manifest, check_id};
use status::refused_status;
pub use status::{CacheStats, Health, PluginStatus, Report};
pub use vectors::{SelfTest, VectorResult};
use watch::Watch;

/// How long [`Plugins::reload`] waits to see whether a file is still being written.
const SETTLE: Duration = Duration::from_millis(100);

/// Where plugins come from and what they may use.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The directory that is watched; `None`: plugins come by [`Plugins::install`] only.
    pub directory: Option<PathBuf>,
    /// Plugins that come with the program, never written to. One is loaded once somebody wants it
    /// ([`Plugins::want`]); a plugin of its name in the watched directory stands in for it.
    pub bundled: Option<PathBuf>,
    /// Where compiled code and earlier versions are kept; `None`: nowhere.
    pub store: Option<PathBuf>,
    /// How often the directory is looked at; zero: only by [`Plugins::reload`].
    pub watch_every: Duration,
    /// What plugins may use.
    pub limits: Limits,
}

impl Options {
    /// No directory, no store.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let watch_every = Duration::from_secs(1);
        Self { directory: None, bundled: None, store: None, watch_every, limits }
    }

    /// Watches a directory, which is made with the first plugin installed if it is not there.
    #[must_use]
    pub fn watching(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Has a directory of plugins that come with the program.
    #[must_use]
    pub fn bundling(mut self, directory: impl Into<PathBuf>) -> Self {
        self.bundled = Some(directory.into());
        self
    }

    /// Keeps compiled code and earlier versions in a directory, which is made if it is not there.
    #[must_use]
    pub fn storing(mut self, store: impl Into<PathBuf>) -> Self {
        self.store = Some(store.into());
        self
    }
}

/// What is known of a plugin beside the plugin itself.
#[derive(Debug, Default)]
struct Notes {
    manifest: Manifest,
    self_test: Option<SelfTest>,
    loaded_ns: Option<i64>,
    /// Why the newest files, or vectors, are not what is in force.
    problems: Vec<Problem>,
}

/// A package that was compiled, inspected, started and tried.
struct Prepared {
    version: Arc<Version>,
    manifest: Manifest,
    self_test: SelfTest,
    log: Arc<LogGate>,
}

struct Entry {
    plugin: Arc<Plugin>,
    notes: Mutex<Notes>,
}

type Entries = HashMap<Arc<str>, Arc<Entry>, RandomState>;

struct Inner {
    sandbox: Arc<Sandbox>,
    entries: ArcSwap<Entries>,
    /// The watched directory. Held by whoever changes the set, for as long as a compilation takes.
    changes: Mutex<Option<Directory>>,
    refusals: Mutex<Refusals>,
    archive: Option<Archive>,
    bundled: Option<PathBuf>,
}

/// What has nothing running in its place, and why. Held for moments only.
#[derive(Default)]
struct Refusals {
    /// What could not be loaded.
    refused: BTreeMap<String, Vec<Problem>>,
    /// Files of no name, or two of one, as of the last look.
    misnamed: BTreeMap<String, Vec<Problem>>,
}

impl Refusals {
    fn all(&self) -> impl Iterator<Item = (&String, &Vec<Problem>)> {
        self.misnamed.iter().chain(&self.refused)
    }
}

/// The set of plugins. Cheap to clone; the watching ends with the last clone.
#[derive(Clone)]
pub struct Plugins {
    inner: Arc<Inner>,
    _watch: Option<Arc<Watch>>,
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugins").field("len", &self.inner.entries.load().len()).finish()
    }
}

impl Plugins {
    /// Opens the set: makes the store if it is missing, loads what is in the watched one, and
    /// begins to watch it. A plugin that cannot be loaded is no error; it is in [`Plugins::list`].
    ///
    /// # Errors
    /// The directories cannot be used, or the compiler cannot be set up.
    pub fn open(options: Options) -> Result<Self, PluginError> {
        let limits = options.limits;
        if let Some(path) = &options.store {
            std::fs::create_dir_all(path)
                .map_err(|source| package::store("making", path, source))?;
        }
        let cache = options.store.as_ref().and_then(|store| open_cache(store, &limits));
        let archive =
            options.store.map(|store| Archive::open(store.join("versions"))).transpose()?;
        let directory = options.directory.map(Directory::new);
        let watched = directory.is_some() && !options.watch_every.is_zero();
        let inner = Arc::new(Inner {
            sandbox: Sandbox::new(limits, cache)?,
            entries: ArcSwap::default(),
            changes: Mutex::new(directory),
            refusals: Mutex::default(),
            archive,
            bundled: options.bundled,
        });
        inner.look(true)?;
        let watch = watched.then(|| Watch::start(&inner, options.watch_every)).transpose()?;
        Ok(Self { inner, _watch: watch.map(Arc::new) })
    }

    /// The plugin of a name. Workers may keep it: it stays the same through reloads, and refuses
    /// leases once the plugin is removed.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Plugin>> {
        self.inner.entries.load().get(id).map(|entry| Arc::clone(&entry.plugin))
    }

    /// Every plugin, by name; also those that cannot be loaded.
    #[must_use]
    pub fn list(&self) -> Vec<PluginStatus> {
        let refused: Vec<_> = {
            let refusals = self.inner.refusals.lock();
            refusals.all().map(|(id, problems)| refused_status(id, problems)).collect()
        };
        let entries = self.inner.entries.load();
        let mut all: Vec<_> = entries.values().map(|entry| self.inner.status(entry)).collect();
        all.extend(refused.into_iter().filter(|status| !entries.contains_key(&*status.id)));
        let known: BTreeSet<String> = all.iter().map(|status| status.id.clone()).collect();
        all.extend(self.inner.available().filter(|status| !known.contains(&status.id)));
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// One plugin.
    ///
    /// # Errors
    /// [`PluginError::Unknown`].
    pub fn status(&self, id: &str) -> Result<PluginStatus, PluginError> {
        if let Some(entry) = self.inner.entries.load().get(id) {
            return Ok(self.inner.status(entry));
        }
        let refusals = self.inner.refusals.lock();
        let found = refusals.all().find(|(known, _)| *known == id);
        found
            .map(|(id, problems)| refused_status(id, problems))
            .or_else(|| self.inner.available().find(|status| status.id == id))
            .ok_or_else(|| unknown(id))
    }

    /// Sees to it that a plugin is loaded if it can be: one that comes with the program and is not
    /// in use yet.
    ///
    /// # Errors
    /// It comes with the program and cannot be loaded. That there is no such plugin is no error: it
    /// may come later.
    pub fn want(&self, id: &str) -> Result<(), PluginError> {
        let _directory = self.inner.changes.lock();
        self.inner.want(id)
    }

    /// Puts a package in force under a name, in place of what runs there; keeps it in the watched
    /// directory and, for [`Plugins::rollback`], what ran before.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub fn install(&self, id: &str, package: &Package) -> Result<PluginStatus, PluginError> {
        let mut directory = self.inner.changes.lock();
        self.inner.install(&mut directory, id, package)
    }

    /// Puts the version before the present one in force again. Twice is there and back.
    ///
    /// # Errors
    /// [`PluginError::NoPrevious`], or why the previous version does not work any more; nothing has
    /// changed then.
    pub fn rollback(&self, id: &str) -> Result<PluginStatus, PluginError> {
        check_id(id)?;
        let mut directory = self.inner.changes.lock();
        let none = || PluginError::NoPrevious { id: id.to_owned() };
        let archive = self.inner.archive.as_ref().ok_or_else(none)?;
        let previous = archive.previous(id, &self.inner.sandbox.limits)?.ok_or_else(none)?;
        self.inner.install(&mut directory, id, &previous)
    }

    /// Removes a plugin and its files from the watched directory. Its last version stays in the
    /// store.
    ///
    /// # Errors
    /// [`PluginError::Unknown`]; a file cannot be removed.
    pub fn remove(&self, id: &str) -> Result<(), PluginError> {
        let mut directory = self.inner.changes.lock();
        let known = self.inner.entries.load().contains_key(id)
            || self.inner.refusals.lock().refused.contains_key(id);
        if !known {
            return Err(unknown(id));
        }
        check_id(id)?;
        if let Some(directory) = &mut *directory {
            for path in Files::of(directory.path(), id).each() {
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(package::store("removing", path, error));
                    }
                    _ => {}
                }
            }
            directory.disown(id);
        }
        self.inner.refusals.lock().refused.remove(id);
        self.inner.unload(id);
        // what came with the program takes its place again
        self.inner.want(id)
    }

    /// Looks at the watched directory now. Tells what changed: the status of each plugin that was
    /// looked at.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn reload(&self) -> Result<Vec<PluginStatus>, PluginError> {
        let mut looked_at = self.inner.look(false)?;
        std::thread::sleep(SETTLE);
        looked_at.extend(self.inner.look(false)?);
        looked_at.sort();
        looked_at.dedup();
        Ok(looked_at.iter().filter_map(|id| self.status(id).ok()).collect())
    }

    /// What a package is, and whether its vectors hold, without putting it in force.
    ///
    /// # Errors
    /// It cannot be loaded, or its vectors are none.
    pub fn check(&self, package: &Package) -> Result<Report, PluginError> {
        let Prepared { version, self_test, .. } = self.inner.prepare("check", package)?;
        let interface = version.interface();
        Ok(Report {
            hash: hex::encode(&version.hash),
            abi: interface.abi.number(),
            functions: interface.functions.iter().map(|function| function.as_str()).collect(),
            description: version.description.clone(),
            self_test,
        })
    }

    /// Calls a function of a plugin with an input and gives its output as it is.
    ///
    /// # Errors
    /// There is no such plugin or function; the call failed.
    pub fn call(
        &self,
        id: &str,
        function: Function,
        context: &crate::Context<'_>,
        input: &[u8],
    ) -> Result<Vec<u8>, PluginError> {
        let plugin = self.get(id).ok_or_else(|| unknown(id))?;
        plugin.lease()?.call(function, context, input)
    }

    /// What plugins may use.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.inner.sandbox.limits
    }

    /// What the cache of compiled code did.
    #[must_use]
    pub fn cache_stats(&self) -> CacheStats {
        let Some(cache) = self.inner.sandbox.cache() else { return CacheStats::default() };
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            hits: read(&cache.counters.hits),
            misses: read(&cache.counters.misses),
            refused: read(&cache.counters.refused),
            unwritten: read(&cache.counters.unwritten),
        }
    }
}

/// A cache that cannot be used costs compiling at every start: no reason not to start.
fn open_cache(store: &std::path::Path, limits: &Limits) -> Option<Cache> {
    match Cache::open(&store.join("cache"), limits.cache_bytes_max) {
        Ok(cache) => Some(cache),
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(target: "plugin", %error, source, "compiled plugins are not cached");
            None
        }
    }
}

fn unknown(id: &str) -> PluginError {
    PluginError::Unknown { id: id.to_owned() }
}

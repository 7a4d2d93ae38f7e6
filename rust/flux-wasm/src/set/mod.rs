//! The set of plugins: by name, from a directory or from bytes, replaced while they run.
//!
//! Owns which version of which plugin is in force. A version is compiled, held against the ABI,
//! started and tried with its vectors by whoever brings it (the watching thread, or the thread that
//! installs), never by a worker; only then it takes over, between batches. What fails on the way
//! leaves everything as it was, with the reason in the plugin's status. Must never lose the version
//! that runs because of one that does not.

mod archive;
mod directory;
mod package;
mod status;
mod vectors;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use flux_types::{Coded, Problem};
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use crate::plugin::{Mode, Plugin, Version};
use crate::sandbox::Sandbox;
use crate::sandbox::cache::Cache;
use crate::sandbox::log::LogGate;
use crate::{BreakerState, Function, Lease, Limits, PluginError, hex};
use archive::Archive;
use directory::{Directory, Look};
pub use package::Package;
use package::{Files, Manifest, check_id};
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

    /// Watches a directory, which is made if it is not there.
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
    /// Held by whoever changes the set.
    changes: Mutex<Changes>,
    archive: Option<Archive>,
    bundled: Option<PathBuf>,
}

#[derive(Default)]
struct Changes {
    directory: Option<Directory>,
    /// What could not be loaded and has nothing running in its place.
    refused: BTreeMap<String, Vec<Problem>>,
    /// Files of no name, or two of one, as of the last look.
    misnamed: BTreeMap<String, Vec<Problem>>,
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
    /// Opens the set: makes what directories are missing, loads what is in the watched one, and
    /// begins to watch it. A plugin that cannot be loaded is no error; it is in [`Plugins::list`].
    ///
    /// # Errors
    /// The directories cannot be used, or the compiler cannot be set up.
    pub fn open(options: Options) -> Result<Self, PluginError> {
        let limits = options.limits;
        for path in options.directory.iter().chain(&options.store) {
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
            changes: Mutex::new(Changes { directory, ..Changes::default() }),
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
            let changes = self.inner.changes.lock();
            let all = changes.misnamed.iter().chain(&changes.refused);
            all.map(|(id, problems)| refused_status(id, problems)).collect()
        };
        let entries = self.inner.entries.load();
        let mut all: Vec<_> = entries.values().map(|entry| self.inner.status(entry)).collect();
        all.extend(refused.into_iter().filter(|status| !entries.contains_key(&*status.id)));
        let known: BTreeSet<String> = all.iter().map(|status| status.id.clone()).collect();
        let bundled = self.inner.bundled_ids().into_iter().filter(|id| !known.contains(id));
        all.extend(bundled.map(|id| blank_status(&id, Health::Available)));
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Sees to it that a plugin is loaded if it can be: one that comes with the program and is not
    /// in use yet.
    ///
    /// # Errors
    /// It comes with the program and cannot be loaded. That there is no such plugin is no error: it
    /// may come later.
    pub fn want(&self, id: &str) -> Result<(), PluginError> {
        let _changes = self.inner.changes.lock();
        self.inner.want(id)
    }

    /// One plugin.
    ///
    /// # Errors
    /// [`PluginError::Unknown`].
    pub fn status(&self, id: &str) -> Result<PluginStatus, PluginError> {
        if let Some(entry) = self.inner.entries.load().get(id) {
            return Ok(self.inner.status(entry));
        }
        let changes = self.inner.changes.lock();
        match changes.misnamed.get(id).or_else(|| changes.refused.get(id)) {
            Some(problems) => Ok(refused_status(id, problems)),
            None if self.inner.bundled_files(id).is_some() => {
                Ok(blank_status(id, Health::Available))
            }
            None => Err(unknown(id)),
        }
    }

    /// Puts a package in force under a name, in place of what runs there; keeps it in the watched
    /// directory and, for [`Plugins::rollback`], what ran before.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub fn install(&self, id: &str, package: &Package) -> Result<PluginStatus, PluginError> {
        let mut changes = self.inner.changes.lock();
        self.inner.install(&mut changes, id, package)
    }

    /// Puts the version before the present one in force again. Twice is there and back.
    ///
    /// # Errors
    /// [`PluginError::NoPrevious`], or why the previous version does not work any more; nothing has
    /// changed then.
    pub fn rollback(&self, id: &str) -> Result<PluginStatus, PluginError> {
        check_id(id)?;
        let mut changes = self.inner.changes.lock();
        let none = || PluginError::NoPrevious { id: id.to_owned() };
        let archive = self.inner.archive.as_ref().ok_or_else(none)?;
        let previous = archive.previous(id, &self.inner.sandbox.limits)?.ok_or_else(none)?;
        self.inner.install(&mut changes, id, &previous)
    }

    /// Removes a plugin and its files from the watched directory. Its last version stays in the
    /// store.
    ///
    /// # Errors
    /// [`PluginError::Unknown`]; a file cannot be removed.
    pub fn remove(&self, id: &str) -> Result<(), PluginError> {
        let mut changes = self.inner.changes.lock();
        let known = self.inner.entries.load().contains_key(id) || changes.refused.contains_key(id);
        if !known {
            return Err(unknown(id));
        }
        check_id(id)?;
        if let Some(directory) = &mut changes.directory {
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
        changes.refused.remove(id);
        self.inner.unload(id);
        Ok(())
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

impl Inner {
    /// Compiles, inspects, starts and tries a package.
    fn prepare(&self, id: &str, package: &Package) -> Result<Prepared, PluginError> {
        let manifest = Manifest::of(package)?;
        let known = self.entries.load().get(id).map(|entry| Arc::clone(&entry.plugin.log));
        let id: Arc<str> = id.into();
        let log =
            known.unwrap_or_else(|| Arc::new(LogGate::new(Arc::clone(&id), &self.sandbox.limits)));
        let version = Version::load(&self.sandbox, &package.wasm, manifest.mode, &log)?;
        // Trying a version must not count against the one in force: it has a plugin of its own.
        let trial = Arc::new(Plugin::new(id, Arc::clone(&self.sandbox), Arc::clone(&log)));
        let self_test = self.try_vectors(&trial, &version, package)?;
        Ok(Prepared { version, manifest, self_test, log })
    }

    fn try_vectors(
        &self,
        trial: &Arc<Plugin>,
        version: &Arc<Version>,
        package: &Package,
    ) -> Result<SelfTest, PluginError> {
        let Some(document) = &package.vectors else { return Ok(SelfTest::default()) };
        let mut lease = Lease::of(trial, Arc::clone(version))?;
        vectors::run(&mut lease, document, &self.sandbox.limits)
    }

    fn install(
        &self,
        changes: &mut Changes,
        id: &str,
        package: &Package,
    ) -> Result<PluginStatus, PluginError> {
        check_id(id)?;
        let prepared = self.accept(id, package)?;
        self.stage(id, package)?;
        if let Some(directory) = &mut changes.directory
            && let Err(error) = package::write(directory.path(), id, package)
        {
            self.withdraw(id);
            return Err(error);
        }
        if let Some(directory) = &mut changes.directory {
            directory.adopt(id);
        }
        if let Err(error) = self.commit(id) {
            // what lies in the directory is not in force: it is looked at again
            if let Some(directory) = &mut changes.directory {
                directory.forget(id);
            }
            return Err(error);
        }
        changes.refused.remove(id);
        Ok(self.status(&self.put_in_force(id, prepared)))
    }

    /// Prepares a package and holds it to its vectors.
    fn accept(&self, id: &str, package: &Package) -> Result<Prepared, PluginError> {
        let entries = self.entries.load();
        let max = self.sandbox.limits.plugins_max;
        if !entries.contains_key(id) && entries.len() >= max {
            return Err(PluginError::TooMany { max });
        }
        let prepared = self.prepare(id, package)?;
        let failed = prepared.self_test.failures();
        if failed.is_empty() {
            Ok(prepared)
        } else {
            let total = prepared.self_test.vectors.len();
            Err(PluginError::SelfTest { failed, total })
        }
    }

    fn put_in_force(&self, id: &str, prepared: Prepared) -> Arc<Entry> {
        let known = self.entries.load().get(id).map(Arc::clone);
        let entry = known.unwrap_or_else(|| self.add(id, prepared.log));
        entry.plugin.swap(Some(prepared.version));
        *entry.notes.lock() = Notes {
            manifest: prepared.manifest,
            self_test: Some(prepared.self_test),
            loaded_ns: Some(now_ns()),
            problems: Vec::new(),
        };
        tracing::info!(target: "plugin", plugin = id, "a version was put in force");
        entry
    }

    fn add(&self, id: &str, log: Arc<LogGate>) -> Arc<Entry> {
        let id: Arc<str> = id.into();
        let plugin = Arc::new(Plugin::new(Arc::clone(&id), Arc::clone(&self.sandbox), log));
        let entry = Arc::new(Entry { plugin, notes: Mutex::default() });
        self.entries.rcu(|entries| {
            let mut entries = Entries::clone(entries);
            entries.insert(Arc::clone(&id), Arc::clone(&entry));
            entries
        });
        entry
    }

    fn unload(&self, id: &str) {
        let entry = self.entries.load().get(id).map(Arc::clone);
        let Some(entry) = entry else { return };
        self.entries.rcu(|entries| {
            let mut entries = Entries::clone(entries);
            entries.remove(id);
            entries
        });
        entry.plugin.swap(None);
        tracing::warn!(target: "plugin", plugin = id, "a plugin was removed");
    }

    // --- what comes with the program ---

    fn want(&self, id: &str) -> Result<(), PluginError> {
        if self.entries.load().contains_key(id) {
            return Ok(());
        }
        let Some(files) = self.bundled_files(id) else { return Ok(()) };
        let package = Package::read(&files, &self.sandbox.limits)?;
        let prepared = self.accept(id, &package)?;
        self.put_in_force(id, prepared);
        Ok(())
    }

    fn bundled_files(&self, id: &str) -> Option<Files> {
        check_id(id).ok()?;
        let files = Files::of(self.bundled.as_ref()?, id);
        files.module.is_file().then_some(files)
    }

    fn bundled_ids(&self) -> Vec<String> {
        let Some(bundled) = &self.bundled else { return Vec::new() };
        let Ok(entries) = std::fs::read_dir(bundled) else { return Vec::new() };
        let id = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_suffix(".wasm").map(ToOwned::to_owned)
        };
        let mut ids: Vec<String> = entries.filter_map(id).collect();
        ids.sort();
        ids
    }

    // --- the archive ---

    fn stage(&self, id: &str, package: &Package) -> Result<(), PluginError> {
        self.archive.as_ref().map_or(Ok(()), |archive| archive.stage(id, package))
    }

    fn withdraw(&self, id: &str) {
        if let Some(archive) = &self.archive {
            archive.withdraw(id);
        }
    }

    fn commit(&self, id: &str) -> Result<(), PluginError> {
        self.archive.as_ref().map_or(Ok(()), |archive| archive.commit(id))
    }

    // --- the directory ---

    /// Looks at the watched directory and does what is to be done. The ids it looked at.
    fn look(&self, at_start: bool) -> Result<Vec<String>, PluginError> {
        let mut changes = self.changes.lock();
        let Some(directory) = &mut changes.directory else { return Ok(Vec::new()) };
        let Look { changed, gone, problems, .. } = directory.look(at_start)?;
        let mut looked_at: Vec<String> = gone.clone();
        for id in gone {
            changes.refused.remove(&id);
            self.unload(&id);
            // what came with the program takes its place again
            if let Err(error) = self.want(&id) {
                tracing::warn!(target: "plugin", plugin = id, %error, "it cannot be loaded");
            }
        }
        changes.misnamed.clear();
        for (id, error) in problems {
            if let Some(problems) = self.note_problem(&id, &error) {
                changes.misnamed.insert(id.clone(), problems);
            }
            looked_at.push(id);
        }
        for (id, files) in changed {
            self.load_files(&mut changes, &id, &files, at_start);
            looked_at.push(id);
        }
        Ok(looked_at)
    }

    /// Loads what lies in the directory under an id; where that fails, what ran before goes on, or,
    /// at the start, what ran last.
    fn load_files(&self, changes: &mut Changes, id: &str, files: &Files, at_start: bool) {
        let limits = &self.sandbox.limits;
        let package = Package::read(files, limits);
        let unchanged = changes.directory.as_ref().is_none_or(|dir| dir.is_unchanged(id, files));
        if !unchanged {
            // it was being written after all: the next look sees it
            if let Some(directory) = &mut changes.directory {
                directory.forget(id);
            }
            return;
        }
        let loaded = package.and_then(|package| self.replace(id, &package, at_start));
        let Err(error) = loaded else {
            changes.refused.remove(id);
            return;
        };
        if matches!(error, PluginError::Store { .. })
            && let Some(directory) = &mut changes.directory
        {
            // the disk's doing, not the plugin's: tried again with the next look
            directory.forget(id);
        }
        if at_start && !self.entries.load().contains_key(id) {
            self.fall_back(id);
        }
        if let Some(problems) = self.note_problem(id, &error) {
            changes.refused.insert(id.to_owned(), problems);
        }
    }

    /// Puts a package from the directory in force, unless it already is.
    fn replace(&self, id: &str, package: &Package, at_start: bool) -> Result<(), PluginError> {
        let running = self.entries.load().get(id).map(Arc::clone);
        let prepared = self.accept(id, package)?;
        if let Some(entry) = running
            && entry.plugin.runs(&prepared.version)
        {
            let mut notes = entry.notes.lock();
            notes.manifest = prepared.manifest;
            notes.self_test = Some(prepared.self_test);
            notes.problems.clear();
            return Ok(());
        }
        if !(at_start && self.is_archived(id, package)) {
            self.stage(id, package)?;
            self.commit(id)?;
        }
        self.put_in_force(id, prepared);
        Ok(())
    }

    fn is_archived(&self, id: &str, package: &Package) -> bool {
        let limits = &self.sandbox.limits;
        let current = self.archive.as_ref().and_then(|archive| archive.current(id, limits).ok());
        current.flatten().is_some_and(|current| current == *package)
    }

    /// Puts in force what ran last before the restart.
    fn fall_back(&self, id: &str) {
        let limits = &self.sandbox.limits;
        let current = self.archive.as_ref().and_then(|archive| archive.current(id, limits).ok());
        let Some(package) = current.flatten() else { return };
        match self.accept(id, &package) {
            Ok(prepared) => {
                self.put_in_force(id, prepared);
            }
            Err(error) => {
                tracing::warn!(target: "plugin", plugin = id, %error, "the last version does not load");
            }
        }
    }

    /// Notes a problem with the plugin that runs under that id; gives it back where none does.
    fn note_problem(&self, id: &str, error: &PluginError) -> Option<Vec<Problem>> {
        let mut problems = error.to_problems();
        if let Some(source) = std::error::Error::source(error)
            && let Some(problem) = problems.first_mut()
        {
            problem.message = format!("{}: {source}", problem.message);
        }
        let entries = self.entries.load();
        let Some(entry) = entries.get(id) else { return Some(problems) };
        let mut notes = entry.notes.lock();
        if notes.problems != problems {
            let code = error.code();
            tracing::warn!(target: "plugin", plugin = id, %error, code, "new files are not put in force");
            notes.problems = problems;
        }
        None
    }

    // --- status ---

    fn status(&self, entry: &Entry) -> PluginStatus {
        let plugin = &entry.plugin;
        let version = plugin.version.load();
        let version = version.as_ref();
        let notes = entry.notes.lock();
        let breaker = plugin.breaker();
        let description = version.map_or(serde_json::Value::Null, |v| v.description.clone());
        let described =
            |key: &str| description.get(key).and_then(|text| text.as_str()).map(ToOwned::to_owned);
        let manifest = &notes.manifest;
        let log = &plugin.log;
        let (lines, left_out) = (&log.lines, &log.suppressed);
        PluginStatus {
            id: plugin.id().to_string(),
            health: if breaker == BreakerState::Closed {
                Health::Running
            } else {
                Health::SetAside
            },
            problems: notes.problems.clone(),
            hash: version.map(|version| hex::encode(&version.hash)),
            abi: version.map(|version| version.interface().abi.number()),
            functions: version.map_or(Vec::new(), |version| {
                version.interface().functions.iter().map(|function| function.as_str()).collect()
            }),
            mode: version.map_or(Mode::Reuse, |version| version.mode),
            title: manifest.title.clone().or_else(|| described("name")),
            about: manifest.about.clone().or_else(|| described("about")),
            version: manifest.version.clone().or_else(|| described("version")),
            license: manifest.license.clone().or_else(|| described("license")),
            loaded_ns: notes.loaded_ns,
            vectors: notes.self_test.as_ref().map(|test| {
                let total = test.vectors.len();
                (total, total - test.failures().len())
            }),
            has_previous: self.archive.as_ref().is_some_and(|a| a.has_previous(plugin.id())),
            pool: plugin.pool_stats(),
            idle_bytes: version.map_or(0, |version| version.pool.idle_bytes()),
            calls: plugin.stats(),
            breaker,
            trips: plugin.trips(),
            log_lines: [lines, left_out, &log.malformed].map(|n| n.load(Ordering::Relaxed)),
            description,
        }
    }
}

fn refused_status(id: &str, problems: &[Problem]) -> PluginStatus {
    PluginStatus { problems: problems.to_vec(), ..blank_status(id, Health::Refused) }
}

fn blank_status(id: &str, health: Health) -> PluginStatus {
    PluginStatus {
        id: id.to_owned(),
        health,
        problems: Vec::new(),
        hash: None,
        abi: None,
        functions: Vec::new(),
        mode: Mode::Reuse,
        title: None,
        about: None,
        version: None,
        license: None,
        description: serde_json::Value::Null,
        loaded_ns: None,
        vectors: None,
        has_previous: false,
        pool: crate::PoolStats::default(),
        idle_bytes: 0,
        calls: crate::CallStats::default(),
        breaker: BreakerState::Closed,
        trips: 0,
        log_lines: [0; 3],
    }
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

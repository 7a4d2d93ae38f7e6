//! Putting versions in force: from bytes to a plugin that is called.
//!
//! Owns the way a package takes (compiled, inspected, started, tried, kept) and what is undone where
//! it ends on the way.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::directory::Directory;
use super::package::{self, Manifest, Package, check_id};
use super::vectors::{self, SelfTest};
use super::{Entries, Entry, Inner, Notes, Prepared};
use crate::plugin::{Plugin, Version};
use crate::sandbox::log::LogGate;
use crate::{Lease, PluginError, PluginStatus};

impl Inner {
    /// Compiles, inspects, starts and tries a package.
    pub(super) fn prepare(&self, id: &str, package: &Package) -> Result<Prepared, PluginError> {
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

    pub(super) fn try_vectors(
        &self,
        trial: &Arc<Plugin>,
        version: &Arc<Version>,
        package: &Package,
    ) -> Result<SelfTest, PluginError> {
        let Some(document) = &package.vectors else { return Ok(SelfTest::default()) };
        let mut lease = Lease::of(trial, Arc::clone(version))?;
        vectors::run(&mut lease, document, &self.sandbox.limits)
    }

    pub(super) fn install(
        &self,
        directory: &mut Option<Directory>,
        id: &str,
        package: &Package,
    ) -> Result<PluginStatus, PluginError> {
        check_id(id)?;
        let prepared = self.accept(id, package)?;
        self.stage(id, package)?;
        if let Some(directory) = &mut *directory {
            if let Err(error) = package::write(directory.path(), id, package) {
                self.withdraw(id);
                return Err(error);
            }
            directory.adopt(id);
        }
        if let Err(error) = self.commit(id) {
            // what lies in the directory is not in force: it is looked at again
            if let Some(directory) = &mut *directory {
                directory.forget(id);
            }
            return Err(error);
        }
        self.refusals.lock().refused.remove(id);
        Ok(self.status(&self.put_in_force(id, prepared)))
    }

    /// Prepares a package and holds it to its vectors.
    pub(super) fn accept(&self, id: &str, package: &Package) -> Result<Prepared, PluginError> {
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

    pub(super) fn put_in_force(&self, id: &str, prepared: Prepared) -> Arc<Entry> {
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

    pub(super) fn add(&self, id: &str, log: Arc<LogGate>) -> Arc<Entry> {
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

    pub(super) fn unload(&self, id: &str) {
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

    pub(super) fn stage(&self, id: &str, package: &Package) -> Result<(), PluginError> {
        self.archive.as_ref().map_or(Ok(()), |archive| archive.stage(id, package))
    }

    pub(super) fn withdraw(&self, id: &str) {
        if let Some(archive) = &self.archive {
            archive.withdraw(id);
        }
    }

    pub(super) fn commit(&self, id: &str) -> Result<(), PluginError> {
        self.archive.as_ref().map_or(Ok(()), |archive| archive.commit(id))
    }
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

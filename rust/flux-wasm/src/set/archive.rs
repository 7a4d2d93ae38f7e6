//! Versions that worked, on disk.
//!
//! Owns `<store>/versions/<id>/`: `current` is the version put in force last, `previous` the one
//! before it, `next` one on its way. A rename at a time, so that a crash between two of them is
//! mended when the directory is opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::package::{self, Files, Package, store};
use crate::{Limits, PluginError};

const CURRENT: &str = "current";
const PREVIOUS: &str = "previous";
const NEXT: &str = "next";
/// What was the previous version, while a change is under way.
const OLD: &str = "old";

/// What all files of a version are called before their suffix.
const STEM: &str = "plugin";

/// The versions of all plugins.
#[derive(Debug)]
pub(super) struct Archive {
    root: PathBuf,
}

impl Archive {
    pub(super) fn open(root: PathBuf) -> Result<Self, PluginError> {
        fs::create_dir_all(&root).map_err(|source| store("making", &root, source))?;
        let archive = Self { root };
        let entries = fs::read_dir(&archive.root);
        let entries = entries.map_err(|source| store("reading", &archive.root, source))?;
        for entry in entries.filter_map(Result::ok) {
            archive.mend(&entry.path())?;
        }
        Ok(archive)
    }

    /// Ends a change that a crash cut short. `next` is whole once `current` has been moved away.
    fn mend(&self, plugin: &Path) -> Result<(), PluginError> {
        let [current, previous, next, old] =
            [CURRENT, PREVIOUS, NEXT, OLD].map(|name| plugin.join(name));
        if old.exists() {
            if previous.exists() {
                remove(&old)?;
            } else {
                fs::rename(&old, &previous).map_err(|e| store("mending", &previous, e))?;
            }
        }
        if !next.exists() {
            return Ok(());
        }
        if current.exists() || !previous.exists() {
            return remove(&next);
        }
        fs::rename(&next, &current).map_err(|source| store("mending", &current, source))
    }

    /// Writes a version down beside those in use. Nothing changes before [`Archive::commit`].
    pub(super) fn stage(&self, id: &str, package: &Package) -> Result<(), PluginError> {
        let next = self.root.join(id).join(NEXT);
        remove(&next)?;
        fs::create_dir_all(&next).map_err(|source| store("making", &next, source))?;
        let written = package::write(&next, STEM, package);
        if written.is_err() {
            let _ = remove(&next);
        }
        written
    }

    /// Makes the staged version the current one, and that the previous one.
    pub(super) fn commit(&self, id: &str) -> Result<(), PluginError> {
        let plugin = self.root.join(id);
        let [current, previous, next, old] =
            [CURRENT, PREVIOUS, NEXT, OLD].map(|name| plugin.join(name));
        if current.exists() {
            rename_if_there(&previous, &old)?;
            rename_if_there(&current, &previous)?;
        }
        rename_if_there(&next, &current)?;
        package::sync_directory(&plugin)?;
        remove(&old)
    }

    /// Drops a staged version.
    pub(super) fn withdraw(&self, id: &str) {
        let _ = remove(&self.root.join(id).join(NEXT));
    }

    pub(super) fn current(
        &self,
        id: &str,
        limits: &Limits,
    ) -> Result<Option<Package>, PluginError> {
        self.read(id, CURRENT, limits)
    }

    pub(super) fn previous(
        &self,
        id: &str,
        limits: &Limits,
    ) -> Result<Option<Package>, PluginError> {
        self.read(id, PREVIOUS, limits)
    }

    pub(super) fn has_previous(&self, id: &str) -> bool {
        self.root.join(id).join(PREVIOUS).exists()
    }

    fn read(&self, id: &str, which: &str, limits: &Limits) -> Result<Option<Package>, PluginError> {
        let files = Files::of(&self.root.join(id).join(which), STEM);
        if !files.module.exists() {
            return Ok(None);
        }
        Package::read(&files, limits).map(Some)
    }
}

fn rename_if_there(from: &Path, to: &Path) -> Result<(), PluginError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(store("moving", from, error)),
        _ => Ok(()),
    }
}

fn remove(directory: &Path) -> Result<(), PluginError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(store("removing", directory, error))
        }
        _ => Ok(()),
    }
}

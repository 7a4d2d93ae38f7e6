//! What is done about the watched directory.
//!
//! Owns the decision what a new, changed, broken or vanished file means for the plugin that runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use flux_types::{Coded, Problem};

use super::Inner;
use super::directory::{Directory, Look};
use super::package::{Files, Package};
use crate::PluginError;

impl Inner {
    /// Looks at the watched directory and does what is to be done. The ids it looked at.
    pub(super) fn look(&self, at_start: bool) -> Result<Vec<String>, PluginError> {
        let mut directory = self.changes.lock();
        let Some(directory) = &mut *directory else { return Ok(Vec::new()) };
        let Look { changed, gone, problems, .. } = directory.look(at_start)?;
        for id in &gone {
            self.refusals.lock().refused.remove(id);
            self.unload(id);
            // what came with the program takes its place again
            if let Err(error) = self.want(id) {
                tracing::warn!(target: "plugin", plugin = id, %error, "it cannot be loaded");
            }
        }
        let mut misnamed = BTreeMap::new();
        for (id, error) in problems {
            if let Some(problems) = self.note_problem(&id, &error) {
                misnamed.insert(id, problems);
            }
        }
        let mut looked_at: Vec<String> = gone.into_iter().chain(misnamed.keys().cloned()).collect();
        self.refusals.lock().misnamed = misnamed;
        for (id, files) in changed {
            self.load_files(directory, &id, &files, at_start);
            looked_at.push(id);
        }
        Ok(looked_at)
    }

    /// Loads what lies in the directory under an id; where that fails, what ran before goes on, or,
    /// at the start, what ran last.
    pub(super) fn load_files(
        &self,
        directory: &mut Directory,
        id: &str,
        files: &Files,
        at_start: bool,
    ) {
        let package = Package::read(files, &self.sandbox.limits);
        if !directory.is_unchanged(id, files) {
            // it was being written after all: the next look sees it
            directory.forget(id);
            return;
        }
        let loaded = package.and_then(|package| self.replace(id, &package, at_start));
        let Err(error) = loaded else {
            self.refusals.lock().refused.remove(id);
            return;
        };
        if matches!(error, PluginError::Store { .. }) {
            // the disk's doing, not the plugin's: tried again with the next look
            directory.forget(id);
        }
        if at_start && !self.entries.load().contains_key(id) {
            self.fall_back(id);
        }
        if let Some(problems) = self.note_problem(id, &error) {
            self.refusals.lock().refused.insert(id.to_owned(), problems);
        }
    }

    /// Puts a package from the directory in force, unless it already is.
    pub(super) fn replace(
        &self,
        id: &str,
        package: &Package,
        at_start: bool,
    ) -> Result<(), PluginError> {
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

    pub(super) fn is_archived(&self, id: &str, package: &Package) -> bool {
        let limits = &self.sandbox.limits;
        let current = self.archive.as_ref().and_then(|archive| archive.current(id, limits).ok());
        current.flatten().is_some_and(|current| current == *package)
    }

    /// Puts in force what ran last before the restart.
    pub(super) fn fall_back(&self, id: &str) {
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
    pub(super) fn note_problem(&self, id: &str, error: &PluginError) -> Option<Vec<Problem>> {
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
}

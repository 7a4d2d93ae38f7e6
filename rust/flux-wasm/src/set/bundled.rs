//! Plugins that come with the program.
//!
//! Owns which there are, and loads one once somebody wants it: most sites use few of them, and each
//! takes memory. Must never write where they lie.

use super::Inner;
use super::package::{Files, Package, check_id};
use super::status::blank_status;
use crate::{Health, PluginError, PluginStatus};

const ENDING: &str = ".wasm";

impl Inner {
    /// Loads one that is not loaded; nothing where there is none of that id.
    pub(super) fn want(&self, id: &str) -> Result<(), PluginError> {
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

    /// All of them, as people see those that nobody uses.
    pub(super) fn available(&self) -> impl Iterator<Item = PluginStatus> {
        let listed = self.bundled.as_ref().and_then(|bundled| std::fs::read_dir(bundled).ok());
        let status = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            Some(blank_status(name.strip_suffix(ENDING)?, Health::Available))
        };
        listed.into_iter().flatten().filter_map(status)
    }
}

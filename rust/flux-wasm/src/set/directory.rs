//! The watched directory.
//!
//! Owns what was last seen in it, and decides which plugins to look at again. A file counts as
//! written once it is the same in two looks in a row; one that is gone, only after a few. Must never
//! load anything, nor change a file it did not make.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::package::{Files, check_id};
use crate::PluginError;

/// Looks in a row without its file after which a plugin is gone: copying over a file may take it
/// away for a moment.
const GONE_AFTER_LOOKS: u32 = 3;

/// Length, time of change in nanoseconds, and inode of a file.
type Stamp = (u64, i128, u64);

/// The stamps of a plugin's files.
type Stamps = [Option<Stamp>; 3];

#[derive(Debug, Default)]
struct Seen {
    last: Stamps,
    /// What was handed out, or put there by ourselves.
    handled: Option<Stamps>,
    looks_without: u32,
}

/// What there is to do about a directory.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Plugins whose files are new or changed, and no longer being written.
    pub(super) changed: Vec<(String, Files)>,
    /// Plugins whose files are gone.
    pub(super) gone: Vec<String>,
    /// Plugins whose files are still being written, or may be.
    pub(super) unsettled: usize,
    /// What cannot be used, and why: by the id or name of the file.
    pub(super) problems: BTreeMap<String, PluginError>,
}

/// A directory and what was seen in it.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    seen: HashMap<String, Seen>,
}

impl Directory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, seen: HashMap::new() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at it. With `settled`, files are taken to be written already.
    ///
    /// # Errors
    /// It cannot be read. That says nothing about the plugins in it.
    pub(super) fn look(&mut self, settled: bool) -> Result<Look, PluginError> {
        let mut look = Look::default();
        let modules = self.modules(&mut look.problems)?;
        for (id, files) in &modules {
            let stamps = stamps(files);
            let seen = self.seen.entry(id.clone()).or_default();
            seen.looks_without = 0;
            let same = std::mem::replace(&mut seen.last, stamps) == stamps;
            if look.problems.contains_key(id) {
                // looked at again once that is mended
                seen.handled = None;
                continue;
            }
            if seen.handled == Some(stamps) {
                continue;
            }
            if settled || same {
                seen.handled = Some(stamps);
                look.changed.push((id.clone(), files.clone()));
            } else {
                look.unsettled += 1;
            }
        }
        for (id, seen) in &mut self.seen {
            if !modules.contains_key(id) {
                seen.looks_without += 1;
                if seen.looks_without >= GONE_AFTER_LOOKS {
                    look.gone.push(id.clone());
                }
            }
        }
        for id in &look.gone {
            self.seen.remove(id);
        }
        Ok(look)
    }

    /// Whether the files are still those that were handed out: they may have been changed while
    /// they were read.
    pub(super) fn is_unchanged(&self, id: &str, files: &Files) -> bool {
        let handled = self.seen.get(id).and_then(|seen| seen.handled);
        handled.is_none_or(|handled| handled == stamps(files))
    }

    /// Has the files looked at again next time.
    pub(super) fn forget(&mut self, id: &str) {
        if let Some(seen) = self.seen.get_mut(id) {
            seen.handled = None;
        }
    }

    /// Takes files that we have just written as seen.
    pub(super) fn adopt(&mut self, id: &str) {
        let stamps = stamps(&Files::of(&self.path, id));
        let seen = self.seen.entry(id.to_owned()).or_default();
        *seen = Seen { last: stamps, handled: Some(stamps), looks_without: 0 };
    }

    /// Takes files that we have just removed as never seen.
    pub(super) fn disown(&mut self, id: &str) {
        self.seen.remove(id);
    }

    /// The modules in the directory by id.
    fn modules(
        &self,
        problems: &mut BTreeMap<String, PluginError>,
    ) -> Result<BTreeMap<String, Files>, PluginError> {
        let failed =
            |source| PluginError::Store { action: "reading", path: self.path.clone(), source };
        let mut found: BTreeMap<String, Files> = BTreeMap::new();
        let mut entries: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            entries.push(entry.map_err(failed)?.path());
        }
        entries.sort();
        for path in entries {
            let Some((id, suffix)) = id_of(&path) else { continue };
            if let Err(error) = check_id(&id) {
                problems.insert(suffix_name(&path), error);
                continue;
            }
            let mut files = Files::of(&self.path, &id);
            if suffix != "wasm" {
                files.module = path.clone();
            }
            if let Some(other) = found.get(&id) {
                let (first, second) = (suffix_name(&other.module), suffix_name(&path));
                problems.insert(id.clone(), PluginError::Duplicate { id, first, second });
            } else {
                found.insert(id, files);
            }
        }
        Ok(found)
    }
}

/// Id and suffix of a module's file; hidden files are drafts.
fn id_of(path: &Path) -> Option<(String, String)> {
    let name = path.file_name()?.to_str()?;
    let (id, suffix) = name.rsplit_once('.')?;
    let is_module = suffix.eq_ignore_ascii_case("wasm") && !name.starts_with('.');
    is_module.then(|| (id.to_owned(), suffix.to_owned()))
}

fn suffix_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn stamps(files: &Files) -> Stamps {
    files.each().map(|path| {
        let found = fs::metadata(path).ok()?;
        let changed = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
        Some((found.len(), changed, found.ino()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(look: &Look) -> Vec<&str> {
        look.changed.iter().map(|(id, _)| id.as_str()).collect()
    }

    #[test]
    fn a_file_counts_once_it_is_the_same_in_two_looks() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a.wasm");
        let mut directory = Directory::new(place.path().to_owned());
        fs::write(&file, b"1").unwrap();
        assert_eq!(directory.look(false).unwrap().unsettled, 1);
        fs::write(&file, b"12").unwrap();
        assert_eq!(directory.look(false).unwrap().unsettled, 1);
        assert_eq!(ids(&directory.look(false).unwrap()), ["a"]);
        assert!(directory.look(false).unwrap().changed.is_empty());
        fs::write(place.path().join("a.vectors.json"), b"[]").unwrap();
        assert_eq!(directory.look(false).unwrap().unsettled, 1);
        assert_eq!(ids(&directory.look(false).unwrap()), ["a"]);
    }

    #[test]
    fn a_file_is_gone_only_after_three_looks() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a.wasm");
        fs::write(&file, b"1").unwrap();
        let mut directory = Directory::new(place.path().to_owned());
        directory.look(true).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(directory.look(true).unwrap().gone.is_empty());
        assert!(directory.look(true).unwrap().gone.is_empty());
        assert_eq!(directory.look(true).unwrap().gone, ["a"]);
        assert!(directory.look(true).unwrap().gone.is_empty());
    }

    #[test]
    fn two_files_of_one_id_and_names_that_name_nothing_are_problems() {
        let place = tempfile::tempdir().unwrap();
        for name in ["a.wasm", "a.WASM", "b c.wasm", ".d.wasm", "e.txt", "f.wasm"] {
            fs::write(place.path().join(name), b"1").unwrap();
        }
        let mut directory = Directory::new(place.path().to_owned());
        let look = directory.look(true).unwrap();
        assert_eq!(ids(&look), ["f"]);
        let problems: Vec<_> = look.problems.iter().map(|(id, e)| format!("{id}: {e}")).collect();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("a.WASM and a.wasm"), "{problems:?}");
        assert!(problems[1].contains("\"b c\" cannot name a plugin"), "{problems:?}");
    }

    #[test]
    fn a_directory_that_cannot_be_read_says_nothing_about_its_plugins() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("plugins");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a.wasm"), b"1").unwrap();
        let mut directory = Directory::new(path.clone());
        directory.look(true).unwrap();
        fs::rename(&path, place.path().join("away")).unwrap();
        for _ in 0..10 {
            assert!(directory.look(true).is_err());
        }
        fs::rename(place.path().join("away"), &path).unwrap();
        assert!(directory.look(true).unwrap().gone.is_empty());
    }
}

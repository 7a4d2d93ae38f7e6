//! What a plugin comes as: a module, and what may lie beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Limits, Mode, PluginError};

/// Bytes of a file of vectors or metadata.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// A module with its vectors and metadata, as bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// The module, `<id>.wasm`.
    pub wasm: Vec<u8>,
    /// What it is tested with, `<id>.vectors.json`: see `docs/PLUGIN_DEV.md`.
    pub vectors: Option<Vec<u8>>,
    /// What people are told about it, `<id>.toml`.
    pub manifest: Option<Vec<u8>>,
}

impl Package {
    /// A module alone.
    #[must_use]
    pub fn new(wasm: Vec<u8>) -> Self {
        Self { wasm, vectors: None, manifest: None }
    }

    /// With vectors to test it with.
    #[must_use]
    pub fn with_vectors(mut self, vectors: Vec<u8>) -> Self {
        self.vectors = Some(vectors);
        self
    }

    /// Its parts, each with what its file is called behind the id.
    pub(super) fn parts(&self) -> [(&'static str, Option<&[u8]>); 3] {
        [
            // the module last: it is what makes a plugin
            (VECTORS, self.vectors.as_deref()),
            (MANIFEST, self.manifest.as_deref()),
            (MODULE, Some(&self.wasm)),
        ]
    }

    /// Reads the files of an id.
    pub(super) fn read(files: &Files, limits: &Limits) -> Result<Self, PluginError> {
        let module_max = limits.module_bytes_max as u64;
        let wasm = read_bounded(&files.module, module_max)?.ok_or_else(|| PluginError::Store {
            action: "reading",
            path: files.module.clone(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        let vectors = read_bounded(&files.vectors, DOCUMENT_BYTES_MAX)?;
        let manifest = read_bounded(&files.manifest, DOCUMENT_BYTES_MAX)?;
        Ok(Self { wasm, vectors, manifest })
    }
}

const MODULE: &str = "wasm";
const VECTORS: &str = "vectors.json";
const MANIFEST: &str = "toml";

/// Where the parts of a package lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) module: PathBuf,
    pub(super) vectors: PathBuf,
    pub(super) manifest: PathBuf,
}

impl Files {
    /// Of that id in that directory.
    pub(super) fn of(directory: &Path, id: &str) -> Self {
        let path = |suffix| directory.join(format!("{id}.{suffix}"));
        Self { module: path(MODULE), vectors: path(VECTORS), manifest: path(MANIFEST) }
    }

    pub(super) fn each(&self) -> [&Path; 3] {
        [&self.module, &self.vectors, &self.manifest]
    }
}

/// A file's bytes; `None` where there is none.
fn read_bounded(path: &Path, max: u64) -> Result<Option<Vec<u8>>, PluginError> {
    let failed = |source| PluginError::Store { action: "reading", path: path.to_owned(), source };
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if found.len() > max {
        let clamp = |len| usize::try_from(len).unwrap_or(usize::MAX);
        return Err(PluginError::TooLarge { bytes: clamp(found.len()), max: clamp(max) });
    }
    fs::read(path).map(Some).map_err(failed)
}

/// Writes a package under an id into a directory, so that whoever looks sees each file whole or not
/// at all, and the module last. What can fail for want of room is done before anything is replaced.
pub(super) fn write(directory: &Path, id: &str, package: &Package) -> Result<(), PluginError> {
    let mut drafts: Vec<(PathBuf, PathBuf)> = Vec::new();
    let result = write_drafts(directory, id, package, &mut drafts).and_then(|()| {
        for (draft, path) in &drafts {
            fs::rename(draft, path).map_err(|source| store("replacing", path, source))?;
        }
        sync_directory(directory)
    });
    if result.is_err() {
        for (draft, _) in &drafts {
            let _ = fs::remove_file(draft);
        }
        return result;
    }
    // a part that this version does not have must not be taken for its own
    for (suffix, bytes) in package.parts() {
        let path = directory.join(format!("{id}.{suffix}"));
        if bytes.is_none() && path.exists() {
            fs::remove_file(&path).map_err(|source| store("removing", &path, source))?;
        }
    }
    Ok(())
}

fn write_drafts(
    directory: &Path,
    id: &str,
    package: &Package,
    drafts: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<(), PluginError> {
    for (suffix, bytes) in package.parts() {
        let Some(bytes) = bytes else { continue };
        let draft = directory.join(format!(".{id}.{suffix}.draft"));
        drafts.push((draft.clone(), directory.join(format!("{id}.{suffix}"))));
        write_synced(&draft, bytes).map_err(|source| store("writing", &draft, source))?;
    }
    Ok(())
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Has the names in a directory on disk.
pub(super) fn sync_directory(directory: &Path) -> Result<(), PluginError> {
    fs::File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(|source| store("syncing", directory, source))
}

pub(super) fn store(action: &'static str, path: &Path, source: io::Error) -> PluginError {
    PluginError::Store { action, path: path.to_owned(), source }
}

/// What `plugin.toml` says that the host cares about. What it says beside that is others' business.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Manifest {
    pub(super) title: Option<String>,
    pub(super) about: Option<String>,
    pub(super) version: Option<String>,
    pub(super) license: Option<String>,
    pub(super) mode: Mode,
}

impl Manifest {
    pub(super) fn of(package: &Package) -> Result<Self, PluginError> {
        let wrong = |message| PluginError::Document { what: "the plugin.toml", message };
        let Some(bytes) = &package.manifest else { return Ok(Self::default()) };
        let text = std::str::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
        toml::from_str(text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))
    }
}

/// Whether a text can name a plugin, and thereby its files.
pub(super) fn check_id(id: &str) -> Result<(), PluginError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let fits = (1..=64).contains(&id.len()) && id.chars().all(allowed) && !id.starts_with('.');
    // `a.vectors.json` must not be two things
    if fits && !id.ends_with(".vectors") {
        Ok(())
    } else {
        Err(PluginError::Id { id: id.chars().take(80).collect() })
    }
}

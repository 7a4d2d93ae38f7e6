//! The configuration in force as a file, so that the engine starts without a database.
//!
//! Owns `current.json` and `previous.json` of one directory. The configuration's truth is in SQL;
//! this is the engine's copy. It holds digests of secrets, so only its owner may read it. Writing
//! it takes time in proportion to the whole configuration: not for the thread that applies deltas.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flux_types::Problem;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::document::Document;
use crate::error::FileError;
use crate::snapshot::Snapshot;

/// Of the file, not of the document in it.
const FORMAT: u32 = 1;

/// Where the configuration in force is kept.
#[derive(Debug, Clone)]
pub struct ConfigurationFile {
    directory: PathBuf,
}

/// What stands in the file: the document, and after it the SHA-256 of its bytes.
#[derive(Deserialize)]
struct Envelope<'f> {
    format: u32,
    #[serde(borrow)]
    document: &'f RawValue,
    sha256: &'f str,
}

impl ConfigurationFile {
    /// The files of that directory, which is made when first needed.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Where the configuration in force is.
    #[must_use]
    pub fn current_path(&self) -> PathBuf {
        self.directory.join("current.json")
    }

    /// Where the one before it is.
    #[must_use]
    pub fn previous_path(&self) -> PathBuf {
        self.directory.join("previous.json")
    }

    /// Replaces the file. After a crash there is the old one or the new one, whole.
    ///
    /// # Errors
    /// When the disk refuses; the file is as it was then.
    pub fn save(&self, snapshot: &Snapshot) -> Result<(), FileError> {
        let (current, temporary) = (self.current_path(), self.directory.join("current.json.new"));
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| FileError::Io { what, path, source }
        };
        fs::create_dir_all(&self.directory).map_err(io("make", &self.directory))?;
        let file = create_private(&temporary).map_err(io("create", &temporary))?;
        write_envelope(file, snapshot).map_err(|error| match error.io_error_kind() {
            Some(_) => io("write", &temporary)(io::Error::from(error)),
            None => FileError::Encode(error),
        })?;
        self.keep_previous().map_err(io("keep", &current))?;
        fs::rename(&temporary, &current).map_err(io("replace", &current))?;
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(io("sync", &self.directory))
    }

    /// Keeps the present file under the previous name, without a moment in which neither is there.
    fn keep_previous(&self) -> io::Result<()> {
        let (current, previous) = (self.current_path(), self.previous_path());
        match fs::remove_file(&previous) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match fs::hard_link(&current, &previous) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // a file system without links: a copy does as well
            Err(_) => fs::copy(&current, &previous).map(drop),
            Ok(()) => Ok(()),
        }
    }

    /// Reads the document in force; `None` when none was ever saved.
    ///
    /// A damaged file is an error even where the previous one is whole: which of them to start
    /// from is not for the machine to decide. [`ConfigurationFile::load_previous`] reads that.
    ///
    /// # Errors
    /// When the disk refuses, the file is damaged or a later version's.
    pub fn load(&self) -> Result<Option<Document>, FileError> {
        read(&self.current_path())
    }

    /// Reads the document that was in force before; `None` when there is none.
    ///
    /// # Errors
    /// As [`ConfigurationFile::load`].
    pub fn load_previous(&self) -> Result<Option<Document>, FileError> {
        read(&self.previous_path())
    }
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let file = options.mode(0o600).open(path)?;
        // one that a crash left behind keeps the mode it had
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        Ok(file)
    }
    #[cfg(not(unix))]
    options.open(path)
}

fn write_envelope(file: File, snapshot: &Snapshot) -> Result<(), serde_json::Error> {
    let mut out = Hashed { out: BufWriter::with_capacity(64 * 1024, file), hash: Sha256::new() };
    let io = serde_json::Error::io;
    write!(out.out, "{{\"format\":{FORMAT},\"document\":").map_err(io)?;
    serde_json::to_writer(&mut out, snapshot)?;
    let Hashed { mut out, hash } = out;
    writeln!(out, ",\"sha256\":\"{}\"}}", hex(&hash.finalize())).map_err(io)?;
    let file = out.into_inner().map_err(|error| io(error.into_error()))?;
    file.sync_all().map_err(io)
}

/// Takes the hash of what passes through.
struct Hashed<W> {
    out: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn read(path: &Path) -> Result<Option<Document>, FileError> {
    let damaged = |what: String| FileError::Damaged { path: path.to_owned(), what };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(FileError::Io { what: "read", path: path.to_owned(), source });
        }
    };
    let envelope: Envelope<'_> =
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if envelope.format != FORMAT {
        let (format, known) = (envelope.format, FORMAT);
        return Err(FileError::Format { path: path.to_owned(), format, known });
    }
    let json = envelope.document.get().as_bytes();
    if hex(&Sha256::digest(json)) != envelope.sha256 {
        return Err(damaged("its checksum is wrong".to_owned()));
    }
    let first = |problems: Vec<Problem>| problems.first().map(ToString::to_string);
    let document = Document::from_json(json)
        .map_err(|problems| damaged(first(problems).unwrap_or_default()))?;
    Ok(Some(document))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! What can fail in this crate.

use std::io;
use std::path::PathBuf;

use flux_types::{Coded, ErrorKind, Generation, Problem};

/// A change of configuration that was not made. The configuration in force is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The delta was made from another generation than the one in force.
    #[error("the change was made from generation {base}, and generation {current} is in force")]
    Conflict {
        /// The delta's base.
        base: Generation,
        /// What is in force.
        current: Generation,
    },
    /// The new generation is not later than the one in force.
    #[error("generation {given} does not come after generation {current}, which is in force")]
    NotLater {
        /// The generation given.
        given: Generation,
        /// What is in force.
        current: Generation,
    },
    /// What it leads to does not hold.
    #[error("the configuration has {} problem(s); the first: {}", .0.len(), first(.0))]
    Invalid(Vec<Problem>),
}

fn first(problems: &[Problem]) -> String {
    problems.first().map(ToString::to_string).unwrap_or_default()
}

impl ApplyError {
    /// Everything that is wrong with it, where that is known.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid(problems) => problems,
            _ => &[],
        }
    }
}

impl Coded for ApplyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "config.conflict",
            Self::NotLater { .. } => "config.not_later",
            Self::Invalid(_) => "config.invalid",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict { .. } | Self::NotLater { .. } => ErrorKind::Conflict,
            Self::Invalid(_) => ErrorKind::Invalid,
        }
    }
}

/// The configuration's file could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The disk refused.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file was written by a later version.
    #[error("{} has format {format}, and this version reads format {known}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// Ours.
        known: u32,
    },
    /// The document could not be put into JSON.
    #[error("cannot write the configuration as JSON")]
    Encode(#[source] serde_json::Error),
}

impl Coded for FileError {
    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "config.file.io",
            Self::Damaged { .. } => "config.file.damaged",
            Self::Format { .. } => "config.file.format",
            Self::Encode(_) => "config.file.encode",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } => ErrorKind::Unavailable,
            Self::Damaged { .. } | Self::Encode(_) => ErrorKind::Internal,
            Self::Format { .. } => ErrorKind::Invalid,
        }
    }
}

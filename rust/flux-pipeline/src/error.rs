//! Why the pipeline could not start.

use flux_log::LogError;
use flux_types::{Coded, ErrorKind};

use crate::views::SnapshotError;

/// The pipeline could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Log(#[from] LogError),
    /// The views' snapshot cannot be read.
    #[error("the views cannot be restored")]
    Snapshot(#[from] SnapshotError),
    /// A setting is out of its range.
    #[error("{name}: {problem}")]
    Settings {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A thread could not be started.
    #[error("the thread {name} could not be started")]
    Thread {
        /// Its name.
        name: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

impl Coded for PipelineError {
    fn code(&self) -> &'static str {
        match self {
            Self::Log(error) => error.code(),
            Self::Snapshot(_) => "pipeline.snapshot",
            Self::Settings { .. } => "pipeline.settings",
            Self::Thread { .. } => "pipeline.thread",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Log(error) => error.kind(),
            Self::Snapshot(_) => ErrorKind::Internal,
            Self::Settings { .. } => ErrorKind::Invalid,
            Self::Thread { .. } => ErrorKind::Unavailable,
        }
    }
}

//! Why a run could not be made, and with which code the program ends.

use std::io;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// An option that makes no sense.
    #[error("{0}")]
    Options(String),
    /// A file that cannot be read.
    #[error("{what}")]
    File {
        /// Which, and what was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A connection that could not be made.
    #[error("connection {number} could not be made")]
    Connect {
        /// Which, from 0.
        number: u32,
        /// What the system said.
        source: io::Error,
    },
    /// Not all connections were up in time.
    #[error("{up} of {all} connections were ready within {seconds} s{}", reason(.refused))]
    NotReady {
        /// Those that were.
        up: u64,
        /// Those that should have been.
        all: u64,
        /// The time they had.
        seconds: u64,
        /// What the server said to the first that it refused.
        refused: Option<String>,
    },
    /// A thread of the generator died.
    #[error("a thread of the generator ended early: {0}")]
    Worker(String),
    /// The system refused something the generator needs.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The process to be watched is not there.
    #[error("process {0} cannot be watched: it has no readable /proc entry")]
    NoProcess(u32),
    /// No rate was low enough.
    #[error("even the lowest rate tried, {0:.0} messages per second, lost messages or was late")]
    NothingPasses(f64),
}

fn reason(refused: &Option<String>) -> String {
    refused.as_ref().map(|text| format!(": {text}")).unwrap_or_default()
}

impl Failure {
    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Options(_) | Self::File { .. } => 2,
            _ => 3,
        }
    }

    /// The whole chain of causes on one line.
    pub(crate) fn text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

//! How bad an alarm is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How bad an alarm is, from mere information to critical.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look at it some time.
    #[default]
    Warning,
    /// Something is not as it should be.
    Minor,
    /// Something is broken.
    Major,
    /// Act now.
    Critical,
}

/// The word is none of the five.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a severity is `info`, `warning`, `minor`, `major` or `critical`")]
pub struct SeverityError;

impl Severity {
    /// All of them, least first.
    pub const ALL: [Self; 5] =
        [Self::Info, Self::Warning, Self::Minor, Self::Major, Self::Critical];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = SeverityError;
    fn from_str(word: &str) -> Result<Self, SeverityError> {
        Ok(match word {
            "info" => Self::Info,
            "warning" => Self::Warning,
            "minor" => Self::Minor,
            "major" => Self::Major,
            "critical" => Self::Critical,
            _ => return Err(SeverityError),
        })
    }
}

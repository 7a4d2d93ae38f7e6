//! What every error of the house can tell: a stable code, a kind, and problems with their places.

use serde::{Deserialize, Serialize};

/// The six kinds of error. The kind picks the Python exception, HTTP status and exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// What was given is wrong; giving it again will not help.
    Invalid,
    /// What was named does not exist.
    NotFound,
    /// It clashes with the present state.
    Conflict,
    /// The caller may not.
    Denied,
    /// Not now: full, busy, stopped or out of reach; trying later may help.
    Unavailable,
    /// A defect or damage on our side.
    Internal,
}

impl ErrorKind {
    /// The kind's name as used in JSON and in Python.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

/// Implemented by each crate's error enum.
pub trait Coded: std::error::Error {
    /// Stable, dotted, lower case: `rule.compile`. Names the page `docs/errors/<code>.md`.
    fn code(&self) -> &'static str;
    /// Which of the six kinds it is.
    fn kind(&self) -> ErrorKind;
}

/// One thing wrong with something that was given, with its place and its mend.
///
/// Validation collects all of them before it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable code, as [`Coded::code`].
    pub code: String,
    /// What is wrong, in a sentence without its place.
    pub message: String,
    /// JSON pointer (RFC 6901) into the document that was given; empty for the whole of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pointer: String,
    /// Line within a script or file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column within that line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// How to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of the whole document.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            pointer: String::new(),
            line: None,
            column: None,
            hint: None,
        }
    }

    /// The same problem at a JSON pointer.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = pointer.into();
        self
    }

    /// The same problem at a line and column of a script, both from 1.
    #[must_use]
    pub fn on_line(mut self, line: Option<u32>, column: Option<u32>) -> Self {
        self.line = line;
        self.column = column;
        self
    }

    /// The same problem with the way to mend it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        f.write_str(&self.message)?;
        if let Some(line) = self.line {
            write!(f, " (line {line}")?;
            if let Some(column) = self.column {
                write!(f, ", column {column}")?;
            }
            f.write_str(")")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

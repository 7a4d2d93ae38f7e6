//! What can go wrong with a script, with its place.

use std::fmt;

use flux_types::{Coded, ErrorKind, Problem, RuleId};

/// Line and column in a script, both from 1; unknown where the language does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// From 1.
    pub line: Option<u32>,
    /// In characters, from 1.
    pub column: Option<u32>,
}

impl From<rhai::Position> for Place {
    fn from(position: rhai::Position) -> Self {
        let narrow = |number: Option<usize>| number.and_then(|n| u32::try_from(n).ok());
        Self { line: narrow(position.line()), column: narrow(position.position()) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, " (line {line}, column {column})"),
            (Some(line), None) => write!(f, " (line {line})"),
            _ => Ok(()),
        }
    }
}

/// Which limit stopped a script. The name is that of the field in [`crate::Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// `operations_max`
    Operations,
    /// `kept_closure_operations_max`
    KeptClosureOperations,
    /// `deadline`
    Deadline,
    /// `call_depth_max`
    CallDepth,
    /// `variables_max`
    Variables,
    /// `string_bytes_max`
    StringBytes,
    /// `array_len_max`
    ArrayLen,
    /// `map_len_max`
    MapLen,
    /// `effects_per_evaluation_max`
    Effects,
}

impl LimitKind {
    /// The limit's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operations => "operations_max",
            Self::KeptClosureOperations => "kept_closure_operations_max",
            Self::Deadline => "deadline",
            Self::CallDepth => "call_depth_max",
            Self::Variables => "variables_max",
            Self::StringBytes => "string_bytes_max",
            Self::ArrayLen => "array_len_max",
            Self::MapLen => "map_len_max",
            Self::Effects => "effects_per_evaluation_max",
        }
    }
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A script that cannot be compiled, or that failed when it ran.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// The source is not Rhai, or uses what rules may not use.
    #[error("{message}{place}")]
    Compile {
        /// What is wrong.
        message: String,
        /// Where.
        place: Place,
        /// How to mend it.
        hint: Option<String>,
    },
    /// The source is longer than `script_bytes_max`.
    #[error("the script has {bytes} bytes; at most {bytes_max} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A limit stopped the script.
    #[error("the script was stopped at its limit {limit}{place}")]
    Limit {
        /// Which limit.
        limit: LimitKind,
        /// Where the script was.
        place: Place,
    },
    /// The script threw, or an operation or function refused what it was given.
    #[error("{message}{place}")]
    Throw {
        /// What was thrown.
        message: String,
        /// Where.
        place: Place,
    },
    /// An operation or function does not exist for the types it was given.
    #[error("{message}{place}")]
    Type {
        /// What does not fit.
        message: String,
        /// Where.
        place: Place,
        /// How to mend it.
        hint: Option<String>,
    },
    /// The script engine itself failed: a defect of ours or of the language's.
    #[error("the script engine failed: {message}{place}")]
    Engine {
        /// What it said.
        message: String,
        /// Where the script was.
        place: Place,
    },
    /// No script of that id was compiled.
    #[error("no script is compiled for the rule {0:?}")]
    Unknown(String),
    /// A rule in a set refused to compile.
    #[error("rule {rule} cannot be compiled")]
    Rule {
        /// The rule.
        rule: RuleId,
        /// Why.
        #[source]
        source: Box<RuleError>,
    },
}

impl RuleError {
    /// Where in the script it happened.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::Compile { place, .. }
            | Self::Limit { place, .. }
            | Self::Throw { place, .. }
            | Self::Type { place, .. }
            | Self::Engine { place, .. } => *place,
            Self::Rule { source, .. } => source.place(),
            Self::TooLong { .. } | Self::Unknown(_) => Place::default(),
        }
    }

    /// How to mend it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Compile { hint, .. } | Self::Type { hint, .. } => hint.as_deref(),
            Self::Rule { source, .. } => source.hint(),
            _ => None,
        }
    }

    /// The limit that stopped the script, if one did.
    #[must_use]
    pub fn limit(&self) -> Option<LimitKind> {
        match self {
            Self::Limit { limit, .. } => Some(*limit),
            _ => None,
        }
    }

    /// The error as a problem of a document; the caller adds the pointer.
    #[must_use]
    pub fn to_problem(&self) -> Problem {
        let place = self.place();
        let message = match self {
            Self::Compile { message, .. } | Self::Throw { message, .. } => message.clone(),
            Self::Type { message, .. } => message.clone(),
            Self::Limit { limit, .. } => format!("the script was stopped at its limit {limit}"),
            Self::Rule { source, .. } => return source.to_problem(),
            other => other.to_string(),
        };
        let mut problem = Problem::new(self.code(), message).on_line(place.line, place.column);
        problem.hint = self.hint().map(str::to_owned);
        problem
    }
}

impl Coded for RuleError {
    fn code(&self) -> &'static str {
        match self {
            Self::Compile { .. } => "rule.compile",
            Self::TooLong { .. } => "rule.too_long",
            Self::Limit { .. } => "rule.limit",
            Self::Throw { .. } => "rule.throw",
            Self::Type { .. } => "rule.type",
            Self::Engine { .. } => "rule.engine",
            Self::Unknown(_) => "rule.unknown",
            Self::Rule { source, .. } => source.code(),
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unknown(_) => ErrorKind::NotFound,
            Self::Engine { .. } => ErrorKind::Internal,
            Self::Rule { source, .. } => source.kind(),
            _ => ErrorKind::Invalid,
        }
    }
}

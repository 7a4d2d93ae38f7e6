//! How much a line of log matters.

/// The levels of the `log` import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Level {
    /// For whoever follows every step.
    Trace = 0,
    /// For whoever looks for a fault.
    Debug = 1,
    /// Worth knowing.
    Info = 2,
    /// Unexpected, but handled.
    Warn = 3,
    /// Something failed.
    Error = 4,
}

impl Level {
    /// The level of a number; `None` when the number is none.
    #[must_use]
    pub const fn from_i32(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::Trace,
            1 => Self::Debug,
            2 => Self::Info,
            3 => Self::Warn,
            4 => Self::Error,
            _ => return None,
        })
    }

    /// Its number in the ABI.
    #[must_use]
    pub const fn as_i32(self) -> i32 {
        self as i32
    }

    /// Its name, lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

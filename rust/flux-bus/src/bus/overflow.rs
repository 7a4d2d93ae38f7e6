//! What a subscriber that is too slow loses, by name.

use std::fmt;
use std::str::FromStr;

use crate::BusError;

/// What happens to a message that finds a subscriber's ring full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Overflow {
    /// The oldest message in the ring is dropped for it: the subscriber sees the latest.
    #[default]
    DropOldest,
    /// It is dropped: the subscriber sees what came first.
    DropNewest,
    /// Its publisher waits for room, up to a time limit; then it is dropped.
    Block,
}

impl Overflow {
    /// Its name: `drop_oldest`, `drop_newest` or `block`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DropOldest => "drop_oldest",
            Self::DropNewest => "drop_newest",
            Self::Block => "block",
        }
    }
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Overflow {
    type Err = BusError;

    fn from_str(name: &str) -> Result<Self, BusError> {
        match name {
            "drop_oldest" => Ok(Self::DropOldest),
            "drop_newest" => Ok(Self::DropNewest),
            "block" => Ok(Self::Block),
            _ => Err(BusError::Overflow { given: name.chars().take(64).collect() }),
        }
    }
}

//! What can go wrong on the bus.

use flux_types::{Coded, ErrorKind, TopicError};

/// What can go wrong on the bus.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// A capacity of none, or of more messages than a ring may hold.
    #[error(
        "a capacity of {given} is out of range: give 1 to {} messages",
        crate::RING_CAPACITY_MAX
    )]
    Capacity {
        /// The capacity asked for, in messages.
        given: usize,
    },
    /// The name of no overflow policy.
    #[error("`{given}` is no overflow policy: give `drop_oldest`, `drop_newest` or `block`")]
    Overflow {
        /// What was given, at most its first 64 characters.
        given: String,
    },
    /// A policy by which a subscriber could hold up the engine.
    #[error("`block` is not allowed on this bus: give `drop_oldest` or `drop_newest`")]
    BlockDenied,
    /// As many subscribers as the bus may have.
    #[error("the bus has {taps_max} subscribers, as many as it may")]
    TooManyTaps {
        /// The limit.
        taps_max: usize,
    },
    /// The bus was closed.
    #[error("the bus is closed")]
    Closed,
    /// What was given is no topic, or no topic filter.
    #[error("not a valid topic")]
    Topic(#[from] TopicError),
}

impl Coded for BusError {
    fn code(&self) -> &'static str {
        match self {
            Self::Capacity { .. } => "bus.capacity",
            Self::Overflow { .. } => "bus.overflow",
            Self::BlockDenied => "bus.block_denied",
            Self::TooManyTaps { .. } => "bus.too_many_taps",
            Self::Closed => "bus.closed",
            Self::Topic(_) => "bus.topic",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Capacity { .. } | Self::Overflow { .. } | Self::Topic(_) => ErrorKind::Invalid,
            Self::BlockDenied => ErrorKind::Denied,
            Self::TooManyTaps { .. } | Self::Closed => ErrorKind::Unavailable,
        }
    }
}

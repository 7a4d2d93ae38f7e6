//! What can go wrong, each with the reason code the client is told.

use flux_types::{Coded, ErrorKind};

use crate::codec::Reason;
use crate::ports::Denial;

/// Why a packet, a connection attempt or a connection was refused or ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes do not follow the standard.
    #[error("malformed packet: {what} [{clause}]")]
    Malformed {
        /// The clause or section that says so.
        clause: &'static str,
        /// What was found.
        what: &'static str,
    },
    /// Well-formed, but not allowed here or now.
    #[error("{what} [{clause}]")]
    Protocol {
        /// What the client is told.
        reason: Reason,
        /// The clause or section that says so.
        clause: &'static str,
        /// What was found.
        what: &'static str,
    },
    /// A packet above the limit.
    #[error("a packet of {len} bytes where at most {max} are accepted")]
    PacketTooLarge {
        /// Its size on the wire.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A protocol level that is not spoken here.
    #[error("protocol level {0} is not supported; use 4 (MQTT 3.1.1) or 5 (MQTT 5.0)")]
    UnsupportedVersion(u8),
    /// CONNECT was refused.
    #[error("connection refused: {what}")]
    ConnectRefused {
        /// What the client is told.
        reason: Reason,
        /// Why.
        what: &'static str,
    },
    /// Whoever was asked does not let the client in.
    #[error("sign-in was denied")]
    SignInDenied(Denial),
    /// No CONNECT within the time allowed.
    #[error("no CONNECT within {timeout_ms} ms")]
    ConnectTimeout {
        /// The limit, in milliseconds.
        timeout_ms: u64,
    },
    /// Silence for one and a half keep-alive intervals [MQTT-3.1.2-22].
    #[error("nothing was received for {silent_ms} ms, with a keep-alive of {keep_alive_s} s")]
    KeepAliveTimeout {
        /// How long nothing came, in milliseconds.
        silent_ms: u64,
        /// The interval agreed on, in seconds.
        keep_alive_s: u16,
    },
    /// Another connection took the session [MQTT-3.1.4-3].
    #[error("another connection uses the same client identifier")]
    SessionTakenOver,
    /// A publish that is not allowed, where the protocol has no word for it.
    #[error("publishing to this topic is not allowed, and MQTT 3.1.1 cannot say so otherwise")]
    PublishDenied,
    /// The subscriber was too slow for the promised messages sent to it.
    #[error("the session's queue of promised messages overflowed")]
    QueueOverflow,
    /// Closed from our side on purpose: shutdown, a configuration change, an operator.
    #[error("closed by the server: {0}")]
    ClosedByServer(Reason),
}

impl Error {
    /// What an MQTT 5.0 client is told.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Malformed { .. } => Reason::MALFORMED_PACKET,
            Self::Protocol { reason, .. } | Self::ConnectRefused { reason, .. } => *reason,
            Self::SignInDenied(denial) => denial.reason(),
            Self::PacketTooLarge { .. } => Reason::PACKET_TOO_LARGE,
            Self::UnsupportedVersion(_) => Reason::UNSUPPORTED_PROTOCOL_VERSION,
            Self::ConnectTimeout { .. } => Reason::PROTOCOL_ERROR,
            Self::KeepAliveTimeout { .. } => Reason::KEEP_ALIVE_TIMEOUT,
            Self::SessionTakenOver => Reason::SESSION_TAKEN_OVER,
            Self::PublishDenied => Reason::NOT_AUTHORIZED,
            Self::QueueOverflow => Reason::QUOTA_EXCEEDED,
            Self::ClosedByServer(reason) => *reason,
        }
    }
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "mqtt.malformed",
            Self::Protocol { .. } => "mqtt.protocol",
            Self::PacketTooLarge { .. } => "mqtt.packet_too_large",
            Self::UnsupportedVersion(_) => "mqtt.unsupported_version",
            Self::ConnectRefused { .. } | Self::SignInDenied(_) => "mqtt.connect_refused",
            Self::ConnectTimeout { .. } => "mqtt.connect_timeout",
            Self::KeepAliveTimeout { .. } => "mqtt.keep_alive_timeout",
            Self::SessionTakenOver => "mqtt.session_taken_over",
            Self::PublishDenied => "mqtt.publish_denied",
            Self::QueueOverflow => "mqtt.queue_overflow",
            Self::ClosedByServer(_) => "mqtt.closed_by_server",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { .. }
            | Self::Protocol { .. }
            | Self::PacketTooLarge { .. }
            | Self::UnsupportedVersion(_) => ErrorKind::Invalid,
            Self::ConnectRefused { reason, .. } => match *reason {
                Reason::SERVER_BUSY | Reason::SERVER_UNAVAILABLE | Reason::QUOTA_EXCEEDED => {
                    ErrorKind::Unavailable
                }
                _ => ErrorKind::Denied,
            },
            Self::SignInDenied(Denial::Unavailable) => ErrorKind::Unavailable,
            Self::SignInDenied(_) | Self::PublishDenied => ErrorKind::Denied,
            Self::SessionTakenOver => ErrorKind::Conflict,
            Self::ConnectTimeout { .. }
            | Self::KeepAliveTimeout { .. }
            | Self::QueueOverflow
            | Self::ClosedByServer(_) => ErrorKind::Unavailable,
        }
    }
}

/// The packet is malformed: reason code 0x81.
pub(crate) const fn malformed(clause: &'static str, what: &'static str) -> Error {
    Error::Malformed { clause, what }
}

/// The packet is a protocol error: reason code 0x82.
pub(crate) const fn protocol(clause: &'static str, what: &'static str) -> Error {
    Error::Protocol { reason: Reason::PROTOCOL_ERROR, clause, what }
}

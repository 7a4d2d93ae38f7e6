//! Quality of service, as MQTT numbers it.

use serde::{Deserialize, Serialize};

/// The delivery promise of a message (MQTT 5.0 section 4.3).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "u8", into = "u8")]
#[repr(u8)]
pub enum Qos {
    /// No promise.
    #[default]
    AtMostOnce = 0,
    /// Acknowledged; may arrive again.
    AtLeastOnce = 1,
    /// Acknowledged; arrives once.
    ExactlyOnce = 2,
}

impl Qos {
    /// Whether an acknowledgement is owed, and with it a place on disk.
    #[must_use]
    pub fn is_promised(self) -> bool {
        self != Self::AtMostOnce
    }
}

/// The number is none of 0, 1, 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("quality of service is 0, 1 or 2, not {0}")]
pub struct QosError(pub u8);

impl TryFrom<u8> for Qos {
    type Error = QosError;
    fn try_from(number: u8) -> Result<Self, QosError> {
        match number {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            other => Err(QosError(other)),
        }
    }
}

impl From<Qos> for u8 {
    fn from(qos: Qos) -> Self {
        qos as Self
    }
}

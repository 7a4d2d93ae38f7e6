//! Identities: what a thing is called inside (UUIDs, numbers) and by people (keys).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh random id (RFC 9562, version 4).
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )+};
}

uuid_id! {
    /// A product: what devices of one make and model have in common.
    ProductId,
    /// A device.
    DeviceId,
    /// A rule.
    RuleId,
    /// An account that is not a device: a dashboard, another system.
    PrincipalId,
    /// One command sent to one device.
    CommandId,
    /// One alarm, from raised to cleared.
    AlarmId,
}

/// The tenant every record, key and topic belongs to. Tenant 1 is there from the first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(pub u32);

impl TenantId {
    /// The tenant of a site that never asked for several.
    pub const DEFAULT: Self = Self(1);
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a compiled configuration; grows by one with each change.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a record stands in the log. Ordered; never used twice.
///
/// The epoch grows each time the log is opened, so a position handed out before a crash and lost
/// in it can never name another record afterwards.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Position {
    /// Which opening of the log handed it out.
    pub epoch: u32,
    /// Records from the log's beginning; grows across epochs too.
    pub offset: u64,
}

impl Position {
    /// Before every record.
    pub const START: Self = Self { epoch: 0, offset: 0 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

/// One decision of one rule version about one sample of one message.
///
/// Deterministic, so that deciding again after a crash names the same firing. Written
/// `<rule>.<version>.<epoch>-<offset>.<sample>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FiringId {
    /// The rule.
    pub rule: RuleId,
    /// The rule's version that decided.
    pub version: u32,
    /// The message's position.
    pub position: Position,
    /// Which sample of the message, from 0.
    pub sample: u32,
}

impl fmt::Display for FiringId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.rule, self.version, self.position, self.sample)
    }
}

/// The text is not `<rule>.<version>.<epoch>-<offset>.<sample>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a firing id: expected <rule uuid>.<version>.<epoch>-<offset>.<sample>")]
pub struct ParseFiringIdError;

impl FromStr for FiringId {
    type Err = ParseFiringIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.split('.');
            let rule = parts.next()?.parse().ok()?;
            let version = parts.next()?.parse().ok()?;
            let (epoch, offset) = parts.next()?.split_once('-')?;
            let sample = parts.next()?.parse().ok()?;
            let position = Position { epoch: epoch.parse().ok()?, offset: offset.parse().ok()? };
            parts.next().is_none().then_some(Self { rule, version, position, sample })
        };
        parse().ok_or(ParseFiringIdError)
    }
}

/// Who sent something: the principal and the connection it used, as one opaque word.
///
/// Order is kept per source. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(Arc<str>);

impl SourceId {
    /// Wraps a word that identifies the source within its tenant.
    pub fn new(word: impl Into<Arc<str>>) -> Self {
        Self(word.into())
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name people give a product or a device, unique among its like within a tenant.
///
/// 1 to 128 bytes; no control characters, white space, or `/ + #`, so that it can stand as one
/// level of an MQTT topic; does not begin with `$`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Key(Arc<str>);

/// Why a text cannot be a [`Key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseKeyError {
    /// Nothing was given.
    #[error("a key cannot be empty")]
    Empty,
    /// Longer than [`Key::BYTES_MAX`].
    #[error("a key has at most 128 bytes")]
    TooLong,
    /// A character that cannot stand in one topic level.
    #[error("a key cannot contain {0:?}: it has to stand as one level of an MQTT topic")]
    Character(char),
    /// Begins with `$`, which MQTT reserves.
    #[error("a key cannot begin with `$`: MQTT reserves it for the server")]
    Dollar,
}

impl Key {
    /// The longest key, in bytes.
    pub const BYTES_MAX: usize = 128;

    /// Checks a text and takes it as a key.
    ///
    /// # Errors
    /// Says which rule of [`Key`] the text breaks.
    pub fn new(text: &str) -> Result<Self, ParseKeyError> {
        if text.is_empty() {
            return Err(ParseKeyError::Empty);
        }
        if text.len() > Self::BYTES_MAX {
            return Err(ParseKeyError::TooLong);
        }
        if text.starts_with('$') {
            return Err(ParseKeyError::Dollar);
        }
        let refused = |c: char| c.is_control() || c.is_whitespace() || "/+#".contains(c);
        match text.chars().find(|c| refused(*c)) {
            Some(c) => Err(ParseKeyError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl From<DeviceId> for Key {
    fn from(id: DeviceId) -> Self {
        Self(id.to_string().into())
    }
}

impl std::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Key {
    type Err = ParseKeyError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_order_by_epoch_then_offset() {
        let old = Position { epoch: 1, offset: 900 };
        let new = Position { epoch: 2, offset: 10 };
        assert!(old < new);
        assert!(Position::START < old);
    }

    #[test]
    fn firing_id_survives_its_text() {
        let id = FiringId {
            rule: RuleId::random(),
            version: 3,
            position: Position { epoch: 2, offset: 4096 },
            sample: 1,
        };
        assert_eq!(id.to_string().parse::<FiringId>(), Ok(id));
        for wrong in ["", "x.1.1-1.0", &format!("{id}.0"), &id.to_string().replace('-', "_")] {
            assert_eq!(wrong.parse::<FiringId>(), Err(ParseFiringIdError), "{wrong}");
        }
    }

    #[test]
    fn key_stands_as_one_topic_level() {
        assert_eq!(Key::new("thermo-1").unwrap().as_str(), "thermo-1");
        assert_eq!(Key::new(""), Err(ParseKeyError::Empty));
        assert_eq!(Key::new("a/b"), Err(ParseKeyError::Character('/')));
        assert_eq!(Key::new("a b"), Err(ParseKeyError::Character(' ')));
        assert_eq!(Key::new("a\0"), Err(ParseKeyError::Character('\0')));
        assert_eq!(Key::new("$SYS"), Err(ParseKeyError::Dollar));
        assert_eq!(Key::new(&"x".repeat(129)), Err(ParseKeyError::TooLong));
        assert!(serde_json::from_str::<Key>("\"a#\"").is_err());
    }
}

//! MQTT topic names and filters (MQTT 5.0 section 4.7), checked once and shared after.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest topic, in bytes [MQTT-4.7.3-3].
pub const TOPIC_BYTES_MAX: usize = 65_535;
/// The deepest topic. MQTT sets no limit; ours bounds every walk over the levels.
pub const TOPIC_LEVELS_MAX: usize = 128;

/// Why a text cannot be a topic or a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// At least one character is needed [MQTT-4.7.3-1].
    #[error("a topic cannot be empty")]
    Empty,
    /// Longer than [`TOPIC_BYTES_MAX`].
    #[error("a topic has at most 65535 bytes")]
    TooLong,
    /// Deeper than [`TOPIC_LEVELS_MAX`].
    #[error("a topic has at most 128 levels")]
    TooDeep,
    /// A NUL character [MQTT-4.7.3-2].
    #[error("a topic cannot contain the character NUL")]
    Nul,
    /// A wildcard in the name of a topic that is published to [MQTT-3.3.2-2].
    #[error("`{0}` is a wildcard: it can stand in a filter, not in a topic that is published to")]
    Wildcard(char),
    /// `#` not last, or not alone in its level [MQTT-4.7.1-1].
    #[error("`#` has to be the last level of a filter and stand there alone")]
    MisplacedHash,
    /// `+` not alone in its level [MQTT-4.7.1-2].
    #[error("`+` has to stand alone in its level")]
    MisplacedPlus,
}

fn check_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong);
    }
    let mut levels = 1;
    for byte in text.bytes() {
        match byte {
            0 => return Err(TopicError::Nul),
            b'/' => levels += 1,
            _ => {}
        }
    }
    if levels > TOPIC_LEVELS_MAX { Err(TopicError::TooDeep) } else { Ok(()) }
}

macro_rules! topic_text {
    ($name:ident) => {
        impl $name {
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

            /// The levels, split at `/`; an empty level counts [MQTT-4.7.1].
            pub fn levels(&self) -> impl Iterator<Item = &str> {
                self.0.split('/')
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = TopicError;
            fn from_str(text: &str) -> Result<Self, TopicError> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// The name of a topic that is published to. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Topic(Arc<str>);

/// A pattern over topics: `+` is any one level, a last `#` any number of them. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TopicFilter(Arc<str>);

topic_text!(Topic);
topic_text!(TopicFilter);

impl Topic {
    /// Checks a text and takes it as a topic's name.
    ///
    /// # Errors
    /// Says which rule of MQTT 5.0 section 4.7 it breaks.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check_text(text)?;
        match text.bytes().find(|byte| matches!(byte, b'+' | b'#')) {
            Some(wildcard) => Err(TopicError::Wildcard(wildcard.into())),
            None => Ok(Self(text.into())),
        }
    }

    /// Whether it begins with `$`, so that filters beginning with a wildcard pass it over
    /// [MQTT-4.7.2-1].
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl TopicFilter {
    /// Checks a text and takes it as a filter.
    ///
    /// # Errors
    /// Says which rule of MQTT 5.0 section 4.7 it breaks.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        check_text(text)?;
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            if level.contains('#') && (level != "#" || levels.peek().is_some()) {
                return Err(TopicError::MisplacedHash);
            }
            if level.contains('+') && level != "+" {
                return Err(TopicError::MisplacedPlus);
            }
        }
        Ok(Self(text.into()))
    }

    /// Whether a topic of that name matches (MQTT 5.0 sections 4.7.1 and 4.7.2).
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        if topic.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut names = topic.split('/');
        for level in self.levels() {
            match (level, names.next()) {
                // `a/#` matches `a` itself too [MQTT-4.7.1-2, non-normative comment]
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (literal, Some(name)) if literal == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }

    /// Whether every topic that `narrower` matches is matched by this filter too: what a grant of
    /// this filter has to say to a subscription to `narrower`.
    #[must_use]
    pub fn covers(&self, narrower: &Self) -> bool {
        if narrower.0.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut theirs = narrower.levels().peekable();
        let mut ours = self.levels();
        loop {
            match (ours.next(), theirs.next()) {
                (Some("#"), _) | (None, None) => return true,
                // `a/#` includes `a`, which `a/+` does not
                (Some("+"), Some(level)) if level != "#" => {}
                (Some(a), Some(b)) if a == b => {}
                _ => return false,
            }
        }
    }
}

impl From<&Topic> for TopicFilter {
    fn from(topic: &Topic) -> Self {
        Self(topic.shared())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_filters_obey_section_4_7() {
        for good in ["a", "/", "a//b", "$SYS/x", " ", "é/ß"] {
            assert!(Topic::new(good).is_ok(), "{good:?}");
        }
        assert_eq!(Topic::new(""), Err(TopicError::Empty));
        assert_eq!(Topic::new("a\0"), Err(TopicError::Nul));
        assert_eq!(Topic::new("a/+"), Err(TopicError::Wildcard('+')));
        assert_eq!(Topic::new(&"a".repeat(65_536)), Err(TopicError::TooLong));
        assert_eq!(Topic::new(&"/".repeat(128)), Err(TopicError::TooDeep));
        for good in ["#", "+", "a/+/b", "+/+", "a/#", "/#"] {
            assert!(TopicFilter::new(good).is_ok(), "{good:?}");
        }
        for bad in ["a#", "a/#/b", "#/"] {
            assert_eq!(TopicFilter::new(bad), Err(TopicError::MisplacedHash), "{bad:?}");
        }
        assert_eq!(TopicFilter::new("a+/b"), Err(TopicError::MisplacedPlus));
    }

    #[test]
    fn wildcards_match_as_section_4_7_1_says() {
        let matches = |filter: &str, topic: &str| TopicFilter::new(filter).unwrap().matches(topic);
        assert!(matches("sport/tennis/player1/#", "sport/tennis/player1"));
        assert!(matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
        assert!(matches("sport/+", "sport/"));
        assert!(!matches("sport/+", "sport"));
        assert!(matches("+/+", "/finance"));
        assert!(!matches("+", "/finance"));
        assert!(!matches("#", "$SYS/monitor")); // [MQTT-4.7.2-1]
        assert!(!matches("+/monitor/Clients", "$SYS/monitor/Clients"));
        assert!(matches("$SYS/#", "$SYS/monitor"));
        assert!(!matches("a", "A")); // [MQTT-4.7.3-4]: compared code point by code point
    }

    #[test]
    fn grants_cover_narrower_filters_only() {
        let covers = |wide: &str, narrow: &str| {
            TopicFilter::new(wide).unwrap().covers(&TopicFilter::new(narrow).unwrap())
        };
        assert!(covers("#", "a/#"));
        assert!(covers("a/#", "a"));
        assert!(covers("a/+/c", "a/b/c"));
        assert!(covers("a/+", "a/+"));
        assert!(!covers("a/+", "a/#"));
        assert!(!covers("a/b", "a/+"));
        assert!(!covers("a/+/c", "a/#"));
        assert!(!covers("#", "$SYS/#"));
    }
}

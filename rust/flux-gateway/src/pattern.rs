//! Bytes as people write them in a configuration.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A short run of bytes: text as it stands, or hexadecimal digits after `hex:`.
///
/// ```
/// use flux_gateway::Pattern;
/// let crlf: Pattern = serde_json::from_str(r#""\r\n""#).unwrap();
/// let same: Pattern = serde_json::from_str(r#""hex:0d 0a""#).unwrap();
/// assert_eq!(crlf.as_bytes(), same.as_bytes());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Pattern(Box<[u8]>);

impl Pattern {
    /// The longest pattern, in bytes.
    pub const BYTES_MAX: usize = 256;

    /// Reads what a configuration says.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bytes = match text.strip_prefix("hex:") {
            Some(digits) => from_hex(digits)?,
            None => text.as_bytes().to_vec(),
        };
        if bytes.len() > Self::BYTES_MAX {
            return Err(format!("{} bytes are more than {}", bytes.len(), Self::BYTES_MAX));
        }
        Ok(Self(bytes.into()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

fn from_hex(digits: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = digits
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()
        .ok_or("after `hex:` only hexadecimal digits may stand")?;
    if !digits.len().is_multiple_of(2) {
        return Err("after `hex:` there has to be an even number of digits".to_owned());
    }
    Ok(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, d| byte << 4 | d)).collect())
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern(hex:{})", to_hex(&self.0))
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("hex:{}", to_hex(&self.0)))
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_and_text_mean_bytes() {
        assert_eq!(Pattern::parse("AB").unwrap().as_bytes(), b"AB");
        assert_eq!(Pattern::parse("hex:7E 7e00").unwrap().as_bytes(), [0x7e, 0x7e, 0]);
        assert!(Pattern::parse("hex:7").unwrap_err().contains("even"));
        assert!(Pattern::parse("hex:zz").unwrap_err().contains("digits"));
        assert!(Pattern::parse(&"x".repeat(257)).is_err());
        let json = serde_json::to_string(&Pattern::parse("\r\n").unwrap()).unwrap();
        assert_eq!(json, r#""hex:0d0a""#);
    }
}

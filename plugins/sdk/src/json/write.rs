//! Writing JSON text.

use std::fmt::{self, Write};

use super::Json;

/// Compact: no white space. What is not finite is `null`.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(yes) => write!(f, "{yes}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) if number.is_finite() => write!(f, "{number}"),
            Self::Float(_) => f.write_str("null"),
            Self::Text(text) => string(f, text),
            Self::List(items) => {
                f.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    item.fmt(f)?;
                }
                f.write_char(']')
            }
            Self::Object(members) => {
                f.write_char('{')?;
                for (index, (name, value)) in members.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    string(f, name)?;
                    f.write_char(':')?;
                    value.fmt(f)?;
                }
                f.write_char('}')
            }
        }
    }
}

/// Text as JSON writes it, for those who write JSON themselves.
///
/// ```
/// use flux_plugin_sdk::json::Quoted;
///
/// assert_eq!(Quoted("5\" pipe").to_string(), r#""5\" pipe""#);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        string(f, self.0)
    }
}

/// Bytes in base64 (RFC 4648 section 4), which is how the ABI's JSON carries them.
pub(crate) struct Base64<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for group in self.0.chunks(3) {
            let byte = |index| usize::from(group.get(index).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for place in 0..=group.len() {
                f.write_char(char::from(DIGITS[bits >> (18 - 6 * place) & 0x3f]))?;
            }
            f.write_str(&"=="[..3 - group.len()])?;
        }
        Ok(())
    }
}

fn string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') {
        f.write_str(&rest[..at])?;
        match rest.as_bytes()[at] {
            b'"' => f.write_str("\\\"")?,
            b'\\' => f.write_str("\\\\")?,
            b'\n' => f.write_str("\\n")?,
            control => write!(f, "\\u{control:04x}")?,
        }
        rest = &rest[at + 1..];
    }
    f.write_str(rest)?;
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_the_same() {
        let json = Json::object([
            ("text", "a \"b\" \\ \n \u{1} é".into()),
            ("numbers", vec![0.1, -1e300, 1e-7].into()),
            ("whole", i64::MIN.into()),
            ("none", Json::Null),
        ]);
        assert_eq!(json.to_string().parse::<Json>().unwrap(), json);
    }

    #[test]
    fn base64_agrees_with_the_test_vectors_of_rfc_4648() {
        // section 10
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(Base64(bytes.as_bytes()).to_string(), expected);
        }
    }

    #[test]
    fn what_is_not_finite_is_null() {
        assert_eq!(Json::Float(f64::NAN).to_string(), "null");
    }
}

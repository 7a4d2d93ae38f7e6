//! Digests of secrets: comparing them takes as long whether they agree or not.
//!
//! Device secrets are generated 256-bit tokens, so one SHA-256 is enough; people's passwords are
//! not this crate's.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The longest secret that is looked at, in bytes; tokens have 43 or 64.
pub const SECRET_BYTES_MAX: usize = 1024;

/// A SHA-256.
#[derive(Clone, Copy)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// The digest itself, to find whose it is.
    pub(crate) fn bytes(self) -> [u8; 32] {
        self.0
    }

    /// Reads 64 hexadecimal digits of either case.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = pair else { return None };
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }

    pub(crate) fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl ConstantTimeEq for Digest {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for Digest {}

/// Never shows the digest, so that no log does.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// The secrets one identity may sign in with: the present one and, while it is being changed, the
/// one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Secrets {
    pub(crate) current: Option<Digest>,
    pub(crate) previous: Option<Digest>,
}

impl Secrets {
    /// Whether the digest is one of ours. Both are always compared, a missing one against zeros.
    pub(crate) fn accept(&self, given: &Digest) -> bool {
        let matches = |known: Option<Digest>| {
            let present = Choice::from(u8::from(known.is_some()));
            present & known.unwrap_or(Digest([0; 32])).ct_eq(given)
        };
        (matches(self.current) | matches(self.previous)).into()
    }

    /// Those there are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Digest> {
        self.current.into_iter().chain(self.previous)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.current.is_none() && self.previous.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_sha256_in_hexadecimal() {
        // FIPS 180-4 example: SHA-256("abc")
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_hex(), hex);
        assert_eq!(Digest::from_hex(&hex.to_uppercase()), Some(Digest::of(b"abc")));
        for wrong in ["", "ba78", &hex.replace('b', "g"), &hex.replacen("ba", "é", 1)] {
            assert_eq!(Digest::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn both_secrets_are_accepted_while_they_change_and_none_when_there_is_none() {
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let secrets = Secrets { current: Some(new), previous: Some(old) };
        assert!(secrets.accept(&old) && secrets.accept(&new));
        assert!(!secrets.accept(&Digest::of(b"other")));
        assert!(!Secrets::default().accept(&Digest([0; 32])));
    }

    #[test]
    fn digests_do_not_show_in_logs() {
        let secrets = Secrets { current: Some(Digest::of(b"x")), previous: None };
        assert_eq!(format!("{secrets:?}"), "Secrets { current: Some(Digest(..)), previous: None }");
    }
}

//! The settings of one use of a plugin.

use std::sync::Arc;

use sha2::{Digest, Sha256};

/// Settings with the id guests may cache what they parsed under: it follows from the content, so it
/// changes whenever the content does, and is the same again after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    id: u64,
    json: Arc<str>,
}

impl Settings {
    /// Settings of that JSON; `null` is none.
    #[must_use]
    pub fn new(json: &serde_json::Value) -> Self {
        if json.is_null() {
            return Self::default();
        }
        let json: Arc<str> = json.to_string().into();
        let digest: [u8; 32] = Sha256::digest(json.as_bytes()).into();
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        Self { id: u64::from_le_bytes(id), json }
    }

    /// As a [`Context`](crate::Context) holds them.
    #[must_use]
    pub fn view(&self) -> flux_plugin_abi::Settings<'_> {
        flux_plugin_abi::Settings { id: self.id, json: (&*self.json).into() }
    }

    /// Their id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn the_id_follows_the_content() {
        let one = Settings::new(&serde_json::json!({ "unit": 1 }));
        assert_eq!(one, Settings::new(&serde_json::json!({ "unit": 1 })));
        assert_ne!(one.id(), Settings::new(&serde_json::json!({ "unit": 2 })).id());
        assert_eq!(Settings::new(&serde_json::Value::Null).id(), 0);
    }
}

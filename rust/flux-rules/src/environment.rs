//! `env`: the constants of the site, as scripts see them.

use rhai::{Dynamic, Map};
use serde::{Deserialize, Serialize};

use crate::dynamic;

/// The constants behind `env`, as the configuration document holds them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Environment {
    /// Name of the site: `env.site`, also `env.name`.
    pub site: String,
    /// Name of the tenant: `env.tenant`.
    pub tenant: String,
    /// IANA name of the time zone: `env.timezone`.
    pub timezone: String,
    /// Values of the user's own: `env.user.…`.
    pub user: serde_json::Map<String, serde_json::Value>,
}

impl Environment {
    pub(crate) fn to_dynamic(&self) -> Dynamic {
        let user: Map = self
            .user
            .iter()
            .map(|(name, value)| (name.as_str().into(), dynamic::from_json(value)))
            .collect();
        let mut env = Map::new();
        env.insert("name".into(), self.site.as_str().into());
        env.insert("site".into(), self.site.as_str().into());
        env.insert("tenant".into(), self.tenant.as_str().into());
        env.insert("timezone".into(), self.timezone.as_str().into());
        env.insert("user".into(), user.into());
        env.into()
    }
}

//! A rule as it was configured.

use flux_types::{DeviceId, ProductId, RuleId, TenantId, TopicFilter};
use serde::{Deserialize, Serialize};

/// Which messages a rule looks at: those that match *any* entry of *any* list.
///
/// All lists empty means every message of the tenant. A topic filter that begins with a wildcard
/// passes over topics that begin with `$` [MQTT-4.7.2-1].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sources {
    /// Messages published to matching topics.
    pub topics: Vec<TopicFilter>,
    /// Messages of devices of these products.
    pub products: Vec<ProductId>,
    /// Messages of these devices.
    pub devices: Vec<DeviceId>,
}

impl Sources {
    /// Whether the rule looks at every message of its tenant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.topics.is_empty() && self.products.is_empty() && self.devices.is_empty()
    }
}

/// What this crate has to know of a rule. Its declared actions belong to the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleDefinition {
    /// The rule.
    pub id: RuleId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Grows with each change.
    pub version: u32,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// Rhai source.
    #[serde(rename = "trigger_script")]
    pub script: String,
    /// Which messages it looks at.
    #[serde(default)]
    pub sources: Sources,
    /// A rule that is switched off is compiled, so that its errors show, but never evaluated.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}
